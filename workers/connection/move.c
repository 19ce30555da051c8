/* Moving mails to the current segment. */
#include "workers/connection/move.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include "workers/connection/operate.h"
#include "workers/connection/queue_internal.h"

bool move_begin(struct worker *w, struct mail *m)
{
    if (mail_load(w, m) != 0)
        return false;
    mail_hold(w, m);
    m->moving = true;
    m->old = m->ref;
    memset(&m->ref, 0, sizeof m->ref);
    CRASH_POINT(MOVE_GATHERED);
    commit_add(w, m);
    return true;
}

static bool to_address(const struct mail *m)
{
    return memchr(m->text + m->target.offset, '@', m->target.length) != NULL;
}

void move_describe(const struct mail *m, struct spool_recipient *r)
{
    if (!to_address(m)) {
        r->route = mail_span(m, m->target);
        return;
    }
    if (r->original.n == 0)
        r->original = r->address;
    r->address = mail_span(m, m->target);
}

void move_deferrals(struct worker *w, struct mail *m)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        /* Without room: then it is tried earlier, should all end before it is tried again. */
        if (r->delivery && (r->delivery->attempts > 0 || r->notices > 0))
            (void)recipient_note_deferral(w, m, i);
    }
}

static void take_redirects(struct mail *m)
{
    bool address = to_address(m);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (!r->redirect)
            continue;
        mail_log(m, LOG_NOTICE, "redirected");
        log_span("recipient", mail_span(m, r->address));
        log_span("route", mail_span(m, r->route));
        log_span("to", mail_span(m, m->target));
        log_end();
        if (!address) {
            r->route = m->target;
            continue;
        }
        if (r->original.length == 0)
            r->original = r->address;
        r->address = m->target;
    }
}

static bool any_redirect(const struct mail *m)
{
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].redirect)
            return true;
    return false;
}

void move_committed(struct worker *w, struct mail *m, bool ok)
{
    struct entry *e = m->entry;
    bool redirects = any_redirect(m);
    m->moving = false;
    CRASH_POINT(MOVE_STORED);
    if (!ok)
        m->ref = m->old;
    else if (redirects)
        take_redirects(m);
    for (uint32_t i = 0; i < m->recipient_count; i++)
        m->recipients[i].redirect = false;
    if (!ok || !redirects) {
        mail_let_go(w, m);
        return;
    }
    /* Its recipients are sorted anew when it is read back. */
    entry_resort(w, e);
}

/* ---- moving on -------------------------------------------------------------------------- */

static void move_one(struct worker *w, struct entry *e)
{
    if (entry_under_way(w, e) || entry_load(w, e) != 0)
        return;
    struct mail *m = e->mail;
    mail_hold(w, m);
    (void)move_begin(w, m);
    mail_let_go(w, m);
}

/* Only where less than half of what the segments hold is mails that are still queued: a million
 * mails that all wait gain nothing by being written again. */
static bool worth_it(const struct worker *w)
{
    uint64_t used = (uint64_t)w->spool_segments * LIMIT_SEGMENT;
    return used / 2 > w->queue.stored + (uint64_t)LIMIT_SPOOL_HELD * LIMIT_SEGMENT / 2;
}

void move_on(struct worker *w)
{
    struct queue *q = &w->queue;
    uint64_t segment = spool_pressed(w->spool);
    unsigned moved = 0;
    if (segment == 0 || w->commit.waiting || w->draining || !worth_it(w))
        return;
    for (unsigned n = 0; n < LIMIT_TURN_LOOKED_AT && moved < LIMIT_TURN_MOVED; n++) {
        uint32_t number;
        if (!order_next(&q->order, q->moved_after, &q->moved_after, &number)) {
            q->moved_after = 0; /* from the beginning, in the next turn */
            return;
        }
        struct entry *e = pool_at(&q->entries, number);
        struct spool_ref ref = entry_ref(e);
        if (ref.segment > segment || ref.segment == 0)
            continue;
        move_one(w, e);
        moved++;
    }
}

/* ---- handing over ----------------------------------------------------------------------- */

static bool goes_by(const struct worker *w, const struct entry *e, const char *route)
{
    const struct delivery *d = e->deliveries;
    while (d && (!d->destination || strcmp(d->destination->route, route) == 0))
        d = delivery_sibling(w, d);
    return d == NULL;
}

void move_away(struct worker *w)
{
    struct queue *q = &w->queue;
    struct operation o = {.action = QUEUE_REDIRECT, .target = span_str(w->empty_to), .all = true};
    unsigned moved = 0;
    if (!w->emptying || w->empty_to[0] == '\0' || w->commit.waiting || w->draining ||
        policy_find_route(&w->generations.current->policy, o.target) == POLICY_NONE)
        return;
    for (unsigned n = 0; n < LIMIT_TURN_LOOKED_AT && moved < LIMIT_TURN_MOVED; n++) {
        uint32_t number;
        if (!order_next(&q->order, q->away_after, &q->away_after, &number)) {
            q->away_after = 0; /* some may have been under way */
            return;
        }
        struct entry *e = pool_at(&q->entries, number);
        if (goes_by(w, e, w->empty_to))
            continue;
        (void)queue_operate(w, e, &o);
        moved++;
    }
}
