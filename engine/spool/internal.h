/* internal: what the spool has, and the effects that its parts share. */
#ifndef MGID_SPOOL_INTERNAL_H
#define MGID_SPOOL_INTERNAL_H

#include "engine/spool/batch.h"
#include "engine/spool/spool.h"

/* ---- names ------------------------------------------------------------------------------- */
#define NAME_LOCK "lock"
#define NAME_SIZE 64 /* every name of the spool's, with its NUL */

struct segment {
    uint64_t sequence;
    uint64_t seal;
    uint32_t end;    /* of the records that count */
    uint32_t synced; /* up to where they are known to be on stable storage */
    uint64_t live;   /* mails with recipients left */
    int fd;          /* -1: not open */
    bool whole;      /* no damage before its end */
    bool suspect;    /* a write or sync failed: its file is not used again */
};

/* The one piece of upkeep that is under way (upkeep.c). */
enum upkeep_state {
    UPKEEP_IDLE,
    UPKEEP_FREEING,   /* a segment has lost its name: the directory is being synced */
    UPKEEP_EMPTYING,  /* a file that nobody needs gives its blocks back, then goes */
    UPKEEP_RESERVING, /* the next segment's file gets its blocks */
    UPKEEP_HEAD,      /* its head is being synced */
    UPKEEP_NAMING,    /* it has its name: the directory is being synced */
};

struct upkeep {
    enum upkeep_state state;
    bool asked;    /* the caller carries out the operation of the state … */
    bool ignored;  /* … which was done at once meanwhile: its result says nothing */
    int fd;        /* of the file; -1: none */
    int abandoned; /* a descriptor to be closed when the ignored operation has ended; -1: none */
    char name[NAME_SIZE];
    uint64_t sequence;   /* of the segment that goes or comes */
    bool blank;          /* the file had no life before */
    bool suspect;        /* it is not to have another one */
    struct segment next; /* that comes */
    unsigned pause;      /* turns until what failed is tried again */
};

/* Large files kept open for reading. */
struct large_open {
    uint64_t queue_id; /* 0: none */
    uint64_t used;     /* when, in calls */
    int fd;
};

struct spool {
    int directory; /* the caller's */
    int lock;
    struct spool_config config;
    uint32_t segment_size;
    int error;
    uint64_t last_queue_id;

    struct segment *segments; /* LIMIT_SPOOL_SEGMENTS; oldest first; all have been opened */
    unsigned segment_count;
    uint64_t last_sequence; /* the highest ever opened */
    bool recovered;
    bool appendable; /* the last segment may be appended to */
    bool unopened;   /* its opening is still to be written, with the first batch */
    uint64_t live;
    uint64_t live_bytes; /* of their records */

    struct segment next; /* made, named, never written to; fd -1: none */
    int spare;           /* a freed segment's file that the next one will be made of; -1: none */
    char spare_name[NAME_SIZE];
    struct upkeep upkeep;

    struct batch batches[2];
    struct batch *gathering;
    struct batch *flying; /* NULL: none */
    bool flying_opening;  /* with the segment's opening in front */
    unsigned char opening[SEGMENT_OPENING];

    unsigned char *loaded; /* RECORD_MAX */
    struct spool_recipient *loaded_recipients;
    struct iovec loaded_body;

    struct large_open open[LIMIT_SPOOL_OPEN];
    uint64_t reads;
    uint64_t doomed[LIMIT_SPOOL_DOOMED]; /* large mails whose files are to go */
    unsigned doomed_count;

    unsigned quarantined; /* files set aside that are there */
};

void name_segment(char name[NAME_SIZE], uint64_t sequence);
void name_spare(char name[NAME_SIZE], uint64_t sequence);
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
/* Opens the next segment (made at once when none is ready) and leaves the one before. On failure
 * nothing has changed. */
enum spool_status segment_roll(struct spool *s);
/* The last segment, whose opening could not be written for sure, is one no longer: another one of
 * the same number takes its file's place, so that the end of the one before is written down after
 * all. */
void segment_unroll(struct spool *s);
/* Writes and syncs the opening of a segment whose first batch is not to be awaited. */
enum spool_status segment_settle_opening(struct spool *s);
/* Takes the mail out of its segment's count and makes ref void. */
void segment_release(struct spool *s, struct spool_ref *ref);

/* Reads or writes n bytes; a shorter file gives -EIO, a shorter write -ENOSPC. 0 or -errno. */
int read_exactly(int fd, void *buffer, size_t n, uint64_t offset);
int write_exactly(int fd, struct span bytes, uint64_t offset);

/* ---- upkeep.c ---------------------------------------------------------------------------- */

/* Makes the next segment now, if there is none. */
enum spool_status upkeep_next(struct spool *s);
/* Removes what waits to be removed, and closes what is open. */
void upkeep_end(struct spool *s);

/* ---- load.c ------------------------------------------------------------------------------ */

/* Reads header and envelope of the record into s->loaded and checks them. */
enum spool_status load_envelope(struct spool *s, const struct spool_ref *ref,
                                struct spool_mail *mail, struct record *record);

/* ---- large.c ----------------------------------------------------------------------------- */

/* The file of a finished mail goes, when there is time. */
void large_doom(struct spool *s, uint64_t queue_id);
/* At once. */
void large_remove(struct spool *s, uint64_t queue_id);
/* Reads n bytes of the body, which must be there. 0 or -errno; -EIO: the size is not right. */
int large_read(struct spool *s, const struct spool_ref *ref, uint64_t offset, void *buffer,
               size_t n);
/* 0 when the file is there and has the size, or -errno (-EIO: it has not). */
int large_check(struct spool *s, uint64_t queue_id, uint64_t size);

/* ---- quarantine.c ------------------------------------------------------------------------ */

/* Copies a piece of the file to quarantine-<sequence>-<offset>, unless it is there, or there are
 * too many, or it is all zero. Blocks that can't be read are zero in the copy. */
void quarantine_piece(struct spool *s, const struct segment *g, uint32_t offset, size_t length);
/* Renames the file to quarantine-<name>. False when it stays. */
bool quarantine_file(struct spool *s, const char *name);

/* ---- directory.c ------------------------------------------------------------------------- */

/* What is in the shard's directory; both lists ascending. */
struct listing {
    uint64_t *segments;
    size_t segment_count;
    uint64_t *large;
    size_t large_count;
    uint64_t *spares; /* removed by recovery */
    size_t spare_count;
    uint64_t highest; /* sequence number, of segments and of what was set aside */
};

enum spool_status listing_read(struct spool *s, struct listing *l);
void listing_free(struct listing *l);

/* ---- window.c ---------------------------------------------------------------------------- */

/* A segment's file as recovery goes through it: a piece at a time, zero bytes behind its end and
 * where blocks can't be read. */
struct window {
    struct spool *spool;
    int fd;
    size_t size;           /* of the file */
    size_t limit;          /* what is behind is not given */
    unsigned char *buffer; /* WINDOW_SIZE */
    size_t at;             /* in the file */
    size_t n;              /* bytes in the buffer */
    bool failed;           /* something could not be read */
};

#define WINDOW_STEP (128u << 10)
#define WINDOW_SIZE (RECORD_MAX + WINDOW_STEP)

/* As struct scan's view. */
struct span window_view(void *context, size_t offset, size_t n);

#endif
