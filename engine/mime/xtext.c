/* xtext, and addresses of the type utf-8. */
#include "engine/mime/xtext.h"
#include "engine/mime/utf8.h"
#include <stdio.h>

/* `eight` lets bytes from 0x80 pass: the raw form of RFC 6533. */
static bool decode(struct span s, bool eight, unsigned char *out, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = s.p[i];
        if (c == '+') {
            int high = i + 2 < s.n ? ascii_capital_hex(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? ascii_capital_hex(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (unsigned char)(16 * high + low);
            i += 2;
        } else if (c < '!' || c == '=' || c == 0x7f || (c >= 0x80 && !eight)) {
            return false;
        }
        out[(*n)++] = c;
    }
    return true;
}

bool xtext_decode(struct span s, unsigned char *out, size_t *n)
{
    return decode(s, false, out, n);
}

/* "\x{F6}" at the begin of s; *used is its length. 0: there is none, or no character. */
static uint32_t embedded(struct span s, size_t *used)
{
    uint32_t c = 0;
    size_t i = 3;
    if (s.n < 5 || memcmp(s.p, "\\x{", 3) != 0)
        return 0;
    for (; i < s.n && i < 9 && ascii_capital_hex(s.p[i]) >= 0; i++)
        c = 16 * c + (uint32_t)ascii_capital_hex(s.p[i]);
    if (i < 5 || i == s.n || s.p[i] != '}')
        return 0;
    *used = i + 1;
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    return surrogate || c > 0x10ffff ? 0 : c;
}

/* Puts the characters in where they are written as "\x{…}", in place: they get shorter. */
static bool unescape(struct orcpt *o)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n;) {
        struct span rest = span_of(o->address + i, o->n - i);
        size_t used = 0;
        if (rest.p[0] != '\\') {
            o->address[n++] = rest.p[0];
            i++;
            continue;
        }
        uint32_t c = embedded(rest, &used);
        if (c == 0)
            return false;
        unsigned char bytes[UTF8_MAX];
        size_t length = utf8_put(c, bytes);
        memcpy(o->address + n, bytes, length);
        n += length;
        i += used;
    }
    o->n = n;
    return true;
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] == 0x7f)
            return true;
    return false;
}

static bool type_valid(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = ascii_lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '-')
            return false;
    }
    return s.n > 0 && s.n <= LIMIT_NAME;
}

bool orcpt_parse(struct span value, struct orcpt *out)
{
    const unsigned char *end = value.n > 0 ? memchr(value.p, ';', value.n) : NULL;
    if (!end || value.n > LIMIT_ORCPT)
        return false;
    out->type = span_head(value, (size_t)(end - value.p));
    out->utf8 = span_ieq(out->type, SPAN_LIT("utf-8"));
    if (!type_valid(out->type) ||
        !decode(span_from(value, out->type.n + 1), out->utf8, out->address, &out->n) ||
        (out->utf8 && !unescape(out)))
        return false;
    struct span address = span_of(out->address, out->n);
    return out->n > 0 && !has_control(address) && utf8_valid(address);
}

size_t utf8_address_escape(struct span s, char *out, size_t capacity)
{
    size_t n = 0;
    while (s.n > 0) {
        char piece[16];
        size_t used = utf8_length(s);
        if (used == 1 && s.p[0] > ' ' && s.p[0] < 0x7f && strchr("+=\\", s.p[0]) == NULL) {
            (void)snprintf(piece, sizeof piece, "%c", s.p[0]);
        } else {
            (void)snprintf(piece, sizeof piece, "\\x{%02X}", used > 0 ? utf8_value(s, used) : 0);
        }
        if (used == 0 || n + strlen(piece) > capacity)
            break;
        memcpy(out + n, piece, strlen(piece));
        n += strlen(piece);
        s = span_from(s, used);
    }
    return n;
}
