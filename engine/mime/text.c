/* Bounded, cleaned, folded text. */
#include "engine/mime/text.h"
#include "engine/mime/utf8.h"

void text_put(struct text *t, struct span bytes)
{
    if (t->overflow || bytes.n > t->capacity - t->n) {
        t->overflow = true;
        return;
    }
    if (bytes.n == 0)
        return;
    memcpy(t->p + t->n, bytes.p, bytes.n);
    t->n += bytes.n;
    for (size_t i = 0; i < bytes.n; i++)
        t->column = bytes.p[i] == '\n' ? 0 : t->column + 1;
}

void text_string(struct text *t, const char *string)
{
    text_put(t, span_str(string));
}

void text_line(struct text *t, const char *string)
{
    text_string(t, string);
    text_string(t, "\r\n");
}

static bool is_alnum(unsigned char c)
{
    unsigned char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || ascii_digit(c);
}

static bool one_of(unsigned char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static unsigned char cleaned(enum text_place place, unsigned char c)
{
    bool printable = c > ' ' && c < 0x7f;
    switch (place) {
    case TEXT_TOKEN:
        return is_alnum(c) || one_of(c, "-._") ? c : '?';
    case TEXT_HOST:
        return is_alnum(c) || one_of(c, "-._[]:") ? c : '?';
    case TEXT_ADDRESS:
        printable = printable && !one_of(c, "<>");
        break;
    case TEXT_COMMENT:
        printable = printable && !one_of(c, "()\\");
        break;
    case TEXT_FREE:
        break;
    }
    if (c <= ' ' || c == 0x7f)
        return ' ';
    return printable ? c : '?';
}

void text_clean(struct text *t, enum text_place place, struct span value, size_t max)
{
    for (size_t i = 0; i < value.n && i < max; i++) {
        unsigned char c = cleaned(place, value.p[i]);
        text_put(t, span_of(&c, 1));
    }
}

void text_shown(struct text *t, struct span value, size_t max)
{
    unsigned char c[UTF8_MAX];
    for (size_t taken = 0; value.n > 0;) {
        size_t n;
        size_t used = utf8_shown(value, c, &n);
        taken += n;
        if (taken > max)
            return;
        if (c[0] == '<' || c[0] == '>')
            c[0] = '?';
        text_put(t, span_of(c, n));
        value = span_from(value, used);
    }
}

void text_words(struct text *t, enum text_place place, struct span value, size_t max,
                const char *indent)
{
    bool first = true;
    value = span_head(value, max);
    for (size_t i = 0; i < value.n;) {
        size_t end = i;
        while (end < value.n && cleaned(place, value.p[end]) != ' ')
            end++;
        if (end == i) {
            i++;
            continue;
        }
        if (!first && t->column + 1 + (end - i) > TEXT_WIDTH) {
            text_string(t, "\r\n");
            text_string(t, indent);
        } else if (!first) {
            text_string(t, " ");
        }
        text_clean(t, place, span_of(value.p + i, end - i), end - i);
        first = false;
        i = end;
    }
}
