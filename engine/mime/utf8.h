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

/* The value of the well-formed character at the begin of s, of that length. */
uint32_t utf8_value(struct span s, size_t length);

/* Writes the character, which must be a valid one; returns its length. */
size_t utf8_put(uint32_t character, unsigned char out[UTF8_MAX]);

/* The character at the begin of s (s.n > 0) as people may see it: a control character is a space,
 * what is no character or turns the direction of writing (so that text seems to be another) is "?".
 * Writes it, its length to *n, and returns how many bytes of s it took. */
size_t utf8_shown(struct span s, unsigned char out[UTF8_MAX], size_t *n);

#endif
