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
 *         case SMTP_CL_SEND_BODY:  send out, the message, its end; smtp_client_body_sent(&c);
 *         …
 *
 * A mail's events: RCPT_RESULT for each recipient that was answered, perhaps SEND_BODY, then one
 * of DELIVERED and FAILED, then READY (or an end of the session). DELIVERED and FAILED hold for
 * every recipient that no RCPT_RESULT refused. When the session ends without them, by an event or
 * because the connection broke, those recipients are to be tried again.
 *
 * The message goes by BDAT where the server offers CHUNKING and its size is known: c.chunk then is
 * true, and exactly `size` bytes follow as they are. Else it goes by DATA: with its dots stuffed,
 * and ".\r\n" at its end. A chunk of at most LIMIT_SMTP_AHEAD bytes goes together with the envelope
 * (RFC 3030 2, 4.2) to a server that offers PIPELINING: SEND_BODY then comes before the
 * RCPT_RESULTs, and all of the chunk is to be sent whatever they say.
 */
#ifndef MGID_SMTP_CLIENT_H
#define MGID_SMTP_CLIENT_H

#include "envelope.h"

enum smtp_tls_demand {
    SMTP_TLS_NONE,          /* never asked for */
    SMTP_TLS_OPPORTUNISTIC, /* when offered; in clear when not or when the server refuses it */
    SMTP_TLS_REQUIRE,       /* or no mail at all: SMTP_CL_DOWNGRADE */
};

/* The caller's; valid as long as the session. */
struct smtp_client_config {
    struct span hostname; /* for EHLO, at most LIMIT_DOMAIN bytes */
    enum smtp_tls_demand tls;
    bool no_chunking; /* an offer of CHUNKING is not to be believed (chunk_unknown) */
};

enum smtp_client_event {
    SMTP_CL_NEED_INPUT,  /* *in is used up: send out's bytes, then come with more */
    SMTP_CL_FLUSH,       /* out is full: send, then call again, same *in */
    SMTP_CL_WAIT,        /* smtp_client_tls_established, _body_sent or _mail is due */
    SMTP_CL_STARTTLS,    /* the server said 220: begin the handshake */
    SMTP_CL_READY,       /* a mail may be sent, or QUIT */
    SMTP_CL_RCPT_RESULT, /* recipient: its index; reply; verdict */
    SMTP_CL_SEND_BODY,   /* accepted: how many recipients so far; chunk: how */
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
    uint8_t state;      /* private */
    uint8_t over;       /* the event that ended the session */
    uint8_t body;       /* private: how far it is */
    bool tls;           /* active */
    bool verified;      /* the peer is the one that it has to be */
    bool chunk;         /* the mail's body goes by BDAT */
    bool chunk_unknown; /* the server that had offered CHUNKING does not know BDAT */
    bool unsent;        /* the state's command is to be written yet */
    bool mail_ok;       /* MAIL was accepted and the transaction is open */
    bool settled;       /* DELIVERED or FAILED was reported */
    bool told;          /* READY was reported */
    uint32_t total;     /* commands of this envelope: MAIL, a RCPT each, DATA or BDAT */
    uint32_t sent;      /* of them: written … */
    uint32_t answered;  /* … and answered */
    uint32_t mails;     /* delivered over this connection */
    uint32_t begun;     /* mails whose MAIL was written */
    uint32_t replies;   /* read, each in whole: who awaits one sees by it whether it came */

    struct smtp_offer offer; /* the server's, of the last EHLO */

    /* What the last event says; the reply is valid until the next call of smtp_client_next. */
    struct smtp_reply reply;
    enum smtp_verdict verdict;
    uint32_t recipient;
    uint32_t accepted; /* recipients accepted in this mail */
    const char *error; /* static text */
};

void smtp_client_begin(struct smtp_client *c, const struct smtp_client_config *config);

/* Writes commands to out while there is room, consumes from *in, returns one event. A reply that
 * *in has already when its command is to be written answers nothing: PROTOCOL_ERROR. */
enum smtp_client_event smtp_client_next(struct smtp_client *c, struct span *in,
                                        struct smtp_out *out);

/* After STARTTLS: the handshake is done and the caller is content with the peer; verified: it has
 * shown that it is the one that the caller means. A handshake that fails breaks the connection,
 * whatever the demand: an opportunistic caller may connect anew with SMTP_TLS_NONE. What was
 * received in clear and not fed yet when SMTP_CL_STARTTLS came goes to the TLS layer, where it
 * fails; it is never fed to smtp_client_next afterwards. */
void smtp_client_tls_established(struct smtp_client *c, bool verified);

/* After READY. The envelope is the caller's, with all that it points to, until the next READY or
 * the end. What the server does not offer gives FAILED at once, with a reply of our own
 * (smtp_envelope_lack). False, with nothing done, unless smtp_envelope_sendable. Never called while
 * TLS is required and not active: that is a bug. */
bool smtp_client_mail(struct smtp_client *c, const struct smtp_envelope *envelope);

/* What keeps this server from taking it (smtp_envelope_lack). */
enum smtp_lack smtp_client_lack(const struct smtp_client *c, const struct smtp_envelope *e);

/* After READY: has the server's MAILMAX been reached, or its RCPTDOMAINMAX by a caller whose mails
 * have one recipient domain each? Then only QUIT is left. */
static inline bool smtp_client_exhausted(const struct smtp_client *c)
{
    const struct smtp_offer *o = &c->offer;
    return (o->mail_max != 0 && c->begun >= o->mail_max) ||
           (o->rcpt_domain_max != 0 && c->begun >= o->rcpt_domain_max);
}

/* After SEND_BODY: call it before the last bytes of the message are handed to the system, as the
 * answer may be there before their sending is reported. Until it is called, a reply to DATA or BDAT
 * is one in the message's midst: a refusal gives FAILED and then CLOSED, any other reply
 * PROTOCOL_ERROR. */
void smtp_client_body_sent(struct smtp_client *c);

/* After READY, REFUSED or DOWNGRADE: QUIT is written by the next smtp_client_next. In other
 * places the caller simply closes. */
void smtp_client_quit(struct smtp_client *c);

/* Seconds that the awaited reply may take (RFC 5321 4.5.3.2), by what was sent last. They begin
 * anew with what is sent and with each reply (c.replies), never with a part of one. */
unsigned smtp_client_timeout(const struct smtp_client *c);

/* "greeting", "ehlo", "starttls", "mail", "rcpt", "data", "body", "end of data" …, for the log. */
const char *smtp_client_stage(const struct smtp_client *c);

#endif
