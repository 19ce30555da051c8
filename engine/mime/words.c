/* Folding and encoded words. */
#include "engine/mime/words.h"
#include "engine/mime/utf8.h"
#include "base64.h"

enum { WORD = 75, FRAME = 12 }; /* "=?UTF-8?Q?" and "?=" */

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

/* How far the first word of s goes, with the white space before it. */
static size_t word_end(struct span s)
{
    size_t i = 0;
    while (i < s.n && is_blank(s.p[i]))
        i++;
    while (i < s.n && !is_blank(s.p[i]) && s.p[i] != '\r')
        i++;
    return i;
}

void words_fold(struct text *t, struct span value)
{
    while (value.n > 0) {
        size_t blanks = 0;
        size_t n = word_end(value);
        while (blanks < n && is_blank(value.p[blanks]))
            blanks++;
        /* Not at a line's begin, which a fold there would make the empty line. */
        if (t->column > 0 && blanks > 0 && blanks < n && t->column + n > TEXT_WIDTH)
            text_string(t, "\r\n");
        if (n == 0) /* the CR of a fold that is there */
            n = 1;
        text_put(t, span_head(value, n));
        value = span_from(value, n);
    }
}

void words_space(struct text *t, struct span next)
{
    text_string(t, t->column + 1 + word_end(next) > TEXT_WIDTH ? "\r\n " : " ");
}

/* ---- encoded words ---------------------------------------------------------------------- */

/* What stands for itself in Q: safe in a phrase too (RFC 2047 5). */
static bool is_safe(unsigned char c)
{
    unsigned char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || ascii_digit(c) || (c != 0 && strchr("!*+-/", c));
}

static size_t q_length(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += is_safe(s.p[i]) || s.p[i] == ' ' ? 1 : 3;
    return n;
}

static void put_q(struct text *t, struct span s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = s.p[i];
        unsigned char coded[3] = {'=', (unsigned char)hex[c >> 4], (unsigned char)hex[c & 15]};
        if (c == ' ')
            text_string(t, "_");
        else
            text_put(t, is_safe(c) ? span_of(&c, 1) : span_of(coded, sizeof coded));
    }
}

static void put_b(struct text *t, struct span s)
{
    char coded[BASE64_LENGTH(WORD)];
    text_put(t, span_of(coded, base64_encode(s, coded)));
}

/* The length of the character at the begin of s; of a byte that begins none, 1. */
static size_t character(struct span s)
{
    int n = utf8_prefix(s);
    return n > 0 ? (size_t)n : 1;
}

void words_put(struct text *t, struct span utf8)
{
    bool first = true;
    while (utf8.n > 0) {
        bool base64 = BASE64_LENGTH(utf8.n) < q_length(utf8);
        size_t room = WORD - FRAME;
        if (first && t->column + WORD > TEXT_WIDTH)
            room = t->column + FRAME + 12 < TEXT_WIDTH ? TEXT_WIDTH - t->column - FRAME : room;
        size_t n = 0;
        while (n < utf8.n) {
            struct span more = span_head(utf8, n + character(span_from(utf8, n)));
            if ((base64 ? BASE64_LENGTH(more.n) : q_length(more)) > room)
                break;
            n = more.n;
        }
        if (!first)
            text_string(t, "\r\n ");
        first = false;
        text_string(t, base64 ? "=?UTF-8?B?" : "=?UTF-8?Q?");
        (base64 ? put_b : put_q)(t, span_head(utf8, n));
        text_string(t, "?=");
        utf8 = span_from(utf8, n);
    }
}
