/*
 * Warnings about a policy that compiles: what is allowed, and hardly ever meant. They are read
 * off the JSON, where the places are; the policy is free of errors here.
 */
#include "policy/compile_internal.h"
#include "status.h"
#include <stdlib.h>

static json_t *get(const json_t *object, const char *key)
{
    return json_object_get(object, key);
}

/* Calls each for every string of a string or an array. */
static void each_string(struct compiler *c, const struct place *at, const json_t *value,
                        void (*each)(struct compiler *c, const struct place *at, const char *s,
                                     void *context),
                        void *context)
{
    if (json_is_string(value))
        each(c, at, json_string_value(value), context);
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct place place = {.up = at, .in = value, .index = i};
        each(c, &place, json_string_value(json_array_get(value, i)), context);
    }
}

/* Calls each for every member of an object. */
static void each_member(struct compiler *c, const struct place *at, const json_t *object,
                        void (*each)(struct compiler *c, const struct place *at,
                                     const json_t *value, void *context),
                        void *context)
{
    json_t *o = (json_t *)(uintptr_t)object;
    for (void *i = json_object_iter(o); i != NULL; i = json_object_iter_next(o, i)) {
        struct place place = {.up = at, .in = object, .key = json_object_iter_key(i)};
        each(c, &place, json_object_iter_value(i), context);
    }
}

/* ---- the platform's addresses ----------------------------------------------------------- */

static void warn_static_address(struct compiler *c, const struct place *at, const char *s,
                                void *context)
{
    static const char *const statics[] = {"194.41.147.13", "194.41.147.14", "gw1.incamail.com",
                                          "gw2.incamail.com"};
    (void)context;
    for (size_t i = 0; i < sizeof statics / sizeof statics[0]; i++) {
        size_t n = strlen(statics[i]);
        struct span host = span_str(s);
        if (span_istarts(host, span_str(statics[i])) &&
            (host.n == n || memchr(":/.", s[n], 3) != NULL))
            compile_remedy(compile_warning(c, at,
                                           "\"%s\" is a static address of the IncaMail "
                                           "platform, which may change",
                                           statics[i]),
                           "look it up (\"mx\": \"im.post.ch\"), and know it by its certificate "
                           "(\"tls\") rather than by its address");
    }
}

/* ---- routes and peers -------------------------------------------------------------------- */

static void lint_route(struct compiler *c, const struct place *at, const json_t *route,
                       void *context)
{
    (void)context;
    struct place hosts = {.up = at, .in = route, .key = "hosts"};
    if (get(route, "hosts") != NULL)
        each_string(c, &hosts, get(route, "hosts"), warn_static_address, NULL);
    const json_t *tls = get(route, "tls");
    if (!json_is_true(get(tls, "require")))
        compile_remedy(compile_warning(c, at, "a route without a TLS floor: mail may go in clear"),
                       "set \"tls\": { \"require\": true, \"trust\": … } where the other side "
                       "can do it");
    else if (get(tls, "trust") == NULL)
        compile_remedy(compile_warning(c, at,
                                       "TLS is required but nothing is verified: any "
                                       "certificate will do"),
                       "add \"trust\" to \"tls\"");
}

/* "0.0.0.0/0", "::/0" and whatever else leaves no bit to compare. */
static void warn_everybody(struct compiler *c, const struct place *at, const char *s, void *context)
{
    const char *slash = strchr(s, '/');
    if (slash != NULL && strcmp(slash, "/0") == 0)
        compile_remedy(compile_warning(c, at, "\"%s\" is everybody: %s", s, (const char *)context),
                       "name the networks that are meant");
}

static void lint_peer(struct compiler *c, const struct place *at, const json_t *peer, void *context)
{
    (void)context;
    struct place addresses = {.up = at, .in = peer, .key = "addresses"};
    if (get(peer, "addresses") != NULL)
        each_string(c, &addresses, get(peer, "addresses"), warn_static_address, NULL);
    if (json_is_true(get(peer, "trusted")) && get(peer, "tls") == NULL)
        each_string(c, &addresses, get(peer, "addresses"), warn_everybody,
                    (void *)(uintptr_t) "no limit would hold for anyone");
}

/* ---- listeners --------------------------------------------------------------------------- */

static void lint_listener(struct compiler *c, const struct place *at, const json_t *listener)
{
    struct place proxies = {.up = at, .in = listener, .key = "proxy_from"};
    if (get(listener, "proxy_from") != NULL)
        each_string(c, &proxies, get(listener, "proxy_from"), warn_everybody,
                    (void *)(uintptr_t) "who connects can claim any client's address");
}

static void lint_listen(struct compiler *c, const struct place *flow_at, const json_t *flow)
{
    const json_t *listen = get(flow, "listen");
    struct place at = {.up = flow_at, .in = flow, .key = "listen"};
    if (!json_is_array(listen))
        lint_listener(c, &at, listen);
    for (size_t i = 0; i < json_array_size(listen); i++) {
        struct place place = {.up = &at, .in = listen, .index = i};
        lint_listener(c, &place, json_array_get(listen, i));
    }
}

