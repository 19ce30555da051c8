/* The policy compiler: every error at its place, and texts of any kind. */
#include "policy/compile.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The members that every policy has, and a flow that warns of nothing. */
#define START "{\"version\":1,\"hostname\":\"mx.example.ch\",\"spool\":\"/s\","
#define ROUTE                                                                                      \
    "\"trust\":{\"t\":{\"file\":\"/t.pem\"}},\"routes\":{\"r\":{\"hosts\":\"h.example.ch\","       \
    "\"tls\":{\"require\":true,\"trust\":\"t\"}}},"
#define FLOW(rules)                                                                                \
    "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"domains\":\"example.ch\",\"rules\":[" rules   \
    "]}}}"
#define RULE(when) START ROUTE FLOW("{\"when\":" when ",\"route\":\"r\"},{\"route\":\"r\"}")

static struct policy_compilation compilation;

static void compile(const char *text)
{
    policy_compilation_free(&compilation);
    (void)policy_compile(span_str(text), &compilation);
}

static const char *report(void)
{
    static char text[LIMIT_REPORT];
    policy_report_text(&compilation, SPAN_LIT("p"), text, sizeof text);
    return text;
}

/* ---- errors, each at its place ------------------------------------------------------------ */

static const struct {
    const char *text;
    unsigned line, column;
    const char *pointer, *what, *remedy;
} errors[] = {
    /* no JSON, or none of ours */
    {"", 1, 1, "", "not valid JSON", "comma"},
    {"[]", 1, 1, "", "an object is needed here, not an array", "{"},
    {"7", 1, 1, "", "not valid JSON", ""},
    {"\xef\xbb\xbf{}", 1, 1, "", "byte order mark", "UTF-8"},
    {"{\n \"version\": 1,\n}", 3, 1, "", "not valid JSON", "surplus"},
    {"{\n \"version\": 1 // one\n}", 2, 15, "/version", "not valid JSON", "no comments"},
    {"{\"flows\":{\"a\":[1,2,}]}}", 1, 20, "/flows/a/2", "not valid JSON", ""},
    {"{\n  \"version\": 1,\n  \"hostname\": \"a\",\n  \"version\": 1\n}", 4, 3, "/version",
     "the same key twice", "keep one"},
    {"{\"flows\":{\"f\":{\"l\\\"x\":1,\"l\\\"x\":2}}}", 1, 25, "/flows/f/l\\\"x", "same key twice",
     ""},
    /* keys */
    {START "\"hostnam\":1," ROUTE FLOW("{\"route\":\"r\"}"), 1, 54, "/hostnam",
     "unknown key \"hostnam\"", "did you mean \"hostname\"?"},
    {START ROUTE "\n \"qqqq\": {},\n" FLOW("{\"route\":\"r\"}"), 2, 2, "/qqqq", "unknown key",
     "known here: $schema, version, hostname"},
    {START "\n\"scanners\":{}," ROUTE FLOW("{\"route\":\"r\"}"), 2, 1, "/scanners",
     "this version of mgid can't do \"scanners\"", "take it out"},
    {"{\"version\":1,\"spool\":\"/s\"," ROUTE FLOW("{\"route\":\"r\"}"), 1, 1, "",
     "\"hostname\" is missing", "add it"},
    {"{\"version\":2,\"hostname\":\"a\",\"spool\":\"/s\"," ROUTE FLOW("{\"route\":\"r\"}"), 1, 12,
     "/version", "2 is out of range", "1 to 1"},
    {START "\"a/b~c\":1," ROUTE FLOW("{\"route\":\"r\"}"), 1, 54, "/a~1b~0c", "unknown key", ""},
    /* columns count characters, and lines are those of the text */
    {START "\"log\":{\"file\":\"/\xc3\xa9\xc3\xa9\",\n \"\xe2\x82\xac\": 1, \"x\":2},\n" ROUTE FLOW(
         "{\"route\":\"r\"}"),
     2, 2, "/log/\xe2\x82\xac", "unknown key", "known here: file"},
    {START "\"log\":{\"f\\u0069le\":\n  7}," ROUTE FLOW("{\"route\":\"r\"}"), 2, 3, "/log/file",
     "a string is needed here, not a number", "quotes"},
    /* values */
    {START "\"control\":{\"socket\":\"run/x\"}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 74,
     "/control/socket", "not an absolute path", "/"},
    {START "\"log\":{\"file\":\"/a\\nb\"}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 68, "/log/file",
     "control character", ""},
    {START "\"resolver\":{\"servers\":[\"127.0.0.1\",\n\"x@53\"]}," ROUTE FLOW("{\"route\":\"r\"}"),
     2, 1, "/resolver/servers/1", "not an IP address", "@5353"},
    {START "\"resolver\":{\"servers\":\"127.0.0.1@0\"}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 76,
     "/resolver/servers", "the port", ""},
    {START "\"limits\":{\"message_size\":\"64X\"}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 79,
     "/limits/message_size", "a number of bytes", "64M"},
    {START "\"limits\":{\"message_size\":\"2G\"}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 79,
     "/limits/message_size", "out of range", "1073741824"},
    {START "\"limits\":{\"sessions\":20001}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 75,
     "/limits/sessions", "20001 is out of range", "20000"},
    {START "\"limits\":{\"sessions\":1.5}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 75,
     "/limits/sessions", "a whole number", ""},
    {START "\"limits\":{\"memory\":\"99999999999999999999999G\"}," ROUTE FLOW("{\"route\":\"r\"}"),
     1, 73, "/limits/memory", "a number of bytes", ""},
    {START "\"limits\":{\"memory\":\"17179869185G\"}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 73,
     "/limits/memory", "a number of bytes", ""},
    {START "\"retry\":{\"first\":\"2h\",\"max\":\"1h\"}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 62,
     "/retry", "longer than the longest", "max"},
    {START "\"retry\":{\"first\":\"5 m\"}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 71, "/retry/first",
     "a number of seconds", "5m"},
    /* parts */
    {START "\"identities\":{\"bad name\":{\"certificate\":\"/c\",\"key\":\"/k\"}}," ROUTE FLOW(
         "{\"route\":\"r\"}"),
     1, 68, "/identities/bad name", "can't be a name", "letters"},
    {START "\"identities\":{\"i\":{\"certificate\":\"/c\"}}," ROUTE FLOW("{\"route\":\"r\"}"), 1,
     72, "/identities/i", "\"key\" is missing", ""},
    {START "\"peers\":{\"p\":{}}," ROUTE FLOW("{\"route\":\"r\"}"), 1, 67, "/peers/p",
     "anyone would be this peer", ""},
    {START "\"peers\":{\"p\":{\"addresses\":[\"10.0.0.0/8\",\"10.1.0.5/24\"]}}," ROUTE FLOW(
         "{\"route\":\"r\"}"),
     1, 94, "/peers/p/addresses/1", "bits behind the prefix", "10.1.0.0/24"},
    {START "\"peers\":{\"p\":{\"addresses\":\"10.0.0.0/33\"}}," ROUTE FLOW("{\"route\":\"r\"}"), 1,
     80, "/peers/p/addresses", "prefix length", ""},
    {START "\"peers\":{\"p\":{\"tls\":{\"names\":\"a.ch\"}}}," ROUTE FLOW("{\"route\":\"r\"}"), 1,
     74, "/peers/p/tls", "\"trust\" is missing", ""},
    {START
     "\"trust\":{\"t\":{\"system\":true,\"file\":\"/x\"}},\"routes\":{\"r\":{\"mx\":\"a.ch\"}}"
     "," FLOW("{\"route\":\"r\"}"),
     1, 67, "/trust/t", "both the system's store and a file", "either"},
    {START "\"routes\":{\"r\":{\"mx\":\"a.ch\",\"hosts\":\"b.ch\"}}," FLOW("{\"route\":\"r\"}"), 1,
     68, "/routes/r", "both \"hosts\" and \"mx\"", ""},
    {START "\"routes\":{\"r\":{\"hosts\":\"b.ch\",\"port\":26}}," FLOW("{\"route\":\"r\"}"), 1, 91,
     "/routes/r/port", "goes with \"mx\" alone", "2525"},
    {START "\"routes\":{\"r\":{\"hosts\":\"2001:db8::1\"}}," FLOW("{\"route\":\"r\"}"), 1, 77,
     "/routes/r/hosts", "brackets", "[2001:db8::1]:25"},
    {START "\"routes\":{\"r\":{\"hosts\":\"10.0.0.300:25\"}}," FLOW("{\"route\":\"r\"}"), 1, 77,
     "/routes/r/hosts", "not an IP address", ""},
    {START "\"routes\":{\"r\":{\"hosts\":\"a_b..ch\"}}," FLOW("{\"route\":\"r\"}"), 1, 77,
     "/routes/r/hosts", "a label is empty", ""},
    {START
     "\"routes\":{\"r\":{\"mx\":\"a.ch\",\"tls\":{\"names\":\"a.ch\"}}}," FLOW("{\"route\":\"r\"}"),
     1, 87, "/routes/r/tls", "nothing verifies", "trust"},
    {START
     "\"routes\":{\"r\":{\"mx\":\"a.ch\",\"tls\":{\"mutual\":true}}}," FLOW("{\"route\":\"r\"}"),
     1, 87, "/routes/r/tls", "\"mutual\" without", "identity"},
    {START "\"routes\":{\"r\":{\"mx\":\"a.ch\",\"tls\":{\"trust\":\"t\",\"pins\":\"aa:bb\"}}},"
           "\"trust\":{\"t\":{\"system\":true}}," FLOW("{\"route\":\"r\"}"),
     1, 107, "/routes/r/tls/pins", "no SHA-256 digest", "64 hexadecimal digits"},
    {START "\"routes\":{\"r\":{\"mx\":\"a.ch\",\"tls\":{\"trust\":\"publik\"}}},"
           "\"trust\":{\"public\":{\"system\":true}}," FLOW("{\"route\":\"r\"}"),
     1, 96, "/routes/r/tls/trust", "there is no trust store \"publik\"", "did you mean \"public\""},
    /* flows */
    {START "\"flows\":{}}", 1, 62, "/flows", "no flow", ""},
    {START ROUTE "\"flows\":{\"f\":{\"listen\":\"0.0.0.0\",\"rules\":[{\"route\":\"r\"}]}}}", 1,
     184, "/flows/f/listen", "the port is missing", "0.0.0.0:25"},
    {START ROUTE "\"flows\":{\"f\":{\"listen\":[\"127.0.0.1:25\",\"127.0.0.1:25\"],"
                 "\"rules\":[{\"route\":\"r\"}]}}}",
     1, 200, "/flows/f/listen/1", "listened on already", ""},
    {START ROUTE
     "\"flows\":{\"f\":{\"listen\":\"mx.example.ch:25\",\"rules\":[{\"route\":\"r\"}]}}}",
     1, 184, "/flows/f/listen", "not an IP address", ""},
    {START ROUTE FLOW(""), 1, 230, "/flows/f/rules", "not an empty one", "at least one"},
    {START ROUTE FLOW("{\"when\":{\"sender\":\"a.ch\"},\"route\":\"r\"}"), 1, 231,
     "/flows/f/rules/0", "the last rule has a condition", "without \"when\""},
    {START ROUTE FLOW("{}"), 1, 231, "/flows/f/rules/0", "a rule without an action", ""},
    {START ROUTE FLOW("{\"route\":\"r\",\"reject\":\"550 5.7.1 x\"}"), 1, 231, "/flows/f/rules/0",
     "more than one action", ""},
    {START ROUTE FLOW("{\"discard\":true,\"route\":\"r\"}"), 1, 231, "/flows/f/rules/0",
     "more than one action", "\"discard\""},
    {START ROUTE FLOW("{\"discard\":true,\"priority\":\"high\"}"), 1, 231, "/flows/f/rules/0",
     "\"priority\" without a \"route\"", "take it out"},
    {START ROUTE FLOW("{\"route\":\"r\",\"add_suffix\":\"a.ch\"}"), 1, 257,
     "/flows/f/rules/0/add_suffix", "a suffix begins with a dot", "\".incamail.ch\""},
    {START ROUTE FLOW("{\"route\":\"r\",\"set_header\":{\"A\":\"x\",\"a\":\"y\"}}"), 1, 270,
     "/flows/f/rules/0/set_header/a", "changes the field \"a\" twice", "keep one"},
    {START ROUTE FLOW("{\"route\":\"r\",\"set_header\":{\"Content-Type\":\"x\"}}"), 1, 258,
     "/flows/f/rules/0/set_header/Content-Type", "can't be changed", "how the body"},
    {START ROUTE FLOW("{\"route\":\"r\",\"remove_header\":[\"A\",\"Received\"]}"), 1, 265,
     "/flows/f/rules/0/remove_header/1", "can't be changed", "Received"},
    {START ROUTE FLOW("{\"route\":\"r\",\"prefix_subject\":\" x\"}"), 1, 261,
     "/flows/f/rules/0/prefix_subject", "can't begin with a space", ""},
    {START ROUTE FLOW("{\"discard\":false}"), 1, 242, "/flows/f/rules/0/discard",
     "only when it is true", ""},
    {START ROUTE FLOW("{\"route\":\"r\",\"lifetime\":\"31d\"}"), 1, 255,
     "/flows/f/rules/0/lifetime", "out of range", ""},
    {START
     "\"resolver\":{\"dnssec\":false},"
     "\"routes\":{\"r\":{\"mx\":\"recipient\",\"tls\":{\"dane\":true}}}," FLOW("{\"route\":\"r\"}"),
     1, 128, "/routes/r/tls/dane", "no answer is validated", "\"dnssec\""},
    {START ROUTE FLOW("{\"route\":\"rr\"}"), 1, 240, "/flows/f/rules/0/route",
     "there is no route \"rr\"", "define the route"},
    {START ROUTE FLOW("{\"reject\":\"550 4.7.1 x\"}"), 1, 241, "/flows/f/rules/0/reject",
     "not of the code's class", ""},
    {START ROUTE FLOW("{\"reject\":\"450 4.7.1 x\"}"), 1, 241, "/flows/f/rules/0/reject",
     "\"defer\" is for 4xx", ""},
    {START ROUTE FLOW("{\"reject\":\"550 5.7 x\"}"), 1, 241, "/flows/f/rules/0/reject",
     "not like 5.7.1", ""},
    {START ROUTE FLOW("{\"reject\":\"550 5.7.1\"}"), 1, 241, "/flows/f/rules/0/reject",
     "the text is missing", ""},
    {START ROUTE FLOW("{\"reject\":\"560 5.7.1 x\"}"), 1, 241, "/flows/f/rules/0/reject",
     "second digit", ""},
    {START ROUTE FLOW("{\"reject\":\"550-5.7.1 x\"}"), 1, 241, "/flows/f/rules/0/reject",
     "reply code", ""},
    {START ROUTE FLOW("{\"reject\":\"550 5.7.1 \\u00e9\"}"), 1, 241, "/flows/f/rules/0/reject",
     "printable ASCII", ""},
    {START ROUTE FLOW("{\"reject\":\"550 5.7.1 a\\r\\n250 x\"}"), 1, 241, "/flows/f/rules/0/reject",
     "control character", ""},
    {START ROUTE FLOW("{\"defer\":\"421 4.7.1 x\"}"), 1, 240, "/flows/f/rules/0/defer", "421", ""},
    {START ROUTE FLOW("{\"route\":\"r\",\"journal\":\"a@b.ch\"}"), 1, 244,
     "/flows/f/rules/0/journal", "this version of mgid can't do \"journal\"", ""},
    {START ROUTE FLOW("{\"when\":{\"recipient\":\"a.ch\"},\"reject\":\"550 5.7.1 x\"},"
                      "{\"reject\":\"550 5.7.1 x\"}"),
     0, 0, "", "", ""}, /* no routes, so no bounce: fine */
    {START ROUTE FLOW("{\"when\":{\"recipient\":\"a.ch\"},\"route\":\"r\"},"
                      "{\"reject\":\"550 5.7.1 x\"}"),
     1, 174, "/flows/f", "no route for bounces", "bounce_route"},
    /* conditions */
    {RULE("{}"), 1, 239, "/flows/f/rules/0/when", "an empty condition", ""},
    {RULE("[]"), 1, 239, "/flows/f/rules/0/when", "an object is needed here, not an array", ""},
    {RULE("{\"any\":[]}"), 1, 246, "/flows/f/rules/0/when/any", "not an empty one", ""},
    {RULE("{\"any\":{\"sender\":\"a\"}}"), 1, 246, "/flows/f/rules/0/when/any",
     "a list of conditions is needed here, not an object", ""},
    {RULE("{\"not\":[]}"), 1, 246, "/flows/f/rules/0/when/not", "an object is needed", ""},
    {RULE("{\"any\":[{\"sender\":\"a.ch\"},{\"recipent\":\"a.ch\"}]}"), 1, 266,
     "/flows/f/rules/0/when/any/1/recipent", "unknown key", "\"recipient\""},
    {RULE("{\"recipient\":[]}"), 1, 252, "/flows/f/rules/0/when/recipient", "an empty list", ""},
    {RULE("{\"recipient\":\"*\"}"), 1, 252, "/flows/f/rules/0/when/recipient", "\"*\"",
     "leave the condition out"},
    {RULE("{\"recipient\":\"*x.ch\"}"), 1, 252, "/flows/f/rules/0/when/recipient", "whole labels",
     ""},
    {RULE("{\"recipient\":\"a*@x.ch\"}"), 1, 252, "/flows/f/rules/0/when/recipient",
     "whole local part", ""},
    {RULE("{\"recipient\":\"@x.ch\"}"), 1, 252, "/flows/f/rules/0/when/recipient", "nothing stands",
     ""},
    {RULE("{\"recipient\":\"\"}"), 1, 252, "/flows/f/rules/0/when/recipient", "it is empty", ""},
    {RULE("{\"from_domain\":\"a@x.ch\"}"), 1, 254, "/flows/f/rules/0/when/from_domain",
     "an address where a domain", ""},
    {RULE("{\"recipient\":{\"file\":\"partners.txt\"}}"), 1, 252, "/flows/f/rules/0/when/recipient",
     "can't read a list from a file", "array"},
    {RULE("{\"peer\":\"nobody\"}"), 1, 247, "/flows/f/rules/0/when/peer",
     "there is no peer \"nobody\"", "define"},
    {RULE("{\"header\":{}}"), 1, 249, "/flows/f/rules/0/when/header", "fields by their names",
     "X-Name"},
    {RULE("{\"header\":{\"A:\":{\"equals\":\"x\"}}}"), 1, 250, "/flows/f/rules/0/when/header/A:",
     "\"A:\" is not the name of a header field", "without the colon"},
    {RULE("{\"header\":{\"A\":{\"case\":true}}}"), 1, 254, "/flows/f/rules/0/when/header/A",
     "nothing to compare the value with", "\"contains\""},
    {RULE("{\"size\":1}"), 1, 247, "/flows/f/rules/0/when/size", "an object is needed here", ""},
    {RULE("{\"size\":{}}"), 1, 247, "/flows/f/rules/0/when/size", "nothing to compare with",
     "\"over\" or \"under\""},
    {RULE("{\"tls\":{\"version\":\"1.1\"}}"), 1, 257, "/flows/f/rules/0/when/tls/version",
     "not one of the choices", "\"1.2\", \"1.3\""},
    {RULE("{\"body\":{}}"), 1, 240, "/flows/f/rules/0/when/body",
     "this version of mgid can't do \"body\"", ""},
    {RULE("{\"subject\":{\"matches\":\"x\"}}"), 1, 251, "/flows/f/rules/0/when/subject/matches",
     "can't do \"matches\"", ""},
    {RULE("{\"subject\":{\"case\":true}}"), 1, 250, "/flows/f/rules/0/when/subject",
     "nothing to compare", ""},
    {RULE("{\"subject\":\"x\"}"), 1, 250, "/flows/f/rules/0/when/subject", "an object is needed",
     ""},
    {RULE("{\"subject\":{\"contains\":[\"a\",\"\"]}}"), 1, 267,
     "/flows/f/rules/0/when/subject/contains/1", "an empty text", ""},
};

