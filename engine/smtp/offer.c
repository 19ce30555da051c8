/* Reading the lines behind the first of an answer to EHLO. */
#include "engine/smtp/offer.h"

/* The next word of *line, which moves behind it; empty at the end. */
static struct span word(struct span *line)
{
    size_t n = 0;

    *line = span_trim(*line);
    while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
        n++;
    struct span w = span_head(*line, n);
    *line = span_from(*line, n);
    return w;
}

/* Digits alone, and at most max. */
static bool number(struct span s, uint64_t max, uint64_t *value)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++)
        if (!ascii_digit(s.p[i]) || __builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    *value = v;
    return s.n > 0 && v <= max;
}

/* "NAME=VALUE", as RFC 9422 3 has it; 0 is not among the values and means nothing here. */
static void learn_limit(struct smtp_offer *o, struct span limit)
{
    const struct {
        struct span name;
        uint32_t *value;
    } known[] = {
        {SPAN_LIT("MAILMAX="), &o->mail_max},
        {SPAN_LIT("RCPTMAX="), &o->rcpt_max},
        {SPAN_LIT("RCPTDOMAINMAX="), &o->rcpt_domain_max},
    };
    uint64_t v;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (span_istarts(limit, known[i].name) &&
            number(span_from(limit, known[i].name.n), UINT32_MAX, &v))
            *known[i].value = (uint32_t)v;
}

void smtp_offer_learn(struct smtp_offer *o, struct span line)
{
    enum smtp_extension extension = smtp_extension_find(word(&line));
    struct span parameter;
    uint64_t size;

    if (extension == SMTP_EXTENSION_COUNT)
        return;
    o->extensions |= SMTP_EXTENSION_BIT(extension);
    if (extension == SMTP_EXTENSION_SIZE && number(word(&line), UINT64_MAX, &size))
        o->size_max = size;
    while (extension == SMTP_EXTENSION_LIMITS && (parameter = word(&line)).n > 0)
        learn_limit(o, parameter);
}
