/* Deliveries: making, sorting recipients to them, lines, timers. */
#include "workers/connection/bounce.h"
#include "workers/connection/queue_internal.h"
#include "priority.h"
#include "status.h"

/* ---- lines ------------------------------------------------------------------------------ */

void delivery_push(struct delivery_line *line, struct delivery *d)
{
    d->next = NULL;
    d->previous = line->last;
    if (line->last)
        line->last->next = d;
    else
        line->first = d;
    line->last = d;
    line->count++;
}

void delivery_push_front(struct delivery_line *line, struct delivery *d)
{
    d->previous = NULL;
    d->next = line->first;
    if (line->first)
        line->first->previous = d;
    else
        line->last = d;
    line->first = d;
    line->count++;
}

void delivery_remove(struct delivery_line *line, struct delivery *d)
{
    if (d->previous)
        d->previous->next = d->next;
    else
        line->first = d->next;
    if (d->next)
        d->next->previous = d->previous;
    else
        line->last = d->previous;
    d->next = d->previous = NULL;
    line->count--;
}

struct delivery *delivery_shift(struct delivery_line *line)
{
    struct delivery *d = line->first;
    if (d)
        delivery_remove(line, d);
    return d;
}

/* ---- ready ------------------------------------------------------------------------------ */

static struct delivery_line *line_of(struct ready *r, const struct delivery *d)
{
    return &r->lines[2 * d->urgency + !d->late];
}

void ready_push(struct ready *r, struct delivery *d)
{
    d->late = d->attempts > 0;
    delivery_push(line_of(r, d), d);
    r->count++;
}

void ready_push_front(struct ready *r, struct delivery *d)
{
    d->late = d->attempts > 0;
    delivery_push_front(line_of(r, d), d);
    r->count++;
}

void ready_remove(struct ready *r, struct delivery *d)
{
    delivery_remove(line_of(r, d), d);
    r->count--;
}

static struct delivery *shift_line(struct ready *r, unsigned line)
{
    struct delivery *d = delivery_shift(&r->lines[line]);
    r->count -= d != NULL;
    return d;
}

struct delivery *ready_shift(struct ready *r)
{
    struct delivery *d = NULL;
    if (++r->taken % READY_OTHER == 0) {
        /* The others by turns. */
        unsigned first = r->taken / READY_OTHER % READY_LINES;
        for (unsigned i = 0; i < READY_LINES && !d; i++)
            d = shift_line(r, (first + i) % READY_LINES);
        return d;
    }
    for (unsigned i = READY_LINES; i-- > 0 && !d;)
        d = shift_line(r, i);
    return d;
}

static struct delivery *shift_kind(struct ready *r, unsigned kind)
{
    struct delivery *d = NULL;
    for (unsigned i = READY_URGENCIES; i-- > 0 && !d;)
        d = shift_line(r, 2 * i + kind);
    return d;
}

struct delivery *ready_shift_first_timer(struct ready *r)
{
    return shift_kind(r, 1);
}

struct delivery *ready_shift_late(struct ready *r)
{
    return shift_kind(r, 0);
}

/* ---- of an entry ------------------------------------------------------------------------ */

struct delivery *delivery_sibling(const struct worker *w, const struct delivery *d)
{
    return d->sibling == 0 ? NULL : pool_at(&w->queue.deliveries, d->sibling - 1);
}

static uint32_t number_of(const struct worker *w, const struct delivery *d)
{
    return d ? pool_index(&w->queue.deliveries, d) + 1 : 0;
}

struct delivery *delivery_new(struct worker *w, struct entry *e, struct destination *dest)
{
    struct delivery *d = pool_get(&w->queue.deliveries);
    if (!d)
        return NULL;
    memset(d, 0, sizeof *d);
    d->entry = e;
    d->mail = e->mail;
    d->destination = dest;
    d->state = dest ? DELIVERY_WAITING : DELIVERY_BOUNCING;
    d->expires = UINT32_MAX;
    d->timer.kind = TIMER_DELIVERY;
    d->sibling = number_of(w, e->deliveries);
    e->deliveries = d;
    if (dest)
        dest->deliveries++;
    return d;
}

void delivery_leave_line(struct delivery *d)
{
    if (d->state != DELIVERY_READY)
        return;
    ready_remove(&d->destination->ready, d);
    d->state = DELIVERY_WAITING;
}

static void leave_entry(struct worker *w, struct delivery *d)
{
    struct entry *e = d->entry;
    if (e->deliveries == d) {
        e->deliveries = delivery_sibling(w, d);
        return;
    }
    struct delivery *before = e->deliveries;
    while (delivery_sibling(w, before) != d)
        before = delivery_sibling(w, before);
    before->sibling = d->sibling;
}

void delivery_free(struct worker *w, struct delivery *d)
{
    BUG_ON(d->pinned);
    delivery_leave_line(d);
    timer_cancel(&w->timers, &d->timer);
    leave_entry(w, d);
    if (d->destination) {
        d->destination->deliveries--;
        destination_rest(w, d->destination);
    }
    pool_put(&w->queue.deliveries, d);
}

