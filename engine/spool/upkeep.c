/*
 * Upkeep: freeing the oldest segments, making the next one before it is needed, removing large
 * files. One thing at a time, and nothing that waits for the disk: that is handed to the caller as
 * an operation for its ring. Only where the next segment is needed before it is ready are the same
 * steps taken at once.
 *
 * A freed segment's file is kept for the next one: to write over blocks that were written before
 * costs the file system no new metadata, and so about half the time of a commit.
 */
#include "engine/spool/file.h"
#include "crash_point.h"
#include "engine/spool/internal.h"
#include "status.h"
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

/* Turns that pass after a failure before it is tried again: the disk is full, or going. */
#define PAUSE 512

static void drop_file(struct spool *s)
{
    struct upkeep *u = &s->upkeep;
    int error = file_remove(s->directory, u->name);
    if (error != 0 && error != -ENOENT)
        (void)spool_system_failed(s, "unlinkat", -error);
    if (u->fd < 0)
        return;
    /* The ring may not have taken the operation yet: the number must not become another file's. */
    if (u->ignored && u->abandoned < 0)
        u->abandoned = u->fd;
    else
        file_close(u->fd);
    u->fd = -1;
}

static enum spool_status failed(struct spool *s, const char *call, int error)
{
    drop_file(s);
    s->upkeep.state = UPKEEP_IDLE;
    s->upkeep.pause = PAUSE;
    return spool_system_failed(s, call, -error);
}

/* ---- the next segment -------------------------------------------------------------------- */

/* Its file: a freed segment's, or a new one. */
static enum spool_status begin_next(struct spool *s)
{
    struct upkeep *u = &s->upkeep;
    u->sequence = s->last_sequence + 1;
    u->blank = s->spare < 0;
    if (!u->blank) {
        u->fd = s->spare;
        memcpy(u->name, s->spare_name, sizeof u->name);
        s->spare = -1;
    } else {
        name_spare(u->name, u->sequence);
        u->fd = file_create(s->directory, u->name);
        if (u->fd == -EEXIST && file_remove(s->directory, u->name) == 0)
            u->fd = file_create(s->directory, u->name);
        if (u->fd < 0) {
            int error = u->fd;
            u->fd = -1;
            u->pause = PAUSE;
            return spool_system_failed(s, "openat", -error);
        }
    }
    u->state = UPKEEP_RESERVING;
    CRASH_POINT(SEGMENT_CREATED);
    return SPOOL_OK;
}

/* Its blocks are there, or will be as it is written: then a full disk shows when a batch fails. */
static enum spool_status reserved(struct spool *s, int result)
{
    struct upkeep *u = &s->upkeep;
    unsigned char bytes[SEGMENT_HEAD];
    struct segment_head head = {.segment = u->sequence, .blank = u->blank};
    if (result == -EOPNOTSUPP)
        result = file_truncate(u->fd, s->segment_size);
    if (result < 0)
        return failed(s, "fallocate", result);
    if (getrandom(&head.seal, sizeof head.seal, 0) != (ssize_t)sizeof head.seal)
        return failed(s, "getrandom", -errno);
    CRASH_POINT(SEGMENT_RESERVED);
    head_write(bytes, &head);
    result = write_exactly(u->fd, span_of(bytes, sizeof bytes), 0);
    if (result < 0)
        return failed(s, "pwrite", result);
    u->next = (struct segment){.sequence = head.segment,
                               .seal = head.seal,
                               .end = SEGMENT_BEGIN,
                               .synced = SEGMENT_BEGIN,
                               .whole = true,
                               .fd = u->fd};
    u->state = UPKEEP_HEAD;
    CRASH_POINT(SEGMENT_HEADED);
    return SPOOL_OK;
}

static enum spool_status headed(struct spool *s, int result)
{
    struct upkeep *u = &s->upkeep;
    char name[NAME_SIZE];
    if (result < 0)
        return failed(s, "fsync", result);
    name_segment(name, u->sequence);
    result = file_rename(s->directory, u->name, name);
    if (result < 0)
        return failed(s, "renameat", result);
    memcpy(u->name, name, sizeof name);
    u->state = UPKEEP_NAMING;
    CRASH_POINT(SEGMENT_NAMED);
    return SPOOL_OK;
}

static enum spool_status named(struct spool *s, int result)
{
    struct upkeep *u = &s->upkeep;
    if (result < 0)
        return failed(s, "fsync directory", result);
    CRASH_POINT(SEGMENT_READY);
    s->next = u->next;
    u->fd = -1;
    u->state = UPKEEP_IDLE;
    return SPOOL_OK;
}

/* ---- what goes --------------------------------------------------------------------------- */

/* The oldest segment loses its name. The directory is synced before the next younger one does: it
 * may hold the outcomes of this one's mails. */
static void begin_freeing(struct spool *s)
{
    char name[NAME_SIZE];
    struct upkeep *u = &s->upkeep;
    struct segment *g = &s->segments[0];
    name_segment(name, g->sequence);
    name_spare(u->name, g->sequence);
    int error = segment_open(s, g) ? file_rename(s->directory, name, u->name) : -s->error;
    if (error != 0 && error != -ENOENT) {
        u->pause = PAUSE;
        (void)spool_system_failed(s, "renameat", -error);
        return;
    }
    u->fd = g->fd;
    u->sequence = g->sequence;
    u->suspect = g->suspect;
    u->state = UPKEEP_FREEING;
    CRASH_POINT(SEGMENT_UNNAMED);
    s->segment_count--;
    memmove(s->segments, s->segments + 1, s->segment_count * sizeof *s->segments);
}

