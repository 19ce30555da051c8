/* Both versions of the PROXY header. */
#include "engine/proxy/proxy.h"
#include "engine/spool/crc32c.h"
#include <arpa/inet.h>

enum {
    V1_MAX = 107, /* with CRLF, as the protocol says */
    V2_FIXED = 16,
    V2_LOCAL = 0x20, /* version and command, one byte */
    V2_PROXY = 0x21,
    FAMILY_UNSPEC = 0x00, /* family and transport, one byte */
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    FAMILY_UNIX = 0x31,
    TLV_FIXED = 3,
    TLV_CRC32C = 3,
};

_Static_assert(LIMIT_PROXY_HEADER >= V1_MAX, "a header of version 1 fits");

static const struct span v1_start = SPAN_LIT("PROXY ");
static const struct span v2_start = SPAN_LIT("\r\n\r\n\0\r\nQUIT\n");

static enum proxy_result bad(const char **fault, const char *why)
{
    *fault = why;
    return PROXY_BAD;
}

/* ---- version 1 -------------------------------------------------------------------------- */

/* The next part of the line, up to one space or the end; empty when there is none. */
static struct span part(struct span *line)
{
    const unsigned char *space = memchr(line->p, ' ', line->n);
    struct span word = span_head(*line, space ? (size_t)(space - line->p) : line->n);
    *line = span_from(*line, space ? word.n + 1 : word.n);
    return word;
}

static bool address(struct span word, uint8_t family, unsigned char out[16])
{
    char text[INET6_ADDRSTRLEN];
    if (word.n == 0 || word.n >= sizeof text || memchr(word.p, '\0', word.n))
        return false;
    memcpy(text, word.p, word.n);
    text[word.n] = '\0';
    return inet_pton(family == 4 ? AF_INET : AF_INET6, text, out) == 1;
}

/* Decimal, without a leading zero. */
static bool port(struct span word, uint16_t *out)
{
    unsigned n = 0;
    if (word.n == 0 || word.n > 5 || (word.p[0] == '0' && word.n > 1))
        return false;
    for (size_t i = 0; i < word.n; i++) {
        if (!ascii_digit(word.p[i]))
            return false;
        n = n * 10 + (unsigned)(word.p[i] - '0');
    }
    *out = (uint16_t)n;
    return n <= UINT16_MAX;
}

/* The line behind "PROXY ", without CRLF. */
static enum proxy_result v1_line(struct span line, struct proxy_header *out, const char **fault)
{
    unsigned char server[16];
    uint16_t server_port;
    struct span protocol = part(&line);
    if (span_eq(protocol, SPAN_LIT("UNKNOWN"))) {
        out->origin = PROXY_UNKNOWN;
        return PROXY_DONE;
    }
    if (span_eq(protocol, SPAN_LIT("TCP4")))
        out->family = 4;
    else if (span_eq(protocol, SPAN_LIT("TCP6")))
        out->family = 6;
    else
        return bad(fault, "PROXY header names no known protocol");
    out->origin = PROXY_CLIENT;
    if (!address(part(&line), out->family, out->client) ||
        !address(part(&line), out->family, server))
        return bad(fault, "PROXY header has a bad address");
    if (!port(part(&line), &out->client_port))
        return bad(fault, "PROXY header has a bad port");
    /* The last part is the rest, so that a space too many is seen. */
    if (!port(line, &server_port))
        return bad(fault, "PROXY header has a bad port");
    return PROXY_DONE;
}

static enum proxy_result v1(struct span bytes, struct proxy_header *out, const char **fault)
{
    const unsigned char *lf = memchr(bytes.p, '\n', bytes.n < V1_MAX ? bytes.n : V1_MAX);
    if (!lf)
        return bytes.n < V1_MAX ? PROXY_MORE : bad(fault, "PROXY header has no end");
    out->length = (size_t)(lf - bytes.p) + 1;
    struct span line = span_from(span_head(bytes, out->length - 1), v1_start.n);
    if (line.n == 0 || line.p[line.n - 1] != '\r')
        return bad(fault, "PROXY header ends without CRLF");
    return v1_line(span_head(line, line.n - 1), out, fault);
}

