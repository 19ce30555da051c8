/* Content out, mails in: the operator's export and import. */
#include "workers/connection/import.h"
#include "engine/log/log.h"
#include "engine/mime/edit.h"
#include "engine/smtp/address.h"
#include "priority.h"
#include "status.h"
#include "workers/connection/large.h"
#include "workers/connection/queue_internal.h"
#include "workers/connection/transaction.h"
#include <stdlib.h>

/* ---- export ----------------------------------------------------------------------------- */

/* The content from `offset` on; *n bytes. Why not, or NULL. */
static const char *read_piece(struct worker *w, const struct spool_ref *ref, uint64_t offset,
                              unsigned char *out, size_t *n)
{
    static uint64_t running_id, running_offset; /* a large mail's CRC, while it is read in order */
    static uint32_t running_crc;
    struct spool_ref own = *ref;
    struct spool_mail stored;
    if (spool_load_record(w->spool, &own, &stored) != SPOOL_OK)
        return "the stored mail is damaged";
    if (!stored.large) {
        struct span body = stored.body_count > 0
                               ? span_of(stored.body[0].iov_base, stored.body[0].iov_len)
                               : SPAN_EMPTY;
        body = span_head(span_from(body, (size_t)offset), LIMIT_CONTENT);
        memcpy(out, body.p, body.n);
        *n = body.n;
        return NULL;
    }
    ssize_t got = spool_read(w->spool, &own, offset, out, LIMIT_CONTENT);
    if (got < 0)
        return "the stored mail can't be read";
    /* Two exports at once break each other's run: then nothing can be said of the whole. */
    bool follows = offset == 0 || (running_id == ref->queue_id && running_offset == offset);
    running_id = follows ? ref->queue_id : 0;
    running_crc = offset == 0 ? 0 : running_crc;
    running_crc = spool_crc(running_crc, span_of(out, (size_t)got));
    running_offset = offset + (size_t)got;
    *n = (size_t)got;
    return follows && running_offset == stored.body_size && running_crc != stored.body_crc
               ? "the stored mail is damaged"
               : NULL;
}

void export_content(struct worker *w, const struct msg_content_request *request)
{
    static unsigned char piece[LIMIT_CONTENT];
    struct ipc_message m = {.kind = MSG_content_result};
    uint32_t number;
    size_t n = 0;
    const char *why = "it is no longer in the queue";
    if (w->serving && order_find(&w->queue.order, request->mail, &number)) {
        struct spool_ref ref = entry_ref(pool_at(&w->queue.entries, number));
        why = spool_stored(&ref) ? read_piece(w, &ref, request->offset, piece, &n)
                                 : "it is being moved; try again";
    }
    m.content_result = (struct msg_content_result){
        .id = request->id, .refused = why ? span_str(why) : SPAN_EMPTY, .bytes = span_of(piece, n)};
    link_answer_control(w, &m);
}

/* ---- import ----------------------------------------------------------------------------- */

static void answer(struct worker *w, uint64_t id, const char *why, uint64_t mail)
{
    struct ipc_message m = {.kind = MSG_import_result};
    m.import_result = (struct msg_import_result){.id = id,
                                                 .number = w->import.number,
                                                 .mail = mail,
                                                 .refused = why ? span_str(why) : SPAN_EMPTY};
    link_answer_control(w, &m);
}

static void forget(struct import *i)
{
    free(i->schedule);
    *i = (struct import){.number = i->number};
}

static void give_up(struct worker *w)
{
    struct transaction *t = w->import.transaction;
    forget(&w->import);
    if (t)
        transaction_abort(w, t);
}

void import_tick(struct worker *w)
{
    struct import *i = &w->import;
    bool late = w->now - i->heard > LIMIT_IMPORT_MICROSECONDS;
    if (i->transaction && i->request == 0 && (late || w->draining || w->emptying))
        give_up(w);
}

static bool address_ok(struct span address)
{
    struct smtp_address a;
    return address.n <= LIMIT_ADDRESS && smtp_address_parse(address, &a) == SMTP_ADDRESS_OK;
}

