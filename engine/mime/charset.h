/*
 * charset: bytes of a few charsets to characters, fed one at a time. Pure.
 */
#ifndef MGID_MIME_CHARSET_H
#define MGID_MIME_CHARSET_H

#include "engine/mime/utf8.h"

enum charset {
    CHARSET_UNKNOWN, /* ASCII is kept, each other byte is U+FFFD */
    CHARSET_UTF8,
    CHARSET_WINDOWS_1252, /* also us-ascii and iso-8859-1, as clients read them */
    CHARSET_ISO_8859_15,
};

/* By its name in either case, without a language suffix. */
enum charset charset_find(struct span name);

/* All zero but for `charset` is a fresh one. */
struct converter {
    enum charset charset;
    unsigned char pending[UTF8_MAX]; /* the begin of a character */
    size_t pending_count;
};

/* Takes a byte; writes the characters that it completes or breaks (U+FFFD), none to three, and
 * returns how many. */
unsigned charset_convert(struct converter *c, unsigned char byte, uint32_t out[3]);

/* The end of the bytes: true when a character was left incomplete, for which U+FFFD stands. */
bool charset_flush(struct converter *c);

#endif
