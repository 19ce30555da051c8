/* Transactions of a delivery: envelope, body, outcomes per recipient. */
#include "workers/connection/attempt.h"
#include "engine/log/log.h"
#include "engine/mime/seven_bit.h"
#include "status.h"
#include "workers/connection/client.h"
#include "workers/connection/destination.h"
#include "workers/connection/worker.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- beginning -------------------------------------------------------------------------- */

static struct span domain_of(struct span address)
{
    const unsigned char *at = memrchr(address.p, '@', address.n);
    return at ? span_from(address, (size_t)(at - address.p) + 1) : SPAN_EMPTY;
}

/* How many recipients a transaction over this connection may name. */
static uint32_t batch_max(const struct client *c)
{
    uint32_t most = c->recipient_max;
    uint32_t offered = c->smtp.offer.rcpt_max;
    return offered != 0 && offered < most ? offered : most;
}

/* The recipients for one transaction: those without outcome, as many as one may name; of one domain
 * where the server bounds the domains of a session; and all get the same header. */
static void gather(struct client *c)
{
    struct delivery *d = c->delivery;
    struct mail *m = d->mail;
    bool one_domain = c->smtp.offer.rcpt_domain_max != 0;
    struct span domain = SPAN_EMPTY;
    uint32_t most = batch_max(c);
    c->batch = 0;
    for (uint32_t i = 0; i < m->recipient_count && c->batch < most; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d || r->outcome != OUTCOME_NONE || r->variant != c->variant.number)
            continue;
        if (one_domain && c->batch > 0 && !span_ieq(domain, domain_of(mail_span(m, r->address))))
            continue;
        domain = domain_of(mail_span(m, r->address));
        c->indexes[c->batch] = i;
        c->postponed[c->batch] = false;
        c->batch++;
        r->state = RECIPIENT_ACTIVE;
    }
}

static void point_into_text(struct client *c)
{
    const struct mail *m = c->delivery->mail;
    for (uint32_t i = 0; i < c->batch; i++) {
        const struct recipient *r = &m->recipients[c->indexes[i]];
        c->recipients[i] = (struct smtp_recipient){.address = mail_span(m, r->address),
                                                   .orcpt = mail_span(m, r->orcpt),
                                                   .notify = r->notify};
    }
    c->envelope.sender = mail_span(m, m->sender);
    c->envelope.envid = mail_span(m, m->envid);
    c->text = m->text;
}

void attempt_follow_text(struct client *c)
{
    if (c->delivery && c->text != c->delivery->mail->text)
        point_into_text(c);
}

static enum smtp_body body_of(const struct mail *m)
{
    if (m->flags & MAIL_BINARY)
        return SMTP_BODY_BINARYMIME;
    return m->flags & MAIL_EIGHT_BIT ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
}

/* The envelope of the next transaction, as the mail came. */
static void describe(struct client *c)
{
    const struct mail *m = c->delivery->mail;
    bool utf8 = (m->flags & MAIL_UTF8) || smtp_address_needs_utf8(mail_span(m, m->sender));
    gather(c);
    for (uint32_t i = 0; i < c->batch; i++)
        utf8 = utf8 || smtp_address_needs_utf8(mail_span(m, m->recipients[c->indexes[i]].address));
    c->envelope = (struct smtp_envelope){
        .recipients = c->recipients,
        .count = c->batch,
        .size = variant_size(&c->variant, m),
        .body = body_of(m),
        .ret = m->flags & MAIL_RET_FULL   ? SMTP_RET_FULL
               : m->flags & MAIL_RET_HDRS ? SMTP_RET_HDRS
                                          : SMTP_RET_UNSAID,
        .utf8 = utf8,
        .require_tls = m->flags & MAIL_REQUIRETLS,
    };
    point_into_text(c);
}

void attempt_over(struct client *c)
{
    free(c->converter);
    c->converter = NULL;
}

static void begin(struct client *c)
{
    if (c->converts)
        seven_bit_begin(c->converter, c->delivery->mail->flags & MAIL_BINARY);
    c->offset = 0;
    c->crc = c->variant.crc;
    c->sending = false;
    c->responded = false;
    c->last[0] = c->last[1] = 0;
    smtp_stuff_begin(&c->stuffer);
    /* Every address was checked when it was accepted. */
    BUG_ON(!smtp_client_mail(&c->smtp, &c->envelope));
}

