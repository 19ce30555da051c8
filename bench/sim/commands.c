/* The sink's verbs. */
#include "bench/sim/session.h"
#include <fnmatch.h>
#include <stdlib.h>

/* "Verb SP arguments": what follows the prefix, or a NULL span when the line begins otherwise. */
static struct span after(struct span line, const char *prefix)
{
    struct span p = span_str(prefix);

    if (!span_istarts(line, p))
        return span_of(NULL, 0);
    return span_from(line, p.n);
}

static void handle_helo(struct session *s, struct span arguments, bool extended)
{
    const struct sink_options *o = &s->sink->options;

    if (arguments.n == 0 || arguments.n > LIMIT_DOMAIN) {
        session_reply(s, "501 5.5.4 a host name is needed");
        return;
    }
    session_reset(s);
    s->extended = extended;
    snprintf(s->helo, sizeof(s->helo), "%.*s", (int)arguments.n, (const char *)arguments.p);
    if (!extended) {
        session_reply(s, "250 %s", o->hostname);
        return;
    }
    session_reply(s, "250-%s", o->hostname);
    if (o->pipelining)
        session_reply(s, "250-PIPELINING");
    session_reply(s, "250-SIZE %lld", (long long)o->size_limit);
    session_reply(s, "250-8BITMIME");
    if (o->starttls && s->conn.ssl == NULL)
        session_reply(s, "250-STARTTLS");
    session_reply(s, "250 ENHANCEDSTATUSCODES");
}

static void do_ehlo(struct session *s, struct span arguments)
{
    handle_helo(s, arguments, true);
}

static void do_helo(struct session *s, struct span arguments)
{
    handle_helo(s, arguments, false);
}

static void do_starttls(struct session *s, struct span arguments)
{
    if (arguments.n > 0) {
        session_reply(s, "501 5.5.4 STARTTLS takes no parameter");
        return;
    }
    if (!s->sink->options.starttls || s->conn.ssl != NULL) {
        session_reply(s, "503 5.5.1 STARTTLS is not offered");
        return;
    }
    session_reply(s, "220 2.0.0 go on in TLS");
    s->conn.ssl = SSL_new(s->sink->context);
    if (s->conn.ssl == NULL || SSL_set_fd(s->conn.ssl, s->conn.fd) != 1) {
        s->state = SESSION_GONE;
        return;
    }
    SSL_set_accept_state(s->conn.ssl);
    session_reset(s);
    s->helo[0] = '\0';
    s->state = SESSION_HANDSHAKE;
}

/* <address> at the begin of the arguments into out; the rest (after a space) into *rest. */
static bool take_path(struct span arguments, char *out, size_t size, struct span *rest)
{
    const unsigned char *end = memchr(arguments.p, '>', arguments.n);

    if (arguments.n < 2 || arguments.p[0] != '<' || end == NULL)
        return false;
    size_t n = (size_t)(end - arguments.p) - 1;
    *rest = span_from(arguments, n + 2);
    if (n >= size || (rest->n > 0 && rest->p[0] != ' '))
        return false;
    memcpy(out, arguments.p + 1, n);
    out[n] = '\0';
    return true;
}

static bool take_size(struct session *s, struct span digits)
{
    int64_t value = 0;

    if (digits.n == 0 || digits.n > 15)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        if (!ascii_digit(digits.p[i]))
            return false;
        value = 10 * value + (digits.p[i] - '0');
    }
    s->declared_size = value;
    return true;
}

/* Parameters of MAIL: SIZE=n, BODY=7BIT, BODY=8BITMIME. */
static bool take_parameters(struct session *s, struct span rest)
{
    while (rest.n > 0) {
        rest = span_from(rest, 1);
        const unsigned char *space = memchr(rest.p, ' ', rest.n);
        struct span word = span_head(rest, space == NULL ? rest.n : (size_t)(space - rest.p));
        rest = span_from(rest, word.n);
        struct span size = after(word, "SIZE=");
        if (size.p != NULL && take_size(s, size))
            continue;
        if (span_ieq(word, SPAN_LIT("BODY=8BITMIME")))
            s->body_8bit = true;
        else if (!span_ieq(word, SPAN_LIT("BODY=7BIT")))
            return false;
    }
    return true;
}

/* What stands against a mail of this session, as a reply; NULL when nothing does. */
static const char *session_fault(const struct session *s)
{
    const struct sink_options *o = &s->sink->options;

    if (s->helo[0] == '\0')
        return "503 5.5.1 EHLO first";
    if ((o->require_tls || o->require_certificate) && s->conn.ssl == NULL)
        return "530 5.7.0 STARTTLS first";
    if (o->require_certificate && !s->facts.present)
        return "530 5.7.0 a client certificate is needed";
    if (o->require_certificate && !s->facts.verified)
        return "550 5.7.1 the client certificate does not verify";
    if (s->has_sender)
        return "503 5.5.1 a mail is under way";
    return NULL;
}