START_TEST(test_errors)
{
    compile(errors[_i].text);
    if (errors[_i].line == 0) {
        ck_assert_msg(compilation.image != NULL, "%s", report());
        return;
    }
    ck_assert_msg(compilation.image == NULL, "compiled: %s", errors[_i].text);
    ck_assert_uint_ge(compilation.errors, 1);
    const struct policy_diagnostic *d = NULL;
    for (unsigned i = 0; i < compilation.count && d == NULL; i++)
        if (strstr(compilation.diagnostics[i].what, errors[_i].what) != NULL)
            d = &compilation.diagnostics[i];
    ck_assert_msg(d != NULL, "%s\n%s", errors[_i].what, report());
    ck_assert_int_eq(d->severity, POLICY_ERROR);
    ck_assert_msg(strcmp(d->pointer, errors[_i].pointer) == 0, "%s\n%s", errors[_i].text, report());
    ck_assert_msg(d->line == errors[_i].line && d->column == errors[_i].column, "%u:%u\n%s\n%s",
                  errors[_i].line, errors[_i].column, errors[_i].text, report());
    ck_assert_msg(strstr(d->remedy, errors[_i].remedy) != NULL, "%s", report());
    ck_assert_msg(d->remedy[0] != '\0', "no remedy: %s", report());
}
END_TEST

