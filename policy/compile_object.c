/* Objects by table of keys, maps by name, lists of strings, and references. */
#include "policy/compile_internal.h"
#include "status.h"

const struct key_set *const compile_key_sets[] = {
    &settings_keys,
    &flow_tls_keys,
    &limits_keys,
    &retry_keys,
    &resolver_keys,
    &control_keys,
    &log_keys,
    &notifications_keys,
    &metrics_keys,
    &identity_keys,
    &trust_keys,
    &peer_keys,
    &peer_tls_keys,
    &route_keys,
    &route_tls_keys,
    &listener_keys,
    &flow_keys,
    &rule_keys,
    &when_keys,
    &text_keys,
    &size_keys,
    &when_tls_keys,
    NULL,
};

/* More than any kind of object has. */
enum { MAX_KEYS = 32 };

/* ---- objects ---------------------------------------------------------------------------- */

struct key_walk {
    const struct key_set *set;
    size_t next;
};

/* Names of keys that this version knows, for suggestions. */
static const char *next_key(void *context)
{
    struct key_walk *w = context;
    while (w->next < w->set->count) {
        const struct key *key = &w->set->keys[w->next++];
        if (key->need != KEY_PLANNED)
            return key->name;
    }
    return NULL;
}

/* The number of the key, or the set's count when it has no such key. */
static size_t find_key(const struct key_set *set, const char *name)
{
    size_t i = 0;
    while (i < set->count && strcmp(set->keys[i].name, name) != 0)
        i++;
    return i;
}

static void tell_key(struct compiler *c, const struct place *at, const struct key_set *set,
                     bool planned)
{
    if (planned) {
        compile_remedy(compile_error(c, at, "this version of mgid can't do \"%s\"", at->key),
                       "take it out; a policy that relies on it needs a later version");
        return;
    }
    struct policy_diagnostic *d = compile_error(c, at, "unknown key \"%.64s\"", at->key);
    if (d == &c->scratch) /* nobody reads the remedy */
        return;
    struct key_walk walk = {.set = set};
    const char *suggestion = compile_suggest(at->key, next_key, &walk);
    if (suggestion != NULL) {
        compile_remedy(d, "did you mean \"%s\"?", suggestion);
        return;
    }
    char known[LIMIT_REASON / 2] = "";
    size_t n = 0;
    walk = (struct key_walk){.set = set};
    for (const char *name = next_key(&walk); name != NULL; name = next_key(&walk)) {
        size_t length = strlen(name);
        if (n + length + 3 > sizeof known)
            break;
        if (n > 0) {
            memcpy(known + n, ", ", 2);
            n += 2;
        }
        memcpy(known + n, name, length + 1);
        n += length;
    }
    compile_remedy(d, "known here: %s", known);
}

void compile_object(struct compiler *c, const struct place *at, const json_t *value,
                    const struct key_set *set, void *draft)
{
    if (!json_is_object(value)) {
        compile_remedy(compile_error(c, at, "an object is needed here, not %s", value_kind(value)),
                       "write { … }");
        return;
    }
    const json_t *values[MAX_KEYS] = {NULL};
    BUG_ON(set->count > MAX_KEYS);
    json_t *object = (json_t *)(uintptr_t)value;
    for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
        struct place key = {
            .up = at, .in = value, .key = json_object_iter_key(i), .name_itself = true};
        size_t number = find_key(set, key.key);
        if (number == set->count || set->keys[number].need == KEY_PLANNED)
            tell_key(c, &key, set, number < set->count);
        else
            values[number] = json_object_iter_value(i);
    }
    for (size_t i = 0; i < set->count; i++) {
        const struct key *key = &set->keys[i];
        struct place place = {.up = at, .in = value, .key = key->name};
        if (values[i] != NULL)
            key->read(c, &place, values[i], draft);
        else if (key->need == KEY_REQUIRED)
            compile_remedy(compile_error(c, at, "\"%s\" is missing", key->name), "add it");
    }
}

/* ---- maps and references ---------------------------------------------------------------- */

