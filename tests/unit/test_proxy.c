/* The PROXY header: every form at every split, and hostile ones. */
#include "engine/proxy/proxy.h"
#include "engine/spool/crc32c.h"
#include "tests/unit/suite.h"
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BLOCK4 "\xc0\x00\x02\x07\x0a\x00\x00\x01\x30\x39\x00\x19"
#define BLOCK6                                                                                     \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x30\x39" \
    "\x00\x19"

struct good {
    struct span header;
    enum proxy_origin origin;
    const char *client; /* as text; NULL: none */
};

static const struct good good[] = {
    {SPAN_LIT("PROXY TCP4 192.0.2.7 10.0.0.1 12345 25\r\n"), PROXY_CLIENT, "192.0.2.7"},
    {SPAN_LIT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), PROXY_CLIENT,
     "255.255.255.255"},
    {SPAN_LIT("PROXY TCP6 2001:db8::7 2001:db8::1 12345 0\r\n"), PROXY_CLIENT, "2001:db8::7"},
    {SPAN_LIT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
              "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     PROXY_CLIENT, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {SPAN_LIT("PROXY UNKNOWN\r\n"), PROXY_UNKNOWN, NULL},
    {SPAN_LIT("PROXY UNKNOWN ffff::1 what ever \1\r\r\n"), PROXY_UNKNOWN, NULL},
    {SPAN_LIT(SIGNATURE "\x21\x11\x00\x0c" BLOCK4), PROXY_CLIENT, "192.0.2.7"},
    {SPAN_LIT(SIGNATURE "\x21\x21\x00\x24" BLOCK6), PROXY_CLIENT, "2001:db8::7"},
    {SPAN_LIT(SIGNATURE "\x21\x11\x00\x17" BLOCK4 "\x04\x00\x01\x00\x01\x00\x04smtp"), PROXY_CLIENT,
     "192.0.2.7"},
    {SPAN_LIT(SIGNATURE "\x20\x00\x00\x00"), PROXY_LOCAL, NULL},
    {SPAN_LIT(SIGNATURE "\x20\x11\x00\x05xxxxx"), PROXY_LOCAL, NULL},
    {SPAN_LIT(SIGNATURE "\x21\x00\x00\x02xx"), PROXY_UNKNOWN, NULL},
};

static const struct span broken[] = {
    SPAN_LIT("EHLO client.example\r\n"),
    SPAN_LIT("PROXY\r\n"),
    SPAN_LIT("proxy TCP4 192.0.2.7 10.0.0.1 12345 25\r\n"),
    SPAN_LIT("PROXY TCP4 192.0.2.7 10.0.0.1 12345 25\n"),
    SPAN_LIT("PROXY TCP4  192.0.2.7 10.0.0.1 12345 25\r\n"),
    SPAN_LIT("PROXY TCP4 192.0.2.7 10.0.0.1 12345 25 \r\n"),
    SPAN_LIT("PROXY TCP4 192.0.2.7 10.0.0.1 12345 25\r\r\n"),
    SPAN_LIT("PROXY TCP4 192.0.2.7\0 10.0.0.1 12345 25\r\n"),
    SPAN_LIT("PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n"),
    SPAN_LIT("PROXY TCP4 192.0.2.7 10.0.0.1 012345 25\r\n"),
    SPAN_LIT("PROXY TCP4 192.0.2.7 10.0.0.1 65536 25\r\n"),
    SPAN_LIT("PROXY TCP4 192.0.2.7 10.0.0.1 -1 25\r\n"),
    SPAN_LIT("PROXY TCP4 192.0.2.07 10.0.0.1 12345 25\r\n"),
    SPAN_LIT("PROXY TCP4 2001:db8::7 2001:db8::1 12345 25\r\n"),
    SPAN_LIT("PROXY TCP6 192.0.2.7 10.0.0.1 12345 25\r\n"),
    SPAN_LIT("PROXY TCP4 localhost 10.0.0.1 12345 25\r\n"),
    SPAN_LIT("PROXY UDP4 192.0.2.7 10.0.0.1 12345 25\r\n"),
    SPAN_LIT("PROXY \r\n"),
    SPAN_LIT("PROXY TCP4\r\n"),
    SPAN_LIT("\r\n\r\n\r\n"),
    SPAN_LIT(SIGNATURE "\x11\x11\x00\x0c" BLOCK4), /* version 1 in the form of 2 */
    SPAN_LIT(SIGNATURE "\x22\x11\x00\x0c" BLOCK4), /* no such command */
    SPAN_LIT(SIGNATURE "\x21\x12\x00\x0c" BLOCK4), /* UDP */
    SPAN_LIT(SIGNATURE "\x21\x41\x00\x0c" BLOCK4), /* no such family */
    SPAN_LIT(SIGNATURE "\x21\x10\x00\x0c" BLOCK4), /* IPv4 over nothing */
    SPAN_LIT(SIGNATURE "\x21\x11\x00\x0b\xc0\x00\x02\x07\x0a\x00\x00\x01\x30\x39\x00"),
    SPAN_LIT(SIGNATURE "\x21\x21\x00\x0c" BLOCK4), /* IPv6 in the room of IPv4 */
    SPAN_LIT(SIGNATURE "\x21\x31\x00\x0c" BLOCK4), /* UNIX, too */
    SPAN_LIT(SIGNATURE "\x21\x11\x00\x0e" BLOCK4 "\x04\x00"),
    SPAN_LIT(SIGNATURE "\x21\x11\x00\x0f" BLOCK4 "\x04\x00\x01"),
    SPAN_LIT(SIGNATURE "\x21\x11\x00\x13" BLOCK4 "\x03\x00\x04\x00\x00\x00\x00"), /* CRC32C */
    SPAN_LIT(SIGNATURE "\x21\x11\x00\x0f" BLOCK4 "\x03\x00\x00"),
    SPAN_LIT(SIGNATURE "\x20\x00\xff\xff"),
};

