/* Outbound connections: opening, TLS, the machine's events, and the connection's end. */
#include "workers/connection/client.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/connection/attempt.h"
#include "workers/connection/destination.h"
#include "workers/connection/worker.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static const struct stream_owner client_owner;

/* ---- end -------------------------------------------------------------------------------- */

static void leave_idle(struct client *c)
{
    struct client **p = &c->destination->idle;
    if (!c->idle)
        return;
    while (*p != c)
        p = &(*p)->next_idle;
    *p = c->next_idle;
    c->idle = false;
}

static void started(struct client *c)
{
    if (c->starting)
        c->destination->starting--;
    c->starting = false;
}

/* Frees the client; its delivery must have been dealt with. */
static void client_free(struct worker *w, struct client *c)
{
    struct destination *d = c->destination;
    BUG_ON(c->delivery != NULL);
    variant_free(w, &c->variant);
    attempt_over(c);
    leave_idle(c);
    started(c);
    d->clients--;
    counter_sub(w->counters, COUNTER_connections_out_open, 1);
    generation_release(w, c->generation);
    pool_put(&w->clients, c);
    destination_client_gone(w, d);
}

static void client_close(struct worker *w, struct client *c)
{
    struct stream *s = c->stream;
    stream_close(w, s);
    client_free(w, c);
}

/* The place of the client's host among the destination's candidates now; NULL when names were
 * asked anew and it is gone. */
static struct candidate *own_candidate(const struct client *c)
{
    struct destination *d = c->destination;
    for (uint32_t i = 0; i < d->candidate_count; i++)
        if (memcmp(&d->candidates[i].address, &c->candidate.address, sizeof c->candidate.address) ==
            0)
            return &d->candidates[i];
    return NULL;
}

/* The connection is of no use, before or between mails: another host is tried. */
static void host_failed(struct worker *w, struct client *c, const char *why)
{
    char text[LIMIT_REASON];
    struct candidate *own = own_candidate(c);
    (void)snprintf(text, sizeof text, "%s: %s", c->relay, why);
    if (own && c->starting)
        destination_candidate_failed(w, c->destination, own, text,
                                     c->tls_unmet ? "4.7.5" : "4.4.1");
    client_close(w, c);
}

/* The connection broke. In a transaction its delivery is deferred, unless the connection was a
 * kept one that had died meanwhile: then it is tried at once on another, one time. */
static void client_broke(struct worker *w, struct client *c, const char *why)
{
    struct delivery *d = c->delivery;
    char text[LIMIT_REASON];
    if (!d) {
        if (c->starting)
            counter_add(w->counters, COUNTER_connect_failures, 1);
        host_failed(w, c, why);
        return;
    }
    c->delivery = NULL;
    if (c->smtp.mails > 0 && !c->responded && !d->rerun) {
        d->rerun = true;
        queue_put_back(w, d);
        client_close(w, c);
        return;
    }
    (void)snprintf(text, sizeof text, "%s: %s (%s)", c->relay, why, smtp_client_stage(&c->smtp));
    struct candidate *own = own_candidate(c);
    if (own && c->smtp.mails == 0)
        destination_candidate_distrust(w, c->destination, own, text);
    queue_attempted(w, d, span_str(text));
    client_close(w, c);
}

/* ---- opening ---------------------------------------------------------------------------- */

static void name_relay(struct client *c)
{
    char address[INET6_ADDRSTRLEN] = "?";
    const union stream_address *a = &c->candidate.address;
    bool v4 = a->any.sa_family == AF_INET;
    (void)inet_ntop(a->any.sa_family,
                    v4 ? (const void *)&a->v4.sin_addr : (const void *)&a->v6.sin6_addr, address,
                    sizeof address);
    (void)snprintf(c->relay, sizeof c->relay, "%s[%s]:%u", c->candidate.host, address,
                   ntohs(v4 ? a->v4.sin_port : a->v6.sin6_port));
}

/* A network whose IPv6 leads nowhere must not keep a mail from a host that IPv4 reaches. */
static uint64_t connect_patience(const struct worker *w, const struct destination *d,
                                 const struct candidate *chosen)
{
    for (uint32_t i = 0; i < d->candidate_count && chosen->address.any.sa_family == AF_INET6; i++)
        if (d->candidates[i].address.any.sa_family == AF_INET &&
            d->candidates[i].bad_until <= w->now)
            return LIMIT_CONNECT_IPV6_MICROSECONDS;
    return LIMIT_CONNECT_MICROSECONDS;
}

