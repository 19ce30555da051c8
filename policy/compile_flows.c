/* Flows and their rules. */
#include "policy/compile_internal.h"
#include <stdio.h>

/* ---- rules ------------------------------------------------------------------------------ */

struct rule_draft {
    struct rec_rule rule;
    unsigned actions;
};

static void read_rule_name(struct compiler *c, const struct place *at, const json_t *value,
                           void *draft)
{
    struct rule_draft *d = draft;
    struct span s;
    if (value_string(c, at, value, 1, LIMIT_NAME, &s))
        d->rule.name = compile_string(c, at, s);
}

static void read_rule_when(struct compiler *c, const struct place *at, const json_t *value,
                           void *draft)
{
    struct rule_draft *d = draft;
    uint32_t first = compile_count(c, POLICY_NODES);
    read_when(c, at, value);
    d->rule.nodes = compile_range(c, POLICY_NODES, first);
}

static void read_rule_route(struct compiler *c, const struct place *at, const json_t *value,
                            void *draft)
{
    struct rule_draft *d = draft;
    d->rule.route = compile_reference_value(c, at, value, POLICY_ROUTES, "route");
    d->actions++;
}

/* Up to three digits and the byte behind them; returns their number. */
static size_t skip_digits(struct span *s)
{
    size_t n = 0;
    while (n < 3 && n < s->n && ascii_digit(s->p[n]))
        n++;
    *s = span_from(*s, n);
    return n;
}

static bool skip_byte(struct span *s, unsigned char ch)
{
    bool there = s->n > 0 && s->p[0] == ch;
    if (there)
        *s = span_from(*s, 1);
    return there;
}

/* What is wrong with "550 5.7.1 text" (RFC 5321 4.2, RFC 3463 2), or NULL. */
static const char *reply_fault(struct span s, unsigned char class)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return "a reply is printable ASCII";
    struct span code = span_head(s, 3);
    if (skip_digits(&s) != 3 || !skip_byte(&s, ' '))
        return "it does not begin with a reply code of three digits and a space";
    if (code.p[0] != class)
        return class == '5' ? "a rejection has a 5xx code (\"defer\" is for 4xx)"
                            : "a deferral has a 4xx code (\"reject\" is for 5xx)";
    if (code.p[1] > '5')
        return "the second digit of a reply code is 0 to 5";
    if (span_eq(code, SPAN_LIT("421")))
        return "421 would announce the end of the session";
    if (s.n == 0 || s.p[0] != class)
        return "the enhanced status does not follow, or is not of the code's class";
    if (skip_digits(&s) != 1 || !skip_byte(&s, '.') || skip_digits(&s) == 0 ||
        !skip_byte(&s, '.') || skip_digits(&s) == 0)
        return "the enhanced status is not like 5.7.1";
    if (!skip_byte(&s, ' ') || span_trim(s).n == 0)
        return "the text is missing behind the enhanced status";
    return NULL;
}

static void read_reply(struct compiler *c, const struct place *at, const json_t *value,
                       struct rule_draft *d, bool reject)
{
    struct span s;
    d->actions++;
    d->rule.action = reject ? POLICY_ACT_REJECT : POLICY_ACT_DEFER;
    if (!value_string(c, at, value, 1, LIMIT_POLICY_REPLY, &s))
        return;
    const char *fault = reply_fault(s, reject ? '5' : '4');
    if (fault == NULL) {
        d->rule.reply = compile_string(c, at, s);
        return;
    }
    compile_remedy(compile_error(c, at, "no reply that can be sent: %s", fault), "%s",
                   reject ? "write it like \"550 5.7.1 not from the platform\""
                          : "write it like \"451 4.7.1 try again later\"");
}

static void read_reject(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    read_reply(c, at, value, draft, true);
}

static void read_defer(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    read_reply(c, at, value, draft, false);
}

static const struct key rule_table[] = {
    {"name", KEY_OPTIONAL, read_rule_name},   {"when", KEY_OPTIONAL, read_rule_when},
    {"route", KEY_OPTIONAL, read_rule_route}, {"reject", KEY_OPTIONAL, read_reject},
    {"defer", KEY_OPTIONAL, read_defer},      {"hold", KEY_PLANNED, NULL},
    {"discard", KEY_PLANNED, NULL},           {"scan", KEY_PLANNED, NULL},
    {"trusted", KEY_PLANNED, NULL},           {"journal", KEY_PLANNED, NULL},
    {"add_suffix", KEY_PLANNED, NULL},        {"remove_suffix", KEY_PLANNED, NULL},
    {"prefix_subject", KEY_PLANNED, NULL},    {"set_header", KEY_PLANNED, NULL},
    {"remove_header", KEY_PLANNED, NULL},     {"lifetime", KEY_PLANNED, NULL},
    {"priority", KEY_PLANNED, NULL},
};
KEY_SET(rule_keys, "rule", rule_table);

