/*
 * Which rule decides: the rules of a flow in order, each condition with three values, since
 * before the headers are there some comparisons have no answer yet.
 */
#include "policy/format.h"
#include "policy/match.h"
#include "status.h"

struct walk {
    const struct policy *p;
    const struct policy_facts *facts;
    const struct policy_trace *trace;
    struct match_address sender;
    struct match_address recipient;
    uint32_t rule;
};

const char *policy_condition_name(enum policy_condition condition)
{
    static const char *const names[] = {
        [POLICY_IF_ALL] = "all",
        [POLICY_IF_ANY] = "any",
        [POLICY_IF_NOT] = "not",
        [POLICY_IF_RECIPIENT] = "recipient",
        [POLICY_IF_SENDER] = "sender",
        [POLICY_IF_FROM_DOMAIN] = "from_domain",
        [POLICY_IF_CLIENT] = "client",
        [POLICY_IF_PEER] = "peer",
        [POLICY_IF_SUBJECT_CONTAINS] = "subject contains",
        [POLICY_IF_SUBJECT_EQUALS] = "subject equals",
        [POLICY_IF_SUBJECT_STARTS] = "subject starts",
        [POLICY_IF_SUBJECT_ENDS] = "subject ends",
        [POLICY_IF_HEADER_CONTAINS] = "header contains",
        [POLICY_IF_HEADER_EQUALS] = "header equals",
        [POLICY_IF_HEADER_STARTS] = "header starts",
        [POLICY_IF_HEADER_ENDS] = "header ends",
        [POLICY_IF_SIZE_OVER] = "size over",
        [POLICY_IF_SIZE_UNDER] = "size under",
        [POLICY_IF_TLS_VERSION] = "tls version",
        [POLICY_IF_TLS_VERIFIED] = "tls verified",
        [POLICY_IF_RULE] = "rule",
    };
    BUG_ON((size_t)condition >= sizeof names / sizeof names[0]);
    return names[condition];
}

static enum policy_truth truth_of(bool b)
{
    return b ? POLICY_TRUE : POLICY_FALSE;
}

static enum policy_truth from_domain(const struct walk *w, const struct rec_node *n,
                                     struct policy_step *step)
{
    for (uint32_t i = 0; i < w->facts->from_domain_count; i++) {
        struct span domain = w->facts->from_domains[i];
        struct match_address a = {.local = SPAN_EMPTY, .domain = domain};
        if (domain.n > 0 && domain.p[domain.n - 1] == '.')
            a.domain.n--;
        step->value = domain;
        if (match_patterns(w->p, n->items, &a)) {
            step->matched = domain;
            return POLICY_TRUE;
        }
    }
    return POLICY_FALSE;
}

static enum policy_truth address(const struct walk *w, const struct rec_node *n, struct span value,
                                 const struct match_address *parts, struct policy_step *step)
{
    step->value = value;
    if (!match_patterns(w->p, n->items, parts))
        return POLICY_FALSE;
    step->matched = value;
    return POLICY_TRUE;
}

/* Each value of a field that stands twice in the mail, by itself: "\n" is between them, and in
 * none. One that holds is enough, whichever of them a client will show. */
static enum policy_truth text(const struct walk *w, const struct rec_node *n,
                              enum policy_condition how, struct span values,
                              struct policy_step *step)
{
    struct span rest = values;
    for (;;) {
        const unsigned char *end = rest.n > 0 ? memchr(rest.p, '\n', rest.n) : NULL;
        struct span value = end != NULL ? span_head(rest, (size_t)(end - rest.p)) : rest;
        step->value = value;
        if (match_texts(w->p, n->items, how, n->case_sensitive != 0, value, &step->matched))
            return POLICY_TRUE;
        if (end == NULL)
            break;
        rest = span_from(rest, value.n + 1);
    }
    step->value = values;
    return POLICY_FALSE;
}

/* The comparisons of the subject's are those of a field's. */
static enum policy_truth header(const struct walk *w, const struct rec_node *n,
                                struct policy_step *step)
{
    const struct policy_facts *f = w->facts;
    int how = (int)n->condition - (int)POLICY_IF_HEADER_CONTAINS + (int)POLICY_IF_SUBJECT_CONTAINS;
    step->field = policy_field(w->p, n->field);
    if (!f->have_headers)
        return POLICY_UNKNOWN;
    struct span values = f->fields != NULL ? f->fields[n->field] : SPAN_EMPTY;
    return text(w, n, (enum policy_condition)how, values, step);
}