/* Converted content has a size of its own, known when it was sent: DATA, and no SIZE. */
static void as_seven_bit(struct smtp_envelope *e)
{
    e->body = SMTP_BODY_7BIT;
    e->size = 0;
}

static void note_all(struct delivery *d, enum recipient_outcome outcome, const char *status,
                     const char *why)
{
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].delivery == d && m->recipients[i].outcome == OUTCOME_NONE)
            recipient_note(m, &m->recipients[i], outcome, status, span_str(why), SPAN_EMPTY, false);
}

/* The content that the next recipient gets. False: it can't be made, and their outcome says so. */
static bool variant_ready(struct worker *w, struct client *c)
{
    struct delivery *d = c->delivery;
    struct mail *m = d->mail;
    uint32_t i = 0;
    while (i < m->recipient_count &&
           (m->recipients[i].delivery != d || m->recipients[i].outcome != OUTCOME_NONE))
        i++;
    int error =
        i < m->recipient_count ? variant_make(w, m, m->recipients[i].variant, &c->variant) : 0;
    if (error == -EBADMSG) {
        mail_log(m, LOG_ERROR, "stored mail damaged");
        log_end();
        note_all(d, OUTCOME_FAILED, "5.3.0", "the stored mail is damaged");
    } else if (error != 0) {
        note_all(d, OUTCOME_DEFERRED, "4.3.0",
                 error == -ENOBUFS ? "not enough memory at the moment"
                                   : "the stored mail can't be read");
    }
    return error == 0;
}

bool attempt_transaction(struct worker *w, struct client *c)
{
    if (!variant_ready(w, c))
        return false;
    describe(c);
    c->envelope.utf8 = c->envelope.utf8 && smtp_offered(&c->smtp.offer, SMTP_EXTENSION_SMTPUTF8);
    if (c->converts)
        as_seven_bit(&c->envelope);
    begin(c);
    return true;
}

/* The server's want, found by us: the text says so, and no server is named as having refused. */
static void note_lack(const struct client *c, struct recipient *r, enum smtp_lack lack)
{
    struct smtp_reply reply;
    char status[12];
    smtp_lack_reply(lack, &reply);
    (void)smtp_enhanced_text(reply.enhanced, status);
    recipient_note(c->delivery->mail, r, OUTCOME_FAILED, status, smtp_reply_text(&reply),
                   SPAN_EMPTY, false);
}

/* Has the header section bytes from 0x80? True when it can't be read. */
static bool header_eight_bit(struct worker *w, const struct client *c)
{
    struct mail *m = c->delivery->mail;
    static const unsigned char end[4] = {'\r', '\n', '\r', '\n'};
    size_t matched = 2; /* a mail may begin with the empty line */
    struct span piece;
    bool stored;
    for (uint64_t at = 0; at < variant_size(&c->variant, m); at += piece.n) {
        if (variant_piece(w, &c->variant, m, at, &piece, &stored) != 0)
            return true;
        for (size_t i = 0; i < piece.n && matched < sizeof end; i++) {
            if (piece.p[i] >= 0x80)
                return true;
            matched = piece.p[i] == end[matched] ? matched + 1 : piece.p[i] == '\r';
        }
        if (matched == sizeof end)
            return false;
    }
    return false;
}

/* Those whose address needs SMTPUTF8 fail; the others need not. */
static void refuse_addresses(struct client *c)
{
    struct delivery *d = c->delivery;
    struct mail *m = d->mail;
    if (smtp_offered(&c->smtp.offer, SMTP_EXTENSION_SMTPUTF8))
        return;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery == d && smtp_address_needs_utf8(mail_span(m, r->address)))
            note_lack(c, r, SMTP_LACK_UTF8_ADDRESS);
    }
}

/* One piece of content through the converter; what comes out goes to `take`. */
static bool convert(struct worker *w, struct client *c, struct span piece, bool last,
                    bool (*take)(struct worker *w, struct client *c, struct span bytes))
{
    /* While it is tried out, commands may wait in the one, and sending stuffs into the other. */
    unsigned char *room = take ? w->scratch : w->stuffed;
    bool ok = true;
    do {
        struct text out = {.p = room, .capacity = LIMIT_CHUNK};
        ok = seven_bit_feed(c->converter, &piece, &out);
        if (ok && last && piece.n == 0 && out.capacity - out.n >= SEVEN_BIT_ROOM) {
            ok = seven_bit_end(c->converter, &out);
            last = false;
        }
        ok = ok && (!take || take(w, c, span_of(out.p, out.n)));
    } while (ok && (piece.n > 0 || last));
    return ok;
}

