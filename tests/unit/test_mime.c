/* Header scanning, decoding and addresses. */
#include "engine/mime/charset.h"
#include "engine/mime/header.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void check_span(struct span got, const char *expected, const char *what)
{
    ck_assert_msg(span_eq(got, span_str(expected)), "%s: got \"%.*s\", expected \"%s\"", what,
                  (int)got.n, (const char *)got.p, expected);
}

/* ---- decoding --------------------------------------------------------------------------- */

#define BAD "\xef\xbf\xbd"

static const struct {
    const char *raw;
    const char *decoded;
} corpus[] = {
    {"", ""},
    {"plain", "plain"},
    /* the tags that add-ins write */
    {"=?UTF-8?B?PGltPjxjPiBPZmZyZSBmw6l2cmllcg==?=", "<im><c> Offre f\xc3\xa9vrier"},
    {"=?UTF-8?Q?=3Cim=3E?= =?UTF-8?Q?=3Cc=3E?=", "<im><c>"},
    {"=?UTF-8?Q?=3Ci?= =?UTF-8?Q?m=3E?= x", "<im> x"},
    {"=?UTF-8?Q?<i?=\t =?UTF-8?B?bT4=?=", "<im>"},
    {"<i=?UTF-8?Q?m?=>", "<im>"},
    {"=?utf-8?q?=3cim=3e?=", "<im>"},
    {"=?uTf-8?b?PGltPg?=", "<im>"},
    {"=?utf-8?q?<im>_a?=", "<im> a"},
    {"=?iso-8859-1?Q?=3Cim=3E_M=FCller?=", "<im> M\xc3\xbcller"},
    {"=?ISO-8859-1*de-CH?Q?M=FCller?=", "M\xc3\xbcller"},
    {"=?iso-8859-15?Q?=A4_=BD?=", "\xe2\x82\xac \xc5\x93"},
    {"=?windows-1252?Q?=80=93?=", "\xe2\x82\xac\xe2\x80\x9c"},
    {"=?us-ascii?Q?=80?=", "\xe2\x82\xac"},
    {"Re: =?UTF-8?Q?=3Cim=3E?= Offre", "Re: <im> Offre"},
    /* white space: dropped between words, kept elsewhere */
    {"a =?utf-8?q?b?= c", "a b c"},
    {"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"},
    {"=?utf-8?q?a?=   ", "a   "},
    {"=?utf-8?q?a?==?utf-8?q?b?=", "ab"},
    {"=?utf-8?q?a?= =?utf-8?q?b?= =?utf-8?b?Yw==?=", "abc"},
    {"x=?utf-8?q?a?=y", "xay"},
    {"\"=?utf-8?q?a?=\"", "\"a\""},
    /* characters split between words of one charset, in any mix of encodings */
    {"=?utf-8?q?f=C3?= =?UTF-8?B?qXY=?=", "f\xc3\xa9v"},
    {"=?utf-8?q?=F0=9F?= =?utf-8?q?=94=92?=", "\xf0\x9f\x94\x92"},
    {"=?utf-8?q?=C3?= =?iso-8859-1?q?=A9?=", BAD "\xc2\xa9"},
    {"=?utf-8?q?=C3?= x", BAD " x"},
    {"=?utf-8?q?=C3?=", BAD},
    /* broken bytes */
    {"=?utf-8?q?=C0=BCim>?=", BAD BAD "im>"},
    {"=?utf-8?q?=E0=80=80?=", BAD BAD BAD},
    {"=?utf-8?q?=ED=A0=80?=", BAD BAD BAD},
    {"=?utf-8?q?=F5a?=", BAD "a"},
    {"=?utf-8?q?=E2=82x?=", BAD "x"},
    {"=?koi8-r?q?<im>=C1?=", "<im>" BAD},
    {"=?x?b?PGltPg==?=", "<im>"},
    /* what is no encoded word stays */
    {"=?utf-8?q?open", "=?utf-8?q?open"},
    {"=?utf-8?q?", "=?utf-8?q?"},
    {"=?utf-8?q", "=?utf-8?q"},
    {"=?utf-8?", "=?utf-8?"},
    {"=?utf-8", "=?utf-8"},
    {"=?", "=?"},
    {"=", "="},
    {"=??q?a?=", "=??q?a?="},
    {"=?*de?q?a?=", "=?*de?q?a?="},
    {"=?utf-8?x?a?=", "=?utf-8?x?a?="},
    {"=?utf-8?qq?a?=", "=?utf-8?qq?a?="},
    {"=?utf 8?q?a?=", "=?utf 8?q?a?="},
    {"=?utf-8?b?PG(t?=", "=?utf-8?b?PG(t?="},
    {"=?utf-8?b?PA==PA==?=", "=?utf-8?b?PA==PA==?="},
    {"=?utf-8?q?open =?utf-8?q?a?=", "=?utf-8?q?open a"},
    /* liberal where clients are */
    {"=?utf-8?q?<im> raw space?=", "<im> raw space"},
    {"=?utf-8?b?PGlt Pg==?=", "<im>"},
    {"=?utf-8?q?a=?=", "a="},
    {"=?utf-8?q?a=zb=4?=", "a=zb=4"},
    {"=?utf-8?q?\?=", ""},
    {"=?utf-8?b?\?=", ""},
    {"=?utf-8?q?really?_yes?=", "really? yes"},
    {"=?utf-8?b?PGltP?=", "<im"},
    /* raw 8-bit */
    {"f\xc3\xa9v", "f\xc3\xa9v"},
    {"f\xe9v \x80", "f\xc3\xa9v \xe2\x82\xac"},
    {"\xc3\xa9 \xe9.", "\xc3\x83\xc2\xa9 \xc3\xa9."},
    {"\xc3\xa9 cut \xe2\x82", "\xc3\xa9 cut " BAD},
    {"caf\xe9", "caf\xc3\xa9"},
    /* control characters */
    {"a\tb", "a b"},
    {"a\x01\x7f", "a" BAD BAD},
    {"=?utf-8?q?a=0D=0Ab=00=C2=85?=", "a  b" BAD BAD},
    /* joined values */
    {"a\nb", "a\nb"},
    {"=?utf-8?q?a?=\n=?utf-8?q?b?=", "a\nb"},
    {"=?utf-8?q?=C3?=\n=?utf-8?q?=A9?=", BAD "\n" BAD},
    {"\xe9\n\xc3\xa9", "\xc3\xa9\n\xc3\xa9"},
    {"\nb", "\nb"},
    /* look-alikes stay what they are */
    {"\xef\xbc\x9cim\xef\xbc\x9e", "\xef\xbc\x9cim\xef\xbc\x9e"},
    {"=?utf-8?q?=EF=BC=9Cim=EF=BC=9E?=", "\xef\xbc\x9cim\xef\xbc\x9e"},
};

