/*
 * faultfs: a file system that passes everything on to a directory, until it is told to fail. A real
 * one, below the page cache and io_uring: what mgid sees of it is what it sees of a failing disk.
 *
 *     faultfs DIRECTORY FAULTS MOUNTPOINT      runs until it is unmounted (or SIGTERM)
 *
 * FAULTS is a file of words OPERATION=ERRNO, read before each operation: write, sync (fsync of a
 * file), syncdir, create, rename, unlink, read, reserve; all=ERRNO for all that change something.
 * free=BYTES and inodes=N are what statfs says instead of the truth. Missing or empty: no faults.
 */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *faults;
static int root;

/* The value of the word; -1: it is not there. */
static long long value(const char *word)
{
    char text[512];
    size_t n = strlen(word);
    int fd = open(faults, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        (void)close(fd);
    text[got > 0 ? got : 0] = '\0';
    for (char *rest = text, *w; (w = strtok_r(rest, " \n", &rest)) != NULL;)
        if (strncmp(w, word, n) == 0 && w[n] == '=')
            return atoll(w + n + 1);
    return -1;
}

/* 0, or the -errno with which the operation is to fail. */
static int fault(const char *operation)
{
    long long error = value(operation);
    if (error <= 0 && strcmp(operation, "read") != 0)
        error = value("all");
    return error > 0 ? (int)-error : 0;
}

static int done(int result)
{
    return result < 0 ? -errno : 0;
}

static const char *below(const char *path)
{
    return path[1] == '\0' ? "." : path + 1;
}

static int fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    return done(fi ? fstat((int)fi->fh, st) : fstatat(root, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int fs_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    (void)offset;
    (void)fi;
    (void)flags;
    int fd = openat(root, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d)
        return -errno;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        (void)fill(buffer, e->d_name, NULL, 0, (enum fuse_fill_dir_flags)0);
    (void)closedir(d);
    return 0;
}

static int fs_open(const char *path, struct fuse_file_info *fi)
{
    int fd = openat(root, below(path), (fi->flags & ~O_APPEND) | O_CLOEXEC);
    fi->fh = (uint64_t)fd;
    return done(fd);
}

static int fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    int error = fault("create");
    if (error != 0)
        return error;
    int fd = openat(root, below(path), fi->flags | O_CREAT | O_CLOEXEC, mode);
    fi->fh = (uint64_t)fd;
    if (fd < 0)
        return -errno;
    return done(fchown(fd, fuse_get_context()->uid, fuse_get_context()->gid));
}

static int fs_read(const char *path, char *buffer, size_t n, off_t offset,
                   struct fuse_file_info *fi)
{
    (void)path;
    int error = fault("read");
    if (error != 0)
        return error;
    ssize_t got = pread((int)fi->fh, buffer, n, offset);
    return got < 0 ? -errno : (int)got;
}

static int fs_write(const char *path, const char *bytes, size_t n, off_t offset,
                    struct fuse_file_info *fi)
{
    (void)path;
    int error = fault("write");
    if (error != 0)
        return error;
    ssize_t put = pwrite((int)fi->fh, bytes, n, offset);
    return put < 0 ? -errno : (int)put;
}

static int fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
    (void)path;
    int error = fault("sync");
    return error != 0 ? error : done(data_only ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

static int fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi)
{
    (void)path;
    (void)data_only;
    (void)fi;
    int error = fault("syncdir");
    return error != 0 ? error : done(fsync(root));
}

static int fs_fallocate(const char *path, int mode, off_t offset, off_t length,
                        struct fuse_file_info *fi)
{
    (void)path;
    int error = mode == 0 ? fault("reserve") : 0;
    return error != 0 ? error : done(fallocate((int)fi->fh, mode, offset, length));
}

static int fs_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    return done(close((int)fi->fh));
}

static int fs_unlink(const char *path)
{
    int error = fault("unlink");
    return error != 0 ? error : done(unlinkat(root, below(path), 0));
}

static int fs_rename(const char *from, const char *to, unsigned flags)
{
    int error = fault("rename");
    return error != 0 ? error : done(renameat2(root, below(from), root, below(to), flags));
}

static int fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    int error = fault("write");
    if (error != 0)
        return error;
    if (fi)
        return done(ftruncate((int)fi->fh, size));
    int fd = openat(root, below(path), O_WRONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : ftruncate(fd, size);
    error = done(result);
    if (fd >= 0)
        (void)close(fd);
    return error;
}

static int fs_mkdir(const char *path, mode_t mode)
{
    return done(mkdirat(root, below(path), mode));
}

static int fs_rmdir(const char *path)
{
    return done(unlinkat(root, below(path), AT_REMOVEDIR));
}

static int fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    (void)fi;
    return done(fchmodat(root, below(path), mode, 0));
}

static int fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
    (void)fi;
    return done(fchownat(root, below(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int fs_statfs(const char *path, struct statvfs *st)
{
    (void)path;
    if (fstatvfs(root, st) != 0)
        return -errno;
    long long bytes = value("free"), inodes = value("inodes");
    if (bytes >= 0)
        st->f_bavail = st->f_bfree = (fsblkcnt_t)((unsigned long long)bytes / st->f_frsize);
    if (inodes >= 0)
        st->f_favail = st->f_ffree = (fsfilcnt_t)inodes;
    return 0;
}

static const struct fuse_operations operations = {
    .getattr = fs_getattr,
    .readdir = fs_readdir,
    .open = fs_open,
    .create = fs_create,
    .read = fs_read,
    .write = fs_write,
    .fsync = fs_fsync,
    .fsyncdir = fs_fsyncdir,
    .fallocate = fs_fallocate,
    .release = fs_release,
    .unlink = fs_unlink,
    .rename = fs_rename,
    .truncate = fs_truncate,
    .mkdir = fs_mkdir,
    .rmdir = fs_rmdir,
    .chmod = fs_chmod,
    .chown = fs_chown,
    .statfs = fs_statfs,
};

int main(int argc, char **argv)
{
    static char options[] =
        "allow_other,default_permissions,auto_cache,attr_timeout=0,entry_timeout=0";
    char foreground[] = "-f", option[] = "-o";
    if (argc != 4) {
        fprintf(stderr, "usage: faultfs DIRECTORY FAULTS MOUNTPOINT\n");
        return 64;
    }
    faults = argv[2];
    root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        perror(argv[1]);
        return 66;
    }
    char *arguments[] = {argv[0], foreground, option, options, argv[3], NULL};
    return fuse_main(5, arguments, &operations, NULL);
}
