/*
 * The receiving machine: lines out of the input, the table's action, one event at a time.
 */
#include "engine/smtp/server.h"
#include "status.h"

enum { PHASE_COMMAND, PHASE_SKIP, PHASE_DATA, PHASE_TLS, PHASE_CLOSED };

/* What an answer is due for. */
enum { DUE_NONE, DUE_STARTTLS, DUE_MAIL, DUE_RCPT, DUE_DATA, DUE_END_OF_DATA };

/* A message that has one of these is never taken over. */
#define DEFECTS_FATAL (SMTP_DEFECTS_SMUGGLING | SMTP_DEFECT_TOO_BIG)

void smtp_server_begin(struct smtp_server *s, const struct smtp_server_config *config)
{
    BUG_ON(config->hostname.n == 0 || config->hostname.n > LIMIT_DOMAIN);
    *s = (struct smtp_server){
        .config = config, .state = SMTP_STATE_GREETED, .phase = PHASE_COMMAND, .due = DUE_NONE};
}

/* A reply that names us first: "hostname text". */
static void reply_named(const struct smtp_server *s, struct smtp_out *out, unsigned code,
                        const char *enhanced, struct span text)
{
    unsigned char buffer[LIMIT_SMTP_REPLY_OUT];
    size_t n = s->config->hostname.n;

    memcpy(buffer, s->config->hostname.p, n);
    buffer[n++] = ' ';
    text = span_head(text, sizeof buffer - n);
    memcpy(buffer + n, text.p, text.n);
    smtp_out_reply(out, code, enhanced, span_of(buffer, n + text.n), false);
}

void smtp_server_greet(struct smtp_server *s, struct smtp_out *out)
{
    reply_named(s, out, 220, NULL, SPAN_LIT("ESMTP mgid"));
}

static void drop_transaction(struct smtp_server *s)
{
    if (s->state > SMTP_STATE_READY)
        s->state = SMTP_STATE_READY;
    s->recipients = 0;
}

static void close_session(struct smtp_server *s, enum smtp_close_reason reason)
{
    s->phase = PHASE_CLOSED;
    s->due = DUE_NONE;
    s->close_reason = (uint8_t)reason;
}

void smtp_server_close(struct smtp_server *s, struct smtp_out *out, const char *enhanced,
                       struct span text)
{
    reply_named(s, out, 421, enhanced, text);
    close_session(s, SMTP_CLOSE_CALLER);
}

static void say(struct smtp_server *s, struct smtp_out *out, enum smtp_own_reply which)
{
    const struct smtp_own *reply = smtp_own_reply(which);

    if (reply->code >= 400) {
        s->errors++;
        s->refusal = reply->whole;
    }
    smtp_out_reply(out, reply->code, reply->enhanced, span_str(reply->text), false);
}

/* Says why, and ends the session. */
static enum smtp_event say_and_close(struct smtp_server *s, struct smtp_out *out,
                                     enum smtp_own_reply which, enum smtp_close_reason reason)
{
    say(s, out, which);
    close_session(s, reason);
    return SMTP_EV_CLOSE;
}

/* ---- answers ---------------------------------------------------------------------------- */

static void accepted_mail(struct smtp_server *s)
{
    BUG_ON((s->data.defects & DEFECTS_FATAL) != 0);
    s->mails++;
    s->idle = 0;
    s->phase = PHASE_COMMAND;
    drop_transaction(s);
}

void smtp_server_accept_text(struct smtp_server *s, struct smtp_out *out, const char *enhanced,
                             struct span text)
{
    unsigned code = 250;
    uint8_t due = s->due;

    s->due = DUE_NONE;
    switch (due) {
    case DUE_STARTTLS:
        code = 220;
        s->phase = PHASE_TLS;
        break;
    case DUE_MAIL:
        s->state = SMTP_STATE_MAIL;
        s->utf8 = s->path.utf8;
        break;
    case DUE_RCPT:
        s->state = SMTP_STATE_RCPT;
        s->recipients++;
        break;
    case DUE_DATA:
        code = 354;
        enhanced = NULL;
        s->phase = PHASE_DATA;
        smtp_data_begin(&s->data, s->config->max_size);
        break;
    case DUE_END_OF_DATA:
        accepted_mail(s);
        break;
    default:
        BUG_ON(true);
    }
    smtp_out_reply(out, code, enhanced, text, false);
}

