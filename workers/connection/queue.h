/*
 * queue: the accepted mails of this worker, until each recipient has its outcome.
 *
 * A delivery is a mail's recipients with one destination: the unit that is attempted, deferred
 * with back-off and, in the end, recorded in the spool. States of a delivery:
 *
 *     READY     in its destination's line
 *     ACTIVE    a client has it
 *     WAITING   deferred: its timer brings it back to READY
 *     RECORDING outcomes are known, the spool's batch had no room for them yet
 *     BOUNCING  its recipients failed for good: a notification is on its way to the disk
 */
#ifndef MGID_QUEUE_H
#define MGID_QUEUE_H

#include "engine/pool/pool.h"
#include "engine/pool/timer.h"
#include "workers/connection/mail.h"

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
    struct mail *mail;
    struct destination *destination; /* NULL: bouncing */
    struct delivery *next;           /* in the line it stands in */
    enum delivery_state state;
    uint32_t recipients; /* of the mail, that are this delivery's */
    uint32_t attempts;
    uint64_t next_attempt; /* seconds since 1970 */
    uint64_t began;        /* microseconds, monotonic: of the attempt under way */
    bool bouncing;         /* a notification is on its way to the disk */
    bool rerun;            /* was put back once because a kept connection had died */
    struct timer timer;
};

struct delivery_line {
    struct delivery *first, *last;
    uint32_t count;
};

struct queue {
    struct pool mails;
    struct pool deliveries;
    struct pool destinations;
    struct destination **buckets; /* LIMIT_DESTINATION_BUCKETS chains */
    struct delivery_line unrecorded;
    uint64_t hash_seed;
};

/* Lays out memory. 0 or -1 with errno. */
int queue_init(struct worker *w);

/* Can a mail for so many recipients have its deliveries and destinations? A share is kept for those
 * that are being committed at this moment. */
bool queue_has_room(const struct worker *w, uint32_t recipients);

/* A mail was committed: makes its deliveries and begins to attempt them. */
void queue_take(struct worker *w, struct mail *m);

/* A mail was found at recovery. */
void queue_recovered(struct worker *w, const struct spool_recovered *found);

/* After recovery, when routes are known: attempts what is due. */
void queue_start(struct worker *w);

/* An attempt is over; the recipients' outcomes and replies are set. Those without outcome count
 * as deferred, for the reason `why`. */
void queue_attempted(struct worker *w, struct delivery *d, struct span why);

/* The delivery was not attempted and stands ready again (its client was lost, not its fault). */
void queue_put_back(struct delivery *d);

/* A bouncing delivery's notification is on disk, or is not wanted: the recipients that it
 * reported (OUTCOME_REPORTED) are done. */
void queue_bounced(struct worker *w, struct delivery *d);

/* The batch has room again. */
void queue_retry_records(struct worker *w);

/* A delivery's timer has fired. */
void queue_timer(struct worker *w, struct timer *t);

void delivery_push(struct delivery_line *line, struct delivery *d);
void delivery_push_front(struct delivery_line *line, struct delivery *d);
struct delivery *delivery_shift(struct delivery_line *line);

/* Notes why for a recipient. Memory failing, the reason is left out. */
void recipient_note(struct mail *m, struct recipient *r, enum recipient_outcome outcome,
                    const char *status, struct span reply, struct span relay, bool remote);

#endif