/* ---- version 2 -------------------------------------------------------------------------- */

static unsigned number16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Is the value at `at` the checksum of the whole header, itself taken as 0? */
static bool checksum_right(struct span header, size_t at)
{
    static const unsigned char zero[4];
    const unsigned char *p = header.p + at;
    uint32_t said = (uint32_t)number16(p) << 16 | number16(p + 2);
    uint32_t crc = crc32c(0, span_head(header, at));
    crc = crc32c(crc, span_of(zero, sizeof zero));
    return crc32c(crc, span_from(header, at + sizeof zero)) == said;
}

static enum proxy_result tlvs(struct span header, size_t at, const char **fault)
{
    bool summed = false;
    while (at < header.n) {
        if (header.n - at < TLV_FIXED)
            return bad(fault, "PROXY header ends within a TLV");
        unsigned type = header.p[at];
        size_t length = number16(header.p + at + 1);
        at += TLV_FIXED;
        if (length > header.n - at)
            return bad(fault, "PROXY header ends within a TLV");
        if (type == TLV_CRC32C && (summed || length != 4 || !checksum_right(header, at)))
            return bad(fault, "PROXY header has a wrong checksum");
        summed = summed || type == TLV_CRC32C;
        at += length;
    }
    return PROXY_DONE;
}

/* The whole header, its command PROXY. */
static enum proxy_result v2_proxied(struct span header, struct proxy_header *out,
                                    const char **fault)
{
    size_t size = 0; /* of an address */
    size_t block = 0;
    out->origin = PROXY_CLIENT;
    switch (header.p[13]) {
    case FAMILY_UNSPEC:
        out->origin = PROXY_UNKNOWN;
        return PROXY_DONE;
    case FAMILY_UNIX:
        out->origin = PROXY_UNKNOWN;
        block = 216;
        break;
    case FAMILY_TCP4:
        out->family = 4;
        size = 4;
        block = 12;
        break;
    case FAMILY_TCP6:
        out->family = 6;
        size = 16;
        block = 36;
        break;
    default:
        return bad(fault, "PROXY header is not of a TCP connection");
    }
    if (header.n - V2_FIXED < block)
        return bad(fault, "PROXY header is shorter than its addresses");
    memcpy(out->client, header.p + V2_FIXED, size);
    if (size > 0)
        out->client_port = (uint16_t)number16(header.p + V2_FIXED + 2 * size);
    return tlvs(header, V2_FIXED + block, fault);
}

static enum proxy_result v2(struct span bytes, struct proxy_header *out, const char **fault)
{
    if (bytes.n > 12 && bytes.p[12] != V2_LOCAL && bytes.p[12] != V2_PROXY)
        return bad(fault, "PROXY header has an unknown version or command");
    if (bytes.n < V2_FIXED)
        return PROXY_MORE;
    out->length = V2_FIXED + number16(bytes.p + 14);
    if (out->length > LIMIT_PROXY_HEADER)
        return bad(fault, "PROXY header is too long");
    if (bytes.n < out->length)
        return PROXY_MORE;
    if (bytes.p[12] == V2_PROXY)
        return v2_proxied(span_head(bytes, out->length), out, fault);
    out->origin = PROXY_LOCAL;
    return PROXY_DONE;
}

/* ---- either ----------------------------------------------------------------------------- */

/* Do the bytes begin like that, as far as they go? */
static bool begins(struct span bytes, struct span start)
{
    return memcmp(bytes.p, start.p, bytes.n < start.n ? bytes.n : start.n) == 0;
}

enum proxy_result proxy_parse(struct span bytes, struct proxy_header *out, const char **fault)
{
    *out = (struct proxy_header){.length = 0};
    if (bytes.n == 0)
        return PROXY_MORE;
    if (begins(bytes, v1_start))
        return bytes.n < v1_start.n ? PROXY_MORE : v1(bytes, out, fault);
    if (begins(bytes, v2_start))
        return v2(bytes, out, fault);
    return bad(fault, "no PROXY header");
}
