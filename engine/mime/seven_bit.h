/*
 * seven_bit: a message with 8-bit or binary content, rewritten for a server that takes neither
 * (RFC 6152 3, RFC 3030 3): each leaf part that says 7bit, 8bit or binary (or nothing) becomes
 * quoted-printable, when it is text, or else base64. Pure; streaming, in bounded memory.
 *
 * The message means the same afterwards, but is not the same bytes: what was signed over the
 * content (DKIM, RFC 6376 5.3) no longer verifies. So multipart/signed and multipart/encrypted are
 * copied as they are, with all that is in them, and what can't be copied in 7 bits refuses the
 * message: 8-bit bytes (binary content: also NUL, a CR or LF on its own, lines over 998 bytes) in
 * one of these, in a header section, in a part that has a 7-bit encoding already, in a message/
 * type other than message/rfc822, in a multipart whose boundary can't be told, or deeper than
 * SEVEN_BIT_DEPTH. In what readers ignore around a multipart's parts they become '?'.
 *
 * A message without MIME-Version is taken for MIME all the same, and gets the field; text without
 * Content-Type gets the charset unknown-8bit (RFC 1428).
 */
#ifndef MGID_MIME_SEVEN_BIT_H
#define MGID_MIME_SEVEN_BIT_H

#include "encode.h"
#include "limits.h"

enum {
    SEVEN_BIT_DEPTH = 8,
    SEVEN_BIT_BOUNDARY = 70, /* RFC 2046 5.1.1 */
    SEVEN_BIT_TYPE = 1024,   /* of a Content-Type's value */
    SEVEN_BIT_ENCODING = 64, /* of a Content-Transfer-Encoding's */
    SEVEN_BIT_LINE = 1000,   /* a line is worked on whole up to here */
    SEVEN_BIT_ROOM = 4096,   /* that a line needs at most in the output */
};

struct seven_bit_boundary {
    uint8_t length;
    bool digest; /* parts without Content-Type are messages (RFC 2046 5.1.5) */
    unsigned char text[SEVEN_BIT_BOUNDARY];
};

struct seven_bit_value {
    uint16_t length;
    bool cut;
    unsigned char text[SEVEN_BIT_TYPE];
};

struct seven_bit {
    const char *refused; /* static text: why it can't be done; nothing more is done then */
    /* private from here on */
    bool binary;
    bool whole;   /* at the beginning of a line */
    bool broken;  /* a line's end was read and not yet written: it may belong to a boundary */
    bool message; /* the header section under way is a message's */
    bool versioned, typed, encoded;
    uint8_t state;
    uint8_t field;
    uint8_t depth;
    uint16_t used;
    struct encoder encoder;
    struct seven_bit_value type;
    uint16_t encoding_length;
    unsigned char encoding[SEVEN_BIT_ENCODING];
    struct seven_bit_boundary boundaries[SEVEN_BIT_DEPTH];
    unsigned char line[SEVEN_BIT_LINE];
};

/* binary: the content may have any bytes (BODY=BINARYMIME), else it is lines. */
void seven_bit_begin(struct seven_bit *s, bool binary);

/* Takes from the front of *in while out has SEVEN_BIT_ROOM bytes free. False: refused. */
bool seven_bit_feed(struct seven_bit *s, struct span *in, struct text *out);

/* The message is over; out has SEVEN_BIT_ROOM bytes free. False: refused. */
bool seven_bit_end(struct seven_bit *s, struct text *out);

#endif
