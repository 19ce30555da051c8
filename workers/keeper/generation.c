/* A policy's keys and trust: loading, judging, wiping. */
#include "workers/keeper/generation.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/keeper/certificate.h"
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY = 86400, EXPIRES_SOON = 30 * DAY };

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(count > 0 ? count : 1, size);
    if (p == NULL)
        fatal_env(EXIT_OSERR, 0, "no memory for a policy");
    return p;
}

/* ---- demands ---- */

static struct verify_demand demand_of(struct generation *g, const struct policy_demand *from,
                                      size_t *used)
{
    struct verify_demand demand = {
        .trust = from->trust != POLICY_NONE ? &g->trusts[from->trust] : NULL,
        .names = g->names + *used,
        .name_count = from->names.count,
        .organization = from->organization,
    };
    for (uint32_t i = 0; i < from->names.count; i++)
        g->names[(*used)++] = policy_string(&g->policy, from->names, i);
    return demand;
}

static void resolve_demands(struct generation *g)
{
    const struct policy *p = &g->policy;
    uint32_t routes = policy_count(p, POLICY_ROUTES), peers = policy_count(p, POLICY_PEERS);
    size_t names = 0, used = 0;
    for (uint32_t i = 0; i < routes; i++)
        names += policy_route(p, i).tls.names.count;
    for (uint32_t i = 0; i < peers; i++)
        names += policy_peer(p, i).tls.names.count;
    g->names = zeroed(names, sizeof *g->names);
    g->routes = zeroed(routes, sizeof *g->routes);
    g->peers = zeroed(peers, sizeof *g->peers);
    for (uint32_t i = 0; i < routes; i++) {
        struct policy_route route = policy_route(p, i);
        g->routes[i] = demand_of(g, &route.tls, &used);
    }
    for (uint32_t i = 0; i < peers; i++) {
        struct policy_peer peer = policy_peer(p, i);
        if (peer.needs_tls)
            g->peers[i] = demand_of(g, &peer.tls, &used);
    }
    BUG_ON(used > names);
}

struct generation *generation_new(uint32_t number, const struct policy *policy, bool mapped)
{
    struct generation *g = zeroed(1, sizeof *g);
    g->number = number;
    g->policy = *policy;
    g->mapped = mapped;
    uint32_t identities = policy_count(policy, POLICY_IDENTITIES);
    uint32_t trusts = policy_count(policy, POLICY_TRUSTS);
    BUG_ON(identities > LIMIT_POLICY_IDENTITIES || trusts > LIMIT_POLICY_TRUSTS);
    for (uint32_t i = 0; i < identities; i++)
        text_format(g->identities[i].reason, "its files have not come");
    for (uint32_t i = 0; i < trusts; i++) {
        struct span name = span_head(policy_trust(policy, i).name, LIMIT_NAME);
        memcpy(g->trusts[i].name, name.p, name.n);
        text_format(g->trust_reasons[i], "its file has not come");
    }
    resolve_demands(g);
    return g;
}

static void digest_span(SHA256_CTX *ctx, struct span s)
{
    const uint64_t n = s.n; /* first, so that no two lists are the same bytes */
    SHA256_Update(ctx, &n, sizeof n);
    SHA256_Update(ctx, s.p, s.n);
}

static void digest_demand(SHA256_CTX *ctx, const struct verify_demand *d)
{
    bool trust = d->trust != NULL;
    digest_span(ctx, trust ? span_of(d->trust->digest, sizeof d->trust->digest) : SPAN_EMPTY);
    SHA256_Update(ctx, &d->name_count, sizeof d->name_count);
    for (uint32_t i = 0; i < d->name_count; i++)
        digest_span(ctx, d->names[i]);
    digest_span(ctx, d->organization);
}

void generation_complete(struct generation *g)
{
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    for (uint32_t i = 0; i < policy_count(&g->policy, POLICY_PEERS); i++) {
        digest_span(&ctx, policy_peer(&g->policy, i).name);
        digest_demand(&ctx, &g->peers[i]);
    }
    SHA256_Final(g->demands, &ctx);
}

void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    for (unsigned i = 0; i < LIMIT_POLICY_IDENTITIES; i++)
        pem_identity_free(&g->identities[i].identity);
    for (unsigned i = 0; i < LIMIT_POLICY_TRUSTS; i++)
        X509_STORE_free(g->trusts[i].store);
    if (g->mapped)
        policy_unmap(&g->policy);
    free(g->names);
    free(g->routes);
    free(g->peers);
    free(g);
}

/* ---- identities ---- */

static bool presented_to_servers(const struct generation *g, uint32_t index)
{
    for (uint32_t flow = 0; flow < policy_count(&g->policy, POLICY_FLOWS); flow++)
        if (policy_identity_allowed(&g->policy, flow, index, TLS_AS_CLIENT))
            return true;
    return false;
}

/* "" when the certificate is in its time of validity. */
static void time_problem(const X509 *leaf, uint64_t now, char *text)
{
    char date[16];
    uint64_t from = certificate_time(X509_get0_notBefore(leaf));
    uint64_t to = certificate_time(X509_get0_notAfter(leaf));
    text[0] = '\0';
    certificate_date(to < now ? to : from, date);
    if (to < now)
        text_format(text, "the certificate expired %s", date);
    else if (from > now)
        text_format(text, "the certificate is not valid before %s", date);
}