void smtp_server_accept(struct smtp_server *s, struct smtp_out *out)
{
    static const uint8_t usual[] = {
        [DUE_STARTTLS] = SMTP_OWN_STARTTLS,
        [DUE_MAIL] = SMTP_OWN_MAIL,
        [DUE_RCPT] = SMTP_OWN_RCPT,
        [DUE_END_OF_DATA] = SMTP_OWN_END_OF_DATA,
    };
    const struct smtp_own *reply;

    if (s->due == DUE_DATA) {
        smtp_server_accept_text(s, out, NULL, SPAN_LIT("End data with <CR><LF>.<CR><LF>"));
        return;
    }
    BUG_ON(s->due == DUE_NONE);
    reply = smtp_own_reply(usual[s->due]);
    smtp_server_accept_text(s, out, reply->enhanced, span_str(reply->text));
}

void smtp_server_reject(struct smtp_server *s, struct smtp_out *out, unsigned code,
                        const char *enhanced, struct span text)
{
    uint8_t due = s->due;

    BUG_ON(due == DUE_NONE || code < 400 || code > 599);
    if (code == 421) {
        smtp_server_close(s, out, enhanced, text);
        return;
    }
    s->due = DUE_NONE;
    if (due == DUE_RCPT && s->state == SMTP_STATE_MAIL)
        s->state = SMTP_STATE_REFUSED;
    if ((due == DUE_MAIL || due == DUE_RCPT) && code >= 500)
        s->errors++;
    if (due == DUE_DATA || due == DUE_END_OF_DATA) {
        s->phase = PHASE_COMMAND;
        drop_transaction(s);
    }
    smtp_out_reply(out, code, enhanced, text, false);
}

void smtp_server_tls_established(struct smtp_server *s)
{
    BUG_ON(s->phase != PHASE_TLS);
    s->phase = PHASE_COMMAND;
    s->state = SMTP_STATE_GREETED;
    s->tls = true;
    s->esmtp = false;
}

/* ---- commands --------------------------------------------------------------------------- */

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
        return s->config->max_recipients != 0;
    case NEVER:
        break;
    }
    return false;
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
        smtp_out_put(&line, SPAN_LIT(" RCPTMAX="));
        smtp_out_number(&line, s->config->max_recipients);
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
        say(s, out, SMTP_OWN_NAME);
        return SMTP_EV_NEED_INPUT;
    }
    drop_transaction(s);
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
        say(s, out, refusal);
        return SMTP_EV_NEED_INPUT;
    }
    s->due = mail ? DUE_MAIL : DUE_RCPT;
    return mail ? SMTP_EV_MAIL : SMTP_EV_RCPT;
}

static enum smtp_event starttls(struct smtp_server *s, struct span rest, struct smtp_out *out)
{
    if (s->tls || !s->config->offer_starttls) {
        say(s, out, s->tls ? SMTP_OWN_TLS_ACTIVE : SMTP_OWN_ABSENT);
        return SMTP_EV_NEED_INPUT;
    }
    if (rest.n > 0)
        return say_and_close(s, out, SMTP_OWN_INJECTION, SMTP_CLOSE_INJECTION);
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
        s->due = DUE_DATA;
        return SMTP_EV_DATA;
    case SMTP_VERB_STARTTLS:
        return starttls(s, rest, out);
    case SMTP_VERB_RSET:
        drop_transaction(s);
        say(s, out, SMTP_OWN_RSET);
        return SMTP_EV_RSET;
    case SMTP_VERB_QUIT:
        reply_named(s, out, 221, "2.0.0", SPAN_LIT("closing connection"));
        close_session(s, SMTP_CLOSE_QUIT);
        return SMTP_EV_QUIT;
    case SMTP_VERB_NOOP:
        say(s, out, SMTP_OWN_NOOP);
        break;
    case SMTP_VERB_VRFY:
        say(s, out, SMTP_OWN_VRFY);
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
    case SMTP_ACTION_HOSTILE:
    case SMTP_ACTION_UNKNOWN:
        break;
    }
    return SMTP_OWN_UNKNOWN;
}