/* ---- conditions -------------------------------------------------------------------------- */

/* A flow while its rules are looked at. */
struct flow_lint {
    const json_t *policy;
    const json_t *flow;
    json_t *domains; /* those that its patterns name, without "*." */
    bool collecting; /* first pass: fill domains; second: warn */
    bool no_client_certificate;
};

/* The domain of a pattern for any address of it, or NULL for one local part. */
static const char *any_address(const char *pattern)
{
    const char *sign = strrchr(pattern, '@');
    if (sign == NULL)
        return pattern;
    return sign == pattern + 1 && pattern[0] == '*' ? sign + 1 : NULL;
}

/* Lower case, no trailing dot. */
static void normal_domain(const char *domain, char out[DOMAIN_TEXT])
{
    struct span s = span_head(span_str(domain), DOMAIN_TEXT - 1);
    if (s.n > 0 && s.p[s.n - 1] == '.')
        s.n--;
    for (size_t i = 0; i < s.n; i++)
        out[i] = (char)ascii_lower(s.p[i]);
    out[s.n] = '\0';
}

static void lint_pattern(struct compiler *c, const struct place *at, const char *s, void *context)
{
    struct flow_lint *l = context;
    const char *domain = any_address(s);
    char name[DOMAIN_TEXT];
    if (domain == NULL)
        return;
    normal_domain(domain, name);
    bool below = name[0] == '*' && name[1] == '.';
    if (l->collecting) {
        if (!below && json_object_set_new(l->domains, name, json_true()) != 0)
            fatal_env(EXIT_OSERR, 0, "no memory to compile the policy");
        return;
    }
    /* Below the suffix domain stand real addresses; the domain itself has none. */
    if (!below || strcmp(name + 2, "incamail.ch") == 0 || get(l->domains, name + 2) != NULL)
        return;
    compile_remedy(compile_warning(c, at, "\"%.64s\" leaves out \"%.64s\" itself", s, name + 2),
                   "add \"%.64s\" when it is meant too", name + 2);
}

static void lint_peer_name(struct compiler *c, const struct place *at, const char *s, void *context)
{
    struct flow_lint *l = context;
    if (l->no_client_certificate && get(get(get(l->policy, "peers"), s), "tls") != NULL)
        compile_remedy(compile_warning(c, at,
                                       "\"%.64s\" is known by its certificate, but this flow "
                                       "asks for none",
                                       s),
                       "set \"client_certificate\": \"ask\" and give the flow an \"identity\"");
}

static void lint_when(struct compiler *c, const struct place *at, const json_t *when,
                      struct flow_lint *l);

static void lint_condition(struct compiler *c, const struct place *at, const json_t *value,
                           void *context)
{
    struct flow_lint *l = context;
    if (strcmp(at->key, "recipient") == 0 || strcmp(at->key, "sender") == 0 ||
        strcmp(at->key, "from_domain") == 0)
        each_string(c, at, value, lint_pattern, l);
    else if (strcmp(at->key, "peer") == 0 && !l->collecting)
        each_string(c, at, value, lint_peer_name, l);
    else if (strcmp(at->key, "client") == 0 && !l->collecting)
        each_string(c, at, value, warn_static_address, l);
    else if (strcmp(at->key, "not") == 0)
        lint_when(c, at, value, l);
    else if (strcmp(at->key, "any") == 0 || strcmp(at->key, "all") == 0)
        for (size_t i = 0; i < json_array_size(value); i++) {
            struct place place = {.up = at, .in = value, .index = i};
            lint_when(c, &place, json_array_get(value, i), l);
        }
}

/* Depth is bounded: the conditions have been compiled. */
static void lint_when(struct compiler *c, const struct place *at, const json_t *when,
                      struct flow_lint *l)
{
    each_member(c, at, when, lint_condition, l);
}

/* ---- rules ------------------------------------------------------------------------------- */

/* Equal values have equal hashes, whatever the order of their members. Bounded as conditions are.
 */
static uint64_t value_hash(const json_t *value)
{
    uint64_t h = (uint64_t)json_typeof(value) + 1;
    if (json_is_string(value))
        return h * 31 + format_domain_hash(span_str(json_string_value(value)));
    for (size_t i = 0; i < json_array_size(value); i++)
        h = h * 0x9e3779b97f4a7c15u + value_hash(json_array_get(value, i));
    json_t *o = (json_t *)(uintptr_t)value;
    for (void *i = json_object_iter(o); i != NULL; i = json_object_iter_next(o, i)) {
        uint64_t member = format_domain_hash(span_str(json_object_iter_key(i)));
        member = (member + 1) * (value_hash(json_object_iter_value(i)) | 1);
        h += member ^ (member >> 32);
    }
    return h;
}

/* The conditions seen so far, as a table of rules (their number and 1; 0 is empty). */
struct conditions {
    const json_t *rules;
    uint32_t *slots;
    size_t mask;
};

