/* Wrapping and quoted-printable. */
#include "engine/mime/prose.h"
#include "engine/mime/utf8.h"
#include "limits.h"
#include "status.h"

enum { QUOTED_LINE = 75 }; /* and "=" makes the 76 of RFC 2045 6.7 */

static const char hex[] = "0123456789ABCDEF";

/* ---- bytes ------------------------------------------------------------------------------ */

static void put_byte(struct prose *p, unsigned char c)
{
    unsigned char quoted[] = {'=', (unsigned char)hex[c >> 4], (unsigned char)hex[c & 15]};
    bool plain = p->raw || (c >= ' ' && c < 0x7f && c != '=');
    unsigned n = plain ? 1 : 3;
    if (!p->raw && p->bytes + n > QUOTED_LINE) {
        text_line(p->out, "=");
        p->bytes = 0;
    }
    text_put(p->out, plain ? span_of(&c, 1) : span_of(quoted, sizeof quoted));
    p->bytes += n;
}

static unsigned characters(const unsigned char *s, size_t n)
{
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += (s[i] & 0xc0) != 0x80;
    return count;
}

static void end_line(struct prose *p)
{
    text_line(p->out, "");
    p->column = 0;
    p->bytes = 0;
}

static void flush_word(struct prose *p)
{
    unsigned width = characters(p->word, p->n);
    if (p->n == 0)
        return;
    if (p->column > p->indent && p->column + 1 + width > PROSE_WIDTH)
        end_line(p);
    else if (p->column > p->indent)
        put_byte(p, ' ');
    if (p->column == 0) {
        for (; p->column < p->indent; p->column++)
            put_byte(p, ' ');
    } else {
        p->column++;
    }
    for (size_t i = 0; i < p->n; i++)
        put_byte(p, p->word[i]);
    p->column += width;
    p->n = 0;
}

static void add(struct prose *p, struct span s)
{
    if (s.n > sizeof p->word - p->n)
        return;
    memcpy(p->word + p->n, s.p, s.n);
    p->n += s.n;
}

/* ---- a stranger's text ------------------------------------------------------------------ */

static void add_clean(struct prose *p, struct span s, size_t max, bool split)
{
    unsigned char c[UTF8_MAX];
    size_t taken = 0;
    while (s.n > 0) {
        size_t n;
        size_t used = utf8_shown(s, c, &n);
        if (taken + n > max) {
            add(p, SPAN_LIT("..."));
            return;
        }
        if (split && c[0] == ' ')
            flush_word(p);
        else
            add(p, span_of(c, n));
        taken += n;
        s = span_from(s, used);
    }
}

void prose_words(struct prose *p, struct span s, size_t max)
{
    add_clean(p, s, max, true);
    flush_word(p);
}

void prose_word(struct prose *p, const char *before, struct span s, const char *after)
{
    add(p, span_str(before));
    add_clean(p, s, LIMIT_DSN_SHOWN, false);
    add(p, span_str(after));
    flush_word(p);
}

/* ---- templates -------------------------------------------------------------------------- */

/* "HOST}…": adds that value and returns what stands behind the brace. */
static const char *add_value(struct prose *p, const char *at, const struct prose_value *values)
{
    const char *end = strchr(at, '}');
    BUG_ON(end == NULL);
    while (values->name != NULL &&
           !span_eq(span_of(at, (size_t)(end - at)), span_str(values->name)))
        values++;
    BUG_ON(values->name == NULL);
    add_clean(p, values->text, LIMIT_DSN_SHOWN, true);
    return end + 1;
}

void prose_template(struct prose *p, const char *template, const struct prose_value *values)
{
    while (*template != '\0') {
        if (*template == '{') {
            template = add_value(p, template + 1, values);
            continue;
        }
        if (*template == ' ')
            flush_word(p);
        else
            add(p, span_of(template, 1));
        template ++;
    }
    flush_word(p);
}

void prose_end(struct prose *p)
{
    flush_word(p);
    if (p->column > 0)
        end_line(p);
}

void prose_gap(struct prose *p)
{
    prose_end(p);
    end_line(p);
}

/* ---- subjects --------------------------------------------------------------------------- */

/* The encoded length of a byte in an encoded word, Q form (RFC 2047 4.2). */
static size_t q_length(unsigned char c)
{
    unsigned char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || ascii_digit(c) || c == ' ' ? 1 : 3;
}

static void put_q(struct text *t, unsigned char c)
{
    char quoted[] = {'=', hex[c >> 4], hex[c & 15], '\0'};
    char plain[] = {c == ' ' ? '_' : (char)c, '\0'};
    text_string(t, q_length(c) == 1 ? plain : quoted);
}

void prose_subject(struct text *t, const char *subject)
{
    enum { WORD = 75 }; /* RFC 2047 2 */
    struct span s = span_str(subject);
    size_t i = 0;
    while (i < s.n && s.p[i] < 0x80)
        i++;
    if (i == s.n) {
        text_string(t, subject);
        return;
    }
    for (i = 0; i < s.n;) {
        size_t width = strlen("=?UTF-8?Q?"
                              "?=") +
                       t->column;
        text_string(t, "=?UTF-8?Q?");
        while (i < s.n) {
            size_t n = utf8_length(span_from(s, i));
            size_t needed = 0;
            BUG_ON(n == 0);
            for (size_t k = 0; k < n; k++)
                needed += q_length(s.p[i + k]);
            if (width + needed > WORD)
                break;
            for (size_t k = 0; k < n; k++)
                put_q(t, s.p[i + k]);
            width += needed;
            i += n;
        }
        text_string(t, i < s.n ? "?=\r\n " : "?=");
    }
}
