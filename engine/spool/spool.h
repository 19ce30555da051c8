/*
 * spool: the mails of one connection worker on stable storage. One shard is one directory, owned
 * by one single-threaded process.
 *
 * Mails and what became of them are records appended to segments. The caller writes and syncs: the
 * spool hands out a plan (struct spool_io) for its ring and takes the results. Everything else
 * (making, reading, freeing of segments) is done by system calls relative to the directory's
 * descriptor. What is on disk when, and what recovery makes of it: DURABILITY.md.
 *
 * The caller's turn:
 *     spool_append_mail / _done / _defer / _hold   into the batch that is gathered
 *     spool_batch_start                       freezes it; at most one is in flight
 *     … write, then sync when the plan says so; meanwhile the next batch gathers …
 *     spool_batch_finish                      its mails are stored (250), or none of them (4xx)
 *     spool_maintain                          frees what is no longer needed
 */
#ifndef MGID_SPOOL_H
#define MGID_SPOOL_H

#include "engine/spool/queue_id.h"
#include "limits.h"
#include "span.h"
#include <sys/types.h>
#include <sys/uio.h>

enum spool_status {
    SPOOL_OK,
    SPOOL_AGAIN,   /* the batch is full: start it, or wait until the one in flight has finished */
    SPOOL_IDLE,    /* nothing was gathered */
    SPOOL_BUSY,    /* another process has the shard */
    SPOOL_FULL,    /* no room: disk, inodes, quota or LIMIT_SPOOL_SEGMENTS (452) */
    SPOOL_FAILED,  /* the system refused; spool_error tells (451) */
    SPOOL_CORRUPT, /* what was stored no longer verifies, or is no longer there */
};

/* For people. */
const char *spool_status_text(enum spool_status status);

struct spool;

/* ---- what happened, for the log ---------------------------------------------------------- */

/* X(NAME, "text"): SPOOL_EVENT_NAME. Those above FREED are worth a warning. */
#define SPOOL_EVENTS(X)                                                                            \
    X(TORN, "torn tail cut")                /* at recovery: the end of the newest segment */       \
    X(CORRUPT, "damaged records set aside") /* at recovery: sound ones follow */                   \
    X(UNREADABLE, "segment set aside")      /* its head is gone: the whole file */                 \
    X(VERSION, "segment of another version of mgid") /* refused: length is its number */           \
    X(GAP, "segment missing")                                                                      \
    X(LARGE_MISSING, "body of a large mail missing")                                               \
    X(LARGE_ORPHAN, "large file set aside") /* nothing names it, but records were damaged */       \
    X(STRAY_DONE, "record names an unknown recipient")                                             \
    X(UNKNOWN_FILE, "unknown file left alone")                                                     \
    X(BATCH_FAILED, "batch failed, segment left")                                                  \
    X(DROPPED, "records of deliveries lost") /* `length` of them: mails may go out twice */        \
    X(SYSTEM, "system call failed")          /* name: which */                                     \
    X(FREED, "segment freed")                                                                      \
    X(LARGE_DISCARDED, "unfinished large file removed")

enum spool_event_kind {
#define X(NAME, text) SPOOL_EVENT_##NAME,
    SPOOL_EVENTS(X)
#undef X
        SPOOL_EVENT_COUNT
};

/* Fields that say nothing for a kind are 0 or empty. Valid during the call. */
struct spool_event {
    enum spool_event_kind kind;
    uint64_t segment;
    uint64_t offset; /* in the segment */
    uint64_t length; /* bytes */
    uint64_t queue_id;
    struct span name; /* a file or a system call */
    int error;        /* errno */
};

const char *spool_event_text(enum spool_event_kind kind);

/* ---- a mail ----------------------------------------------------------------------------- */

/* A recipient's index is its place in the mail for as long as the mail lives. */
struct spool_recipient {
    struct span address;  /* to deliver to; at most LIMIT_ADDRESS */
    struct span original; /* as the client gave it; empty when it is the same */
    struct span route;    /* at most LIMIT_NAME, as rule */
    struct span rule;
    struct span orcpt; /* RFC 3461 4.2 as the client gave it ("type;xtext"); at most LIMIT_ORCPT */
    uint64_t expires;  /* seconds since 1970; 0: as the mail */
    uint8_t notify;    /* the caller's: RFC 3461 4.1 */
    uint8_t priority;  /* the caller's */
    uint8_t variant;   /* the caller's: which of spool_mail.edits */
    bool finished;     /* has its outcome already: a mail that is moved on (spool_mail.replaces) */
};

