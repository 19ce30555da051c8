/*
 * compile_internal: what the compiler's files share. Private to policy/compile*.c and lint*.c.
 *
 * A reader of a JSON value appends records to the tables under way. After an error it appends
 * something harmless and goes on, so that indexes stay right and one run tells all.
 */
#ifndef MGID_POLICY_COMPILE_INTERNAL_H
#define MGID_POLICY_COMPILE_INTERNAL_H

#include "engine/mime/edit.h"
#include "policy/compile.h"
#include "policy/format.h"
#include <jansson.h>

struct buffer {
    unsigned char *p;
    size_t n;
    size_t capacity;
};

/* Where a value stands: member `key` or element `index` of `in`, which itself stands at `up`.
 * Lives on the stack of who reads. The root has no `in`. */
struct place {
    const struct place *up;
    const json_t *in;
    const char *key;
    size_t index;
    bool name_itself; /* the member's name rather than its value is meant */
};

struct compiler {
    struct span text;
    struct policy_compilation *out;
    struct buffer tables[POLICY_TABLE_COUNT];
    bool full[POLICY_TABLE_COUNT]; /* already told */
    /* Names to indexes (JSON integers), for what is referred to by name. */
    json_t *names[POLICY_TABLE_COUNT];
    struct policy_diagnostic scratch; /* for what has no room */
};

/* ---- diagnostics (compile_report.c) ------------------------------------------------------ */

/* Adds a diagnostic; control characters of its texts are replaced. The returned one takes a
 * remedy and is valid until the next is added. */
