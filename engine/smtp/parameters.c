/*
 * The arguments of MAIL and RCPT: a table of parameters, one function each.
 */
#include "engine/smtp/parameters.h"
#include "engine/mime/utf8.h"

/* ---- values ----------------------------------------------------------------------------- */

/* xtext of RFC 3461 4: printable but '+' and '=', and "+HH". What that stands for must be printable
 * ASCII, too: it will be read in a notification, where a CRLF would begin a field of its own. With
 * utf8 characters from U+0080 may stand for themselves (RFC 6533 3, utf-8-addr-unitext). */
static bool xtext_valid(struct span s, bool utf8)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = s.p[i];
        if (c == '+') {
            int high = i + 2 < s.n ? ascii_capital_hex(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? ascii_capital_hex(s.p[i + 2]) : -1;
            if (high < 0 || low < 0 || high * 16 + low < 0x20 || high * 16 + low > 0x7e)
                return false;
            i += 2;
        } else if (c <= 0x20 || c == 0x7f || c == '=' || (c >= 0x80 && !utf8)) {
            return false;
        }
    }
    return s.n > 0 && (!utf8 || utf8_valid(s));
}

/* esmtp-keyword of RFC 5321 4.1.2; an address type (RFC 3461 4.2) is made of the same. */
static bool keyword_valid(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char lower = ascii_lower(s.p[i]);
        if (!ascii_digit(lower) && !(lower >= 'a' && lower <= 'z') && (lower != '-' || i == 0))
            return false;
    }
    return s.n > 0;
}

static struct span up_to(struct span s, unsigned char c)
{
    const unsigned char *end = memchr(s.p, c, s.n);

    return end == NULL ? s : span_head(s, (size_t)(end - s.p));
}

/* ---- one function a parameter ----------------------------------------------------------- */

typedef enum smtp_own_reply parse(struct span value, const struct smtp_path_rules *rules,
                                  struct smtp_path *p);

static enum smtp_own_reply size(struct span value, const struct smtp_path_rules *rules,
                                struct smtp_path *p)
{
    if (value.n == 0 || value.n > 20)
        return SMTP_OWN_PARAMETER;
    p->size = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (!ascii_digit(value.p[i]))
            return SMTP_OWN_PARAMETER;
        if (__builtin_mul_overflow(p->size, UINT64_C(10), &p->size) ||
            __builtin_add_overflow(p->size, (uint64_t)(value.p[i] - '0'), &p->size))
            p->size = UINT64_MAX;
    }
    return rules->max != 0 && p->size > rules->max ? SMTP_OWN_TOO_BIG : SMTP_OWN_NONE;
}

static enum smtp_own_reply body(struct span value, const struct smtp_path_rules *rules,
                                struct smtp_path *p)
{
    (void)rules;
    if (span_ieq(value, SPAN_LIT("7BIT")))
        p->body = SMTP_BODY_7BIT;
    else if (span_ieq(value, SPAN_LIT("8BITMIME")))
        p->body = SMTP_BODY_8BITMIME;
    else if (span_ieq(value, SPAN_LIT("BINARYMIME")))
        p->body = SMTP_BODY_BINARYMIME;
    else
        return SMTP_OWN_PARAMETER;
    return SMTP_OWN_NONE;
}

static enum smtp_own_reply smtputf8(struct span value, const struct smtp_path_rules *rules,
                                    struct smtp_path *p)
{
    (void)rules;
    p->utf8 = true;
    return value.n > 0 ? SMTP_OWN_PARAMETER : SMTP_OWN_NONE;
}

static enum smtp_own_reply requiretls(struct span value, const struct smtp_path_rules *rules,
                                      struct smtp_path *p)
{
    if (value.n > 0)
        return SMTP_OWN_PARAMETER;
    p->require_tls = true;
    return rules->tls ? SMTP_OWN_NONE : SMTP_OWN_NEEDS_TLS;
}

