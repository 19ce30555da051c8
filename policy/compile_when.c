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
    ((struct rec_node *)compile_record(c, POLICY_NODES, node))->value = peers;
}

/* ---- the subject, and other fields ------------------------------------------------------- */

struct text_draft {
    uint32_t case_sensitive;
    enum policy_condition contains; /* POLICY_IF_SUBJECT_CONTAINS or POLICY_IF_HEADER_CONTAINS */
    uint32_t field;
    bool empty_holds; /* an empty text under way is a comparison */
};

static void read_case(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct text_draft *d = draft;
    (void)value_bool(c, at, value, &d->case_sensitive);
}

static void read_text(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    const struct text_draft *d = draft;
    if (s.n == 0 && !d->empty_holds) {
        compile_remedy(compile_error(c, at, "an empty text stands in every value"),
                       "write the text, or \"equals\": \"\" for a mail without that field");
        return;
    }
    if (span_istarts(s, SPAN_LIT("=?")) && span_iends(s, SPAN_LIT("?=")))
        compile_remedy(compile_warning(c, at,
                                       "an encoded word: fields are decoded before they "
                                       "are compared"),
                       "write the text as people read it");
    struct rec_string r = d->case_sensitive ? compile_string(c, at, s) : lower_string(c, at, s);
    (void)compile_append(c, at, POLICY_TEXTS, &r);
}

/* `how`: the comparison, as one of the subject's. */
static void texts(struct compiler *c, const struct place *at, const json_t *value,
                  struct text_draft *d, enum policy_condition how)
{
    int condition = (int)how - (int)POLICY_IF_SUBJECT_CONTAINS + (int)d->contains;
    uint32_t node = begin(c, at, (enum policy_condition)condition);
    uint32_t first = compile_count(c, POLICY_TEXTS);
    d->empty_holds = how == POLICY_IF_SUBJECT_EQUALS;
    compile_each(c, at, value, LIMIT_POLICY_NEEDLE, read_text, d);
    set_items(c, node, POLICY_TEXTS, first);
    struct rec_node *n = compile_record(c, POLICY_NODES, node);
    n->case_sensitive = d->case_sensitive;
    n->field = d->field;
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

static const struct key text_table[] = {
    {"case", KEY_OPTIONAL, read_case},     {"contains", KEY_OPTIONAL, read_contains},
    {"equals", KEY_OPTIONAL, read_equals}, {"starts", KEY_OPTIONAL, read_starts},
    {"ends", KEY_OPTIONAL, read_ends},     {"matches", KEY_PLANNED, NULL},
};
KEY_SET(text_keys, "text_conditions", text_table);

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

/* What a field's decoded value is compared with; `up` counts the nesting. */
static void read_comparisons(struct compiler *c, const struct place *at, const json_t *value,
                             struct when_draft *up, struct text_draft *d)
{
    size_t members = json_object_size(value) - (json_object_get(value, "case") != NULL);
    if (json_is_object(value) && members == 0) {
        compile_remedy(compile_error(c, at, "nothing to compare the value with"),
                       "give \"contains\", \"equals\", \"starts\" or \"ends\"");
        return;
    }
    read_members(c, at, value, &text_keys, json_is_object(value) ? members : 1, up, d);
}

static void read_subject(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    struct text_draft d = {.contains = POLICY_IF_SUBJECT_CONTAINS};
    read_comparisons(c, at, value, draft, &d);
}

/* The number of the field of that name, which is remembered with small letters. */
static uint32_t field_number(struct compiler *c, const struct place *at, struct span name)
{
    for (uint32_t i = 0; i < compile_count(c, POLICY_FIELDS); i++) {
        const struct rec_string *r = compile_record(c, POLICY_FIELDS, i);
        if (span_ieq(compile_string_span(c, *r), name))
            return i;
    }
    struct rec_string r = lower_string(c, at, name);
    return compile_append(c, at, POLICY_FIELDS, &r);
}

/* A field's name (RFC 5322 2.2: printable ASCII but the colon). */
static bool field_name_valid(struct span name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == ':')
            return false;
    return name.n > 0 && name.n <= LIMIT_NAME;
}

static void read_field(struct compiler *c, const struct place *at, const json_t *value,
                       struct when_draft *up)
{
    struct text_draft d = {.contains = POLICY_IF_HEADER_CONTAINS};
    struct place itself = *at;
    itself.name_itself = true;
    if (!field_name_valid(span_str(at->key))) {
        compile_remedy(
            compile_error(c, &itself, "\"%.64s\" is not the name of a header field", at->key),
            "write it like \"X-Classification\", without the colon");
        return;
    }
    d.field = field_number(c, &itself, span_str(at->key));
    read_comparisons(c, at, value, up, &d);
}