START_TEST(test_several_errors_in_order)
{
    compile(
        "{\n\"version\": 3,\n\"flows\": {\"f\": {\"listn\": 1,\n\"rules\": [{\"route\": \"x\"}]}"
        "},\n\"retry\": {\"first\": true},\n\"spool\": \"s\"}");
    ck_assert_str_eq(
        report(), "p:1:1: error: \"hostname\" is missing; add it\n"
                  "p:2:12: error: 3 is out of range (at /version); choose 1 to 1\n"
                  "p:3:16: error: \"listen\" is missing (at /flows/f); add it\n"
                  "p:3:17: error: unknown key \"listn\" (at /flows/f/listn); did you mean "
                  "\"listen\"?\n"
                  "p:4:21: error: there is no route \"x\" (at /flows/f/rules/0/route); define the "
                  "route, or name one that is defined\n"
                  "p:5:20: error: a number of seconds is needed here (at /retry/first); write it "
                  "like \"90s\", \"5m\", \"2h\" or \"5d\", or as a number of seconds\n"
                  "p:6:10: error: \"s\" is not an absolute path (at /spool); begin it with "
                  "\"/\"\n");
    ck_assert_uint_eq(compilation.errors, 7);
}
END_TEST

START_TEST(test_many_errors_are_bounded)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    fputs(START ROUTE "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"rules\":[", out);
    for (int i = 0; i < 5000; i++)
        fprintf(out, "{\"rute\":\"%d\"},\n", i);
    fputs("{\"route\":\"r\"}]}}}", out);
    ck_assert_int_eq(fclose(out), 0);
    compile(text);
    free(text);
    ck_assert_uint_eq(compilation.errors, 10000);
    ck_assert_uint_eq(compilation.count, LIMIT_DIAGNOSTICS);
    ck_assert_uint_eq(compilation.untold, 10000 - LIMIT_DIAGNOSTICS);
    ck_assert_ptr_nonnull(strstr(report(), "\np: 9936 more not shown\n"));
    /* Whole lines in whatever room there is. */
    for (size_t capacity = 1; capacity < 3000; capacity += 7) {
        char *small = malloc(capacity);
        size_t length = policy_report_text(&compilation, SPAN_LIT("p"), small, capacity);
        ck_assert_uint_lt(length, capacity);
        ck_assert_uint_eq(strlen(small), length);
        ck_assert(length == 0 || small[length - 1] == '\n');
        free(small);
    }
}
END_TEST

