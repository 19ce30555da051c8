/* Destinations: finding, resolving, choosing hosts, and when to open a connection. */
#include "workers/connection/destination.h"
#include "engine/log/log.h"
#include "engine/smtp/address.h"
#include "lookup.h"
#include "status.h"
#include "tlsa.h"
#include "workers/connection/client.h"
#include "workers/connection/worker.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert((LIMIT_DESTINATION_BUCKETS & (LIMIT_DESTINATION_BUCKETS - 1)) == 0, "a mask");

/* ---- by name ---------------------------------------------------------------------------- */

/* Seeded, so that a sender can't choose domains that fall into one bucket. */
static uint32_t bucket_of(const struct worker *w, const char *route, const char *domain)
{
    uint64_t h = w->queue.hash_seed;
    for (const char *p = route; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    for (const char *p = domain; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    h ^= h >> 29;
    h *= UINT64_C(0xbf58476d1ce4e5b9) ^ (w->queue.hash_seed << 1);
    return (uint32_t)(h >> 32) & (LIMIT_DESTINATION_BUCKETS - 1);
}

static void domain_of(struct span recipient, char out[LIMIT_DOMAIN + 1])
{
    struct smtp_address a;
    size_t n = 0;
    if (smtp_address_parse(recipient, &a) == SMTP_ADDRESS_OK)
        n = smtp_domain_canonical(span_head(a.domain, LIMIT_DOMAIN), (unsigned char *)out);
    out[n] = '\0';
}

/* Unknown routes (a policy may have lost one) count as going by the recipient's domain: harmless,
 * and right when it comes back as such a route. */
static bool by_recipient(const struct worker *w, struct span route)
{
    const struct generation *g = w->generations.current;
    if (!g)
        return true;
    uint32_t index = policy_find_route(&g->policy, route);
    return index == POLICY_NONE ||
           policy_route(&g->policy, index).kind == POLICY_ROUTE_MX_RECIPIENT;
}

/* What a destination is found by. */
struct destination_key {
    char route[LIMIT_NAME + 1];
    char domain[LIMIT_DOMAIN + 1];
    bool by_domain;
};

static struct destination *find(struct worker *w, struct span route, struct span recipient,
                                struct destination_key *key)
{
    route = span_head(route, LIMIT_NAME);
    memcpy(key->route, route.p, route.n);
    key->route[route.n] = '\0';
    key->domain[0] = '\0';
    key->by_domain = by_recipient(w, route);
    if (key->by_domain)
        domain_of(recipient, key->domain);
    struct destination *d = w->queue.buckets[bucket_of(w, key->route, key->domain)];
    while (d && (strcmp(d->route, key->route) != 0 || strcmp(d->domain, key->domain) != 0 ||
                 d->by_domain != key->by_domain))
        d = d->next_in_bucket;
    return d;
}

struct destination *destination_find(struct worker *w, struct span route, struct span recipient)
{
    struct destination_key key;
    return find(w, route, recipient, &key);
}

struct destination *destination_for(struct worker *w, struct span route, struct span recipient)
{
    struct destination_key key;
    struct destination *d = find(w, route, recipient, &key);
    if (d)
        return d;
    d = pool_get(&w->queue.destinations);
    if (!d)
        return NULL;
    struct destination **bucket = &w->queue.buckets[bucket_of(w, key.route, key.domain)];
    memset(d, 0, offsetof(struct destination, candidates));
    memcpy(d->route, key.route, sizeof key.route);
    memcpy(d->domain, key.domain, sizeof key.domain);
    d->by_domain = key.by_domain;
    d->timer.kind = TIMER_DESTINATION;
    pace_begin(&d->pace);
    d->suspended = suspend_has(w, d->route);
    d->next_in_bucket = *bucket;
    *bucket = d;
    return d;
}

void destination_rest(struct worker *w, struct destination *d)
{
    if (d->deliveries == 0 && d->clients == 0 && !timer_armed(&d->timer))
        (void)timer_arm(&w->timers, &d->timer, w->now + LIMIT_DESTINATION_REST_MICROSECONDS);
}

void destination_timer(struct worker *w, struct timer *t)
{
    struct destination *d = timer_owner(t, struct destination, timer);
    if (d->ready.count > 0)
        destination_wake(w, d);
    if (d->deliveries > 0 || d->clients > 0 || d->state == DESTINATION_ASKING ||
        d->listed[DESTINATION_BUSY] || d->listed[DESTINATION_STARVED])
        return;
    struct destination **p = &w->queue.buckets[bucket_of(w, d->route, d->domain)];
    while (*p != d)
        p = &(*p)->next_in_bucket;
    *p = d->next_in_bucket;
    free(d->tlsa);
    pool_put(&w->queue.destinations, d);
}

/* ---- failures --------------------------------------------------------------------------- */

static uint64_t pause_microseconds(const struct worker *w)
{
    uint64_t first = w->generations.current->settings.retry_first;
    uint64_t most = LIMIT_DESTINATION_PAUSE_SECONDS;
    return (first < most ? first : most) * 1000000;
}

/* ---- lists of destinations -------------------------------------------------------------- */

static void list_push(struct worker *w, enum destination_list list, struct destination *d)
{
    struct destination_line *line = &w->queue.lines[list];
    if (d->listed[list])
        return;
    d->listed[list] = true;
    d->next[list] = NULL;
    if (line->first)
        line->last->next[list] = d;
    else
        line->first = d;
    line->last = d;
}

static struct destination *list_shift(struct worker *w, enum destination_list list)
{
    struct destination_line *line = &w->queue.lines[list];
    struct destination *d = line->first;
    if (!d)
        return NULL;
    line->first = d->next[list];
    d->listed[list] = false;
    return d;
}

struct pace_limits destination_limits(const struct worker *w, const struct destination *d)
{
    const struct generation *g = w->generations.current;
    struct pace_limits limits = {.connections = LIMIT_ROUTE_CONNECTIONS_DEFAULT,
                                 .pause_first = (uint32_t)(pause_microseconds(w) / 1000000)};
    limits.pause_max = g->settings.retry_max < LIMIT_DESTINATION_PAUSE_MAX
                           ? g->settings.retry_max
                           : LIMIT_DESTINATION_PAUSE_MAX;
    if (limits.pause_max < limits.pause_first)
        limits.pause_max = limits.pause_first;
    if (d->generation == g->number && d->route_index != POLICY_NONE) {
        struct policy_route route = policy_route(&g->policy, d->route_index);
        limits.connections = route.connections;
        limits.rate = route.rate;
    }
    return limits;
}

struct delivery *destination_take(struct worker *w, struct destination *d)
{
    struct pace_limits limits = destination_limits(w, d);
    struct delivery *one;
    for (unsigned n = 0; n < LIMIT_TURN_FAILED; n++) {
        if (d->ready.count == 0 || d->suspended || d->failing > 0 ||
            !pace_may_send(&d->pace, &limits, w->now))
            break;
        one = ready_shift(&d->ready);
        if (!queue_begin(w, one))
            continue;
        pace_sent(&d->pace, &limits, w->now);
        return one;
    }
    if (d->ready.count > 0 &&
        !d->suspended) /* goes on, or sets its timer, at the end of the turn */
        destination_wake(w, d);
    return NULL;
}

/* The next one that is told of the failure; NULL: all know. */
static struct delivery *next_failing(struct destination *d)
{
    struct delivery *one = NULL;
    if (d->failing_for_good)
        return ready_shift(&d->ready);
    one = ready_shift_first_timer(&d->ready);
    if (!one && !d->charged) {
        d->charged = true;
        one = ready_shift_late(&d->ready);
    }
    return one;
}

static void fail_some(struct worker *w, struct destination *d)
{
    char reason[LIMIT_REASON];
    memcpy(reason, d->reason, sizeof reason);
    for (unsigned n = 0; n < LIMIT_TURN_FAILED && d->failing > 0; n++) {
        struct delivery *one = next_failing(d);
        d->failing = one ? d->failing - 1 : 0;
        if (!one || !queue_begin(w, one))
            continue;
        struct mail *m = one->mail;
        for (uint32_t i = 0; i < m->recipient_count; i++) {
            struct recipient *r = &m->recipients[i];
            if (r->delivery == one)
                recipient_note(m, r, d->failing_for_good ? OUTCOME_FAILED : OUTCOME_DEFERRED,
                               d->failing_status, span_str(reason), SPAN_EMPTY, false);
        }
        queue_attempted(w, one, span_str(reason));
    }
    if (d->failing > 0)
        destination_wake(w, d);
}

static void begin_failing(struct worker *w, struct destination *d, bool permanent,
                          const char *status)
{
    char copy[sizeof d->status]; /* status may be d->status */
    (void)snprintf(copy, sizeof copy, "%s", status);
    memcpy(d->status, copy, sizeof copy); /* of what fails while it is down, too */
    memcpy(d->failing_status, copy, sizeof copy);
    d->failing = d->ready.count;
    d->failing_for_good = permanent;
    fail_some(w, d);
}

void destination_failed(struct worker *w, struct destination *d, const char *why, bool permanent,
                        const char *status)
{
    char reason[LIMIT_REASON]; /* why may be d->reason */
    (void)snprintf(reason, sizeof reason, "%s", why);
    memcpy(d->reason, reason, sizeof reason);
    if (!permanent) {
        struct pace_limits limits = destination_limits(w, d);
        pace_failed(&d->pace, &limits, w->now, queue_chance(w));
        d->charged = false;
    }
    begin_failing(w, d, permanent, status);
}

void destination_retry(struct worker *w, struct destination *d)
{
    pace_answered(&d->pace);
    for (uint32_t i = 0; i < d->candidate_count; i++)
        d->candidates[i].bad_until = 0;
    destination_wake(w, d);
}

struct candidate *destination_candidate(const struct worker *w, struct destination *d)
{
    for (uint32_t i = 0; i < d->candidate_count; i++)
        if (d->candidates[i].bad_until <= w->now)
            return &d->candidates[i];
    return NULL;
}

void destination_candidate_failed(struct worker *w, struct destination *d, struct candidate *c,
                                  const char *why, const char *status)
{
    c->bad_until = w->now + pause_microseconds(w);
    (void)snprintf(d->reason, sizeof d->reason, "%s", why);
    (void)snprintf(d->status, sizeof d->status, "%s", status);
    log_begin(LOG_NOTICE, "host failed");
    log_text("route", d->route);
    log_text("host", c->host);
    log_text("reason", why);
    log_end();
}

void destination_candidate_distrust(const struct worker *w, struct destination *d,
                                    struct candidate *c, const char *why)
{
    if (d->candidate_count < 2)
        return;
    c->bad_until = w->now + 4 * pause_microseconds(w);
    (void)snprintf(d->reason, sizeof d->reason, "%s", why);
    (void)snprintf(d->status, sizeof d->status, "4.4.2");
}

/* ---- names ------------------------------------------------------------------------------ */

static uint64_t destination_id(struct worker *w, const struct destination *d)
{
    uint32_t index = pool_index(&w->queue.destinations, d);
    return (uint64_t)pool_generation(&w->queue.destinations, index) << 32 | index;
}

static void add_candidate(struct destination *d, struct span host, uint8_t family,
                          const unsigned char *octets, uint16_t port, uint16_t tlsa, bool encrypt)
{
    if (d->candidate_count == LIMIT_CANDIDATES)
        return;
    struct candidate *c = &d->candidates[d->candidate_count++];
    memset(c, 0, sizeof *c);
    c->tlsa = tlsa;
    c->encrypt = encrypt;
    host = span_head(host, LIMIT_DOMAIN);
    memcpy(c->host, host.p, host.n);
    if (family == 4) {
        c->address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&c->address.v4.sin_addr, octets, 4);
    } else {
        c->address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&c->address.v6.sin6_addr, octets, 16);
    }
}