/* Fields by name, all of which must hold. */
static void read_header(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    size_t n = json_object_size(value);
    if (n == 0) {
        compile_remedy(compile_error(c, at, "fields by their names are needed here, not %s",
                                     json_is_object(value) ? "nothing" : value_kind(value)),
                       "write { \"X-Name\": { \"contains\": … } }");
        return;
    }
    uint32_t node = n > 1 ? open_composite(c, at, POLICY_IF_ALL, draft) : POLICY_NONE;
    if (n > 1 && node == POLICY_NONE)
        return;
    json_t *object = (json_t *)(uintptr_t)value;
    for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
        struct place place = {.up = at, .in = value, .key = json_object_iter_key(i)};
        read_field(c, &place, json_object_iter_value(i), draft);
    }
    if (n > 1)
        close_composite(c, node, draft);
}

/* ---- size and TLS ------------------------------------------------------------------------ */

static void value_node(struct compiler *c, const struct place *at, enum policy_condition condition,
                       uint64_t value)
{
    uint32_t node = begin(c, at, condition);
    ((struct rec_node *)compile_record(c, POLICY_NODES, node))->value = value;
}

static void size_bound(struct compiler *c, const struct place *at, const json_t *value,
                       enum policy_condition condition)
{
    uint64_t n = 0;
    (void)value_size(c, at, value, 1, LIMIT_MESSAGE_SIZE_MAX, &n);
    value_node(c, at, condition, n);
}

static void read_over(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    (void)draft;
    size_bound(c, at, value, POLICY_IF_SIZE_OVER);
}

static void read_under(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    (void)draft;
    size_bound(c, at, value, POLICY_IF_SIZE_UNDER);
}

static void read_tls_version(struct compiler *c, const struct place *at, const json_t *value,
                             void *draft)
{
    static const char *const words[] = {"1.2", "1.3"};
    uint32_t version = 0;
    (void)draft;
    (void)value_word(c, at, value, words, sizeof words / sizeof words[0], &version);
    value_node(c, at, POLICY_IF_TLS_VERSION, 12 + version);
}

static void read_verified(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    uint32_t verified = 0;
    (void)draft;
    (void)value_bool(c, at, value, &verified);
    value_node(c, at, POLICY_IF_TLS_VERIFIED, verified);
}

static const struct key size_table[] = {
    {"over", KEY_OPTIONAL, read_over},
    {"under", KEY_OPTIONAL, read_under},
};
static const struct key tls_table[] = {
    {"version", KEY_OPTIONAL, read_tls_version},
    {"verified", KEY_OPTIONAL, read_verified},
};
KEY_SET(size_keys, "size", size_table);
KEY_SET(when_tls_keys, "when_tls", tls_table);

/* An object of which at least one member must be there. */
static void read_some(struct compiler *c, const struct place *at, const json_t *value,
                      const struct key_set *keys, void *draft)
{
    if (json_is_object(value) && json_object_size(value) == 0) {
        compile_remedy(compile_error(c, at, "nothing to compare with"), "give \"%s\" or \"%s\"",
                       keys->keys[0].name, keys->keys[1].name);
        return;
    }
    read_members(c, at, value, keys, json_is_object(value) ? json_object_size(value) : 1, draft,
                 draft);
}

static void read_size(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    read_some(c, at, value, &size_keys, draft);
}

static void read_tls(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    read_some(c, at, value, &when_tls_keys, draft);
}

/* ---- conditions of conditions ------------------------------------------------------------ */

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
    {"tls", KEY_OPTIONAL, read_tls},
    {"size", KEY_OPTIONAL, read_size},
    {"subject", KEY_OPTIONAL, read_subject},
    {"header", KEY_OPTIONAL, read_header},
    {"not", KEY_OPTIONAL, read_not},
    {"all", KEY_OPTIONAL, read_all},
    {"any", KEY_OPTIONAL, read_any},
    {"body", KEY_PLANNED, NULL},
    {"attachment", KEY_PLANNED, NULL},
    {"registered", KEY_PLANNED, NULL},
};
KEY_SET(when_keys, "when", when_table);

void read_when(struct compiler *c, const struct place *at, const json_t *value)
{
    struct when_draft d = {0};
    read_condition(c, at, value, &d);
}
