/* Deliveries: made when a mail is taken, settled after an attempt, timed for the next. */
#include "workers/connection/queue.h"
#include "engine/log/log.h"
#include "engine/pool/reserve.h"
#include "status.h"
#include "workers/connection/bounce.h"
#include "workers/connection/destination.h"
#include "workers/connection/worker.h"
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

int queue_init(struct worker *w)
{
    struct queue *q = &w->queue;
    q->buckets = reserve_memory(sizeof *q->buckets, LIMIT_DESTINATION_BUCKETS);
    if (!q->buckets || pool_init(&q->mails, sizeof(struct mail), LIMIT_QUEUE_MAILS) != 0 ||
        pool_init(&q->deliveries, sizeof(struct delivery), LIMIT_QUEUE_DELIVERIES) != 0 ||
        pool_init(&q->destinations, sizeof(struct destination), LIMIT_DESTINATIONS) != 0)
        return -1;
    return getrandom(&q->hash_seed, sizeof q->hash_seed, 0) == sizeof q->hash_seed ? 0 : -1;
}

/* ---- lines ------------------------------------------------------------------------------ */

void delivery_push(struct delivery_line *line, struct delivery *d)
{
    d->next = NULL;
    if (line->last)
        line->last->next = d;
    else
        line->first = d;
    line->last = d;
    line->count++;
}

void delivery_push_front(struct delivery_line *line, struct delivery *d)
{
    d->next = line->first;
    line->first = d;
    if (!line->last)
        line->last = d;
    line->count++;
}

struct delivery *delivery_shift(struct delivery_line *line)
{
    struct delivery *d = line->first;
    if (!d)
        return NULL;
    line->first = d->next;
    if (!line->first)
        line->last = NULL;
    line->count--;
    return d;
}

/* ---- making ----------------------------------------------------------------------------- */

static struct delivery *delivery_new(struct worker *w, struct mail *m)
{
    struct delivery *d = pool_get(&w->queue.deliveries);
    if (!d)
        return NULL;
    memset(d, 0, sizeof *d);
    d->mail = m;
    d->timer.kind = TIMER_DELIVERY;
    m->holders++;
    return d;
}

static void mail_let_go(struct worker *w, struct mail *m)
{
    if (--m->holders > 0)
        return;
    BUG_ON(m->open > 0);
    counter_sub(w->counters, COUNTER_queue_mails, 1);
    mail_free(w, m);
}

static void delivery_free(struct worker *w, struct delivery *d)
{
    struct mail *m = d->mail;
    timer_cancel(&w->timers, &d->timer);
    pool_put(&w->queue.deliveries, d);
    mail_let_go(w, m);
}

/* The mail's delivery to that destination; a new one is WAITING, and not yet timed. */
static struct delivery *delivery_for(struct worker *w, struct mail *m, struct destination *dest)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct delivery *d = m->recipients[i].delivery;
        if (d && d->destination == dest)
            return d;
    }
    struct delivery *d = delivery_new(w, m);
    if (!d)
        return NULL;
    d->destination = dest;
    d->state = DELIVERY_WAITING;
    dest->deliveries++;
    return d;
}

/* Recipients that a rule refused after the content was seen go to one delivery that bounces. */
static struct delivery *refused_delivery(struct worker *w, struct mail *m)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct delivery *d = m->recipients[i].delivery;
        if (d && d->state == DELIVERY_BOUNCING)
            return d;
    }
    struct delivery *d = delivery_new(w, m);
    if (d)
        d->state = DELIVERY_BOUNCING;
    return d;
}

/* The status that a notification gives for a rule's reply, "550 5.7.1 text": its second word. A
 * recipient taken up at a restart has none, for the spool keeps the rule's name only. */
static void note_rule_status(struct mail *m, struct recipient *r)
{
    struct span reply = mail_span(m, r->reply);
    struct span status = span_from(reply, reply.n < 4 ? reply.n : 4);
    const unsigned char *end = status.n > 0 ? memchr(status.p, ' ', status.n) : NULL;
    size_t n = end ? (size_t)(end - status.p) : status.n;
    if (n > 0 && n < sizeof r->status)
        (void)snprintf(r->status, sizeof r->status, "%.*s", (int)n, (const char *)status.p);
    else
        (void)snprintf(r->status, sizeof r->status, "5.7.1");
    if (reply.n == 0)
        (void)mail_put(m, SPAN_LIT("refused by a rule of the policy"), &r->reply);
}