static void known(struct worker *w, struct destination *d)
{
    d->state = DESTINATION_KNOWN;
    if (d->candidate_count == 0)
        destination_failed(w, d, d->reason, false, "4.4.3");
    destination_run(w, d);
}

/* A partner's demand stands above what the DNS says: then it is not even asked. */
static uint16_t tlsa_port(const struct policy_route *route, uint16_t port)
{
    return route->tls_dane && route->tls.trust == POLICY_NONE ? port : 0;
}

/* Asks for the next host of a route with hosts; those given as addresses need no question. */
static void ask_hosts(struct worker *w, struct destination *d, const struct policy *p)
{
    struct policy_route route = policy_route(p, d->route_index);
    for (; d->asking_host < route.hosts.count; d->asking_host++) {
        struct policy_host h = policy_route_host(p, d->route_index, d->asking_host);
        if (h.address.family != 0) {
            add_candidate(d, h.name, h.address.family, h.address.bytes, h.port, 0, false);
            continue;
        }
        if (resolver_ask(w, destination_id(w, d), LOOKUP_HOST, h.name, tlsa_port(&route, h.port)))
            return;
        (void)snprintf(d->reason, sizeof d->reason, "the resolver is not there");
    }
    known(w, d);
}

static void ask(struct worker *w, struct destination *d)
{
    struct generation *g = w->generations.current;
    d->state = DESTINATION_UNKNOWN; /* what an older policy led to is void, also without a route */
    d->route_index = policy_find_route(&g->policy, span_str(d->route));
    d->generation = g->number;
    if (d->route_index == POLICY_NONE) {
        char why[LIMIT_NAME + 64];
        (void)snprintf(why, sizeof why, "the policy has no route \"%s\" any more", d->route);
        destination_failed(w, d, why, false, "4.3.5");
        return;
    }
    struct policy_route route = policy_route(&g->policy, d->route_index);
    if (route.kind == POLICY_ROUTE_MX_RECIPIENT && d->domain[0] == '\0' && !d->by_domain) {
        /* The next time that a mail is read back its recipients are sorted by the new policy. */
        destination_failed(w, d, "the route goes by the recipient's domain now", false, "4.3.5");
        return;
    }
    d->state = DESTINATION_ASKING;
    d->candidate_count = 0;
    d->tlsa_count = 0;
    d->asking_host = 0;
    d->known_until = w->now + LIMIT_KNOWN_MICROSECONDS;
    if (route.kind == POLICY_ROUTE_HOSTS) {
        ask_hosts(w, d, &g->policy);
        return;
    }
    struct span name = route.kind == POLICY_ROUTE_MX ? route.mx : span_str(d->domain);
    if (!resolver_ask(w, destination_id(w, d), LOOKUP_MX, name, tlsa_port(&route, route.port))) {
        d->state = DESTINATION_UNKNOWN;
        destination_failed(w, d, "the resolver is not there", false, "4.4.3");
    }
}

