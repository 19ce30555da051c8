/* queue_internal: what the parts of the queue share. */
#ifndef MGID_QUEUE_INTERNAL_H
#define MGID_QUEUE_INTERNAL_H

#include "workers/connection/destination.h"
#include "workers/connection/queue.h"
#include "workers/connection/worker.h"

/* ---- delivery.c: deliveries of an entry -------------------------------------------------- */

/* The entry's deliveries: for (d = e->deliveries; d; d = delivery_sibling(w, d)). */
struct delivery *delivery_sibling(const struct worker *w, const struct delivery *d);

/* A new one of the entry, WAITING and not timed; NULL: as many as there can be. */
struct delivery *delivery_new(struct worker *w, struct entry *e, struct destination *dest);

/* Takes it out of its line, its timer, its destination and its entry. */
void delivery_free(struct worker *w, struct delivery *d);

/* Is it (still) one of the entry's? d may have been freed. */
bool entry_has(const struct worker *w, const struct entry *e, const struct delivery *d);

/* The entry's delivery whose recipients have failed for good, or NULL. */
struct delivery *entry_bouncing(const struct worker *w, const struct entry *e);

/* Sorting an entry's recipients to deliveries: begin, one call a recipient, end. In between no
 * other entry may be sorted. Without a route: to the one that bounces. NULL: no memory. */
void sorting_begin(struct worker *w, struct entry *e);
struct delivery *sorting_delivery(struct worker *w, struct entry *e, struct span route,
                                  struct span address);
void sorting_end(struct worker *w, struct entry *e);

/* The delivery has one recipient more, whose time is over at `expires`. */
void delivery_add(struct delivery *d, int64_t expires, unsigned priority);

/* Leaves its line, and needs its mail in memory until it is unpinned. */
void delivery_pin(struct worker *w, struct delivery *d);
void delivery_unpin(struct worker *w, struct delivery *d);

/* READY becomes WAITING, not timed anew. */
void delivery_leave_line(struct delivery *d);

/* ACTIVE, RECORDING, or its notification on its way or to come again: nobody else may touch it. */
bool delivery_under_way(const struct delivery *d);
/* Is that true of any of them, or is the mail being moved? */
bool entry_under_way(const struct worker *w, const struct entry *e);

/* Arms the timer: for the next attempt (unless READY, or held), at the latest for its expiry. */
void delivery_arm(struct worker *w, struct delivery *d);

/* Not now, for want of memory or because the disk fails: tries again in so many seconds. */
void delivery_put_off(struct worker *w, struct delivery *d, unsigned seconds);

/* Into its destination's line. */
void delivery_ready(struct worker *w, struct delivery *d);

/* The failed recipients' delivery: begins the notification, or tries later. May end it. */
void delivery_bounce(struct worker *w, struct delivery *d);

/* ---- park.c: entries in memory and parked ------------------------------------------------ */

/* One user of the mail's memory less. The last one gone, it is parked, or remembered as one that
 * can be; an entry without deliveries ends. */
void mail_let_go(struct worker *w, struct mail *m);

/* One user more. */
void mail_hold(struct worker *w, struct mail *m);

/* Reads envelope and content back, unless they are in memory, and sorts the recipients anew: the
 * policy may be another by now, so that deliveries can come and go. 0, -ENOBUFS (not now), -EIO,
 * -EBADMSG (the record does not verify). Afterwards somebody must hold the mail. */
int entry_load(struct worker *w, struct entry *e);

/* Loads the delivery's mail, and holds it. False: that can't be now, or the delivery has become
 * another one; it was dealt with. */
bool delivery_load(struct worker *w, struct delivery *d);

/* Its recipients have other destinations now: sorted anew soon. One user less, as mail_let_go. */
void entry_resort(struct worker *w, struct entry *e);

/* Parks mails that nobody wants until there is memory again; at most so many as a turn may. */
void park_idle(struct worker *w);

/* A word for a recipient of a parked mail. */
uint32_t word_make(struct worker *w, struct span status, struct span relay, struct span reply);

static inline uint32_t word_notices(unsigned notices)
{
    return (uint32_t)(notices < WORD_NOTICES_MAX ? notices : WORD_NOTICES_MAX) << WORD_NOTICES_AT;
}

/* What a word says in words; valid while nobody lets go of its text. */
struct word_text {
    struct span status, relay, reply;
};
void word_read(const struct worker *w, uint32_t word, struct word_text *out);

/* The entry's words; NULL: no memory for so many. */
uint32_t *entry_words(struct worker *w, struct entry *e);

/* Where the mail is. */
struct spool_ref entry_ref(const struct entry *e);
void entry_keep_ref(struct entry *e, const struct spool_ref *ref);

/* An entry without deliveries: all of it ends. */
void entry_end(struct worker *w, struct entry *e);

/* ---- settle.c ---------------------------------------------------------------------------- */

/* Records the outcomes; again and again until the spool has taken all. */
void delivery_settle(struct worker *w, struct delivery *d);

/* What the spool holds of a recipient that waits, anew. False: the batch is full. */
bool recipient_note_deferral(struct worker *w, struct mail *m, uint32_t recipient);
/* The recipient has its outcome, which is recorded. */
void recipient_final(struct worker *w, struct mail *m, struct recipient *r,
                     enum recipient_state state);

/* For a recipient that a rule refused after the content was seen. */
void note_rule_status(struct mail *m, struct recipient *r);

static inline bool recipient_finished(const struct recipient *r)
{
    return r->state == RECIPIENT_DELIVERED || r->state == RECIPIENT_FAILED;
}

static inline uint32_t wall_seconds(const struct worker *w)
{
    return (uint32_t)(w->wall / 1000000);
}

#endif
