/*
 * The receiving machine's commands: what the table says, and what each verb does.
 */
#include "engine/smtp/server_internal.h"

static bool offered(const struct smtp_server *s, enum smtp_extension extension)
{
    enum offer { ALWAYS, SIZE, LIMITS, STARTTLS, TLS, NEVER };
    static const uint8_t offers[] = {
#define EXTENSION(NAME, keyword, offer) offer,
#include "extensions.def"
#undef EXTENSION
    };

    switch ((enum offer)offers[extension]) {
    case ALWAYS:
    case SIZE:
        return true;
    case STARTTLS:
        return s->config->offer_starttls && !s->tls;
    case TLS:
        return s->tls;
    case LIMITS:
        return s->config->max_recipients != 0 || s->config->max_mails != 0;
    case NEVER:
        break;
    }
    return false;
}

static void put_limit(struct smtp_out *line, struct span name, unsigned limit)
{
    if (limit == 0)
        return;
    smtp_out_put(line, name);
    smtp_out_number(line, limit);
}

/* The keyword and its parameter, for the answer to EHLO. */
static struct span extension_line(const struct smtp_server *s, enum smtp_extension extension,
                                  unsigned char *memory, size_t capacity)
{
    struct smtp_out line = {.p = memory, .capacity = capacity};

    smtp_out_put(&line, span_str(smtp_extension_keyword(extension)));
    if (extension == SMTP_EXTENSION_SIZE && s->config->max_size != 0) {
        smtp_out_put(&line, SPAN_LIT(" "));
        smtp_out_number(&line, s->config->max_size);
    }
    if (extension == SMTP_EXTENSION_LIMITS) {
        put_limit(&line, SPAN_LIT(" MAILMAX="), s->config->max_mails);
        put_limit(&line, SPAN_LIT(" RCPTMAX="), s->config->max_recipients);
    }
    return span_of(line.p, line.n);
}

static void reply_ehlo(const struct smtp_server *s, struct smtp_out *out)
{
    unsigned char memory[64];
    unsigned last = 0;

    for (unsigned e = 0; e < SMTP_EXTENSION_COUNT; e++)
        if (offered(s, (enum smtp_extension)e))
            last = e;
    /* Written in one go: the room for it is there, smtp_out_reply's own demand would be more. */
    smtp_out_put(out, SPAN_LIT("250-"));
    smtp_out_put(out, s->config->hostname);
    smtp_out_put(out, SPAN_LIT("\r\n"));
    for (unsigned e = 0; e <= last; e++) {
        if (!offered(s, (enum smtp_extension)e))
            continue;
        smtp_out_put(out, e == last ? SPAN_LIT("250 ") : SPAN_LIT("250-"));
        smtp_out_put(out, extension_line(s, (enum smtp_extension)e, memory, sizeof memory));
        smtp_out_put(out, SPAN_LIT("\r\n"));
    }
}

static enum smtp_event hello(struct smtp_server *s, const struct smtp_command *c,
                             struct smtp_out *out)
{
    if (!smtp_client_name_valid(c->argument)) {
        server_say(s, out, SMTP_OWN_NAME);
        return SMTP_EV_NEED_INPUT;
    }
    server_drop_transaction(s);
    s->state = SMTP_STATE_READY;
    s->esmtp = c->verb == SMTP_VERB_EHLO;
    s->name = c->argument;
    if (s->esmtp)
        reply_ehlo(s, out);
    else
        smtp_out_reply(out, 250, NULL, s->config->hostname, false);
    return SMTP_EV_EHLO;
}

static enum smtp_event path(struct smtp_server *s, const struct smtp_command *c,
                            struct smtp_out *out)
{
    bool mail = c->verb == SMTP_VERB_MAIL;
    struct smtp_path_rules rules = {
        .parameters = s->esmtp,
        .tls = s->tls,
        .utf8 = s->utf8,
        .max = s->config->max_size,
    };
    enum smtp_own_reply refusal = smtp_path_arguments(c->verb, c->argument, &rules, &s->path);

    if (refusal != SMTP_OWN_NONE) {
        if (!mail && s->state == SMTP_STATE_MAIL)
            s->state = SMTP_STATE_REFUSED;
        server_say(s, out, refusal);
        return SMTP_EV_NEED_INPUT;
    }
    s->due = mail ? DUE_MAIL : DUE_RCPT;
    return mail ? SMTP_EV_MAIL : SMTP_EV_RCPT;
}

static enum smtp_event starttls(struct smtp_server *s, struct span rest, struct smtp_out *out)
{
    if (s->tls || !s->config->offer_starttls) {
        server_say(s, out, s->tls ? SMTP_OWN_TLS_ACTIVE : SMTP_OWN_ABSENT);
        return SMTP_EV_NEED_INPUT;
    }
    if (rest.n > 0)
        return server_say_and_end(s, out, SMTP_OWN_INJECTION, SMTP_CLOSE_INJECTION);
    s->due = DUE_STARTTLS;
    return SMTP_EV_STARTTLS;
}

