/* A shard in a directory of its own; the test plays the ring: it writes and syncs by the plan. */
#ifndef MGID_TEST_SPOOL_RIG_H
#define MGID_TEST_SPOOL_RIG_H

#include "engine/spool/record.h"
#include "engine/spool/spool.h"

#define RIG_MAILS 64
#define RIG_RECIPIENTS 4
#define RIG_ALL INT32_MAX /* a write result: all of it */

struct rig_found {
    struct spool_ref ref;
    struct spool_mail mail; /* spans and arrays are void */
    bool body_missing;
    char sender[64];
    char address[RIG_RECIPIENTS][64];
    char original[RIG_RECIPIENTS][64];
    struct spool_recipient_state states[RIG_RECIPIENTS]; /* reason is void */
    char reason[RIG_RECIPIENTS][LIMIT_REASON + 1];
};

struct rig {
    char path[64];
    int directory;
    struct spool *s;
    struct rig_found found[RIG_MAILS]; /* by the last recovery */
    unsigned found_count;
    unsigned events[SPOOL_EVENT_COUNT];
    struct spool_event last[SPOOL_EVENT_COUNT];
};

void rig_start(struct rig *r);
/* Removes all. */
void rig_end(struct rig *r);

/* Opens and recovers: r->s; found and events are those of this recovery. */
void rig_open(struct rig *r);
void rig_close(struct rig *r);
void rig_reopen(struct rig *r);

/* A mail of `recipients` recipients rcpt0@example.ch …; the body must live until the commit. */
void rig_append(struct rig *r, struct spool_ref *ref, unsigned recipients, struct span body);

/* The write and the sync of a plan; returns what the ring would. */
ssize_t rig_write(const struct spool_io *io);
/* Start, write, sync, finish: must succeed. */
void rig_commit(struct rig *r);
/* The same with the results that are given instead. */
enum spool_status rig_commit_as(struct rig *r, ssize_t written, int synced);

/* Upkeep until there is nothing left to do. */
void rig_maintain(struct rig *r);

/* Does the file exist? */
bool rig_exists(const struct rig *r, const char *name);
void rig_segment_name(uint64_t sequence, char name[64]);
/* A whole file, at most `capacity` bytes; its length. */
size_t rig_read_file(const struct rig *r, const char *name, void *out, size_t capacity);
void rig_write_file(const struct rig *r, const char *name, const void *bytes, size_t n);
/* Files whose name begins so. */
unsigned rig_count(const struct rig *r, const char *prefix);
/* Removes those. */
void rig_remove(const struct rig *r, const char *prefix);

const struct rig_found *rig_find(const struct rig *r, uint64_t queue_id);

#endif