static enum smtp_own_reply ret(struct span value, const struct smtp_path_rules *rules,
                               struct smtp_path *p)
{
    (void)rules;
    if (span_ieq(value, SPAN_LIT("FULL")))
        p->ret = SMTP_RET_FULL;
    else if (span_ieq(value, SPAN_LIT("HDRS")))
        p->ret = SMTP_RET_HDRS;
    else
        return SMTP_OWN_PARAMETER;
    return SMTP_OWN_NONE;
}

static enum smtp_own_reply envid(struct span value, const struct smtp_path_rules *rules,
                                 struct smtp_path *p)
{
    (void)rules;
    p->envid = value;
    return value.n <= LIMIT_ENVID && xtext_valid(value, false) ? SMTP_OWN_NONE : SMTP_OWN_PARAMETER;
}

static enum smtp_own_reply notify(struct span value, const struct smtp_path_rules *rules,
                                  struct smtp_path *p)
{
    static const struct {
        struct span word;
        uint8_t bit;
    } words[] = {
        {SPAN_LIT("NEVER"), SMTP_NOTIFY_NEVER},
        {SPAN_LIT("SUCCESS"), SMTP_NOTIFY_SUCCESS},
        {SPAN_LIT("FAILURE"), SMTP_NOTIFY_FAILURE},
        {SPAN_LIT("DELAY"), SMTP_NOTIFY_DELAY},
    };

    (void)rules;
    for (bool more = true; more;) {
        struct span word = up_to(value, ',');
        uint8_t bit = 0;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            bit = span_ieq(word, words[i].word) ? words[i].bit : bit;
        if (bit == 0 || (p->notify & bit) != 0)
            return SMTP_OWN_PARAMETER;
        p->notify |= bit;
        more = word.n < value.n;
        value = span_from(value, word.n + 1);
    }
    return (p->notify & SMTP_NOTIFY_NEVER) && p->notify != SMTP_NOTIFY_NEVER ? SMTP_OWN_PARAMETER
                                                                             : SMTP_OWN_NONE;
}

static enum smtp_own_reply orcpt(struct span value, const struct smtp_path_rules *rules,
                                 struct smtp_path *p)
{
    struct span type = up_to(value, ';');
    bool utf8 = rules->utf8 && span_ieq(type, SPAN_LIT("utf-8"));

    p->orcpt = value;
    return value.n <= LIMIT_ORCPT && keyword_valid(type) &&
                   xtext_valid(span_from(value, type.n + 1), utf8)
               ? SMTP_OWN_NONE
               : SMTP_OWN_PARAMETER;
}

static const struct parameter {
    enum smtp_verb verb;
    struct span keyword;
    bool valued; /* "KEYWORD=value", else "KEYWORD" alone */
    parse *parse;
} parameters[] = {
    {SMTP_VERB_MAIL, SPAN_LIT("SIZE"), true, size},              /* RFC 1870 */
    {SMTP_VERB_MAIL, SPAN_LIT("BODY"), true, body},              /* RFC 6152, RFC 3030 */
    {SMTP_VERB_MAIL, SPAN_LIT("SMTPUTF8"), false, smtputf8},     /* RFC 6531 */
    {SMTP_VERB_MAIL, SPAN_LIT("RET"), true, ret},                /* RFC 3461 */
    {SMTP_VERB_MAIL, SPAN_LIT("ENVID"), true, envid},            /* RFC 3461 */
    {SMTP_VERB_MAIL, SPAN_LIT("REQUIRETLS"), false, requiretls}, /* RFC 8689 */
    {SMTP_VERB_RCPT, SPAN_LIT("NOTIFY"), true, notify},          /* RFC 3461 */
    {SMTP_VERB_RCPT, SPAN_LIT("ORCPT"), true, orcpt},            /* RFC 3461 */
};

#define PARAMETERS (sizeof parameters / sizeof parameters[0])