START_TEST(decodes_the_corpus)
{
    unsigned char out[LIMIT_HEADER_DECODED];
    bool truncated = false;
    size_t n = header_decode(span_str(corpus[_i].raw), out, sizeof out, &truncated);
    check_span(span_of(out, n), corpus[_i].decoded, corpus[_i].raw);
    ck_assert(!truncated);
    ck_assert(utf8_valid(span_of(out, n)));
}
END_TEST

/* Every capacity gives a prefix in whole characters, and says so. */
START_TEST(cuts_between_characters)
{
    unsigned char whole[LIMIT_HEADER_DECODED];
    size_t full = header_decode(span_str(corpus[_i].raw), whole, sizeof whole, NULL);
    for (size_t capacity = 0; capacity <= full; capacity++) {
        bool truncated = false;
        unsigned char *out = malloc(capacity + 1);
        size_t n = header_decode(span_str(corpus[_i].raw), out, capacity, &truncated);
        ck_assert_uint_le(n, capacity);
        ck_assert_int_eq(truncated, capacity < full);
        ck_assert_uint_gt(n + 4, capacity);
        ck_assert(memcmp(out, whole, n) == 0);
        ck_assert(utf8_valid(span_of(out, n)));
        free(out);
    }
}
END_TEST

/* Whatever comes in: valid UTF-8, in bounds, no control characters. */
START_TEST(survives_noise)
{
    static const char *const pieces[] = {"=?", "?=", "utf-8", "?q?",  "?b?",  "=C3", "=A9", "=",
                                         "?",  " ",  "\xc3",  "\xe9", "PGlt", "==",  "\n",  "_"};
    unsigned char raw[LIMIT_HEADER_CAPTURE], out[LIMIT_HEADER_DECODED];
    srand(1);
    for (int round = 0; round < 20000; round++) {
        size_t n = 0;
        unsigned count = (unsigned)rand() % 24;
        for (unsigned i = 0; i < count; i++) {
            struct span piece = span_str(pieces[(unsigned)rand() % COUNT(pieces)]);
            memcpy(raw + n, piece.p, piece.n);
            n += piece.n;
            if (rand() % 8 == 0)
                raw[n++] = (unsigned char)rand();
        }
        unsigned char *exact = malloc(n + 1);
        memcpy(exact, raw, n);
        bool truncated = false;
        size_t length = header_decode(span_of(exact, n), out, 3 * n, &truncated);
        free(exact);
        ck_assert(!truncated);
        ck_assert(utf8_valid(span_of(out, length)));
        for (size_t i = 0; i < length; i++)
            ck_assert(out[i] >= 0x20 || out[i] == '\n');
    }
}
END_TEST