static void conditions_open(struct conditions *s, const json_t *rules)
{
    size_t size = 4;
    while (size < 2 * json_array_size(rules))
        size *= 2;
    *s = (struct conditions){.rules = rules, .mask = size - 1};
    s->slots = compile_allocate(size * sizeof s->slots[0]);
    memset(s->slots, 0, size * sizeof s->slots[0]);
}

static void lint_shadowed(struct compiler *c, const struct place *at, const json_t *when,
                          struct conditions *s)
{
    size_t i = (value_hash(when) * 0x9e3779b97f4a7c15u >> 32) & s->mask;
    for (; s->slots[i] != 0; i = (i + 1) & s->mask) {
        uint32_t before = s->slots[i] - 1;
        if (!json_equal(get(json_array_get(s->rules, before), "when"), when))
            continue;
        compile_remedy(compile_warning(c, at,
                                       "this rule never decides: rule %u (counted from 0) "
                                       "has the same condition",
                                       before),
                       "take it out, or change one of the two conditions");
        return;
    }
    s->slots[i] = (uint32_t)at->index + 1;
}

/* Has the name been seen? Remembers it. */
static bool seen_before(json_t *seen, const char *name)
{
    if (get(seen, name) != NULL)
        return true;
    if (json_object_set_new(seen, name, json_true()) != 0)
        fatal_env(EXIT_OSERR, 0, "no memory to compile the policy");
    return false;
}

static void lint_rules(struct compiler *c, const struct place *at, const json_t *rules,
                       struct flow_lint *l)
{
    struct conditions conditions;
    json_t *names = json_object();
    if (names == NULL)
        fatal_env(EXIT_OSERR, 0, "no memory to compile the policy");
    conditions_open(&conditions, rules);
    bool reachable = true;
    size_t n = json_array_size(rules);
    for (size_t i = 0; i < n; i++) {
        const json_t *rule = json_array_get(rules, i);
        const json_t *when = get(rule, "when");
        const char *name = json_string_value(get(rule, "name"));
        struct place place = {.up = at, .in = rules, .index = i};
        if (name != NULL && !l->collecting && seen_before(names, name))
            compile_remedy(
                compile_warning(c, &place, "another rule of the flow is named \"%.64s\"", name),
                "give it a name of its own, for logs and explanations");
        if (!reachable) {
            compile_remedy(compile_warning(c, &place,
                                           "this rule is never reached: an earlier one "
                                           "has no condition"),
                           "move the rule without \"when\" to the end");
            break; /* the others are no better off */
        }
        if (when == NULL) {
            reachable = l->collecting;
            continue;
        }
        if (!l->collecting)
            lint_shadowed(c, &place, when, &conditions);
        struct place condition = {.up = &place, .in = rule, .key = "when"};
        lint_when(c, &condition, when, l);
    }
    free(conditions.slots);
    json_decref(names);
}

static void lint_flow(struct compiler *c, const struct place *at, const json_t *flow, void *context)
{
    const json_t *certificate = get(flow, "client_certificate");
    struct flow_lint l = {.policy = context, .flow = flow, .domains = json_object()};
    if (l.domains == NULL)
        fatal_env(EXIT_OSERR, 0, "no memory to compile the policy");
    l.no_client_certificate =
        get(flow, "identity") == NULL ||
        (certificate != NULL && strcmp(json_string_value(certificate), "no") == 0);
    struct place domains = {.up = at, .in = flow, .key = "domains"};
    struct place rules = {.up = at, .in = flow, .key = "rules"};
    struct place accepted = {.up = at, .in = flow, .key = "accept_from"};
    lint_listen(c, at, flow);
    for (int pass = 0; pass < 2; pass++) {
        l.collecting = pass == 0;
        if (get(flow, "domains") != NULL)
            each_string(c, &domains, get(flow, "domains"), lint_pattern, &l);
        lint_rules(c, &rules, get(flow, "rules"), &l);
    }
    if (get(flow, "accept_from") != NULL)
        each_string(c, &accepted, get(flow, "accept_from"), lint_peer_name, &l);
    else if (get(flow, "domains") == NULL)
        compile_remedy(compile_warning(c, at, "an open relay: anyone may send to any address"),
                       "name who may send (\"accept_from\") or for which domains (\"domains\")");
    json_decref(l.domains);
}

void policy_lint(struct compiler *c, const struct place *root, const json_t *policy)
{
    struct place peers = {.up = root, .in = policy, .key = "peers"};
    struct place routes = {.up = root, .in = policy, .key = "routes"};
    struct place flows = {.up = root, .in = policy, .key = "flows"};
    if (get(policy, "peers") != NULL)
        each_member(c, &peers, get(policy, "peers"), lint_peer, NULL);
    if (get(policy, "routes") != NULL)
        each_member(c, &routes, get(policy, "routes"), lint_route, NULL);
    each_member(c, &flows, get(policy, "flows"), lint_flow, (void *)(uintptr_t)policy);
}