static enum smtp_own_reply parameter(enum smtp_verb verb, struct span word,
                                     const struct smtp_path_rules *rules, unsigned *seen,
                                     struct smtp_path *p)
{
    struct span keyword = up_to(word, '=');
    struct span value = span_from(word, keyword.n + 1);
    bool valued = keyword.n < word.n;

    if (!keyword_valid(keyword) || (valued && value.n == 0))
        return SMTP_OWN_PARAMETER;
    for (unsigned i = 0; i < PARAMETERS; i++) {
        if (parameters[i].verb != verb || !span_ieq(keyword, parameters[i].keyword))
            continue;
        if ((*seen & 1u << i) != 0)
            return SMTP_OWN_PARAMETER_TWICE;
        *seen |= 1u << i;
        return valued == parameters[i].valued ? parameters[i].parse(value, rules, p)
                                              : SMTP_OWN_PARAMETER;
    }
    return SMTP_OWN_PARAMETER_UNKNOWN;
}

/* ---- MAIL FROM, RCPT TO ----------------------------------------------------------------- */

static enum smtp_own_reply address_refusal(bool mail, enum smtp_address_status status)
{
    switch (status) {
    case SMTP_ADDRESS_OK:
        return SMTP_OWN_NONE;
    case SMTP_ADDRESS_SYNTAX:
        break;
    case SMTP_ADDRESS_NO_DOMAIN:
        return mail ? SMTP_OWN_SENDER_NO_DOMAIN : SMTP_OWN_RECIPIENT_NO_DOMAIN;
    case SMTP_ADDRESS_TOO_LONG:
        return mail ? SMTP_OWN_SENDER_LONG : SMTP_OWN_RECIPIENT_LONG;
    }
    return mail ? SMTP_OWN_SENDER : SMTP_OWN_RECIPIENT;
}

/* The path; *argument becomes what follows it. */
static enum smtp_own_reply path_of(bool mail, struct span *argument, struct smtp_path *p)
{
    struct span keyword = mail ? SPAN_LIT("FROM:") : SPAN_LIT("TO:");
    enum smtp_own_reply refusal;

    if (!span_istarts(*argument, keyword))
        return mail ? SMTP_OWN_MAIL_FROM : SMTP_OWN_RCPT_TO;
    *argument = span_trim(span_from(*argument, keyword.n));
    refusal = address_refusal(mail, smtp_path_parse(argument, &p->address));
    if (refusal != SMTP_OWN_NONE)
        return refusal;
    if (mail && p->address.kind == SMTP_ADDRESS_POSTMASTER)
        return SMTP_OWN_SENDER_NO_DOMAIN;
    if (!mail && p->address.kind == SMTP_ADDRESS_NULL)
        return SMTP_OWN_RECIPIENT;
    if (argument->n > 0 && argument->p[0] != ' ' && argument->p[0] != '\t')
        return mail ? SMTP_OWN_SENDER : SMTP_OWN_RECIPIENT;
    *argument = span_trim(*argument);
    return SMTP_OWN_NONE;
}

enum smtp_own_reply smtp_path_arguments(enum smtp_verb verb, struct span argument,
                                        const struct smtp_path_rules *rules, struct smtp_path *p)
{
    bool mail = verb == SMTP_VERB_MAIL;
    enum smtp_own_reply refusal;
    unsigned seen = 0;

    *p = (struct smtp_path){0};
    refusal = path_of(mail, &argument, p);
    if (refusal == SMTP_OWN_NONE && argument.n > 0 && !rules->parameters)
        return SMTP_OWN_PARAMETER_HELO;
    while (argument.n > 0 && refusal == SMTP_OWN_NONE)
        refusal = parameter(verb, smtp_take_word(&argument), rules, &seen, p);
    if (refusal == SMTP_OWN_NONE && p->address.utf8 && !(mail ? p->utf8 : rules->utf8))
        return SMTP_OWN_UTF8;
    return refusal;
}
