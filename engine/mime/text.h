/*
 * text: writing header lines into bounded memory, from spans that nobody trusts. Pure; for the
 * files of engine/mime.
 */
#ifndef MGID_MIME_TEXT_H
#define MGID_MIME_TEXT_H

#include "span.h"

enum { TEXT_WIDTH = 78 }; /* RFC 5322 2.1.1: lines should not be longer */

/* `overflow` sticks, and then nothing is written any more. */
struct text {
    unsigned char *p;
    size_t n;
    size_t capacity;
    size_t column; /* bytes since the last line end */
    bool overflow;
};

void text_put(struct text *t, struct span bytes);
void text_string(struct text *t, const char *string);
/* Ends the line with CRLF. */
void text_line(struct text *t, const char *string);

/* What an untrusted span may hold in its place; each other byte is replaced by '?' (or by a space
 * where it is white space or a control character and the place allows spaces). */
enum text_place {
    TEXT_TOKEN,   /* letters, digits and "-._" : queue ids, TLS names */
    TEXT_HOST,    /* also "[]:" : a domain or address literal */
    TEXT_ADDRESS, /* printable ASCII but "<" and ">"; spaces */
    TEXT_COMMENT, /* printable ASCII but parentheses and backslash; spaces */
    TEXT_FREE,    /* printable ASCII; spaces */
};

/* Writes at most max bytes of the span, cleaned. */
void text_clean(struct text *t, enum text_place place, struct span value, size_t max);

/* Writes at most max bytes of the span as UTF-8: see utf8_shown; "<" and ">" become "?". */
void text_shown(struct text *t, struct span value, size_t max);

/* The same in words: runs of spaces become one, and where a word would pass column TEXT_WIDTH it
 * begins a new line with `indent`. Nothing is written before the first word. */
void text_words(struct text *t, enum text_place place, struct span value, size_t max,
                const char *indent);

#endif