static struct delivery *assign(struct worker *w, struct mail *m, struct recipient *r)
{
    struct delivery *d;
    if (r->route.length == 0) {
        d = refused_delivery(w, m);
        r->outcome = OUTCOME_FAILED;
        note_rule_status(m, r);
    } else {
        struct destination *dest =
            destination_for(w, mail_span(m, r->route), mail_span(m, r->address));
        d = dest ? delivery_for(w, m, dest) : NULL;
    }
    /* The pools hold as many as there can be mails; a mail for very many domains may exhaust
     * them. It is in the spool: the next start takes it up again. */
    if (!d)
        return NULL;
    r->delivery = d;
    d->recipients++;
    m->open++;
    counter_add(w->counters, COUNTER_queue_recipients, 1);
    return d;
}

static void make_ready(struct worker *w, struct delivery *d)
{
    timer_cancel(&w->timers, &d->timer);
    d->state = DELIVERY_READY;
    delivery_push(&d->destination->ready, d);
    destination_run(w, d->destination);
}

/* Microseconds of the monotonic clock at which that second of the wall clock comes. */
static uint64_t monotonic_at(const struct worker *w, uint64_t seconds)
{
    int64_t ahead = (int64_t)seconds * 1000000 - w->wall;
    return ahead > 0 ? w->now + (uint64_t)ahead : w->now;
}

static void arm(struct worker *w, struct delivery *d)
{
    BUG_ON(!timer_arm(&w->timers, &d->timer, monotonic_at(w, d->next_attempt)));
}

/* Each delivery once, though several recipients lead to it. */
static void start_deliveries(struct worker *w, struct mail *m)
{
    m->holders++; /* so that the mail outlives a delivery that ends at once */
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct delivery *d = m->recipients[i].delivery;
        if (!d || timer_armed(&d->timer))
            continue;
        if (d->state == DELIVERY_BOUNCING)
            bounce_begin(w, d);
        else if (d->state == DELIVERY_WAITING)
            arm(w, d);
    }
    mail_let_go(w, m);
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

static void log_kept(const struct mail *m)
{
    mail_log(m, LOG_ERROR, "kept for the next start");
    log_text("reason", "no memory for as many destinations");
    log_end();
}

void queue_take(struct worker *w, struct mail *m)
{
    bool complete = true;
    counter_add(w->counters, COUNTER_queue_mails, 1);
    m->holders++;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        complete = assign(w, m, &m->recipients[i]) && complete;
    if (!complete)
        log_kept(m);
    if (worker_short_of_memory(w))
        mail_forget_content(w, m);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct delivery *d = m->recipients[i].delivery;
        if (d && d->state == DELIVERY_WAITING && !timer_armed(&d->timer))
            make_ready(w, d);
        else if (d && d->state == DELIVERY_BOUNCING)
            bounce_begin(w, d);
    }
    mail_let_go(w, m);
}

/* ---- recovery --------------------------------------------------------------------------- */

static bool recover_envelope(struct mail *m, const struct spool_mail *stored)
{
    if (!mail_put(m, stored->sender, &m->sender) || !mail_put(m, stored->client, &m->client) ||
        !mail_put(m, stored->helo, &m->helo) || !mail_put(m, stored->tls, &m->tls) ||
        !mail_put(m, stored->envid, &m->envid))
        return false;
    for (unsigned i = 0; i < stored->recipient_count; i++) {
        const struct spool_recipient *from = &stored->recipients[i];
        struct recipient *r = mail_add_recipient(m);
        if (!r || !mail_put(m, from->address, &r->address) ||
            !mail_put(m, from->route, &r->route) || !mail_put(m, from->rule, &r->rule) ||
            !mail_put(m, from->original, &r->original) || !mail_put(m, from->orcpt, &r->orcpt))
            return false;
        r->expires = (int64_t)from->expires;
        r->notify = from->notify;
        r->priority = from->priority;
    }
    return true;
}

