/* What rules do beside routing, and conditions on the mail itself. */
#include "tests/unit/policy_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* What goes with a route, and what becomes of those for whom nothing is delivered. */
START_TEST(test_with_route)
{
    struct built b;
    build(&b, SPAN_LIT(HEAD "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"rules\":["
                            "{\"when\":{\"recipient\":\"a.ch\"},\"discard\":true},"
                            "{\"when\":{\"recipient\":\"b.ch\"},\"route\":\"first\","
                            "\"lifetime\":\"4h\",\"priority\":\"high\"},"
                            "{\"route\":\"rest\",\"priority\":\"low\",\"hold\":true}]}}}"));
    struct policy_facts f = envelope("s@x.ch", "r@a.ch");
    struct policy_decision d = policy_decide(&b.p, 0, &f, NULL);
    ck_assert_int_eq(d.outcome, POLICY_DISCARD);
    ck_assert_uint_eq(d.route, POLICY_NONE);
    ck_assert_uint_eq(d.reply.n, 0);
    f = envelope("s@x.ch", "r@b.ch");
    d = policy_decide(&b.p, 0, &f, NULL);
    ck_assert_int_eq(d.outcome, POLICY_ROUTE);
    ck_assert_uint_eq(policy_rule(&b.p, d.rule).lifetime, 4 * 3600);
    ck_assert_int_eq(policy_rule(&b.p, d.rule).priority, PRIORITY_HIGH);
    ck_assert(!policy_rule(&b.p, d.rule).hold && policy_rule(&b.p, 2).hold);
    ck_assert_uint_eq(policy_rule(&b.p, 2).lifetime, 0);
    ck_assert_int_eq(policy_rule(&b.p, 2).priority, PRIORITY_LOW);
    unbuild(&b);
}
END_TEST

/* Conditions that need the mail, and those of the connection. The policy compares the fields A (0)
 * and B (1); their values here are "Confidential" and, of two fields, "one" and "two". */
static const struct {
    const char *when;
    bool match;
} contents[] = {
    {"{\"header\":{\"A\":{\"equals\":\"confidential\"},\"b\":{\"equals\":\"two\"}}}", true},
    {"{\"header\":{\"A\":{\"equals\":\"confidential\"},\"B\":{\"equals\":\"one\"}}}", true},
    {"{\"header\":{\"A\":{\"equals\":\"confidential\",\"case\":true},\"B\":{\"equals\":\"two\"}}}",
     false},
    {"{\"header\":{\"a\":{\"starts\":\"conf\",\"ends\":\"tial\"}}}", true},
    {"{\"header\":{\"a\":{\"starts\":\"conf\",\"ends\":\"conf\"}}}", false},
    {"{\"header\":{\"A\":{\"contains\":[\"x\",\"dent\"]}}}", true},
    {"{\"header\":{\"A\":{\"contains\":\"x\"}}}", false},
    {"{\"not\":{\"header\":{\"A\":{\"contains\":\"x\"}}}}", true},
    {"{\"header\":{\"A\":{\"contains\":\"C\"},\"B\":{\"equals\":\"\"}}}", false},
    {"{\"header\":{\"A\":{\"contains\":\"C\"},\"B\":{\"contains\":\"o\"},\"C\":{\"equals\":\"\"}}}",
     true},
    {"{\"size\":{\"over\":999}}", true},
    {"{\"size\":{\"over\":1000}}", false},
    {"{\"size\":{\"under\":1001}}", true},
    {"{\"size\":{\"under\":1000}}", false},
    {"{\"size\":{\"over\":1,\"under\":\"1K\"}}", true},
    {"{\"tls\":{\"version\":\"1.2\"}}", true},
    {"{\"tls\":{\"version\":\"1.3\"}}", false},
    {"{\"tls\":{\"verified\":true}}", true},
    {"{\"tls\":{\"verified\":false}}", false},
    {"{\"tls\":{\"version\":\"1.2\",\"verified\":true}}", true},
};

START_TEST(test_contents)
{
    struct built b;
    build_when(&b, contents[_i].when);
    const struct span fields[] = {SPAN_LIT("Confidential"), SPAN_LIT("one\ntwo"), SPAN_EMPTY};
    struct policy_facts f = envelope("s@x.ch", "r@y.ch");
    f.tls_version = 12;
    f.tls_verified = true;
    bool at_once = strstr(contents[_i].when, "tls") != NULL;
    struct policy_decision d = policy_decide(&b.p, 0, &f, NULL);
    ck_assert_int_eq(d.outcome, at_once ? POLICY_ROUTE : POLICY_NEED_HEADERS);
    f.have_headers = true;
    f.size = 1000;
    f.fields = fields;
    d = policy_decide(&b.p, 0, &f, NULL);
    ck_assert_uint_eq(d.rule, contents[_i].match ? 0 : 1);
    unbuild(&b);
}
END_TEST

