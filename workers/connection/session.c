/* The inbound session: events of the server machine become acts, and acts become replies. */
#include "workers/connection/session.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/connection/admission.h"
#include "workers/connection/transaction.h"
#include "workers/connection/worker.h"
#include <stdio.h>

/* ---- replies ---------------------------------------------------------------------------- */

/* Replies are built in the worker's scratch buffer and then go to the stream in one piece. */
static struct smtp_out replies(struct worker *w, const struct session *s)
{
    size_t room = stream_room(s->stream);
    return (struct smtp_out){.p = w->scratch,
                             .capacity = room < sizeof w->scratch ? room : sizeof w->scratch};
}

/* False when the stream can take nothing any more; it then was closed. */
static bool session_send(struct worker *w, struct session *s, struct smtp_out *out)
{
    bool ok = out->n == 0 || stream_write(w, s->stream, span_of(out->p, out->n));
    out->n = 0;
    return ok;
}

static void reject(struct session *s, struct smtp_out *out, const struct transaction_reply *r)
{
    smtp_server_reject(&s->smtp, out, r->code, r->enhanced, span_str(r->text));
}

/* ---- what a Received field and the log say of TLS -------------------------------------------- */

void session_certificate_text(const struct session *s, char *out, size_t capacity)
{
    const struct stream_verdict *v = &s->stream->tls->verdict;
    struct tls_description d = tls_describe(&s->stream->tls->connection);
    if (!d.asked)
        (void)snprintf(out, capacity, "not asked");
    else if (!v->answered)
        (void)snprintf(out, capacity, "none");
    else if (v->verified)
        (void)snprintf(out, capacity, "verified, %s", v->subject);
    else
        (void)snprintf(out, capacity, "not verified, %s", v->reason);
}

void session_tls_text(const struct session *s, char *out, size_t capacity)
{
    char certificate[LIMIT_VERDICT_TEXT + 32];
    struct tls_description d = tls_describe(&s->stream->tls->connection);
    session_certificate_text(s, certificate, sizeof certificate);
    (void)snprintf(out, capacity, "%s %s%s; client certificate %s", d.version, d.cipher,
                   d.resumed ? " resumed" : "", certificate);
}

/* ---- beginning and end ------------------------------------------------------------------ */

void session_take_line_back(struct worker *w, struct session *s)
{
    struct smtp_line *line = smtp_server_detach(&s->smtp);
    if (line)
        pool_put(&w->lines, line);
}

static void session_free(struct worker *w, struct session *s)
{
    if (s->transaction && s->committing) {
        s->transaction->session = NULL; /* the mail may get its 250 on disk, with nobody to hear */
    } else if (s->transaction) {
        transaction_abort(w, s->transaction);
    }
    if (s->smtp.line)
        pool_put(&w->lines, s->smtp.line);
    admission_end(w, s);
    counter_add(w->counters, COUNTER_commands, s->smtp.commands);
    counter_add(w->counters, COUNTER_command_errors, s->smtp.errors);
    generation_release(w, s->generation);
    w->sessions_open--;
    counter_sub(w->counters, COUNTER_sessions_open, 1);
    pool_put(&w->sessions, s);
}

static void log_disconnect(const struct session *s, const char *why)
{
    log_begin(LOG_DEBUG, "disconnected");
    log_text("client", s->client_text);
    log_text("reason", why);
    log_number("mails", s->smtp.mails);
    log_number("errors", s->smtp.errors);
    log_end();
}

static void session_finish(struct worker *w, struct session *s, const char *why, bool linger)
{
    struct stream *stream = s->stream;
    log_disconnect(s, why);
    session_free(w, s);
    stream_finish(w, stream, linger);
}

void session_drop(struct worker *w, struct session *s, const char *why)
{
    struct stream *stream = s->stream;
    log_disconnect(s, why);
    session_free(w, s);
    stream_close(w, stream);
}

void session_close(struct worker *w, struct session *s, const char *enhanced, const char *text)
{
    struct smtp_out out = replies(w, s);
    bool handshaking = s->stream->tls && s->stream->tls->handshaking;
    if (!handshaking && out.capacity >= LIMIT_SMTP_OUT) {
        smtp_server_close(&s->smtp, &out, enhanced, span_str(text));
        (void)session_send(w, s, &out);
    }
    session_finish(w, s, text, true);
}

static void idle_from_now(struct worker *w, struct session *s)
{
    stream_deadline(w, s->stream, s->generation->settings.limits.idle_time * UINT64_C(1000000));
}

static void greet(struct worker *w, struct session *s)
{
    struct smtp_out out = replies(w, s);
    smtp_server_greet(&s->smtp, &out);
    idle_from_now(w, s);
    if (!session_send(w, s, &out)) {
        session_drop(w, s, "no memory");
        return;
    }
    stream_flush(w, s->stream);
}