static void do_mail(struct session *s, struct span arguments)
{
    struct span path = after(arguments, "FROM:");
    struct span rest;
    const char *fault = session_fault(s);

    if (fault != NULL) {
        session_reply(s, "%s", fault);
        return;
    }
    if (path.p == NULL || !take_path(path, s->sender, sizeof(s->sender), &rest)) {
        session_reply(s, "501 5.5.4 MAIL FROM:<address>");
        return;
    }
    if (rest.n > 0 && (!s->extended || !take_parameters(s, rest))) {
        session_reset(s);
        session_reply(s, "555 5.5.4 an unknown parameter");
        return;
    }
    if (s->declared_size > s->sink->options.size_limit) {
        session_reset(s);
        session_reply(s, "552 5.3.4 the mail is too large");
        return;
    }
    s->has_sender = true;
    session_reply(s, "250 2.1.0 sender taken");
}

static const char *rcpt_reply(const struct sink_options *o, const char *address)
{
    for (unsigned i = 0; i < o->rcpt_rules; i++)
        if (fnmatch(o->rcpt[i].pattern, address, FNM_CASEFOLD) == 0)
            return o->rcpt[i].reply;
    return "250 2.1.5 recipient taken";
}

static void do_rcpt(struct session *s, struct span arguments)
{
    struct span path = after(arguments, "TO:");
    struct span rest;
    char address[LIMIT_ADDRESS + 1];

    if (!s->has_sender) {
        session_reply(s, "503 5.5.1 MAIL first");
        return;
    }
    if (path.p == NULL || !take_path(path, address, sizeof(address), &rest) || rest.n > 0 ||
        address[0] == '\0') {
        session_reply(s, "501 5.5.4 RCPT TO:<address>");
        return;
    }
    if (s->recipient_count == SESSION_RECIPIENTS) {
        session_reply(s, "452 4.5.3 too many recipients");
        return;
    }
    const char *reply = rcpt_reply(&s->sink->options, address);
    if (reply[0] == '2') {
        s->recipients[s->recipient_count] = strdup(address);
        if (s->recipients[s->recipient_count] == NULL)
            reply = "451 4.3.0 no memory";
        else
            s->recipient_count++;
    }
    session_reply(s, "%s", reply);
}

static void do_data(struct session *s, struct span arguments)
{
    if (arguments.n > 0) {
        session_reply(s, "501 5.5.4 DATA takes no parameter");
        return;
    }
    if (!s->has_sender) {
        session_reply(s, "503 5.5.1 MAIL first");
        return;
    }
    if (s->recipient_count == 0) {
        session_reply(s, "554 5.5.1 no valid recipients");
        return;
    }
    if (!store_begin(&s->mail, s->sink->options.directory, ++s->sink->mails)) {
        session_reply(s, "452 4.3.1 no file for the mail");
        return;
    }
    memset(&s->content, 0, sizeof(s->content));
    s->state = SESSION_CONTENT;
    session_reply(s, "354 end with <CRLF>.<CRLF>");
}

static void do_rset(struct session *s, struct span arguments)
{
    (void)arguments;
    session_reset(s);
    session_reply(s, "250 2.0.0 forgotten");
}

static void do_noop(struct session *s, struct span arguments)
{
    (void)arguments;
    session_reply(s, "250 2.0.0 here");
}

static void do_quit(struct session *s, struct span arguments)
{
    (void)arguments;
    session_reply(s, "221 2.0.0 bye");
    s->state = SESSION_CLOSING;
}

/* `waits`: nothing may be pipelined behind it (RFC 2920 3.1). */
static const struct verb {
    const char *name;
    bool waits;
    void (*handle)(struct session *s, struct span arguments);
} verbs[] = {
    {"EHLO", true, do_ehlo},  {"HELO", true, do_helo},  {"STARTTLS", true, do_starttls},
    {"MAIL", false, do_mail}, {"RCPT", false, do_rcpt}, {"DATA", true, do_data},
    {"RSET", false, do_rset}, {"NOOP", true, do_noop},  {"QUIT", true, do_quit},
};

static void note_verb(struct session *s, const char *name)
{
    size_t n = strlen(s->verbs);

    if (n + strlen(name) + 2 < sizeof(s->verbs))
        snprintf(s->verbs + n, sizeof(s->verbs) - n, "%s%s", n == 0 ? "" : " ", name);
}

/* Input behind this command that may not be there yet, as a reply; NULL when all is well. */
static const char *pipelining_fault(const struct session *s, const struct verb *verb)
{
    if (s->conn.in_n == 0)
        return NULL;
    if (verb->handle == do_starttls)
        return "554 5.5.0 input after STARTTLS";
    if (verb->waits)
        return "554 5.5.0 input before the reply to a command that ends a group (RFC 2920)";
    if (!s->extended || !s->sink->options.pipelining)
        return "554 5.5.0 PIPELINING was not offered";
    return NULL;
}

void session_command(struct session *s, struct span line)
{
    const unsigned char *space = memchr(line.p, ' ', line.n);
    struct span name = span_head(line, space == NULL ? line.n : (size_t)(space - line.p));
    struct span arguments = span_trim(span_from(line, name.n));

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (!span_ieq(name, span_str(verbs[i].name)))
            continue;
        note_verb(s, verbs[i].name);
        const char *fault = pipelining_fault(s, &verbs[i]);
        if (fault != NULL)
            session_refuse(s, fault, fault);
        else
            verbs[i].handle(s, arguments);
        return;
    }
    note_verb(s, "?");
    session_reply(s, "500 5.5.1 unknown command");
}