/* In memory of exactly that length, so that a byte read too much is an error of ASan's. */
static enum proxy_result parse(struct span bytes, struct proxy_header *out)
{
    unsigned char *copy = malloc(bytes.n > 0 ? bytes.n : 1);
    const char *fault = NULL;
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes.p, bytes.n);
    enum proxy_result r = proxy_parse(span_of(copy, bytes.n), out, &fault);
    ck_assert(r != PROXY_BAD || fault != NULL);
    free(copy);
    return r;
}

START_TEST(test_good)
{
    const struct good *g = &good[_i];
    struct proxy_header h;
    unsigned char more[512];
    for (size_t n = 0; n < g->header.n; n++)
        ck_assert_msg(parse(span_head(g->header, n), &h) == PROXY_MORE, "split at %zu", n);
    memcpy(more, g->header.p, g->header.n);
    memcpy(more + g->header.n, "EHLO x\r\n", 8);
    for (size_t behind = 0; behind <= 8; behind++) {
        ck_assert_int_eq(parse(span_of(more, g->header.n + behind), &h), PROXY_DONE);
        ck_assert_uint_eq(h.length, g->header.n);
        ck_assert_int_eq(h.origin, g->origin);
        ck_assert_uint_eq(h.family != 0, g->client != NULL);
    }
    if (g->client) {
        char text[INET6_ADDRSTRLEN];
        ck_assert_ptr_nonnull(
            inet_ntop(h.family == 4 ? AF_INET : AF_INET6, h.client, text, sizeof text));
        ck_assert_str_eq(text, g->client);
    }
}
END_TEST

START_TEST(test_broken)
{
    struct proxy_header h;
    ck_assert_int_eq(parse(broken[_i], &h), PROXY_BAD);
    /* What comes before may be good so far, but never whole, and once bad it stays bad. */
    bool was_bad = false;
    for (size_t n = 0; n <= broken[_i].n; n++) {
        enum proxy_result r = parse(span_head(broken[_i], n), &h);
        ck_assert_int_ne(r, PROXY_DONE);
        ck_assert(!was_bad || r == PROXY_BAD);
        was_bad = r == PROXY_BAD;
    }
}
END_TEST