/* Content that the server does not take as it is goes to it in 7 bits. That it can be done is tried
 * out first, so that none is begun in vain; but not with a large mail, which is read for it: there
 * the message breaks off where it can't. */
static bool can_convert(struct worker *w, struct client *c)
{
    struct mail *m = c->delivery->mail;
    uint64_t size = m->flags & MAIL_LARGE ? 0 : variant_size(&c->variant, m);
    struct span piece;
    bool stored;
    seven_bit_begin(c->converter, m->flags & MAIL_BINARY);
    for (uint64_t at = 0; at < size; at += piece.n)
        if (variant_piece(w, &c->variant, m, at, &piece, &stored) != 0 ||
            !convert(w, c, piece, at + piece.n == size, NULL))
            return false;
    return true;
}

/* Can this server be given the mail, as it is or in a form that it takes? Else the recipients'
 * outcome says what is missing. */
static bool suits(struct worker *w, struct client *c)
{
    struct delivery *d = c->delivery;
    struct mail *m = d->mail;
    c->converts = false;
    refuse_addresses(c);
    if (!variant_ready(w, c))
        return false;
    describe(c);
    if (c->batch == 0)
        return false;
    struct smtp_envelope *e = &c->envelope;
    enum smtp_lack lack = smtp_client_lack(&c->smtp, e);
    if (lack == SMTP_LACK_UTF8_HEADER && !header_eight_bit(w, c)) { /* asked for without need */
        e->utf8 = false;
        lack = smtp_client_lack(&c->smtp, e);
    }
    if (lack == SMTP_LACK_8BITMIME || lack == SMTP_LACK_BINARYMIME) {
        if (!c->converter && !(c->converter = malloc(sizeof *c->converter))) {
            note_all(d, OUTCOME_DEFERRED, "4.3.1", "not enough memory at the moment");
            return false;
        }
        c->converts = can_convert(w, c);
    }
    if (c->converts) {
        as_seven_bit(e);
        lack = smtp_client_lack(&c->smtp, e);
    }
    for (uint32_t i = 0; lack != SMTP_LACK_NOTHING && i < m->recipient_count; i++)
        if (m->recipients[i].delivery == d && m->recipients[i].outcome == OUTCOME_NONE)
            note_lack(c, &m->recipients[i], lack);
    return lack == SMTP_LACK_NOTHING;
}

