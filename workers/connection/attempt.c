/* Transactions of a delivery: envelope, body, outcomes per recipient. */
#include "workers/connection/attempt.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/connection/client.h"
#include "workers/connection/destination.h"
#include "workers/connection/worker.h"
#include <errno.h>
#include <stdio.h>

/* ---- beginning -------------------------------------------------------------------------- */

/* The recipients for one transaction: those without outcome, as many as one may name. */
static void gather(struct client *c)
{
    struct delivery *d = c->delivery;
    struct mail *m = d->mail;
    c->batch = 0;
    for (uint32_t i = 0; i < m->recipient_count && c->batch < LIMIT_CLIENT_RECIPIENTS; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d || r->outcome != OUTCOME_NONE)
            continue;
        c->indexes[c->batch] = i;
        c->batch++;
        r->state = RECIPIENT_ACTIVE;
    }
}

static void point_into_text(struct client *c)
{
    const struct mail *m = c->delivery->mail;
    for (uint32_t i = 0; i < c->batch; i++)
        c->recipients[i] = mail_span(m, m->recipients[c->indexes[i]].address);
    c->envelope.sender = mail_span(m, m->sender);
    c->text = m->text;
}

void attempt_follow_text(struct client *c)
{
    if (c->delivery && c->text != c->delivery->mail->text)
        point_into_text(c);
}

void attempt_transaction(struct worker *w, struct client *c)
{
    struct mail *m = c->delivery->mail;
    gather(c);
    c->offset = 0;
    c->crc = 0;
    c->sending = false;
    c->responded = false;
    smtp_stuff_begin(&c->stuffer);
    c->envelope = (struct smtp_envelope){
        .recipients = c->recipients,
        .count = c->batch,
        .size = m->size,
        .eight_bit = m->flags & MAIL_EIGHT_BIT,
    };
    point_into_text(c);
    (void)w;
    /* Every address was checked when it was accepted. */
    BUG_ON(!smtp_client_mail(&c->smtp, &c->envelope));
}

static void note_all(struct delivery *d, enum recipient_outcome outcome, const char *status,
                     const char *why)
{
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].delivery == d && m->recipients[i].outcome == OUTCOME_NONE)
            recipient_note(m, &m->recipients[i], outcome, status, span_str(why), SPAN_EMPTY, false);
}

bool attempt_begin(struct worker *w, struct client *c, struct delivery *d)
{
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].delivery == d)
            m->recipients[i].outcome = OUTCOME_NONE;
    d->state = DELIVERY_ACTIVE;
    d->began = w->now;
    int error = m->body_missing ? -EBADMSG : mail_load(w, m);
    if (error == 0 && c->smtp.max_size > 0 && m->size > c->smtp.max_size) {
        note_all(d, OUTCOME_FAILED, "5.3.4", "the mail is larger than the next hop takes");
        queue_attempted(w, d, SPAN_EMPTY);
        return false;
    }
    if (error == 0) {
        c->delivery = d;
        attempt_transaction(w, c);
        return true;
    }
    if (error == -EBADMSG) {
        mail_log(m, LOG_ERROR, "stored mail damaged");
        log_end();
        note_all(d, OUTCOME_FAILED, "5.3.0", "the stored mail is damaged");
    }
    queue_attempted(w, d,
                    error == -ENOBUFS ? SPAN_LIT("not enough memory at the moment")
                                      : SPAN_LIT("the stored mail can't be read"));
    return false;
}

bool attempt_continues(const struct client *c)
{
    const struct delivery *d = c->delivery;
    const struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].delivery == d && m->recipients[i].outcome == OUTCOME_NONE)
            return true;
    return false;
}

/* ---- body ------------------------------------------------------------------------------- */

/* One piece of the content into the stream. False when there is no memory for it. */
static bool send_piece(struct worker *w, struct client *c, struct span piece)
{
    if (!(c->delivery->mail->flags & MAIL_DOT_LINES))
        return stream_write(w, c->stream, piece);
    while (piece.n > 0) {
        struct smtp_out out = {.p = w->stuffed, .capacity = sizeof w->stuffed};
        (void)smtp_stuff(&c->stuffer, &piece, &out);
        if (!stream_write(w, c->stream, span_of(out.p, out.n)))
            return false;
    }
    return true;
}

/* Pieces are cut to half of the room, as stuffing can double them. */
static bool send_pieces(struct worker *w, struct client *c)
{
    struct mail *m = c->delivery->mail;
    while (c->offset < m->size) {
        size_t room = stream_room(c->stream) / 2;
        struct span piece;
        if (room < LIMIT_CHUNK / 4)
            return true;
        if (mail_piece(w, m, c->offset, &piece) != 0)
            return false;
        piece = span_head(piece, room);
        if (m->flags & MAIL_LARGE)
            c->crc = spool_crc(c->crc, piece);
        if (!send_piece(w, c, piece))
            return false;
        c->offset += piece.n;
    }
    return true;
}

