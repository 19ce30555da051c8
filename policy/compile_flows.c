/* Flows. */
#include "policy/compile_internal.h"

/* ---- flows ------------------------------------------------------------------------------ */

static void read_flow_listen(struct compiler *c, const struct place *at, const json_t *value,
                             void *draft)
{
    struct rec_flow *f = draft;
    f->listeners = read_listen(c, at, value);
}

/* The first one is shown to clients that ask for no name, or for one that none has. */
static void read_one_identity(struct compiler *c, const struct place *at, struct span s,
                              void *draft)
{
    struct rec_flow *f = draft;
    uint32_t identity = compile_reference(c, at, s, POLICY_IDENTITIES, "identity");
    if (identity == POLICY_NONE)
        return;
    if (f->identity == POLICY_NONE)
        f->identity = identity;
    f->server_identities |= (uint64_t)1 << identity;
}

static void read_flow_identity(struct compiler *c, const struct place *at, const json_t *value,
                               void *draft)
{
    compile_each(c, at, value, LIMIT_NAME, read_one_identity, draft);
}

static void read_workers(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    struct rec_flow *f = draft;
    uint64_t n;
    if (!value_number(c, at, value, 1, LIMIT_WORKERS_PER_FLOW, &n))
        return;
    f->workers = (uint32_t)n;
    for (uint32_t i = 0; i < compile_count(c, POLICY_FLOWS); i++)
        n += ((const struct rec_flow *)compile_record(c, POLICY_FLOWS, i))->workers;
    if (n > LIMIT_WORKERS)
        compile_remedy(
            compile_error(c, at, "%u workers, with those of the flows before", (unsigned)n),
            "all flows together can have %u", LIMIT_WORKERS);
}

static void read_accepted_peer(struct compiler *c, const struct place *at, struct span s,
                               void *draft)
{
    struct rec_flow *f = draft;
    uint32_t peer = compile_reference(c, at, s, POLICY_PEERS, "peer");
    if (peer != POLICY_NONE)
        f->accept_from |= (uint64_t)1 << peer;
}

static void read_accept_from(struct compiler *c, const struct place *at, const json_t *value,
                             void *draft)
{
    compile_each(c, at, value, LIMIT_NAME, read_accepted_peer, draft);
}

static void read_domain(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    (void)draft;
    read_pattern(c, at, s, PATTERN_OF_DOMAINS);
}

static void read_domains(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    struct rec_flow *f = draft;
    uint32_t first = compile_count(c, POLICY_PATTERNS);
    compile_each(c, at, value, LIMIT_DOMAIN, read_domain, NULL);
    f->domains = compile_range(c, POLICY_PATTERNS, first);
}

static void read_client_certificate(struct compiler *c, const struct place *at, const json_t *value,
                                    void *draft)
{
    static const char *const words[] = {
        [POLICY_CERTIFICATE_NO] = "no",
        [POLICY_CERTIFICATE_ASK] = "ask",
        [POLICY_CERTIFICATE_REQUIRE] = "require",
    };
    struct rec_flow *f = draft;
    (void)value_word(c, at, value, words, sizeof words / sizeof words[0], &f->client_certificate);
}

static void read_bare_lf(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    static const char *const words[] = {
        [POLICY_BARE_LF_REFUSE] = "refuse",
        [POLICY_BARE_LF_NORMALISE] = "normalise",
    };
    struct rec_flow *f = draft;
    (void)value_word(c, at, value, words, sizeof words / sizeof words[0], &f->bare_lf);
}

static void read_completed_field(struct compiler *c, const struct place *at, struct span s,
                                 void *draft)
{
    struct rec_flow *f = draft;
    if (span_eq(s, SPAN_LIT("message-id")))
        f->complete |= POLICY_COMPLETE_MESSAGE_ID;
    else if (span_eq(s, SPAN_LIT("date")))
        f->complete |= POLICY_COMPLETE_DATE;
    else
        compile_remedy(
            compile_error(c, at, "\"%.*s\" is not completed", (int)s.n, (const char *)s.p),
            "write \"message-id\" or \"date\"");
}

static void read_complete(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    compile_each(c, at, value, LIMIT_NAME, read_completed_field, draft);
}

static void read_bounce_route(struct compiler *c, const struct place *at, const json_t *value,
                              void *draft)
{
    struct rec_flow *f = draft;
    f->bounce_route = compile_reference_value(c, at, value, POLICY_ROUTES, "route");
}

