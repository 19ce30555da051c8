/*
 * The operator's questions about this worker's queue. A request is answered in one go, within so
 * many units of work; who asked goes on from where the answer says that it ended. So the queue may
 * be as long as it likes, and no turn is.
 */
#include "workers/connection/admin.h"
#include "engine/log/log.h"
#include "engine/mime/edit.h"
#include "status.h"
#include "workers/connection/filter.h"
#include "workers/connection/operate.h"
#include "workers/connection/queue_internal.h"

/* An entry as the operator sees it. */
struct view {
    struct entry *entry;
    bool read;                /* the envelope was read: */
    struct spool_mail stored; /* valid until something else is */
};

struct walk {
    const struct msg_queue_request *request;
    struct filter filter;
    struct msg_writer page;
    struct ipc_message answer;
    unsigned units;
    bool stop;
};

/* The recipients that the filter means, of the entry looked at. */
static bool matched[LIMIT_RECIPIENTS_MAX];

/* ---- what an entry is ------------------------------------------------------------------- */

static uint8_t state_of(const struct delivery *d)
{
    if (!d)
        return RECIPIENT_QUEUED;
    if (d->state == DELIVERY_ACTIVE)
        return RECIPIENT_ACTIVE;
    if (d->entry->held)
        return RECIPIENT_HELD;
    return d->attempts > 0 || d->state == DELIVERY_BOUNCING ? RECIPIENT_DEFERRED : RECIPIENT_QUEUED;
}

static bool finished(struct worker *w, struct entry *e, uint32_t i)
{
    if (e->mail)
        return recipient_finished(&e->mail->recipients[i]);
    const uint32_t *words = entry_words(w, e);
    return !words || (words[i] & WORD_FINISHED) != 0;
}

/* Between sorting_begin and sorting_end. */
static const struct delivery *delivery_of(struct worker *w, const struct view *v, uint32_t i)
{
    struct entry *e = v->entry;
    if (e->mail)
        return e->mail->recipients[i].delivery;
    if (entry_words(w, e)[i] & WORD_FAILED)
        return entry_bouncing(w, e);
    const struct spool_recipient *r = &v->stored.recipients[i];
    struct destination *dest = destination_find(w, r->route, r->address);
    return dest && dest->sorted ? dest->sorted : e->deliveries;
}

/* Why the recipient waits; valid as long as nothing is done to it. */
static struct span reason_of(struct worker *w, const struct view *v, uint32_t i,
                             const struct delivery *d)
{
    struct entry *e = v->entry;
    struct word_text text;
    struct span reason;
    if (e->mail) {
        reason = mail_span(e->mail, e->mail->recipients[i].reply);
    } else {
        word_read(w, entry_words(w, e)[i], &text);
        reason = text.reply;
    }
    if (d && d->destination && d->destination->suspended && d->state != DELIVERY_ACTIVE)
        return SPAN_LIT("the route is suspended by the operator");
    return reason;
}

static bool read_view(struct worker *w, struct view *v)
{
    struct spool_ref ref = entry_ref(v->entry);
    if (!v->read)
        v->read = spool_stored(&ref) && spool_load_envelope(w->spool, &ref, &v->stored) == SPOOL_OK;
    return v->read;
}

/* ---- listing ---------------------------------------------------------------------------- */

static void put_recipient(struct worker *w, struct msg_writer *p, const struct view *v, uint32_t i)
{
    const struct spool_recipient *r = &v->stored.recipients[i];
    const struct delivery *d = delivery_of(w, v, i);
    msg_put_span(p, r->address);
    msg_put_span(p, r->route);
    msg_put_span(p, r->rule);
    msg_put_u8(p, state_of(d));
    msg_put_u32(p, d ? d->attempts : 0);
    msg_put_u64(p, d ? d->next_attempt : 0);
    msg_put_u64(p, r->expires > 0 ? r->expires : v->stored.expires);
    msg_put_u8(p, r->notify);
    msg_put_u8(p, r->priority);
    msg_put_span(p, r->original);
    msg_put_span(p, r->orcpt);
    msg_put_span(p, r->variant > 0 ? edits_variant(v->stored.edits, r->variant) : SPAN_EMPTY);
    msg_put_span(p, reason_of(w, v, i, d));
}

