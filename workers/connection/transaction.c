/* Receiving a mail: policy at MAIL, RCPT and the end of data; content to chunks or to a file. */
#include "workers/connection/transaction.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include "engine/mime/trace.h"
#include "engine/smtp/envelope.h"
#include "status.h"
#include "workers/connection/rules.h"
#include "workers/connection/import.h"
#include "workers/connection/session.h"
#include "workers/connection/worker.h"
#include <stdio.h>
#include <stdlib.h>

_Static_assert((int)DSN_NOTIFY_NEVER == (int)SMTP_NOTIFY_NEVER &&
                   (int)DSN_NOTIFY_SUCCESS == (int)SMTP_NOTIFY_SUCCESS &&
                   (int)DSN_NOTIFY_FAILURE == (int)SMTP_NOTIFY_FAILURE &&
                   (int)DSN_NOTIFY_DELAY == (int)SMTP_NOTIFY_DELAY,
               "what the client said is kept as it is");

_Static_assert(WANT_COUNT + LIMIT_POLICY_FIELDS <= LIMIT_HEADER_WANTS, "each field has a want");
_Static_assert(LIMIT_CHUNK <= LIMIT_HEADER_BUFFER, "what a chunk captures can be decoded");

/* ---- refusals --------------------------------------------------------------------------- */

void refuse(struct transaction_reply *r, unsigned code, const char *enhanced, const char *text)
{
    r->code = code;
    r->enhanced = enhanced;
    (void)snprintf(r->text, sizeof r->text, "%s", text);
}

void refuse_by_rule(struct transaction_reply *r, struct span reply)
{
    size_t i = 4;
    size_t n = 0;
    BUG_ON(reply.n < 10);
    r->code = (unsigned)(reply.p[0] - '0') * 100 + (unsigned)(reply.p[1] - '0') * 10 +
              (unsigned)(reply.p[2] - '0');
    while (i < reply.n && reply.p[i] != ' ' && n < sizeof r->enhanced_text - 1)
        r->enhanced_text[n++] = (char)reply.p[i++];
    r->enhanced_text[n] = '\0';
    r->enhanced = r->enhanced_text;
    struct span text = span_head(span_trim(span_from(reply, i)), sizeof r->text - 1);
    memcpy(r->text, text.p, text.n);
    r->text[text.n] = '\0';
}

void transaction_accept_text(uint64_t id, char *out, size_t capacity)
{
    char name[QUEUE_ID_TEXT + 1];
    queue_id_format(id, name);
    (void)snprintf(out, capacity, "Ok: queued as %s", name);
}

/* ---- MAIL ------------------------------------------------------------------------------- */

/* May this client send here at all? accept_from and client_certificate of the flow. */
static bool client_allowed(const struct session *s, const struct generation *g,
                           struct transaction_reply *reply)
{
    const struct stream_tls *tls = s->stream->tls;
    if (g->flow_settings.client_certificate == POLICY_CERTIFICATE_REQUIRE) {
        if (!tls) {
            refuse(reply, 530, "5.7.0", "Must issue a STARTTLS command first");
            return false;
        }
        if (!tls->verdict.verified) {
            refuse(reply, 550, "5.7.1",
                   tls->verdict.answered ? "Client certificate not accepted"
                                         : "Client certificate required");
            return false;
        }
    }
    if (policy_flow_accepts(&g->policy, g->flow, s->peers))
        return true;
    uint64_t by_address = policy_peers_by_address(&g->policy, &s->client);
    if (!tls && policy_flow_accepts(&g->policy, g->flow, by_address))
        refuse(reply, 530, "5.7.0", "Must issue a STARTTLS command first");
    else
        refuse(reply, 550, "5.7.1", "Client not allowed to send here");
    return false;
}

static uint32_t mail_flags(const struct smtp_path *path)
{
    return (path->utf8 ? MAIL_UTF8 : 0u) | (path->require_tls ? MAIL_REQUIRETLS : 0u) |
           (path->body == SMTP_BODY_BINARYMIME ? MAIL_BINARY : 0u) |
           (path->ret == SMTP_RET_FULL ? MAIL_RET_FULL : 0u) |
           (path->ret == SMTP_RET_HDRS ? MAIL_RET_HDRS : 0u);
}