/* What is stored of a mail beside its body. */
struct spool_mail {
    uint64_t queue_id;        /* of spool_queue_id */
    uint64_t arrival;         /* microseconds since 1970 */
    uint64_t expires;         /* seconds since 1970 */
    uint32_t flags;           /* the caller's */
    uint32_t body_flags;      /* the caller's: 8-bit, lines that begin with a dot … */
    struct span sender;       /* empty: the null sender; at most LIMIT_ADDRESS */
    struct span helo;         /* at most LIMIT_DOMAIN */
    struct span client;       /* for people; at most LIMIT_REASON, as tls */
    struct span tls;          /* the verdict, for people */
    struct span envid;        /* RFC 3461 4.4, xtext as the client gave it; at most LIMIT_ENVID */
    struct span edits;        /* the caller's: of headers; at most LIMIT_EDIT_LIST */
    uint64_t body_size;       /* bytes */
    uint32_t body_crc;        /* large: spool_crc of the whole body; else ignored */
    bool held;                /* kept back by an operator (spool_append_hold) */
    bool large;               /* the body lies in the file of spool_large_create */
    uint16_t recipient_count; /* 1 .. LIMIT_RECIPIENTS_MAX */
    const struct spool_recipient *recipients;
    /* The body's pieces, body_size bytes together (at most LIMIT_INLINE_MAIL), at most
     * LIMIT_SPOOL_PIECES of them; none when large. */
    const struct iovec *body;
    unsigned body_count;
};

/*
 * Where a mail is. Zero before; lies in the caller's memory at a fixed address from
 * spool_append_mail until its batch has finished or was refused; afterwards it is a value that may
 * be moved but exists once, as the spool counts in it what is left to do.
 */
struct spool_ref {
    uint64_t segment; /* 0: not stored */
    uint64_t queue_id;
    uint64_t body_size;
    uint32_t offset;      /* of the record in its segment */
    uint32_t length;      /* of the record */
    uint32_t body_offset; /* of an inline body in its segment */
    uint32_t body_crc;    /* of a large body */
    uint16_t recipients;
    uint16_t left; /* recipients without an outcome */
    bool large;
};

static inline bool spool_stored(const struct spool_ref *ref)
{
    return ref->segment != 0;
}

/* ---- opening and recovery --------------------------------------------------------------- */

struct spool_recipient_state {
    bool finished;
    uint32_t attempts;     /* as of the last deferral */
    uint8_t notices;       /* of delay, that the sender had got by then */
    uint64_t next_attempt; /* seconds since 1970; 0: at once */
    struct span reason;    /* of the last deferral */
};

/* A mail found at recovery. Spans and arrays are valid during the call; ref is to be kept. */
struct spool_recovered {
    struct spool_ref ref;
    struct spool_mail mail;                     /* without body pieces */
    const struct spool_recipient_state *states; /* mail.recipient_count of them, same indexes */
    bool body_missing; /* the file of a large mail is gone or of the wrong size: bounce it */
};

struct spool_config {
    unsigned shard;        /* below QUEUE_ID_SHARDS */
    uint32_t segment_size; /* bytes of a segment file; 0: LIMIT_SEGMENT */
    void *context;         /* of the callbacks; they may not call the spool */
    void (*event)(void *context, const struct spool_event *event);         /* or NULL */
    void (*recovered)(void *context, const struct spool_recovered *found); /* by spool_recover */
};

/* Takes the shard in the directory `directory` (borrowed; open until spool_close) and lays out
 * memory. SPOOL_OK, SPOOL_BUSY (try again for some seconds: the predecessor may be ending),
 * SPOOL_FAILED with *error. On failure *s is NULL. */
enum spool_status spool_open(struct spool **s, int directory, const struct spool_config *config,
                             int *error);

/* Reads all segments and calls recovered() for every mail that has recipients without outcome, in
 * the order in which they are stored. Once, before anything else. Needs, while it runs, memory of
 * the largest record, about 70 bytes a live mail and 24 a recipient of those that have several.
 * Appending goes on in a fresh segment. SPOOL_OK or SPOOL_FAILED; damage is no failure but an
 * event. Segments of another version of mgid are refused (VERSION), not set aside. */
enum spool_status spool_recover(struct spool *s);

/* What was gathered and not written is lost; no batch may be in flight. s may be NULL. */
void spool_close(struct spool *s);

