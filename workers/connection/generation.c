/* Policies by generation: adding, completing with certificate chains, releasing. */
#include "workers/connection/generation.h"
#include "engine/log/log.h"
#include "keeper_status.h"
#include "status.h"
#include "workers/connection/worker.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Static_assert(LIMIT_POLICY_IDENTITIES <= 64, "identities are bits of `wanted`");

static void drop_server(struct generation *g, size_t identity)
{
    tls_context_free(g->servers[identity]);
    free((void *)(uintptr_t)g->names[identity].p);
    g->servers[identity] = NULL;
    g->names[identity] = (struct span){.n = 0};
}

static void free_generation(struct generation *g)
{
    tls_context_free(g->plain_client);
    for (size_t i = 0; i < LIMIT_POLICY_IDENTITIES; i++) {
        drop_server(g, i);
        tls_context_free(g->clients[i]);
    }
    policy_unmap(&g->policy);
    memset(g, 0, sizeof *g);
}

const struct smtp_server_config *generation_smtp(const struct generation *g, bool trusted)
{
    return &g->smtp[trusted];
}

struct generation *generation_hold(struct generation *g)
{
    g->users++;
    return g;
}

void generation_release(struct worker *w, struct generation *g)
{
    BUG_ON(g->users == 0);
    g->users--;
    if (g->users == 0 && g != w->generations.current && g->ready)
        free_generation(g);
}

struct generation *generation_find(struct worker *w, uint32_t number)
{
    for (size_t i = 0; i < LIMIT_GENERATIONS; i++)
        if (w->generations.slots[i].used && w->generations.slots[i].number == number)
            return &w->generations.slots[i];
    return NULL;
}

bool generation_same_demands(const struct generation *a, const struct generation *b)
{
    return memcmp(a->demands, b->demands, sizeof a->demands) == 0;
}

/* A free slot; an image that never became ready gives way to a newer one. */
static struct generation *free_slot(struct worker *w)
{
    for (size_t i = 0; i < LIMIT_GENERATIONS; i++)
        if (!w->generations.slots[i].used)
            return &w->generations.slots[i];
    for (size_t i = 0; i < LIMIT_GENERATIONS; i++) {
        struct generation *g = &w->generations.slots[i];
        if (!g->ready && g->users == 0) {
            free_generation(g);
            return g;
        }
    }
    return NULL;
}

static uint64_t identities_of_flow(const struct generation *g)
{
    uint64_t mask = 0;
    uint32_t n = policy_count(&g->policy, POLICY_IDENTITIES);
    for (uint32_t i = 0; i < n; i++)
        if (policy_identity_allowed(&g->policy, g->flow, i, TLS_AS_SERVER) ||
            policy_identity_allowed(&g->policy, g->flow, i, TLS_AS_CLIENT))
            mask |= UINT64_C(1) << i;
    return mask;
}

/* Policies that wait for their chains are overtaken: they must not come into force afterwards. */
static void drop_older(struct worker *w, const struct generation *g)
{
    for (size_t i = 0; i < LIMIT_GENERATIONS; i++) {
        struct generation *other = &w->generations.slots[i];
        if (other->used && !other->ready && (int32_t)(other->number - g->number) < 0)
            free_generation(other);
    }
}

static void become_current(struct worker *w, struct generation *g)
{
    struct generation *old = w->generations.current;
    g->ready = true;
    drop_older(w, g);
    for (unsigned trusted = 0; trusted <= 1; trusted++)
        g->smtp[trusted] = (struct smtp_server_config){
            .hostname = g->settings.hostname,
            .max_size = g->settings.message_size,
            .max_errors = g->settings.limits.errors_per_session,
            .max_commands = trusted ? 0 : g->settings.limits.commands_per_session,
            .max_recipients = g->settings.recipients,
            .max_mails = trusted ? 0 : g->settings.limits.mails_per_session,
            .offer_starttls = g->server != NULL,
            .normalise = g->flow_settings.bare_lf == POLICY_BARE_LF_NORMALISE,
        };
    w->generations.current = g;
    counter_set(w->counters, COUNTER_certificate_not_after, g->not_after);
    if (old && old != g && old->users == 0)
        free_generation(old);
    log_begin(LOG_INFO, "policy in use");
    log_number("generation", g->number);
    log_end();
    worker_policy_changed(w);
}

bool generation_add(struct worker *w, int fd, uint32_t number)
{
    char reason[LIMIT_REASON];
    struct generation *g = free_slot(w);
    if (!g) {
        (void)close(fd);
        log_line(LOG_ERROR, "policy not taken",
                 "%d older generations are still used by open transactions", LIMIT_GENERATIONS);
        return true;
    }
    bool ok = policy_map_checked(&g->policy, fd, reason);
    (void)close(fd);
    if (!ok) {
        log_line(LOG_ERROR, "policy not taken", "%s", reason);
        return false;
    }
    g->flow = policy_find_flow(&g->policy, span_str(w->flow));
    if (g->flow == POLICY_NONE) {
        log_line(LOG_NOTICE, "policy not taken", "it has no flow %s any more", w->flow);
        policy_unmap(&g->policy);
        return true;
    }
    g->used = true;
    g->worker = w;
    g->number = number;
    g->settings = policy_settings(&g->policy);
    g->flow_settings = policy_flow(&g->policy, g->flow);
    g->wanted = identities_of_flow(g);
    g->plain_client = tls_context_client(SPAN_EMPTY, reason);
    if (!g->plain_client) {
        log_line(LOG_ERROR, "policy not taken", "TLS: %s", reason);
        free_generation(g);
        return false;
    }
    resume_client(w, g->plain_client);
    return true;
}

