/* A mail's facts, and the decision on a recipient with each comparison, as JSON. */
#include "workers/mgictl/explain.h"
#include "engine/mime/edit.h"
#include "engine/smtp/address.h"
#include "status.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- JSON ------------------------------------------------------------------------------- */

static void set(json_t *object, const char *key, json_t *value)
{
    if (value == NULL || json_object_set_new(object, key, value) != 0)
        fatal_env(EXIT_OSERR, ENOMEM, "no memory to explain");
}

static void append(json_t *array, json_t *value)
{
    if (value == NULL || json_array_append_new(array, value) != 0)
        fatal_env(EXIT_OSERR, ENOMEM, "no memory to explain");
}

/* Bytes that are no UTF-8 can't stand in JSON. */
static json_t *text(struct span s)
{
    json_t *value = json_stringn((const char *)s.p, s.n);
    return value != NULL ? value : json_string("(not UTF-8)");
}

/* ---- the mail ---------------------------------------------------------------------------- */

struct reading {
    struct header_want wants[LIMIT_HEADER_WANTS];
    struct header_scanner scanner;
    struct facts_fields fields;
    unsigned char captured[LIMIT_HEADER_BUFFER];
    bool cr; /* the byte before was one */
};

static struct reading reading;

/* Wants of our own, behind those of the rules. */
enum { WANT_TO = FACTS_WANTS, WANT_CC, WANTS };

_Static_assert(WANTS + LIMIT_POLICY_FIELDS <= LIMIT_HEADER_WANTS, "each field has a want");

void explain_begin(struct explained *e)
{
    struct reading *r = &reading;
    *r = (struct reading){.cr = false};
    facts_begin(r->wants);
    r->wants[WANT_TO] = (struct header_want){.name = SPAN_LIT("To"), .mode = HEADER_JOIN};
    r->wants[WANT_CC] = (struct header_want){.name = SPAN_LIT("Cc"), .mode = HEADER_JOIN};
    unsigned count = facts_add_fields(e->policy, r->wants, WANTS, &r->fields);
    header_begin(&r->scanner, r->wants, count, r->captured, sizeof r->captured);
    e->size = 0;
}

void explain_feed(struct explained *e, struct span piece)
{
    struct reading *r = &reading;
    for (size_t i = 0; i < piece.n; i++) {
        bool alone = piece.p[i] == '\n' && !r->cr;
        struct span bytes = alone ? SPAN_LIT("\r\n") : span_of(piece.p + i, 1);
        r->cr = piece.p[i] == '\r';
        e->size += bytes.n;
        if (!r->scanner.done)
            (void)header_feed(&r->scanner, bytes);
    }
}

void explain_end(struct explained *e)
{
    header_finish(&reading.scanner);
    e->mail = true;
    e->fault = facts_read(e->policy, &reading.scanner, &reading.fields, &e->facts);
}

struct span explain_from(void)
{
    return header_value(&reading.scanner, FACTS_FROM);
}

struct span explain_to(void)
{
    static unsigned char joined[2 * LIMIT_HEADER_CAPTURE + 1];
    struct span to = header_value(&reading.scanner, WANT_TO);
    struct span cc = header_value(&reading.scanner, WANT_CC);
    unsigned char *end = mempcpy(joined, to.p, to.n);
    *end++ = '\n'; /* as between the fields of one name */
    end = mempcpy(end, cc.p, cc.n);
    return span_of(joined, (size_t)(end - joined));
}

int explain_read(struct explained *e, const char *path)
{
    static unsigned char piece[LIMIT_CHUNK];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    explain_begin(e);
    while ((n = read(fd, piece, sizeof piece)) > 0)
        explain_feed(e, span_of(piece, (size_t)n));
    int error = n < 0 ? errno : 0;
    (void)close(fd);
    explain_end(e);
    return error;
}

/* ---- steps ------------------------------------------------------------------------------- */

struct steps {
    const struct policy *policy;
    json_t *rules;
    json_t *comparisons; /* of the rule under way, borrowed */
};

static json_t *truth(enum policy_truth t)
{
    return t == POLICY_UNKNOWN ? json_null() : json_boolean(t == POLICY_TRUE);
}

/* The object of the rule that is tried; comparisons come before the rule's own step. */
static json_t *current(struct steps *s, uint32_t rule)
{
    if (s->comparisons == NULL) {
        json_t *object = json_object();
        s->comparisons = json_array();
        append(s->rules, object);
        set(object, "rule", text(policy_rule(s->policy, rule).name));
        set(object, "comparisons", s->comparisons);
    }
    return json_array_get(s->rules, json_array_size(s->rules) - 1);
}

static void on_step(void *context, const struct policy_step *step)
{
    struct steps *s = context;
    json_t *rule = current(s, step->rule);
    if (step->condition == POLICY_IF_RULE) {
        set(rule, "holds", truth(step->truth));
        s->comparisons = NULL;
        return;
    }
    json_t *c = json_object();
    append(s->comparisons, c);
    set(c, "condition", json_string(policy_condition_name(step->condition)));
    if (step->field.n > 0)
        set(c, "field", text(step->field));
    set(c, "value", text(step->value));
    if (step->truth == POLICY_TRUE)
        set(c, "matched", text(step->matched));
    set(c, "holds", truth(step->truth));
}

/* ---- what the rule does ------------------------------------------------------------------ */

