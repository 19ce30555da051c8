/*
 * mail: a mail that the worker has accepted or is about to accept, in memory.
 *
 * Its envelope is one block of text (`text`) that everything else points into by offset, and an
 * array of recipients; both lie in the mail itself while they are small, so that an ordinary mail
 * costs no allocation. Its content lies in chunks while it is fresh, and in the spool always
 * once it was committed: a mail that waits is parked (park.h) and read again when it is due.
 */
#ifndef MGID_MAIL_H
#define MGID_MAIL_H

#include "engine/pool/chunk.h"
#include "engine/spool/spool.h"
#include "engine/log/log.h"
#include "recipient_state.h"

struct worker;
struct delivery;
struct entry;
struct transaction;

/* What envelopes take beside the mails themselves: bytes. One may be over the limit: the one that
 * the first allocation of a mail found below it. */
struct mail_budget {
    uint64_t used;
    uint64_t limit;
};

/* A piece of the mail's text. */
struct mail_text {
    uint32_t offset;
    uint32_t length;
};

struct recipient {
    struct mail_text address;
    struct mail_text route;    /* name; empty while the rules have not decided */
    struct mail_text rule;     /* name of the rule that decided */
    struct mail_text original; /* as the client gave it, when a rule changed it; else empty */
    struct mail_text orcpt;    /* RFC 3461 4.2, as the client gave it */
    struct mail_text reply;    /* why it is not delivered: the last reply or our own words */
    struct mail_text relay;    /* who said so */
    struct delivery *delivery; /* NULL in a final state */
    uint8_t state;             /* enum recipient_state */
    uint8_t outcome;           /* enum recipient_outcome: of the attempt under way */
    uint8_t notify;            /* enum dsn_notify bits; 0: the client said nothing */
    uint8_t priority;          /* of the rule; 0: ordinary */
    uint8_t variant;           /* of the mail's edits, from 1; 0: the header as it came */
    uint8_t notices;           /* of delay, that the sender has got */
    uint8_t notices_due;       /* as many, when the one on its way to the disk is there; else 0 */
    bool undecided;            /* the rules need the headers */
    bool redirect;             /* goes to the mail's target when that has been stored */
    bool remote;               /* reply is the next hop's */
    int64_t expires;           /* seconds since 1970; 0: as the mail */
    char status[12];           /* enhanced status of a failure */
};

/* What an attempt came to. */
enum recipient_outcome {
    OUTCOME_NONE, /* nothing was said of this recipient */
    OUTCOME_DELIVERED,
    OUTCOME_FAILED,
    OUTCOME_RELAYED,   /* delivered to a hop that gives no notifications, and one was asked for */
    OUTCOME_REPORTED,  /* failed, and named in a notification under way, or of no one's interest */
    OUTCOME_CONFIRMED, /* relayed, and so on */
    OUTCOME_DEFERRED,
};

enum mail_flag {
    MAIL_EIGHT_BIT = 1 << 0,
    MAIL_DOT_LINES = 1 << 1,    /* dots must be stuffed */
    MAIL_LARGE = 1 << 2,        /* content in a file of its own */
    MAIL_BOUNCE = 1 << 3,       /* a notification that we made */
    MAIL_UTF8 = 1 << 4,         /* SMTPUTF8 (RFC 6531) */
    MAIL_BINARY = 1 << 5,       /* BODY=BINARYMIME (RFC 3030): needs BDAT */
    MAIL_REQUIRETLS = 1 << 6,   /* RFC 8689 */
    MAIL_TLS_OPTIONAL = 1 << 7, /* "TLS-Required: No" (RFC 8689 5) */
    MAIL_RET_FULL = 1 << 8,     /* RFC 3461 4.3; neither: the client said nothing */
    MAIL_RET_HDRS = 1 << 9,
    MAIL_DOUBLE_BOUNCE = 1 << 10, /* MAIL_BOUNCE for the postmaster: its failure is the end */
};