/* False: malformed, or no memory. */
static bool take_recipient(struct mail *m, struct msg_reader *in, struct import_recipient *schedule)
{
    struct span address = msg_get_span(in, LIMIT_ADDRESS);
    struct span original = msg_get_span(in, LIMIT_ADDRESS);
    struct span route = msg_get_span(in, LIMIT_NAME);
    struct span rule = msg_get_span(in, LIMIT_NAME);
    struct span orcpt = msg_get_span(in, LIMIT_ORCPT);
    struct span edits = msg_get_span(in, LIMIT_EDIT_LIST);
    uint64_t expires = msg_get_u64(in);
    unsigned notify = msg_get_u8(in);
    unsigned priority = msg_get_u8(in);
    schedule->attempts = msg_get_u32(in);
    schedule->next_attempt = msg_get_u64(in);
    struct recipient *r = in->bad ? NULL : mail_add_recipient(m);
    if (!r || !address_ok(address) || route.n == 0 || expires > INT64_MAX || notify > UINT8_MAX ||
        priority >= PRIORITY_COUNT || (edits.n > 0 && !edits_valid(edits)))
        return false;
    r->expires = (int64_t)expires;
    r->notify = (uint8_t)notify;
    r->priority = (uint8_t)priority;
    return mail_put(m, address, &r->address) && mail_put(m, original, &r->original) &&
           mail_put(m, route, &r->route) && mail_put(m, rule, &r->rule) &&
           mail_put(m, orcpt, &r->orcpt) && (edits.n == 0 || mail_variant(m, edits, &r->variant));
}

static bool take_envelope(struct worker *w, struct mail *m, const struct msg_import_begin *q)
{
    enum {
        KEPT = MAIL_BINARY | MAIL_UTF8 | MAIL_REQUIRETLS | MAIL_TLS_OPTIONAL | MAIL_RET_FULL |
               MAIL_RET_HDRS | MAIL_BOUNCE | MAIL_DOUBLE_BOUNCE
    };
    struct import *i = &w->import;
    struct msg_reader in = {.in = q->recipients};
    m->id = spool_queue_id(w->spool, (uint64_t)w->wall);
    m->arrival = (int64_t)q->arrival;
    m->expires = (int64_t)q->expires;
    m->flags = (q->flags & KEPT) | MAIL_DOT_LINES; /* dots are looked for as it is sent */
    m->entry->held = q->held != 0;
    i->count = msg_get_u16(&in);
    i->schedule = i->count > 0 ? calloc(i->count, sizeof *i->schedule) : NULL;
    if (!i->schedule || i->count > LIMIT_RECIPIENTS_MAX ||
        (q->sender.n > 0 && !address_ok(q->sender)))
        return false;
    for (unsigned k = 0; k < i->count; k++)
        if (!take_recipient(m, &in, &i->schedule[k]))
            return false;
    return msg_get_end(&in) && mail_put(m, q->sender, &m->sender) &&
           mail_put(m, q->envid, &m->envid) && mail_put(m, q->client, &m->client) &&
           mail_put(m, q->helo, &m->helo) && mail_put(m, q->tls, &m->tls);
}

void import_begin(struct worker *w, const struct msg_import_begin *request)
{
    bool room = w->serving && !w->draining && !w->emptying && !w->spool_low && !w->spool_full &&
                !worker_short_of_memory(w);
    if (w->import.request != 0) {
        answer(w, request->id, "another mail is being stored; try again", 0);
        return;
    }
    give_up(w);
    w->import.number++;
    w->import.heard = w->now;
    struct mail *m = room ? mail_new(w) : NULL;
    struct transaction *t = m ? pool_get(&w->transactions) : NULL;
    if (!t) {
        if (m)
            mail_free(w, m);
        answer(w, request->id, "no room at the moment", 0);
        return;
    }
    memset(t, 0, sizeof *t);
    t->mail = m;
    t->imported = true;
    t->generation = generation_hold(w->generations.current);
    w->import.transaction = t;
    if (!take_envelope(w, m, request) || !queue_has_room(w, m->recipient_count)) {
        give_up(w);
        answer(w, request->id, "the envelope is malformed, or there is no memory", 0);
        return;
    }
    char id[QUEUE_ID_TEXT + 1];
    queue_id_format(request->from, id);
    mail_log(m, LOG_NOTICE, "import");
    log_text("from", id);
    log_end();
    answer(w, request->id, NULL, 0);
}

