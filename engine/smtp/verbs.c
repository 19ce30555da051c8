/*
 * The tables of verbs and extensions.
 */
#include "engine/smtp/verbs.h"
#include "status.h"

struct verb {
    struct span name;
    enum smtp_argument argument;
    uint8_t actions[SMTP_STATE_COUNT];
};

static const struct verb verbs[] = {
#define VERB(NAME, argument, greeted, ready, failed, mail, refused, rcpt, chunks)                  \
    {{(const unsigned char *)#NAME, sizeof(#NAME) - 1},                                            \
     SMTP_ARGUMENT_##argument,                                                                     \
     {SMTP_ACTION_##greeted, SMTP_ACTION_##ready, SMTP_ACTION_##failed, SMTP_ACTION_##mail,        \
      SMTP_ACTION_##refused, SMTP_ACTION_##rcpt, SMTP_ACTION_##chunks}},
#include "verbs.def"
#undef VERB
};

static const char *const keywords[] = {
#define EXTENSION(NAME, keyword, offer) keyword,
#include "extensions.def"
#undef EXTENSION
};

_Static_assert(SMTP_EXTENSION_COUNT <= 32, "a set of extensions fits 32 bits");

enum smtp_verb smtp_verb_find(struct span word)
{
    unsigned verb = 0;

    while (verb < SMTP_VERB_COUNT && !span_ieq(word, verbs[verb].name))
        verb++;
    return (enum smtp_verb)verb;
}

const char *smtp_verb_name(enum smtp_verb verb)
{
    return verb < SMTP_VERB_COUNT ? (const char *)verbs[verb].name.p : "unknown";
}

enum smtp_argument smtp_verb_argument(enum smtp_verb verb)
{
    return verb < SMTP_VERB_COUNT ? verbs[verb].argument : SMTP_ARGUMENT_ANY;
}

enum smtp_action smtp_verb_action(enum smtp_state state, enum smtp_verb verb)
{
    BUG_ON(state >= SMTP_STATE_COUNT);
    return verb < SMTP_VERB_COUNT ? (enum smtp_action)verbs[verb].actions[state]
                                  : SMTP_ACTION_UNKNOWN;
}

enum smtp_extension smtp_extension_find(struct span keyword)
{
    unsigned extension = 0;

    while (extension < SMTP_EXTENSION_COUNT && !span_ieq(keyword, span_str(keywords[extension])))
        extension++;
    return (enum smtp_extension)extension;
}

const char *smtp_extension_keyword(enum smtp_extension extension)
{
    return extension < SMTP_EXTENSION_COUNT ? keywords[extension] : "unknown";
}