/* As many fields as there may be, and one more; the same name in another case is no other field. */
START_TEST(test_fields)
{
    struct built b;
    struct policy_compilation c;
    char when[4096] = "{\"header\":{\"a0\":{\"equals\":\"x\"}";
    for (unsigned i = 0; i < LIMIT_POLICY_FIELDS; i++) {
        size_t n = strlen(when);
        (void)snprintf(when + n, sizeof when - n, ",\"A%u\":{\"equals\":\"x\"}", i);
    }
    size_t n = strlen(when);
    (void)snprintf(when + n, sizeof when - n, "}}");
    build_when(&b, when);
    ck_assert_uint_eq(policy_count(&b.p, POLICY_FIELDS), LIMIT_POLICY_FIELDS);
    ck_assert(span_eq(policy_field(&b.p, 1), SPAN_LIT("a1")));
    unbuild(&b);
    (void)snprintf(when + n, sizeof when - n, ",\"More\":{\"equals\":\"x\"}}}");
    char *text;
    ck_assert_int_gt(asprintf(&text,
                              HEAD "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"rules\":["
                                   "{\"when\":%s,\"route\":\"rest\"},{\"route\":\"rest\"}]}}}",
                              when),
                     0);
    ck_assert(!policy_compile(span_str(text), &c));
    ck_assert_ptr_nonnull(strstr(c.diagnostics[0].what, "FIELDS can be at most 16"));
    policy_compilation_free(&c);
    free(text);
}
END_TEST

static const struct {
    const char *rule, *recipient, *wanted;
} rewrites[] = {
    {"\"add_suffix\":\".incamail.ch\"", "hans@gmail.com", "hans@gmail.com.incamail.ch"},
    {"\"add_suffix\":\".incamail.ch\"", "hans@gmail.com.", "hans@gmail.com.incamail.ch"},
    {"\"add_suffix\":\".incamail.ch\"", "\"a@b\"@gmail.com", "\"a@b\"@gmail.com.incamail.ch"},
    {"\"add_suffix\":\".incamail.ch\"", "hans@gmail.com.INCAMAIL.ch", "hans@gmail.com.INCAMAIL.ch"},
    {"\"add_suffix\":\".incamail.ch\"", "hans@incamail.ch", "hans@incamail.ch.incamail.ch"},
    {"\"add_suffix\":\".incamail.ch\"", "hans@xincamail.ch", "hans@xincamail.ch.incamail.ch"},
    {"\"add_suffix\":\".incamail.ch\"", "hans@[192.0.2.1]", ""},
    {"\"add_suffix\":\".incamail.ch\"", "postmaster", ""},
    {"\"add_suffix\":\".B\u00fccher.ch\"", "hans@a.ch", "hans@a.ch.xn--bcher-kva.ch"},
    {"\"remove_suffix\":\".incamail.ch\"", "hans@gmail.com.Incamail.ch", "hans@gmail.com"},
    {"\"remove_suffix\":\".incamail.ch\"", "hans@gmail.com", "hans@gmail.com"},
    {"\"remove_suffix\":\".incamail.ch\"", "hans@incamail.ch", "hans@incamail.ch"},
    {"\"remove_suffix\":\".incamail.ch\"", "hans@evil-incamail.ch", "hans@evil-incamail.ch"},
    {"\"remove_suffix\":\".a.ch\",\"add_suffix\":\".b.ch\"", "x@y.a.ch", "x@y.b.ch"},
};

START_TEST(test_rewrites)
{
    struct built b;
    char *text;
    unsigned char out[LIMIT_ADDRESS];
    ck_assert_int_gt(asprintf(&text,
                              HEAD "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"rules\":["
                                   "{\"route\":\"rest\",%s}]}}}",
                              rewrites[_i].rule),
                     0);
    build(&b, span_str(text));
    ck_assert(policy_rule(&b.p, 0).rewrites);
    struct span found = policy_rewrite(&b.p, 0, span_str(rewrites[_i].recipient), out);
    ck_assert_msg(span_eq(found, span_str(rewrites[_i].wanted)), "%.*s", (int)found.n, found.p);
    unbuild(&b);
    free(text);
}
END_TEST

/* The longest that fits, and one byte more. */
START_TEST(test_longest_rewrite)
{
    struct built b;
    unsigned char out[LIMIT_ADDRESS];
    char address[LIMIT_ADDRESS + 1] = "u@";
    build(&b, SPAN_LIT(HEAD "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"rules\":["
                            "{\"route\":\"rest\",\"add_suffix\":\".abc.ch\"}]}}}"));
    memset(address + 2, 'd', LIMIT_DOMAIN - 7);
    ck_assert_uint_eq(policy_rewrite(&b.p, 0, span_str(address), out).n, LIMIT_DOMAIN + 2);
    address[strlen(address)] = 'd';
    ck_assert_uint_eq(policy_rewrite(&b.p, 0, span_str(address), out).n, 0);
    unbuild(&b);
}
END_TEST

START_TEST(test_edits)
{
    struct built b;
    build(&b, SPAN_LIT(HEAD "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"rules\":["
                            "{\"when\":{\"recipient\":\"a.ch\"},\"prefix_subject\":\"<im><c> \","
                            "\"set_header\":{\"X-A\":\"1\"},\"remove_header\":[\"B\",\"C\"],"
                            "\"route\":\"first\"},{\"route\":\"rest\"}]}}}"));
    struct span edits = policy_rule(&b.p, 0).edits;
    ck_assert_msg(span_eq(edits, SPAN_LIT("p8:<im><c> s3:X-A1:1r1:Br1:C")), "%.*s", (int)edits.n,
                  edits.p);
    ck_assert_uint_eq(policy_rule(&b.p, 1).edits.n, 0);
    ck_assert(!policy_rule(&b.p, 1).rewrites);
    unbuild(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy_rules");
    TCase *tc = tcase_create("policy_rules");
    tcase_add_test(tc, test_with_route);
    tcase_add_loop_test(tc, test_contents, 0, sizeof contents / sizeof contents[0]);
    tcase_add_test(tc, test_fields);
    tcase_add_loop_test(tc, test_rewrites, 0, sizeof rewrites / sizeof rewrites[0]);
    tcase_add_test(tc, test_longest_rewrite);
    tcase_add_test(tc, test_edits);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