/* Lines end with CRLF, and neither byte stands alone, or a next hop might see another mail in it.
 */
static void look_at(struct import *i, struct mail *m, struct span bytes)
{
    for (size_t k = 0; k < bytes.n; k++) {
        unsigned char c = bytes.p[k];
        i->spoilt |= (c == '\n') != (i->last == '\r');
        if (c >= 0x80)
            m->flags |= MAIL_EIGHT_BIT;
        i->last = c;
    }
}

static const char *take_data(struct worker *w, struct import *i, struct span bytes)
{
    struct transaction *t = i->transaction;
    struct mail *m = t->mail;
    look_at(i, m, bytes);
    m->size += bytes.n;
    if (i->spoilt && !(m->flags & MAIL_BINARY))
        return "a line that does not end with CRLF";
    if (m->size > w->generations.current->settings.message_size)
        return "larger than the policy allows";
    if (worker_short_of_memory(w) || !chain_append(&w->chunks, &m->content, bytes))
        return "no memory at the moment";
    if (!t->large.active && m->size > LIMIT_INLINE_MAIL && !large_begin(w, t))
        return "no room in the spool";
    if (t->large.active)
        (void)large_push(w, t);
    return t->large.failed ? "no room in the spool" : NULL;
}

void import_data(struct worker *w, const struct msg_import_data *request)
{
    struct import *i = &w->import;
    const char *why = "no import is under way";
    i->heard = w->now;
    if (i->transaction && i->number == request->number && i->request == 0) {
        why = take_data(w, i, request->bytes);
        if (why)
            give_up(w);
    }
    answer(w, request->id, why, 0);
}

void import_end(struct worker *w, const struct msg_import_end *request)
{
    struct import *i = &w->import;
    struct transaction *t = i->transaction;
    if (!t || i->number != request->number || i->request != 0) {
        answer(w, request->id, "no import is under way", 0);
        return;
    }
    if (!(t->mail->flags & MAIL_BINARY) && i->last != '\n') {
        give_up(w);
        answer(w, request->id, "the last line does not end with CRLF", 0);
        return;
    }
    i->request = request->id;
    t->mail->transaction = t;
    t->mail->imported = true;
    if (t->large.active)
        large_finish(w, t);
    else
        transaction_stored(w, t, true);
}

void import_committed(struct worker *w, struct transaction *t, bool ok, uint64_t id)
{
    struct import *i = &w->import;
    BUG_ON(i->transaction != t);
    answer(w, i->request, ok ? NULL : "it could not be stored", ok ? id : 0);
    i->transaction = NULL;
    i->request = 0;
    if (!ok)
        forget(i);
}

/* The schedule that it had. */
void import_queued(struct worker *w, struct mail *m)
{
    struct import *i = &w->import;
    mail_hold(w, m);
    for (uint32_t k = 0; k < m->recipient_count && k < i->count; k++) {
        struct delivery *d = m->recipients[k].delivery;
        uint64_t next = i->schedule[k].next_attempt;
        if (!d || i->schedule[k].attempts == 0 || delivery_under_way(d) ||
            d->state == DELIVERY_BOUNCING)
            continue;
        delivery_leave_line(d);
        d->attempts = i->schedule[k].attempts < DELIVERY_ATTEMPTS_MAX
                          ? i->schedule[k].attempts & DELIVERY_ATTEMPTS_MAX
                          : DELIVERY_ATTEMPTS_MAX;
        d->next_attempt = next < d->expires ? (uint32_t)next : d->expires;
        m->recipients[k].state = RECIPIENT_DEFERRED;
        (void)recipient_note_deferral(w, m, k); /* else a restart tries it a little early */
        delivery_arm(w, d);
    }
    m->imported = false;
    forget(i);
    mail_let_go(w, m);
}
