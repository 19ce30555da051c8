/*
 * A disk in memory in the place of engine/spool/file.c: it knows what is only in the cache and what
 * was synced, and what may be on it after the power failed at any moment.
 *
 * Every write, change of size and change of a name is an operation; a sync of a file makes the
 * operations on it stable, a sync of the directory those on names. disk_crash loses operations that
 * were not stable: any subset, writes torn at sectors, in any combination over files and names.
 */
#ifndef MGID_TEST_SPOOL_DISK_H
#define MGID_TEST_SPOOL_DISK_H

#include "engine/spool/spool.h"

#define DISK_DIRECTORY 3 /* the descriptor of the shard's directory */

struct disk;

/* An empty disk, in use from now on: file_* act on it. */
struct disk *disk_new(void);
void disk_free(struct disk *d);

/* The disk that file_* act on. */
void disk_use(struct disk *d);
struct disk *disk_used(void);

/* Called before each operation that changes anything, with its count, and before each sync. NULL:
 * not. */
void disk_watch(struct disk *d, void (*each)(void *context), void *context);

/* What can be left when the power fails now. */
enum disk_loss {
    DISK_KEEPS_ALL,   /* the process ends, the cache does not */
    DISK_KEEPS_NONE,  /* of what was not synced */
    DISK_KEEPS_NAMES, /* all names, no content */
    DISK_KEEPS_CONTENT,
    DISK_KEEPS_SOME, /* by the seed: each operation or not, writes in pieces of 512 bytes */
};

/* A new disk with that; nothing is open on it, all is stable. */
struct disk *disk_crash(const struct disk *d, enum disk_loss loss, uint64_t seed);

/* The next `count` syncs (or writes) after `after` more of them fail with -EIO; what they should
 * have made stable is in doubt: it may be lost though it can still be read. */
void disk_fail_syncs(struct disk *d, unsigned after, unsigned count);
/* Bytes that may still be taken; then writes and reservations give -ENOSPC. */
void disk_set_room(struct disk *d, uint64_t bytes);

/* Closes what the process had open, as its end does. */
void disk_close_all(struct disk *d);

/* Operations so far. */
uint64_t disk_operations(const struct disk *d);

/* What the ring would do by a plan, in pieces of which a crash can fall between any two. */
ssize_t disk_write(const struct spool_io *io);

#endif
