/* Paths and addresses: what is taken, what is refused, and what equals what. */
#include "engine/smtp/address.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define NUL_ SMTP_ADDRESS_NULL
#define BOX SMTP_ADDRESS_MAILBOX
#define PM SMTP_ADDRESS_POSTMASTER

static const struct taken {
    const char *in, *local, *domain, *rest;
    enum smtp_address_kind kind;
} taken[] = {
    {"<a@b>", "a", "b", "", BOX},
    {"<a@b> SIZE=1", "a", "b", " SIZE=1", BOX},
    {"<>", "", "", "", NUL_},
    {"<>x", "", "", "x", NUL_},
    {"<postmaster>", "postmaster", "", "", PM},
    {"<PostMaster>", "PostMaster", "", "", PM},
    {"<Postmaster@Example.CH>", "Postmaster", "Example.CH", "", BOX},
    {"<@r1.example,@r2.example:u@d.example>", "u", "d.example", "", BOX},
    {"<@[127.0.0.1]:u@d>", "u", "d", "", BOX},
    {"<\"a b\"@c>", "\"a b\"", "c", "", BOX},
    {"<\"a>b@c\"@d>", "\"a>b@c\"", "d", "", BOX},
    {"<\"a\\\"b\\\\\"@d>", "\"a\\\"b\\\\\"", "d", "", BOX},
    {"<\"\"@d>", "\"\"", "d", "", BOX},
    {"<a@[192.0.2.1]>", "a", "[192.0.2.1]", "", BOX},
    {"<a@[IPv6:2001:db8::1]>", "a", "[IPv6:2001:db8::1]", "", BOX},
    {"<a@[ipv6:::ffff:192.0.2.1]>", "a", "[ipv6:::ffff:192.0.2.1]", "", BOX},
    {"<a+b=c/d!#$%&'*?^_`{|}~@e-f.g>", "a+b=c/d!#$%&'*?^_`{|}~", "e-f.g", "", BOX},
    {"<.a..b.@c>", ".a..b.", "c", "", BOX},
    {"<a@under_score.example>", "a", "under_score.example", "", BOX},
    {"<hans@gmail.com.incamail.ch.>", "hans", "gmail.com.incamail.ch.", "", BOX},
    {"<a@1.2>", "a", "1.2", "", BOX},
    {"<j\xc3\xbcrg@b>", "j\xc3\xbcrg", "b", "", BOX},
    {"<a@b\xc3\xbc.ch>", "a", "b\xc3\xbc.ch", "", BOX},
    {"<\"\xc3\xbc \xe2\x82\xac\"@b>", "\"\xc3\xbc \xe2\x82\xac\"", "b", "", BOX},
    {"<\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95>",
     "\xe7\x94\xa8\xe6\x88\xb7", "\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95", "", BOX},
};

START_TEST(takes)
{
    const struct taken *t = &taken[_i];
    struct span in = span_str(t->in);
    struct smtp_address a;

    ck_assert_int_eq(smtp_path_parse(&in, &a), SMTP_ADDRESS_OK);
    ck_assert_int_eq(a.kind, t->kind);
    ck_assert(span_eq(a.local, span_str(t->local)));
    ck_assert(span_eq(a.domain, span_str(t->domain)));
    ck_assert(span_eq(in, span_str(t->rest)));
    ck_assert_uint_eq(a.whole.n, a.local.n + a.domain.n + (t->kind == BOX ? 1 : 0));
    ck_assert_int_eq(a.utf8, strpbrk(t->in, "\xc3\xe7") != NULL);
}
END_TEST

#define SYN SMTP_ADDRESS_SYNTAX