bool attempt_body(struct worker *w, struct client *c)
{
    struct mail *m = c->delivery->mail;
    c->sending = true;
    if (!send_pieces(w, c))
        return false;
    if (c->offset < m->size || stream_room(c->stream) < LIMIT_SMTP_OUT) {
        stream_flush(w, c->stream);
        return true;
    }
    if ((m->flags & MAIL_LARGE) && c->crc != m->body_crc) {
        mail_log(m, LOG_ERROR, "stored mail damaged");
        log_end();
        note_all(c->delivery, OUTCOME_FAILED, "5.3.0", "the stored mail is damaged");
        return false; /* without the final dot: nothing of it counts */
    }
    bool stuffed = m->flags & MAIL_DOT_LINES;
    struct span end = stuffed ? smtp_stuff_end(&c->stuffer) : SPAN_LIT(".\r\n");
    if (!stream_write(w, c->stream, end))
        return false;
    smtp_client_body_sent(&c->smtp);
    c->sending = false;
    stream_flush(w, c->stream);
    return true;
}

/* ---- outcomes --------------------------------------------------------------------------- */

static void reply_text(const struct client *c, char *out, size_t capacity)
{
    struct span text = smtp_reply_text(&c->smtp.reply);
    (void)snprintf(out, capacity, "%u %.*s", c->smtp.reply.code, (int)text.n, text.p);
}

/* The reply's enhanced code, or the general one of its class (RFC 3463). */
static void status_of(const struct client *c, char out[12])
{
    struct smtp_enhanced e = c->smtp.reply.enhanced;
    bool permanent = c->smtp.verdict == SMTP_VERDICT_PERMANENT;
    if (smtp_enhanced_text(e, out) == 0 || e.class != (permanent ? 5 : 4))
        (void)snprintf(out, 12, "%s", permanent ? "5.0.0" : "4.0.0");
}

static void note_refused(struct client *c, uint32_t index)
{
    struct mail *m = c->delivery->mail;
    char reply[LIMIT_REASON];
    char status[12];
    reply_text(c, reply, sizeof reply);
    status_of(c, status);
    recipient_note(m, &m->recipients[index],
                   c->smtp.verdict == SMTP_VERDICT_PERMANENT ? OUTCOME_FAILED : OUTCOME_DEFERRED,
                   status, span_str(reply), span_str(c->relay), true);
}

void attempt_recipient(struct client *c)
{
    BUG_ON(c->smtp.recipient >= c->batch);
    if (c->smtp.verdict != SMTP_VERDICT_OK)
        note_refused(c, c->indexes[c->smtp.recipient]);
}

static void log_tls(const struct client *c)
{
    const struct stream_tls *tls = c->stream->tls;
    if (!tls) {
        log_text("tls", "");
        return;
    }
    struct tls_description d = tls_describe(&tls->connection);
    log_format("tls", "%s %s", d.version, d.cipher);
    log_text("verdict", tls->verdict.verified && tls->must_verify ? "verified"
                        : tls->verdict.verified                   ? "not demanded"
                                                                  : tls->verdict.reason);
    log_text("peer", tls->verdict.subject);
    log_bool("mutual", d.asked && d.presented);
}

static void log_delivered(const struct worker *w, const struct client *c, const struct recipient *r)
{
    const struct delivery *d = c->delivery;
    const struct mail *m = d->mail;
    char reply[LIMIT_REASON];
    mail_log(m, LOG_INFO, "delivered");
    log_span("sender", mail_span(m, m->sender));
    log_span("recipient", mail_span(m, r->address));
    log_span("route", mail_span(m, r->route));
    log_span("rule", mail_span(m, r->rule));
    log_text("relay", c->relay);
    log_tls(c);
    reply_text(c, reply, sizeof reply);
    log_text("reply", reply);
    log_seconds("delay", w->wall - m->arrival);
    log_seconds("attempt", (int64_t)(w->now - d->began));
    log_end();
}

void attempt_settled(struct worker *w, struct client *c, bool delivered)
{
    struct mail *m = c->delivery->mail;
    c->sending = false;
    for (uint32_t i = 0; i < c->batch; i++) {
        struct recipient *r = &m->recipients[c->indexes[i]];
        if (r->outcome != OUTCOME_NONE)
            continue;
        if (!delivered) {
            note_refused(c, c->indexes[i]);
            continue;
        }
        r->outcome = OUTCOME_DELIVERED;
        counter_add(w->counters, COUNTER_deliveries_ok, 1);
        log_delivered(w, c, r);
    }
}