static const char *permanent_status(unsigned status)
{
    return status == LOOKUP_NULL_MX ? "5.1.10" : status == LOOKUP_NO_ADDRESS ? "5.4.4" : "5.1.2";
}

/* RFC 7672 2.2: a host whose TLSA records can't be had is not used; one whose records are all
 * unusable is spoken to by TLS only. False: it must be passed over. */
static bool take_tlsa(struct destination *d, const struct lookup_host *host, uint16_t *set,
                      bool *encrypt)
{
    *set = 0;
    *encrypt = false;
    if (host->tlsa == LOOKUP_TLSA_FAILED) {
        (void)snprintf(d->reason, sizeof d->reason, "%.*s", (int)host->tlsa_records.n,
                       (const char *)host->tlsa_records.p);
        return false;
    }
    if (host->tlsa == LOOKUP_TLSA_NONE)
        return true;
    *encrypt = !tlsa_any_usable(host->tlsa_records);
    if (*encrypt)
        return true;
    if (!d->tlsa)
        d->tlsa = calloc(LIMIT_CANDIDATES, sizeof *d->tlsa);
    if (!d->tlsa || d->tlsa_count == LIMIT_CANDIDATES) {
        (void)snprintf(d->reason, sizeof d->reason, "no memory for TLSA records");
        return false;
    }
    struct stream_tlsa *t = &d->tlsa[d->tlsa_count++];
    t->n = (uint16_t)host->tlsa_records.n;
    memcpy(t->records, host->tlsa_records.p, host->tlsa_records.n);
    memcpy(t->base, host->tlsa_base.p, host->tlsa_base.n);
    t->base[host->tlsa_base.n] = '\0';
    *set = (uint16_t)d->tlsa_count;
    return true;
}

