/* UTF-8, one character at a time. */
#include "engine/mime/utf8.h"

/* What the second byte may be after a first byte of each kind: this alone excludes overlong
 * forms, surrogates and what is above U+10FFFF. */
static size_t lead(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    *high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return 2;
    if (c >= 0xe0 && c <= 0xef)
        return 3;
    return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

int utf8_prefix(struct span s)
{
    unsigned char low, high;
    if (s.n == 0)
        return -1;
    size_t length = lead(s.p[0], &low, &high);
    for (size_t i = 1; i < length; i++) {
        if (i == s.n)
            return -1;
        if (s.p[i] < low || s.p[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return (int)length;
}

size_t utf8_length(struct span s)
{
    int length = utf8_prefix(s);
    return length > 0 ? (size_t)length : 0;
}

bool utf8_valid(struct span s)
{
    while (s.n > 0) {
        size_t length = utf8_length(s);
        if (length == 0)
            return false;
        s = span_from(s, length);
    }
    return true;
}

size_t utf8_put(uint32_t character, unsigned char out[UTF8_MAX])
{
    if (character < 0x80) {
        out[0] = (unsigned char)character;
        return 1;
    }
    size_t n = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    out[0] = (unsigned char)(marks[n] | character);
    return n;
}

uint32_t utf8_value(struct span s, size_t length)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = s.p[0] & masks[length];
    for (size_t i = 1; i < length; i++)
        c = c << 6 | (s.p[i] & 0x3fu);
    return c;
}

/* U+0080 to U+009F are controls; the others are marks without a width, and those that turn or hide
 * what stands around them. */
static bool deceives(uint32_t c)
{
    return (c >= 0x80 && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

size_t utf8_shown(struct span s, unsigned char out[UTF8_MAX], size_t *n)
{
    size_t length = utf8_length(s);
    uint32_t c = length > 0 ? utf8_value(s, length) : 0x80;
    *n = 1;
    if (c < ' ' || c == 0x7f) {
        out[0] = ' ';
    } else if (deceives(c)) {
        out[0] = '?';
    } else {
        memcpy(out, s.p, length);
        *n = length;
    }
    return length > 0 ? length : 1;
}