static const struct refused {
    const char *in;
    enum smtp_address_status status;
} refused[] = {
    {"", SYN},
    {"<", SYN},
    {"a@b", SYN},
    {"<a@b", SYN},
    {"<a@b >", SYN},
    {"< a@b>", SYN},
    {"<a b@c>", SYN},
    {"<a@b c>", SYN},
    {"<a@b,c@d>", SYN},
    {"<<a@b>>", SYN},
    {"<@>", SYN},
    {"<a@>", SYN},
    {"<@b>", SYN},
    {"<a@b@c>", SYN},
    {"<a@.b>", SYN},
    {"<a@b..c>", SYN},
    {"<a@.>", SYN},
    {"<a@b..>", SYN},
    {"<a@-b>", SYN},
    {"<a@b-.c>", SYN},
    {"<a@b!c>", SYN},
    {"<a@[1.2.3]>", SYN},
    {"<a@[1.2.3.256]>", SYN},
    {"<a@[1.2.3.4>", SYN},
    {"<a@[]>", SYN},
    {"<a@[IPv6:]>", SYN},
    {"<a@[IPv6:1.2.3.4]>", SYN},
    {"<a@[::1]>", SYN},
    {"<a@[x:y]>", SYN},
    {"<a@[IPv6:00000000000000000000000000000000000000000000000000001::1]>", SYN},
    {"<\"a@b>", SYN},
    {"<\"a\\\"@b>", SYN},
    {"<\"a\\", SYN},
    {"<\"a", SYN},
    {"<a", SYN},
    {"<a@", SYN},
    {"<@a", SYN},
    {"<@a,", SYN},
    {"<a@[", SYN},
    {"<\"a\"b@c>", SYN},
    {"<a\"b\"@c>", SYN},
    {"<\"a\tb\"@c>", SYN},
    {"<a\\@b@c>", SYN},
    {"<@a:>", SYN},
    {"<@a,b:c@d>", SYN},
    {"<@a,@:c@d>", SYN},
    {"<@a,:c@d>", SYN},
    {"<:a@b>", SYN},
    {"<a>", SMTP_ADDRESS_NO_DOMAIN},
    {"<\"postmaster\">", SMTP_ADDRESS_NO_DOMAIN},
    {"<j\xc3rg@b>", SYN},      /* no UTF-8 */
    {"<j\xc3\xbc", SYN},       /* cut */
    {"<\xc0\xafx@b>", SYN},    /* overlong */
    {"<\xed\xa0\x80@b>", SYN}, /* a surrogate */
    {"<j\xc2\x85rg@b>", SYN},  /* a control character */
    {"<\"\xc2\x80\"@b>", SYN},
    {"<a@b\xc3.ch>", SYN},
    {"<a@\xe2\x80\x8f.ch>", SYN},  /* right-to-left mark: no domain's */
    {"<a@b\xef\xbc\x8f.ch>", SYN}, /* maps to a slash */
    {"<a@b\xef\xbc\xa0"
     "c.ch>",
     SYN}, /* maps to @ */
};

START_TEST(refuses)
{
    struct span in = span_str(refused[_i].in);
    struct smtp_address a;
    char *memory = malloc(in.n == 0 ? 1 : in.n);

    memcpy(memory, in.p, in.n);
    in.p = (const unsigned char *)memory;
    ck_assert_int_eq(smtp_path_parse(&in, &a), refused[_i].status);
    free(memory);
}
END_TEST

static enum smtp_address_status lengths(unsigned local, unsigned labels, unsigned label)
{
    char text[2000];
    struct smtp_address a;
    size_t n = 0;

    text[n++] = '<';
    for (unsigned i = 0; i < local; i++)
        text[n++] = 'l';
    text[n++] = '@';
    for (unsigned i = 0; i < labels; i++) {
        for (unsigned j = 0; j < label; j++)
            text[n++] = 'd';
        if (i + 1 < labels)
            text[n++] = '.';
    }
    text[n++] = '>';
    struct span in = span_of(text, n);
    return smtp_path_parse(&in, &a);
}

START_TEST(limits)
{
    ck_assert_int_eq(lengths(64, 4, 63), SMTP_ADDRESS_OK); /* domain of 255 */
    ck_assert_int_eq(lengths(65, 4, 63), SMTP_ADDRESS_TOO_LONG);
    ck_assert_int_eq(lengths(64, 128, 1), SMTP_ADDRESS_OK);
    ck_assert_int_eq(lengths(1, 129, 1), SMTP_ADDRESS_TOO_LONG);
    ck_assert_int_eq(lengths(1, 1, 64), SMTP_ADDRESS_SYNTAX);
    ck_assert_int_eq(lengths(200, 1, 10), SMTP_ADDRESS_OK);
    ck_assert_int_eq(lengths(318, 1, 1), SMTP_ADDRESS_OK);
    ck_assert_int_eq(lengths(319, 1, 1), SMTP_ADDRESS_TOO_LONG);
    ck_assert_int_eq(lengths(1000, 1, 1), SMTP_ADDRESS_TOO_LONG);
}
END_TEST