static void take_hosts(struct destination *d, struct span hosts, uint16_t port)
{
    uint16_t set;
    bool encrypt;
    struct msg_reader r = {.in = hosts};
    struct lookup_host host;
    while (lookup_next_host(&r, &host)) {
        if (!take_tlsa(d, &host, &set, &encrypt))
            continue;
        for (unsigned i = 0; i < host.count; i++)
            add_candidate(d, host.name, host.addresses[i].family, host.addresses[i].octets, port,
                          set, encrypt);
    }
}

void destination_found(struct worker *w, const struct msg_lookup_result *r)
{
    struct destination *d =
        pool_find(&w->queue.destinations, (uint32_t)r->id, (uint32_t)(r->id >> 32));
    struct generation *g = w->generations.current;
    if (!d || d->state != DESTINATION_ASKING)
        return;
    if (d->generation != g->number) { /* the policy has changed meanwhile: ask by the new one */
        ask(w, d);
        return;
    }
    struct policy_route route = policy_route(&g->policy, d->route_index);
    bool hosts = route.kind == POLICY_ROUTE_HOSTS;
    uint16_t port = route.port;
    if (hosts)
        port = policy_route_host(&g->policy, d->route_index, d->asking_host).port;
    uint64_t ttl = r->ttl > LIMIT_LOOKUP_TTL_MIN ? r->ttl : LIMIT_LOOKUP_TTL_MIN;
    if (d->known_until > w->now + ttl * 1000000)
        d->known_until = w->now + ttl * 1000000;
    if (r->status == LOOKUP_OK) {
        take_hosts(d, r->hosts, port);
    } else {
        struct span why = span_head(r->reason, sizeof d->reason - 1);
        memcpy(d->reason, why.p, why.n);
        d->reason[why.n] = '\0';
        counter_add(w->counters, COUNTER_lookup_failures, 1);
    }
    if (hosts) {
        d->asking_host++;
        ask_hosts(w, d, &g->policy);
    } else if (r->status != LOOKUP_OK && lookup_permanent(r->status) &&
               route.kind == POLICY_ROUTE_MX_RECIPIENT) {
        d->state = DESTINATION_UNKNOWN;
        destination_failed(w, d, d->reason, true, permanent_status(r->status));
        destination_rest(w, d);
    } else {
        known(w, d);
    }
}

