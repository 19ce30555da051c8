/* The queue as a whole: mails taken and recovered, timers, time that is over. */
#include "workers/connection/queue.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include "engine/pool/reserve.h"
#include "status.h"
#include "workers/connection/import.h"
#include "workers/connection/move.h"
#include "workers/connection/queue_internal.h"
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

int queue_init(struct worker *w, uint64_t memory)
{
    struct queue *q = &w->queue;
    uint64_t seeds[2];
    if (getrandom(seeds, sizeof seeds, 0) != sizeof seeds)
        return -1;
    q->hash_seed = seeds[0];
    q->chance = seeds[0] ^ seeds[1];
    q->budget.limit = memory / 2 > LIMIT_ENVELOPES_MIN ? memory / 2 : LIMIT_ENVELOPES_MIN;
    q->buckets = reserve_memory(sizeof *q->buckets, LIMIT_DESTINATION_BUCKETS);
    if (!q->buckets || pool_init(&q->entries, sizeof(struct entry), LIMIT_QUEUE_MAILS) != 0 ||
        pool_init(&q->mails, sizeof(struct mail), LIMIT_LIVE_MAILS) != 0 ||
        pool_init(&q->deliveries, sizeof(struct delivery), LIMIT_QUEUE_DELIVERIES) != 0 ||
        pool_init(&q->destinations, sizeof(struct destination), LIMIT_DESTINATIONS) != 0 ||
        order_init(&q->order, LIMIT_QUEUE_MAILS) != 0 ||
        texts_init(&q->texts, LIMIT_TEXTS, LIMIT_TEXTS_BYTES, seeds[1]) != 0)
        return -1;
    q->limbo = pool_get(&q->destinations);
    return 0;
}

uint32_t queue_chance(struct worker *w)
{
    uint64_t z = (w->queue.chance += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(z >> 32);
}

static bool pool_has_room(const struct pool *p, uint32_t n)
{
    return p->capacity - p->used >= p->capacity / LIMIT_MEMORY_SHARE + n;
}

bool queue_has_room(const struct worker *w, uint32_t recipients)
{
    return pool_has_room(&w->queue.destinations, recipients) &&
           pool_has_room(&w->queue.deliveries, recipients);
}

/* ---- taking ----------------------------------------------------------------------------- */

static void enter(struct worker *w, struct entry *e, uint64_t id)
{
    e->id = id;
    e->queued = true;
    w->queue.stored += e->length;
    BUG_ON(!order_add(&w->queue.order, id, pool_index(&w->queue.entries, e)));
    counter_add(w->counters, COUNTER_queue_mails, 1);
}

/* A recipient that no delivery could be had for waits with the others of its mail, until that is
 * read back the next time. */
static void assign(struct worker *w, struct mail *m)
{
    struct entry *e = m->entry;
    sorting_begin(w, e);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        r->delivery = sorting_delivery(w, e, mail_span(m, r->route), mail_span(m, r->address));
        m->open++;
        counter_add(w->counters, COUNTER_queue_recipients, 1);
        if (!r->delivery)
            continue;
        delivery_add(r->delivery, recipient_expires(m, r), r->priority);
        if (r->delivery->state == DELIVERY_BOUNCING) {
            r->outcome = OUTCOME_FAILED;
            note_rule_status(m, r);
        }
    }
    sorting_end(w, e);
    if (!e->deliveries) /* queue_has_room was asked before */
        fatal_env(EXIT_OSERR, ENOMEM, "no room for a mail's recipients");
}

void queue_take(struct worker *w, struct mail *m)
{
    struct entry *e = m->entry;
    entry_keep_ref(e, &m->ref);
    enter(w, e, m->id);
    mail_hold(w, m);
    CRASH_POINT(TAKEN);
    assign(w, m);
    for (struct delivery *d = e->deliveries; d; d = delivery_sibling(w, d))
        if (d->state == DELIVERY_WAITING && e->held) /* by a rule, or where it comes from */
            delivery_arm(w, d);
        else if (d->state == DELIVERY_WAITING)
            delivery_ready(w, d);
    struct delivery *failed = entry_bouncing(w, e);
    if (failed)
        delivery_bounce(w, failed);
    if (m->imported)
        import_queued(w, m);
    mail_let_go(w, m);
}

/* ---- recovery --------------------------------------------------------------------------- */

static struct span refusal_status(void)
{
    return SPAN_LIT("5.7.1");
}