void session_welcome(struct worker *w, struct session *s, uint32_t seconds)
{
    s->stream->owner = &session_owner;
    if (seconds > 0)
        stream_deadline(w, s->stream, seconds * UINT64_C(1000000));
    else
        greet(w, s);
}

/* ---- the policy of the session ---------------------------------------------------------- */

static bool between_mails(const struct session *s)
{
    return !s->transaction && !s->smtp.due && !(s->stream->tls && s->stream->tls->handshaking);
}

static void take_current_policy(struct worker *w, struct session *s)
{
    if (s->generation == w->generations.current || !between_mails(s))
        return;
    struct generation *old = s->generation;
    struct generation *new = generation_hold(w->generations.current);
    uint64_t met = 0;
    if (s->stream->tls && s->stream->tls->verdict.answered) {
        bool same = generation_same_demands(old, new);
        s->stale |= !same;
        met = same ? s->stream->tls->verdict.peers : 0;
    }
    /* A certificate that was not asked for can't be had any more in this session. */
    if (s->stream->tls && old->flow_settings.client_certificate == POLICY_CERTIFICATE_NO &&
        new->flow_settings.client_certificate != POLICY_CERTIFICATE_NO)
        s->stale = true;
    if (s->stream->tls)
        s->stream->tls->verdict.peers = met;
    s->peers = policy_peers_met(&new->policy, &s->client, met);
    s->generation = new;
    admission_peers(w, s);
    generation_release(w, old);
}

void session_policy_changed(struct worker *w)
{
    for (uint32_t i = 0; i < w->sessions.fresh; i++) {
        struct session *s = pool_at(&w->sessions, i);
        if (s)
            take_current_policy(w, s);
    }
}

void session_drain(struct worker *w)
{
    for (uint32_t i = 0; i < w->sessions.fresh; i++) {
        struct session *s = pool_at(&w->sessions, i);
        if (s && between_mails(s))
            session_close(w, s, "4.3.2", "Service shutting down");
    }
}

/* ---- events ----------------------------------------------------------------------------- */

enum step { STEP_ON, STEP_STOP, STEP_GONE };

static enum step on_flush(struct worker *w, struct session *s, struct smtp_out *out)
{
    if (!session_send(w, s, out)) {
        session_drop(w, s, "no memory");
        return STEP_GONE;
    }
    *out = replies(w, s);
    if (out->capacity >= LIMIT_SMTP_OUT)
        return STEP_ON;
    stream_pause(s->stream); /* until the client has read its replies */
    return STEP_STOP;
}

static enum step on_need_line(struct worker *w, struct session *s, struct smtp_out *out)
{
    struct smtp_line *line = pool_get(&w->lines);
    if (line)
        smtp_server_attach(&s->smtp, line);
    else
        smtp_server_close(&s->smtp, out, "4.3.2", SPAN_LIT("Too busy, try again later"));
    return STEP_ON;
}

static void on_ehlo(struct worker *w, struct session *s)
{
    if (s->transaction) {
        transaction_abort(w, s->transaction);
        s->transaction = NULL;
    }
    struct span name = span_head(s->smtp.name, sizeof s->helo);
    memcpy(s->helo, name.p, name.n);
    s->helo_length = (uint16_t)name.n;
}

static enum step on_starttls(struct worker *w, struct session *s, struct smtp_out *out)
{
    struct generation *g = s->generation;
    if (!g->server || w->links.link[LINK_KEEPER].fd < 0) {
        smtp_server_reject(&s->smtp, out, 454, "4.7.0", SPAN_LIT("TLS not available now"));
        return STEP_ON;
    }
    smtp_server_accept(&s->smtp, out);
    if (!session_send(w, s, out) ||
        !stream_start_tls(w, s->stream, g->server, true, g->number, (uint16_t)g->flow,
                          (uint16_t)g->flow_settings.identity, SPAN_EMPTY, false, NULL)) {
        session_drop(w, s, "no memory for TLS");
        return STEP_GONE;
    }
    session_take_line_back(w, s);
    stream_flush(w, s->stream);
    return STEP_STOP;
}

static void on_mail(struct worker *w, struct session *s, struct smtp_out *out)
{
    struct transaction_reply reply = {0};
    if (admission_mail(w, s, &reply))
        s->transaction = transaction_begin(w, s, &reply);
    if (s->transaction)
        smtp_server_accept(&s->smtp, out);
    else
        reject(s, out, &reply);
}