void queue_recovered(struct worker *w, const struct spool_recovered *found)
{
    struct mail *m = mail_new(w);
    if (!m)
        fatal_env(EXIT_OSERR, ENOMEM, "the spool has more mails than fit the queue (%d)",
                  LIMIT_QUEUE_MAILS);
    m->id = found->mail.queue_id;
    m->arrival = (int64_t)found->mail.arrival;
    m->expires = (int64_t)found->mail.expires;
    m->flags = found->mail.body_flags;
    m->size = found->mail.body_size;
    m->body_crc = found->ref.body_crc;
    m->ref = found->ref;
    m->body_missing = found->body_missing;
    if (!recover_envelope(m, &found->mail))
        fatal_env(EXIT_OSERR, ENOMEM, "no memory for the queue");
    counter_add(w->counters, COUNTER_queue_mails, 1);
    bool complete = true;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct spool_recipient_state *state = &found->states[i];
        struct recipient *r = &m->recipients[i];
        if (state->finished)
            continue;
        if (!assign(w, m, r)) {
            complete = false; /* stays in the spool; what can be delivered makes room */
            continue;
        }
        r->state = state->attempts > 0 ? RECIPIENT_DEFERRED : RECIPIENT_QUEUED;
        r->notices = state->notices;
        if (r->delivery->attempts < state->attempts)
            r->delivery->attempts = state->attempts;
        if (r->delivery->next_attempt < state->next_attempt)
            r->delivery->next_attempt = state->next_attempt;
        if (state->reason.n > 0)
            (void)mail_put(m, state->reason, &r->reply);
    }
    if (!complete)
        log_kept(m);
}

void queue_start(struct worker *w)
{
    for (uint32_t i = 0; i < w->queue.mails.fresh; i++) {
        struct mail *m = pool_at(&w->queue.mails, i);
        if (m && spool_stored(&m->ref))
            start_deliveries(w, m);
    }
}

void queue_timer(struct worker *w, struct timer *t)
{
    struct delivery *d = timer_owner(t, struct delivery, timer);
    if (d->state == DELIVERY_BOUNCING)
        bounce_begin(w, d);
    else if (d->state == DELIVERY_WAITING)
        make_ready(w, d);
}

/* ---- after an attempt ------------------------------------------------------------------- */

void recipient_note(struct mail *m, struct recipient *r, enum recipient_outcome outcome,
                    const char *status, struct span reply, struct span relay, bool remote)
{
    r->outcome = (uint8_t)outcome;
    r->remote = remote;
    (void)snprintf(r->status, sizeof r->status, "%s", status);
    /* A mail that is deferred often must not grow with every reply: a text of the same length or
     * shorter takes the place of the one before. */
    struct mail_text *slots[] = {&r->reply, &r->relay};
    struct span texts[] = {span_head(reply, LIMIT_REASON), span_head(relay, LIMIT_DOMAIN)};
    for (size_t i = 0; i < 2; i++) {
        if (texts[i].n <= slots[i]->length) {
            memmove(m->text + slots[i]->offset, texts[i].p, texts[i].n);
            slots[i]->length = (uint32_t)texts[i].n;
        } else if (!mail_put(m, texts[i], slots[i])) {
            slots[i]->length = 0;
        }
    }
}

static void recipient_final(struct worker *w, struct mail *m, struct recipient *r,
                            enum recipient_state state)
{
    r->state = (uint8_t)state;
    r->delivery->recipients--;
    r->delivery = NULL;
    m->open--;
    counter_sub(w->counters, COUNTER_queue_recipients, 1);
}

/* Records every recipient of the delivery with that outcome. False: the batch is full. */
static bool record(struct worker *w, struct delivery *d, enum recipient_outcome outcome,
                   enum spool_outcome stored, enum recipient_state state)
{
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d || r->outcome != outcome)
            continue;
        if (spool_append_done(w->spool, &m->ref, (uint16_t)i, stored) != SPOOL_OK)
            return false;
        recipient_final(w, m, r, state);
    }
    return true;
}

/* Moves the failed recipients to a delivery of their own, which bounces. */
static bool split_failed(struct worker *w, struct delivery *d)
{
    struct delivery *failed = NULL;
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d || r->outcome != OUTCOME_FAILED)
            continue;
        if (!failed && !(failed = delivery_new(w, m)))
            return false;
        failed->state = DELIVERY_BOUNCING;
        r->delivery = failed;
        failed->recipients++;
        d->recipients--;
    }
    if (failed)
        bounce_begin(w, failed);
    return true;
}

static uint64_t backoff_seconds(const struct worker *w, const struct delivery *d)
{
    const struct policy_settings *s = &w->generations.current->settings;
    unsigned doublings = d->attempts > 0 ? d->attempts - 1 : 0;
    uint64_t delay = s->retry_first;
    while (doublings-- > 0 && delay < s->retry_max)
        delay *= 2;
    if (delay > s->retry_max)
        delay = s->retry_max;
    /* Up to an eighth more, by the id, so that mails deferred together do not return together. */
    return delay + d->mail->id / QUEUE_ID_SHARDS % (delay / 8 + 1);
}