static void warn_of_identity(const struct generation *g, uint32_t index, uint64_t now)
{
    struct identity identity = g->identities[index].identity;
    struct span name = policy_identity(&g->policy, index).name;
    char problem[LIMIT_REASON];
    time_problem(identity.leaf, now, problem);
    uint64_t to = certificate_time(X509_get0_notAfter(identity.leaf));
    if (problem[0] == '\0' && to < now + EXPIRES_SOON)
        text_format(problem, "the certificate expires in %u days", (unsigned)((to - now) / DAY));
    bool no_client_use = presented_to_servers(g, index) &&
                         (X509_get_extension_flags(identity.leaf) & EXFLAG_XKUSAGE) != 0 &&
                         (X509_get_extended_key_usage(identity.leaf) & XKU_SSL_CLIENT) == 0;
    const char *const warnings[] = {
        problem[0] != '\0' ? problem : NULL,
        no_client_use ? "presented to servers, but its extended key usage lacks clientAuth" : NULL,
        identity.left_out > 0 ? "its file holds certificates that are not part of its chain" : NULL,
    };
    for (size_t i = 0; i < sizeof warnings / sizeof warnings[0]; i++) {
        if (warnings[i] == NULL)
            continue;
        log_begin(LOG_WARNING, "identity warning");
        log_span("identity", name);
        log_text("problem", warnings[i]);
        log_end();
    }
}

static void log_identity(const struct generation *g, uint32_t index, const X509 *leaf)
{
    struct verdict v = {0};
    char date[16], hex[2 * sizeof v.sha256 + 1];
    verify_describe(leaf, &v);
    certificate_date(v.not_after, date);
    for (size_t i = 0; i < sizeof v.sha256; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", v.sha256[i]);
    log_begin(LOG_INFO, "identity loaded");
    log_number("generation", g->number);
    log_span("identity", policy_identity(&g->policy, index).name);
    log_text("subject", v.subject);
    log_text("issuer", v.issuer);
    log_text("names", v.names);
    log_text("not_after", date);
    log_text("sha256", hex);
    log_end();
}

void generation_identity(struct generation *g, uint32_t index, struct span certificates,
                         struct span key, uint64_t now)
{
    if (index >= policy_count(&g->policy, POLICY_IDENTITIES))
        return;
    struct generation_slot *slot = &g->identities[index];
    pem_identity_free(&slot->identity);
    if (pem_identity(certificates, key, &slot->identity, slot->reason)) {
        log_identity(g, index, slot->identity.leaf);
        warn_of_identity(g, index, now);
        return;
    }
    struct policy_identity named = policy_identity(&g->policy, index);
    log_begin(LOG_ERROR, "identity unusable");
    log_number("generation", g->number);
    log_span("identity", named.name);
    log_span("certificate", named.certificate);
    log_span("key", named.key);
    log_text("reason", slot->reason);
    log_end();
}

/* ---- trust stores ---- */

void generation_trust(struct generation *g, uint32_t index, struct span certificates)
{
    if (index >= policy_count(&g->policy, POLICY_TRUSTS))
        return;
    struct trust *trust = &g->trusts[index];
    X509_STORE_free(trust->store);
    SHA256(certificates.p, certificates.n, trust->digest);
    trust->store = pem_trust(certificates, &trust->count, g->trust_reasons[index]);
    log_begin(trust->store != NULL ? LOG_INFO : LOG_ERROR,
              trust->store != NULL ? "trust loaded" : "trust unusable");
    log_number("generation", g->number);
    log_text("trust", trust->name);
    log_span("file", policy_trust(&g->policy, index).file);
    log_number("certificates", trust->count);
    if (trust->store == NULL)
        log_text("reason", g->trust_reasons[index]);
    log_end();
}

/* ---- judging ---- */

struct report {
    char *text;
    size_t n;
    bool usable;
};

static void complain(struct report *report, const char *what, struct span name, struct span file,
                     const char *reason)
{
    size_t room = LIMIT_REPORT - report->n;
    int n = snprintf(report->text + report->n, room, "%s%s \"%.*s\": %.*s: %s",
                     report->n > 0 ? "\n" : "", what, (int)name.n, (const char *)name.p,
                     (int)file.n, (const char *)file.p, reason);
    report->usable = false;
    if (n > 0 && (size_t)n < room)
        report->n += (size_t)n;
    else
        report->text[report->n] = '\0'; /* whole lines only */
}

bool generation_usable(const struct generation *g, bool strict, uint64_t now, char *report)
{
    struct report r = {.text = report, .usable = true};
    char problem[LIMIT_REASON];
    report[0] = '\0';
    for (uint32_t i = 0; i < policy_count(&g->policy, POLICY_IDENTITIES); i++) {
        struct policy_identity named = policy_identity(&g->policy, i);
        const struct generation_slot *slot = &g->identities[i];
        problem[0] = '\0';
        if (slot->identity.key == NULL)
            text_add(problem, span_str(slot->reason));
        else if (strict)
            time_problem(slot->identity.leaf, now, problem);
        if (problem[0] != '\0')
            complain(&r, "identity", named.name, named.certificate, problem);
    }
    for (uint32_t i = 0; i < policy_count(&g->policy, POLICY_TRUSTS); i++) {
        struct policy_trust named = policy_trust(&g->policy, i);
        if (g->trusts[i].store == NULL)
            complain(&r, "trust store", named.name, named.file, g->trust_reasons[i]);
    }
    return r.usable;
}
