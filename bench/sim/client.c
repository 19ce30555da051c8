#include "bench/sim/client.h"
#include "bench/sim/conn.h"
#include "bench/sim/mgisim.h"
#include "status.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { STATUS_PROTOCOL = 76 /* EX_PROTOCOL: TLS failed */ };

struct client {
    struct conn conn;
    const struct client_options *options;
    struct client_result *result;
    SSL_CTX *context;
    bool starttls; /* offered */
    bool eight_bit_offered;
    bool size_offered;
    bool leaving; /* the reply to QUIT is of no interest */
};

static bool fail(struct client *c, int status, const char *why)
{
    if (c->result->failure == NULL) {
        c->result->failure = why;
        c->result->status = status;
    }
    return false;
}

static void dial(struct client *c)
{
    char host[256], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    struct timeval patience = {.tv_sec = CLIENT_TIMEOUT_S};
    int one = 1;

    sim_split_address(c->options->server, host, sizeof(host), port, sizeof(port));
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0)
        sim_die(EXIT_USAGE, "%s: %s", c->options->server, gai_strerror(error));
    c->conn.fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->conn.fd < 0 ||
        setsockopt(c->conn.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
        setsockopt(c->conn.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        connect(c->conn.fd, found->ai_addr, found->ai_addrlen) != 0)
        sim_die(EXIT_TEMPFAIL, "%s: %s", c->options->server, strerror(errno));
    freeaddrinfo(found);
}

/* One line into `line`, without CRLF. */
static bool read_line(struct client *c, char line[1024])
{
    for (;;) {
        const unsigned char *lf = memchr(c->conn.in, '\n', c->conn.in_n);
        if (lf != NULL) {
            size_t n = (size_t)(lf - c->conn.in);
            if (n == 0 || n >= 1024 || lf[-1] != '\r')
                return fail(c, EXIT_TEMPFAIL, "a malformed reply line");
            memcpy(line, c->conn.in, n - 1);
            line[n - 1] = '\0';
            conn_drop(&c->conn, n + 1);
            return true;
        }
        if (conn_fill(&c->conn) != CONN_OK)
            return fail(c, EXIT_TEMPFAIL, "the server cut the connection, or was silent");
    }
}

static void note_extension(struct client *c, const char *line)
{
    struct span word = span_from(span_str(line), 4);

    if (span_ieq(word, SPAN_LIT("STARTTLS")))
        c->starttls = true;
    else if (span_ieq(word, SPAN_LIT("8BITMIME")))
        c->eight_bit_offered = true;
    else if (span_istarts(word, SPAN_LIT("SIZE")))
        c->size_offered = true;
}

/* Reads a reply; its code, or 0 after a failure. */
static int read_reply(struct client *c)
{
    char line[1024];

    do {
        if (!read_line(c, line))
            return 0;
        if (strlen(line) < 3 || (line[3] != ' ' && line[3] != '-' && line[3] != '\0')) {
            fail(c, EXIT_TEMPFAIL, "a malformed reply");
            return 0;
        }
        if (c->options->transcript != NULL)
            fprintf(c->options->transcript, "< %s\n", line);
        note_extension(c, line);
    } while (line[3] == '-');
    if (!c->leaving)
        memcpy(c->result->last_reply, line, sizeof(line));
    return atoi(line);
}

static bool put(struct client *c, struct span bytes)
{
    while (bytes.n > 0) {
        struct span piece = span_head(bytes, CONN_OUT);
        if (!conn_put(&c->conn, piece) || conn_flush(&c->conn) != CONN_OK)
            return fail(c, EXIT_TEMPFAIL, "the server cut the connection");
        bytes = span_from(bytes, piece.n);
    }
    return true;
}

/* Sends a command line and reads its reply; the code, or 0. */
static int command(struct client *c, const char *verb, const char *rest)
{
    char line[2048];

    int n = snprintf(line, sizeof(line), "%s%s\r\n", verb, rest);
    if (n < 0 || (size_t)n >= sizeof(line))
        sim_die(EXIT_USAGE, "too long: %s", rest);
    if (!c->leaving)
        c->result->last_command = verb;
    if (c->options->transcript != NULL)
        fprintf(c->options->transcript, "> %.*s\n", n - 2, line);
    if (!put(c, span_of(line, (size_t)n)))
        return 0;
    return read_reply(c);
}