/* "Commands: HELO EHLO …", from the table. */
static void help(struct smtp_out *out)
{
    unsigned char memory[LIMIT_SMTP_REPLY_OUT];
    struct smtp_out text = {.p = memory, .capacity = sizeof memory};

    smtp_out_put(&text, SPAN_LIT("Commands:"));
    for (unsigned v = 0; v < SMTP_VERB_COUNT; v++) {
        bool known = false;
        for (unsigned state = 0; state < SMTP_STATE_COUNT; state++)
            if (smtp_verb_action((enum smtp_state)state, (enum smtp_verb)v) == SMTP_ACTION_DO)
                known = true;
        if (known) {
            smtp_out_put(&text, SPAN_LIT(" "));
            smtp_out_put(&text, span_str(smtp_verb_name((enum smtp_verb)v)));
        }
    }
    smtp_out_reply(out, 214, "2.0.0", span_of(text.p, text.n), false);
}

static enum smtp_event perform(struct smtp_server *s, const struct smtp_command *c,
                               struct span rest, struct smtp_out *out)
{
    switch (c->verb) {
    case SMTP_VERB_HELO:
    case SMTP_VERB_EHLO:
        return hello(s, c, out);
    case SMTP_VERB_MAIL:
    case SMTP_VERB_RCPT:
        return path(s, c, out);
    case SMTP_VERB_DATA:
        if (s->binary) { /* RFC 3030 3 */
            server_say(s, out, SMTP_OWN_BINARY);
            break;
        }
        s->due = DUE_DATA;
        return SMTP_EV_DATA;
    case SMTP_VERB_STARTTLS:
        return starttls(s, rest, out);
    case SMTP_VERB_RSET:
        server_drop_transaction(s);
        server_say(s, out, SMTP_OWN_RSET);
        return SMTP_EV_RSET;
    case SMTP_VERB_QUIT:
        server_reply_named(s, out, 221, "2.0.0", SPAN_LIT("closing connection"));
        server_end(s, SMTP_CLOSE_QUIT);
        return SMTP_EV_QUIT;
    case SMTP_VERB_NOOP:
        server_say(s, out, SMTP_OWN_NOOP);
        break;
    case SMTP_VERB_VRFY:
        server_say(s, out, SMTP_OWN_VRFY);
        break;
    case SMTP_VERB_HELP:
        help(out);
        break;
    default:
        BUG_ON(true);
    }
    return SMTP_EV_NEED_INPUT;
}

/* Why the command is not performed, or SMTP_OWN_NONE. */
static enum smtp_own_reply objection(enum smtp_action action, const struct smtp_command *c)
{
    enum smtp_argument argument = smtp_verb_argument(c->verb);

    switch (action) {
    case SMTP_ACTION_SEQUENCE:
        return SMTP_OWN_SEQUENCE;
    case SMTP_ACTION_NOBODY:
        return SMTP_OWN_NOBODY;
    case SMTP_ACTION_ABSENT:
        return SMTP_OWN_ABSENT;
    case SMTP_ACTION_DO:
        if (argument == SMTP_ARGUMENT_NONE && c->argument.n > 0)
            return SMTP_OWN_ARGUMENT_NONE;
        if (argument == SMTP_ARGUMENT_SOME && c->argument.n == 0)
            return SMTP_OWN_ARGUMENT_MISSING;
        return SMTP_OWN_NONE;
    case SMTP_ACTION_LOST:
    case SMTP_ACTION_HOSTILE:
    case SMTP_ACTION_UNKNOWN:
        break;
    }
    return SMTP_OWN_UNKNOWN;
}

/* A whole line, without CRLF. Returns SMTP_EV_NEED_INPUT when it is dealt with and no event. */
enum smtp_event server_command(struct smtp_server *s, struct span line, struct span rest,
                               struct smtp_out *out)
{
    struct smtp_command c = {0};
    enum smtp_action action;
    enum smtp_own_reply refusal = smtp_command_parse(line, &c);

    if (refusal == SMTP_OWN_NONE) {
        action = smtp_verb_action((enum smtp_state)s->state, c.verb);
        if (action == SMTP_ACTION_HOSTILE) {
            server_reply_named(s, out, 421, "4.7.0", SPAN_LIT("this is SMTP, closing connection"));
            server_end(s, SMTP_CLOSE_HOSTILE);
            return SMTP_EV_CLOSE;
        }
        if (c.verb == SMTP_VERB_BDAT)
            return server_bdat(s, c.argument, action, out);
        refusal = objection(action, &c);
        if (c.verb != SMTP_VERB_MAIL && c.verb != SMTP_VERB_RCPT && c.verb != SMTP_VERB_DATA)
            s->idle++;
    }
    if (refusal == SMTP_OWN_NONE)
        return perform(s, &c, rest, out);
    if (refusal == SMTP_OWN_CONTROL && server_names_bdat(line))
        return server_say_and_end(s, out, SMTP_OWN_BDAT, SMTP_CLOSE_BDAT);
    server_say(s, out, refusal);
    return SMTP_EV_NEED_INPUT;
}