static void read_rule(struct compiler *c, const struct place *at, const json_t *value)
{
    struct rule_draft d = {.rule.route = POLICY_NONE};
    d.rule.nodes.first = compile_count(c, POLICY_NODES);
    compile_object(c, at, value, &rule_keys, &d);
    if (json_is_object(value) && d.actions != 1)
        compile_remedy(compile_error(c, at,
                                     d.actions == 0 ? "a rule without an action"
                                                    : "a rule with more than one action"),
                       "give exactly one of \"route\", \"reject\", \"defer\"");
    if (d.rule.name.length == 0) {
        char name[24];
        int n = snprintf(name, sizeof name, "#%zu", at->index + 1);
        d.rule.name = compile_string(c, at, span_of(name, (size_t)n));
    }
    (void)compile_append(c, at, POLICY_RULES, &d.rule);
}

static void read_rules(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_flow *f = draft;
    size_t n = json_array_size(value);
    if (n == 0) {
        compile_remedy(compile_error(c, at, "a list of rules is needed here, not %s",
                                     json_is_array(value) ? "an empty one" : value_kind(value)),
                       "give at least one rule, the last one without \"when\"");
        return;
    }
    uint32_t first = compile_count(c, POLICY_RULES);
    for (size_t i = 0; i < n; i++) {
        struct place place = {.up = at, .in = value, .index = i};
        read_rule(c, &place, json_array_get(value, i));
    }
    f->rules = compile_range(c, POLICY_RULES, first);
    const json_t *last = json_array_get(value, n - 1);
    struct place place = {.up = at, .in = value, .index = n - 1};
    if (json_object_get(last, "when") != NULL)
        compile_remedy(compile_error(c, &place,
                                     "the last rule has a condition: a recipient that "
                                     "no rule takes would be without a decision"),
                       "end the list with a rule without \"when\"");
}

/* ---- flows ------------------------------------------------------------------------------ */

static void read_listener(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    (void)draft;
    struct rec_endpoint r;
    if (!name_endpoint(c, at, s, false, 0, &r))
        return;
    for (uint32_t i = 0; i < compile_count(c, POLICY_LISTENERS); i++) {
        const struct rec_endpoint *other = compile_record(c, POLICY_LISTENERS, i);
        if (other->family != r.family || other->port != r.port ||
            memcmp(other->address, r.address, sizeof r.address) != 0)
            continue;
        compile_remedy(
            compile_error(c, at, "\"%.*s\" is listened on already", (int)s.n, (const char *)s.p),
            "give each address and port to one flow, once");
        return;
    }
    (void)compile_append(c, at, POLICY_LISTENERS, &r);
}

static void read_listen(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    struct rec_flow *f = draft;
    uint32_t first = compile_count(c, POLICY_LISTENERS);
    compile_each(c, at, value, LIMIT_ADDRESS_TEXT, read_listener, NULL);
    f->listeners = compile_range(c, POLICY_LISTENERS, first);
}

static void read_flow_identity(struct compiler *c, const struct place *at, const json_t *value,
                               void *draft)
{
    struct rec_flow *f = draft;
    f->identity = compile_reference_value(c, at, value, POLICY_IDENTITIES, "identity");
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

static void read_bounce_route(struct compiler *c, const struct place *at, const json_t *value,
                              void *draft)
{
    struct rec_flow *f = draft;
    f->bounce_route = compile_reference_value(c, at, value, POLICY_ROUTES, "route");
}

static const struct key flow_table[] = {
    {"listen", KEY_REQUIRED, read_listen},
    {"identity", KEY_OPTIONAL, read_flow_identity},
    {"workers", KEY_OPTIONAL, read_workers},
    {"accept_from", KEY_OPTIONAL, read_accept_from},
    {"domains", KEY_OPTIONAL, read_domains},
    {"client_certificate", KEY_OPTIONAL, read_client_certificate},
    {"bounce_route", KEY_OPTIONAL, read_bounce_route},
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
