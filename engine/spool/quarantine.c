/* Setting aside what recovery can't use, so that a person may look at it: nothing that might be a
 * mail is thrown away. */
#include "engine/spool/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define NAME_QUARANTINE "quarantine-"

static bool write_all(int fd, struct span bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = span_from(bytes, (size_t)n);
    }
    return fsync(fd) == 0;
}

void quarantine_bytes(struct spool *s, uint64_t sequence, uint32_t offset, struct span bytes)
{
    char name[NAME_SIZE];
    if (s->quarantined >= LIMIT_SPOOL_QUARANTINE)
        return;
    (void)snprintf(name, sizeof name, NAME_QUARANTINE "%016" PRIx64 "-%08" PRIx32, sequence,
                   offset);
    int fd = openat(s->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        if (errno != EEXIST)
            (void)spool_system_failed(s, "openat", errno);
        return;
    }
    if (write_all(fd, bytes)) {
        s->quarantined++;
    } else {
        (void)spool_system_failed(s, "write", errno);
        (void)unlinkat(s->directory, name, 0);
    }
    (void)close(fd);
}

bool quarantine_file(struct spool *s, const char *name)
{
    char aside[NAME_SIZE];
    if (s->quarantined >= LIMIT_SPOOL_QUARANTINE)
        return false;
    (void)snprintf(aside, sizeof aside, NAME_QUARANTINE "%.48s", name);
    if (renameat(s->directory, name, s->directory, aside) != 0) {
        (void)spool_system_failed(s, "renameat", errno);
        return false;
    }
    s->quarantined++;
    return true;
}
