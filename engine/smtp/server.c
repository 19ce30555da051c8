/*
 * The receiving machine: lines and message data out of the input, one event at a time; answers.
 */
#include "engine/smtp/server_internal.h"

/* A message that has one of these is never taken over. */
#define DEFECTS_FATAL (SMTP_DEFECTS_SMUGGLING | SMTP_DEFECT_TOO_BIG)

void smtp_server_begin(struct smtp_server *s, const struct smtp_server_config *config)
{
    BUG_ON(config->hostname.n == 0 || config->hostname.n > LIMIT_DOMAIN);
    *s = (struct smtp_server){
        .config = config, .state = SMTP_STATE_GREETED, .phase = PHASE_SILENT, .due = DUE_NONE};
}

/* A reply that names us first: "hostname text". */
void server_reply_named(const struct smtp_server *s, struct smtp_out *out, unsigned code,
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
    BUG_ON(s->phase != PHASE_SILENT);
    s->phase = PHASE_COMMAND;
    server_reply_named(s, out, 220, NULL, SPAN_LIT("ESMTP mgid"));
}

void server_drop_transaction(struct smtp_server *s)
{
    if (s->state > SMTP_STATE_READY)
        s->state = SMTP_STATE_READY;
    s->recipients = 0;
}

void server_end(struct smtp_server *s, enum smtp_close_reason reason)
{
    s->phase = PHASE_CLOSED;
    s->due = DUE_NONE;
    s->close_reason = (uint8_t)reason;
}

void smtp_server_close(struct smtp_server *s, struct smtp_out *out, const char *enhanced,
                       struct span text)
{
    server_reply_named(s, out, 421, enhanced, text);
    server_end(s, SMTP_CLOSE_CALLER);
}

void server_say(struct smtp_server *s, struct smtp_out *out, enum smtp_own_reply which)
{
    const struct smtp_own *reply = smtp_own_reply(which);

    if (reply->code >= 400) {
        s->errors++;
        s->refusal = reply->whole;
    }
    smtp_out_reply(out, reply->code, reply->enhanced, span_str(reply->text), false);
}

/* Says why, and ends the session. */
enum smtp_event server_say_and_end(struct smtp_server *s, struct smtp_out *out,
                                   enum smtp_own_reply which, enum smtp_close_reason reason)
{
    server_say(s, out, which);
    server_end(s, reason);
    return SMTP_EV_CLOSE;
}

/* ---- answers ---------------------------------------------------------------------------- */

static void accepted_mail(struct smtp_server *s)
{
    s->mails++;
    s->idle = 0;
    s->phase = PHASE_COMMAND;
    server_drop_transaction(s);
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
        s->binary = s->path.body == SMTP_BODY_BINARYMIME;
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
        if (s->config->normalise)
            smtp_data_normalise(&s->data);
        break;
    case DUE_CHUNK:
        BUG_ON((s->defects & DEFECTS_FATAL) != 0);
        break;
    case DUE_END_OF_DATA:
        BUG_ON((s->defects & DEFECTS_FATAL) != 0);
        accepted_mail(s);
        break;
    default:
        BUG_ON(true);
    }
    smtp_out_reply(out, code, enhanced, text, false);
}