bool entry_has(const struct worker *w, const struct entry *e, const struct delivery *d)
{
    const struct delivery *one = e->deliveries;
    while (one && one != d)
        one = delivery_sibling(w, one);
    return one != NULL;
}

struct delivery *entry_bouncing(const struct worker *w, const struct entry *e)
{
    struct delivery *d = e->deliveries;
    while (d && (d->state != DELIVERY_BOUNCING || d->bouncing))
        d = delivery_sibling(w, d);
    return d;
}

/* ---- sorting ---------------------------------------------------------------------------- */

/* A destination points to the delivery that the entry has for it, while its recipients are sorted:
 * so that ten thousand recipients with as many destinations take no longer than that. */
void sorting_begin(struct worker *w, struct entry *e)
{
    for (struct delivery *d = e->deliveries; d; d = delivery_sibling(w, d))
        if (d->destination)
            d->destination->sorted = d;
}

void sorting_end(struct worker *w, struct entry *e)
{
    for (struct delivery *d = e->deliveries; d; d = delivery_sibling(w, d))
        if (d->destination)
            d->destination->sorted = NULL;
}

struct delivery *sorting_delivery(struct worker *w, struct entry *e, struct span route,
                                  struct span address)
{
    if (route.n == 0) {
        struct delivery *failed = entry_bouncing(w, e);
        return failed ? failed : delivery_new(w, e, NULL);
    }
    struct destination *dest = destination_for(w, route, address);
    if (!dest)
        dest = w->queue.limbo;
    if (!dest->sorted)
        dest->sorted = delivery_new(w, e, dest);
    return dest->sorted;
}

void delivery_add(struct delivery *d, int64_t expires, unsigned priority)
{
    uint32_t second = expires < 0 ? 0 : expires > UINT32_MAX ? UINT32_MAX : (uint32_t)expires;
    d->recipients++;
    if (second < d->expires)
        d->expires = second;
    unsigned urgency = priority == PRIORITY_HIGH ? 2 : priority == PRIORITY_LOW ? 0 : 1;
    if (urgency > d->urgency && d->state != DELIVERY_READY)
        d->urgency = urgency & 3;
}

/* ---- in memory, timed, ready ------------------------------------------------------------ */

void delivery_pin(struct worker *w, struct delivery *d)
{
    delivery_leave_line(d);
    timer_cancel(&w->timers, &d->timer);
    if (!d->pinned)
        mail_hold(w, d->mail);
    d->pinned = true;
}

void delivery_unpin(struct worker *w, struct delivery *d)
{
    struct mail *m = d->mail;
    if (!d->pinned)
        return;
    d->pinned = false;
    mail_let_go(w, m);
}

/* Microseconds of the monotonic clock at which that second of the wall clock comes. */
static uint64_t monotonic_at(const struct worker *w, uint64_t seconds)
{
    int64_t ahead = (int64_t)seconds * 1000000 - w->wall;
    return ahead > 0 ? w->now + (uint64_t)ahead : w->now;
}

/* Nothing waits longer than the policy's longest wait with its jitter: a next attempt that is
 * further ahead is of another policy, or of a clock that was set back. */
static void bound_wait(const struct worker *w, struct delivery *d)
{
    uint64_t longest = w->generations.current->settings.retry_max;
    longest += longest / 8 + wall_seconds(w) + 1;
    if (d->next_attempt > longest)
        d->next_attempt = (uint32_t)longest;
}

void delivery_arm(struct worker *w, struct delivery *d)
{
    bound_wait(w, d);
    uint32_t at = d->state == DELIVERY_BOUNCING ? 0 : d->expires;
    if (d->state == DELIVERY_WAITING && !d->entry->held && d->next_attempt < at)
        at = d->next_attempt;
    BUG_ON(!timer_arm(&w->timers, &d->timer, monotonic_at(w, at)));
}

void delivery_put_off(struct worker *w, struct delivery *d, unsigned seconds)
{
    /* By the id, so that they do not all return at once. */
    uint64_t later = seconds * UINT64_C(1000000);
    later += d->entry->id / QUEUE_ID_SHARDS % (later / 2);
    BUG_ON(!timer_arm(&w->timers, &d->timer, w->now + later));
}

void delivery_ready(struct worker *w, struct delivery *d)
{
    struct destination *dest = d->destination;
    if (dest == w->queue.limbo) {
        delivery_put_off(w, d, LIMIT_LIMBO_SECONDS);
        return;
    }
    d->state = DELIVERY_READY;
    ready_push(&dest->ready, d);
    delivery_arm(w, d);
    destination_wake(w, dest);
}

void delivery_bounce(struct worker *w, struct delivery *d)
{
    struct entry *e = d->entry;
    if (d->bouncing)
        return;
    if (!delivery_load(w, d))
        return;
    struct mail *m = e->mail;
    delivery_pin(w, d);
    bounce_begin(w, d);
    if (entry_has(w, e, d) && d->state == DELIVERY_BOUNCING && !d->bouncing)
        delivery_unpin(w, d); /* tried again by its timer */
    mail_let_go(w, m);
}
