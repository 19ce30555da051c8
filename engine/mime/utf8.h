/*
 * utf8: reading and writing of single characters (RFC 3629). Pure.
 */
#ifndef MGID_MIME_UTF8_H
#define MGID_MIME_UTF8_H

#include "span.h"

enum { UTF8_MAX = 4, UTF8_REPLACEMENT = 0xfffd };

/* The length of the well-formed character at the begin of s, or 0: no overlong form, no surrogate,
 * nothing above U+10FFFF. */
size_t utf8_length(struct span s);

/* The same, for s that may go on in bytes to come: -1 when it is the begin of a well-formed
 * character that is not complete yet. */
int utf8_prefix(struct span s);

bool utf8_valid(struct span s);

/* Writes the character, which must be a valid one; returns its length. */
size_t utf8_put(uint32_t character, unsigned char out[UTF8_MAX]);

#endif
