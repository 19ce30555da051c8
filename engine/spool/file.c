/* The spool's system calls. */
#include "engine/spool/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Not through links, and not waiting for the other end of what should be no pipe. */
#define FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)

static int result(int returned)
{
    return returned < 0 ? -errno : returned;
}

int file_open(int directory, const char *name)
{
    return result(openat(directory, name, FLAGS));
}

int file_create(int directory, const char *name)
{
    return result(openat(directory, name, FLAGS | O_CREAT | O_EXCL, 0600));
}

int file_lock(int directory, const char *name)
{
    int fd = openat(directory, name, FLAGS | O_CREAT, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return result(fd);
    int error = -errno;
    (void)close(fd);
    return error;
}

void file_close(int fd)
{
    (void)close(fd);
}

int64_t file_size(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -errno;
    return S_ISREG(st.st_mode) ? st.st_size : -EINVAL;
}

ssize_t file_read(int fd, void *buffer, size_t n, uint64_t offset)
{
    ssize_t got;
    do
        got = pread(fd, buffer, n, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

ssize_t file_write(int fd, struct span bytes, uint64_t offset)
{
    ssize_t put;
    do
        put = pwrite(fd, bytes.p, bytes.n, (off_t)offset);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

int file_sync(int fd)
{
    return result(fsync(fd));
}

int file_reserve(int fd, uint64_t size)
{
    return result(fallocate(fd, 0, 0, (off_t)size));
}

int file_empty(int fd, uint64_t size)
{
    return result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size));
}

int file_truncate(int fd, uint64_t size)
{
    return result(ftruncate(fd, (off_t)size));
}

int file_rename(int directory, const char *from, const char *to)
{
    return result(renameat(directory, from, directory, to));
}

int file_remove(int directory, const char *name)
{
    return result(unlinkat(directory, name, 0));
}

int file_list(int directory, bool (*each)(void *context, const char *name), void *context)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *d = fdopendir(fd);
    if (!d) {
        int error = -errno;
        (void)close(fd);
        return error;
    }
    struct dirent *e;
    int error = 0;
    do {
        errno = 0;
        e = readdir(d);
        error = -errno;
    } while (e && each(context, e->d_name));
    (void)closedir(d);
    return e ? 0 : error;
}

int file_space(int directory, uint64_t *bytes, uint64_t *inodes)
{
    struct statfs f;
    if (fstatfs(directory, &f) != 0)
        return -errno;
    *bytes = (uint64_t)f.f_bavail * (uint64_t)f.f_bsize;
    *inodes = f.f_files == 0 ? UINT64_MAX : f.f_ffree;
    return 0;
}