/* A reply that is not as wanted: refused for good, or for now. */
static bool refused(struct client *c, int code)
{
    return fail(c, code / 100 == 5 ? EXIT_UNAVAILABLE : EXIT_TEMPFAIL, "refused");
}

static bool greet(struct client *c)
{
    char rest[300];

    snprintf(rest, sizeof(rest), " %s", c->options->ehlo);
    c->starttls = false;
    int code = command(c, "EHLO", rest);
    return code == 250 || refused(c, code);
}

static bool secure(struct client *c)
{
    static char reason[256];
    struct client_result *r = c->result;

    if (!c->starttls)
        return fail(c, STATUS_PROTOCOL, "STARTTLS is not offered");
    int code = command(c, "STARTTLS", "");
    if (code != 220)
        return refused(c, code);
    if (c->conn.in_n > 0)
        return fail(c, STATUS_PROTOCOL, "input in clear behind the reply to STARTTLS");
    c->context = peer_client_context(&c->options->tls);
    c->conn.ssl = peer_connect(c->context, c->conn.fd, c->options->name);
    if (conn_handshake(&c->conn) != CONN_OK)
        return fail(c, STATUS_PROTOCOL, peer_error(reason, sizeof(reason)));
    r->certificate_asked = peer_was_asked(c->conn.ssl);
    peer_describe(c->conn.ssl, c->options->tls.ca != NULL, &r->facts);
    if (c->options->tls.ca != NULL && !r->facts.verified)
        return fail(c, STATUS_PROTOCOL, r->facts.reason);
    return greet(c);
}

static bool send_text(struct client *c, struct span mail)
{
    struct span rest = mail;

    while (rest.n > 0) {
        const unsigned char *lf = memchr(rest.p, '\n', rest.n);
        size_t n = lf == NULL ? rest.n : (size_t)(lf - rest.p) + 1;
        if (rest.p[0] == '.' && !put(c, SPAN_LIT(".")))
            return false;
        if (!put(c, span_head(rest, n)))
            return false;
        rest = span_from(rest, n);
    }
    if (!put(c, SPAN_LIT(".\r\n")))
        return false;
    int code = read_reply(c);
    return code == 250 || refused(c, code);
}

static bool is_eight_bit(struct span mail)
{
    for (size_t i = 0; i < mail.n; i++)
        if (mail.p[i] >= 0x80)
            return true;
    return false;
}

static bool send_mail(struct client *c, struct span mail)
{
    const struct client_options *o = c->options;
    char rest[1024], size[32] = "";
    unsigned taken = 0;
    const char *body = c->eight_bit_offered && is_eight_bit(mail) ? " BODY=8BITMIME" : "";

    if (c->size_offered)
        snprintf(size, sizeof(size), " SIZE=%zu", mail.n);
    snprintf(rest, sizeof(rest), " FROM:<%s>%s%s", o->sender, size, body);
    int code = command(c, "MAIL", rest);
    if (code != 250)
        return refused(c, code);
    for (unsigned i = 0; i < o->recipient_count; i++) {
        snprintf(rest, sizeof(rest), " TO:<%s>", o->recipients[i]);
        code = command(c, "RCPT", rest);
        if (code == 0)
            return false;
        if (code / 100 == 2)
            taken++;
        else
            c->result->refused++;
    }
    if (taken == 0)
        return refused(c, code);
    code = command(c, "DATA", "");
    if (code != 354)
        return refused(c, code);
    if (!send_text(c, mail))
        return false;
    c->result->taken++;
    return true;
}

static bool converse(struct client *c, struct span mail)
{
    int code = read_reply(c);

    if (code != 220)
        return refused(c, code);
    if (!greet(c) || (!c->options->clear && !secure(c)))
        return false;
    for (size_t i = 0; c->options->recipient_count > 0 && i < c->options->count; i++)
        if (!send_mail(c, mail))
            return false;
    return true;
}

void client_run(const struct client_options *o, struct span mail, struct client_result *r)
{
    struct client *c = calloc(1, sizeof(*c));

    if (c == NULL)
        sim_die(EXIT_OSERR, "no memory");
    c->options = o;
    c->result = r;
    dial(c);
    if (converse(c, mail) || strcmp(r->failure, "refused") == 0) {
        c->leaving = true;
        (void)command(c, "QUIT", "");
    }
    if (r->refused > 0)
        fail(c, EXIT_UNAVAILABLE, "some recipients were refused");
    conn_close(&c->conn);
    SSL_CTX_free(c->context);
    free(c);
}
