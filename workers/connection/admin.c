/* Pages of the queue for `mgictl queue list`. */
#include "workers/connection/admin.h"
#include "status.h"
#include "workers/connection/queue_internal.h"

static uint8_t state_of(const struct delivery *d)
{
    if (!d)
        return RECIPIENT_QUEUED;
    if (d->state == DELIVERY_ACTIVE)
        return RECIPIENT_ACTIVE;
    if (d->entry->held)
        return RECIPIENT_HELD;
    return d->attempts > 0 ? RECIPIENT_DEFERRED : RECIPIENT_QUEUED;
}

static void put_recipient(struct msg_writer *p, const struct spool_recipient *r,
                          const struct delivery *d, struct span reason)
{
    msg_put_span(p, r->address);
    msg_put_span(p, r->route);
    msg_put_span(p, r->rule);
    msg_put_u8(p, state_of(d));
    msg_put_u32(p, d ? d->attempts : 0);
    msg_put_u64(p, d ? d->next_attempt : 0);
    msg_put_span(p, reason);
}

/* Of a mail in memory. */
static const struct delivery *live_recipient(const struct mail *m, uint32_t i, struct span *reason)
{
    *reason = mail_span(m, m->recipients[i].reply);
    return m->recipients[i].delivery;
}

/* Of a parked one: as it would be sorted. */
static const struct delivery *parked_recipient(struct worker *w, struct entry *e,
                                               const struct spool_recipient *r, uint32_t word,
                                               struct span *reason)
{
    struct word_text text;
    struct destination *dest = destination_find(w, r->route, r->address);
    word_read(w, word, &text);
    *reason = text.reply;
    if (word & WORD_FAILED)
        return entry_bouncing(w, e);
    return dest && dest->sorted ? dest->sorted : e->deliveries;
}

/* A mail whose recipients do not fit a page is shown with as many as do. */
static void put_mail(struct worker *w, struct msg_writer *p, struct entry *e)
{
    struct spool_ref ref = entry_ref(e);
    struct spool_mail stored;
    uint32_t *words = e->mail ? NULL : entry_words(w, e);
    uint16_t shown = 0;
    if (spool_load_envelope(w->spool, &ref, &stored) != SPOOL_OK)
        stored = (struct spool_mail){.arrival = queue_id_microseconds(e->id),
                                     .body_size = e->size,
                                     .sender = SPAN_LIT("(the record can't be read)")};
    msg_put_u64(p, e->id);
    msg_put_u64(p, stored.arrival);
    msg_put_u64(p, stored.body_size);
    msg_put_span(p, stored.sender);
    size_t place = p->n;
    msg_put_u16(p, 0);
    sorting_begin(w, e);
    for (uint32_t i = 0; i < stored.recipient_count && !p->overflow; i++) {
        struct msg_writer before = *p;
        struct span reason = SPAN_EMPTY;
        if (e->mail ? recipient_finished(&e->mail->recipients[i])
                    : !words || words[i] & WORD_FINISHED)
            continue;
        const struct delivery *d =
            e->mail ? live_recipient(e->mail, i, &reason)
                    : parked_recipient(w, e, &stored.recipients[i], words[i], &reason);
        put_recipient(p, &stored.recipients[i], d, reason);
        if (p->overflow && shown > 0) {
            *p = before;
            break;
        }
        shown++;
    }
    sorting_end(w, e);
    if (!p->overflow)
        memcpy(p->p + place, &shown, sizeof shown);
}

void admin_queue(struct worker *w, const struct msg_queue_request *request)
{
    static unsigned char page[LIMIT_QUEUE_PAGE];
    struct ipc_message m = {.kind = MSG_queue_result};
    struct msg_writer p = {.p = page, .capacity = sizeof page};
    unsigned count =
        request->count < LIMIT_QUEUE_PAGE_MAILS ? request->count : LIMIT_QUEUE_PAGE_MAILS;
    uint64_t id = request->after;
    uint32_t number;
    bool more = w->serving && order_next(&w->queue.order, id, &id, &number);
    for (unsigned i = 0; i < count && more; i++) {
        struct msg_writer before = p;
        put_mail(w, &p, pool_at(&w->queue.entries, number));
        if (p.overflow) {
            p = before;
            break;
        }
        more = order_next(&w->queue.order, id, &id, &number);
    }
    m.queue_result =
        (struct msg_queue_result){.id = request->id, .more = more, .mails = span_of(page, p.n)};
    link_answer_control(w, &m);
}
