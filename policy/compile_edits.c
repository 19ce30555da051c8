/* What a rule changes of an envelope and a header. */
#include "policy/compile_internal.h"

/* ---- suffixes --------------------------------------------------------------------------- */

/* ".incamail.ch", stored without the dot. */
static void read_suffix(struct compiler *c, const struct place *at, const json_t *value,
                        struct rule_draft *d, struct rec_string *out)
{
    struct span s;
    char ascii[DOMAIN_TEXT];
    char unicode[DOMAIN_TEXT];
    d->with_route = at->key;
    if (!value_string(c, at, value, 1, LIMIT_DOMAIN, &s))
        return;
    if (s.p[0] != '.' || s.n == 1)
        compile_remedy(compile_error(c, at, "a suffix begins with a dot"),
                       "write it like \".incamail.ch\"");
    else if (name_domain(c, at, span_from(s, 1), ascii, unicode))
        *out = compile_string(c, at, span_str(ascii));
}

void read_add_suffix(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rule_draft *d = draft;
    read_suffix(c, at, value, d, &d->rule.add_suffix);
}

void read_remove_suffix(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    struct rule_draft *d = draft;
    read_suffix(c, at, value, d, &d->rule.remove_suffix);
}

/* ---- the header ------------------------------------------------------------------------- */

static void add_edit(struct compiler *c, const struct place *at, struct rule_draft *d,
                     struct edit e)
{
    struct span rest = span_of(d->edits, d->edits_length);
    struct edit before;
    struct text t = {.p = d->edits, .n = d->edits_length, .capacity = sizeof d->edits};
    struct span name = e.kind == EDIT_PREFIX_SUBJECT ? SPAN_LIT("Subject") : e.name;
    unsigned count = 1;
    d->with_route = at->key;
    for (; edit_next(&rest, &before); count++) {
        if (!span_ieq(before.kind == EDIT_PREFIX_SUBJECT ? SPAN_LIT("Subject") : before.name, name))
            continue;
        compile_remedy(compile_error(c, at, "the rule changes the field \"%.*s\" twice",
                                     (int)name.n, (const char *)name.p),
                       "keep one of the two");
        return;
    }
    edit_put(&t, &e);
    if (t.overflow || count > LIMIT_RULE_EDITS) {
        compile_remedy(compile_error(c, at, "too many changes of the header in one rule"),
                       "make at most %d, of %d bytes together", LIMIT_RULE_EDITS,
                       LIMIT_RULE_EDIT_TEXT);
        return;
    }
    d->edits_length = t.n;
}

void read_prefix_subject(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    struct span s;
    if (!value_string(c, at, value, 1, LIMIT_SUBJECT_PREFIX, &s))
        return;
    if (s.p[0] == ' ') {
        compile_remedy(compile_error(c, at, "a subject can't begin with a space"),
                       "write it like \"<im><c> \"");
        return;
    }
    add_edit(c, at, draft, (struct edit){.kind = EDIT_PREFIX_SUBJECT, .value = s});
}

static bool field_name(struct compiler *c, const struct place *at, struct span name)
{
    if (edit_name_allowed(name))
        return true;
    compile_remedy(compile_error(c, at, "a field \"%.*s\" can't be changed",
                                 (int)(name.n < 64 ? name.n : 64), (const char *)name.p),
                   "name a field by letters, digits, \"-\" and \"_\"; those that say how the body "
                   "is to be read, and Received, stay as they are");
    return false;
}

void read_set_header(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    if (!json_is_object(value) || json_object_size(value) == 0) {
        compile_remedy(compile_error(c, at, "fields and their values are needed here, not %s",
                                     json_is_object(value) ? "nothing" : value_kind(value)),
                       "write { \"X-Name\": \"value\" }");
        return;
    }
    json_t *object = (json_t *)(uintptr_t)value;
    for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
        struct place place = {.up = at, .in = value, .key = json_object_iter_key(i)};
        struct place itself = place;
        struct span s;
        itself.name_itself = true;
        if (field_name(c, &itself, span_str(place.key)) &&
            value_string(c, &place, json_object_iter_value(i), 0, LIMIT_EDIT_VALUE, &s))
            add_edit(c, &place, draft,
                     (struct edit){.kind = EDIT_SET, .name = span_str(place.key), .value = s});
    }
}

static void read_removed(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    if (field_name(c, at, s))
        add_edit(c, at, draft, (struct edit){.kind = EDIT_REMOVE, .name = s});
}

void read_remove_header(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    compile_each(c, at, value, LIMIT_NAME, read_removed, draft);
}
