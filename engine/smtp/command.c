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

struct span smtp_take_word(struct span *s)
{
    struct span word;
    size_t n = 0;

    while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
        n++;
    word = span_head(*s, n);
    *s = span_trim(span_from(*s, n));
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
    c->verb = smtp_verb_find(smtp_take_word(&line));
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