static void log_deferred(const struct worker *w, const struct delivery *d,
                         const struct recipient *r)
{
    const struct mail *m = d->mail;
    mail_log(m, LOG_NOTICE, "deferred");
    log_span("recipient", mail_span(m, r->address));
    log_span("route", mail_span(m, r->route));
    log_span("rule", mail_span(m, r->rule));
    log_span("relay", mail_span(m, r->relay));
    log_span("reason", mail_span(m, r->reply));
    log_number("attempts", d->attempts);
    log_number("next", (int64_t)(d->next_attempt - (uint64_t)(w->wall / 1000000)));
    log_end();
}

/* Is the mail's content needed in memory: being sent for a destination, or about to be? */
static bool content_wanted(const struct mail *m)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct delivery *d = m->recipients[i].delivery;
        if (d && (d->state == DELIVERY_READY || d->state == DELIVERY_ACTIVE))
            return true;
    }
    return false;
}

static void defer_rest(struct worker *w, struct delivery *d)
{
    struct mail *m = d->mail;
    uint64_t wall = (uint64_t)(w->wall / 1000000);
    d->attempts++;
    d->next_attempt = wall + backoff_seconds(w, d);
    bool expired = (int64_t)d->next_attempt > m->expires;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d)
            continue;
        r->state = RECIPIENT_DEFERRED;
        counter_add(w->counters, COUNTER_deliveries_deferred, 1);
        log_deferred(w, d, r);
        if (expired) {
            r->outcome = OUTCOME_FAILED;
            (void)snprintf(r->status, sizeof r->status, "4.4.7");
            continue;
        }
        r->outcome = OUTCOME_NONE;
        /* Without room in the batch only a restart would ask a little too early. */
        const struct spool_deferral deferral = {.attempts = d->attempts,
                                                .notices = r->notices,
                                                .next_attempt = d->next_attempt,
                                                .reason = mail_span(m, r->reply)};
        (void)spool_append_defer(w->spool, &m->ref, (uint16_t)i, &deferral);
    }
    d->state = DELIVERY_WAITING;
    if (!content_wanted(m))
        mail_forget_content(w, m);
    if (expired) {
        timer_cancel(&w->timers, &d->timer);
        d->destination->deliveries--;
        destination_rest(w, d->destination);
        d->destination = NULL;
        d->state = DELIVERY_BOUNCING;
        bounce_begin(w, d);
        return;
    }
    arm(w, d);
}

/* Can be called again until the spool has taken everything. */
static void settle(struct worker *w, struct delivery *d)
{
    if (!record(w, d, OUTCOME_DELIVERED, SPOOL_DELIVERED, RECIPIENT_DELIVERED) ||
        !split_failed(w, d)) {
        d->state = DELIVERY_RECORDING;
        delivery_push(&w->queue.unrecorded, d);
        return;
    }
    if (d->recipients > 0) {
        defer_rest(w, d);
        return;
    }
    if (!content_wanted(d->mail)) /* what is left of the mail waits */
        mail_forget_content(w, d->mail);
    d->destination->deliveries--;
    destination_rest(w, d->destination);
    delivery_free(w, d);
}

void queue_attempted(struct worker *w, struct delivery *d, struct span why)
{
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery == d && r->outcome == OUTCOME_NONE)
            recipient_note(m, r, OUTCOME_DEFERRED, "4.4.2", why, SPAN_EMPTY, false);
    }
    settle(w, d);
}

void queue_put_back(struct delivery *d)
{
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].delivery != d)
            continue;
        m->recipients[i].outcome = OUTCOME_NONE;
        m->recipients[i].state = d->attempts > 0 ? RECIPIENT_DEFERRED : RECIPIENT_QUEUED;
    }
    d->state = DELIVERY_READY;
    delivery_push_front(&d->destination->ready, d);
}

void queue_bounced(struct worker *w, struct delivery *d)
{
    if (!record(w, d, OUTCOME_REPORTED, SPOOL_BOUNCED, RECIPIENT_FAILED)) {
        d->state = DELIVERY_RECORDING;
        delivery_push(&w->queue.unrecorded, d);
        return;
    }
    d->state = DELIVERY_BOUNCING;
    if (d->recipients > 0) /* more than one notification names */
        bounce_begin(w, d);
    else
        delivery_free(w, d);
}

void queue_retry_records(struct worker *w)
{
    struct delivery_line line = w->queue.unrecorded;
    struct delivery *d;
    memset(&w->queue.unrecorded, 0, sizeof w->queue.unrecorded);
    while ((d = delivery_shift(&line)) != NULL) {
        if (d->destination)
            settle(w, d);
        else
            queue_bounced(w, d);
    }
}
