/*
 * session: one client of the sink. Strict on purpose (RFC 5321, 2920, 1870, 6152, 3207): what
 * a careless server lets pass is refused here with a reply that names the fault.
 */
#ifndef MGISIM_SESSION_H
#define MGISIM_SESSION_H

#include "bench/sim/conn.h"
#include "bench/sim/content.h"
#include "bench/sim/peer.h"
#include "bench/sim/store.h"

enum {
    SINK_RCPT_RULES = 16,
    SESSION_RECIPIENTS = 1000, /* RFC 5321 4.5.3.1.8 demands 100 */
    SESSION_COMMAND = 2048,    /* command line with parameters, CRLF included */
    SESSION_VERBS = 512,
};

struct sink_options {
    const char *listen;
    const char *hostname;
    struct peer_setup tls;
    bool starttls;
    bool require_tls;
    bool require_certificate;
    bool pipelining;
    bool quiet;
    const char *directory;
    const char *greeting;   /* instead of the 220 */
    const char *data_reply; /* instead of the 250 after a mail */
    int64_t delay;          /* milliseconds before a mail is answered */
    int64_t drop_after;     /* mails of a session after which the next is cut off; -1: never */
    int64_t size_limit;
    unsigned rcpt_rules;
    struct {
        const char *pattern; /* fnmatch(3), without case */
        const char *reply;
    } rcpt[SINK_RCPT_RULES];
};

/* What all sessions of the sink share. */
struct sink {
    struct sink_options options;
    SSL_CTX *context;
    unsigned sessions;
    unsigned mails; /* begun, for the files' numbers */
};

enum session_state {
    SESSION_COMMANDS,
    SESSION_HANDSHAKE,
    SESSION_CONTENT,
    SESSION_HELD,    /* the reply to a mail waits until `resume` */
    SESSION_CLOSING, /* written out, then closed */
    SESSION_GONE
};

struct session {
    struct conn conn;
    struct sink *sink;
    enum session_state state;
    unsigned number;
    char peer[LIMIT_ADDRESS_TEXT];
    char verbs[SESSION_VERBS]; /* the commands so far, for the log */
    const char *fault;         /* what the client did wrong, or NULL */
    struct peer_facts facts;   /* facts.version is NULL in clear */
    bool extended;             /* EHLO, not HELO */
    char helo[LIMIT_DOMAIN + 1];
    bool has_sender;
    char sender[LIMIT_ADDRESS + 1];
    bool body_8bit;
    int64_t declared_size; /* -1: none */
    char *recipients[SESSION_RECIPIENTS];
    unsigned recipient_count;
    struct content content;
    struct store_mail mail;
    unsigned accepted; /* mails */
    int64_t resume;
    char held[512];
};

/* Takes over fd (non-blocking) and greets. NULL: no memory. */
struct session *session_new(struct sink *sink, int fd, const char *peer);
/* Goes on as far as input, output and time allow; the state tells what comes next. */
void session_run(struct session *s);
/* Logs, closes, frees. */
void session_free(struct session *s);

/* ---- between session.c and commands.c ---------------------------------------------------- */

/* Queues a reply line (without CRLF). */
void session_reply(struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Replies, notes the fault, and closes after that. */
void session_refuse(struct session *s, const char *fault, const char *reply);
/* Carries out one command line (without CRLF). */
void session_command(struct session *s, struct span line);
/* Forgets sender and recipients. */
void session_reset(struct session *s);
/* All of the text has come: stores, answers. */
void session_finish_mail(struct session *s);

#endif