static json_t *demand(const struct policy *p, const struct policy_route *r)
{
    json_t *tls = json_object();
    json_t *names = json_array();
    set(tls, "require", json_boolean(r->tls_require));
    if (r->tls.trust != POLICY_NONE)
        set(tls, "trust", text(policy_trust(p, r->tls.trust).name));
    for (uint32_t i = 0; i < r->tls.names.count; i++)
        append(names, text(policy_string(p, r->tls.names, i)));
    set(tls, "names", names);
    set(tls, "organization", text(r->tls.organization));
    if (r->identity != POLICY_NONE)
        set(tls, "identity", text(policy_identity(p, r->identity).name));
    return tls;
}

static void tell_route(json_t *out, const struct policy *p, uint32_t index)
{
    struct policy_route r = policy_route(p, index);
    json_t *hosts = json_array();
    set(out, "route", text(r.name));
    if (r.kind == POLICY_ROUTE_HOSTS)
        for (uint32_t i = 0; i < r.hosts.count; i++)
            append(hosts, text(policy_route_host(p, index, i).name));
    set(out, "hosts", hosts);
    if (r.kind != POLICY_ROUTE_HOSTS)
        set(out, "mx", r.kind == POLICY_ROUTE_MX ? text(r.mx) : json_string("recipient"));
    set(out, "tls", demand(p, &r));
}

static json_t *edits_of(struct span rest)
{
    json_t *list = json_array();
    for (struct edit e; edit_next(&rest, &e);) {
        json_t *one = json_object();
        append(list, one);
        set(one, "edit",
            json_string(e.kind == EDIT_SET      ? "set_header"
                        : e.kind == EDIT_REMOVE ? "remove_header"
                                                : "prefix_subject"));
        if (e.kind != EDIT_PREFIX_SUBJECT)
            set(one, "field", text(e.name));
        if (e.kind != EDIT_REMOVE)
            set(one, "value", text(e.value));
    }
    return list;
}

/* A rule whose changed address would be none refuses, as in the daemon. */
static bool tell_address(json_t *out, const struct policy *p, uint32_t rule, struct span recipient)
{
    unsigned char ascii[SMTP_ADDRESS_CANONICAL];
    unsigned char rewritten[LIMIT_ADDRESS];
    if (!policy_rule(p, rule).rewrites)
        return true;
    struct span before = smtp_address_ascii_domain(recipient, ascii);
    struct span after = policy_rewrite(p, rule, before, rewritten);
    if (after.n > 0 && !span_eq(before, after))
        set(out, "becomes", text(after));
    return after.n > 0;
}

static void tell_decision(json_t *out, const struct policy *p, const struct policy_decision *d,
                          struct span recipient)
{
    static const char *const outcomes[] = {
        [POLICY_ROUTE] = "route",
        [POLICY_REJECT] = "reject",
        [POLICY_DEFER] = "defer",
        [POLICY_DISCARD] = "discard",
        [POLICY_NEED_HEADERS] = "needs the mail",
    };
    struct policy_rule rule = policy_rule(p, d->rule);
    set(out, "rule", text(rule.name));
    set(out, "outcome", json_string(outcomes[d->outcome]));
    if (d->reply.n > 0)
        set(out, "reply", text(d->reply));
    if (d->outcome != POLICY_ROUTE)
        return;
    if (!tell_address(out, p, d->rule, recipient)) {
        set(out, "outcome", json_string("reject"));
        set(out, "reply", text(policy_rewrite_refusal()));
        return;
    }
    tell_route(out, p, d->route);
    set(out, "edits", edits_of(rule.edits));
    if (rule.hold)
        set(out, "hold", json_true());
    if (rule.lifetime > 0)
        set(out, "lifetime", json_integer(rule.lifetime));
    set(out, "priority", json_string(priority_word(rule.priority)));
}

/* ---- a recipient ------------------------------------------------------------------------- */

static json_t *refused(json_t *out, const char *reply)
{
    set(out, "outcome", json_string("refused"));
    set(out, "reply", json_string(reply));
    return out;
}

json_t *explain_recipient(const struct explained *e, const char *recipient)
{
    const struct policy *p = e->policy;
    unsigned char from[SMTP_ADDRESS_CANONICAL], to[SMTP_ADDRESS_CANONICAL];
    struct policy_facts f = {.sender = smtp_address_compared(span_str(e->sender), from),
                             .recipient = smtp_address_compared(span_str(recipient), to),
                             .client = e->client,
                             .peers = e->peers,
                             .tls_version = e->tls_version,
                             .tls_verified = e->tls_verified,
                             .subject = SPAN_EMPTY};
    json_t *out = json_object();
    struct steps steps = {.policy = p};
    struct policy_trace trace = {.context = &steps, .step = on_step};
    set(out, "recipient", text(span_str(recipient)));
    if (!policy_flow_accepts(p, e->flow, e->peers))
        return refused(out, "550 5.7.1 Client not allowed to send here");
    if (!policy_recipient_allowed(p, e->flow, f.recipient))
        return refused(out, "550 5.7.1 Relaying denied");
    steps.rules = json_array();
    struct policy_decision d = policy_decide(p, e->flow, &f, &trace);
    set(out, "phase", json_string("rcpt"));
    if (d.outcome == POLICY_NEED_HEADERS && e->mail) {
        if (e->fault != FACTS_OK) {
            json_decref(steps.rules);
            return refused(out, facts_fault_reply(e->fault));
        }
        json_decref(steps.rules);
        steps = (struct steps){.policy = p, .rules = json_array()};
        facts_tell(&e->facts, &f);
        f.size = e->size;
        d = policy_decide(p, e->flow, &f, &trace);
        set(out, "phase", json_string("data"));
    }
    set(out, "rules", steps.rules);
    tell_decision(out, p, &d, f.recipient);
    return out;
}
