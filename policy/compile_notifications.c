/* What senders are told of their mail: the object "notifications". */
#include "policy/compile_internal.h"

/* ---- addresses -------------------------------------------------------------------------- */

static bool local_part_ok(struct span s)
{
    if (s.n == 0 || s.n > LIMIT_LOCAL_PART || s.p[0] == '.' || s.p[s.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = ascii_lower(s.p[i]);
        bool atom = (c >= 'a' && c <= 'z') || ascii_digit(c) ||
                    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
        if (!atom && (c != '.' || s.p[i - 1] == '.'))
            return false;
    }
    return true;
}

/* "user@example.ch", the domain in A-labels. */
static void read_address(struct compiler *c, const struct place *at, const json_t *value,
                         struct rec_string *out)
{
    struct span s;
    char ascii[DOMAIN_TEXT];
    char unicode[DOMAIN_TEXT];
    char address[LIMIT_LOCAL_PART + 1 + DOMAIN_TEXT];
    if (!value_string(c, at, value, 1, LIMIT_ADDRESS, &s))
        return;
    size_t sign = s.n;
    while (sign > 0 && s.p[sign - 1] != '@')
        sign--;
    if (sign == 0 || !local_part_ok(span_head(s, sign - 1))) {
        compile_remedy(compile_error(c, at, "\"%.64s\" is not an address", s.p),
                       "write it like \"postmaster@example.ch\"");
        return;
    }
    if (!name_domain(c, at, span_from(s, sign), ascii, unicode))
        return;
    memcpy(address, s.p, sign);
    memcpy(address + sign, ascii, strlen(ascii));
    *out = compile_string(c, at, span_of(address, sign + strlen(ascii)));
}

static void read_from(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_settings *s = draft;
    read_address(c, at, value, &s->notice_from);
}

static void read_postmaster(struct compiler *c, const struct place *at, const json_t *value,
                            void *draft)
{
    struct rec_settings *s = draft;
    read_address(c, at, value, &s->postmaster);
}

/* ---- languages -------------------------------------------------------------------------- */

static const char *const language_words[] = {
#define LANGUAGE(NAME, tag) tag,
#include "languages.def"
#undef LANGUAGE
};

static void add_language(struct compiler *c, const struct place *at, const json_t *value,
                         struct rec_settings *s)
{
    uint32_t language;
    if (!value_word(c, at, value, language_words, LANGUAGE_COUNT, &language))
        return;
    for (uint32_t i = 0; i < s->language_count; i++)
        if (s->languages[i] == language) {
            compile_remedy(
                compile_error(c, at, "\"%s\" stands here twice", language_words[language]),
                "name each language once");
            return;
        }
    s->languages[s->language_count++] = language;
}

static void read_languages(struct compiler *c, const struct place *at, const json_t *value,
                           void *draft)
{
    struct rec_settings *s = draft;
    s->language_count = 0;
    if (!json_is_array(value)) {
        add_language(c, at, value, s);
        return;
    }
    if (json_array_size(value) == 0)
        compile_remedy(compile_error(c, at, "an empty list"), "name at least one, or take it out");
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct place place = {.up = at, .in = value, .index = i};
        add_language(c, &place, json_array_get(value, i), s);
    }
}

/* ---- the rest --------------------------------------------------------------------------- */

static void add_delay(struct compiler *c, const struct place *at, const json_t *value,
                      struct rec_settings *s)
{
    uint64_t seconds;
    if (!value_duration(c, at, value, 1, LIMIT_LIFETIME_MAX, &seconds))
        return;
    if (s->delay_count == LIMIT_DELAY_NOTICES) {
        compile_remedy(compile_error(c, at, "more than %d times", LIMIT_DELAY_NOTICES),
                       "take some out");
        return;
    }
    if (s->delay_count > 0 && seconds <= s->delay_after[s->delay_count - 1]) {
        compile_remedy(compile_error(c, at, "not later than the time before it"),
                       "write the times in rising order");
        return;
    }
    s->delay_after[s->delay_count++] = (uint32_t)seconds;
}

static void read_delay_after(struct compiler *c, const struct place *at, const json_t *value,
                             void *draft)
{
    struct rec_settings *s = draft;
    s->delay_count = 0;
    if (!json_is_array(value)) {
        add_delay(c, at, value, s);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct place place = {.up = at, .in = value, .index = i};
        add_delay(c, &place, json_array_get(value, i), s);
    }
}

static void read_return(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    static const char *const words[] = {"headers", "full"};
    struct rec_settings *s = draft;
    (void)value_word(c, at, value, words, 2, &s->return_full);
}

static void read_double_bounce(struct compiler *c, const struct place *at, const json_t *value,
                               void *draft)
{
    static const char *const words[] = {"drop", "postmaster"};
    struct rec_settings *s = draft;
    (void)value_word(c, at, value, words, 2, &s->double_bounce);
}

static const struct key notifications_table[] = {
    {"languages", KEY_OPTIONAL, read_languages},
    {"from", KEY_OPTIONAL, read_from},
    {"postmaster", KEY_OPTIONAL, read_postmaster},
    {"delay_after", KEY_OPTIONAL, read_delay_after},
    {"return", KEY_OPTIONAL, read_return},
    {"double_bounce", KEY_OPTIONAL, read_double_bounce},
};
KEY_SET(notifications_keys, "notifications", notifications_table);

void read_notifications(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    compile_object(c, at, value, &notifications_keys, draft);
}

/* "LOCAL@hostname", where the policy gives no address. */
static struct rec_string own_address(struct compiler *c, const struct place *at, const char *local,
                                     struct rec_string hostname)
{
    char address[LIMIT_LOCAL_PART + 1 + LIMIT_DOMAIN];
    struct span host = compile_string_span(c, hostname);
    size_t n = strlen(local);
    memcpy(address, local, n);
    address[n] = '@';
    memcpy(address + n + 1, host.p, host.n);
    return compile_string(c, at, span_of(address, n + 1 + host.n));
}

void finish_notifications(struct compiler *c, const struct place *root, struct rec_settings *s)
{
    if (s->notice_from.length == 0)
        s->notice_from = own_address(c, root, "MAILER-DAEMON", s->hostname);
    if (s->postmaster.length == 0)
        s->postmaster = own_address(c, root, "postmaster", s->hostname);
}
