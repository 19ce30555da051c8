/* Segment files: finding, opening, making the next one. */
#include "engine/spool/internal.h"
#include "status.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

/* A segment that is left gives back what it does not use, from this many bytes on. */
#define SLACK (1u << 20)

void name_segment(char name[NAME_SIZE], uint64_t sequence)
{
    (void)snprintf(name, NAME_SIZE, "segment-%016" PRIx64 ".log", sequence);
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
    g->fd = openat(s->directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (g->fd < 0)
        s->error = errno;
    return g->fd >= 0;
}

void segment_release(struct spool *s, struct spool_ref *ref)
{
    struct segment *g = segment_find(s, ref->segment);
    BUG_ON(!g || g->live == 0 || s->live == 0);
    g->live--;
    s->live--;
    ref->segment = 0;
}

int read_exactly(int fd, void *buffer, size_t n, uint64_t offset)
{
    unsigned char *p = buffer;
    while (n > 0) {
        ssize_t got = pread(fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return -EIO;
        p += got;
        n -= (size_t)got;
        offset += (size_t)got;
    }
    return 0;
}

/* Room for all of the segment, had before it is promised. Where the file system can't, a full disk
 * shows when a batch is written, which then fails as a whole. */
static int reserve(int fd)
{
    if (fallocate(fd, 0, 0, LIMIT_SEGMENT) == 0)
        return 0;
    return errno == EOPNOTSUPP ? ftruncate(fd, LIMIT_SEGMENT) : -1;
}

/* Returns the call that failed, with errno; NULL when the segment is on disk, name and all. */
static const char *fill(struct spool *s, int fd, const struct segment_head *head)
{
    unsigned char bytes[SEGMENT_BEGIN];
    head_write(bytes, head);
    if (reserve(fd) != 0)
        return "fallocate";
    ssize_t n = pwrite(fd, bytes, sizeof bytes, 0);
    if (n != (ssize_t)sizeof bytes) {
        if (n >= 0)
            errno = ENOSPC;
        return "pwrite";
    }
    if (fsync(fd) != 0)
        return "fsync";
    if (fsync(s->directory) != 0)
        return "fsync directory";
    return NULL;
}

static enum spool_status make(struct spool *s, const struct segment_head *head, int *fd)
{
    char name[NAME_SIZE];
    name_segment(name, head->segment);
    *fd = openat(s->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return spool_system_failed(s, "openat", errno);
    const char *call = fill(s, *fd, head);
    if (!call)
        return SPOOL_OK;
    int error = errno;
    (void)close(*fd);
    (void)unlinkat(s->directory, name, 0);
    return spool_system_failed(s, call, error);
}

/* The records of the segment that is left must be on disk before its end is written down in the
 * next one's head. Only deliveries and deferrals can be missing; when they are lost, they are. */
static void settle(struct spool *s, struct segment *g)
{
    if (g->synced == g->end)
        return;
    if (!segment_open(s, g) || fdatasync(g->fd) != 0) {
        (void)spool_system_failed(s, "fdatasync", errno);
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
    if (last)
        settle(s, last);
    struct segment_head head = {.segment = s->last_sequence + 1,
                                .previous_end = last ? last->end : 0,
                                .last_queue_id = s->last_queue_id};
    if (getrandom(&head.seal, sizeof head.seal, 0) != (ssize_t)sizeof head.seal)
        return spool_system_failed(s, "getrandom", errno);
    int fd;
    enum spool_status status = make(s, &head, &fd);
    if (status != SPOOL_OK)
        return status;
    if (last && LIMIT_SEGMENT - last->end >= SLACK && segment_open(s, last) &&
        ftruncate(last->fd, last->end) != 0)
        (void)spool_system_failed(s, "ftruncate", errno);
    BUG_ON(!s->segments);
    s->segments[s->segment_count++] = (struct segment){.sequence = head.segment,
                                                       .seal = head.seal,
                                                       .end = SEGMENT_BEGIN,
                                                       .synced = SEGMENT_BEGIN,
                                                       .fd = fd};
    s->last_sequence = head.segment;
    s->appendable = true;
    s->freeing_failed = false;
    return SPOOL_OK;
}
