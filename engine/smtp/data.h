/*
 * smtp_data: message data as DATA transfers it, both ways (RFC 5321 4.1.1.4, 4.5.2), and as BDAT
 * does (RFC 3030).
 *
 * Only CRLF ends a line and only CRLF "." CRLF ends a message. A bare CR or LF is content: it is
 * flagged, so that the caller refuses the message once all of it was read, and it never starts a
 * line, so that nothing behind it can be taken for a terminator or a command (SMTP smuggling).
 *
 * A receiver may want to mend bare LFs instead (smtp_data_normalise): each becomes CRLF in the
 * content, where it ends a line for whoever is sent it. For the transfer it still ends none: a dot
 * behind it is content that stays, and no end of the message, nor the begin of one.
 */
#ifndef MGID_SMTP_DATA_H
#define MGID_SMTP_DATA_H

#include "out.h"

enum smtp_defect {
    SMTP_DEFECT_BARE_CR = 1 << 0,
    SMTP_DEFECT_BARE_LF = 1 << 1,
    SMTP_DEFECT_NUL = 1 << 2,
    SMTP_DEFECT_LINE_TOO_LONG = 1 << 3, /* over LIMIT_SMTP_TEXT_LINE bytes before the CRLF */
    SMTP_DEFECT_EIGHT_BIT = 1 << 4,     /* a byte from 0x80 */
    SMTP_DEFECT_DOT_LINES = 1 << 5,     /* a line begins with a dot, or the last one has no end
                                           (BDAT): DATA can carry it only stuffed */
    SMTP_DEFECT_TOO_BIG = 1 << 6,       /* over the maximum: the rest was not handed out */
};

/* For which a message is refused whatever the policy says: 550 5.6.11 (RFC 7504's sense). */
#define SMTP_DEFECTS_SMUGGLING (SMTP_DEFECT_BARE_CR | SMTP_DEFECT_BARE_LF)

struct smtp_data {
    uint64_t size; /* content bytes so far, those over the maximum included */
    uint64_t max;  /* 0: no maximum */
    uint32_t line; /* bytes of the line under way; stays at its largest value when it is longer */
    uint8_t state; /* private */
    bool after_cr : 1;
    bool line_start : 1;
    bool normalise : 1;
    uint8_t defects; /* enum smtp_defect */
};

enum smtp_data_step {
    SMTP_DATA_MORE, /* *in is used up */
    SMTP_DATA_BODY, /* *body is content */
    SMTP_DATA_END,  /* the terminator was read; *in is what follows it */
};

void smtp_data_begin(struct smtp_data *d, uint64_t max);

/* Behind smtp_data_begin: a bare LF becomes CRLF in the content, and is no defect. For DATA only.
 */
void smtp_data_normalise(struct smtp_data *d);

/* Takes from the front of *in. Content comes in spans that are as long as they can be (a span ends
 * only at a line that begins with a dot, at a bare LF that is mended, and with the input) and that
 * point into the memory of *in, or to static memory. Any split of the input gives the same content.
 */
enum smtp_data_step smtp_data_next(struct smtp_data *d, struct span *in, struct span *body);

/* Octets of a chunk: all of them are content. Only looks, and counts. */
void smtp_data_octets(struct smtp_data *d, struct span octets);

/* The last chunk has ended. */
void smtp_data_finish(struct smtp_data *d);

/* ---- sending ---------------------------------------------------------------------------- */

/* Needed only for a message with SMTP_DEFECT_DOT_LINES; others are sent as they are, and then
 * ".\r\n". A zeroed struct but for line_start = true is the beginning of a message. */
struct smtp_stuffer {
    bool line_start;
    bool after_cr;
};

void smtp_stuff_begin(struct smtp_stuffer *s);

/* Appends dot-stuffed content to out (down to its last byte; LIMIT_SMTP_OUT plays no part here)
 * and takes from *in what it has written. Returns true when all of *in was. */
bool smtp_stuff(struct smtp_stuffer *s, struct span *in, struct smtp_out *out);

/* What ends the message: ".\r\n", or "\r\n.\r\n" when the content did not end with CRLF. */
struct span smtp_stuff_end(const struct smtp_stuffer *s);

#endif