static void on_recipient(struct worker *w, struct session *s, struct smtp_out *out)
{
    struct transaction_reply reply = {0};
    bool ok = admission_recipient(w, s, &reply) &&
              transaction_recipient(w, s->transaction, &s->smtp.path, &reply);
    counter_add(w->counters, ok ? COUNTER_recipients_accepted : COUNTER_recipients_rejected, 1);
    if (ok)
        smtp_server_accept(&s->smtp, out);
    else
        reject(s, out, &reply);
}

static void on_data(struct worker *w, struct session *s, struct smtp_out *out)
{
    struct transaction_reply reply = {0};
    if (transaction_data(w, s->transaction, &reply)) {
        smtp_server_accept(&s->smtp, out);
        return;
    }
    reject(s, out, &reply);
    transaction_abort(w, s->transaction);
    s->transaction = NULL;
}

static void on_bdat(struct worker *w, struct session *s)
{
    struct transaction_reply reply = {0};
    (void)transaction_data(w, s->transaction, &reply); /* refused at the end of the chunk */
}

static void end_transaction(struct worker *w, struct session *s)
{
    if (s->transaction)
        transaction_abort(w, s->transaction);
    s->transaction = NULL;
}

/* The content is refused. */
static void refuse_content(struct worker *w, struct session *s, struct smtp_out *out,
                           const struct transaction_reply *reply)
{
    reject(s, out, reply);
    counter_add(w->counters,
                reply->code >= 500 ? COUNTER_mails_rejected : COUNTER_mails_deferred_in, 1);
    end_transaction(w, s);
}

static void on_chunk(struct worker *w, struct session *s, struct smtp_out *out)
{
    struct transaction_reply reply = {0};
    if (transaction_chunk(s->transaction, s->smtp.defects, &reply))
        smtp_server_accept(&s->smtp, out);
    else
        refuse_content(w, s, out, &reply);
}

static enum step on_body(struct worker *w, struct session *s)
{
    size_t bytes = s->smtp.body.n;
    counter_add(w->counters, COUNTER_bytes_in, bytes);
    bool on = transaction_body(w, s->transaction, s->smtp.body);
    transfer_take(&s->transaction->transfer, bytes, !on);
    if (on)
        return STEP_ON;
    stream_pause(s->stream); /* resumed when the file has caught up */
    return STEP_STOP;
}

static enum step on_end_of_data(struct worker *w, struct session *s, struct smtp_out *out)
{
    struct transaction_reply reply = {0};
    if (transaction_end(w, s->transaction, s->smtp.defects, &reply)) {
        s->committing = true;
        stream_pause(s->stream);
        return STEP_STOP;
    }
    if (reply.code == 250) {
        smtp_server_accept_text(&s->smtp, out, reply.enhanced, span_str(reply.text));
        counter_add(w->counters, COUNTER_mails_discarded, 1);
        end_transaction(w, s);
    } else {
        refuse_content(w, s, out, &reply);
    }
    return STEP_ON;
}

static enum step on_close(struct worker *w, struct session *s, struct smtp_out *out, bool quit)
{
    counter_add(w->counters, COUNTER_limit_session, s->smtp.close_reason == SMTP_CLOSE_COMMANDS);
    if (!quit) {
        log_begin(LOG_NOTICE, "session closed");
        log_text("client", s->client_text);
        log_text("reason", smtp_close_reason_text((enum smtp_close_reason)s->smtp.close_reason));
        if (s->smtp.refusal)
            log_text("reply", s->smtp.refusal);
        log_end();
    }
    (void)session_send(w, s, out);
    session_finish(w, s, quit ? "quit" : "refused", !quit);
    return STEP_GONE;
}

static enum step session_step(struct worker *w, struct session *s, struct span *in,
                              struct smtp_out *out)
{
    enum smtp_event event = smtp_server_next(&s->smtp, in, out);
    switch (event) {
    case SMTP_EV_NEED_INPUT:
    case SMTP_EV_WAIT:
        return STEP_STOP;
    case SMTP_EV_FLUSH:
        return on_flush(w, s, out);
    case SMTP_EV_NEED_LINE:
        return on_need_line(w, s, out);
    case SMTP_EV_EHLO:
        on_ehlo(w, s);
        return STEP_ON;
    case SMTP_EV_STARTTLS:
        return on_starttls(w, s, out);
    case SMTP_EV_MAIL:
        on_mail(w, s, out);
        return STEP_ON;
    case SMTP_EV_RCPT:
        on_recipient(w, s, out);
        return STEP_ON;
    case SMTP_EV_DATA:
        on_data(w, s, out);
        return STEP_ON;
    case SMTP_EV_BODY:
        return on_body(w, s);
    case SMTP_EV_BDAT:
        on_bdat(w, s);
        return STEP_ON;
    case SMTP_EV_CHUNK:
        on_chunk(w, s, out);
        return STEP_ON;
    case SMTP_EV_END_OF_DATA:
        return on_end_of_data(w, s, out);
    case SMTP_EV_RSET:
        end_transaction(w, s);
        return STEP_ON;
    case SMTP_EV_QUIT:
        return on_close(w, s, out, true);
    case SMTP_EV_CLOSE:
        return on_close(w, s, out, false);
    }
    BUG_ON(true);
}