bool attempt_begin(struct worker *w, struct client *c, struct delivery *d)
{
    struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].delivery == d)
            m->recipients[i].outcome = OUTCOME_NONE;
    d->state = DELIVERY_ACTIVE;
    d->attempted = true;
    c->began = w->now;
    int error = m->body_missing ? -EBADMSG : mail_load(w, m);
    if (error == 0) {
        c->delivery = d;
        if (suits(w, c)) {
            begin(c);
            return true;
        }
        c->delivery = NULL;
        variant_free(w, &c->variant);
        queue_attempted(w, d, SPAN_EMPTY);
        return false;
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

static void note_end(struct client *c, struct span piece)
{
    if (piece.n == 0)
        return;
    c->last[0] = piece.n > 1 ? piece.p[piece.n - 2] : c->last[1];
    c->last[1] = piece.p[piece.n - 1];
}

/* A piece of what is to arrive, into the stream. False when there is no memory for it. */
static bool send_piece(struct worker *w, struct client *c, struct span piece)
{
    note_end(c, piece);
    if (c->smtp.chunk || !(c->converts || (c->delivery->mail->flags & MAIL_DOT_LINES)))
        return stream_write(w, c->stream, piece);
    while (piece.n > 0) {
        struct smtp_out out = {.p = w->stuffed, .capacity = sizeof w->stuffed};
        (void)smtp_stuff(&c->stuffer, &piece, &out);
        if (!stream_write(w, c->stream, span_of(out.p, out.n)))
            return false;
    }
    return true;
}

/* A damaged mail is found out before its last bytes go: nothing of it counts then. */
static bool sound(struct client *c, struct span piece)
{
    struct mail *m = c->delivery->mail;
    if (!(m->flags & MAIL_LARGE))
        return true;
    c->crc = spool_crc(c->crc, piece);
    if (c->offset + piece.n < variant_size(&c->variant, m) || c->crc == m->body_crc)
        return true;
    mail_log(m, LOG_ERROR, "stored mail damaged");
    log_end();
    note_all(c->delivery, OUTCOME_FAILED, "5.3.0", "the stored mail is damaged");
    return false;
}

/* A piece of the content as it has to go. */
static bool send_content(struct worker *w, struct client *c, struct span piece)
{
    bool last = c->offset + piece.n == variant_size(&c->variant, c->delivery->mail);
    if (!c->converts)
        return send_piece(w, c, piece);
    if (convert(w, c, piece, last, send_piece))
        return true;
    if (c->converter->refused)
        note_all(c->delivery, OUTCOME_FAILED, "5.6.3", c->converter->refused);
    return false;
}

/* Pieces are cut so that they fit also when stuffing doubles them, and encoding makes more than
 * three bytes of one. */
static bool send_pieces(struct worker *w, struct client *c)
{
    struct mail *m = c->delivery->mail;
    size_t share = c->converts ? 8 : 2;
    while (c->offset < variant_size(&c->variant, m)) {
        size_t room = stream_room(c->stream) / share;
        struct span piece;
        bool stored;
        if (room < LIMIT_CHUNK / 2 / share)
            return true;
        if (variant_piece(w, &c->variant, m, c->offset, &piece, &stored) != 0)
            return false;
        piece = span_head(piece, room);
        if ((stored && !sound(c, piece)) || !send_content(w, c, piece))
            return false;
        c->offset += piece.n;
    }
    return true;
}

/* What comes behind the content: a chunk ends by its length, DATA by a dot on a line of its own. */
static struct span end_of_body(const struct client *c)
{
    if (c->smtp.chunk)
        return SPAN_EMPTY;
    return c->last[0] == '\r' && c->last[1] == '\n' ? SPAN_LIT(".\r\n") : SPAN_LIT("\r\n.\r\n");
}

bool attempt_body(struct worker *w, struct client *c)
{
    c->sending = true;
    if (!send_pieces(w, c))
        return false;
    if (c->offset < variant_size(&c->variant, c->delivery->mail) ||
        stream_room(c->stream) < LIMIT_SMTP_OUT) {
        stream_flush(w, c->stream);
        return true;
    }
    if (!stream_write(w, c->stream, end_of_body(c)))
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

/* The server takes no more recipients in this transaction (RFC 5321 4.5.3.1.10): those it has
 * refused for that come in the next one. */
static bool too_many(const struct client *c)
{
    const struct smtp_reply *r = &c->smtp.reply;
    return c->smtp.verdict == SMTP_VERDICT_TEMPORARY && c->smtp.accepted > 0 &&
           (r->code == 452 || r->code == 552) &&
           (r->enhanced.class == 0 || (r->enhanced.subject == 5 && r->enhanced.detail == 3));
}

void attempt_recipient(struct client *c)
{
    BUG_ON(c->smtp.recipient >= c->batch);
    if (c->smtp.verdict == SMTP_VERDICT_OK)
        return;
    if (too_many(c)) {
        c->postponed[c->smtp.recipient] = true;
        c->recipient_max = c->smtp.accepted;
        return;
    }
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
    log_bool("resumed", d.resumed);
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
    log_seconds("attempt", (int64_t)(w->now - c->began));
    log_end();
}

/* Delivered: to a hop that gives no notifications the sender may have asked for one of ours. */
static void note_delivered(const struct client *c, struct recipient *r)
{
    char reply[LIMIT_REASON];
    bool dsn = smtp_offered(&c->smtp.offer, SMTP_EXTENSION_DSN);
    r->outcome = OUTCOME_DELIVERED;
    if (dsn || !(r->notify & DSN_NOTIFY_SUCCESS))
        return;
    reply_text(c, reply, sizeof reply);
    recipient_note(c->delivery->mail, r, OUTCOME_RELAYED, "2.0.0", span_str(reply),
                   span_str(c->relay), true);
}

void attempt_settled(struct worker *w, struct client *c, bool delivered)
{
    struct mail *m = c->delivery->mail;
    for (uint32_t i = 0; i < c->batch; i++) {
        struct recipient *r = &m->recipients[c->indexes[i]];
        if (r->outcome != OUTCOME_NONE || c->postponed[i])
            continue;
        if (!delivered) {
            note_refused(c, c->indexes[i]);
            continue;
        }
        note_delivered(c, r);
        histogram_observe(w->counters, HISTOGRAM_delivery_seconds,
                          w->wall > m->arrival ? (uint64_t)(w->wall - m->arrival) : 0);
        counter_add(w->counters, COUNTER_deliveries_ok, 1);
        log_delivered(w, c, r);
    }
}
