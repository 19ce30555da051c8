/* After an attempt: outcomes noted, recorded in the spool, deferred with back-off or bounced. */
#include "engine/log/log.h"
#include "crash_point.h"
#include "status.h"
#include "workers/connection/bounce.h"
#include "workers/connection/queue_internal.h"
#include <stdio.h>

/* ---- notes ------------------------------------------------------------------------------ */

/* The status that a notification gives for a rule's reply, "550 5.7.1 text": its second word. A
 * recipient taken up at a restart has none, for the spool keeps the rule's name only. */
void note_rule_status(struct mail *m, struct recipient *r)
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

/* ---- records ---------------------------------------------------------------------------- */

void recipient_final(struct worker *w, struct mail *m, struct recipient *r,
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
        CRASH_POINT(DONE_GATHERED);
        recipient_final(w, m, r, state);
    }
    return true;
}

bool recipient_note_deferral(struct worker *w, struct mail *m, uint32_t recipient)
{
    CRASH_POINT(DEFERRED);
    const struct recipient *r = &m->recipients[recipient];
    const struct spool_deferral deferral = {.attempts = r->delivery->attempts,
                                            .notices = r->notices,
                                            .next_attempt = r->delivery->next_attempt,
                                            .reason = mail_span(m, r->reply)};
    return spool_append_defer(w->spool, &m->ref, (uint16_t)recipient, &deferral) == SPOOL_OK;
}

/* The same for those that are tried again. */
static bool record_deferred(struct worker *w, struct delivery *d)
{
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d || r->outcome != OUTCOME_DEFERRED)
            continue;
        if (!recipient_note_deferral(w, m, i))
            return false;
        r->outcome = OUTCOME_NONE;
    }
    return true;
}

/* Moves the recipients whose sender may have to be told to a delivery of their own, which bounces.
 * False: no room. */
static bool split_told(struct worker *w, struct delivery *d)
{
    struct delivery *told = NULL;
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d || (r->outcome != OUTCOME_FAILED && r->outcome != OUTCOME_RELAYED))
            continue;
        if (!told && !(told = entry_bouncing(w, d->entry)) &&
            !(told = delivery_new(w, d->entry, NULL)))
            return false;
        r->delivery = told;
        delivery_add(told, recipient_expires(m, r), r->priority);
        told->attempted |= d->attempted;
        d->recipients--;
    }
    if (told)
        delivery_bounce(w, told);
    return true;
}

/* ---- deferring -------------------------------------------------------------------------- */

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

/* Those that are tried again: when. Those whose time is over by then: failed. */
static void schedule(struct worker *w, struct delivery *d)
{
    struct mail *m = d->mail;
    bool any = false;
    for (uint32_t i = 0; i < m->recipient_count && !any; i++)
        any = m->recipients[i].delivery == d && m->recipients[i].outcome == OUTCOME_DEFERRED;
    if (!any)
        return;
    if (d->attempts < DELIVERY_ATTEMPTS_MAX)
        d->attempts++;
    d->next_attempt = (uint32_t)(wall_seconds(w) + backoff_seconds(w, d));
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d || r->outcome != OUTCOME_DEFERRED)
            continue;
        r->state = RECIPIENT_DEFERRED;
        counter_add(w->counters, COUNTER_deliveries_deferred, 1);
        log_deferred(w, d, r);
        if (d->next_attempt <= recipient_expires(m, r))
            continue;
        r->outcome = OUTCOME_FAILED;
    }
}

/* The first of its recipients whose time is over. */
static void note_expiry(struct delivery *d)
{
    struct mail *m = d->mail;
    d->recipients = 0;
    d->expires = UINT32_MAX;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].delivery == d)
            delivery_add(d, recipient_expires(m, &m->recipients[i]), m->recipients[i].priority);
}

void delivery_settle(struct worker *w, struct delivery *d)
{
    struct mail *m = d->mail;
    if (!record(w, d, OUTCOME_DELIVERED, SPOOL_DELIVERED, RECIPIENT_DELIVERED) ||
        !record_deferred(w, d) || !split_told(w, d)) {
        d->state = DELIVERY_RECORDING;
        delivery_push(&w->queue.unrecorded, d);
        return;
    }
    mail_hold(w, m);
    delivery_unpin(w, d);
    d->state = DELIVERY_WAITING;
    if (d->recipients == 0) {
        delivery_free(w, d);
    } else {
        note_expiry(d);
        delivery_arm(w, d);
        bounce_delayed(w, m);
    }
    mail_let_go(w, m);
}

/* What the attempt says of the destination. */
static void tell_pace(struct worker *w, struct delivery *d, bool delivered, bool answered,
                      bool broken)
{
    struct destination *dest = d->destination;
    struct pace_limits limits = destination_limits(w, dest);
    if (delivered)
        pace_succeeded(&dest->pace, &limits);
    else if (answered)
        pace_answered(&dest->pace);
    if (broken)
        pace_slowed(&dest->pace);
    if (dest->ready.count > 0)
        destination_wake(w, dest);
}

void queue_attempted(struct worker *w, struct delivery *d, struct span why)
{
    struct mail *m = d->mail;
    bool delivered = false, answered = false, broken = false;
    CRASH_POINT(ATTEMPT_OVER);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d)
            continue;
        delivered |= r->outcome == OUTCOME_DELIVERED;
        answered |= r->outcome != OUTCOME_NONE && r->remote;
        broken |= r->outcome == OUTCOME_NONE;
        if (r->outcome == OUTCOME_NONE)
            recipient_note(m, r, OUTCOME_DEFERRED, "4.4.2", why, SPAN_EMPTY, false);
    }
    tell_pace(w, d, delivered, answered, broken && d->attempted);
    schedule(w, d);
    delivery_settle(w, d);
}

void queue_bounced(struct worker *w, struct delivery *d)
{
    struct mail *m = d->mail;
    if (!record(w, d, OUTCOME_REPORTED, SPOOL_BOUNCED, RECIPIENT_FAILED) ||
        !record(w, d, OUTCOME_CONFIRMED, SPOOL_DELIVERED, RECIPIENT_DELIVERED)) {
        d->state = DELIVERY_RECORDING;
        delivery_push(&w->queue.unrecorded, d);
        return;
    }
    d->state = DELIVERY_BOUNCING;
    if (d->recipients > 0) { /* more than one notification names */
        delivery_bounce(w, d);
        return;
    }
    mail_hold(w, m);
    delivery_unpin(w, d);
    delivery_free(w, d);
    mail_let_go(w, m);
}

void queue_retry_records(struct worker *w)
{
    struct delivery_line line = w->queue.unrecorded;
    struct delivery *d;
    memset(&w->queue.unrecorded, 0, sizeof w->queue.unrecorded);
    while ((d = delivery_shift(&line)) != NULL) {
        if (d->destination)
            delivery_settle(w, d);
        else
            queue_bounced(w, d);
    }
}
