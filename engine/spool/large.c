/* Bodies too large for a segment: a file each. */
#include "engine/spool/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int spool_large_create(struct spool *s, uint64_t queue_id, enum spool_status *status)
{
    char name[NAME_SIZE];
    name_large(name, queue_id);
    int fd = openat(s->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    *status = fd >= 0 ? SPOOL_OK : spool_system_failed(s, "openat", errno);
    return fd;
}

void large_remove(struct spool *s, uint64_t queue_id)
{
    char name[NAME_SIZE];
    name_large(name, queue_id);
    if (unlinkat(s->directory, name, 0) != 0 && errno != ENOENT)
        (void)spool_system_failed(s, "unlinkat", errno);
}

void spool_large_discard(struct spool *s, uint64_t queue_id)
{
    large_remove(s, queue_id);
}

int large_open(struct spool *s, uint64_t queue_id, uint64_t size)
{
    char name[NAME_SIZE];
    struct stat st;
    name_large(name, queue_id);
    int fd = openat(s->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
        return fd;
    (void)close(fd);
    return -EIO;
}
