/* A policy's keys and trust: loading, judging, wiping. */
#include "workers/keeper/generation.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/keeper/certificate.h"
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY = 86400 };

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(count > 0 ? count : 1, size);
    if (p == NULL)
        fatal_env(EXIT_OSERR, 0, "no memory for a policy");
    return p;
}

/* ---- what waits for another file ---- */

static void drop(struct span *kept)
{
    OPENSSL_free((void *)(uintptr_t)kept->p); /* wipes */
    *kept = (struct span){.n = 0};
}

static void keep(struct span *kept, struct span bytes)
{
    drop(kept);
    if (bytes.n > 0)
        *kept = span_of(OPENSSL_memdup(bytes.p, bytes.n), bytes.n);
    if (bytes.n > 0 && kept->p == NULL)
        fatal_env(EXIT_OSERR, 0, "no memory for a policy");
}

void generation_passphrase(struct generation *g, uint32_t index, struct span passphrase)
{
    if (index < policy_count(&g->policy, POLICY_IDENTITIES))
        keep(&g->identities[index].passphrase, passphrase);
}

void generation_crl(struct generation *g, uint32_t index, struct span lists)
{
    if (index < policy_count(&g->policy, POLICY_TRUSTS))
        keep(&g->crls[index], lists);
}

/* ---- demands ---- */

static const struct span *strings_of(struct generation *g, struct policy_range list,
                                     uint32_t *count, size_t *used)
{
    const struct span *first = g->names + *used;
    for (uint32_t i = 0; i < list.count; i++)
        g->names[(*used)++] = policy_string(&g->policy, list, i);
    *count = list.count;
    return first;
}

static size_t count_of(const struct policy_demand *d)
{
    return (size_t)d->names.count + d->fingerprints.count + d->pins.count;
}

static struct verify_demand demand_of(struct generation *g, const struct policy_demand *from,
                                      size_t *used)
{
    struct verify_demand demand = {
        .trust = from->trust != POLICY_NONE ? &g->trusts[from->trust] : NULL,
        .organization = from->organization,
        .server_auth = from->server_auth,
    };
    demand.names = strings_of(g, from->names, &demand.name_count, used);
    demand.fingerprints = strings_of(g, from->fingerprints, &demand.fingerprint_count, used);
    demand.pins = strings_of(g, from->pins, &demand.pin_count, used);
    return demand;
}

