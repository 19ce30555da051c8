/*
 * encode: the two content transfer encodings that are 7-bit (RFC 2045 6.7, 6.8), streaming. Pure.
 *
 * Content comes as pieces of lines: bytes without their CRLF, and encode_break for a line's end.
 */
#ifndef MGID_MIME_ENCODE_H
#define MGID_MIME_ENCODE_H

#include "text.h"

/* A zeroed struct is the beginning. */
struct encoder {
    bool base64; /* else quoted-printable */
    uint8_t column;
    uint8_t held;           /* base64: bytes of the group under way … */
    unsigned char group[3]; /* … quoted-printable: white space that may end the line, in group[0] */
};

/* At most 3 * bytes.n + bytes.n / 20 + 8 bytes are written. */
void encode_bytes(struct encoder *e, struct span bytes, struct text *out);
void encode_break(struct encoder *e, struct text *out);

/* The content is over; ends the line under way of base64. Of quoted-printable the last line is left
 * open, as the content left it. */
void encode_end(struct encoder *e, struct text *out);

#endif