/* ---- nesting, size, and texts of any kind ---------------------------------------------------- */

static void nested(unsigned depth, const char *open, const char *close)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    fputs(START ROUTE
          "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"domains\":\"a.ch\",\"rules\":"
          "[{\"when\":",
          out);
    for (unsigned i = 0; i < depth; i++)
        fputs(open, out);
    fputs("{\"sender\":\"a.ch\"}", out);
    for (unsigned i = 0; i < depth; i++)
        fputs(close, out);
    fputs(",\"route\":\"r\"},{\"route\":\"r\"}]}}}", out);
    ck_assert_int_eq(fclose(out), 0);
    compile(text);
    free(text);
}

START_TEST(test_nesting)
{
    nested(LIMIT_POLICY_DEPTH, "{\"not\":", "}");
    ck_assert_msg(compilation.errors == 0, "%s", report());
    nested(LIMIT_POLICY_DEPTH + 1, "{\"not\":", "}");
    ck_assert_uint_eq(compilation.errors, 1);
    ck_assert_ptr_nonnull(strstr(report(), "nested deeper than 16"));
    nested(1000, "{\"any\":[", "]}");
    ck_assert_uint_eq(compilation.errors, 1);
    nested(3000, "{\"any\":[", "]}");
    ck_assert_uint_eq(compilation.errors, 1);
    ck_assert_ptr_nonnull(strstr(report(), "nested too deeply"));
    nested(8, "{\"sender\":\"b.ch\",\"any\":[", "]}"); /* two conditions a level */
    ck_assert_msg(compilation.errors == 0, "%s", report());
    nested(9, "{\"sender\":\"b.ch\",\"any\":[", "]}");
    ck_assert_uint_ge(compilation.errors, 1);
    nested(16, "{\"not\":{\"subject\":{\"starts\":\"a\",\"ends\":\"b\"},\"not\":", "}}");
    ck_assert_uint_ge(compilation.errors, 1);
}
END_TEST

