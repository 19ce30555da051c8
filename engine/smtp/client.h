/*
 * smtp_client: the sending side of SMTP (RFC 5321) without I/O: replies in, commands and events
 * out.
 *
 *     smtp_client_begin(&c, &config);
 *     for (;;)
 *         switch (smtp_client_next(&c, &in, &out)) {
 *         case SMTP_CL_NEED_INPUT: send what out has; receive (smtp_client_timeout); break;
 *         case SMTP_CL_FLUSH:      send what out has, then call again with the same in; break;
 *         case SMTP_CL_STARTTLS:   handshake; smtp_client_tls_established(&c); break;
 *         case SMTP_CL_READY:      smtp_client_mail(&c, &envelope), or smtp_client_quit(&c);
 *         case SMTP_CL_SEND_BODY:  send out, the message, ".\r\n"; smtp_client_body_sent(&c);
 *         …
 *
 * A mail's events: RCPT_RESULT for each recipient that was answered, perhaps SEND_BODY, then one
 * of DELIVERED and FAILED, then READY (or an end of the session). DELIVERED and FAILED hold for
 * every recipient that no RCPT_RESULT refused. When the session ends without them, by an event or
 * because the connection broke, those recipients are to be tried again.
 */
#ifndef MGID_SMTP_CLIENT_H
#define MGID_SMTP_CLIENT_H

#include "out.h"
#include "reply.h"
#include "verbs.h"

enum smtp_tls_demand {
    SMTP_TLS_NONE,          /* never asked for */
    SMTP_TLS_OPPORTUNISTIC, /* when offered; in clear when not or when the server refuses it */
    SMTP_TLS_REQUIRE,       /* or no mail at all: SMTP_CL_DOWNGRADE */
};

/* The caller's; valid as long as the session. */
struct smtp_client_config {
    struct span hostname; /* for EHLO, at most LIMIT_DOMAIN bytes */
    enum smtp_tls_demand tls;
};

/* The caller's, with all that it points to, from smtp_client_mail to READY or the end. */
struct smtp_envelope {
    struct span sender;            /* local@domain, empty for the null sender */
    const struct span *recipients; /* local@domain */
    uint32_t count;                /* at least 1 */
    uint64_t size;                 /* bytes of the message, for SIZE=; 0: unknown */
    bool eight_bit;                /* BODY=8BITMIME where that is offered */
};

enum smtp_client_event {
    SMTP_CL_NEED_INPUT,  /* *in is used up: send out's bytes, then come with more */
    SMTP_CL_FLUSH,       /* out is full: send, then call again, same *in */
    SMTP_CL_WAIT,        /* smtp_client_tls_established, _body_sent or _mail is due */
    SMTP_CL_STARTTLS,    /* the server said 220: begin the handshake */
    SMTP_CL_READY,       /* a mail may be sent, or QUIT */
    SMTP_CL_RCPT_RESULT, /* recipient: its index; reply; verdict */
    SMTP_CL_SEND_BODY,   /* accepted: how many recipients */
    SMTP_CL_DELIVERED,   /* reply */
    SMTP_CL_FAILED,      /* reply; verdict */
    /* The session is over after each of the following. */
    SMTP_CL_REFUSED,        /* reply; verdict: greeting or EHLO says no */
    SMTP_CL_DOWNGRADE,      /* TLS is required and not to be had; reply: of STARTTLS, or made */
    SMTP_CL_CLOSED,         /* reply: the server said 421, or what it said in the message's midst */
    SMTP_CL_PROTOCOL_ERROR, /* error: what was wrong */
    SMTP_CL_QUIT,           /* QUIT was answered: close */
};

enum smtp_verdict { SMTP_VERDICT_OK, SMTP_VERDICT_TEMPORARY, SMTP_VERDICT_PERMANENT };

struct smtp_client {
    const struct smtp_client_config *config;
    const struct smtp_envelope *envelope;
    uint8_t state;     /* private */
    uint8_t over;      /* the event that ended the session */
    bool tls;          /* active */
    bool unsent;       /* the state's command is to be written yet */
    bool mail_ok;      /* MAIL was accepted and the transaction is open */
    bool settled;      /* DELIVERED or FAILED was reported */
    bool told;         /* READY was reported */
    uint32_t total;    /* commands of this envelope: MAIL, a RCPT each, DATA */
    uint32_t sent;     /* of them: written … */
    uint32_t answered; /* … and answered */
    uint32_t mails;    /* delivered over this connection */

    uint32_t capabilities; /* SMTP_EXTENSION_BIT set of the server */
    uint64_t max_size;     /* the server's, 0 when it names none */

    /* What the last event says; the reply is valid until the next call of smtp_client_next. */
    struct smtp_reply reply;
    enum smtp_verdict verdict;
    uint32_t recipient;
    uint32_t accepted; /* recipients accepted in this mail */
    const char *error; /* static text */
};

void smtp_client_begin(struct smtp_client *c, const struct smtp_client_config *config);

/* Writes commands to out while there is room, consumes from *in, returns one event. */
enum smtp_client_event smtp_client_next(struct smtp_client *c, struct span *in,
                                        struct smtp_out *out);

/* After STARTTLS: the handshake is done and the caller is content with the peer. A handshake that
 * fails breaks the connection, whatever the demand: an opportunistic caller may connect anew with
 * SMTP_TLS_NONE. What was received in clear and not fed yet when SMTP_CL_STARTTLS came goes to the
 * TLS layer, where it fails; it is never fed to smtp_client_next afterwards. */
void smtp_client_tls_established(struct smtp_client *c);

/* After READY. False, with nothing done, when an address is not one by smtp_address_parse. Never
 * called while TLS is required and not active: that is a bug. */
bool smtp_client_mail(struct smtp_client *c, const struct smtp_envelope *envelope);

/* After SEND_BODY: call it before the last bytes of the message with its terminator are handed to
 * the system, as the answer may be there before their sending is reported. Until it is called, a
 * reply is one in the message's midst: a refusal gives FAILED and then CLOSED, any other reply
 * PROTOCOL_ERROR. */
void smtp_client_body_sent(struct smtp_client *c);

/* After READY, REFUSED or DOWNGRADE: QUIT is written by the next smtp_client_next. In other
 * places the caller simply closes. */
void smtp_client_quit(struct smtp_client *c);

static inline bool smtp_client_can(const struct smtp_client *c, enum smtp_extension extension)
{
    return (c->capabilities & SMTP_EXTENSION_BIT(extension)) != 0;
}

/* Seconds that the awaited reply may take (RFC 5321 4.5.3.2), by what was sent last. */
unsigned smtp_client_timeout(const struct smtp_client *c);

/* "greeting", "ehlo", "starttls", "mail", "rcpt", "data", "body", "end of data" …, for the log. */
const char *smtp_client_stage(const struct smtp_client *c);

#endif