/* errno of the last SPOOL_FULL or SPOOL_FAILED. */
int spool_error(const struct spool *s);

/* A new queue id; now is the time in microseconds since 1970. Never 0. */
uint64_t spool_queue_id(struct spool *s, uint64_t now);

/* ---- appending -------------------------------------------------------------------------- */

/*
 * Adds the mail to the batch. Envelope and pieces (struct iovec) are copied, the bytes that the
 * pieces point to are borrowed until the batch has finished or was refused. ref is filled then.
 * A large mail's file must have been written and synced by the caller before; its directory entry
 * is synced with the batch (spool_io.directory).
 *
 * `replaces`, or NULL: the mail was loaded (spool_load) and moves on to the current segment, same
 * queue id, same recipients, those with an outcome marked finished, `held` as it is now. Deferrals
 * are appended anew after it, in the same batch. Once stored, *replaces is void; until then it
 * stays, and takes the outcomes that come meanwhile. When they were the last ones, ref is void too,
 * though SPOOL_OK.
 *
 * SPOOL_OK or SPOOL_AGAIN. A field over its bound is a bug of the caller.
 */
enum spool_status spool_append_mail(struct spool *s, const struct spool_mail *mail,
                                    struct spool_ref *ref, struct spool_ref *replaces);

enum spool_outcome {
    SPOOL_DELIVERED = 1,
    SPOOL_BOUNCED,
    SPOOL_EXPIRED,
    SPOOL_DELETED,
};

#define SPOOL_ALL_RECIPIENTS UINT16_MAX

/* The recipient (or all that are left) has its outcome: exactly once a recipient. When it was the
 * last one the mail is finished: ref is void, a large file is unlinked once that is on disk.
 * Needs no sync of its own. SPOOL_OK or SPOOL_AGAIN (nothing has changed then). */
enum spool_status spool_append_done(struct spool *s, struct spool_ref *ref, uint16_t recipient,
                                    enum spool_outcome outcome);

/* Why a recipient waits, and until when. */
struct spool_deferral {
    uint32_t attempts;
    uint8_t notices;       /* of delay, that the sender has got */
    uint64_t next_attempt; /* seconds since 1970 */
    struct span reason;    /* cut to LIMIT_REASON */
};

/* The recipient is tried again; what was said of it before is void. Needs no sync. SPOOL_OK or
 * SPOOL_AGAIN. */
enum spool_status spool_append_defer(struct spool *s, const struct spool_ref *ref,
                                     uint16_t recipient, const struct spool_deferral *deferral);

/* The mail is kept back by an operator, or no longer: at recovery it is the `held` of
 * spool_recovered.mail. Says nothing of attempts. Needs no sync. SPOOL_OK or SPOOL_AGAIN. */
enum spool_status spool_append_hold(struct spool *s, const struct spool_ref *ref, bool held);

/* What was gathered since the last start. mails > 0: someone waits for a commit; records > 0: write
 * them within a second or so. */
struct spool_gathered {
    unsigned mails;
    unsigned records; /* mails included */
    size_t bytes;
};

struct spool_gathered spool_gathered(const struct spool *s);

/* ---- the group commit ------------------------------------------------------------------- */

/* One batch: what to write, and whose mails they are. */
struct spool_io {
    int directory;   /* to be synced (fsync, for its names) before the write; -1: not */
    int fd;          /* the spool's */
    uint64_t offset; /* in fd */
    const struct iovec *iov;
    unsigned iov_count;             /* at most LIMIT_SPOOL_IOV */
    size_t length;                  /* sum of iov: the only write result that counts as success */
    bool sync;                      /* fdatasync fd after the write; else the write is all */
    struct spool_ref *const *mails; /* in order of spool_append_mail */
    unsigned mail_count;
};

/*
 * Freezes the batch; no other may be in flight. SPOOL_OK: carry the plan out (the directory, the
 * write, then the sync; each only when the one before succeeded), then call spool_batch_finish; all
 * that io points to stays until then. SPOOL_IDLE: nothing to write. SPOOL_FULL, SPOOL_FAILED:
 * refused as no segment could be made; io->mails are the ones that were not stored, valid until the
 * next call of spool_batch_start; deliveries and deferrals stay gathered.
 *
 * Goes on in the next segment when the current one is full; where spool_maintain has not made that
 * yet it is made by system calls, which takes some milliseconds.
 */