/* Nothing grows with the square of what a stranger sends. */
START_TEST(hostile_length_is_cheap)
{
    static unsigned char raw[1 << 20], out[3 << 20];
    static const char *const pieces[] = {"=?", "=?a?q?", "=?a?q?x ", "=?a", "=?a?b?AAA(?="};
    for (size_t p = 0; p < COUNT(pieces); p++) {
        struct span piece = span_str(pieces[p]);
        size_t n = 0;
        for (; n + piece.n <= sizeof raw; n += piece.n)
            memcpy(raw + n, piece.p, piece.n);
        size_t length = header_decode(span_of(raw, n), out, sizeof out, NULL);
        ck_assert(span_eq(span_of(out, length), span_of(raw, n)));
    }
}
END_TEST

/* ---- scanning --------------------------------------------------------------------------- */

enum { SUBJECT, FROM, MESSAGE_ID, RECEIVED, WANTS };

static const struct header_want wants[WANTS] = {
    [SUBJECT] = {.name = SPAN_LIT("Subject"), .mode = HEADER_JOIN},
    [FROM] = {.name = SPAN_LIT("From"), .mode = HEADER_JOIN},
    [MESSAGE_ID] = {.name = SPAN_LIT("message-id"), .mode = HEADER_FIRST},
    [RECEIVED] = {.name = SPAN_LIT("Received"),
                  .mode = HEADER_COUNT,
                  .by = SPAN_LIT("mx1.Example.ch")},
};

static unsigned char buffer[LIMIT_HEADER_BUFFER];
static struct header_scanner scanner;

/* Feeds message in pieces of at most `step` bytes; returns the length of the header section. */
static size_t scan(struct span message, size_t step)
{
    size_t total = 0;
    header_begin(&scanner, wants, WANTS, buffer, sizeof buffer);
    while (total < message.n) {
        struct span piece = span_head(span_from(message, total), step);
        unsigned char *exact = malloc(piece.n);
        memcpy(exact, piece.p, piece.n);
        size_t n = header_feed(&scanner, span_of(exact, piece.n));
        free(exact);
        total += n;
        if (n < piece.n || scanner.done)
            break;
    }
    header_finish(&scanner);
    return total;
}