static void resolve_demands(struct generation *g)
{
    const struct policy *p = &g->policy;
    uint32_t routes = policy_count(p, POLICY_ROUTES), peers = policy_count(p, POLICY_PEERS);
    size_t names = 0, used = 0;
    for (uint32_t i = 0; i < routes; i++) {
        struct policy_demand d = policy_route(p, i).tls;
        names += count_of(&d);
    }
    for (uint32_t i = 0; i < peers; i++) {
        struct policy_demand d = policy_peer(p, i).tls;
        names += count_of(&d);
    }
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

static void digest_list(SHA256_CTX *ctx, const struct span *list, uint32_t count)
{
    SHA256_Update(ctx, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++)
        digest_span(ctx, list[i]);
}

static void digest_demand(SHA256_CTX *ctx, const struct verify_demand *d)
{
    bool trust = d->trust != NULL;
    digest_span(ctx, trust ? span_of(d->trust->digest, sizeof d->trust->digest) : SPAN_EMPTY);
    digest_list(ctx, d->names, d->name_count);
    digest_list(ctx, d->fingerprints, d->fingerprint_count);
    digest_list(ctx, d->pins, d->pin_count);
    SHA256_Update(ctx, &d->server_auth, sizeof d->server_auth);
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
    for (unsigned i = 0; i < LIMIT_POLICY_IDENTITIES; i++) {
        pem_identity_free(&g->identities[i].identity);
        drop(&g->identities[i].passphrase);
    }
    for (unsigned i = 0; i < LIMIT_POLICY_TRUSTS; i++) {
        X509_STORE_free(g->trusts[i].store);
        drop(&g->crls[i]);
    }
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

/* The smallest mark that is not smaller than the days that are left; 0: expired. */
static unsigned mark_of(const X509 *leaf, uint64_t now)
{
    static const unsigned marks[] = {1, 7, 14, 30};
    uint64_t to = certificate_time(X509_get0_notAfter(leaf));
    if (to < now)
        return 0;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (to - now <= (uint64_t)marks[i] * DAY)
            return marks[i];
    return UINT32_MAX;
}

static void log_end_of(const struct generation *g, uint32_t index, uint64_t now)
{
    const struct generation_slot *slot = &g->identities[index];
    char date[16];
    uint64_t to = certificate_time(X509_get0_notAfter(slot->identity.leaf));
    certificate_date(to, date);
    log_begin(slot->days <= 7 ? LOG_ERROR : LOG_WARNING, "certificate expires");
    log_span("identity", policy_identity(&g->policy, index).name);
    log_text("not_after", date);
    log_number("days", to > now ? (int64_t)((to - now) / DAY) : 0);
    log_bool("expired", slot->days == 0);
    log_end();
}

void generation_watch(struct generation *g, uint64_t now)
{
    for (uint32_t i = 0; i < policy_count(&g->policy, POLICY_IDENTITIES); i++) {
        struct generation_slot *slot = &g->identities[i];
        unsigned mark =
            slot->identity.leaf != NULL ? mark_of(slot->identity.leaf, now) : UINT32_MAX;
        if (mark >= slot->days)
            continue;
        slot->days = mark;
        log_end_of(g, i, now);
    }
}

static void log_change(struct span identity, const char *what, const char *from, const char *to)
{
    if (strcmp(from, to) == 0)
        return;
    log_begin(LOG_WARNING, "identity changed");
    log_span("identity", identity);
    log_text("what", what);
    log_text("from", from);
    log_text("to", to);
    log_end();
}

void generation_compare(const struct generation *g, const struct generation *before)
{
    for (uint32_t i = 0; i < policy_count(&g->policy, POLICY_IDENTITIES); i++) {
        struct span name = policy_identity(&g->policy, i).name;
        for (uint32_t k = 0; k < policy_count(&before->policy, POLICY_IDENTITIES); k++) {
            const X509 *new = g->identities[i].identity.leaf;
            const X509 *old = before->identities[k].identity.leaf;
            if (new == NULL || old == NULL ||
                !span_eq(name, policy_identity(&before->policy, k).name))
                continue;
            struct verdict was = {0}, is = {0};
            verify_describe(old, &was);
            verify_describe(new, &is);
            log_change(name, "subject", was.subject, is.subject);
            log_change(name, "names", was.names, is.names);
        }
    }
}

static void warn_of_identity(const struct generation *g, uint32_t index, uint64_t now)
{
    struct identity identity = g->identities[index].identity;
    struct span name = policy_identity(&g->policy, index).name;
    char problem[LIMIT_REASON];
    time_problem(identity.leaf, now, problem);
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
    bool good = pem_identity(certificates, key, slot->passphrase, &slot->identity, slot->reason);
    drop(&slot->passphrase);
    slot->days = UINT32_MAX;
    if (good) {
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

static void digest_files(struct span certificates, struct span lists, unsigned char digest[32])
{
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    digest_span(&ctx, certificates);
    digest_span(&ctx, lists);
    SHA256_Final(digest, &ctx);
}

void generation_trust(struct generation *g, uint32_t index, struct span certificates)
{
    if (index >= policy_count(&g->policy, POLICY_TRUSTS))
        return;
    struct trust *trust = &g->trusts[index];
    X509_STORE_free(trust->store);
    digest_files(certificates, g->crls[index], trust->digest);
    trust->store = pem_trust(certificates, &trust->count, g->trust_reasons[index]);
    unsigned lists = 0;
    trust->revocation = g->crls[index].n > 0;
    if (trust->store != NULL && trust->revocation &&
        !pem_crl(g->crls[index], trust->store, &lists, g->trust_reasons[index])) {
        X509_STORE_free(trust->store);
        trust->store = NULL;
    }
    drop(&g->crls[index]);
    log_begin(trust->store != NULL ? LOG_INFO : LOG_ERROR,
              trust->store != NULL ? "trust loaded" : "trust unusable");
    log_number("generation", g->number);
    log_text("trust", trust->name);
    log_span("file", policy_trust(&g->policy, index).file);
    log_number("certificates", trust->count);
    log_number("revocation_lists", lists);
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