/* The id of a chain request: generation and identity. */
static uint64_t chain_id(const struct generation *g, uint32_t identity)
{
    return (uint64_t)g->number << 32 | identity;
}

void generation_ask_chains(struct worker *w)
{
    for (size_t i = 0; i < LIMIT_GENERATIONS; i++) {
        struct generation *g = &w->generations.slots[i];
        if (!g->used || g->ready)
            continue;
        if (g->wanted == 0)
            become_current(w, g);
        for (uint32_t n = 0; n < LIMIT_POLICY_IDENTITIES; n++)
            if (g->wanted >> n & 1)
                keeper_ask_chain(w, chain_id(g, n), g->number, (uint16_t)n);
    }
}

/* ---- contexts --------------------------------------------------------------------------- */

_Static_assert(TLS_X25519 == 1 << POLICY_X25519 && TLS_P256 == 1 << POLICY_P256 &&
                   TLS_P384 == 1 << POLICY_P384,
               "the policy's groups are the engine's");

/* A name of a certificate, "*" for one label. */
static bool covers(struct span name, struct span asked)
{
    if (span_ieq(name, asked))
        return true;
    const unsigned char *dot = asked.n > 0 ? memchr(asked.p, '.', asked.n) : NULL;
    return dot && name.n > 2 && name.p[0] == '*' &&
           span_ieq(span_from(name, 1), span_from(asked, (size_t)(dot - asked.p)));
}

static struct tls_context *choose(void *owner, struct span asked, uint16_t *number)
{
    struct generation *g = owner;
    for (uint16_t i = 0; i < LIMIT_POLICY_IDENTITIES; i++) {
        struct msg_reader r = {.in = g->names[i]};
        while (g->servers[i] && r.in.n > 0 && !r.bad) {
            if (!covers(msg_get_span(&r, LIMIT_DOMAIN), asked))
                continue;
            *number = i;
            return g->servers[i];
        }
    }
    return NULL;
}

static bool make_server(struct generation *g, uint32_t identity, const struct msg_chain_result *r,
                        char *reason)
{
    static const enum tls_ask asks[] = {
        [POLICY_CERTIFICATE_NO] = TLS_ASK_NOTHING,
        [POLICY_CERTIFICATE_ASK] = TLS_ASK,
        [POLICY_CERTIFICATE_REQUIRE] = TLS_ASK, /* refused at MAIL, with a reply that says why */
    };
    const struct policy_flow *f = &g->flow_settings;
    struct tls_context *context = tls_context_server(r->chain, asks[f->client_certificate], reason);
    if (!context)
        return false;
    unsigned char *names = malloc(r->names.n + 1);
    if (!names || !tls_context_negotiate(context, f->tls_groups, f->tls_legacy)) {
        (void)snprintf(reason, LIMIT_REASON, "the TLS settings of the flow can't be had");
        free(names);
        tls_context_free(context);
        return false;
    }
    memcpy(names, r->names.p, r->names.n);
    drop_server(g, identity); /* of an attempt that failed half-way */
    g->names[identity] = span_of(names, r->names.n);
    g->servers[identity] = context;
    if (f->identity == identity)
        g->server = context;
    resume_server(g, context);
    tls_context_choose(context, choose, g);
    return true;
}

static bool make_contexts(struct generation *g, uint32_t identity, const struct msg_chain_result *r,
                          char *reason)
{
    if (policy_identity_allowed(&g->policy, g->flow, identity, TLS_AS_SERVER) &&
        !make_server(g, identity, r, reason))
        return false;
    if (policy_identity_allowed(&g->policy, g->flow, identity, TLS_AS_CLIENT)) {
        tls_context_free(g->clients[identity]);
        g->clients[identity] = tls_context_client(r->chain, reason);
        if (!g->clients[identity])
            return false;
        resume_client(g->worker, g->clients[identity]);
    }
    if (g->not_after == 0 || r->not_after < g->not_after)
        g->not_after = r->not_after;
    return true;
}

void generation_chain(struct worker *w, const struct msg_chain_result *r)
{
    struct generation *g = generation_find(w, (uint32_t)(r->id >> 32));
    uint32_t identity = (uint32_t)r->id;
    bool ok = r->status == KEEPER_OK && r->demands.n == sizeof g->demands;
    char reason[LIMIT_REASON] = "the keeper has no such chain";
    if (!g || g->ready || identity >= LIMIT_POLICY_IDENTITIES || !(g->wanted >> identity & 1))
        return;
    if (!ok || !make_contexts(g, identity, r, reason)) {
        log_begin(LOG_ERROR, "identity unusable");
        log_number("generation", g->number);
        log_span("identity", policy_identity(&g->policy, identity).name);
        log_text("reason", reason);
        log_end();
        return;
    }
    memcpy(g->demands, r->demands.p, sizeof g->demands);
    g->wanted &= ~(UINT64_C(1) << identity);
    if (g->wanted == 0)
        become_current(w, g);
}