/* RFC 3461 4.1; NEVER stands alone. */
enum dsn_notify {
    DSN_NOTIFY_NEVER = 1 << 0,
    DSN_NOTIFY_SUCCESS = 1 << 1,
    DSN_NOTIFY_FAILURE = 1 << 2,
    DSN_NOTIFY_DELAY = 1 << 3,
};

struct mail {
    struct entry *entry; /* its place in the queue, taken when the mail begins */
    struct mail_budget *budget;
    struct mail *idle_next, *idle_previous; /* while it is in the queue's list `idle` */
    bool idle;
    bool imported; /* by the operator, and not yet in the queue */
    uint64_t id;
    int64_t arrival; /* microseconds since 1970 */
    int64_t expires; /* seconds since 1970 */
    uint64_t size;   /* of the content, with the fields that we added */
    uint32_t flags;
    uint32_t open;    /* recipients not in a final state */
    uint32_t holders; /* deliveries that need it in memory, and who works with it */
    uint32_t recipient_count;
    uint32_t recipient_capacity;
    uint32_t text_used;
    uint32_t text_capacity;
    struct mail_text sender;
    struct mail_text helo;
    struct mail_text client; /* its address, for people */
    struct mail_text tls;    /* "TLSv1.3 … verified" or "" */
    struct mail_text envid;  /* RFC 3461 4.4, as the client gave it */
    struct mail_text edits;  /* of the header: a list, see edits_variant */
    struct recipient *recipients;
    char *text;
    struct chunk_chain content; /* empty when it must be read from the spool */
    struct spool_ref ref;
    bool moving;                     /* being written anew (move.h): ref is the new one's … */
    struct spool_ref old;            /* … and this the one that counts until then */
    struct mail_text target;         /* of the recipients with `redirect` */
    uint32_t body_crc;               /* MAIL_LARGE */
    bool body_missing;               /* MAIL_LARGE: recovery did not find its file */
    struct transaction *transaction; /* being committed for it … */
    struct delivery *bounced;        /* … or, a notification, for that delivery's failures … */
    struct mail *delayed;            /* … or for that mail's delay */
    bool delay_notice;               /* there is such a notification under way */
    struct mail *next_waiting;       /* in the commit's waiting list */
    struct recipient few[MAIL_FEW_RECIPIENTS];
    char short_text[MAIL_SHORT_TEXT];
};

/* A mail without recipients, or NULL when the queue, or memory, is full. */
struct mail *mail_new(struct worker *w);

/* Gives everything back, its place in the queue too. */
void mail_free(struct worker *w, struct mail *m);

/* The memory for a mail that has its place in the queue; NULL for now. And gives it back. */
struct mail *mail_attach(struct worker *w, struct entry *e);
void mail_detach(struct worker *w, struct mail *m);

/* Copies bytes into the mail's text. False: no memory, over the budget or LIMIT_MAIL_TEXT. */
bool mail_put(struct mail *m, struct span bytes, struct mail_text *out);

/* The number, among the mail's, of these changes of the header; 0 for none. False: no memory, or
 * more than LIMIT_VARIANTS. */
bool mail_variant(struct mail *m, struct span edits, uint8_t *number);

/* NULL: no memory. */
struct recipient *mail_add_recipient(struct mail *m);

static inline struct span mail_span(const struct mail *m, struct mail_text t)
{
    return span_of(m->text + t.offset, t.length);
}

/* For the log: begins an event that names the mail. */
void mail_log(const struct mail *m, enum log_level level, const char *event);

/* Loads the content of a committed mail into chunks, unless it is there or MAIL_LARGE. Returns 0,
 * or -errno: -ENOBUFS for now, -EIO or -EBADMSG when the spool can't give it. */
int mail_load(struct worker *w, struct mail *m);

/* The content from `offset` on: a piece, empty at the end. Valid until the next call (large) or
 * as long as the content is in memory. 0 or -errno. mail_load comes first. */
int mail_piece(struct worker *w, struct mail *m, uint64_t offset, struct span *piece);

#endif
