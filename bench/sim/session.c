#include "bench/sim/session.h"
#include "bench/sim/json.h"
#include "bench/sim/mgisim.h"
#include <stdarg.h>
#include <stdlib.h>

struct session *session_new(struct sink *sink, int fd, const char *peer)
{
    struct session *s = malloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof(*s));
    s->conn.fd = fd;
    s->sink = sink;
    s->number = ++sink->sessions;
    s->declared_size = -1;
    snprintf(s->peer, sizeof(s->peer), "%s", peer);
    if (sink->options.greeting == NULL) {
        session_reply(s, "220 %s ESMTP mgisim", sink->options.hostname);
    } else {
        session_reply(s, "%s", sink->options.greeting);
        if (sink->options.greeting[0] != '2')
            s->state = SESSION_CLOSING;
    }
    return s;
}

void session_reset(struct session *s)
{
    for (unsigned i = 0; i < s->recipient_count; i++)
        free(s->recipients[i]);
    s->recipient_count = 0;
    s->has_sender = false;
    s->sender[0] = '\0';
    s->body_8bit = false;
    s->declared_size = -1;
}

void session_free(struct session *s)
{
    FILE *out = s->sink->options.quiet ? NULL : stdout;

    if (s->state == SESSION_CONTENT)
        store_abandon(&s->mail);
    if (out != NULL) {
        json_open(out, "session");
        json_number(out, "session", s->number);
        json_text(out, "peer", s->peer);
        json_text(out, "tls", s->facts.version);
        json_text(out, "commands", s->verbs);
        json_number(out, "mails", s->accepted);
        json_text(out, "fault", s->fault);
        json_close(out);
    }
    session_reset(s);
    conn_close(&s->conn);
    free(s);
}

void session_reply(struct session *s, const char *format, ...)
{
    char line[600];
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(line, sizeof(line) - 2, format, arguments);
    va_end(arguments);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof(line) - 3 ? (size_t)n : sizeof(line) - 3;
    line[length++] = '\r';
    line[length++] = '\n';
    if (!conn_put(&s->conn, span_of(line, length))) {
        s->fault = "reads no replies";
        s->state = SESSION_GONE;
    }
}

void session_refuse(struct session *s, const char *fault, const char *reply)
{
    s->fault = fault;
    session_reply(s, "%s", reply);
    s->state = SESSION_CLOSING;
}

static void write_envelope(FILE *out, const struct session *s)
{
    json_text(out, "peer", s->peer);
    json_text(out, "helo", s->helo);
    json_text(out, "from", s->sender);
    json_key(out, "recipients");
    for (unsigned i = 0; i < s->recipient_count; i++) {
        fputc(i == 0 ? '[' : ',', out);
        json_value(out, span_str(s->recipients[i]));
    }
    fputc(']', out);
    json_text(out, "body", s->body_8bit ? "8BITMIME" : "7BIT");
    json_number(out, "declared_size", s->declared_size);
}

/* One line on stdout, and the same beside the mail. */
static bool report_mail(struct session *s, const char *sha256, const char *reply)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    if (out == NULL)
        return false;
    json_open(out, "mail");
    json_number(out, "session", s->number);
    json_number(out, "mail", s->accepted);
    json_text(out, "file", s->mail.name[0] == '\0' ? NULL : s->mail.name);
    write_envelope(out, s);
    json_number(out, "size", (int64_t)s->content.size);
    json_number(out, "longest_line", (int64_t)s->content.longest);
    json_text(out, "sha256", sha256);
    peer_write(out, "client", &s->facts);
    json_text(out, "reply", reply);
    json_close(out);
    bool written = fclose(out) == 0 && store_describe(&s->mail, span_of(text, n));
    if (written) {
        fwrite(text, 1, n, stdout);
        fflush(stdout);
    }
    free(text);
    return written;
}

/* What is wrong with the text, as a reply; NULL when nothing is. */
static const char *content_fault(const struct session *s)
{
    const struct content *c = &s->content;

    if (c->bare_lf)
        return "554 5.6.0 a bare LF in the mail";
    if (c->bare_cr)
        return "554 5.6.0 a bare CR in the mail";
    if (c->longest > 1000)
        return "554 5.6.0 a line of more than 1000 octets (RFC 5321 4.5.3.1.6)";
    if (c->eight_bit && !s->body_8bit)
        return "554 5.6.1 8-bit text without BODY=8BITMIME";
    if (c->size > (uint64_t)s->sink->options.size_limit)
        return "552 5.3.4 the mail is too large";
    return NULL;
}

static void answer_mail(struct session *s, const char *reply)
{
    session_reset(s);
    if (s->sink->options.delay == 0) {
        session_reply(s, "%s", reply);
        s->state = SESSION_COMMANDS;
        return;
    }
    snprintf(s->held, sizeof(s->held), "%s", reply);
    s->resume = sim_now() + s->sink->options.delay;
    s->state = SESSION_HELD;
}

