/* Conditions to nodes in pre-order, and the patterns that addresses are compared with. */
#include "policy/compile_internal.h"

/* ---- patterns --------------------------------------------------------------------------- */

static void append_pattern(struct compiler *c, const struct place *at, struct rec_pattern r,
                           const char *domain)
{
    r.domain = compile_string(c, at, span_str(domain));
    (void)compile_append(c, at, POLICY_PATTERNS, &r);
}

static struct rec_string lower_string(struct compiler *c, const struct place *at, struct span s)
{
    unsigned char lower[LIMIT_POLICY_NEEDLE];
    for (size_t i = 0; i < s.n; i++)
        lower[i] = ascii_lower(s.p[i]);
    return compile_string(c, at, span_of(lower, s.n));
}

/* What stands before the "@": "*" for any, else a local part. */
static bool read_local(struct compiler *c, const struct place *at, struct span s,
                       struct rec_pattern *r)
{
    if (span_eq(s, SPAN_LIT("*")))
        return true;
    const char *fault = s.n == 0                 ? "nothing stands before the \"@\""
                        : s.n > LIMIT_LOCAL_PART ? "the local part is longer than 64 bytes"
                        : memchr(s.p, '*', s.n)  ? "\"*\" stands for a whole local part only"
                                                 : NULL;
    if (fault != NULL) {
        compile_remedy(compile_error(c, at, "%s", fault),
                       "write it like user@example.ch or *@example.ch");
        return false;
    }
    r->local_kind = PATTERN_LITERAL;
    r->local = lower_string(c, at, s);
    return true;
}

void read_pattern(struct compiler *c, const struct place *at, struct span s, enum pattern_kind kind)
{
    struct rec_pattern r = {.local_kind = PATTERN_ANY};
    if (kind == PATTERN_OF_SENDERS && (s.n == 0 || span_eq(s, SPAN_LIT("<>")))) {
        r.local_kind = PATTERN_NULL_SENDER;
        (void)compile_append(c, at, POLICY_PATTERNS, &r);
        return;
    }
    size_t sign = s.n;
    while (sign > 0 && s.p[sign - 1] != '@')
        sign--;
    struct span domain = span_from(s, sign);
    if (sign > 0 && kind == PATTERN_OF_DOMAINS) {
        compile_remedy(compile_error(c, at, "an address where a domain is compared"),
                       "write the domain alone, like example.ch or *.example.ch");
        return;
    }
    if (sign > 0 && !read_local(c, at, span_head(s, sign - 1), &r))
        return;
    r.below = domain.n > 1 && domain.p[0] == '*' && domain.p[1] == '.';
    if (r.below)
        domain = span_from(domain, 2);
    if (domain.n > 0 && memchr(domain.p, '*', domain.n) != NULL) {
        compile_remedy(compile_error(c, at, "\"*\" stands for whole labels at the beginning only"),
                       span_eq(domain, SPAN_LIT("*"))
                           ? "to match any address, leave the condition out"
                           : "write it like *.example.ch");
        return;
    }
    char ascii[DOMAIN_TEXT];
    char unicode[DOMAIN_TEXT];
    if (!name_domain(c, at, domain, ascii, unicode))
        return;
    append_pattern(c, at, r, ascii);
    if (unicode[0] != '\0')
        append_pattern(c, at, r, unicode);
}

/* ---- nodes ------------------------------------------------------------------------------ */

/* How many composite conditions are open around the one that is read. */
struct when_draft {
    unsigned depth;
};

static uint32_t begin(struct compiler *c, const struct place *at, enum policy_condition condition)
{
    return compile_append(c, at, POLICY_NODES,
                          &(struct rec_node){.condition = condition, .size = 1});
}

static void end(struct compiler *c, uint32_t node)
{
    struct rec_node *n = compile_record(c, POLICY_NODES, node);
    n->size = compile_count(c, POLICY_NODES) - node;
}

static void set_items(struct compiler *c, uint32_t node, enum policy_table table, uint32_t first)
{
    struct rec_node *n = compile_record(c, POLICY_NODES, node);
    n->items = compile_range(c, table, first);
}

static void read_recipient_pattern(struct compiler *c, const struct place *at, struct span s,
                                   void *draft)
{
    (void)draft;
    read_pattern(c, at, s, PATTERN_OF_RECIPIENTS);
}

static void read_sender_pattern(struct compiler *c, const struct place *at, struct span s,
                                void *draft)
{
    (void)draft;
    read_pattern(c, at, s, PATTERN_OF_SENDERS);
}

static void read_domain_pattern(struct compiler *c, const struct place *at, struct span s,
                                void *draft)
{
    (void)draft;
    read_pattern(c, at, s, PATTERN_OF_DOMAINS);
}

