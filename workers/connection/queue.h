/*
 * queue: the accepted mails of this worker, until each recipient has its outcome.
 *
 * A mail is an entry, small, for as long as it is queued. Its envelope and content (struct mail)
 * are in memory while it is fresh, attempted or bounced; else it is parked: what is needed is read
 * back from the spool. So a mail that waits costs an entry, a delivery, a place in the order and
 * one in the heap of timers: under 200 bytes.
 *
 * A delivery is a mail's recipients with one destination: the unit that is attempted, deferred
 * with back-off and, in the end, recorded in the spool. States of a delivery:
 *
 *     READY     in its destination's line
 *     ACTIVE    a client has it
 *     WAITING   deferred or held: its timer brings it back to READY
 *     RECORDING outcomes are known, the spool's batch had no room for them yet
 *     BOUNCING  its recipients failed for good: a notification is on its way to the disk
 *
 * Nothing can get stuck: in READY and WAITING the timer is armed, at the latest for the moment at
 * which the first recipient's time is over; ACTIVE ends with its connection, which has deadlines;
 * RECORDING is tried again with each batch, BOUNCING by the timer.
 */
#ifndef MGID_QUEUE_H
#define MGID_QUEUE_H

#include "engine/pool/order.h"
#include "engine/pool/pool.h"
#include "engine/pool/texts.h"
#include "engine/pool/timer.h"
#include "workers/connection/mail.h"
#include "workers/connection/suspend.h"

struct destination;
struct spool_recovered;

enum delivery_state {
    DELIVERY_READY,
    DELIVERY_ACTIVE,
    DELIVERY_WAITING,
    DELIVERY_RECORDING,
    DELIVERY_BOUNCING,
};

struct delivery {
    struct entry *entry;
    struct mail *mail;               /* NULL: parked. ACTIVE, RECORDING, `bouncing`: never */
    struct destination *destination; /* NULL: bouncing */
    struct delivery *next;           /* in the line it stands in */
    struct delivery *previous;
    struct timer timer;
    uint32_t sibling;         /* the entry's next delivery, by its number plus 1; 0: none */
    uint32_t next_attempt;    /* seconds since 1970, as expires */
    uint32_t expires;         /* of the recipient whose time is over first */
    unsigned recipients : 14; /* of the mail, that are this delivery's */
    unsigned attempts : 8;    /* counted to DELIVERY_ATTEMPTS_MAX */
    unsigned state : 3;       /* enum delivery_state */
    unsigned urgency : 2;     /* 0 .. READY_URGENCIES - 1; fixed while READY, as `late` */
    unsigned late : 1;        /* stands in the line of those that were deferred before */
    unsigned attempted : 1;   /* by a connection, since it is in memory */
    unsigned bouncing : 1;    /* a notification is on its way to the disk */
    unsigned rerun : 1;       /* was put back once because a kept connection had died */
    unsigned pinned : 1;      /* holds the mail in memory */
};

#define DELIVERY_ATTEMPTS_MAX 255

_Static_assert(sizeof(struct delivery) <= POOL_ALIGNMENT, "a million of them: a cache line each");
_Static_assert(LIMIT_RECIPIENTS_MAX < 1 << 14, "a mail's recipients can be counted");

struct delivery_line {
    struct delivery *first, *last;
    uint32_t count;
};

/* What is ready for a destination: lines by urgency, and in each those that come for the first time
 * before those that were deferred. Every READY_OTHER-th time another line than the first has its
 * turn, so that none waits for ever. */
enum { READY_URGENCIES = 3, READY_LINES = 2 * READY_URGENCIES, READY_OTHER = 8 };

struct ready {
    struct delivery_line lines[READY_LINES]; /* the most urgent last */
    uint32_t count;
    uint32_t taken;
};

/* What a recipient of a parked mail is: a number of queue.texts in the low bits, and these. */
enum entry_word {
    WORD_TEXT = (1 << 24) - 1, /* status, relay and reply of the last attempt */
    WORD_REMOTE = 1 << 24,     /* struct recipient.remote */
    WORD_FAILED = 1 << 25,     /* for good: belongs to the entry's bouncing delivery */
    WORD_FINISHED = 1 << 26,   /* has its outcome */
    WORD_NOTICES_AT = 27,      /* struct recipient.notices, in four bits */
    WORD_NOTICES_MAX = 15,
    WORD_RELAYED = 1u << 31, /* with WORD_FAILED: delivered, and its sender is still to be told */
};

enum { ENTRY_FEW = 2 }; /* recipients whose words lie in the entry */

struct entry {
    uint64_t id;      /* queue id */
    uint32_t segment; /* where it is (struct spool_ref) while it is parked, as the next five */
    uint32_t offset;
    uint32_t length;
    uint32_t size; /* of the content, bytes */
    uint16_t recipients;
    uint16_t left;
    bool large;
    bool body_missing;
    bool held;         /* by the operator or a rule: waits, but for its expiry */
    bool queued;       /* stored, and in queue.order */
    bool unsorted;     /* its recipients have other destinations: sorted when it is read back */
    struct mail *mail; /* NULL: parked */
    struct delivery *deliveries;
    union {
        uint32_t few[ENTRY_FEW];
        uint32_t *many;
    } words; /* while it is parked: a word a recipient */
};

