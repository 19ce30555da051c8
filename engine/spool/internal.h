/* internal: what the spool has, and the effects that its parts share. */
#ifndef MGID_SPOOL_INTERNAL_H
#define MGID_SPOOL_INTERNAL_H

#include "engine/spool/batch.h"
#include "engine/spool/spool.h"

struct segment {
    uint64_t sequence;
    uint64_t seal;
    uint32_t end;    /* of the records that count */
    uint32_t synced; /* up to where they are known to be on stable storage */
    uint64_t live;   /* mails with recipients left */
    int fd;          /* -1: not open */
};

struct spool {
    int directory; /* the caller's */
    int lock;
    struct spool_config config;
    int error;
    uint64_t last_queue_id;

    struct segment *segments; /* LIMIT_SPOOL_SEGMENTS; oldest first */
    unsigned segment_count;
    uint64_t last_sequence; /* the highest ever seen */
    bool recovered;
    bool appendable;     /* the last segment may be appended to */
    bool freeing_failed; /* not tried again before the next segment is made */
    uint64_t live;

    struct batch batches[2];
    struct batch *gathering;
    struct batch *flying; /* NULL: none */

    unsigned char *loaded; /* RECORD_MAX */
    struct spool_recipient *loaded_recipients;
    struct iovec loaded_body;

    unsigned quarantined; /* files set aside that are there */
};

/* ---- names ------------------------------------------------------------------------------- */
#define NAME_LOCK "lock"
#define NAME_SIZE 64 /* every name of the spool's, with its NUL */

void name_segment(char name[NAME_SIZE], uint64_t sequence);
void name_large(char name[NAME_SIZE], uint64_t queue_id);

/* ---- segment.c --------------------------------------------------------------------------- */

/* Calls config.event, when there is one. */
void spool_tell(struct spool *s, struct spool_event event);
/* An event SYSTEM with errno, which s->error gets too. Returns the status that errno means. */
enum spool_status spool_system_failed(struct spool *s, const char *call, int error);

/* NULL when there is none of that sequence number. */
struct segment *segment_find(struct spool *s, uint64_t sequence);
/* The last one, or NULL. */
struct segment *segment_last(struct spool *s);
/* Opens it when it is not. False: s->error. */
bool segment_open(struct spool *s, struct segment *g);
/* Makes the next segment and leaves the one before. On failure nothing has changed. */
enum spool_status segment_roll(struct spool *s);
/* Takes the mail out of its segment's count and makes ref void. */
void segment_release(struct spool *s, struct spool_ref *ref);

/* Reads n bytes; a shorter file gives -EIO. 0 or -errno. */
int read_exactly(int fd, void *buffer, size_t n, uint64_t offset);

/* ---- load.c ------------------------------------------------------------------------------ */

/* Reads and verifies the record into s->loaded; leaves the body pieces out. */
enum spool_status load_record(struct spool *s, const struct spool_ref *ref, struct spool_mail *mail,
                              struct record *record);

/* ---- large.c ----------------------------------------------------------------------------- */

/* The file of a finished mail goes. */
void large_remove(struct spool *s, uint64_t queue_id);
/* A descriptor for reading, or -errno; -EIO also when it has not the size. */
int large_open(struct spool *s, uint64_t queue_id, uint64_t size);

/* ---- quarantine.c ------------------------------------------------------------------------ */

/* Writes the bytes to quarantine-<sequence>-<offset>, unless it is there, or there are too many. */
void quarantine_bytes(struct spool *s, uint64_t sequence, uint32_t offset, struct span bytes);
/* Renames the file to quarantine-<name>. False when it stays. */
bool quarantine_file(struct spool *s, const char *name);

/* ---- directory.c ------------------------------------------------------------------------- */

/* What is in the shard's directory; both lists ascending. */
struct listing {
    uint64_t *segments;
    size_t segment_count;
    uint64_t *large;
    size_t large_count;
    uint64_t highest; /* sequence number, of segments and of what was set aside */
};

enum spool_status listing_read(struct spool *s, struct listing *l);
void listing_free(struct listing *l);

#endif