struct policy_diagnostic *compile_error(struct compiler *c, const struct place *at,
                                        const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct policy_diagnostic *compile_warning(struct compiler *c, const struct place *at,
                                          const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void compile_remedy(struct policy_diagnostic *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* An error at a byte of the text, for what was not even parsed. */
struct policy_diagnostic *compile_error_at(struct compiler *c, size_t offset, const char *format,
                                           ...) __attribute__((format(printf, 3, 4)));

/* A name that word could be a slip of, from `count` names that next gives, or NULL. */
const char *compile_suggest(const char *word, const char *(*next)(void *context), void *context);

/* Orders them by place. */
void compile_report_sort(struct policy_compilation *out);

/* ---- places (compile_place.c): pure, on the raw text -------------------------------------- */

/* The offset of the value (or name) at the place. The text is valid JSON, and the containers of
 * the place were parsed from it. */
size_t place_offset(struct span text, const struct place *at);
/* Line and column, from 1. */
void place_line_column(struct span text, size_t offset, unsigned *line, unsigned *column);
/* The JSON pointer of a place, or of what stands at an offset of a text that need be valid only
 * up to there. Cut to capacity. */
void place_pointer(const struct place *at, char *out, size_t capacity);
void place_pointer_at(struct span text, size_t offset, char *out, size_t capacity);

/* ---- tables (compile_image.c) ------------------------------------------------------------- */

void *compile_allocate(size_t n);

/* Appends a record and returns its index; when the table is full, tells so once and returns the
 * last one's. The record's type is the table's. */
uint32_t compile_append(struct compiler *c, const struct place *at, enum policy_table table,
                        const void *record);
uint32_t compile_count(const struct compiler *c, enum policy_table table);
/* Record `index` of a table under way; valid until the table grows. */
void *compile_record(struct compiler *c, enum policy_table table, uint32_t index);
struct rec_string compile_string(struct compiler *c, const struct place *at, struct span s);
struct span compile_string_span(const struct compiler *c, struct rec_string s);
/* A range from first to the table's end. */
struct policy_range compile_range(const struct compiler *c, enum policy_table table,
                                  uint32_t first);
/* Puts the image together, into c->out. */
void compile_assemble(struct compiler *c);

/* The index of every flow by recipient domain (compile_index.c), after all rules. */
void compile_index(struct compiler *c);

/* ---- objects (compile_object.c) ------------------------------------------------------------ */

enum key_need { KEY_OPTIONAL, KEY_REQUIRED, KEY_PLANNED };

/* A key of an object, and who reads its value into the object's draft. */
struct key {
    const char *name;
    enum key_need need;
    void (*read)(struct compiler *c, const struct place *at, const json_t *value, void *draft);
};

/* The keys of one kind of object; `name` is that of its definition in schema.json. */
struct key_set {
    const char *name;
    const struct key *keys;
    size_t count;
};

#define KEY_SET(set, label, array)                                                                 \
    const struct key_set set = {                                                                   \
        .name = label, .keys = array, .count = sizeof array / sizeof array[0]}

/* All of them, for the test that the schema is true. Ends with a NULL. */
extern const struct key_set *const compile_key_sets[];

/* Reads an object in the order of its keys' table (so what is referred to can stand before what
 * refers), and tells unknown, planned and missing keys. */
void compile_object(struct compiler *c, const struct place *at, const json_t *value,
                    const struct key_set *set, void *draft);

/* Reads an object that maps names to values. Names are [A-Za-z0-9._-]{1,LIMIT_NAME} and are
 * remembered for compile_reference under `table`. `read` must append one record to it. */
void compile_map(struct compiler *c, const struct place *at, const json_t *value,
                 enum policy_table table, const char *what,
                 void (*read)(struct compiler *c, const struct place *at, const json_t *value,
                              struct rec_string name));

/* Reads a string, or each string of an array that is not empty. */
void compile_each(struct compiler *c, const struct place *at, const json_t *value, size_t max,
                  void (*read)(struct compiler *c, const struct place *at, struct span s,
                               void *draft),
                  void *draft);

/* The index of what the value names, or POLICY_NONE after an error. */
uint32_t compile_reference(struct compiler *c, const struct place *at, struct span name,
                           enum policy_table table, const char *what);
uint32_t compile_reference_value(struct compiler *c, const struct place *at, const json_t *value,
                                 enum policy_table table, const char *what);

/* ---- values (compile_values.c): false after an error ---------------------------------------- */

/* "a string", "an object" …: what a value is, for messages. */
const char *value_kind(const json_t *value);
/* A string without control characters, of that length. */
bool value_string(struct compiler *c, const struct place *at, const json_t *value, size_t min,
                  size_t max, struct span *out);
bool value_bool(struct compiler *c, const struct place *at, const json_t *value, uint32_t *out);
bool value_number(struct compiler *c, const struct place *at, const json_t *value, uint64_t min,
                  uint64_t max, uint64_t *out);
/* "64M" (K, M, G: powers of 1024) or a number of bytes. */
bool value_size(struct compiler *c, const struct place *at, const json_t *value, uint64_t min,
                uint64_t max, uint64_t *out);
/* "90s" (s, m, h, d) or a number of seconds. */
bool value_duration(struct compiler *c, const struct place *at, const json_t *value, uint64_t min,
                    uint64_t max, uint64_t *out);
/* An absolute path. */
bool value_path(struct compiler *c, const struct place *at, const json_t *value, size_t max,
                struct rec_string *out);
/* One of the words, as its number. */
bool value_word(struct compiler *c, const struct place *at, const json_t *value,
                const char *const *words, uint32_t count, uint32_t *out);

/* ---- names and addresses (compile_names.c) --------------------------------------------------- */

enum { DOMAIN_TEXT = LIMIT_DOMAIN + 1 };

/* Checks a domain and writes its form in A-labels (lower case, no trailing dot) and, when that
 * differs, in U-labels; else unicode is "". */
bool name_domain(struct compiler *c, const struct place *at, struct span s, char ascii[DOMAIN_TEXT],
                 char unicode[DOMAIN_TEXT]);
/* "192.0.2.1", "2001:db8::1" to family 4 or 6, or 0 when it is none. */
unsigned name_address(struct span s, unsigned char out[16]);
/* "ADDRESS:PORT" ("[::1]:25"), the port left out when default_port is not 0; a host name in
 * place of the address when names may be. */
bool name_endpoint(struct compiler *c, const struct place *at, struct span s, bool names,
                   uint16_t default_port, struct rec_endpoint *out);
/* "ADDRESS" or "ADDRESS@PORT", as name servers are written. */
bool name_server(struct compiler *c, const struct place *at, struct span s,
                 struct rec_endpoint *out);
/* "10.1.0.0/24" or an address. */
bool name_network(struct compiler *c, const struct place *at, struct span s,
                  struct rec_network *out);

/* ---- the parts of a policy ------------------------------------------------------------------- */

void read_identities(struct compiler *c, const struct place *at, const json_t *value, void *draft);
void read_trusts(struct compiler *c, const struct place *at, const json_t *value, void *draft);
void read_peers(struct compiler *c, const struct place *at, const json_t *value, void *draft);
void read_routes(struct compiler *c, const struct place *at, const json_t *value, void *draft);
/* What TLS looks at beside trust and names (compile_tls.c). */
void read_digests(struct compiler *c, const struct place *at, const json_t *value,
                  struct policy_range *out);
void read_flow_tls(struct compiler *c, const struct place *at, const json_t *value, void *draft);
void read_flows(struct compiler *c, const struct place *at, const json_t *value, void *draft);
/* A rule while it is read. */
struct rule_draft {
    struct rec_rule rule;
    unsigned actions;
    const char *with_route; /* a key that was given and means something with a route only */
    unsigned char edits[LIMIT_RULE_EDIT_TEXT];
    size_t edits_length;
};

/* Its changes of envelope and header (compile_edits.c); the draft is a struct rule_draft. */
void read_add_suffix(struct compiler *c, const struct place *at, const json_t *value, void *draft);
void read_remove_suffix(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft);
void read_prefix_subject(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft);
void read_set_header(struct compiler *c, const struct place *at, const json_t *value, void *draft);
void read_remove_header(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft);

/* The rules of a flow (compile_rules.c); the draft is a struct rec_flow. */
void read_rules(struct compiler *c, const struct place *at, const json_t *value, void *draft);
void read_notifications(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft);
/* The addresses that the policy leaves to us. */
void finish_notifications(struct compiler *c, const struct place *root, struct rec_settings *s);
/* The bounce routes of flows that name none, and the identities that each presents. */
/* TLSA records that nothing validates are worth nothing (RFC 7672 1.3): an error for each route
 * that goes by them. */
void refuse_dane(struct compiler *c, const struct place *root, const json_t *policy);

void finish_flows(struct compiler *c, const struct place *root, const json_t *policy);

/* A network or a list of them, appended to the networks (compile_routes.c). */
struct policy_range read_networks(struct compiler *c, const struct place *at, const json_t *value);
/* The listeners of a flow, appended to their table (compile_listen.c). */
struct policy_range read_listen(struct compiler *c, const struct place *at, const json_t *value);
/* What holds where the policy sets no limit, and those that follow from others (compile_limits.c).
 */
extern const struct policy_limits usual_limits;
void finish_limits(struct rec_settings *s);
/* The condition of a rule, appended to the nodes (compile_when.c). */
void read_when(struct compiler *c, const struct place *at, const json_t *value);
/* A pattern of addresses, or of domains alone; the null sender where it may be. */
enum pattern_kind { PATTERN_OF_SENDERS, PATTERN_OF_RECIPIENTS, PATTERN_OF_DOMAINS };
void read_pattern(struct compiler *c, const struct place *at, struct span s,
                  enum pattern_kind kind);

extern const struct key_set settings_keys, limits_keys, retry_keys, resolver_keys, control_keys,
    log_keys, metrics_keys, notifications_keys, identity_keys, trust_keys, flow_tls_keys, peer_keys,
    peer_tls_keys, route_keys, route_tls_keys, listener_keys, flow_keys, rule_keys, when_keys,
    text_keys, size_keys, when_tls_keys;

/* Warnings about a policy without errors (lint.c). */
void policy_lint(struct compiler *c, const struct place *root, const json_t *policy);

#endif