static const char letter[] =
    "Received: from a by mx2.example.ch with ESMTP; date\r\n"
    "RECEIVED: from b (by mx1.example.ch)\r\n\tBY  mx1.example.ch\r\n (mgid) id 1\r\n"
    "X-Subject: <no>\r\n"
    "Subjec: <no>\r\n"
    "Subject2: <no>\r\n"
    "sUBJECT:  =?UTF-8?Q?=3Ci?=\r\n =?UTF-8?Q?m=3E?= \r\n\tx  \r\n"
    "From : Hans <hans@example.ch>\r\n"
    "Message-ID:\r\n <1@example.ch>\r\n"
    "Subject:\r\n"
    "Message-ID: <2@example.ch>\r\n"
    "From: other@example.org\r\n"
    "Subject: third\r\n"
    "Received: by mx1.example.chat; by\r\n"
    "\r\n"
    "Subject: body\r\n";

START_TEST(finds_fields_however_it_is_cut)
{
    struct span message = SPAN_LIT(letter);
    size_t length = (size_t)(strstr(letter, "Subject: body") - letter);
    for (size_t step = 1; step <= message.n; step++) {
        ck_assert_uint_eq(scan(message, step), length);
        ck_assert(scanner.done && !scanner.malformed && !scanner.bare && !scanner.too_large);
        check_span(header_value(&scanner, SUBJECT),
                   "=?UTF-8?Q?=3Ci?= =?UTF-8?Q?m=3E?= \tx\n\nthird", "Subject");
        check_span(header_value(&scanner, FROM), "Hans <hans@example.ch>\nother@example.org",
                   "From");
        check_span(header_value(&scanner, MESSAGE_ID), "<1@example.ch>", "Message-ID");
        check_span(header_value(&scanner, RECEIVED), "", "Received");
        ck_assert_uint_eq(scanner.fields[SUBJECT].count, 3);
        ck_assert_uint_eq(scanner.fields[FROM].count, 2);
        ck_assert_uint_eq(scanner.fields[MESSAGE_ID].count, 2);
        ck_assert_uint_eq(scanner.fields[RECEIVED].count, 3);
        ck_assert_uint_eq(scanner.fields[RECEIVED].hits, 1);
    }
}
END_TEST

START_TEST(folded_tag_is_decoded)
{
    unsigned char out[64];
    (void)scan(SPAN_LIT("Subject: =?UTF-8?Q?=3Ci?=\r\n =?UTF-8?Q?m=3E=3Cc=3E_f=C3?=\r\n"
                        " =?UTF-8?Q?=A9vrier?=\r\n\r\n"),
               7);
    size_t n = header_decode(header_value(&scanner, SUBJECT), out, sizeof out, NULL);
    check_span(span_of(out, n), "<im><c> f\xc3\xa9vrier", "Subject");
}
END_TEST

static const struct {
    const char *message;
    const char *subject;
    size_t length; /* of the header section; 0: all */
    bool malformed, bare;
} shapes[] = {
    {"\r\nSubject: body\r\n", "", 2, false, false},
    {"Subject: a", "a", 0, false, false},
    {"Subject: a\r\n", "a", 0, false, false},
    {"Subject: a\r", "a", 0, false, true},
    {"Subject", "", 0, true, false},
    {"Subject\r\n b\r\n", "", 0, true, false},
    {" Subject: folded at the begin\r\nSubject: b\r\n\r\n", "b", 0, true, false},
    {": no name\r\nSubject: b\r\n\r\n", "b", 0, true, false},
    {"no colon\r\n Subject: a\r\nSubject: b\r\n\r\n", "b", 0, true, false},
    {"Subject x: a\r\nSubject: b\r\n\r\n", "b", 0, true, false},
    {"S\xc3ubject: a\r\nSubject: b\r\n\r\n", "b", 0, true, false},
    {"Subject:a\nSubject:b\r\n\r\n", "a Subject:b", 0, false, true},
    {"Subject:a\rSubject:b\r\n\r\n", "a Subject:b", 0, false, true},
    {"X: y\n\nSubject: body\r\n\r\n", "", 0, false, true},
    {"X: y\r\rSubject: no\r\n\r\n", "", 0, false, true},
    {"X: y\r\n\nSubject: no\r\n\r\n", "", 0, false, true},
    {"X: y\r\n \r\nSubject: after blanks\r\n\r\n", "after blanks", 0, false, false},
    {"Subject: \r\n \r\n\t\r\n\r\n", "", 0, false, false},
    {"Subject: a\r\n\r\n\r\n", "a", 14, false, false},
};