void destination_resolver_gone(struct worker *w)
{
    for (uint32_t i = 0; i < w->queue.destinations.fresh; i++) {
        struct destination *d = pool_at(&w->queue.destinations, i);
        if (!d || d->state != DESTINATION_ASKING)
            continue;
        d->state = DESTINATION_UNKNOWN;
        destination_failed(w, d, "the resolver has ended while it was asked", false, "4.4.3");
    }
}

/* ---- running ---------------------------------------------------------------------------- */

static bool is_known(const struct worker *w, const struct destination *d)
{
    return d->state == DESTINATION_KNOWN && w->now < d->known_until && d->candidate_count > 0 &&
           d->generation == w->generations.current->number;
}

static bool has_first_timers(const struct destination *d)
{
    for (unsigned i = 1; i < READY_LINES; i += 2)
        if (d->ready.lines[i].count > 0)
            return true;
    return false;
}

/* Another connection, if it may be. */
static bool connect_once_more(struct worker *w, struct destination *d,
                              const struct pace_limits *limits)
{
    if (!pace_may_connect(&d->pace, limits, w->now, d->clients)) {
        /* While another connection still works it serves. */
        if (w->now < d->pace.down_until && d->clients == 0 && has_first_timers(d))
            begin_failing(w, d, false, d->status);
        return false;
    }
    if (!is_known(w, d)) {
        ask(w, d);
        return d->state == DESTINATION_KNOWN;
    }
    if (!destination_candidate(w, d)) {
        if (d->clients == 0)
            destination_failed(w, d, d->reason, false, d->status);
        return false;
    }
    if (client_open(w, d))
        return true;
    if (w->clients_short)
        list_push(w, DESTINATION_STARVED, d); /* its turn comes when one has ended */
    return false;
}