/* False: it does not fit what is left of the page. Of a mail whose recipients do not fit an empty
 * page as many are shown as do. */
static bool put_mail(struct worker *w, struct walk *walk, const struct view *v, uint32_t recipients)
{
    struct msg_writer *p = &walk->page;
    struct msg_writer begin = *p;
    uint16_t shown = 0;
    msg_put_u64(p, v->entry->id);
    msg_put_u64(p, v->stored.arrival);
    msg_put_u64(p, v->stored.body_size);
    msg_put_u32(p, v->stored.body_flags);
    msg_put_span(p, v->stored.sender);
    msg_put_span(p, v->stored.envid);
    msg_put_span(p, v->stored.client);
    msg_put_span(p, v->stored.helo);
    msg_put_span(p, v->stored.tls);
    msg_put_u16(p, (uint16_t)recipients);
    size_t place = p->n;
    msg_put_u16(p, 0);
    for (uint32_t i = 0; i < v->stored.recipient_count && !p->overflow; i++) {
        struct msg_writer before = *p;
        if (!matched[i])
            continue;
        put_recipient(w, p, v, i);
        if (p->overflow && shown > 0 && begin.n == 0) {
            *p = before;
            break;
        }
        shown++;
    }
    if (p->overflow) {
        *p = begin;
        return false;
    }
    memcpy(p->p + place, &shown, sizeof shown);
    return true;
}

/* ---- one entry -------------------------------------------------------------------------- */

/* All recipients go by that route, and nothing else is asked: without reading the envelope. */
static bool whole_by_route(const struct worker *w, const struct walk *walk, const struct entry *e)
{
    const struct delivery *d = e->deliveries;
    /* Unsorted: its recipients may have other routes by now than its deliveries say. */
    if (e->unsorted || walk->request->action == QUEUE_LIST ||
        !filter_by_route_alone(&walk->filter) || walk->request->action == QUEUE_REDIRECT)
        return false;
    if (walk->filter.route.n == 0)
        return true;
    while (d && d->destination && span_eq(span_str(d->destination->route), walk->filter.route))
        d = delivery_sibling(w, d);
    return d == NULL;
}

/* Nobody can tell whether it is meant: the operator is told that there is one. */
static void unreadable(struct walk *walk, const struct entry *e)
{
    char id[QUEUE_ID_TEXT + 1];
    queue_id_format(e->id, id);
    log_begin(LOG_ERROR, "stored mail unreadable");
    log_text("id", id);
    log_end();
    walk->answer.queue_result.busy++;
}

/* Marks the recipients meant; returns how many, and sets *all when they are all that are left. */
static uint32_t match(struct worker *w, struct walk *walk, struct view *v, bool *all)
{
    struct entry *e = v->entry;
    uint32_t n = 0, left = 0;
    *all = whole_by_route(w, walk, e);
    if (*all)
        return e->left;
    walk->units += LIMIT_ADMIN_READ;
    if (!read_view(w, v)) {
        unreadable(walk, e);
        return 0;
    }
    if (!filter_sender(&walk->filter, v->stored.sender))
        return 0;
    for (uint32_t i = 0; i < v->stored.recipient_count; i++) {
        const struct spool_recipient *r = &v->stored.recipients[i];
        matched[i] = false;
        if (finished(w, e, i))
            continue;
        left++;
        struct span reason =
            walk->filter.reason.n > 0 ? reason_of(w, v, i, delivery_of(w, v, i)) : SPAN_EMPTY;
        matched[i] = filter_recipient(&walk->filter, r->address, r->route, reason);
        n += matched[i];
    }
    *all = n == left;
    return n;
}