void session_finish_mail(struct session *s)
{
    const struct sink_options *o = &s->sink->options;
    const char *refusal = content_fault(s);
    char sha256[65], reply[64];

    if (o->drop_after >= 0 && s->accepted >= o->drop_after) {
        store_abandon(&s->mail);
        s->fault = "dropped on demand";
        s->state = SESSION_GONE;
        return;
    }
    if (refusal != NULL)
        s->fault = refusal;
    else
        refusal = o->data_reply;
    if (refusal != NULL && refusal[0] != '2') {
        store_abandon(&s->mail);
        answer_mail(s, refusal);
        return;
    }
    s->accepted++;
    snprintf(reply, sizeof(reply), "250 2.0.0 taken as %06u", s->mail.number);
    if (!store_commit(&s->mail, sha256) || (!o->quiet && !report_mail(s, sha256, reply))) {
        s->accepted--;
        answer_mail(s, "451 4.3.0 the mail can't be written");
        return;
    }
    answer_mail(s, refusal != NULL ? refusal : reply);
}

static void take_content(struct session *s)
{
    unsigned char text[CONN_IN + 2];
    size_t n = 0;
    size_t taken = content_take(&s->content, span_of(s->conn.in, s->conn.in_n), text, &n);

    store_write(&s->mail, span_of(text, n));
    conn_drop(&s->conn, taken);
    if (s->content.state == CONTENT_END)
        session_finish_mail(s);
}

/* True when a command line was there (or its lack is an end). */
static bool take_command(struct session *s)
{
    struct conn *c = &s->conn;
    const unsigned char *lf = memchr(c->in, '\n', c->in_n);
    char line[SESSION_COMMAND];

    size_t n = lf == NULL ? c->in_n : (size_t)(lf - c->in) + 1;
    if (n > sizeof(line)) {
        session_refuse(s, "command line too long", "500 5.5.2 line too long");
        return true;
    }
    if (lf == NULL)
        return false;
    memcpy(line, c->in, n);
    conn_drop(c, n);
    if (n < 2 || line[n - 2] != '\r' || memchr(line, '\r', n - 2) != NULL ||
        memchr(line, '\0', n) != NULL)
        session_refuse(s, "bare CR, LF or NUL in a command", "500 5.5.2 lines end in CRLF");
    else
        session_command(s, span_of(line, n - 2));
    return true;
}

static void shake_hands(struct session *s)
{
    static char reason[256];
    enum conn_status status = conn_handshake(&s->conn);

    if (status == CONN_AGAIN)
        return;
    if (status == CONN_OK) {
        peer_describe(s->conn.ssl, s->sink->options.tls.ca != NULL, &s->facts);
        s->state = SESSION_COMMANDS;
        return;
    }
    s->fault = peer_error(reason, sizeof(reason));
    s->state = SESSION_GONE;
}

/* Works on what is in the input buffer. True when something changed. */
static bool advance(struct session *s)
{
    switch (s->state) {
    case SESSION_COMMANDS:
        return take_command(s);
    case SESSION_CONTENT:
        if (s->conn.in_n == 0)
            return false;
        take_content(s);
        return true;
    case SESSION_HANDSHAKE:
        if (s->conn.out_n > 0)
            return false;
        shake_hands(s);
        return s->state != SESSION_HANDSHAKE;
    case SESSION_HELD:
        if (sim_now() < s->resume)
            return false;
        session_reply(s, "%s", s->held);
        if (s->state == SESSION_HELD)
            s->state = SESSION_COMMANDS;
        return true;
    case SESSION_CLOSING:
    case SESSION_GONE:
        return false;
    }
    return false;
}

/* Writes what waits, in clear until a handshake begins. */
static void flush(struct session *s)
{
    SSL *later = NULL;

    if (s->state == SESSION_HANDSHAKE) {
        /* The 220 that invites to the handshake is the last thing in clear. */
        later = s->conn.ssl;
        s->conn.ssl = NULL;
    }
    enum conn_status status = conn_flush(&s->conn);
    if (later != NULL)
        s->conn.ssl = later;
    if (status == CONN_FAILED || status == CONN_CLOSED)
        s->state = SESSION_GONE;
    else if (status == CONN_OK && s->state == SESSION_CLOSING)
        s->state = SESSION_GONE;
}

void session_run(struct session *s)
{
    for (;;) {
        bool changed = advance(s);
        /* Replies to what was pipelined go out together (RFC 2920 3.2). */
        if (!changed || s->state == SESSION_HANDSHAKE || s->conn.out_n > CONN_OUT / 2)
            flush(s);
        if (s->state == SESSION_GONE)
            return;
        if (changed)
            continue;
        if (s->state != SESSION_COMMANDS && s->state != SESSION_CONTENT)
            return;
        enum conn_status status = conn_fill(&s->conn);
        if (status == CONN_AGAIN)
            return;
        if (status != CONN_OK) {
            s->state = SESSION_GONE;
            return;
        }
    }
}
