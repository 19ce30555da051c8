/* Charset names and tables. */
#include "engine/mime/charset.h"

static const struct {
    const char *name;
    enum charset charset;
} names[] = {
    {"utf-8", CHARSET_UTF8},
    {"utf8", CHARSET_UTF8},
    {"us-ascii", CHARSET_WINDOWS_1252},
    {"ascii", CHARSET_WINDOWS_1252},
    {"ansi_x3.4-1968", CHARSET_WINDOWS_1252},
    {"iso-8859-1", CHARSET_WINDOWS_1252},
    {"iso8859-1", CHARSET_WINDOWS_1252},
    {"iso_8859-1", CHARSET_WINDOWS_1252},
    {"latin1", CHARSET_WINDOWS_1252},
    {"l1", CHARSET_WINDOWS_1252},
    {"cp819", CHARSET_WINDOWS_1252},
    {"windows-1252", CHARSET_WINDOWS_1252},
    {"cp1252", CHARSET_WINDOWS_1252},
    {"cp-1252", CHARSET_WINDOWS_1252},
    {"x-cp1252", CHARSET_WINDOWS_1252},
    {"iso-8859-15", CHARSET_ISO_8859_15},
    {"iso8859-15", CHARSET_ISO_8859_15},
    {"iso_8859-15", CHARSET_ISO_8859_15},
    {"latin-9", CHARSET_ISO_8859_15},
    {"latin9", CHARSET_ISO_8859_15},
};

enum charset charset_find(struct span name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_ieq(name, span_str(names[i].name)))
            return names[i].charset;
    return CHARSET_UNKNOWN;
}

/* 0x80 to 0x9f; the others are those of iso-8859-1, which are Unicode's. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
};

static uint32_t iso_8859_15(unsigned char byte)
{
    switch (byte) {
    case 0xa4:
        return 0x20ac;
    case 0xa6:
        return 0x0160;
    case 0xa8:
        return 0x0161;
    case 0xb4:
        return 0x017d;
    case 0xb8:
        return 0x017e;
    case 0xbc:
        return 0x0152;
    case 0xbd:
        return 0x0153;
    case 0xbe:
        return 0x0178;
    default:
        return byte;
    }
}

static unsigned convert_utf8(struct converter *c, unsigned char byte, uint32_t out[3])
{
    unsigned count = 0;
    c->pending[c->pending_count++] = byte;
    int length = utf8_prefix(span_of(c->pending, c->pending_count));
    if (length == 0 && c->pending_count > 1) { /* the byte begins something new */
        out[count++] = UTF8_REPLACEMENT;
        c->pending[0] = byte;
        c->pending_count = 1;
        length = utf8_prefix(span_of(c->pending, 1));
    }
    if (length < 0)
        return count;
    out[count++] = length == 0
                       ? UTF8_REPLACEMENT
                       : utf8_value(span_of(c->pending, c->pending_count), c->pending_count);
    c->pending_count = 0;
    return count;
}

unsigned charset_convert(struct converter *c, unsigned char byte, uint32_t out[3])
{
    if (c->charset == CHARSET_UTF8)
        return convert_utf8(c, byte, out);
    out[0] = byte;
    if (byte < 0x80)
        return 1;
    if (c->charset == CHARSET_UNKNOWN)
        out[0] = UTF8_REPLACEMENT;
    else if (c->charset == CHARSET_ISO_8859_15)
        out[0] = iso_8859_15(byte);
    else if (byte < 0xa0)
        out[0] = windows_1252[byte - 0x80];
    return 1;
}

bool charset_flush(struct converter *c)
{
    bool incomplete = c->pending_count > 0;
    c->pending_count = 0;
    return incomplete;
}