bool client_open(struct worker *w, struct destination *d)
{
    struct candidate *candidate = destination_candidate(w, d);
    struct generation *g = w->generations.current;
    struct client *c = pool_get(&w->clients);
    if (!c) {
        w->clients_short = true;
        return false;
    }
    memset(c, 0, sizeof *c);
    c->destination = d;
    c->route = d->route_index;
    c->candidate = *candidate;
    if (candidate->tlsa > 0)
        c->tlsa = d->tlsa[candidate->tlsa - 1];
    c->recipient_max = LIMIT_CLIENT_RECIPIENTS;
    name_relay(c);
    c->stream = stream_connect(w, &candidate->address, &client_owner, c);
    if (!c->stream) {
        int error = errno;
        pool_put(&w->clients, c);
        if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
            w->clients_short = true; /* our want, not the host's fault */
            return false;
        }
        destination_candidate_failed(w, d, candidate, strerror(error), "4.4.1");
        return true; /* perhaps another one can */
    }
    c->generation = generation_hold(g);
    bool require =
        policy_route(&g->policy, c->route).tls_require || candidate->tlsa > 0 || candidate->encrypt;
    c->config = (struct smtp_client_config){
        .hostname = g->settings.hostname,
        .tls = require               ? SMTP_TLS_REQUIRE
               : candidate->in_clear ? SMTP_TLS_NONE
                                     : SMTP_TLS_OPPORTUNISTIC,
        .no_chunking = candidate->no_chunking,
    };
    c->starting = true;
    d->starting++;
    d->clients++;
    counter_add(w->counters, COUNTER_connections_out_open, 1);
    smtp_client_begin(&c->smtp, &c->config);
    stream_deadline(w, c->stream, connect_patience(w, d, candidate));
    return true;
}

static void client_connected(struct worker *w, struct stream *stream, int error)
{
    struct client *c = stream->context;
    if (error != 0) {
        client_broke(w, c, strerror(error));
        return;
    }
    counter_add(w->counters, COUNTER_connects_out, 1);
    stream_deadline(w, stream, TIMEOUT_SMTP_GREETING * UINT64_C(1000000));
}

/* ---- TLS -------------------------------------------------------------------------------- */

static void start_tls(struct worker *w, struct client *c)
{
    struct generation *g = c->generation;
    struct policy_route route = policy_route(&g->policy, c->route);
    bool own = route.identity != POLICY_NONE;
    struct tls_context *context = own ? g->clients[route.identity] : g->plain_client;
    if (!context) { /* the flow's rules lead there no more, and so it may not use the key */
        client_broke(w, c, "no rule of the flow names the route any more: no certificate for it");
        return;
    }
    stream_flush(w, c->stream);
    stream_deadline(w, c->stream, LIMIT_HANDSHAKE_MICROSECONDS);
    if (!stream_start_tls(w, c->stream, context, false, g->number, (uint16_t)c->route,
                          own ? (uint16_t)route.identity : 0, span_str(c->candidate.host),
                          c->tlsa.n > 0 || (route.tls_require && route.tls.trust != POLICY_NONE),
                          c->tlsa.n > 0 ? &c->tlsa : NULL))
        client_broke(w, c, "no memory for TLS");
}

static void client_run(struct worker *w, struct client *c, struct span *in);

/* No TLS with this host. Where the route demands it another host is tried, or the mail waits;
 * else the same host in clear. */
static void handshake_failed(struct worker *w, struct client *c, const char *what)
{
    const struct stream_tls *tls = c->stream->tls;
    char why[LIMIT_REASON];
    bool unmet = tls->verdict.answered && !tls->verdict.verified;
    if (tls->offered) { /* it fails to resume: the same host again, from the beginning */
        resume_forget(w, c->stream);
        log_line(LOG_NOTICE, "resumption failed", "%s: %s", c->relay, what);
        client_close(w, c);
        return;
    }
    (void)snprintf(why, sizeof why, "TLS: %s", unmet ? tls->verdict.reason : what);
    counter_add(w->counters, COUNTER_tls_handshake_failures_out, 1);
    bool require = c->config.tls == SMTP_TLS_REQUIRE;
    c->tls_unmet = require;
    if (require)
        counter_add(w->counters, COUNTER_tls_demand_unmet, 1);
    /* Without the keeper no handshake succeeds: that says nothing against this host's TLS. */
    if (require || w->links.link[LINK_KEEPER].fd < 0) {
        client_broke(w, c, why);
        return;
    }
    struct candidate *own = own_candidate(c);
    if (own)
        own->in_clear = true;
    log_line(LOG_NOTICE, "handshake failed", "%s: %s: tried in clear, as the route allows",
             c->relay, why);
    client_close(w, c);
}