static bool fill_sender(struct worker *w, struct session *s, struct mail *m)
{
    const struct smtp_path *path = &s->smtp.path;
    char tls[LIMIT_REASON] = "";
    if (s->stream->tls)
        session_tls_text(s, tls, sizeof tls);
    m->id = spool_queue_id(w->spool, (uint64_t)w->wall);
    m->arrival = w->wall;
    m->flags = mail_flags(path);
    return mail_put(m, path->address.whole, &m->sender) && mail_put(m, path->envid, &m->envid) &&
           mail_put(m, span_str(s->client_text), &m->client) &&
           mail_put(m, span_of(s->helo, s->helo_length), &m->helo) &&
           mail_put(m, span_str(tls), &m->tls);
}

struct transaction *transaction_begin(struct worker *w, struct session *s,
                                      struct transaction_reply *reply)
{
    struct generation *g = s->generation;
    if (!client_allowed(s, g, reply))
        return NULL;
    bool no_disk = w->spool_full || w->spool_low || s->smtp.path.size > w->spool_room;
    if (no_disk || worker_short_of_memory(w)) {
        refuse(reply, 452, "4.3.1",
               no_disk ? "Insufficient system storage" : "Insufficient memory, try again later");
        return NULL;
    }
    struct mail *m = mail_new(w);
    struct transaction *t = m ? pool_get(&w->transactions) : NULL;
    if (!t || !fill_sender(w, s, m)) {
        if (t)
            pool_put(&w->transactions, t);
        if (m)
            mail_free(w, m);
        refuse(reply, 452, "4.3.1", "The queue is full, try again later");
        return NULL;
    }
    memset(t, 0, sizeof *t);
    m->expires = w->wall / 1000000 + g->settings.lifetime;
    t->session = s;
    t->mail = m;
    t->generation = generation_hold(g);
    return t;
}

/* ---- RCPT ------------------------------------------------------------------------------- */

static void log_routed(const struct mail *m, const struct recipient *r)
{
    mail_log(m, LOG_INFO, "routed");
    log_span("recipient", mail_span(m, r->address));
    if (r->original.length > 0)
        log_span("original", mail_span(m, r->original));
    log_span("rule", mail_span(m, r->rule));
    if (r->route.length > 0)
        log_span("route", mail_span(m, r->route));
    else
        log_span("reply", mail_span(m, r->reply));
    log_end();
}

/* Into the mail; NULL: no memory. */
static struct recipient *add_recipient(struct mail *m, const struct smtp_path *path)
{
    struct recipient *r = mail_add_recipient(m);
    if (!r)
        return NULL;
    r->notify = path->notify;
    if (mail_put(m, path->address.whole, &r->address) && mail_put(m, path->orcpt, &r->orcpt))
        return r;
    m->recipient_count--;
    return NULL;
}

bool transaction_recipient(struct worker *w, struct transaction *t, const struct smtp_path *path,
                           struct transaction_reply *reply)
{
    unsigned char text[SMTP_ADDRESS_CANONICAL];
    struct generation *g = t->generation;
    struct mail *m = t->mail;
    (void)w;
    if (m->recipient_count >= g->settings.recipients) {
        refuse(reply, 452, "4.5.3", "Too many recipients");
        return false;
    }
    struct span address = smtp_address_compared(path->address.whole, text);
    if (!policy_recipient_allowed(&g->policy, g->flow, address)) {
        refuse(reply, 550, "5.7.1", "Relaying denied");
        return false;
    }
    struct recipient *r = add_recipient(m, path);
    if (!r) {
        refuse(reply, 452, "4.3.1", "Insufficient memory, try again later");
        return false;
    }
    if (rules_at_rcpt(t, r, reply))
        return true;
    m->recipient_count--;
    return false;
}

/* ---- DATA ------------------------------------------------------------------------------- */

static size_t received_field(struct worker *w, struct transaction *t, unsigned char *out)
{
    struct mail *m = t->mail;
    struct session *s = t->session;
    unsigned char ascii[SMTP_ADDRESS_CANONICAL];
    char id[QUEUE_ID_TEXT + 1];
    char certificate[LIMIT_REASON] = "";
    struct trace_received r = {
        .helo = mail_span(m, m->helo),
        .client = mail_span(m, m->client),
        .host = t->generation->settings.hostname,
        .extended = s->smtp.esmtp,
        .utf8 = m->flags & MAIL_UTF8,
        .time = w->wall / 1000000,
    };
    queue_id_format(m->id, id);
    r.id = span_str(id);
    /* The field stays ASCII: the mail may have to go where SMTPUTF8 is not known. */
    if (m->recipient_count == 1 && !smtp_address_needs_utf8(mail_span(m, m->recipients[0].address)))
        r.recipient = smtp_address_ascii_domain(mail_span(m, m->recipients[0].address), ascii);
    if (s->stream->tls) {
        struct tls_description d = tls_describe(&s->stream->tls->connection);
        r.tls_version = span_str(d.version);
        r.tls_cipher = span_str(d.cipher);
        session_certificate_text(s, certificate, sizeof certificate);
        r.certificate = span_str(certificate);
    }
    return trace_received(&r, out, LIMIT_RECEIVED);
}

