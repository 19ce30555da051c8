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