START_TEST(shapes_of_sections)
{
    struct span message = span_str(shapes[_i].message);
    for (size_t step = 1; step <= message.n; step++) {
        size_t n = scan(message, step);
        ck_assert_uint_eq(n, shapes[_i].length > 0 ? shapes[_i].length : message.n);
        check_span(header_value(&scanner, SUBJECT), shapes[_i].subject, shapes[_i].message);
        ck_assert_int_eq(scanner.malformed, shapes[_i].malformed);
        ck_assert_int_eq(scanner.bare, shapes[_i].bare);
        ck_assert(scanner.done);
        ck_assert_uint_eq(header_feed(&scanner, SPAN_LIT("more")), 0);
    }
}
END_TEST

START_TEST(captures_at_most_its_bound)
{
    static unsigned char message[3 * LIMIT_HEADER_CAPTURE];
    memset(message, 'a', sizeof message);
    memcpy(message, "Subject: ", 9);
    header_begin(&scanner, wants, WANTS, buffer, sizeof buffer);
    (void)header_feed(&scanner, span_of(message, 9 + LIMIT_HEADER_CAPTURE));
    ck_assert(!scanner.fields[SUBJECT].truncated);
    (void)header_feed(&scanner, SPAN_LIT("a\r\nSubject: b\r\nMessage-ID: c\r\n\r\n"));
    ck_assert(scanner.done && scanner.fields[SUBJECT].truncated);
    ck_assert_uint_eq(header_value(&scanner, SUBJECT).n, LIMIT_HEADER_CAPTURE);
    check_span(header_value(&scanner, MESSAGE_ID), "c", "Message-ID");
    ck_assert(!scanner.fields[MESSAGE_ID].truncated);
}
END_TEST

START_TEST(captures_at_most_the_buffer)
{
    unsigned char *small = malloc(5);
    header_begin(&scanner, wants, WANTS, small, 5);
    (void)header_feed(&scanner, SPAN_LIT("Subject: ab\r\nMessage-ID: xyz\r\nSubject: cd\r\n\r\n"));
    check_span(header_value(&scanner, SUBJECT), "ab", "Subject");
    check_span(header_value(&scanner, MESSAGE_ID), "xyz", "Message-ID");
    ck_assert(scanner.fields[SUBJECT].truncated && !scanner.fields[MESSAGE_ID].truncated);
    ck_assert_uint_eq(scanner.fields[SUBJECT].count, 2);
    header_begin(&scanner, wants, WANTS, NULL, 0);
    (void)header_feed(&scanner, SPAN_LIT("Subject: ab\r\n\r\n"));
    ck_assert(scanner.fields[SUBJECT].truncated && header_value(&scanner, SUBJECT).n == 0);
    free(small);
}
END_TEST

START_TEST(limits_of_the_section)
{
    struct span line = SPAN_LIT("X: 0123456789\r\n");
    header_begin(&scanner, wants, WANTS, buffer, sizeof buffer);
    for (unsigned i = 0; i < LIMIT_HEADER_FIELDS; i++)
        (void)header_feed(&scanner, line);
    ck_assert(!scanner.too_large);
    (void)header_feed(&scanner, SPAN_LIT("Subject: late\r\n"));
    ck_assert(scanner.too_large && scanner.fields[SUBJECT].count == 1);
    (void)header_feed(&scanner, SPAN_LIT("\r\n"));
    ck_assert(scanner.done && header_value(&scanner, SUBJECT).n == 0);

    static unsigned char big[LIMIT_HEADERS];
    memset(big, 'x', sizeof big);
    big[1] = ':';
    header_begin(&scanner, wants, WANTS, buffer, sizeof buffer);
    ck_assert_uint_eq(header_feed(&scanner, span_of(big, sizeof big)), sizeof big);
    ck_assert(!scanner.too_large);
    (void)header_feed(&scanner, SPAN_LIT("x"));
    ck_assert(scanner.too_large);
    for (int i = 0; i < 5; i++)
        (void)header_feed(&scanner, span_of(big, sizeof big));
    ck_assert(scanner.too_large && scanner.bytes == LIMIT_HEADERS + 1);
}
END_TEST