static enum policy_truth leaf(const struct walk *w, const struct rec_node *n,
                              struct policy_step *step)
{
    const struct policy_facts *f = w->facts;
    switch ((enum policy_condition)n->condition) {
    case POLICY_IF_RECIPIENT:
        return address(w, n, f->recipient, &w->recipient, step);
    case POLICY_IF_SENDER:
        return address(w, n, f->sender, &w->sender, step);
    case POLICY_IF_CLIENT:
        return truth_of(match_networks(w->p, n->items, &f->client));
    case POLICY_IF_PEER:
        return truth_of((n->value & f->peers) != 0);
    case POLICY_IF_FROM_DOMAIN:
        return f->have_headers ? from_domain(w, n, step) : POLICY_UNKNOWN;
    case POLICY_IF_TLS_VERSION:
        return truth_of(f->tls_version >= n->value);
    case POLICY_IF_TLS_VERIFIED:
        return truth_of(f->tls_verified == (n->value != 0));
    case POLICY_IF_SIZE_OVER:
        return f->have_headers ? truth_of(f->size > n->value) : POLICY_UNKNOWN;
    case POLICY_IF_SIZE_UNDER:
        return f->have_headers ? truth_of(f->size < n->value) : POLICY_UNKNOWN;
    case POLICY_IF_HEADER_CONTAINS:
    case POLICY_IF_HEADER_EQUALS:
    case POLICY_IF_HEADER_STARTS:
    case POLICY_IF_HEADER_ENDS:
        return header(w, n, step);
    default:
        return f->have_headers ? text(w, n, (enum policy_condition)n->condition, f->subject, step)
                               : POLICY_UNKNOWN;
    }
}

static void tell(const struct walk *w, const struct policy_step *step)
{
    if (w->trace != NULL)
        w->trace->step(w->trace->context, step);
}

/* Recursion is bounded: policy_open refuses trees over LIMIT_POLICY_DEPTH. */
static enum policy_truth evaluate(const struct walk *w, uint32_t index)
{
    const struct rec_node *n = format_NODES(w->p) + index;
    if (n->condition > POLICY_IF_NOT) {
        struct policy_step step = {.rule = w->rule,
                                   .condition = (enum policy_condition)n->condition,
                                   .value = SPAN_EMPTY,
                                   .field = SPAN_EMPTY,
                                   .matched = SPAN_EMPTY};
        step.truth = leaf(w, n, &step);
        if (step.truth != POLICY_TRUE)
            step.matched = SPAN_EMPTY;
        tell(w, &step);
        return step.truth;
    }
    if (n->condition == POLICY_IF_NOT) {
        enum policy_truth t = evaluate(w, index + 1);
        return t == POLICY_UNKNOWN ? t : truth_of(t == POLICY_FALSE);
    }
    /* One false child settles "all", one true child "any"; else one unknown child leaves it
     * open, but a later child may still settle it. */
    enum policy_truth settles = n->condition == POLICY_IF_ALL ? POLICY_FALSE : POLICY_TRUE;
    enum policy_truth truth = n->condition == POLICY_IF_ALL ? POLICY_TRUE : POLICY_FALSE;
    uint32_t end = index + n->size;
    for (uint32_t child = index + 1; child < end; child += format_NODES(w->p)[child].size) {
        enum policy_truth t = evaluate(w, child);
        if (t == settles)
            return t;
        if (t == POLICY_UNKNOWN)
            truth = t;
    }
    return truth;
}