/* A recipient without outcome of a mail that was found. */
static uint32_t recover_recipient(struct worker *w, struct entry *e,
                                  const struct spool_mail *stored, unsigned i,
                                  const struct spool_recipient_state *state)
{
    const struct spool_recipient *r = &stored->recipients[i];
    struct delivery *d = sorting_delivery(w, e, r->route, r->address);
    counter_add(w->counters, COUNTER_queue_recipients, 1);
    if (d) {
        delivery_add(d, (int64_t)(r->expires > 0 ? r->expires : stored->expires), r->priority);
        if (d->attempts < state->attempts)
            d->attempts = state->attempts < DELIVERY_ATTEMPTS_MAX
                              ? state->attempts & DELIVERY_ATTEMPTS_MAX
                              : DELIVERY_ATTEMPTS_MAX;
        if (d->next_attempt < state->next_attempt)
            d->next_attempt =
                state->next_attempt < UINT32_MAX ? (uint32_t)state->next_attempt : UINT32_MAX;
    }
    if (r->route.n == 0)
        return WORD_FAILED | word_make(w, refusal_status(), SPAN_EMPTY,
                                       SPAN_LIT("refused by a rule of the policy"));
    return word_make(w, SPAN_EMPTY, SPAN_EMPTY, state->reason) | word_notices(state->notices);
}

void queue_recovered(struct worker *w, const struct spool_recovered *found)
{
    const struct spool_mail *stored = &found->mail;
    struct entry *e = pool_get(&w->queue.entries);
    if (!e)
        fatal_env(EXIT_OSERR, ENOMEM, "the spool has more mails than fit the queue (%d)",
                  LIMIT_QUEUE_MAILS);
    memset(e, 0, sizeof *e);
    entry_keep_ref(e, &found->ref);
    e->body_missing = found->body_missing;
    e->held = stored->held;
    enter(w, e, stored->queue_id);
    uint32_t *words = entry_words(w, e);
    if (!words)
        fatal_env(EXIT_OSERR, ENOMEM, "no memory for the queue");
    sorting_begin(w, e);
    for (unsigned i = 0; i < stored->recipient_count; i++)
        words[i] = found->states[i].finished
                       ? (uint32_t)WORD_FINISHED
                       : recover_recipient(w, e, stored, i, &found->states[i]);
    sorting_end(w, e);
    if (!e->deliveries)
        fatal_env(EXIT_OSERR, ENOMEM, "the spool has more recipients than fit the queue (%d)",
                  LIMIT_QUEUE_DELIVERIES);
    for (struct delivery *d = e->deliveries; d; d = delivery_sibling(w, d))
        delivery_arm(w, d);
}

/* ---- timers ----------------------------------------------------------------------------- */

/* Recipients whose time is over fail; the others go on waiting. */
static void expire(struct worker *w, struct delivery *d)
{
    struct entry *e = d->entry;
    if (!delivery_load(w, d))
        return;
    struct mail *m = e->mail;
    delivery_pin(w, d);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d || recipient_expires(m, r) > wall_seconds(w))
            continue;
        r->outcome = OUTCOME_FAILED;
        if (r->status[0] != '4')
            (void)snprintf(r->status, sizeof r->status, "4.4.7");
        if (r->reply.length == 0)
            recipient_note(m, r, OUTCOME_FAILED, "4.4.7",
                           SPAN_LIT("its time was over before it could be delivered"), SPAN_EMPTY,
                           false);
    }
    delivery_settle(w, d);
    mail_let_go(w, m);
}

void queue_timer(struct worker *w, struct timer *t)
{
    struct delivery *d = timer_owner(t, struct delivery, timer);
    if (d->state == DELIVERY_BOUNCING)
        delivery_bounce(w, d);
    else if (wall_seconds(w) >= d->expires)
        expire(w, d);
    else if (d->state == DELIVERY_READY || d->entry->held || wall_seconds(w) < d->next_attempt)
        delivery_arm(w, d); /* the clock was set, or it was held meanwhile */
    else if (d->destination == w->queue.limbo || d->entry->unsorted) {
        struct entry *e = d->entry;
        if (delivery_load(w, d)) {
            delivery_ready(w, d);
            mail_let_go(w, e->mail);
        }
    } else {
        delivery_ready(w, d);
    }
}

/* ---- attempts --------------------------------------------------------------------------- */

bool queue_begin(struct worker *w, struct delivery *d)
{
    struct entry *e = d->entry;
    timer_cancel(&w->timers, &d->timer);
    d->state = DELIVERY_WAITING; /* in no line */
    if (!delivery_load(w, d))
        return false;
    delivery_pin(w, d);
    d->state = DELIVERY_ACTIVE;
    mail_let_go(w, e->mail);
    return true;
}

void queue_put_back(struct worker *w, struct delivery *d)
{
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].delivery != d)
            continue;
        m->recipients[i].outcome = OUTCOME_NONE;
        m->recipients[i].state = d->attempts > 0 ? RECIPIENT_DEFERRED : RECIPIENT_QUEUED;
    }
    d->state = DELIVERY_WAITING;
    if (!d->entry->held) { /* else since it was begun */
        d->state = DELIVERY_READY;
        ready_push_front(&d->destination->ready, d);
    }
    delivery_arm(w, d);
    delivery_unpin(w, d);
}

void queue_turn(struct worker *w)
{
    struct queue *q = &w->queue;
    park_idle(w);
    move_on(w);
    move_away(w);
    for (unsigned n = 0; n < LIMIT_TURN_DESTINATIONS && queue_busy(q); n++)
        destination_run_next(w);
}