static const struct pair {
    const char *a, *b;
    bool equal;
} pairs[] = {
    {"a@b.ch", "a@B.CH", true},
    {"a@b.ch", "a@b.ch.", true},
    {"a@b.ch", "A@b.ch", false},
    {"a@b.ch", "\"a\"@b.ch", true},
    {"a@b.ch", "\"\\a\"@b.ch", true},
    {"a.b@c", "\"a.b\"@c", true},
    {"a..b@c", "\"a..b\"@c", true},
    {"\"a b\"@c", "\"a\\ b\"@c", true},
    {"\"a\\\"b\"@c", "\"a\\\\b\"@c", false},
    {"\"a@b\"@c", "a@b", false},
    {"\"\"@c", "\"\\\"\"@c", false},
    {"postmaster@c", "POSTmaster@C", true},
    {"postmaster", "Postmaster", true},
    {"postmaster", "postmaster@c", false},
    {"", "postmaster", false},
    {"", "", true},
    {"a@\xc3\xbc.ch", "a@xn--tda.ch", true},
    {"a@\xc3\x9c.CH.", "a@XN--TDA.ch", true},
    {"a@u\xcc\x88.ch", "a@\xc3\xbc.ch", true}, /* composed */
    {"a@\xc3\xbc.ch", "a@u.ch", false},
    {"\xc3\xbc@b.ch", "\xc3\x9c@b.ch", false},
    {"\xc3\xbc@b.ch", "\"\xc3\xbc\"@B.ch", true},
    {"a@stra\xc3\x9f"
     "e.ch",
     "a@strasse.ch", false}, /* RFC 5891, not 3490 */
    {"a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]", true},
};

START_TEST(equality)
{
    struct smtp_address a, b;

    ck_assert_int_eq(smtp_address_parse(span_str(pairs[_i].a), &a), SMTP_ADDRESS_OK);
    ck_assert_int_eq(smtp_address_parse(span_str(pairs[_i].b), &b), SMTP_ADDRESS_OK);
    ck_assert_int_eq(smtp_address_equal(&a, &b), pairs[_i].equal);
    ck_assert_int_eq(smtp_address_equal(&b, &a), pairs[_i].equal);
}
END_TEST

static void canonical_is(const char *text, const char *want)
{
    struct smtp_address a;
    unsigned char out[SMTP_ADDRESS_CANONICAL];

    ck_assert_int_eq(smtp_address_parse(span_str(text), &a), SMTP_ADDRESS_OK);
    size_t n = smtp_address_canonical(&a, out);
    ck_assert(span_eq(span_of(out, n), span_str(want)));
    /* canonical is a fixed point */
    ck_assert_int_eq(smtp_address_parse(span_of(out, n), &a), SMTP_ADDRESS_OK);
    unsigned char again[SMTP_ADDRESS_CANONICAL];
    ck_assert_uint_eq(smtp_address_canonical(&a, again), n);
    ck_assert_mem_eq(out, again, n);
}

START_TEST(canonical)
{
    canonical_is("Hans@GMAIL.com.IncaMail.CH.", "Hans@gmail.com.incamail.ch");
    canonical_is("\"Hans\"@d", "Hans@d");
    canonical_is("\"a\\b c\"@d", "\"ab c\"@d");
    canonical_is("\"a\\\"\\\\\"@d", "\"a\\\"\\\\\"@d");
    canonical_is("\"\"@d", "\"\"@d");
    canonical_is("\"PostMaster\"@D", "postmaster@d");
    canonical_is("J\xc3\xb6rg@B\xc3\x9c.ch", "J\xc3\xb6rg@xn--b-eha.ch");
    canonical_is("", "");
}
END_TEST