static void client_secured(struct worker *w, struct stream *stream, bool ok)
{
    struct client *c = stream->context;
    struct span nothing = SPAN_EMPTY;
    if (!ok) {
        handshake_failed(w, c, stream->error);
        return;
    }
    BUG_ON(stream->tls->must_verify && !stream->tls->verdict.verified);
    struct tls_description d = tls_describe(&stream->tls->connection);
    if (policy_route(&c->generation->policy, c->route).tls_mutual && !(d.asked && d.presented)) {
        counter_add(w->counters, COUNTER_tls_demand_unmet, 1);
        client_broke(w, c, "TLS: the server does not ask for our certificate");
        return;
    }
    counter_add(w->counters, COUNTER_sessions_tls_out, 1);
    if (stream->tls->offered)
        counter_add(w->counters, COUNTER_tls_resumed_out, 1);
    smtp_client_tls_established(&c->smtp, stream->tls->must_verify);
    client_run(w, c, &nothing);
}

/* ---- the machine's events ----------------------------------------------------------------- */

enum step { STEP_ON, STEP_STOP, STEP_GONE };

static bool client_send(struct worker *w, struct client *c, struct smtp_out *out)
{
    bool ok = out->n == 0 || stream_write(w, c->stream, span_of(out->p, out->n));
    out->n = 0;
    return ok;
}

static struct smtp_out commands(struct worker *w, const struct client *c)
{
    size_t room = stream_room(c->stream);
    return (struct smtp_out){.p = w->scratch,
                             .capacity = room < sizeof w->scratch ? room : sizeof w->scratch};
}

static void become_idle(struct worker *w, struct client *c)
{
    struct destination *d = c->destination;
    c->idle = true;
    c->next_idle = d->idle;
    d->idle = c;
    stream_deadline(w, c->stream, LIMIT_IDLE_MICROSECONDS);
}

/* Begins the next delivery that can be begun; false when there is none. */
static bool take_next(struct worker *w, struct client *c)
{
    struct delivery *d;
    while ((d = destination_take(w, c->destination)) != NULL)
        if (attempt_begin(w, c, d))
            return true;
    return false;
}

/* A connection that is ready takes the next delivery, or waits for one. */
static enum step on_ready(struct worker *w, struct client *c)
{
    struct delivery *d = c->delivery;
    bool exhausted = smtp_client_exhausted(&c->smtp);
    if (d && !exhausted && attempt_continues(c) && attempt_transaction(w, c))
        return STEP_ON; /* for recipients that the one before did not name */
    if (d) {
        c->delivery = NULL;
        variant_free(w, &c->variant);
        queue_attempted(w, d, SPAN_LIT("the next hop takes no more mails over one connection"));
    }
    bool used_up = exhausted || c->smtp.mails >= LIMIT_CONNECTION_MAILS ||
                   c->generation != w->generations.current || w->draining ||
                   destination_must_yield(w, c->destination);
    started(c);
    if (used_up) {
        smtp_client_quit(&c->smtp);
        destination_run(w, c->destination); /* what is ready need not wait for the answer to QUIT */
        return STEP_ON;
    }
    if (take_next(w, c))
        return STEP_ON;
    become_idle(w, c);
    return STEP_STOP;
}

static enum step on_refused(struct worker *w, struct client *c, const char *what)
{
    char why[LIMIT_REASON];
    struct span text = smtp_reply_text(&c->smtp.reply);
    (void)snprintf(why, sizeof why, "%s: %u %.*s", what, c->smtp.reply.code, (int)text.n, text.p);
    client_broke(w, c, why);
    return STEP_GONE;
}

/* The host's offer of CHUNKING was none: its next connection goes without. */
static void distrust_chunking(struct client *c)
{
    struct candidate *own = own_candidate(c);
    if (own)
        own->no_chunking = true;
    log_line(LOG_NOTICE, "chunking failed", "%s: offers CHUNKING and does not know BDAT", c->relay);
}

