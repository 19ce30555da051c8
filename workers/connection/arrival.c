/* Who has connected, and the PROXY header that may come before a client's first byte. */
#include "workers/connection/arrival.h"
#include "engine/log/log.h"
#include "engine/proxy/proxy.h"
#include "status.h"
#include "workers/connection/admission.h"
#include "workers/connection/session.h"
#include "workers/connection/worker.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

_Static_assert(LIMIT_PROXY_HEADER <= LIMIT_SMTP_COMMAND, "a header is gathered in a line's memory");

static const struct stream_owner balancer;

/* ---- addresses -------------------------------------------------------------------------- */

/* An IPv4 address in IPv6's clothes is an IPv4 address, for rules, limits and the log. */
static struct policy_address address_of(uint8_t family, const unsigned char *bytes)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct policy_address a = {.family = family};
    if (family == 6 && memcmp(bytes, mapped, sizeof mapped) == 0) {
        a.family = 4;
        bytes += sizeof mapped;
    }
    if (a.family != 0)
        memcpy(a.bytes, bytes, a.family == 4 ? 4 : 16);
    return a;
}

static struct policy_address address_of_peer(int fd)
{
    union stream_address a = {0};
    socklen_t length = sizeof a;
    (void)getpeername(fd, &a.any, &length);
    if (a.any.sa_family == AF_INET)
        return address_of(4, (const unsigned char *)&a.v4.sin_addr);
    if (a.any.sa_family == AF_INET6)
        return address_of(6, a.v6.sin6_addr.s6_addr);
    return address_of(0, NULL);
}

static void address_text(const struct policy_address *a, char out[LIMIT_CLIENT_TEXT])
{
    (void)snprintf(out, LIMIT_CLIENT_TEXT, "unknown");
    if (a->family != 0)
        (void)inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, out, LIMIT_CLIENT_TEXT);
}

static void set_client(struct worker *w, struct session *s, struct policy_address client)
{
    s->client = client;
    s->peers = policy_peers_met(&s->generation->policy, &s->client, 0);
    address_text(&client, s->client_text);
    admission_peers(w, s);
}

/* ---- refusals --------------------------------------------------------------------------- */

static void tell_refused(struct worker *w, const struct policy_address *from, const char *why)
{
    char text[LIMIT_CLIENT_TEXT];
    counter_add(w->counters, COUNTER_sessions_refused, 1);
    if (w->now < w->refusal_logged + LIMIT_REFUSAL_LOG_MICROSECONDS) {
        w->refusals_unlogged++; /* who floods us shall not flood the log */
        return;
    }
    address_text(from, text);
    log_begin(LOG_NOTICE, "session refused");
    log_text("client", text);
    log_text("reason", why);
    log_number("unlogged", (int64_t)w->refusals_unlogged);
    log_end();
    w->refusal_logged = w->now;
    w->refusals_unlogged = 0;
}

/* Without a session: the reply goes out if it can, and that is all. */
static void refuse_connection(struct worker *w, int fd, const struct policy_address *from,
                              const char *reply, const char *why)
{
    char line[LIMIT_SMTP_REPLY_OUT];
    int n = snprintf(line, sizeof line, "%s\r\n", reply);
    BUG_ON(n < 0 || (size_t)n >= sizeof line);
    (void)send(fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)close(fd);
    tell_refused(w, from, why);
}

static void refuse_busy(struct worker *w, int fd, const struct policy_address *from,
                        const char *why)
{
    refuse_connection(w, fd, from, "421 4.3.2 Too busy, try again later", why);
}

/* ---- arriving --------------------------------------------------------------------------- */

static enum policy_arrival how(const struct worker *w, unsigned listener,
                               const struct policy_address *from)
{
    const struct generation *g = w->generations.current;
    uint32_t number = w->listeners[listener].number;
    struct policy_range mine = g->flow_settings.listeners;
    if (number < mine.first || number - mine.first >= mine.count)
        return POLICY_ARRIVAL_STRANGER; /* the policy has lost it: this worker is being replaced */
    return policy_listener_arrival(&g->policy, number, from);
}

static bool for_balancers(const struct worker *w, unsigned listener)
{
    const struct policy_address nobody = {.family = 0};
    return how(w, listener, &nobody) == POLICY_ARRIVAL_STRANGER;
}

static struct session *new_session(struct worker *w, int fd, const struct stream_owner *owner)
{
    struct session *s = pool_get(&w->sessions);
    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    s->stream = stream_accept(w, fd, owner, s);
    if (!s->stream) {
        pool_put(&w->sessions, s);
        return NULL;
    }
    s->generation = generation_hold(w->generations.current);
    smtp_server_begin(&s->smtp, generation_smtp(s->generation, false));
    w->sessions_open++;
    counter_add(w->counters, COUNTER_sessions_open, 1);
    return s;
}

static bool admitted(struct worker *w, int fd, const struct policy_address *from,
                     struct guard_place *place)
{
    char reply[LIMIT_SMTP_REPLY_OUT - 2];
    const struct policy *p = &w->generations.current->policy;
    const char *why = admission_connection(w, from, policy_peers_met(p, from, 0), place);
    if (!why)
        return true;
    (void)snprintf(reply, sizeof reply, "421 4.7.0 %s", why);
    refuse_connection(w, fd, from, reply, why);
    return false;
}

/* Reset before it was accepted, so that nobody knows whose it was: port scanners do that, and
 * health checks. */