static const char *example(const char *name)
{
    static char text[16384];
    char path[256];
    (void)snprintf(path, sizeof path, "policy/examples/%s.json", name);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s: %s", path, strerror(errno));
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    (void)fclose(f);
    return text;
}

/* A text cut or changed anywhere compiles or is refused with a reason, and no more. */
START_TEST(test_damaged_texts)
{
    static const char *const replacements[] = {"\"", "{", "]", ",", "\xff", "\xc3", "9", "\\", "*"};
    char *whole = strdup(example("both-directions"));
    size_t n = strlen(whole);
    for (size_t i = 0; i <= n; i++) {
        char *cut = malloc(i + 1); /* no NUL behind it */
        memcpy(cut, whole, i);
        policy_compilation_free(&compilation);
        bool ok = policy_compile(span_of(cut, i), &compilation);
        ck_assert_int_eq(ok, i >= n - 1);
        ck_assert(ok || (compilation.errors > 0 && compilation.count > 0));
        free(cut);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof replacements / sizeof replacements[0]; k++) {
            char was = whole[i];
            whole[i] = replacements[k][0];
            compile(whole);
            ck_assert((compilation.image == NULL) == (compilation.errors > 0));
            char *json = policy_report_json(&compilation, SPAN_LIT("p"));
            free(json);
            whole[i] = was;
        }
    free(whole);
}
END_TEST

static void teardown(void)
{
    policy_compilation_free(&compilation);
}

#define LOOP(tc, test, table)                                                                      \
    tcase_add_loop_test(tc, test, 0, (int)(sizeof table / sizeof table[0]))

int main(void)
{
    Suite *s = suite_create("policy_errors");
    TCase *tc = tcase_create("policy_errors");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, NULL, teardown);
    LOOP(tc, test_errors, errors);
    tcase_add_test(tc, test_several_errors_in_order);
    tcase_add_test(tc, test_many_errors_are_bounded);
    tcase_add_test(tc, test_nesting);
    tcase_add_test(tc, test_damaged_texts);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
