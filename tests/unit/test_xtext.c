/* What clients say in ORCPT and ENVID. */
#include "engine/mime/xtext.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct {
    const char *in, *out; /* NULL: malformed */
} texts[] = {
    {"", ""},           {"a+2Bb", "a+b"}, {"+3D", "="},   {"a=b", NULL}, {"a b", NULL},
    {"a+2", NULL},      {"a+", NULL},     {"a+2b", NULL}, {"+zz", NULL}, {"\x7f", NULL},
    {"\xc3\xbc", NULL}, {"+FF", "\xff"},  {"~!", "~!"},
};

START_TEST(xtext)
{
    unsigned char out[64];
    size_t n;
    bool ok = xtext_decode(span_str(texts[_i].in), out, &n);
    ck_assert_int_eq(ok, texts[_i].out != NULL);
    if (ok)
        ck_assert(span_eq(span_of(out, n), span_str(texts[_i].out)));
}
END_TEST

static const struct {
    const char *in, *address;
    bool utf8;
} values[] = {
    {"rfc822;a@b.ch", "a@b.ch", false},
    {"RFC822;a+2Bx@b.ch", "a+x@b.ch", false},
    {"utf-8;a\\x{FC}@b.ch", "a\xc3\xbc@b.ch", true},
    {"UTF-8;a\xc3\xbc@b.ch", "a\xc3\xbc@b.ch", true}, /* utf-8-addr-unitext */
    {"utf-8;\\x{5C}\\x{2B}\\x{10FFFF}", "\\+\xf4\x8f\xbf\xbf", true},
    {"rfc822;a\\x{FC}@b.ch", "a\\x{FC}@b.ch", false},
    {"rfc822;\xc3\xbc@b.ch", NULL, false},
    {"rfc822;+C3@b.ch", NULL, false}, /* no UTF-8 */
    {"rfc822;a+0Ab", NULL, false},
    {"rfc822;", NULL, false},
    {"rfc822", NULL, false},
    {";a@b.ch", NULL, false},
    {"x y;a", NULL, false},
    {"utf-8;a\\x{D800}", NULL, true},
    {"utf-8;a\\x{110000}", NULL, true},
    {"utf-8;a\\x{0A}", NULL, true},
    {"utf-8;a\\x{}", NULL, true},
    {"utf-8;a\\x{F", NULL, true},
    {"utf-8;a\\x{0000FC}", "a\xc3\xbc", true},
    {"utf-8;a\\x{00000FC}", NULL, true},
    {"utf-8;a\\y", NULL, true},
    {"utf-8;\\", NULL, true},
    {"utf-8;\xff", NULL, true},
    {"", NULL, false},
};

START_TEST(orcpt)
{
    struct orcpt o;
    bool ok = orcpt_parse(span_str(values[_i].in), &o);
    ck_assert_int_eq(ok, values[_i].address != NULL);
    if (!ok)
        return;
    ck_assert(span_eq(span_of(o.address, o.n), span_str(values[_i].address)));
    ck_assert_int_eq(o.utf8, values[_i].utf8);
}
END_TEST

START_TEST(escapes)
{
    char out[64];
    size_t n = utf8_address_escape(SPAN_LIT("a+=\\ \xc3\xbc\xf0\x9f\x98\x80@b"), out, sizeof out);
    ck_assert(
        span_eq(span_of(out, n), SPAN_LIT("a\\x{2B}\\x{3D}\\x{5C}\\x{20}\\x{FC}\\x{1F600}@b")));
    ck_assert_uint_eq(utf8_address_escape(SPAN_LIT("ab\xc3\xbc"), out, 7),
                      2); /* whole characters */
    ck_assert_uint_eq(utf8_address_escape(SPAN_LIT("ab\xc3\xbc"), out, 8), 8);
    ck_assert_uint_eq(utf8_address_escape(SPAN_EMPTY, out, 8), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("xtext");
    TCase *t = tcase_create("xtext");
    tcase_add_loop_test(t, xtext, 0, (int)COUNT(texts));
    tcase_add_loop_test(t, orcpt, 0, (int)COUNT(values));
    tcase_add_test(t, escapes);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