/* One step; false when there is nothing (more) to do now. */
static bool step(struct worker *w, struct destination *d)
{
    if (d->ready.count == 0 || d->suspended || w->draining || !w->generations.current)
        return false;
    if (d->failing > 0) {
        fail_some(w, d);
        return false;
    }
    struct pace_limits limits = destination_limits(w, d);
    if (!pace_may_send(&d->pace, &limits, w->now))
        return false;
    if (d->idle) {
        client_next_mail(w, d->idle);
        return true;
    }
    if (d->starting >= d->ready.count || d->state == DESTINATION_ASKING)
        return false;
    return connect_once_more(w, d, &limits);
}

void destination_wake(struct worker *w, struct destination *d)
{
    list_push(w, DESTINATION_BUSY, d);
}

void destination_run_next(struct worker *w)
{
    destination_run(w, list_shift(w, DESTINATION_BUSY));
}

/* When its pace lets it go on; else, with nothing left, when it is forgotten. */
static void set_timer(struct worker *w, struct destination *d)
{
    uint64_t at = 0;
    if (d->ready.count > 0 && !d->suspended && !w->draining && w->generations.current) {
        struct pace_limits limits = destination_limits(w, d);
        at = pace_not_before(&d->pace, &limits, w->now);
    }
    if (at > 0)
        BUG_ON(!timer_arm(&w->timers, &d->timer, at));
    else
        destination_rest(w, d);
}

void destination_run(struct worker *w, struct destination *d)
{
    if (d->running) /* called from within one of its own steps: that goes on */
        return;
    d->running = true;
    unsigned i = 0;
    while (i < LIMIT_DESTINATION_STEPS && step(w, d))
        i++;
    d->running = false;
    if (i == LIMIT_DESTINATION_STEPS)
        destination_wake(w, d);
    set_timer(w, d);
}

static bool wake_first_starved(struct worker *w)
{
    struct destination *d = list_shift(w, DESTINATION_STARVED);
    if (d)
        destination_wake(w, d);
    return d != NULL;
}

void destination_client_gone(struct worker *w, struct destination *d)
{
    (void)wake_first_starved(w);
    destination_wake(w, d);
}

void destination_wake_starved(struct worker *w)
{
    while (wake_first_starved(w))
        ;
}

bool destination_must_yield(const struct worker *w, const struct destination *d)
{
    return w->queue.lines[DESTINATION_STARVED].first && d->clients > 1;
}