bool transaction_data(struct worker *w, struct transaction *t, struct transaction_reply *reply)
{
    unsigned char field[LIMIT_RECEIVED];
    struct span host = t->generation->settings.hostname;
    transfer_begin(&t->transfer, w->now);
    t->header_buffer = chunk_get(&w->chunks);
    size_t n = received_field(w, t, field);
    if (!t->header_buffer || n == 0 ||
        !chain_append(&w->chunks, &t->mail->content, span_of(field, n))) {
        refuse(reply, 452, "4.3.1", "Insufficient memory, try again later");
        t->no_memory = true; /* BDAT: the chunk comes nevertheless */
        return false;
    }
    t->mail->size = n;
    t->added = (uint32_t)n;
    facts_begin(t->wants);
    t->wants[WANT_RECEIVED] =
        (struct header_want){.name = SPAN_LIT("Received"), .mode = HEADER_COUNT, .by = host};
    t->wants[WANT_TLS_REQUIRED] =
        (struct header_want){.name = SPAN_LIT("TLS-Required"), .mode = HEADER_FIRST};
    t->wants[WANT_MESSAGE_ID] =
        (struct header_want){.name = SPAN_LIT("Message-ID"), .mode = HEADER_COUNT};
    t->wants[WANT_DATE] = (struct header_want){.name = SPAN_LIT("Date"), .mode = HEADER_COUNT};
    unsigned count =
        facts_add_fields(&t->generation->policy, t->wants, WANT_COUNT, &t->rule_fields);
    header_begin(&t->scanner, t->wants, count, t->header_buffer->data, LIMIT_CHUNK);
    t->scanning = true;
    return true;
}

static void drop_content(struct worker *w, struct transaction *t)
{
    t->no_memory = true;
    chain_free(&w->chunks, &t->mail->content);
}

bool transaction_body(struct worker *w, struct transaction *t, struct span body)
{
    struct mail *m = t->mail;
    if (t->scanning) {
        size_t n = header_feed(&t->scanner, body);
        t->header_nul |= memchr(body.p, 0, n) != NULL;
        t->scanning = !t->scanner.done;
    }
    if (t->no_memory || t->no_space || t->large.failed)
        return true; /* read to its end, answered 452 there */
    if (worker_short_of_memory(w) || !chain_append(&w->chunks, &m->content, body)) {
        drop_content(w, t);
        return true;
    }
    m->size += body.n;
    if (t->large.active)
        return large_push(w, t);
    if (m->size > LIMIT_INLINE_MAIL && !large_begin(w, t)) {
        t->no_space = true;
        chain_free(&w->chunks, &m->content);
    }
    return true;
}

/* ---- the end of data -------------------------------------------------------------------- */

/* What the content's form forbids, whatever the policy says. */
static bool acceptable(const struct transaction *t, unsigned defects,
                       struct transaction_reply *reply)
{
    const struct header_field *received = &t->scanner.fields[WANT_RECEIVED];
    /* A header section is lines of text even where any octet is content (RFC 3030 3). */
    bool binary = t->mail->flags & MAIL_BINARY;
    if ((defects & SMTP_DEFECTS_SMUGGLING) || (binary && t->scanner.bare))
        refuse(reply, 550, "5.6.11", "Message has a bare CR or LF (RFC 5321 2.3.8)");
    else if ((defects & SMTP_DEFECT_NUL) || (binary && t->header_nul))
        refuse(reply, 550, "5.6.0", "Message has a NUL byte");
    else if (defects & SMTP_DEFECT_TOO_BIG)
        refuse(reply, 552, "5.3.4", "Message exceeds the size limit");
    else if (t->scanner.too_large)
        refuse(reply, 552, "5.3.4", "Message header exceeds the size limit");
    else if (received->count > t->generation->settings.limits.hops ||
             received->hits > LIMIT_OWN_RECEIVED)
        refuse(reply, 554, "5.4.6", "Mail loop: too many Received fields");
    else if (t->no_memory || t->no_space)
        refuse(reply, 452, "4.3.1",
               t->no_space ? "Insufficient system storage"
                           : "Insufficient memory, try again later");
    else
        return true;
    return false;
}