/* True when the walk ends at that rule; *d then says how. */
static bool try_rule(struct walk *w, uint32_t index, struct policy_decision *d)
{
    const struct rec_rule *r = format_RULES(w->p) + index;
    w->rule = index;
    enum policy_truth t = r->nodes.count == 0 ? POLICY_TRUE : evaluate(w, r->nodes.first);
    tell(w, &(struct policy_step){.rule = index,
                                  .condition = POLICY_IF_RULE,
                                  .truth = t,
                                  .value = SPAN_EMPTY,
                                  .field = SPAN_EMPTY,
                                  .matched = SPAN_EMPTY});
    if (t == POLICY_FALSE)
        return false;
    *d = (struct policy_decision){.rule = index, .route = POLICY_NONE, .reply = SPAN_EMPTY};
    if (t == POLICY_UNKNOWN) {
        d->outcome = POLICY_NEED_HEADERS;
        return true;
    }
    static const enum policy_outcome outcomes[] = {
        [POLICY_ACT_ROUTE] = POLICY_ROUTE,
        [POLICY_ACT_REJECT] = POLICY_REJECT,
        [POLICY_ACT_DEFER] = POLICY_DEFER,
        [POLICY_ACT_DISCARD] = POLICY_DISCARD,
    };
    d->outcome = outcomes[r->action];
    d->route = r->route;
    d->reply = format_string(w->p, r->reply);
    return true;
}

/* ---- the index by recipient domain ------------------------------------------------------ */

/* A domain has at most this many names that it is below, and itself, and the list of rules that
 * the index does not know of. */
enum { LISTS = LIMIT_DOMAIN / 2 + 3 };

struct lists {
    unsigned n;
    struct policy_range list[LISTS];
};

static void add_list(struct lists *l, struct policy_range list)
{
    if (list.count > 0 && l->n < LISTS)
        l->list[l->n++] = list;
}

static const struct rec_slot *find_slot(const struct policy *p, const struct rec_flow *f,
                                        struct span domain)
{
    const struct rec_slot *slots = format_SLOTS(p) + f->slots.first;
    uint32_t mask = f->slots.count - 1;
    /* policy_open has seen an empty slot. */
    for (uint32_t i = format_domain_hash(domain) & mask;; i = (i + 1) & mask) {
        if (slots[i].domain.length == 0)
            return NULL;
        if (span_ieq(format_string(p, slots[i].domain), domain))
            return slots + i;
    }
}

/* The rules whose recipient patterns can match the domain, and those that the index leaves out:
 * every rule that is not among them is false. */
static void gather(const struct policy *p, const struct rec_flow *f, struct span domain,
                   struct lists *l)
{
    l->n = 0;
    add_list(l, f->always);
    if (f->slots.count == 0 || domain.n == 0 || domain.n > LIMIT_DOMAIN)
        return;
    const struct rec_slot *slot = find_slot(p, f, domain);
    if (slot != NULL)
        add_list(l, slot->exact);
    for (size_t i = 1; i + 1 < domain.n; i++)
        if (domain.p[i] == '.') {
            slot = find_slot(p, f, span_from(domain, i + 1));
            if (slot != NULL)
                add_list(l, slot->below);
        }
}

/* The smallest rule at the head of a list, taken from all of them; POLICY_NONE at the end. */
static uint32_t next_candidate(const struct policy *p, struct lists *l)
{
    const uint32_t *rules = format_CANDIDATES(p);
    uint32_t next = POLICY_NONE;
    for (unsigned i = 0; i < l->n; i++)
        if (l->list[i].count > 0 && rules[l->list[i].first] < next)
            next = rules[l->list[i].first];
    for (unsigned i = 0; i < l->n; i++)
        if (l->list[i].count > 0 && rules[l->list[i].first] == next) {
            l->list[i].first++;
            l->list[i].count--;
        }
    return next;
}

struct policy_decision policy_decide(const struct policy *p, uint32_t flow,
                                     const struct policy_facts *facts,
                                     const struct policy_trace *trace)
{
    BUG_ON(flow >= p->counts[POLICY_FLOWS]);
    const struct rec_flow *f = format_FLOWS(p) + flow;
    struct walk w = {.p = p,
                     .facts = facts,
                     .trace = trace,
                     .sender = match_split(facts->sender),
                     .recipient = match_split(facts->recipient)};
    struct policy_decision d = {.outcome = POLICY_NEED_HEADERS};
    if (trace != NULL) { /* every rule is told */
        for (uint32_t i = 0; i < f->rules.count; i++)
            if (try_rule(&w, f->rules.first + i, &d))
                return d;
    } else {
        struct lists lists;
        gather(p, f, w.recipient.domain, &lists);
        for (uint32_t rule = next_candidate(p, &lists); rule != POLICY_NONE;
             rule = next_candidate(p, &lists))
            if (try_rule(&w, rule, &d))
                return d;
    }
    fatal_bug(__FILE__, __LINE__, "a flow without an unconditional last rule was opened");
}