static const struct key flow_table[] = {
    {"listen", KEY_REQUIRED, read_flow_listen},
    {"identity", KEY_OPTIONAL, read_flow_identity},
    {"workers", KEY_OPTIONAL, read_workers},
    {"accept_from", KEY_OPTIONAL, read_accept_from},
    {"domains", KEY_OPTIONAL, read_domains},
    {"client_certificate", KEY_OPTIONAL, read_client_certificate},
    {"bare_lf", KEY_OPTIONAL, read_bare_lf},
    {"complete", KEY_OPTIONAL, read_complete},
    {"bounce_route", KEY_OPTIONAL, read_bounce_route},
    {"tls", KEY_OPTIONAL, read_flow_tls},
    {"rules", KEY_REQUIRED, read_rules},
};
KEY_SET(flow_keys, "flow", flow_table);

static void read_flow(struct compiler *c, const struct place *at, const json_t *value,
                      struct rec_string name)
{
    struct rec_flow f = {.name = name,
                         .identity = POLICY_NONE,
                         .workers = 1,
                         .client_certificate = POLICY_CERTIFICATE_ASK,
                         .bounce_route = POLICY_NONE};
    compile_object(c, at, value, &flow_keys, &f);
    if (json_is_object(value) && f.client_certificate == POLICY_CERTIFICATE_REQUIRE &&
        json_object_get(value, "identity") == NULL)
        compile_remedy(compile_error(c, at,
                                     "a client certificate is required, but without an "
                                     "identity STARTTLS is not offered"),
                       "give the flow an \"identity\"");
    (void)compile_append(c, at, POLICY_FLOWS, &f);
}

void read_flows(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    (void)draft;
    compile_map(c, at, value, POLICY_FLOWS, "flow", read_flow);
    if (json_is_object(value) && json_object_size(value) == 0)
        compile_remedy(compile_error(c, at, "no flow"), "define at least one");
}

/* ---- what can be told only when all flows are there ---------------------------------------- */

static struct rec_flow *flow_at(struct compiler *c, uint32_t i)
{
    return compile_record(c, POLICY_FLOWS, i);
}

/* The route of the flow's last rule, or POLICY_NONE. */
static uint32_t last_route(struct compiler *c, const struct rec_flow *f)
{
    const struct rec_rule *last =
        compile_record(c, POLICY_RULES, f->rules.first + f->rules.count - 1);
    return last->action == POLICY_ACT_ROUTE ? last->route : POLICY_NONE;
}

/* A bounce goes back where the mail came from: over the other direction's last rule. */
static uint32_t default_bounce_route(struct compiler *c, const struct rec_flow *f)
{
    bool has_domains = f->domains.count > 0;
    for (uint32_t i = 0; i < compile_count(c, POLICY_FLOWS); i++) {
        const struct rec_flow *other = flow_at(c, i);
        if ((other->domains.count > 0) == has_domains)
            continue;
        uint32_t route = last_route(c, other);
        return route != POLICY_NONE ? route : last_route(c, f);
    }
    return last_route(c, f);
}

static void add_identity(struct compiler *c, struct rec_flow *f, uint32_t route)
{
    if (route == POLICY_NONE)
        return;
    const struct rec_route *r = compile_record(c, POLICY_ROUTES, route);
    if (r->identity != POLICY_NONE)
        f->client_identities |= (uint64_t)1 << r->identity;
}

static void tell_no_bounce_route(struct compiler *c, const struct place *root, const json_t *policy,
                                 uint32_t flow)
{
    json_t *flows = json_object_get(policy, "flows");
    void *iterator = json_object_iter(flows);
    for (uint32_t n = flow; n > 0; n--)
        iterator = json_object_iter_next(flows, iterator);
    struct place up = {.up = root, .in = policy, .key = "flows"};
    struct place at = {.up = &up, .in = flows, .key = json_object_iter_key(iterator)};
    compile_remedy(compile_error(c, &at, "no route for bounces: the last rules have none"),
                   "name one with \"bounce_route\"");
}

void finish_flows(struct compiler *c, const struct place *root, const json_t *policy)
{
    for (uint32_t i = 0; i < compile_count(c, POLICY_FLOWS); i++) {
        struct rec_flow *f = flow_at(c, i);
        bool routes = false;
        for (uint32_t r = f->rules.first; r < f->rules.first + f->rules.count; r++) {
            const struct rec_rule *rule = compile_record(c, POLICY_RULES, r);
            routes = routes || rule->action == POLICY_ACT_ROUTE;
            add_identity(c, f, rule->route);
        }
        if (f->bounce_route == POLICY_NONE)
            f->bounce_route = default_bounce_route(c, f);
        add_identity(c, f, f->bounce_route);
        if (routes && f->bounce_route == POLICY_NONE)
            tell_no_bounce_route(c, root, policy, i);
    }
}