bool transaction_chunk(const struct transaction *t, unsigned defects,
                       struct transaction_reply *reply)
{
    return acceptable(t, defects, reply);
}

static void log_refused(const struct transaction *t, const struct transaction_reply *reply)
{
    const struct mail *m = t->mail;
    mail_log(m, LOG_NOTICE, "mail refused");
    log_span("sender", mail_span(m, m->sender));
    log_number("recipients", m->recipient_count);
    if (m->recipient_count > 0)
        log_span("recipient", mail_span(m, m->recipients[0].address));
    log_span("client", mail_span(m, m->client));
    log_span("tls", mail_span(m, m->tls));
    log_number("size", (int64_t)m->size);
    if (m->recipient_count > 0 && m->recipients[0].rule.length > 0)
        log_span("rule", mail_span(m, m->recipients[0].rule));
    log_format("reply", "%u %s %s", reply->code, reply->enhanced, reply->text);
    log_end();
}

/* "TLS-Required: No" (RFC 8689 3), which REQUIRETLS overrides. Twice said is not said. */
static bool tls_optional(const struct transaction *t)
{
    const struct header_field *field = &t->scanner.fields[WANT_TLS_REQUIRED];
    return field->count == 1 && (t->mail->flags & MAIL_REQUIRETLS) == 0 &&
           span_ieq(span_trim(header_value(&t->scanner, WANT_TLS_REQUIRED)), SPAN_LIT("no"));
}

bool transaction_end(struct worker *w, struct transaction *t, unsigned defects,
                     struct transaction_reply *reply)
{
    struct mail *m = t->mail;
    if (t->header_buffer)
        header_finish(&t->scanner);
    bool ok = acceptable(t, defects, reply) && rules_at_end(t, reply);
    if (ok && !queue_has_room(w, m->recipient_count)) {
        refuse(reply, 452, "4.3.1", "The queue is full, try again later");
        ok = false;
    }
    if (!ok) {
        if (reply->code != 250)
            log_refused(t, reply);
        return false;
    }
    m->flags |= tls_optional(t) ? MAIL_TLS_OPTIONAL : 0u;
    chunk_put(&w->chunks, t->header_buffer);
    t->header_buffer = NULL;
    m->flags |= (defects & SMTP_DEFECT_EIGHT_BIT ? MAIL_EIGHT_BIT : 0u) |
                (defects & SMTP_DEFECT_DOT_LINES ? MAIL_DOT_LINES : 0u);
    m->transaction = t;
    CRASH_POINT(CONTENT_ENDED);
    if (t->large.active)
        large_finish(w, t);
    else
        transaction_stored(w, t, true);
    return true;
}

void transaction_stored(struct worker *w, struct transaction *t, bool ok)
{
    if (ok)
        commit_add(w, t->mail);
    else
        transaction_committed(w, t, false);
}

static void log_accepted(const struct mail *m)
{
    mail_log(m, LOG_INFO, "accepted");
    log_span("sender", mail_span(m, m->sender));
    log_number("recipients", m->recipient_count);
    log_number("size", (int64_t)m->size);
    log_span("client", mail_span(m, m->client));
    log_span("helo", mail_span(m, m->helo));
    log_span("tls", mail_span(m, m->tls));
    log_end();
    for (uint32_t i = 0; i < m->recipient_count; i++)
        log_routed(m, &m->recipients[i]);
}

void transaction_committed(struct worker *w, struct transaction *t, bool ok)
{
    struct mail *m = t->mail;
    struct session *s = t->session;
    uint64_t id = m->id;
    m->transaction = NULL;
    if (ok) {
        t->mail = NULL;
        log_accepted(m);
        histogram_observe(w->counters, HISTOGRAM_mail_bytes, m->size);
    } else if ((m->flags & MAIL_LARGE) && !t->large.active) {
        spool_large_discard(w->spool, m->id); /* whole and synced, but no record names it */
    }
    if (s)
        session_committed(w, s, ok, id);
    if (t->imported)
        import_committed(w, t, ok, id);
    if (ok)
        queue_take(w, m);
    transaction_abort(w, t);
}

void transaction_abort(struct worker *w, struct transaction *t)
{
    t->session = NULL;
    if (t->header_buffer)
        chunk_put(&w->chunks, t->header_buffer);
    t->header_buffer = NULL;
    if (!large_abort(w, t))
        return; /* called again when the file's operation has ended */
    if (t->mail)
        mail_free(w, t->mail);
    generation_release(w, t->generation);
    pool_put(&w->transactions, t);
}
