/* Hold, release, retry, bounce, delete and redirect of one mail. */
#include "workers/connection/operate.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/connection/move.h"
#include "workers/connection/queue_internal.h"

static void log_operation(const struct worker *w, const struct entry *e, const char *event,
                          uint32_t recipients)
{
    char id[QUEUE_ID_TEXT + 1];
    (void)w;
    queue_id_format(e->id, id);
    log_begin(LOG_NOTICE, event);
    log_text("id", id);
    log_text("by", "operator");
    if (recipients > 0)
        log_number("recipients", recipients);
    log_end();
}

bool delivery_under_way(const struct delivery *d)
{
    /* Pinned though not bouncing: its notification could not be stored, and comes again. */
    return d->state == DELIVERY_ACTIVE || d->state == DELIVERY_RECORDING || d->bouncing ||
           d->pinned;
}

bool entry_under_way(const struct worker *w, const struct entry *e)
{
    if (e->mail && (e->mail->moving || e->mail->delay_notice))
        return true;
    const struct delivery *d = e->deliveries;
    while (d && !delivery_under_way(d))
        d = delivery_sibling(w, d);
    return d != NULL;
}

/* ---- whole mails ------------------------------------------------------------------------ */

static enum operated hold(struct worker *w, struct entry *e, bool held)
{
    struct spool_ref ref = entry_ref(e);
    if (e->held == held)
        return OPERATED_NOTHING;
    if (e->mail && e->mail->moving)
        return OPERATED_LATER;
    if (spool_append_hold(w->spool, &ref, held) != SPOOL_OK)
        return OPERATED_LATER;
    e->held = held;
    log_operation(w, e, held ? "held" : "released", 0);
    for (struct delivery *d = e->deliveries; d; d = delivery_sibling(w, d)) {
        if (delivery_under_way(d) || d->state == DELIVERY_BOUNCING)
            continue;
        delivery_leave_line(d);
        if (!held)
            d->next_attempt = 0;
        delivery_arm(w, d);
    }
    return OPERATED;
}

static enum operated retry(struct worker *w, struct entry *e)
{
    bool any = false;
    if (e->held)
        return OPERATED_NOTHING;
    for (struct delivery *d = e->deliveries; d; d = delivery_sibling(w, d)) {
        if (delivery_under_way(d))
            continue;
        any = true;
        if (d->destination)
            destination_retry(w, d->destination);
        d->next_attempt = 0;
        delivery_arm(w, d); /* READY: for its expiry, as before */
    }
    return any ? OPERATED : OPERATED_BUSY;
}

/* ---- recipients ------------------------------------------------------------------------- */

static uint32_t unfinished(struct worker *w, struct entry *e)
{
    if (e->mail)
        return e->mail->open;
    const uint32_t *words = entry_words(w, e);
    uint32_t n = 0;
    for (unsigned i = 0; words && i < e->recipients; i++)
        n += !(words[i] & WORD_FINISHED);
    return n;
}

/* Without reading anything: a million of them may be meant. */
static enum operated delete_all(struct worker *w, struct entry *e)
{
    struct spool_ref parked = entry_ref(e);
    struct spool_ref *ref = e->mail ? &e->mail->ref : &parked;
    uint32_t n = unfinished(w, e);
    if (spool_append_done(w->spool, ref, SPOOL_ALL_RECIPIENTS, SPOOL_DELETED) != SPOOL_OK)
        return OPERATED_LATER;
    log_operation(w, e, "deleted", n);
    counter_sub(w->counters, COUNTER_queue_recipients, n);
    while (e->deliveries)
        delivery_free(w, e->deliveries);
    if (e->mail)
        e->mail->open = 0;
    entry_end(w, e);
    return OPERATED;
}

static void free_empty_deliveries(struct worker *w, struct entry *e)
{
    struct delivery *next;
    for (struct delivery *d = e->deliveries; d; d = next) {
        next = delivery_sibling(w, d);
        if (d->recipients == 0 && !delivery_under_way(d))
            delivery_free(w, d);
    }
}

/* Is this recipient meant, and can something be done? Sets *busy when it can't. */
static bool within_reach(const struct operation *o, const struct recipient *r, uint32_t i,
                         bool *busy)
{
    if ((!o->all && !o->matched[i]) || recipient_finished(r))
        return false;
    if (!r->delivery || !delivery_under_way(r->delivery))
        return r->delivery != NULL;
    *busy = true;
    return false;
}

static enum operated delete_some(struct worker *w, struct mail *m, const struct operation *o)
{
    bool busy = false;
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (!within_reach(o, r, i, &busy))
            continue;
        if (spool_append_done(w->spool, &m->ref, (uint16_t)i, SPOOL_DELETED) != SPOOL_OK)
            return OPERATED_LATER;
        recipient_final(w, m, r, RECIPIENT_FAILED);
        n++;
    }
    if (n > 0)
        log_operation(w, m->entry, "deleted", n);
    free_empty_deliveries(w, m->entry);
    return busy ? OPERATED_BUSY : OPERATED;
}

static enum operated bounce_some(struct worker *w, struct mail *m, const struct operation *o)
{
    bool busy = false;
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (!within_reach(o, r, i, &busy) || r->delivery->state == DELIVERY_BOUNCING)
            continue;
        recipient_note(m, r, OUTCOME_FAILED, "5.0.0", SPAN_LIT("returned by the operator"),
                       SPAN_EMPTY, false);
        n++;
    }
    if (n > 0)
        log_operation(w, m->entry, "returned", n);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->outcome != OUTCOME_FAILED || !r->delivery ||
            r->delivery->state == DELIVERY_BOUNCING || delivery_under_way(r->delivery))
            continue;
        struct delivery *d = r->delivery;
        delivery_pin(w, d);
        delivery_settle(w, d);
    }
    return busy ? OPERATED_BUSY : OPERATED;
}

/* The envelope's new form is stored before the old one is let go (move.h). */
static enum operated redirect(struct worker *w, struct mail *m, const struct operation *o)
{
    bool busy = entry_under_way(w, m->entry);
    bool any = false;
    if (busy || !mail_put(m, o->target, &m->target))
        return OPERATED_BUSY;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        r->redirect = within_reach(o, r, i, &busy) && r->delivery->state != DELIVERY_BOUNCING;
        any |= r->redirect;
    }
    if (!any)
        return OPERATED_NOTHING;
    if (move_begin(w, m))
        return OPERATED;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        m->recipients[i].redirect = false;
    return OPERATED_BUSY;
}

enum operated queue_operate(struct worker *w, struct entry *e, const struct operation *o)
{
    if (o->action == QUEUE_HOLD || o->action == QUEUE_RELEASE)
        return hold(w, e, o->action == QUEUE_HOLD);
    if (o->action == QUEUE_RETRY)
        return retry(w, e);
    if (e->mail && e->mail->moving)
        return OPERATED_LATER; /* until the next commit */
    if (o->action == QUEUE_DELETE && o->all && !entry_under_way(w, e))
        return delete_all(w, e);
    if (entry_load(w, e) != 0)
        return OPERATED_BUSY;
    struct mail *m = e->mail;
    enum operated result;
    mail_hold(w, m);
    if (o->action == QUEUE_DELETE)
        result = delete_some(w, m, o);
    else if (o->action == QUEUE_BOUNCE)
        result = bounce_some(w, m, o);
    else
        result = redirect(w, m, o);
    mail_let_go(w, m);
    return result;
}