static enum spool_status freed(struct spool *s, int result)
{
    struct upkeep *u = &s->upkeep;
    if (result < 0) {
        /* Tried again: no other segment goes before this. */
        u->pause = PAUSE;
        return spool_system_failed(s, "fsync directory", -result);
    }
    CRASH_POINT(SEGMENT_FREED);
    spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_FREED, .segment = u->sequence});
    if (u->fd >= 0 && s->spare < 0 && !u->suspect) {
        s->spare = u->fd;
        memcpy(s->spare_name, u->name, sizeof s->spare_name);
        u->fd = -1;
        u->state = UPKEEP_IDLE;
    } else {
        u->state = UPKEEP_EMPTYING;
    }
    return SPOOL_OK;
}

/* Blocks first, through the ring: to unlink 64 MiB at once keeps a worker from its turn for tens of
 * milliseconds. */
static void begin_removing(struct spool *s)
{
    struct upkeep *u = &s->upkeep;
    name_large(u->name, s->doomed[--s->doomed_count]);
    u->fd = file_open(s->directory, u->name);
    if (u->fd < 0) {
        u->fd = -1;
        drop_file(s);
        return;
    }
    u->state = UPKEEP_EMPTYING;
    CRASH_POINT(FILE_EMPTYING);
}

static enum spool_status emptied(struct spool *s)
{
    drop_file(s); /* whether it could be emptied or not */
    s->upkeep.state = UPKEEP_IDLE;
    CRASH_POINT(FILE_GONE);
    return SPOOL_OK;
}

/* ---- the machine ------------------------------------------------------------------------- */

static enum spool_status step(struct spool *s, int result)
{
    switch (s->upkeep.state) {
    case UPKEEP_RESERVING:
        return reserved(s, result);
    case UPKEEP_HEAD:
        return headed(s, result);
    case UPKEEP_NAMING:
        return named(s, result);
    case UPKEEP_FREEING:
        return freed(s, result);
    case UPKEEP_EMPTYING:
        return emptied(s);
    case UPKEEP_IDLE:
        break;
    }
    BUG_ON(true);
}

static void describe(const struct spool *s, struct spool_upkeep *op)
{
    const struct upkeep *u = &s->upkeep;
    *op = (struct spool_upkeep){.kind = SPOOL_UPKEEP_SYNC, .fd = u->fd, .size = s->segment_size};
    if (u->state == UPKEEP_RESERVING)
        op->kind = SPOOL_UPKEEP_RESERVE;
    else if (u->state == UPKEEP_EMPTYING)
        op->kind = SPOOL_UPKEEP_EMPTY;
    else if (u->state != UPKEEP_HEAD)
        op->fd = s->directory;
    if (u->state == UPKEEP_EMPTYING) {
        int64_t size = file_size(u->fd);
        op->size = size > 0 ? (uint64_t)size : 1;
    }
}

/* The same operation without a ring. */
static int perform(const struct spool *s)
{
    struct spool_upkeep op;
    describe(s, &op);
    switch (op.kind) {
    case SPOOL_UPKEEP_SYNC:
        return file_sync(op.fd);
    case SPOOL_UPKEEP_RESERVE:
        return file_reserve(op.fd, op.size);
    case SPOOL_UPKEEP_EMPTY:
        return file_empty(op.fd, op.size);
    }
    return -EINVAL;
}

/* A freed segment is worth waiting for until a quarter of the current one is used. */
static bool wants_next(const struct spool *s)
{
    if (s->next.fd >= 0 || s->segment_count >= LIMIT_SPOOL_SEGMENTS)
        return false;
    return s->spare >= 0 || !s->appendable || s->segment_count == 0 ||
           s->segments[s->segment_count - 1].end > s->segment_size / 4;
}

static void begin(struct spool *s)
{
    if (wants_next(s))
        (void)begin_next(s);
    else if (s->doomed_count > 0)
        begin_removing(s);
    else if (s->segment_count > 1 && s->segments[0].live == 0)
        begin_freeing(s);
}

bool spool_maintain(struct spool *s, struct spool_upkeep *op)
{
    struct upkeep *u = &s->upkeep;
    if (u->asked || u->ignored || !s->recovered)
        return false;
    if (u->pause > 0) {
        u->pause--;
        return false;
    }
    if (u->state == UPKEEP_IDLE)
        begin(s);
    if (u->state == UPKEEP_IDLE)
        return false;
    describe(s, op);
    u->asked = true;
    return true;
}

void spool_maintained(struct spool *s, int result)
{
    struct upkeep *u = &s->upkeep;
    BUG_ON(!u->asked && !u->ignored);
    if (u->ignored) {
        u->ignored = false;
        if (u->abandoned >= 0)
            file_close(u->abandoned);
        u->abandoned = -1;
        return;
    }
    u->asked = false;
    (void)step(s, result);
}

enum spool_status upkeep_next(struct spool *s)
{
    struct upkeep *u = &s->upkeep;
    u->pause = 0;
    while (s->next.fd < 0) {
        enum spool_status status = SPOOL_OK;
        if (u->state == UPKEEP_IDLE)
            status = begin_next(s);
        if (status != SPOOL_OK)
            return status;
        if (u->asked) {
            u->asked = false;
            u->ignored = true;
        }
        status = step(s, perform(s));
        if (status != SPOOL_OK)
            return status;
    }
    return SPOOL_OK;
}

void upkeep_end(struct spool *s)
{
    struct upkeep *u = &s->upkeep;
    while (s->doomed_count > 0)
        large_remove(s, s->doomed[--s->doomed_count]);
    if (u->state != UPKEEP_IDLE && u->state != UPKEEP_NAMING)
        (void)file_remove(s->directory, u->name);
    if (s->spare >= 0)
        (void)file_remove(s->directory, s->spare_name);
    int fds[] = {u->fd, u->abandoned, s->spare, s->next.fd};
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            file_close(fds[i]);
}