/* A whole line, without CRLF. Returns SMTP_EV_NEED_INPUT when it is dealt with and no event. */
static enum smtp_event command(struct smtp_server *s, struct span line, struct span rest,
                               struct smtp_out *out)
{
    struct smtp_command c = {0};
    enum smtp_action action;
    enum smtp_own_reply refusal = smtp_command_parse(line, &c);

    if (refusal == SMTP_OWN_NONE) {
        action = smtp_verb_action((enum smtp_state)s->state, c.verb);
        if (action == SMTP_ACTION_HOSTILE) {
            reply_named(s, out, 421, "4.7.0", SPAN_LIT("this is SMTP, closing connection"));
            close_session(s, SMTP_CLOSE_HOSTILE);
            return SMTP_EV_CLOSE;
        }
        refusal = objection(action, &c);
        if (c.verb != SMTP_VERB_MAIL && c.verb != SMTP_VERB_RCPT && c.verb != SMTP_VERB_DATA)
            s->idle++;
    }
    if (refusal == SMTP_OWN_NONE)
        return perform(s, &c, rest, out);
    say(s, out, refusal);
    return SMTP_EV_NEED_INPUT;
}

/* ---- lines ------------------------------------------------------------------------------ */

enum take { TAKE_LINE, TAKE_PARTIAL, TAKE_NO_MEMORY, TAKE_TOO_LONG, TAKE_BARE };

/* The rest of a line that is too long; only its end matters. */
static enum take skip_line(struct smtp_server *s, struct span *in)
{
    const unsigned char *lf = memchr(in->p, '\n', in->n);
    size_t n = lf == NULL ? in->n : (size_t)(lf - in->p) + 1;
    bool cr = lf == NULL ? in->p[n - 1] == '\r' : n > 1 ? lf[-1] == '\r' : s->skip_cr;

    *in = span_from(*in, n);
    s->skip_cr = cr;
    if (lf == NULL)
        return TAKE_PARTIAL;
    s->phase = PHASE_COMMAND;
    return cr ? TAKE_TOO_LONG : TAKE_BARE;
}

/* line ends with LF. */
static enum take check_line_end(struct span *line)
{
    size_t n = line->n;

    if (n < 2 || line->p[n - 2] != '\r')
        return TAKE_BARE;
    if (n > LIMIT_SMTP_COMMAND)
        return TAKE_TOO_LONG;
    *line = span_head(*line, n - 2);
    return memchr(line->p, '\r', line->n) == NULL ? TAKE_LINE : TAKE_BARE;
}

/* The next line with its end checked: in place when it is whole, else gathered in s->line. */
static enum take take_line(struct smtp_server *s, struct span *in, struct span *line)
{
    const unsigned char *lf;
    size_t n;

    if (s->phase == PHASE_SKIP)
        return skip_line(s, in);
    lf = memchr(in->p, '\n', in->n);
    n = lf == NULL ? in->n : (size_t)(lf - in->p) + 1;
    if (lf != NULL && s->line_used == 0) {
        *line = span_head(*in, n);
        *in = span_from(*in, n);
        return check_line_end(line);
    }
    if (n > LIMIT_SMTP_COMMAND - (size_t)s->line_used) {
        s->phase = PHASE_SKIP;
        s->skip_cr = s->line_used > 0 && s->line->bytes[s->line_used - 1] == '\r';
        s->line_used = 0;
        return skip_line(s, in);
    }
    if (s->line == NULL)
        return TAKE_NO_MEMORY;
    memcpy(s->line->bytes + s->line_used, in->p, n);
    s->line_used = (uint16_t)(s->line_used + n);
    *in = span_from(*in, n);
    if (lf == NULL)
        return TAKE_PARTIAL;
    *line = span_of(s->line->bytes, s->line_used);
    s->line_used = 0;
    return check_line_end(line);
}

