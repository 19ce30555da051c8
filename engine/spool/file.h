/*
 * file: every system call of the spool. Names are relative to the shard's directory. What fails
 * returns -errno. Tests link a simulated disk in the place of file.c, which loses what was not
 * synced.
 */
#ifndef MGID_SPOOL_FILE_H
#define MGID_SPOOL_FILE_H

#include "span.h"
#include <sys/types.h>

/* A descriptor for reading and writing. file_create: of a file that was not there. */
int file_open(int directory, const char *name);
int file_create(int directory, const char *name);

/* The lock file, made when it is missing: a descriptor that holds the lock, -EWOULDBLOCK when
 * another process has it. */
int file_lock(int directory, const char *name);

void file_close(int fd);

/* Bytes of a regular file; -EINVAL for what is none. */
int64_t file_size(int fd);

/* As pread and pwrite. */
ssize_t file_read(int fd, void *buffer, size_t n, uint64_t offset);
ssize_t file_write(int fd, struct span bytes, uint64_t offset);

/* A file with its size, or a directory with its names. */
int file_sync(int fd);

/* Gives the file that size and all of its blocks. -EOPNOTSUPP where that can't be. */
int file_reserve(int fd, uint64_t size);

/* Gives the file's blocks back. -EOPNOTSUPP where that can't be. */
int file_empty(int fd, uint64_t size);

int file_truncate(int fd, uint64_t size);
int file_rename(int directory, const char *from, const char *to);
int file_remove(int directory, const char *name);

/* Calls each() for every name until it returns false; 0 then too. */
int file_list(int directory, bool (*each)(void *context, const char *name), void *context);

/* What the file system has left for us; inodes is UINT64_MAX where it does not count them. */
int file_space(int directory, uint64_t *bytes, uint64_t *inodes);

#endif