static void session_input(struct worker *w, struct stream *stream, struct span *in)
{
    struct session *s = stream->context;
    take_current_policy(w, s);
    struct smtp_out out = replies(w, s);
    enum step step = out.capacity >= LIMIT_SMTP_OUT ? STEP_ON : STEP_STOP;
    if (step == STEP_STOP)
        stream_pause(stream);
    const char *overdue = admission_overdue(w, s);
    if (s->stale && step == STEP_ON)
        smtp_server_close(&s->smtp, &out, "4.3.2",
                          SPAN_LIT("The policy has changed, please connect again"));
    else if (overdue && step == STEP_ON)
        smtp_server_close(&s->smtp, &out, "4.7.0", span_str(overdue));
    uint32_t commands = s->smtp.commands;
    while (step == STEP_ON)
        step = session_step(w, s, in, &out);
    if (step == STEP_GONE) {
        *in = SPAN_EMPTY;
        return;
    }
    if (!session_send(w, s, &out)) {
        session_drop(w, s, "no memory");
        *in = SPAN_EMPTY;
        return;
    }
    session_take_line_back(w, s);
    /* A command is due as a whole: who sends it byte by byte gains no time. */
    if (s->smtp.commands != commands || (s->transaction && s->transaction->transfer.begun != 0))
        idle_from_now(w, s);
    stream_flush(w, stream);
}

void session_committed(struct worker *w, struct session *s, bool ok, uint64_t id)
{
    char text[48];
    struct smtp_out out = replies(w, s);
    s->committing = false;
    s->transaction = NULL;
    if (ok) {
        transaction_accept_text(id, text, sizeof text);
        smtp_server_accept_text(&s->smtp, &out, "2.0.0", span_str(text));
    } else {
        smtp_server_reject(&s->smtp, &out, 452, "4.3.1", SPAN_LIT("Mail could not be stored"));
    }
    counter_add(w->counters, ok ? COUNTER_mails_accepted : COUNTER_mails_deferred_in, 1);
    if (!session_send(w, s, &out)) {
        session_drop(w, s, "no memory");
        return;
    }
    stream_flush(w, s->stream);
    idle_from_now(w, s);
    stream_resume(w, s->stream);
}

/* ---- the stream's other calls ------------------------------------------------------------ */

static void session_drained(struct worker *w, struct stream *stream)
{
    struct session *s = stream->context;
    if (stream->paused && !s->committing && !(s->transaction && s->transaction->large.waiting))
        stream_resume(w, stream);
}

static void session_secured(struct worker *w, struct stream *stream, bool ok)
{
    struct session *s = stream->context;
    if (!ok) {
        counter_add(w->counters, COUNTER_tls_handshake_failures_in, 1);
        log_begin(LOG_NOTICE, "handshake failed");
        log_text("client", s->client_text);
        log_text("reason", stream->error);
        log_end();
        session_finish(w, s, "TLS handshake failed", true);
        return;
    }
    counter_add(w->counters, COUNTER_sessions_tls_in, 1);
    if (tls_resumed(&stream->tls->connection))
        counter_add(w->counters, COUNTER_tls_resumed_in, 1);
    s->peers = policy_peers_met(&s->generation->policy, &s->client, stream->tls->verdict.peers);
    admission_peers(w, s);
    s->helo_length = 0;
    smtp_server_tls_established(&s->smtp);
}

static void session_ended(struct worker *w, struct stream *stream, enum stream_end end)
{
    struct session *s = stream->context;
    session_drop(w, s, end == STREAM_END_PEER ? "closed by the client" : stream->error);
}

static void session_expired(struct worker *w, struct stream *stream)
{
    struct session *s = stream->context;
    if (s->committing) { /* the disk is slow: its answer comes, or the process ends */
        idle_from_now(w, s);
        return;
    }
    if (smtp_server_silent(&s->smtp)) {
        greet(w, s);
        return;
    }
    counter_add(w->counters, COUNTER_limit_idle, 1);
    session_close(w, s, "4.4.2", "Timeout: closing the connection");
}

const struct stream_owner session_owner = {
    .input = session_input,
    .drained = session_drained,
    .secured = session_secured,
    .ended = session_ended,
    .expired = session_expired,
};
