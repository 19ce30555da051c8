/*
 * The index of a flow's rules by recipient domain, so that the cost of a recipient does not grow
 * with the number of rules that are about other domains.
 *
 * A rule whose condition is a recipient pattern, or needs one among others, can hold only for
 * the domains of its patterns: it is listed with those, and every other rule in `always`.
 * policy_decide walks the few lists that a recipient calls for, in the order of the rules.
 */
#include "policy/compile_internal.h"
#include <stdlib.h>

struct entry {
    struct span domain;
    struct rec_string stored;
    uint32_t below;
    uint32_t rule;
};

struct entries {
    struct entry *p;
    size_t n;
};

/* Entries first to end - 1 are of one domain; split: where those of names below it begin. */
struct group {
    size_t first, split, end;
};

/* The node of the recipient patterns that the rule needs, or NULL. */
static const struct rec_node *needed_recipient(struct compiler *c, const struct rec_rule *rule)
{
    if (rule->nodes.count == 0)
        return NULL;
    const struct rec_node *root = compile_record(c, POLICY_NODES, rule->nodes.first);
    if (root->condition == POLICY_IF_RECIPIENT)
        return root;
    if (root->condition != POLICY_IF_ALL)
        return NULL;
    for (const struct rec_node *n = root + 1; n < root + root->size; n += n->size)
        if (n->condition == POLICY_IF_RECIPIENT)
            return n;
    return NULL;
}

static int by_domain(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    size_t n = x->domain.n < y->domain.n ? x->domain.n : y->domain.n;
    int order = memcmp(x->domain.p, y->domain.p, n);
    if (order != 0)
        return order;
    if (x->domain.n != y->domain.n)
        return x->domain.n < y->domain.n ? -1 : 1;
    if (x->below != y->below)
        return x->below < y->below ? -1 : 1;
    return (x->rule > y->rule) - (x->rule < y->rule);
}

/* Appends the rules that need no recipient pattern to the candidates, and gathers the others. */
static void sort_out(struct compiler *c, const struct place *at, struct rec_flow *f,
                     struct entries *e)
{
    uint32_t first = compile_count(c, POLICY_CANDIDATES);
    for (uint32_t i = f->rules.first; i < f->rules.first + f->rules.count; i++) {
        const struct rec_node *node = needed_recipient(c, compile_record(c, POLICY_RULES, i));
        if (node == NULL) {
            (void)compile_append(c, at, POLICY_CANDIDATES, &i);
            continue;
        }
        for (uint32_t k = 0; k < node->items.count; k++) {
            const struct rec_pattern *r = compile_record(c, POLICY_PATTERNS, node->items.first + k);
            e->p[e->n++] = (struct entry){.domain = compile_string_span(c, r->domain),
                                          .stored = r->domain,
                                          .below = r->below,
                                          .rule = i};
        }
    }
    f->always = compile_range(c, POLICY_CANDIDATES, first);
}

static size_t find_groups(const struct entries *e, struct group *groups)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n;) {
        struct group g = {.first = i, .split = i};
        while (i < e->n && span_eq(e->p[i].domain, e->p[g.first].domain)) {
            if (e->p[i].below == 0)
                g.split = i + 1;
            i++;
        }
        g.end = i;
        groups[n++] = g;
    }
    return n;
}

static struct policy_range append_rules(struct compiler *c, const struct place *at,
                                        const struct entries *e, size_t first, size_t end)
{
    uint32_t start = compile_count(c, POLICY_CANDIDATES);
    for (size_t i = first; i < end; i++)
        if (i == first || e->p[i].rule != e->p[i - 1].rule)
            (void)compile_append(c, at, POLICY_CANDIDATES, &e->p[i].rule);
    return compile_range(c, POLICY_CANDIDATES, start);
}

/* A hash table at most half full, with linear probing. */
static void append_slots(struct compiler *c, const struct place *at, struct rec_flow *f,
                         const struct entries *e, const struct group *groups, size_t n)
{
    size_t size = 4;
    while (size < 2 * n)
        size *= 2;
    const struct group **slots = compile_allocate(size * sizeof(const struct group *));
    memset(slots, 0, size * sizeof(const struct group *));
    for (size_t i = 0; i < n; i++) {
        size_t at_slot = format_domain_hash(e->p[groups[i].first].domain) & (size - 1);
        while (slots[at_slot] != NULL)
            at_slot = (at_slot + 1) & (size - 1);
        slots[at_slot] = &groups[i];
    }
    uint32_t first = compile_count(c, POLICY_SLOTS);
    for (size_t i = 0; i < size; i++) {
        const struct group *g = slots[i];
        struct rec_slot slot = {0};
        if (g != NULL) {
            slot.domain = e->p[g->first].stored;
            slot.exact = append_rules(c, at, e, g->first, g->split);
            slot.below = append_rules(c, at, e, g->split, g->end);
        }
        (void)compile_append(c, at, POLICY_SLOTS, &slot);
    }
    f->slots = compile_range(c, POLICY_SLOTS, first);
    free(slots);
}

void compile_index(struct compiler *c)
{
    struct place root = {0};
    struct entries e = {
        .p = compile_allocate((compile_count(c, POLICY_PATTERNS) + 1) * sizeof *e.p)};
    struct group *groups =
        compile_allocate((compile_count(c, POLICY_PATTERNS) + 1) * sizeof *groups);
    for (uint32_t i = 0; i < compile_count(c, POLICY_FLOWS); i++) {
        struct rec_flow *f = compile_record(c, POLICY_FLOWS, i);
        e.n = 0;
        sort_out(c, &root, f, &e);
        qsort(e.p, e.n, sizeof e.p[0], by_domain);
        size_t n = find_groups(&e, groups);
        if (n > 0)
            append_slots(c, &root, f, &e, groups, n);
    }
    free(groups);
    free(e.p);
}
