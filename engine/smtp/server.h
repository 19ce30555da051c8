/*
 * smtp_server: the receiving side of SMTP (RFC 5321) without I/O: bytes in, events and replies out.
 *
 *     smtp_server_begin(&s, &config); smtp_server_greet(&s, &out);
 *     for (;;)
 *         switch (smtp_server_next(&s, &in, &out)) {
 *         case SMTP_EV_NEED_INPUT: send what out has; receive; in = …; break;
 *         case SMTP_EV_FLUSH:      send what out has, then call again with the same in; break;
 *         case SMTP_EV_MAIL:       if (…) smtp_server_accept(&s, &out); else smtp_server_reject(…);
 *         …
 *
 * Memory: the session itself keeps no address and no line. Events point into the caller's input.
 * Only a command line that arrives in parts needs memory of its own: then next says
 * SMTP_EV_NEED_LINE, the caller lends a struct smtp_line and calls again, and may take it back
 * (smtp_server_detach) as soon as it is not in use. A caller that does not care attaches one at the
 * start. Message data is never copied.
 *
 * Smuggling: a bare CR or LF in a command line ends the session (500, close). In message data they
 * are content, flagged in `defects`. Bytes behind STARTTLS in the same input end the session (554,
 * close): the caller can't forget it.
 */
#ifndef MGID_SMTP_SERVER_H
#define MGID_SMTP_SERVER_H

#include "data.h"
#include "out.h"
#include "parameters.h"

/* Shared by the sessions of a flow; the caller's, and it outlives them. May be changed for another
 * one (s->config = …) after any event but BODY and while no answer is due. */
struct smtp_server_config {
    struct span hostname;  /* ours: greeting, EHLO, 221, 421; at most LIMIT_DOMAIN bytes */
    uint64_t max_size;     /* of a message; 0: no maximum */
    unsigned max_errors;   /* more commands refused in a session end it with 421 */
    unsigned max_commands; /* more commands, too; 0: no maximum */
    /* For LIMITS (RFC 9422), kept by the caller; 0: not said. */
    unsigned max_recipients; /* of a mail */
    unsigned max_mails;      /* of a session */
    bool offer_starttls;
    bool normalise; /* bare LFs in message data of DATA become CRLF; else they are flagged */
};

struct smtp_line {
    unsigned char bytes[LIMIT_SMTP_COMMAND];
};

enum smtp_event {
    SMTP_EV_NEED_INPUT, /* *in is used up: send out's bytes, then come with more */
    SMTP_EV_FLUSH,      /* out has no room for another reply: send, then call again, same *in */
    SMTP_EV_NEED_LINE,  /* smtp_server_attach, then call again, same *in */
    SMTP_EV_WAIT,       /* an answer is due, or smtp_server_tls_established; nothing was done */
    SMTP_EV_EHLO,       /* name, esmtp; replied to; a transaction under way is dropped */
    SMTP_EV_STARTTLS,   /* answer due */
    SMTP_EV_MAIL,       /* path; answer due */
    SMTP_EV_RCPT,       /* path; answer due */
    SMTP_EV_DATA,       /* answer due: accepting asks the client for the message (354) */
    SMTP_EV_BDAT,       /* the first chunk of a message begins; no answer is due before its end */
    SMTP_EV_BODY,       /* body: a span of message bytes, dots unstuffed */
    SMTP_EV_CHUNK, /* size, defects so far; a chunk that is not the last has ended; answer due */
    SMTP_EV_END_OF_DATA, /* size, defects; answer due: accepting takes the mail over (250) */
    SMTP_EV_RSET,        /* replied to; a transaction under way is dropped */
    SMTP_EV_QUIT,        /* replied to: send out's bytes and close */
    SMTP_EV_CLOSE,       /* close_reason; the last reply is in out: send it and close */
};

enum smtp_close_reason {
    SMTP_CLOSE_NONE,
    SMTP_CLOSE_QUIT,
    SMTP_CLOSE_BARE_LINE_END, /* a bare CR or LF in a command line */
    SMTP_CLOSE_INJECTION,     /* bytes behind STARTTLS */
    SMTP_CLOSE_EARLY,         /* input before the greeting */
    SMTP_CLOSE_BDAT,          /* a chunk's size that can't be read */
    SMTP_CLOSE_HOSTILE,       /* another protocol's verb */
    SMTP_CLOSE_ERRORS,        /* more than max_errors, or LIMIT_SMTP_IDLE_COMMANDS without a mail */
    SMTP_CLOSE_COMMANDS,      /* more than max_commands */
    SMTP_CLOSE_CALLER,        /* smtp_server_close, or a rejection with 421 */
};

/* The members down to `data` are the machine's; tls, esmtp, close_reason, commands, errors,
 * recipients and mails may be read. */
