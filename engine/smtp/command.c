/*
 * Command lines taken apart, and the table of the machine's own replies.
 */
#include "engine/smtp/command.h"
#include "status.h"

static const struct smtp_own own[] = {
    {0, "", "", ""},
#define REPLY(NAME, code, enhanced, text) {code, enhanced, text, #code " " enhanced " " text},
#include "replies.def"
#undef REPLY
};

const struct smtp_own *smtp_own_reply(enum smtp_own_reply reply)
{
    BUG_ON(reply <= SMTP_OWN_NONE || reply >= SMTP_OWN_COUNT);
    return &own[reply];
}

static bool blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

/* The bytes at the front of *s up to a blank; *s goes on behind the blanks. */
static struct span take_word(struct span *s)
{
    struct span word;
    size_t n = 0;

    while (n < s->n && !blank(s->p[n]))
        n++;
    word = span_head(*s, n);
    while (n < s->n && blank(s->p[n]))
        n++;
    *s = span_from(*s, n);
    return word;
}

enum smtp_own_reply smtp_command_parse(struct span line, struct smtp_command *c)
{
    for (size_t i = 0; i < line.n; i++)
        if ((line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7f)
            return SMTP_OWN_CONTROL;
    line = span_trim(line);
    if (line.n == 0)
        return SMTP_OWN_EMPTY;
    c->verb = smtp_verb_find(take_word(&line));
    c->argument = line;
    return SMTP_OWN_NONE;
}

bool smtp_client_name_valid(struct span name)
{
    if (name.n == 0 || name.n > LIMIT_DOMAIN)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= 0x20 || name.p[i] >= 0x7f || strchr("()<>\"\\,;@", name.p[i]) != NULL)
            return false;
    return true;
}

/* ---- parameters of MAIL and RCPT -------------------------------------------------------- */

static enum smtp_own_reply size_parameter(struct span value, uint64_t max,
                                          struct smtp_path_arguments *a)
{
    if (value.n == 0 || value.n > 20)
        return SMTP_OWN_PARAMETER;
    a->size = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (!ascii_digit(value.p[i]))
            return SMTP_OWN_PARAMETER;
        if (__builtin_mul_overflow(a->size, UINT64_C(10), &a->size) ||
            __builtin_add_overflow(a->size, (uint64_t)(value.p[i] - '0'), &a->size))
            a->size = UINT64_MAX;
    }
    return max != 0 && a->size > max ? SMTP_OWN_TOO_BIG : SMTP_OWN_NONE;
}

static enum smtp_own_reply body_parameter(struct span value, uint64_t max,
                                          struct smtp_path_arguments *a)
{
    (void)max;
    a->eight_bit_mime = span_ieq(value, SPAN_LIT("8BITMIME"));
    return a->eight_bit_mime || span_ieq(value, SPAN_LIT("7BIT")) ? SMTP_OWN_NONE
                                                                  : SMTP_OWN_PARAMETER;
}

static const struct parameter {
    enum smtp_verb verb;
    const char *keyword;
    enum smtp_own_reply (*parse)(struct span value, uint64_t max, struct smtp_path_arguments *a);
} parameters_known[] = {
    {SMTP_VERB_MAIL, "SIZE", size_parameter}, /* RFC 1870 */
    {SMTP_VERB_MAIL, "BODY", body_parameter}, /* RFC 6152 */
};

#define PARAMETERS (sizeof parameters_known / sizeof parameters_known[0])

/* esmtp-keyword of RFC 5321 4.1.2. */
static bool keyword_valid(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char lower = ascii_lower(s.p[i]);
        if (!ascii_digit(lower) && !(lower >= 'a' && lower <= 'z') && (lower != '-' || i == 0))
            return false;
    }
    return s.n > 0;
}

static enum smtp_own_reply parameter(enum smtp_verb verb, struct span word, uint64_t max,
                                     unsigned *seen, struct smtp_path_arguments *a)
{
    const unsigned char *equals = memchr(word.p, '=', word.n);
    struct span keyword = span_head(word, equals ? (size_t)(equals - word.p) : word.n);
    struct span value = span_from(word, keyword.n + 1);

    if (!keyword_valid(keyword) || (equals != NULL && value.n == 0))
        return SMTP_OWN_PARAMETER;
    for (unsigned i = 0; i < PARAMETERS; i++) {
        if (parameters_known[i].verb != verb ||
            !span_ieq(keyword, span_str(parameters_known[i].keyword)))
            continue;
        if ((*seen & 1u << i) != 0)
            return SMTP_OWN_PARAMETER_TWICE;
        *seen |= 1u << i;
        return parameters_known[i].parse(value, max, a);
    }
    return SMTP_OWN_PARAMETER_UNKNOWN;
}

/* ---- MAIL FROM, RCPT TO ----------------------------------------------------------------- */

static enum smtp_own_reply address_refusal(enum smtp_verb verb, enum smtp_address_status status)
{
    bool mail = verb == SMTP_VERB_MAIL;

    switch (status) {
    case SMTP_ADDRESS_OK:
        return SMTP_OWN_NONE;
    case SMTP_ADDRESS_SYNTAX:
        break;
    case SMTP_ADDRESS_NO_DOMAIN:
        return mail ? SMTP_OWN_SENDER_NO_DOMAIN : SMTP_OWN_RECIPIENT_NO_DOMAIN;
    case SMTP_ADDRESS_TOO_LONG:
        return mail ? SMTP_OWN_SENDER_LONG : SMTP_OWN_RECIPIENT_LONG;
    case SMTP_ADDRESS_UTF8:
        return SMTP_OWN_UTF8;
    }
    return mail ? SMTP_OWN_SENDER : SMTP_OWN_RECIPIENT;
}

enum smtp_own_reply smtp_path_arguments_parse(enum smtp_verb verb, struct span argument,
                                              bool parameters, uint64_t max,
                                              struct smtp_path_arguments *a)
{
    bool mail = verb == SMTP_VERB_MAIL;
    struct span keyword = mail ? SPAN_LIT("FROM:") : SPAN_LIT("TO:");
    enum smtp_own_reply refusal;
    unsigned seen = 0;

    *a = (struct smtp_path_arguments){0};
    if (!span_istarts(argument, keyword))
        return mail ? SMTP_OWN_MAIL_FROM : SMTP_OWN_RCPT_TO;
    argument = span_trim(span_from(argument, keyword.n));
    refusal = address_refusal(verb, smtp_path_parse(&argument, &a->address));
    if (refusal != SMTP_OWN_NONE)
        return refusal;
    if (mail && a->address.kind == SMTP_ADDRESS_POSTMASTER)
        return SMTP_OWN_SENDER_NO_DOMAIN;
    if (!mail && a->address.kind == SMTP_ADDRESS_NULL)
        return SMTP_OWN_RECIPIENT;
    if (argument.n > 0 && !blank(argument.p[0]))
        return mail ? SMTP_OWN_SENDER : SMTP_OWN_RECIPIENT;
    argument = span_trim(argument);
    if (argument.n > 0 && !parameters)
        return SMTP_OWN_PARAMETER_HELO;
    while (argument.n > 0 && refusal == SMTP_OWN_NONE)
        refusal = parameter(verb, take_word(&argument), max, &seen, a);
    return refusal;
}