static void patterns(struct compiler *c, const struct place *at, const json_t *value,
                     enum policy_condition condition,
                     void (*read)(struct compiler *c, const struct place *at, struct span s,
                                  void *draft))
{
    uint32_t node = begin(c, at, condition);
    uint32_t first = compile_count(c, POLICY_PATTERNS);
    compile_each(c, at, value, LIMIT_ADDRESS, read, NULL);
    set_items(c, node, POLICY_PATTERNS, first);
}

static void read_recipient(struct compiler *c, const struct place *at, const json_t *value,
                           void *draft)
{
    (void)draft;
    patterns(c, at, value, POLICY_IF_RECIPIENT, read_recipient_pattern);
}

static void read_sender(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    (void)draft;
    patterns(c, at, value, POLICY_IF_SENDER, read_sender_pattern);
}

static void read_from_domain(struct compiler *c, const struct place *at, const json_t *value,
                             void *draft)
{
    (void)draft;
    patterns(c, at, value, POLICY_IF_FROM_DOMAIN, read_domain_pattern);
}

static void read_client_network(struct compiler *c, const struct place *at, struct span s,
                                void *draft)
{
    (void)draft;
    struct rec_network n;
    if (name_network(c, at, s, &n))
        (void)compile_append(c, at, POLICY_NETWORKS, &n);
}

static void read_client(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    (void)draft;
    uint32_t node = begin(c, at, POLICY_IF_CLIENT);
    uint32_t first = compile_count(c, POLICY_NETWORKS);
    compile_each(c, at, value, LIMIT_ADDRESS_TEXT, read_client_network, NULL);
    set_items(c, node, POLICY_NETWORKS, first);
}

static void read_peer_name(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    uint64_t *peers = draft;
    uint32_t peer = compile_reference(c, at, s, POLICY_PEERS, "peer");
    if (peer != POLICY_NONE)
        *peers |= (uint64_t)1 << peer;
}

static void read_peer_condition(struct compiler *c, const struct place *at, const json_t *value,
                                void *draft)
{
    (void)draft;
    uint32_t node = begin(c, at, POLICY_IF_PEER);
    uint64_t peers = 0;
    compile_each(c, at, value, LIMIT_NAME, read_peer_name, &peers);
    ((struct rec_node *)compile_record(c, POLICY_NODES, node))->peers = peers;
}

/* ---- the subject ------------------------------------------------------------------------ */

struct subject_draft {
    uint32_t case_sensitive;
    enum policy_condition condition;
};

static void read_case(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct subject_draft *d = draft;
    (void)value_bool(c, at, value, &d->case_sensitive);
}

static void read_text(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    const struct subject_draft *d = draft;
    if (s.n == 0 && d->condition != POLICY_IF_SUBJECT_EQUALS) {
        compile_remedy(compile_error(c, at, "an empty text stands in every subject"),
                       "write the text, or \"equals\": \"\" for a mail without a subject");
        return;
    }
    if (span_istarts(s, SPAN_LIT("=?")) && span_iends(s, SPAN_LIT("?=")))
        compile_remedy(compile_warning(c, at,
                                       "an encoded word: subjects are decoded before they "
                                       "are compared"),
                       "write the text as people read it");
    struct rec_string r = d->case_sensitive ? compile_string(c, at, s) : lower_string(c, at, s);
    (void)compile_append(c, at, POLICY_TEXTS, &r);
}

static void texts(struct compiler *c, const struct place *at, const json_t *value,
                  struct subject_draft *d, enum policy_condition condition)
{
    uint32_t node = begin(c, at, condition);
    uint32_t first = compile_count(c, POLICY_TEXTS);
    d->condition = condition;
    compile_each(c, at, value, LIMIT_POLICY_NEEDLE, read_text, d);
    set_items(c, node, POLICY_TEXTS, first);
    ((struct rec_node *)compile_record(c, POLICY_NODES, node))->case_sensitive = d->case_sensitive;
}

static void read_contains(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    texts(c, at, value, draft, POLICY_IF_SUBJECT_CONTAINS);
}

static void read_equals(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    texts(c, at, value, draft, POLICY_IF_SUBJECT_EQUALS);
}

static void read_starts(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    texts(c, at, value, draft, POLICY_IF_SUBJECT_STARTS);
}

static void read_ends(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    texts(c, at, value, draft, POLICY_IF_SUBJECT_ENDS);
}