struct smtp_server {
    const struct smtp_server_config *config;
    struct smtp_line *line;
    uint16_t line_used;
    bool skip_cr;   /* the last byte skipped of a line too long was CR */
    bool skip_bdat; /* that line says BDAT */
    uint8_t state;  /* enum smtp_state */
    uint8_t phase;  /* what the bytes are: commands, data … */
    uint8_t due;    /* what an answer is due for */
    bool tls;       /* active */
    bool esmtp;     /* EHLO, not HELO */
    bool utf8;      /* the transaction's MAIL said SMTPUTF8 */
    bool binary;    /* … BODY=BINARYMIME */
    bool chunk_last;
    uint8_t chunk_refusal; /* enum smtp_own_reply: said when all of the chunk was thrown away */
    uint8_t close_reason;  /* enum smtp_close_reason */
    uint32_t commands;     /* lines so far, whatever is in them */
    uint32_t errors;       /* commands refused so far */
    uint32_t idle;         /* commands since the last mail that was accepted */
    uint32_t recipients;   /* accepted in this transaction */
    uint32_t mails;        /* accepted in this session */
    uint64_t chunk;        /* octets of the BDAT under way … */
    uint64_t chunk_left;   /* … of them, still to come */
    struct smtp_data data;

    /* What the last event says. Spans point into its input (or the attached line) and are valid
     * until the next call of smtp_server_next or smtp_server_detach, or until the input's memory
     * is reused. */
    struct span name;      /* EHLO: as the client says, checked for harmful bytes only */
    struct smtp_path path; /* MAIL, RCPT */
    uint64_t size;         /* CHUNK, END_OF_DATA: bytes of content */
    uint8_t defects;       /* CHUNK, END_OF_DATA: enum smtp_defect; in a BINARYMIME message bare
                              line ends, NUL and long lines are none */
    struct span body;      /* BODY */
    const char *refusal;   /* the last refusal that the machine made by itself, for the log:
                                    "501 5.1.7 …" in static memory; NULL: none so far */
};

_Static_assert(sizeof(struct smtp_server) <= 320, "an idle session is cheap");

void smtp_server_begin(struct smtp_server *s, const struct smtp_server_config *config);

/* 220. out has LIMIT_SMTP_OUT bytes free, here and below. A client that speaks before is answered
 * 554 in place of the greeting, and the session ends (RFC 5321 3.1, 4.3.1). */
void smtp_server_greet(struct smtp_server *s, struct smtp_out *out);

/* Consumes from *in, appends to out, returns one event. A consumed byte is never looked at again.
 */
enum smtp_event smtp_server_next(struct smtp_server *s, struct span *in, struct smtp_out *out);

/* Answers the event that is due, at once or later (END_OF_DATA: after the commit): 250, 220 for
 * STARTTLS, 354 for DATA. Room in out is there when answered at once. To accept END_OF_DATA or
 * CHUNK with SMTP_DEFECTS_SMUGGLING or SMTP_DEFECT_TOO_BIG is a bug. After STARTTLS was accepted:
 * what the caller has received before the 220 leaves and has not fed yet is injected clear text;
 * feed it before accepting (next closes the session then). */
void smtp_server_accept(struct smtp_server *s, struct smtp_out *out);

/* The same with a text of the caller's ("queued as …"). */
void smtp_server_accept_text(struct smtp_server *s, struct smtp_out *out, const char *enhanced,
                             struct span text);

/* Refuses with code (400 to 599), enhanced code of the same class, and text. 421 closes the
 * session. A refused RCPT leaves the transaction; END_OF_DATA, CHUNK, DATA (and MAIL) end it or
 * never begin it. A 5xx counts as an error of the session for MAIL and RCPT (address guessing). */
void smtp_server_reject(struct smtp_server *s, struct smtp_out *out, unsigned code,
                        const char *enhanced, struct span text);

/* After STARTTLS was accepted and the handshake is done: all that the client said is forgotten. */
void smtp_server_tls_established(struct smtp_server *s);

/* 421 with that enhanced code and text, at any time: overload, shutting down (4.3.2), time-out
 * (4.4.2), also in place of the greeting and of an answer that is due. next then says CLOSE. */
void smtp_server_close(struct smtp_server *s, struct smtp_out *out, const char *enhanced,
                       struct span text);

/* Lends memory for a partial command line. */
void smtp_server_attach(struct smtp_server *s, struct smtp_line *line);

/* Gives it back: NULL when none was lent or it holds part of a line. */
struct smtp_line *smtp_server_detach(struct smtp_server *s);

/* Begun, and not greeted yet. */
bool smtp_server_silent(const struct smtp_server *s);

/* Where the dialog is (enum smtp_state); in message data of DATA: SMTP_STATE_RCPT. */
enum smtp_state smtp_server_state(const struct smtp_server *s);
bool smtp_server_in_data(const struct smtp_server *s);

/* "bare line end", "errors" …, for the log. */
const char *smtp_close_reason_text(enum smtp_close_reason reason);

#endif