START_TEST(test_bounds)
{
    unsigned char bytes[LIMIT_PROXY_HEADER + 1];
    struct proxy_header h;
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "PROXY UNKNOWN ", 14);
    ck_assert_int_eq(parse(span_of(bytes, 106), &h), PROXY_MORE);
    ck_assert_int_eq(parse(span_of(bytes, 107), &h), PROXY_BAD);
    memcpy(bytes + 105, "\r\n", 2);
    ck_assert_int_eq(parse(span_of(bytes, 107), &h), PROXY_DONE);
    ck_assert_uint_eq(h.length, 107);
    memcpy(bytes + 105, "x\r\n", 3);
    ck_assert_int_eq(parse(span_of(bytes, 108), &h), PROXY_BAD);
    /* Version 2: the longest, and one byte more. */
    size_t longest = LIMIT_PROXY_HEADER - 16;
    memcpy(bytes, SIGNATURE "\x20\x00", 14);
    bytes[14] = (unsigned char)(longest >> 8);
    bytes[15] = (unsigned char)longest;
    ck_assert_int_eq(parse(span_of(bytes, LIMIT_PROXY_HEADER - 1), &h), PROXY_MORE);
    ck_assert_int_eq(parse(span_of(bytes, LIMIT_PROXY_HEADER), &h), PROXY_DONE);
    bytes[14] = (unsigned char)((longest + 1) >> 8);
    bytes[15] = (unsigned char)(longest + 1);
    ck_assert_int_eq(parse(span_of(bytes, 16), &h), PROXY_BAD);
}
END_TEST

/* A header with a checksum, and behind it another TLV. */
static size_t summed(unsigned char out[64], unsigned sums)
{
    size_t n = 16 + 12;
    memcpy(out, SIGNATURE "\x21\x11\x00\x0c" BLOCK4, n);
    for (unsigned i = 0; i < sums; i++) {
        memcpy(out + n, "\x03\x00\x04\x00\x00\x00\x00", 7);
        n += 7;
    }
    memcpy(out + n, "\x01\x00\x04smtp", 7);
    n += 7;
    out[15] = (unsigned char)(n - 16);
    uint32_t sum = htonl(crc32c(0, span_of(out, n)));
    for (unsigned i = 0; i < sums; i++)
        memcpy(out + 28 + 7 * i + 3, &sum, 4);
    return n;
}

START_TEST(test_checksum)
{
    unsigned char bytes[64];
    struct proxy_header h;
    size_t n = summed(bytes, 1);
    ck_assert_int_eq(parse(span_of(bytes, n), &h), PROXY_DONE);
    for (size_t i = 16; i < n; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] = (unsigned char)(bytes[i] ^ 1u << bit);
            /* A TLV's type or length may change so that there is no checksum any more. */
            bool about_tlvs = (i >= 28 && i < 31) || (i >= 35 && i < 38);
            ck_assert(about_tlvs || parse(span_of(bytes, n), &h) == PROXY_BAD);
            bytes[i] = (unsigned char)(bytes[i] ^ 1u << bit);
        }
    n = summed(bytes, 2);
    ck_assert_int_eq(parse(span_of(bytes, n), &h), PROXY_BAD);
}
END_TEST

/* Any byte of a good header changed to any other, and bytes at random: an answer, no more. */
START_TEST(test_hostile)
{
    unsigned char bytes[512];
    struct proxy_header h;
    struct span header = good[_i].header;
    for (size_t i = 0; i < header.n; i++)
        for (unsigned c = 0; c < 256; c++) {
            memcpy(bytes, header.p, header.n);
            bytes[i] = (unsigned char)c;
            if (parse(span_of(bytes, header.n), &h) == PROXY_DONE)
                ck_assert_uint_le(h.length, header.n);
        }
    srand(7);
    for (unsigned round = 0; round < 2000; round++) {
        size_t n = (size_t)rand() % sizeof bytes;
        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)rand();
        memcpy(bytes, header.p, header.n < 16 ? header.n : 16);
        if (parse(span_of(bytes, n), &h) == PROXY_DONE)
            ck_assert_uint_le(h.length, n);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proxy");
    TCase *tests = tcase_create("proxy");
    tcase_add_loop_test(tests, test_good, 0, (int)(sizeof good / sizeof good[0]));
    tcase_add_loop_test(tests, test_broken, 0, (int)(sizeof broken / sizeof broken[0]));
    tcase_add_loop_test(tests, test_hostile, 0, (int)(sizeof good / sizeof good[0]));
    tcase_add_test(tests, test_bounds);
    tcase_add_test(tests, test_checksum);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
