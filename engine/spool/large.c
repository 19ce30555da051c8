/* Bodies too large for a segment: a file each. */
#include "engine/spool/file.h"
#include "engine/spool/internal.h"
#include <errno.h>

int spool_large_create(struct spool *s, uint64_t queue_id, enum spool_status *status)
{
    char name[NAME_SIZE];
    name_large(name, queue_id);
    int fd = file_create(s->directory, name);
    *status = fd >= 0 ? SPOOL_OK : spool_system_failed(s, "openat", -fd);
    return fd >= 0 ? fd : -1;
}

/* ---- open for reading -------------------------------------------------------------------- */

static void forget(struct large_open *o)
{
    if (o->queue_id != 0)
        file_close(o->fd);
    *o = (struct large_open){0};
}

/* The place of that mail, or of the one that was not read for the longest time. */
static struct large_open *place_of(struct spool *s, uint64_t queue_id)
{
    struct large_open *oldest = &s->open[0];
    for (unsigned i = 0; i < LIMIT_SPOOL_OPEN; i++) {
        if (s->open[i].queue_id == queue_id)
            return &s->open[i];
        if (s->open[i].used < oldest->used)
            oldest = &s->open[i];
    }
    return oldest;
}

static int open_sized(struct spool *s, uint64_t queue_id, uint64_t size)
{
    char name[NAME_SIZE];
    name_large(name, queue_id);
    int fd = file_open(s->directory, name);
    if (fd < 0)
        return fd;
    if (file_size(fd) == (int64_t)size)
        return fd;
    file_close(fd);
    return -EIO;
}

int large_check(struct spool *s, uint64_t queue_id, uint64_t size)
{
    int fd = open_sized(s, queue_id, size);
    if (fd >= 0)
        file_close(fd);
    return fd < 0 ? fd : 0;
}

int large_read(struct spool *s, const struct spool_ref *ref, uint64_t offset, void *buffer,
               size_t n)
{
    struct large_open *o = place_of(s, ref->queue_id);
    if (o->queue_id != ref->queue_id) {
        int fd = open_sized(s, ref->queue_id, ref->body_size);
        if (fd < 0)
            return fd;
        forget(o);
        *o = (struct large_open){.queue_id = ref->queue_id, .fd = fd};
    }
    o->used = ++s->reads;
    return read_exactly(o->fd, buffer, n, offset);
}

/* ---- going ------------------------------------------------------------------------------- */

void large_remove(struct spool *s, uint64_t queue_id)
{
    char name[NAME_SIZE];
    name_large(name, queue_id);
    int error = file_remove(s->directory, name);
    if (error < 0 && error != -ENOENT)
        (void)spool_system_failed(s, "unlinkat", -error);
}

void large_doom(struct spool *s, uint64_t queue_id)
{
    struct large_open *o = place_of(s, queue_id);
    if (o->queue_id == queue_id)
        forget(o);
    if (s->doomed_count < LIMIT_SPOOL_DOOMED)
        s->doomed[s->doomed_count++] = queue_id;
    else
        large_remove(s, queue_id);
}

void spool_large_discard(struct spool *s, uint64_t queue_id)
{
    large_doom(s, queue_id);
}
