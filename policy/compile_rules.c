/* Rules: a condition, what becomes of the recipient, and what goes with it. */
#include "policy/compile_internal.h"
#include "priority.h"
#include <stdio.h>

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

/* "discard": true; anything else would look like an action and be none. */
static void read_discard(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    struct rule_draft *d = draft;
    uint32_t discard = 1;
    d->actions++;
    d->rule.action = POLICY_ACT_DISCARD;
    if (value_bool(c, at, value, &discard) && discard == 0)
        compile_remedy(compile_error(c, at, "\"discard\" is an action only when it is true"),
                       "write true, or take it out");
}

/* ---- what goes with a route ---------------------------------------------------------------- */

static void read_rule_hold(struct compiler *c, const struct place *at, const json_t *value,
                           void *draft)
{
    struct rule_draft *d = draft;
    d->with_route = at->key;
    (void)value_bool(c, at, value, &d->rule.hold);
}

static void read_rule_lifetime(struct compiler *c, const struct place *at, const json_t *value,
                               void *draft)
{
    struct rule_draft *d = draft;
    uint64_t n;
    d->with_route = at->key;
    if (value_duration(c, at, value, 1, LIMIT_LIFETIME_MAX, &n))
        d->rule.lifetime = (uint32_t)n;
}

static void read_rule_priority(struct compiler *c, const struct place *at, const json_t *value,
                               void *draft)
{
    static const char *const words[] = {
#define X(NAME, word) [PRIORITY_##NAME] = word,
        PRIORITIES(X)
#undef X
    };
    struct rule_draft *d = draft;
    d->with_route = at->key;
    (void)value_word(c, at, value, words, PRIORITY_COUNT, &d->rule.priority);
}

/* ---- the rule ------------------------------------------------------------------------------ */

static const struct key rule_table[] = {
    {"name", KEY_OPTIONAL, read_rule_name},
    {"when", KEY_OPTIONAL, read_rule_when},
    {"route", KEY_OPTIONAL, read_rule_route},
    {"reject", KEY_OPTIONAL, read_reject},
    {"defer", KEY_OPTIONAL, read_defer},
    {"discard", KEY_OPTIONAL, read_discard},
    {"hold", KEY_OPTIONAL, read_rule_hold},
    {"lifetime", KEY_OPTIONAL, read_rule_lifetime},
    {"priority", KEY_OPTIONAL, read_rule_priority},
    {"remove_suffix", KEY_OPTIONAL, read_remove_suffix},
    {"add_suffix", KEY_OPTIONAL, read_add_suffix},
    {"prefix_subject", KEY_OPTIONAL, read_prefix_subject},
    {"set_header", KEY_OPTIONAL, read_set_header},
    {"remove_header", KEY_OPTIONAL, read_remove_header},
    {"scan", KEY_PLANNED, NULL},
    {"trusted", KEY_PLANNED, NULL},
    {"journal", KEY_PLANNED, NULL},
};
KEY_SET(rule_keys, "rule", rule_table);

/* Exactly one action, and with any but a route nothing that only a delivered copy could have. */
static void check_actions(struct compiler *c, const struct place *at, const struct rule_draft *d)
{
    if (d->actions != 1) {
        compile_remedy(compile_error(c, at,
                                     d->actions == 0 ? "a rule without an action"
                                                     : "a rule with more than one action"),
                       "give exactly one of \"route\", \"reject\", \"defer\", \"discard\"");
        return;
    }
    if (d->with_route != NULL && d->rule.action != POLICY_ACT_ROUTE)
        compile_remedy(
            compile_error(c, at, "\"%s\" without a \"route\": nothing is delivered", d->with_route),
            "take it out");
}

static void read_rule(struct compiler *c, const struct place *at, const json_t *value)
{
    struct rule_draft d = {.rule.route = POLICY_NONE};
    d.rule.nodes.first = compile_count(c, POLICY_NODES);
    compile_object(c, at, value, &rule_keys, &d);
    if (json_is_object(value))
        check_actions(c, at, &d);
    if (d.edits_length > 0)
        d.rule.edits = compile_string(c, at, span_of(d.edits, d.edits_length));
    if (d.rule.name.length == 0) {
        char name[24];
        int n = snprintf(name, sizeof name, "#%zu", at->index + 1);
        d.rule.name = compile_string(c, at, span_of(name, (size_t)n));
    }
    (void)compile_append(c, at, POLICY_RULES, &d.rule);
}

void read_rules(struct compiler *c, const struct place *at, const json_t *value, void *draft)
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