START_TEST(ascii_domain)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},
        {"A@B.ch", "A@B.ch"},
        {"J\xc3\xb6@B.ch", "J\xc3\xb6@B.ch"},
        {"J\xc3\xb6@B\xc3\x9c.CH.", "J\xc3\xb6@xn--b-eha.ch"},
        {"postmaster", "postmaster"},
        {"\xff@b", "\xff@b"},
    };
    unsigned char out[SMTP_ADDRESS_CANONICAL];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert(
            span_eq(smtp_address_ascii_domain(span_str(rows[i].in), out), span_str(rows[i].out)));
}
END_TEST

START_TEST(compared)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},
        {"A@B.ch", "A@B.ch"},
        {"\"A\"@B.ch", "A@b.ch"},
        {"\"\\A\"@B.ch.", "A@b.ch"},
        {"\"a b\"@B.ch", "\"a b\"@b.ch"},
        {"\"J\xc3\xb6\"@B\xc3\x9c.ch", "J\xc3\xb6@xn--b-eha.ch"},
        {"\"a", "\"a"},
    };
    unsigned char out[SMTP_ADDRESS_CANONICAL];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert(span_eq(smtp_address_compared(span_str(rows[i].in), out), span_str(rows[i].out)));
}
END_TEST

/* An address that fits only with its domain in U-labels could not be sent on everywhere. */
START_TEST(utf8_length)
{
    char text[600] = {0};
    struct smtp_address a;
    int n = 0;

    for (unsigned local = 250; local < 321; local++) {
        memset(text, 'l', local);
        (void)snprintf(text + local, sizeof text - local, "@\xc3\xbc.ch"); /* 11 in A-labels */
        ck_assert_int_eq(smtp_address_parse(span_str(text), &a),
                         local + 11 <= LIMIT_ADDRESS ? SMTP_ADDRESS_OK : SMTP_ADDRESS_TOO_LONG);
    }
    for (unsigned i = 0; i < 32; i++) /* labels of 4 bytes, 8 in A-labels */
        n += snprintf(text + n, sizeof text - (size_t)n, "%s\xc3\xbc\xc3\xb6", i == 0 ? "a@" : ".");
    ck_assert_int_eq(smtp_address_parse(span_str(text), &a), SMTP_ADDRESS_SYNTAX);
}
END_TEST

START_TEST(without_brackets_all_of_it_counts)
{
    struct smtp_address a;

    ck_assert_int_eq(smtp_address_parse(SPAN_LIT("a@b c"), &a), SYN);
    ck_assert_int_eq(smtp_address_parse(SPAN_LIT("a@b>"), &a), SYN);
    ck_assert_int_eq(smtp_address_parse(SPAN_LIT("a@b\r\nX"), &a), SYN);
    ck_assert_int_eq(smtp_address_parse(SPAN_LIT("<a@b>"), &a), SYN);
    ck_assert_int_eq(smtp_address_parse(SPAN_LIT("@r:a@b"), &a), SYN);
    ck_assert_int_eq(smtp_address_parse(SPAN_LIT("a"), &a), SMTP_ADDRESS_NO_DOMAIN);
    ck_assert(smtp_domain_valid(SPAN_LIT("a.b")));
    ck_assert(!smtp_domain_valid(SPAN_LIT("")));
    ck_assert(!smtp_domain_valid(SPAN_LIT(".")));
    ck_assert(!smtp_domain_valid(SPAN_LIT("[1.2.3.4]")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("smtp_address");
    TCase *tests = tcase_create("address");

    tcase_add_loop_test(tests, takes, 0, sizeof taken / sizeof taken[0]);
    tcase_add_loop_test(tests, refuses, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(tests, limits);
    tcase_add_loop_test(tests, equality, 0, sizeof pairs / sizeof pairs[0]);
    tcase_add_test(tests, canonical);
    tcase_add_test(tests, ascii_domain);
    tcase_add_test(tests, compared);
    tcase_add_test(tests, utf8_length);
    tcase_add_test(tests, without_brackets_all_of_it_counts);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