static const struct key subject_table[] = {
    {"case", KEY_OPTIONAL, read_case},     {"contains", KEY_OPTIONAL, read_contains},
    {"equals", KEY_OPTIONAL, read_equals}, {"starts", KEY_OPTIONAL, read_starts},
    {"ends", KEY_OPTIONAL, read_ends},     {"matches", KEY_PLANNED, NULL},
};
KEY_SET(subject_keys, "subject", subject_table);

/* ---- nesting ---------------------------------------------------------------------------- */

/* Opens a composite condition; POLICY_NONE when too many are open. */
static uint32_t open_composite(struct compiler *c, const struct place *at,
                               enum policy_condition condition, struct when_draft *d)
{
    if (d->depth == LIMIT_POLICY_DEPTH) {
        compile_remedy(
            compile_error(c, at, "conditions are nested deeper than %d", LIMIT_POLICY_DEPTH),
            "nest less, or make several rules of it");
        return POLICY_NONE;
    }
    d->depth++;
    return begin(c, at, condition);
}

static void close_composite(struct compiler *c, uint32_t node, struct when_draft *d)
{
    d->depth--;
    end(c, node);
}

/* An object whose members must all hold: one member stands for itself. */
static void read_members(struct compiler *c, const struct place *at, const json_t *value,
                         const struct key_set *keys, size_t members, struct when_draft *d,
                         void *draft)
{
    if (members == 1) {
        compile_object(c, at, value, keys, draft);
        return;
    }
    uint32_t node = open_composite(c, at, POLICY_IF_ALL, d);
    if (node == POLICY_NONE)
        return;
    compile_object(c, at, value, keys, draft);
    close_composite(c, node, d);
}

static void read_subject(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    struct subject_draft s = {0};
    size_t members = json_object_size(value) - (json_object_get(value, "case") != NULL);
    if (json_is_object(value) && members == 0) {
        compile_remedy(compile_error(c, at, "nothing to compare the subject with"),
                       "give \"contains\", \"equals\", \"starts\" or \"ends\"");
        return;
    }
    read_members(c, at, value, &subject_keys, json_is_object(value) ? members : 1, draft, &s);
}

static void read_condition(struct compiler *c, const struct place *at, const json_t *value,
                           struct when_draft *d)
{
    if (json_is_object(value) && json_object_size(value) == 0) {
        compile_remedy(compile_error(c, at, "an empty condition"),
                       "write a condition, or leave it out where none is meant");
        return;
    }
    read_members(c, at, value, &when_keys, json_is_object(value) ? json_object_size(value) : 1, d,
                 d);
}

static void read_list(struct compiler *c, const struct place *at, const json_t *value,
                      enum policy_condition condition, struct when_draft *d)
{
    if (json_array_size(value) == 0) {
        compile_remedy(compile_error(c, at, "a list of conditions is needed here, not %s",
                                     json_is_array(value) ? "an empty one" : value_kind(value)),
                       "write [ { … }, { … } ]");
        return;
    }
    uint32_t node = open_composite(c, at, condition, d);
    if (node == POLICY_NONE)
        return;
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct place place = {.up = at, .in = value, .index = i};
        read_condition(c, &place, json_array_get(value, i), d);
    }
    close_composite(c, node, d);
}

static void read_all(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    read_list(c, at, value, POLICY_IF_ALL, draft);
}

static void read_any(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    read_list(c, at, value, POLICY_IF_ANY, draft);
}

static void read_not(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    uint32_t node = open_composite(c, at, POLICY_IF_NOT, draft);
    if (node == POLICY_NONE)
        return;
    read_condition(c, at, value, draft);
    close_composite(c, node, draft);
}

/* What is known first is compared first. */
static const struct key when_table[] = {
    {"recipient", KEY_OPTIONAL, read_recipient},
    {"sender", KEY_OPTIONAL, read_sender},
    {"peer", KEY_OPTIONAL, read_peer_condition},
    {"client", KEY_OPTIONAL, read_client},
    {"from_domain", KEY_OPTIONAL, read_from_domain},
    {"subject", KEY_OPTIONAL, read_subject},
    {"not", KEY_OPTIONAL, read_not},
    {"all", KEY_OPTIONAL, read_all},
    {"any", KEY_OPTIONAL, read_any},
    {"header", KEY_PLANNED, NULL},
    {"body", KEY_PLANNED, NULL},
    {"attachment", KEY_PLANNED, NULL},
    {"size", KEY_PLANNED, NULL},
    {"tls", KEY_PLANNED, NULL},
    {"registered", KEY_PLANNED, NULL},
};
KEY_SET(when_keys, "when", when_table);

void read_when(struct compiler *c, const struct place *at, const json_t *value)
{
    struct when_draft d = {0};
    read_condition(c, at, value, &d);
}
