/* Pages of the queue for `mgictl queue list`. */
#include "workers/connection/admin.h"
#include "status.h"
#include "workers/connection/worker.h"
#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
    const struct mail *x = *(struct mail *const *)a;
    const struct mail *y = *(struct mail *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The `count` queued mails of lowest id above `after`, in order; returns how many. The mails lie
 * in no order: one pass keeps the best so far, and sorts them down when twice as many are there. */
static unsigned lowest(struct worker *w, uint64_t after, unsigned count, struct mail **out,
                       bool *more)
{
    unsigned n = 0;
    *more = false;
    for (uint32_t i = 0; i < w->queue.mails.fresh; i++) {
        struct mail *m = pool_at(&w->queue.mails, i);
        if (!m || m->open == 0 || m->id <= after || !spool_stored(&m->ref))
            continue;
        if (n == 2 * count) {
            qsort(out, n, sizeof *out, by_id);
            n = count;
            *more = true;
        }
        out[n++] = m;
    }
    qsort(out, n, sizeof *out, by_id);
    if (n > count) {
        n = count;
        *more = true;
    }
    return n;
}

static void put_recipient(struct msg_writer *p, const struct mail *m, const struct recipient *r)
{
    msg_put_span(p, mail_span(m, r->address));
    msg_put_span(p, mail_span(m, r->route));
    msg_put_span(p, mail_span(m, r->rule));
    msg_put_u8(p, r->state);
    msg_put_u32(p, r->delivery->attempts);
    msg_put_u64(p, r->delivery->next_attempt);
    msg_put_span(p, mail_span(m, r->reply));
}

/* A mail whose recipients do not fit a page is shown with as many as do. */
static void put_mail(struct msg_writer *p, const struct mail *m)
{
    uint16_t shown = 0;
    msg_put_u64(p, m->id);
    msg_put_u64(p, (uint64_t)m->arrival);
    msg_put_u64(p, m->size);
    msg_put_span(p, mail_span(m, m->sender));
    size_t place = p->n;
    msg_put_u16(p, 0);
    for (uint32_t i = 0; i < m->recipient_count && !p->overflow; i++) {
        struct msg_writer before = *p;
        if (!m->recipients[i].delivery)
            continue;
        put_recipient(p, m, &m->recipients[i]);
        if (p->overflow && shown > 0) {
            *p = before;
            break;
        }
        shown++;
    }
    if (!p->overflow)
        memcpy(p->p + place, &shown, sizeof shown);
}

void admin_queue(struct worker *w, const struct msg_queue_request *request)
{
    static unsigned char page[LIMIT_QUEUE_PAGE];
    struct mail *mails[2 * LIMIT_QUEUE_PAGE_MAILS];
    struct ipc_message m = {.kind = MSG_queue_result};
    struct msg_writer p = {.p = page, .capacity = sizeof page};
    unsigned count =
        request->count < LIMIT_QUEUE_PAGE_MAILS ? request->count : LIMIT_QUEUE_PAGE_MAILS;
    bool more = false;
    unsigned n = count > 0 ? lowest(w, request->after, count, mails, &more) : 0;
    for (unsigned i = 0; i < n; i++) {
        struct msg_writer before = p;
        put_mail(&p, mails[i]);
        if (p.overflow) {
            p = before;
            more = true;
            break;
        }
    }
    m.queue_result =
        (struct msg_queue_result){.id = request->id, .more = more, .mails = span_of(page, p.n)};
    link_answer_control(w, &m);
}
