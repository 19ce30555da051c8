/* Segment files: finding, opening, going over to the next one. */
#include "engine/spool/file.h"
#include "crash_point.h"
#include "engine/spool/internal.h"
#include "status.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* A segment that is left gives back what it does not use, from this many bytes on. */
#define SLACK (1u << 20)

void name_segment(char name[NAME_SIZE], uint64_t sequence)
{
    (void)snprintf(name, NAME_SIZE, "segment-%016" PRIx64 ".log", sequence);
}

void name_spare(char name[NAME_SIZE], uint64_t sequence)
{
    (void)snprintf(name, NAME_SIZE, "spare-%016" PRIx64, sequence);
}

void name_large(char name[NAME_SIZE], uint64_t queue_id)
{
    (void)snprintf(name, NAME_SIZE, "large-%016" PRIx64, queue_id);
}

void spool_tell(struct spool *s, struct spool_event event)
{
    if (!event.name.p)
        event.name = SPAN_EMPTY;
    if (s->config.event)
        s->config.event(s->config.context, &event);
}

enum spool_status spool_system_failed(struct spool *s, const char *call, int error)
{
    s->error = error;
    spool_tell(s, (struct spool_event){
                      .kind = SPOOL_EVENT_SYSTEM, .name = span_str(call), .error = error});
    return error == ENOSPC || error == EDQUOT ? SPOOL_FULL : SPOOL_FAILED;
}

struct segment *segment_find(struct spool *s, uint64_t sequence)
{
    unsigned low = 0, high = s->segment_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (s->segments[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->segment_count && s->segments[low].sequence == sequence ? &s->segments[low]
                                                                           : NULL;
}

struct segment *segment_last(struct spool *s)
{
    return s->segment_count > 0 ? &s->segments[s->segment_count - 1] : NULL;
}

bool segment_open(struct spool *s, struct segment *g)
{
    char name[NAME_SIZE];
    if (g->fd >= 0)
        return true;
    name_segment(name, g->sequence);
    int fd = file_open(s->directory, name);
    if (fd < 0)
        s->error = -fd;
    else
        g->fd = fd;
    return fd >= 0;
}

void segment_release(struct spool *s, struct spool_ref *ref)
{
    struct segment *g = segment_find(s, ref->segment);
    BUG_ON(!g || g->live == 0 || s->live == 0);
    g->live--;
    s->live--;
    s->live_bytes -= ref->length;
    ref->segment = 0;
}

int read_exactly(int fd, void *buffer, size_t n, uint64_t offset)
{
    unsigned char *p = buffer;
    while (n > 0) {
        ssize_t got = file_read(fd, p, n, offset);
        if (got <= 0)
            return got < 0 ? (int)got : -EIO;
        p += got;
        n -= (size_t)got;
        offset += (size_t)got;
    }
    return 0;
}

int write_exactly(int fd, struct span bytes, uint64_t offset)
{
    ssize_t put = file_write(fd, bytes, offset);
    if (put < 0)
        return (int)put;
    return (size_t)put == bytes.n ? 0 : -ENOSPC;
}

/* The records of the segment that is left must be on disk before its end is written down in the
 * next one's opening. Only deliveries and deferrals can be missing; when they are lost, they are.
 */
static void settle(struct spool *s, struct segment *g)
{
    if (g->synced == g->end)
        return;
    int error = segment_open(s, g) ? file_sync(g->fd) : -s->error;
    if (error < 0) {
        (void)spool_system_failed(s, "fsync", -error);
        g->end = g->synced;
        return;
    }
    g->synced = g->end;
}

enum spool_status segment_roll(struct spool *s)
{
    struct segment *last = segment_last(s);
    if (s->segment_count == LIMIT_SPOOL_SEGMENTS) {
        s->error = ENOSPC;
        return SPOOL_FULL;
    }
    enum spool_status status = upkeep_next(s);
    if (status != SPOOL_OK)
        return status;
    if (last)
        settle(s, last);
    if (last && s->segment_size - last->end >= SLACK && segment_open(s, last)) {
        int error = file_truncate(last->fd, last->end);
        if (error < 0)
            (void)spool_system_failed(s, "ftruncate", -error);
    }
    struct segment_opening opening = {.previous_end = last ? last->end : 0,
                                      .previous_whole = last && last->whole,
                                      .last_queue_id = s->last_queue_id};
    BUG_ON(!s->segments);
    s->segments[s->segment_count++] = s->next;
    s->last_sequence = s->next.sequence;
    opening_write(s->opening, &opening, s->next.seal);
    s->next.fd = -1;
    s->appendable = true;
    s->unopened = true;
    CRASH_POINT(ROLLED);
    return SPOOL_OK;
}

void segment_unroll(struct spool *s)
{
    struct segment *g = segment_last(s);
    BUG_ON(!s->unopened || g->live > 0);
    file_close(g->fd);
    s->segment_count--;
    s->last_sequence--;
    s->appendable = false;
    s->unopened = false;
}

enum spool_status segment_settle_opening(struct spool *s)
{
    struct segment *g = segment_last(s);
    int error = write_exactly(g->fd, span_of(s->opening, sizeof s->opening), SEGMENT_HEAD);
    if (error == 0)
        error = file_sync(g->fd);
    if (error < 0) {
        segment_unroll(s);
        return spool_system_failed(s, "opening", -error);
    }
    s->unopened = false;
    CRASH_POINT(OPENING_WRITTEN);
    return SPOOL_OK;
}