/* Two joined fields taking turns, against a plain model. */
START_TEST(joins_interleaved)
{
    char subject[512] = "", from[512] = "", message[2048] = "";
    srand(2);
    for (int i = 0; i < 20; i++) {
        bool one = rand() % 2 == 0;
        char value[24], *to = one ? subject : from;
        (void)snprintf(value, sizeof value, "v%d%.*s", i, rand() % 8, "abcdefgh");
        size_t n = strlen(to), m = strlen(message);
        (void)snprintf(to + n, sizeof subject - n, "%s%s", n > 0 ? "\n" : "", value);
        (void)snprintf(message + m, sizeof message - m, "%s: %s \r\n", one ? "Subject" : "From",
                       value);
    }
    (void)scan(span_str(message), 5);
    check_span(header_value(&scanner, SUBJECT), subject, "Subject");
    check_span(header_value(&scanner, FROM), from, "From");
    struct span rest = header_value(&scanner, SUBJECT), value;
    unsigned count = 0;
    while (header_next_value(&rest, &value))
        count++;
    ck_assert_uint_eq(count, scanner.fields[SUBJECT].count);
}
END_TEST

/* ---- addresses -------------------------------------------------------------------------- */

static const struct {
    const char *from;
    const char *domains; /* of all mailboxes, separated by a space; "-" for one without */
} addresses[] = {
    {"", ""},
    {"   ", ""},
    {"hans@Example.CH", "example.ch"},
    {"hans@example.ch.", "example.ch"},
    {"Hans <hans@example.ch>", "example.ch"},
    {"<hans@example.ch>", "example.ch"},
    {"\"Hans, x@evil.example\" <hans@example.ch>", "example.ch"},
    {"\"quoted \\\" x@evil.example\" <hans@example.ch>", "example.ch"},
    {"\"a@b\"@example.ch", "example.ch"},
    {"<\"a@b\\\"@c\"@example.ch>", "example.ch"},
    {"x@evil.example <hans@example.ch>", "example.ch"},
    {"(x@evil.example) hans@example.ch (y@evil.example)", "example.ch"},
    {"(a (nested \\) x@y) z@w) hans@example.ch", "example.ch"},
    {"hans@(c)example(d).(e)ch", "example.ch"},
    {"hans @ example . ch", "example.ch"},
    {"hans@example.ch trailing", "example.ch"},
    {"<@relay.example,@other.example:hans@example.ch>", "example.ch"},
    {"<hans@first@example.ch>", "example.ch"},
    {"a@x.ch, b@y.ch", "x.ch y.ch"},
    {"A <a@x.ch>, B <b@y.ch>;", "x.ch y.ch"},
    {"A <a@x.ch> B <b@y.ch>", "x.ch y.ch"},
    {"Group: a@x.ch, b@y.ch;, c@z.ch", "x.ch y.ch z.ch"},
    {"undisclosed-recipients:;", ""},
    {"Odd: name <a@x.ch>", "x.ch"},
    {"hans, a@x.ch", "- x.ch"},
    {"hans", "-"},
    {"hans@", "-"},
    {"@", "-"},
    {"<>", "-"},
    {"<hans@example.ch", "example.ch"},
    {"a@[192.0.2.1]", "[192.0.2.1]"},
    {"a@[ IPv6:2001:DB8::1 ]", "[ipv6:2001:db8::1]"},
    {"a@[192.0.2.1", "-"},
    {"a@[]", "-"},
    {"a@x.ch\nb@y.ch", "x.ch y.ch"},
    {"\"open a@x.ch\nb@y.ch", "- y.ch"},
    {"(open a@x.ch\nb@y.ch", "y.ch"},
    {"a@x.ch\\\nb@y.ch", "x.ch\\ y.ch"},
    {"\"x\\\nb@y.ch", "- y.ch"},
    {"=?utf-8?q?x=40evil.example?= <a@x.ch>", "x.ch"},
    {"\xc3\xbc@m\xc3\xbcller.ch", "m\xc3\xbcller.ch"},
};