static void count(struct walk *walk, enum operated result, uint32_t recipients)
{
    struct msg_queue_result *r = &walk->answer.queue_result;
    if (result == OPERATED_BUSY)
        r->busy++;
    if (result == OPERATED) {
        r->matched++;
        r->recipients += recipients;
    }
}

/* False: the walk ends before this entry. */
static bool look_at(struct worker *w, struct walk *walk, struct entry *e)
{
    struct view v = {.entry = e};
    bool all;
    walk->units++;
    if (!filter_entry(&walk->filter, queue_id_microseconds(e->id),
                      e->mail ? e->mail->size : e->size))
        return true;
    sorting_begin(w, e);
    uint32_t n = match(w, walk, &v, &all);
    bool fits = true;
    if (n > 0 && walk->request->action == QUEUE_LIST)
        fits = put_mail(w, walk, &v, n);
    sorting_end(w, e);
    if (!fits)
        return false;
    if (n == 0)
        return true;
    if (walk->request->action == QUEUE_LIST || walk->request->dry_run) {
        count(walk, OPERATED, n);
        return true;
    }
    struct operation o = {.action = (enum queue_action)walk->request->action,
                          .target = walk->request->target,
                          .matched = matched,
                          .all = all};
    walk->units += LIMIT_ADMIN_READ / 4;
    enum operated result = queue_operate(w, e, &o);
    count(walk, result, n);
    return result != OPERATED_LATER;
}

/* ---- walking ---------------------------------------------------------------------------- */

/* The next id above `after`: of all, or of those that were named. */
static bool next_id(const struct worker *w, const struct walk *walk, uint64_t after, uint64_t *id,
                    uint32_t *number)
{
    struct span ids = walk->request->ids;
    if (ids.n == 0)
        return order_next(&w->queue.order, after, id, number);
    uint64_t best = UINT64_MAX;
    for (size_t i = 0; i + sizeof best <= ids.n; i += sizeof best) {
        uint64_t one;
        memcpy(&one, ids.p + i, sizeof one);
        if (one > after && one < best && order_find(&w->queue.order, one, number))
            best = one;
    }
    *id = best;
    return best != UINT64_MAX && order_find(&w->queue.order, best, number);
}

static const char *refused(const struct worker *w, const struct msg_queue_request *r)
{
    if (!w->serving)
        return "the worker does not serve yet";
    if (r->action >= QUEUE_ACTION_COUNT)
        return "an action that there is not";
    if (r->action != QUEUE_REDIRECT || memchr(r->target.p, '@', r->target.n))
        return NULL;
    return policy_find_route(&w->generations.current->policy, r->target) == POLICY_NONE
               ? "the policy has no such route"
               : NULL;
}

void admin_queue(struct worker *w, const struct msg_queue_request *request)
{
    static unsigned char page[LIMIT_QUEUE_PAGE];
    struct walk walk = {
        .request = request,
        .filter = {.sender = request->sender,
                   .recipient = request->recipient,
                   .route = request->route,
                   .reason = request->reason,
                   .arrived_from = request->arrived_from,
                   .arrived_to = request->arrived_to,
                   .size_min = request->size_min,
                   .size_max = request->size_max},
        .page = {.p = page, .capacity = sizeof page},
        .answer = {.kind = MSG_queue_result},
    };
    struct msg_queue_result *r = &walk.answer.queue_result;
    uint64_t id = request->after;
    uint32_t number;
    const char *why = refused(w, request);
    r->id = request->id;
    r->next = request->after;
    r->refused = why ? span_str(why) : SPAN_EMPTY;
    while (!why && (r->more = next_id(w, &walk, r->next, &id, &number)) != 0 &&
           walk.units < LIMIT_ADMIN_UNITS && r->matched < request->count &&
           look_at(w, &walk, pool_at(&w->queue.entries, number)))
        r->next = id;
    r->mails = span_of(page, walk.page.n);
    link_answer_control(w, &walk.answer);
}