static void gone(struct worker *w, unsigned listener, int fd)
{
    (void)close(fd);
    if (for_balancers(w, listener))
        counter_add(w->counters, COUNTER_proxy_checks, 1);
    log_line(LOG_DEBUG, "disconnected", "reset before it was accepted");
}

void arrival_begin(struct worker *w, unsigned listener, int fd)
{
    struct policy_address from = address_of_peer(fd);
    enum policy_arrival arrival = how(w, listener, &from);
    counter_add(w->counters, COUNTER_sessions_accepted, 1);
    if (from.family == 0) {
        gone(w, listener, fd);
        return;
    }
    if (arrival == POLICY_ARRIVAL_STRANGER) {
        counter_add(w->counters, COUNTER_proxy_refused, 1);
        refuse_connection(w, fd, &from, "554 5.7.1 This address is for balancers only",
                          "not in proxy_from of the listener");
        return;
    }
    if (w->sessions_open >= w->generations.current->settings.sessions) {
        refuse_busy(w, fd, &from, "as many sessions are open as the policy allows");
        return;
    }
    bool proxied = arrival == POLICY_ARRIVAL_PROXIED;
    struct guard_place place = {.client = 0};
    if (!proxied && !admitted(w, fd, &from, &place))
        return;
    struct session *s = new_session(w, fd, proxied ? &balancer : &session_owner);
    if (!s) {
        guard_leave(&w->guard, &place);
        refuse_busy(w, fd, &from, "no session or stream is free");
        return;
    }
    s->place = place;
    set_client(w, s, from);
    s->greeting_delay = (uint8_t)policy_listener_greeting_delay(&s->generation->policy,
                                                                w->listeners[listener].number);
    if (proxied)
        stream_deadline(w, s->stream, TIMEOUT_PROXY_HEADER * UINT64_C(1000000));
    else
        session_welcome(w, s, s->greeting_delay);
}

/* ---- behind a balancer ------------------------------------------------------------------ */

static void refuse_balancer(struct worker *w, struct session *s, const char *fault)
{
    counter_add(w->counters, COUNTER_proxy_refused, 1);
    log_begin(LOG_NOTICE, "balancer refused");
    log_text("balancer", s->client_text);
    log_text("reason", fault);
    log_end();
    session_drop(w, s, fault);
}

static void named_by_balancer(struct worker *w, struct session *s, const struct proxy_header *h)
{
    if (h->origin == PROXY_LOCAL) {
        counter_add(w->counters, COUNTER_proxy_checks, 1);
    } else {
        counter_add(w->counters, COUNTER_proxy_clients, 1);
        set_client(w, s, address_of(h->family, h->client));
        const char *why = admission_connection(w, &s->client, s->peers, &s->place);
        if (why) {
            tell_refused(w, &s->client, why);
            session_close(w, s, "4.7.0", why);
            return;
        }
    }
    session_welcome(w, s, s->greeting_delay);
}

/* Takes of *in what the header has room for; *used says how much the line held before. */
static bool gather(struct worker *w, struct session *s, struct span *in, size_t *used)
{
    if (!s->smtp.line) {
        struct smtp_line *line = pool_get(&w->lines);
        if (!line)
            return false;
        smtp_server_attach(&s->smtp, line);
    }
    *used = s->header_used;
    struct span piece = span_head(*in, LIMIT_PROXY_HEADER - *used);
    memcpy(s->smtp.line->bytes + *used, piece.p, piece.n);
    s->header_used = (uint16_t)(*used + piece.n);
    return true;
}

/* Mostly the header comes in one piece, and is read where it is. */
static void balancer_input(struct worker *w, struct stream *stream, struct span *in)
{
    struct session *s = stream->context;
    struct proxy_header header;
    const char *fault = "no memory for a PROXY header";
    size_t before = 0;
    enum proxy_result result = PROXY_MORE;
    if (s->header_used == 0)
        result = proxy_parse(*in, &header, &fault);
    if (result == PROXY_MORE) {
        if (gather(w, s, in, &before))
            result = proxy_parse(span_of(s->smtp.line->bytes, s->header_used), &header, &fault);
        else
            result = PROXY_BAD;
    }
    switch (result) {
    case PROXY_MORE:
        *in = SPAN_EMPTY;
        return;
    case PROXY_BAD:
        *in = SPAN_EMPTY;
        refuse_balancer(w, s, fault);
        return;
    case PROXY_DONE:
        *in = span_from(*in, header.length - before);
        session_take_line_back(w, s);
        named_by_balancer(w, s, &header);
        return;
    }
    BUG_ON(true);
}

/* A health check that connects and leaves. */
static void balancer_ended(struct worker *w, struct stream *stream, enum stream_end end)
{
    struct session *s = stream->context;
    (void)end;
    if (s->header_used > 0) {
        refuse_balancer(w, s, "PROXY header broken off");
        return;
    }
    counter_add(w->counters, COUNTER_proxy_checks, 1);
    session_drop(w, s, "left without a PROXY header");
}

static void balancer_expired(struct worker *w, struct stream *stream)
{
    refuse_balancer(w, stream->context, "no PROXY header in time: does the balancer send one?");
}

static void balancer_drained(struct worker *w, struct stream *stream)
{
    (void)w;
    (void)stream; /* nothing was sent */
}

static const struct stream_owner balancer = {
    .input = balancer_input,
    .drained = balancer_drained,
    .ended = balancer_ended,
    .expired = balancer_expired,
};
