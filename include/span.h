/*
 * span: a borrowed run of bytes. A span owns nothing; it is valid as long as the
 * memory it points into, which each function that returns one states.
 */
#ifndef MGID_SPAN_H
#define MGID_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const unsigned char *p;
    size_t n;
};

#define SPAN_EMPTY ((struct span){.p = (const unsigned char *)"", .n = 0})
/* A span over a string literal, without its NUL. */
#define SPAN_LIT(s) ((struct span){.p = (const unsigned char *)(s), .n = sizeof(s) - 1})

static inline struct span span_of(const void *p, size_t n)
{
    return (struct span){.p = p, .n = n};
}

static inline struct span span_str(const char *s)
{
    return (struct span){.p = (const unsigned char *)s, .n = strlen(s)};
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII only: bytes from 0x80 compare as they are. Locale plays no part. */
static inline unsigned char ascii_lower(unsigned char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static inline bool ascii_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* The value of a hexadecimal digit in capitals, as xtext and quoted-printable have it; else -1. */
static inline int ascii_capital_hex(unsigned char c)
{
    if (ascii_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* No byte from 0x80. */
static inline bool span_ascii(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 0x80)
            return false;
    return true;
}

/* Equal, ASCII letters compared without case. */
static inline bool span_ieq(struct span a, struct span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

static inline bool span_istarts(struct span s, struct span prefix)
{
    return s.n >= prefix.n && span_ieq(span_of(s.p, prefix.n), prefix);
}

static inline bool span_iends(struct span s, struct span suffix)
{
    return s.n >= suffix.n && span_ieq(span_of(s.p + (s.n - suffix.n), suffix.n), suffix);
}

/* The part of s from offset on; empty when offset is past the end. */
static inline struct span span_from(struct span s, size_t offset)
{
    if (offset > s.n)
        offset = s.n;
    return span_of(s.p + offset, s.n - offset);
}

/* The first n bytes of s, or all of s when it is shorter. */
static inline struct span span_head(struct span s, size_t n)
{
    return span_of(s.p, n < s.n ? n : s.n);
}

/* s without leading and trailing spaces and tabs. */
static inline struct span span_trim(struct span s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = span_from(s, 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

#endif