static void accept_chunk(struct smtp_server *s, struct smtp_out *out)
{
    unsigned char memory[64];
    struct smtp_out text = {.p = memory, .capacity = sizeof memory};

    smtp_out_number(&text, s->chunk);
    smtp_out_put(&text, SPAN_LIT(" octets received"));
    smtp_server_accept_text(s, out, "2.0.0", span_of(text.p, text.n));
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
    if (s->due == DUE_CHUNK) {
        accept_chunk(s, out);
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
    if (due == DUE_DATA || due == DUE_CHUNK || due == DUE_END_OF_DATA) {
        s->phase = PHASE_COMMAND;
        server_drop_transaction(s);
    }
    if (due == DUE_CHUNK)
        s->state = SMTP_STATE_FAILED;
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

/* The line under way goes on in `in`, beyond the limit. */
static void begin_skip(struct smtp_server *s, struct span in)
{
    s->phase = PHASE_SKIP;
    s->skip_cr = s->line_used > 0 && s->line->bytes[s->line_used - 1] == '\r';
    if (s->line_used > 0) {
        memcpy(s->line->bytes + s->line_used, in.p, LIMIT_SMTP_COMMAND - (size_t)s->line_used);
        in = span_of(s->line->bytes, LIMIT_SMTP_COMMAND);
    }
    s->skip_bdat = server_names_bdat(in);
    s->line_used = 0;
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
        s->skip_bdat = n > LIMIT_SMTP_COMMAND && server_names_bdat(*in);
        *line = span_head(*in, n);
        *in = span_from(*in, n);
        return check_line_end(line);
    }
    if (n > LIMIT_SMTP_COMMAND - (size_t)s->line_used) {
        begin_skip(s, *in);
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
    enum take take = take_line(s, in, &line);

    s->commands += take != TAKE_PARTIAL && take != TAKE_NO_MEMORY;
    switch (take) {
    case TAKE_LINE:
        return server_command(s, line, *in, out);
    case TAKE_PARTIAL:
        break;
    case TAKE_NO_MEMORY:
        return SMTP_EV_NEED_LINE;
    case TAKE_TOO_LONG:
        if (s->skip_bdat)
            return server_say_and_end(s, out, SMTP_OWN_BDAT, SMTP_CLOSE_BDAT);
        server_say(s, out, SMTP_OWN_LONG_LINE);
        break;
    case TAKE_BARE:
        return server_say_and_end(s, out, SMTP_OWN_BARE_LINE_END, SMTP_CLOSE_BARE_LINE_END);
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

/* Is the session to be ended, and why? */
static enum smtp_close_reason misused(const struct smtp_server *s)
{
    if (s->errors > s->config->max_errors || s->idle > LIMIT_SMTP_IDLE_COMMANDS)
        return SMTP_CLOSE_ERRORS;
    if (s->config->max_commands != 0 && s->commands > s->config->max_commands)
        return SMTP_CLOSE_COMMANDS;
    return SMTP_CLOSE_NONE;
}

enum smtp_event smtp_server_next(struct smtp_server *s, struct span *in, struct smtp_out *out)
{
    enum smtp_event event = SMTP_EV_NEED_INPUT;

    while (event == SMTP_EV_NEED_INPUT) {
        enum smtp_close_reason misuse = s->phase == PHASE_COMMAND ? misused(s) : SMTP_CLOSE_NONE;

        if (s->phase == PHASE_CLOSED)
            return SMTP_EV_CLOSE;
        if (s->phase == PHASE_TLS || (s->due != DUE_NONE && s->due != DUE_STARTTLS))
            return SMTP_EV_WAIT;
        bool whole = s->phase == PHASE_CHUNK && s->chunk_left == 0;
        if (in->n == 0 && misuse == SMTP_CLOSE_NONE && !whole)
            return s->due == DUE_NONE ? SMTP_EV_NEED_INPUT : SMTP_EV_WAIT;
        if (!smtp_out_room(out))
            return SMTP_EV_FLUSH;
        if (s->phase == PHASE_SILENT)
            return server_say_and_end(s, out, SMTP_OWN_EARLY, SMTP_CLOSE_EARLY);
        /* What comes while the answer to STARTTLS is due came before it, too. */
        if (s->due == DUE_STARTTLS)
            return server_say_and_end(s, out, SMTP_OWN_INJECTION, SMTP_CLOSE_INJECTION);
        if (misuse != SMTP_CLOSE_NONE) {
            server_reply_named(s, out, 421, "4.7.0",
                               misuse == SMTP_CLOSE_ERRORS
                                   ? SPAN_LIT("too many errors, closing connection")
                                   : SPAN_LIT("too many commands, closing connection"));
            server_end(s, misuse);
            return SMTP_EV_CLOSE;
        }
        event = s->phase == PHASE_DATA    ? next_data(s, in)
                : s->phase == PHASE_CHUNK ? server_chunk(s, in, out)
                                          : next_command(s, in, out);
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

bool smtp_server_silent(const struct smtp_server *s)
{
    return s->phase == PHASE_SILENT;
}

enum smtp_state smtp_server_state(const struct smtp_server *s)
{
    return (enum smtp_state)s->state;
}

bool smtp_server_in_data(const struct smtp_server *s)
{
    return s->phase == PHASE_DATA || s->phase == PHASE_CHUNK;
}

const char *smtp_close_reason_text(enum smtp_close_reason reason)
{
    static const char *const texts[] = {
        [SMTP_CLOSE_NONE] = "none",
        [SMTP_CLOSE_QUIT] = "quit",
        [SMTP_CLOSE_BARE_LINE_END] = "bare line end",
        [SMTP_CLOSE_INJECTION] = "data behind STARTTLS",
        [SMTP_CLOSE_EARLY] = "spoke before the greeting",
        [SMTP_CLOSE_BDAT] = "size of a chunk not readable",
        [SMTP_CLOSE_HOSTILE] = "another protocol",
        [SMTP_CLOSE_ERRORS] = "too many errors",
        [SMTP_CLOSE_COMMANDS] = "too many commands",
        [SMTP_CLOSE_CALLER] = "closed by us",
    };

    return reason < sizeof texts / sizeof texts[0] ? texts[reason] : "unknown";
}