static enum step client_step(struct worker *w, struct client *c, struct span *in,
                             struct smtp_out *out)
{
    attempt_follow_text(c);
    enum smtp_client_event event = smtp_client_next(&c->smtp, in, out);
    switch (event) {
    case SMTP_CL_NEED_INPUT:
    case SMTP_CL_WAIT:
    case SMTP_CL_FLUSH:
        return STEP_STOP;
    case SMTP_CL_STARTTLS:
        if (in->n > 0 || !client_send(w, c, out)) {
            client_broke(w, c, in->n > 0 ? "bytes behind the reply to STARTTLS" : "no memory");
            return STEP_GONE;
        }
        start_tls(w, c);
        return STEP_GONE; /* goes on when secured */
    case SMTP_CL_READY:
        return on_ready(w, c);
    case SMTP_CL_RCPT_RESULT:
        c->responded = true;
        attempt_recipient(c);
        return STEP_ON;
    case SMTP_CL_SEND_BODY:
        c->responded = c->responded || c->smtp.accepted > 0;
        if (!client_send(w, c, out) || !attempt_body(w, c)) {
            client_broke(w, c, "the stored mail can't be read");
            return STEP_GONE;
        }
        *out = commands(w, c);
        return STEP_ON;
    case SMTP_CL_DELIVERED:
    case SMTP_CL_FAILED:
        c->responded = true;
        if (c->smtp.chunk_unknown)
            distrust_chunking(c);
        attempt_settled(w, c, event == SMTP_CL_DELIVERED);
        return STEP_ON;
    case SMTP_CL_REFUSED:
        return on_refused(w, c, "refused");
    case SMTP_CL_DOWNGRADE:
        c->tls_unmet = true;
        counter_add(w->counters, COUNTER_tls_demand_unmet, 1);
        return on_refused(w, c, "TLS is required and not to be had");
    case SMTP_CL_CLOSED:
        return on_refused(w, c, "closed");
    case SMTP_CL_PROTOCOL_ERROR:
        client_broke(w, c, c->smtp.error);
        return STEP_GONE;
    case SMTP_CL_QUIT:
        client_close(w, c);
        return STEP_GONE;
    }
    BUG_ON(true);
}

/* Input that does not make a reply whole leaves the deadline where it is: it gains no time. */
static void client_run(struct worker *w, struct client *c, struct span *in)
{
    struct stream *stream = c->stream;
    bool input = in->n > 0;
    uint32_t replies = c->smtp.replies;
    struct smtp_out out = commands(w, c);
    enum step step = out.capacity >= LIMIT_SMTP_OUT ? STEP_ON : STEP_STOP;
    while (step == STEP_ON)
        step = client_step(w, c, in, &out);
    if (step == STEP_GONE) {
        *in = SPAN_EMPTY;
        return;
    }
    if (!client_send(w, c, &out)) {
        client_broke(w, c, "no memory");
        *in = SPAN_EMPTY;
        return;
    }
    if (!c->idle && (!input || c->smtp.replies != replies))
        stream_deadline(w, stream, smtp_client_timeout(&c->smtp) * UINT64_C(1000000));
    stream_flush(w, stream);
    if (in->n > 0) /* only when there is no room to answer: comes again when drained */
        stream_pause(stream);
}

void client_next_mail(struct worker *w, struct client *c)
{
    struct span nothing = SPAN_EMPTY;
    leave_idle(c);
    if (c->generation != w->generations.current)
        smtp_client_quit(&c->smtp);
    else if (!take_next(w, c))
        become_idle(w, c);
    client_run(w, c, &nothing);
}

/* ---- the stream's calls ------------------------------------------------------------------- */

static void client_input(struct worker *w, struct stream *stream, struct span *in)
{
    client_run(w, stream->context, in);
}

static void client_drained(struct worker *w, struct stream *stream)
{
    struct client *c = stream->context;
    struct span nothing = SPAN_EMPTY;
    if (c->sending && !attempt_body(w, c)) {
        client_broke(w, c, "the stored mail can't be read");
        return;
    }
    if (c->sending)
        stream_deadline(w, stream, TIMEOUT_SMTP_BLOCK * UINT64_C(1000000));
    if (stream->paused)
        stream_resume(w, stream);
    else if (!c->idle)
        client_run(w, c, &nothing);
}

static void client_ended(struct worker *w, struct stream *stream, enum stream_end end)
{
    const char *why = end == STREAM_END_PEER ? "the connection was closed" : stream->error;
    if (stream->tls && stream->tls->handshaking)
        handshake_failed(w, stream->context, why);
    else
        client_broke(w, stream->context, why);
}

static void client_expired(struct worker *w, struct stream *stream)
{
    struct client *c = stream->context;
    struct span nothing = SPAN_EMPTY;
    if (c->idle) {
        leave_idle(c);
        smtp_client_quit(&c->smtp);
        client_run(w, c, &nothing);
        return;
    }
    client_broke(w, c, "time-out");
}

void client_drain(struct worker *w)
{
    struct span nothing = SPAN_EMPTY;
    for (uint32_t i = 0; i < w->clients.fresh; i++) {
        struct client *c = pool_at(&w->clients, i);
        if (!c || !c->idle)
            continue;
        leave_idle(c);
        smtp_client_quit(&c->smtp);
        client_run(w, c, &nothing);
    }
}

static const struct stream_owner client_owner = {
    .input = client_input,
    .drained = client_drained,
    .connected = client_connected,
    .secured = client_secured,
    .ended = client_ended,
    .expired = client_expired,
};