static size_t list_domains(struct span value, char *out)
{
    unsigned char domain[LIMIT_DOMAIN];
    size_t n = 0, length;
    while (header_next_domain(&value, domain, &length)) {
        if (n > 0)
            out[n++] = ' ';
        if (length == 0)
            out[n++] = '-';
        memcpy(out + n, domain, length);
        n += length;
    }
    return n;
}

START_TEST(domains_of_authors)
{
    char out[256];
    struct span from = span_str(addresses[_i].from);
    size_t n = list_domains(from, out);
    check_span(span_of(out, n), addresses[_i].domains, addresses[_i].from);
    unsigned char first[LIMIT_DOMAIN];
    size_t length = header_mailbox_domain(from, first);
    struct span expected = span_str(addresses[_i].domains);
    if (span_istarts(expected, SPAN_LIT("- ")))
        expected = span_from(expected, 2);
    if (span_eq(expected, SPAN_LIT("-")))
        expected = SPAN_EMPTY;
    const void *space = memchr(expected.p, ' ', expected.n);
    if (space != NULL)
        expected.n = (size_t)((const unsigned char *)space - expected.p);
    ck_assert(span_eq(span_of(first, length), expected));
}
END_TEST

START_TEST(long_domain_is_none)
{
    char from[LIMIT_DOMAIN + 3];
    unsigned char out[LIMIT_DOMAIN];
    memset(from, 'a', sizeof from);
    from[1] = '@';
    ck_assert_uint_eq(header_mailbox_domain(span_of(from, LIMIT_DOMAIN + 2), out), LIMIT_DOMAIN);
    ck_assert_uint_eq(header_mailbox_domain(span_of(from, LIMIT_DOMAIN + 3), out), 0);
    from[2] = '[';
    ck_assert_uint_eq(header_mailbox_domain(span_of(from, LIMIT_DOMAIN + 3), out), 0);
}
END_TEST

START_TEST(addresses_survive_noise)
{
    static const char bytes[] = "a@.,;:<>()\"\\[] \n\t";
    char raw[40];
    unsigned char out[LIMIT_DOMAIN];
    srand(3);
    for (int round = 0; round < 100000; round++) {
        size_t n = (size_t)rand() % sizeof raw, length, turns = 0;
        char *exact = malloc(n + 1);
        for (size_t i = 0; i < n; i++)
            exact[i] = bytes[(size_t)rand() % (sizeof bytes - 1)];
        struct span rest = span_of(exact, n);
        while (header_next_domain(&rest, out, &length))
            ck_assert_uint_le(++turns, n);
        ck_assert_uint_eq(rest.n, 0);
        free(exact);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mime");
    TCase *t = tcase_create("mime");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, decodes_the_corpus, 0, (int)COUNT(corpus));
    tcase_add_loop_test(t, cuts_between_characters, 0, (int)COUNT(corpus));
    tcase_add_test(t, survives_noise);
    tcase_add_test(t, hostile_length_is_cheap);
    tcase_add_test(t, finds_fields_however_it_is_cut);
    tcase_add_test(t, folded_tag_is_decoded);
    tcase_add_loop_test(t, shapes_of_sections, 0, (int)COUNT(shapes));
    tcase_add_test(t, captures_at_most_its_bound);
    tcase_add_test(t, captures_at_most_the_buffer);
    tcase_add_test(t, limits_of_the_section);
    tcase_add_test(t, joins_interleaved);
    tcase_add_loop_test(t, domains_of_authors, 0, (int)COUNT(addresses));
    tcase_add_test(t, long_domain_is_none);
    tcase_add_test(t, addresses_survive_noise);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