static enum smtp_event next_command(struct smtp_server *s, struct span *in, struct smtp_out *out)
{
    struct span line = SPAN_EMPTY;

    switch (take_line(s, in, &line)) {
    case TAKE_LINE:
        return command(s, line, *in, out);
    case TAKE_PARTIAL:
        break;
    case TAKE_NO_MEMORY:
        return SMTP_EV_NEED_LINE;
    case TAKE_TOO_LONG:
        say(s, out, SMTP_OWN_LONG_LINE);
        break;
    case TAKE_BARE:
        return say_and_close(s, out, SMTP_OWN_BARE_LINE_END, SMTP_CLOSE_BARE_LINE_END);
    }
    return SMTP_EV_NEED_INPUT;
}

static enum smtp_event next_data(struct smtp_server *s, struct span *in)
{
    switch (smtp_data_next(&s->data, in, &s->body)) {
    case SMTP_DATA_MORE:
        break;
    case SMTP_DATA_BODY:
        return SMTP_EV_BODY;
    case SMTP_DATA_END:
        s->size = s->data.size;
        s->defects = s->data.defects;
        s->due = DUE_END_OF_DATA;
        return SMTP_EV_END_OF_DATA;
    }
    return SMTP_EV_NEED_INPUT;
}

enum smtp_event smtp_server_next(struct smtp_server *s, struct span *in, struct smtp_out *out)
{
    enum smtp_event event = SMTP_EV_NEED_INPUT;

    while (event == SMTP_EV_NEED_INPUT) {
        bool ended = s->phase == PHASE_COMMAND &&
                     (s->errors > s->config->max_errors || s->idle > LIMIT_SMTP_IDLE_COMMANDS);

        if (s->phase == PHASE_CLOSED)
            return SMTP_EV_CLOSE;
        if (s->phase == PHASE_TLS || (s->due != DUE_NONE && s->due != DUE_STARTTLS))
            return SMTP_EV_WAIT;
        if (in->n == 0 && !ended)
            return s->due == DUE_NONE ? SMTP_EV_NEED_INPUT : SMTP_EV_WAIT;
        if (!smtp_out_room(out))
            return SMTP_EV_FLUSH;
        /* What comes while the answer to STARTTLS is due came before it, too. */
        if (s->due == DUE_STARTTLS)
            return say_and_close(s, out, SMTP_OWN_INJECTION, SMTP_CLOSE_INJECTION);
        if (ended) {
            reply_named(s, out, 421, "4.7.0", SPAN_LIT("too many errors, closing connection"));
            close_session(s, SMTP_CLOSE_ERRORS);
            return SMTP_EV_CLOSE;
        }
        event = s->phase == PHASE_DATA ? next_data(s, in) : next_command(s, in, out);
    }
    return event;
}

/* ---- the rest --------------------------------------------------------------------------- */

void smtp_server_attach(struct smtp_server *s, struct smtp_line *line)
{
    BUG_ON(s->line != NULL);
    s->line = line;
    s->line_used = 0;
}

struct smtp_line *smtp_server_detach(struct smtp_server *s)
{
    struct smtp_line *line = s->line;

    if (s->line_used > 0)
        return NULL;
    s->line = NULL;
    return line;
}

enum smtp_state smtp_server_state(const struct smtp_server *s)
{
    return (enum smtp_state)s->state;
}

bool smtp_server_in_data(const struct smtp_server *s)
{
    return s->phase == PHASE_DATA;
}

const char *smtp_close_reason_text(enum smtp_close_reason reason)
{
    static const char *const texts[] = {
        [SMTP_CLOSE_NONE] = "none",
        [SMTP_CLOSE_QUIT] = "quit",
        [SMTP_CLOSE_BARE_LINE_END] = "bare line end",
        [SMTP_CLOSE_INJECTION] = "data behind STARTTLS",
        [SMTP_CLOSE_HOSTILE] = "another protocol",
        [SMTP_CLOSE_ERRORS] = "too many errors",
        [SMTP_CLOSE_CALLER] = "closed by us",
    };

    return reason < sizeof texts / sizeof texts[0] ? texts[reason] : "unknown";
}
