/* Setting aside what can't be used, so that a person may look at it: nothing that might be a mail
 * is thrown away. */
#include "engine/spool/file.h"
#include "engine/spool/internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define NAME_QUARANTINE "quarantine-"
#define PIECE 4096u

/* Of what can't be read, or lies behind the end, zero bytes. */
static struct span read_piece(int fd, unsigned char out[PIECE], uint64_t offset, size_t length)
{
    size_t n = length < PIECE ? length : PIECE;
    memset(out, 0, n);
    if (read_exactly(fd, out, n, offset) == -EIO)
        (void)file_read(fd, out, n, offset);
    return span_of(out, n);
}

/* Bytes up to the last that is not zero. */
static size_t used(int fd, uint64_t offset, size_t length)
{
    unsigned char bytes[PIECE];
    size_t last = 0;
    for (size_t at = 0; at < length; at += PIECE) {
        struct span piece = read_piece(fd, bytes, offset + at, length - at);
        for (size_t i = piece.n; i > 0 && last < at + i; i--)
            if (piece.p[i - 1] != 0)
                last = at + i;
    }
    return last;
}

static int copy(int from, uint64_t offset, size_t length, int to)
{
    unsigned char bytes[PIECE];
    for (size_t at = 0; at < length; at += PIECE) {
        int error = write_exactly(to, read_piece(from, bytes, offset + at, length - at), at);
        if (error < 0)
            return error;
    }
    return file_sync(to);
}

void quarantine_piece(struct spool *s, const struct segment *g, uint32_t offset, size_t length)
{
    char name[NAME_SIZE];
    if (s->quarantined >= LIMIT_SPOOL_QUARANTINE || g->fd < 0)
        return;
    length = used(g->fd, offset, length);
    if (length == 0)
        return;
    (void)snprintf(name, sizeof name, NAME_QUARANTINE "%016" PRIx64 "-%08" PRIx32, g->sequence,
                   offset);
    int fd = file_create(s->directory, name);
    if (fd < 0) {
        if (fd != -EEXIST)
            (void)spool_system_failed(s, "openat", -fd);
        return;
    }
    int error = copy(g->fd, offset, length, fd);
    file_close(fd);
    if (error == 0) {
        s->quarantined++;
        return;
    }
    (void)spool_system_failed(s, "write", -error);
    (void)file_remove(s->directory, name);
}

bool quarantine_file(struct spool *s, const char *name)
{
    char aside[NAME_SIZE];
    if (s->quarantined >= LIMIT_SPOOL_QUARANTINE)
        return false;
    (void)snprintf(aside, sizeof aside, NAME_QUARANTINE "%.48s", name);
    int error = file_rename(s->directory, name, aside);
    if (error < 0) {
        (void)spool_system_failed(s, "renameat", -error);
        return false;
    }
    s->quarantined++;
    return true;
}