static bool name_valid(struct span s)
{
    if (s.n == 0 || s.n > LIMIT_NAME || s.p[0] == '.' || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = ascii_lower(s.p[i]);
        if (!(ch >= 'a' && ch <= 'z') && !ascii_digit(ch) && ch != '.' && ch != '_' && ch != '-')
            return false;
    }
    return true;
}

void compile_map(struct compiler *c, const struct place *at, const json_t *value,
                 enum policy_table table, const char *what,
                 void (*read)(struct compiler *c, const struct place *at, const json_t *value,
                              struct rec_string name))
{
    if (!json_is_object(value)) {
        compile_remedy(compile_error(c, at, "an object is needed here, not %s", value_kind(value)),
                       "write { \"name of the %s\": { … } }", what);
        return;
    }
    json_t *object = (json_t *)(uintptr_t)value;
    for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
        struct place place = {.up = at, .in = value, .key = json_object_iter_key(i)};
        struct span name = span_str(place.key);
        if (!name_valid(name)) {
            struct place key = place;
            key.name_itself = true;
            compile_remedy(compile_error(c, &key, "\"%.64s\" can't be a name", place.key),
                           "use 1 to %d letters, digits, \".\", \"_\", \"-\", beginning with a "
                           "letter, digit or \"_\"",
                           LIMIT_NAME);
            name = SPAN_LIT("?");
        }
        uint32_t index = compile_count(c, table);
        read(c, &place, json_object_iter_value(i), compile_string(c, &place, name));
        if (json_object_set_new(c->names[table], place.key, json_integer(index)) != 0)
            fatal_env(EXIT_OSERR, 0, "no memory to compile the policy");
    }
}

struct name_walk {
    json_t *names;
    void *next;
};

static const char *next_name(void *context)
{
    struct name_walk *w = context;
    if (w->next == NULL)
        return NULL;
    const char *name = json_object_iter_key(w->next);
    w->next = json_object_iter_next(w->names, w->next);
    return name;
}

uint32_t compile_reference(struct compiler *c, const struct place *at, struct span name,
                           enum policy_table table, const char *what)
{
    json_t *names = c->names[table];
    const json_t *index = json_object_getn(names, (const char *)name.p, name.n);
    if (index != NULL)
        return (uint32_t)json_integer_value(index);
    struct policy_diagnostic *d =
        compile_error(c, at, "there is no %s \"%.*s\"", what, (int)(name.n < 64 ? name.n : 64),
                      (const char *)name.p);
    if (d == &c->scratch)
        return POLICY_NONE;
    char word[LIMIT_NAME + 1];
    name = span_head(name, LIMIT_NAME);
    memcpy(word, name.p, name.n);
    word[name.n] = '\0';
    struct name_walk walk = {.names = names, .next = json_object_iter(names)};
    const char *suggestion = compile_suggest(word, next_name, &walk);
    if (suggestion != NULL)
        compile_remedy(d, "did you mean \"%s\"?", suggestion);
    else
        compile_remedy(d, "define the %s, or name one that is defined", what);
    return POLICY_NONE;
}

uint32_t compile_reference_value(struct compiler *c, const struct place *at, const json_t *value,
                                 enum policy_table table, const char *what)
{
    struct span name;
    if (!value_string(c, at, value, 1, LIMIT_NAME, &name))
        return POLICY_NONE;
    return compile_reference(c, at, name, table, what);
}

/* ---- lists ------------------------------------------------------------------------------ */

void compile_each(struct compiler *c, const struct place *at, const json_t *value, size_t max,
                  void (*read)(struct compiler *c, const struct place *at, struct span s,
                               void *draft),
                  void *draft)
{
    struct span s;
    if (json_is_object(value) && json_object_get(value, "file") != NULL) {
        compile_remedy(compile_error(c, at, "this version of mgid can't read a list from a file"),
                       "write the list itself, as an array of strings");
        return;
    }
    if (!json_is_array(value)) {
        if (value_string(c, at, value, 0, max, &s))
            read(c, at, s, draft);
        return;
    }
    if (json_array_size(value) == 0)
        compile_remedy(compile_error(c, at, "an empty list"), "name at least one, or take it out");
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct place place = {.up = at, .in = value, .index = i};
        if (value_string(c, &place, json_array_get(value, i), 0, max, &s))
            read(c, &place, s, draft);
    }
}