enum spool_status spool_batch_start(struct spool *s, struct spool_io *io);

/*
 * written: bytes or -errno of the write (or of the directory's sync). synced: 0 or -errno of the
 * sync; ignored without sync. SPOOL_OK: the mails of the batch are stored and their refs filled.
 * SPOOL_FULL, SPOOL_FAILED: none is; refs stay void; the segment is left and the next batch goes to
 * a new one. In both cases io->mails of the plan are valid until the next spool_batch_start, and
 * the bodies are the caller's again. Deliveries and deferrals of a failed batch are gathered anew.
 */
enum spool_status spool_batch_finish(struct spool *s, ssize_t written, int synced);

/* ---- large mails ------------------------------------------------------------------------ */

/* Makes large-<id>. Returns a descriptor (the caller's, write only), or -1 with *status SPOOL_FULL
 * or SPOOL_FAILED. The caller writes, syncs (fdatasync suffices) and closes it. */
int spool_large_create(struct spool *s, uint64_t queue_id, enum spool_status *status);

/* Removes the file of a mail that was not stored (given up, or in a failed batch), by and by. */
void spool_large_discard(struct spool *s, uint64_t queue_id);

/* CRC32C of bytes that follow those of crc (0 at the beginning). Pure. */
uint32_t spool_crc(uint32_t crc, struct span bytes);

/* ---- reading ---------------------------------------------------------------------------- */

/*
 * Reads the mail's record, checks its CRC (an inline body is part of it) and decodes it. mail's
 * spans, recipients and body (one piece, unless large) lie in the spool's memory and are valid
 * until the next spool_load. Call it before the first spool_read of a mail from disk.
 * SPOOL_OK, SPOOL_CORRUPT, SPOOL_FAILED. A large body's CRC is mail->body_crc: check it while
 * reading, before the final dot.
 */
enum spool_status spool_load(struct spool *s, const struct spool_ref *ref, struct spool_mail *mail);

/* As spool_load, but says nothing of the file of a large body, and fills in what of *ref depends on
 * the record alone (body_size, body_offset, body_crc): a ref may be kept without them. */
enum spool_status spool_load_record(struct spool *s, struct spool_ref *ref,
                                    struct spool_mail *mail);

/* The same without the body, which is neither read nor checked: mail has no pieces. */
enum spool_status spool_load_envelope(struct spool *s, struct spool_ref *ref,
                                      struct spool_mail *mail);

/* Reads at most n bytes of the body from offset on. Bytes, 0 at the end, or -errno; -EIO also when
 * the file is shorter than the body. Checks no CRC. */
ssize_t spool_read(struct spool *s, const struct spool_ref *ref, uint64_t offset, void *buffer,
                   size_t n);

/* ---- housekeeping ----------------------------------------------------------------------- */

/* An operation on a descriptor of the spool's that may wait for the disk. */
enum spool_upkeep_kind {
    SPOOL_UPKEEP_SYNC,    /* fsync, not fdatasync */
    SPOOL_UPKEEP_RESERVE, /* fallocate of `size` bytes from 0 on */
    SPOOL_UPKEEP_EMPTY,   /* the same with PUNCH_HOLE and KEEP_SIZE */
};

struct spool_upkeep {
    enum spool_upkeep_kind kind;
    int fd;
    uint64_t size;
};

/* Frees the oldest segments while they hold no unfinished mail, makes the next one ahead of time,
 * removes files of large mails. True: carry *op out (by the ring; the batch in flight need not be
 * awaited), then call spool_maintained; until then it is false. Cheap when there is nothing to do:
 * call it once a turn. */
bool spool_maintain(struct spool *s, struct spool_upkeep *op);

/* result: 0 or -errno of the operation. */
void spool_maintained(struct spool *s, int result);

/* The segment whose mails should be moved on (spool_mail.replaces) as it holds back more than
 * LIMIT_SPOOL_HELD younger ones, and more than half of all is of finished mails: so a byte is
 * moved at most once for each that is freed. 0: none. */
uint64_t spool_pressed(const struct spool *s);

struct spool_usage {
    unsigned segments;
    uint64_t live;        /* mails with recipients left */
    uint64_t free_bytes;  /* of the file system, for us */
    uint64_t free_inodes; /* UINT64_MAX when the file system does not count them */
};

/* SPOOL_OK or SPOOL_FAILED. One fstatfs. */
enum spool_status spool_usage(struct spool *s, struct spool_usage *usage);

#endif