_Static_assert(sizeof(struct entry) <= POOL_ALIGNMENT, "a million of them: a cache line each");
_Static_assert(LIMIT_MESSAGE_SIZE_MAX <= UINT32_MAX, "a content's size fits");
_Static_assert(LIMIT_DELAY_NOTICES <= WORD_NOTICES_MAX, "what is told of a delay can be counted");
_Static_assert(LIMIT_TEXTS <= WORD_TEXT, "a text's number fits");

/* Lists of destinations: first come, first served. */
enum destination_list {
    DESTINATION_BUSY,    /* have something to do in this turn or the next */
    DESTINATION_STARVED, /* want a connection, and all are in use */
    DESTINATION_LISTS
};

struct destination_line {
    struct destination *first, *last;
};

struct queue {
    struct pool entries;
    struct pool mails; /* those in memory */
    struct pool deliveries;
    struct pool destinations;
    struct order order; /* stored entries by queue id: their numbers in the pool */
    struct texts texts;
    struct mail_budget budget;
    struct mail *idle, *idle_last; /* in memory, wanted by nobody at this moment: oldest first */
    struct destination **buckets;  /* LIMIT_DESTINATION_BUCKETS chains */
    struct destination *limbo;     /* for those that no destination could be had for */
    struct destination_line lines[DESTINATION_LISTS];
    struct delivery_line unrecorded;
    struct suspended suspended;
    uint64_t stored;      /* bytes of all records of mails; a redirect does not change it */
    uint64_t moved_after; /* of move_on */
    uint64_t away_after;  /* of move_away */
    uint64_t hash_seed;
    uint64_t chance; /* for pauses; see queue_chance */
};

/* Lays out memory; `memory` is the policy's for a worker. 0 or -1 with errno. */
int queue_init(struct worker *w, uint64_t memory);

/* Can a mail for so many recipients have its deliveries and destinations? A share is kept for those
 * that are being committed at this moment. */
bool queue_has_room(const struct worker *w, uint32_t recipients);

/* A mail was committed: makes its deliveries and begins to attempt them. */
void queue_take(struct worker *w, struct mail *m);

/* A mail was found at recovery: it is parked, its deliveries timed. Needs a policy in use. */
void queue_recovered(struct worker *w, const struct spool_recovered *found);

/* Once a turn: gives memory back when it is short, goes on with destinations that have more to
 * do. Bounded. */
void queue_turn(struct worker *w);

/* Is there something to do for queue_turn at once? */
static inline bool queue_busy(const struct queue *q)
{
    return q->lines[DESTINATION_BUSY].first != NULL;
}

/* The delivery was taken out of its destination's line to be attempted (or failed): it is ACTIVE
 * now, its mail in memory. False: that can't be at this moment, or it has another destination by
 * now; it was dealt with. */
bool queue_begin(struct worker *w, struct delivery *d);

/* An attempt is over; the recipients' outcomes and replies are set. Those without outcome count
 * as deferred, for the reason `why`. */
void queue_attempted(struct worker *w, struct delivery *d, struct span why);

/* The delivery was not attempted and stands ready again (its client was lost, not its fault). */
void queue_put_back(struct worker *w, struct delivery *d);

/* A bouncing delivery's notification is on disk, or is not wanted: the recipients that it
 * reported (OUTCOME_REPORTED, OUTCOME_CONFIRMED) are done. */
void queue_bounced(struct worker *w, struct delivery *d);

/* The batch has room again. */
void queue_retry_records(struct worker *w);

/* A number that nobody need be able to guess, but that differs from the last one. */
uint32_t queue_chance(struct worker *w);

/* A delivery's timer has fired. */
void queue_timer(struct worker *w, struct timer *t);

void ready_push(struct ready *r, struct delivery *d);
void ready_push_front(struct ready *r, struct delivery *d);
void ready_remove(struct ready *r, struct delivery *d);
struct delivery *ready_shift(struct ready *r);
/* Of those that come for the first time, or else (one of) those that do not. */
struct delivery *ready_shift_first_timer(struct ready *r);
struct delivery *ready_shift_late(struct ready *r);

void delivery_push(struct delivery_line *line, struct delivery *d);
void delivery_push_front(struct delivery_line *line, struct delivery *d);
void delivery_remove(struct delivery_line *line, struct delivery *d);
struct delivery *delivery_shift(struct delivery_line *line);

/* Notes why for a recipient. Memory failing, the reason is left out. */
void recipient_note(struct mail *m, struct recipient *r, enum recipient_outcome outcome,
                    const char *status, struct span reply, struct span relay, bool remote);

/* When the recipient's time is over: seconds since 1970. */
static inline int64_t recipient_expires(const struct mail *m, const struct recipient *r)
{
    return r->expires > 0 ? r->expires : m->expires;
}

#endif
