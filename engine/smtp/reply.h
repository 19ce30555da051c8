/*
 * smtp_reply: a reply as a client reads it (RFC 5321 4.2), fed in any split.
 *
 * Strict where leniency would be dangerous: lines end with CRLF only, all lines of a reply have
 * the same code, length and number of lines are bounded. Anything else is malformed, and the
 * connection is of no further use.
 */
#ifndef MGID_SMTP_REPLY_H
#define MGID_SMTP_REPLY_H

#include "limits.h"
#include "span.h"

struct smtp_enhanced {
    uint8_t class; /* 2, 4, 5; 0: the reply has no enhanced code */
    uint16_t subject;
    uint16_t detail;
};

struct smtp_reply {
    uint16_t code; /* 200 to 599 */
    struct smtp_enhanced enhanced;
    /* private from here on: read with the functions below */
    uint8_t state;
    uint8_t digits;
    bool more; /* the line under way has a '-' */
    uint16_t lines;
    uint16_t line_length; /* bytes of the line under way, code included */
    uint16_t line_code;
    uint16_t head; /* text[0..head) are first lines, then comes the line under way or the last */
    uint16_t used;
    unsigned char text[LIMIT_SMTP_REPLY_TEXT];
};

enum smtp_reply_step {
    SMTP_REPLY_MORE, /* *in is used up, the reply is not complete */
    SMTP_REPLY_LINE, /* a line of a multi-line reply that is not its last */
    SMTP_REPLY_DONE, /* the reply is complete */
    SMTP_REPLY_BAD,  /* not a reply */
};

/* Before each reply. */
void smtp_reply_begin(struct smtp_reply *r);

enum smtp_reply_step smtp_reply_next(struct smtp_reply *r, struct span *in);

/* After LINE and DONE: the line's text, without code. Cut to what there is room for, never under
 * LIMIT_SMTP_REPLY_TEXT / 2 bytes. Valid until the next call. */
struct span smtp_reply_line(const struct smtp_reply *r);

/* After DONE: first lines and last line, joined by blanks, enhanced code included where it stood,
 * control characters replaced by '?'. Valid until the next smtp_reply_begin. */
struct span smtp_reply_text(const struct smtp_reply *r);

/* Makes a reply that no peer sent, for a failure found on our side. */
void smtp_reply_make(struct smtp_reply *r, unsigned code, struct smtp_enhanced enhanced,
                     struct span text);

/* "5.7.1" into out (at least 12 bytes), or "" when there is none; returns the length. */
size_t smtp_enhanced_text(struct smtp_enhanced e, char *out);

static inline bool smtp_code_ok(unsigned code)
{
    return code / 100 == 2;
}

static inline bool smtp_code_permanent(unsigned code)
{
    return code / 100 == 5;
}

#endif
