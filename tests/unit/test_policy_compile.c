/* The policy compiler: defaults, settings, lints, examples, schema, reports. */
#include "policy/compile.h"
#include "policy/compile_internal.h"
#include "policy/policy.h"
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

static struct policy opened(void)
{
    struct policy p;
    char reason[LIMIT_REASON];
    ck_assert_msg(compilation.image != NULL, "%s", report());
    ck_assert(policy_open(&p, span_of(compilation.image, compilation.image_size), reason));
    return p;
}

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

START_TEST(test_ten_thousand_rules)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    fputs(START ROUTE
          "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"domains\":\"a.ch\",\"rules\":[",
          out);
    for (int i = 0; i < 10000; i++)
        fprintf(out, "{\"when\":{\"recipient\":\"d%d.example\"},\"route\":\"r\"},\n", i);
    fputs("{\"route\":\"r\"}]}}}", out);
    ck_assert_int_eq(fclose(out), 0);
    compile(text);
    free(text);
    struct policy p = opened();
    ck_assert_uint_eq(policy_count(&p, POLICY_RULES), 10001);
    struct policy_facts f = {.sender = SPAN_EMPTY, .recipient = SPAN_LIT("x@D7777.example")};
    struct policy_decision d = policy_decide(&p, 0, &f, NULL);
    ck_assert_uint_eq(d.rule, 7777);
    ck_assert(span_eq(policy_rule(&p, d.rule).name, SPAN_LIT("#7778")));
    f.recipient = SPAN_LIT("x@e7777.example");
    ck_assert_uint_eq(policy_decide(&p, 0, &f, NULL).rule, 10000);
}
END_TEST

/* ---- what comes out -------------------------------------------------------------------------- */

START_TEST(test_defaults)
{
    compile(START ROUTE FLOW("{\"route\":\"r\"}"));
    ck_assert_msg(compilation.errors == 0 && compilation.warnings == 0, "%s", report());
    struct policy p = opened();
    struct policy_settings s = policy_settings(&p);
    ck_assert(span_eq(s.hostname, SPAN_LIT("mx.example.ch")));
    ck_assert(span_eq(s.spool, SPAN_LIT("/s")));
    ck_assert(span_eq(s.control_socket, SPAN_LIT("/run/mgid/control.sock")));
    ck_assert_uint_eq(s.log_file.n, 0);
    ck_assert_uint_eq(s.uid_base, 52000);
    ck_assert_uint_eq(s.message_size, 64u << 20);
    ck_assert_uint_eq(s.memory, 64u << 20);
    ck_assert_uint_eq(s.sessions, 1024);
    ck_assert_uint_eq(s.recipients, 1000);
    ck_assert_uint_eq(s.retry_first, 60);
    ck_assert_uint_eq(s.retry_max, 3600);
    ck_assert_uint_eq(s.lifetime, 432000);
    ck_assert(s.dnssec);
    ck_assert(!s.sandbox_required);
    ck_assert_uint_eq(s.limits.client_connections, 256); /* of 1024 sessions */
    ck_assert_uint_eq(s.limits.network_connections, 512);
    ck_assert(s.limits.ipv4_network == 24 && s.limits.ipv6_network == 56);
    ck_assert_uint_eq(s.limits.mails_per_minute, 0);
    ck_assert(s.limits.idle_time == 300 && s.limits.hops == 100);
    const struct policy_notifications *n = &s.notifications;
    ck_assert(span_eq(n->from, SPAN_LIT("MAILER-DAEMON@mx.example.ch")));
    ck_assert(span_eq(n->postmaster, SPAN_LIT("postmaster@mx.example.ch")));
    ck_assert(n->language_count == 1 && n->languages[0] == LANGUAGE_EN);
    ck_assert(n->delay_count == 1 && n->delay_after[0] == 4 * 3600);
    ck_assert(!n->return_full && !n->double_bounce);
    ck_assert_uint_eq(policy_count(&p, POLICY_SERVERS), 0);
    struct policy_flow f = policy_flow(&p, 0);
    ck_assert_uint_eq(f.workers, 1);
    ck_assert_uint_eq(f.accept_from, 0);
    ck_assert_uint_eq(f.identity, POLICY_NONE);
    ck_assert_int_eq(f.client_certificate, POLICY_CERTIFICATE_ASK);
    ck_assert_int_eq(f.bare_lf, POLICY_BARE_LF_REFUSE);
    ck_assert_uint_eq(f.complete, 0);
    ck_assert_uint_eq(f.bounce_route, 0);
    ck_assert(!policy_rule(&p, 0).conditional);
    struct policy_route r = policy_route(&p, 0);
    ck_assert_uint_eq(r.identity, POLICY_NONE);
    ck_assert_uint_eq(policy_route_host(&p, 0, 0).port, 25);
}
END_TEST

START_TEST(test_settings)
{
    compile("{\"version\":1,\"hostname\":\"M\xc3\xbc.Example.CH.\",\"spool\":\"/s\",\"uid_base\":7,"
            "\"sandbox\":\"require\","
            "\"control\":{\"socket\":\"/c\"},\"log\":{\"file\":\"/l\"},"
            "\"resolver\":{\"servers\":[\"127.0.0.1@5353\",\"2001:db8::1\"],\"dnssec\":false},"
            "\"limits\":{\"message_size\":\"100K\",\"memory\":1048576,\"sessions\":5,"
            "\"recipients\":100,\"client_connections\":0,\"hops\":30},"
            "\"retry\":{\"first\":\"90s\",\"max\":\"2h\",\"lifetime\":\"3d\"}," ROUTE FLOW(
                "{\"route\":\"r\"}"));
    struct policy p = opened();
    struct policy_settings s = policy_settings(&p);
    ck_assert(span_eq(s.hostname, SPAN_LIT("xn--m-eha.example.ch")));
    ck_assert(span_eq(s.control_socket, SPAN_LIT("/c")));
    ck_assert(span_eq(s.log_file, SPAN_LIT("/l")));
    ck_assert_uint_eq(s.uid_base, 7);
    ck_assert_uint_eq(s.message_size, 102400);
    ck_assert_uint_eq(s.memory, 1048576);
    ck_assert_uint_eq(s.sessions, 5);
    ck_assert_uint_eq(s.limits.client_connections, 0);
    ck_assert_uint_eq(s.limits.network_connections, 100); /* half, but no less than that */
    ck_assert_uint_eq(s.limits.hops, 30);
    ck_assert_uint_eq(s.retry_first, 90);
    ck_assert_uint_eq(s.retry_max, 7200);
    ck_assert_uint_eq(s.lifetime, 259200);
    ck_assert(!s.dnssec);
    ck_assert(s.sandbox_required);
    struct policy_endpoint e = policy_server(&p, 0);
    ck_assert(e.port == 5353 && e.address.family == 4 && e.address.bytes[0] == 127);
    e = policy_server(&p, 1);
    ck_assert(e.port == 53 && e.address.family == 6 && e.address.bytes[15] == 1);
}
END_TEST

START_TEST(test_trusted_peers_and_balancers)
{
    compile(
        START ROUTE
        "\"peers\":{\"a\":{\"addresses\":\"10.0.0.0/8\"},\"b\":{\"addresses\":\"10.1.0.0/16\","
        "\"trusted\":true}},\"flows\":{\"f\":{\"accept_from\":\"a\",\"listen\":[\"127.0.0.1:25\","
        "{\"address\":\"[::1]:26\",\"proxy_from\":[\"10.2.0.0/16\",\"::2\"]}],"
        "\"rules\":[{\"route\":\"r\"}]}}}");
    struct policy p = opened();
    ck_assert(!policy_peer(&p, 0).trusted && policy_peer(&p, 1).trusted);
    ck_assert(policy_trusts(&p, 2) && policy_trusts(&p, 3));
    ck_assert(!policy_trusts(&p, 1) && !policy_trusts(&p, 0) && !policy_trusts(&p, 4));
    struct policy_address balancer = {.family = 4, .bytes = {10, 2, 0, 1}};
    struct policy_address other = {.family = 4, .bytes = {10, 3, 0, 1}};
    struct policy_address mapped = {.family = 6, .bytes = {[10] = 255, 255, 10, 2, 0, 1}};
    struct policy_address unknown = {.family = 0};
    ck_assert_int_eq(policy_listener_arrival(&p, 0, &balancer), POLICY_ARRIVAL_DIRECT);
    ck_assert_int_eq(policy_listener_arrival(&p, 1, &balancer), POLICY_ARRIVAL_PROXIED);
    ck_assert_int_eq(policy_listener_arrival(&p, 1, &mapped), POLICY_ARRIVAL_PROXIED);
    ck_assert_int_eq(policy_listener_arrival(&p, 1, &other), POLICY_ARRIVAL_STRANGER);
    ck_assert_int_eq(policy_listener_arrival(&p, 1, &unknown), POLICY_ARRIVAL_STRANGER);
    struct policy_endpoint e = policy_listener(&p, 1);
    ck_assert(e.port == 26 && e.address.family == 6 && span_eq(e.text, SPAN_LIT("[::1]:26")));
}
END_TEST

START_TEST(test_what_is_mended)
{
    compile(START ROUTE "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\",\"bare_lf\":\"normalise\","
                        "\"complete\":[\"date\",\"message-id\"],\"rules\":[{\"route\":\"r\"}]}}}");
    ck_assert_msg(compilation.errors == 0, "%s", report());
    struct policy p = opened();
    ck_assert_int_eq(policy_flow(&p, 0).bare_lf, POLICY_BARE_LF_NORMALISE);
    ck_assert_uint_eq(policy_flow(&p, 0).complete, POLICY_COMPLETE_ALL);
}
END_TEST

START_TEST(test_notifications)
{
    compile(START "\"notifications\":{\"languages\":[\"it\",\"de\"],\"from\":\"gate@B\xc3\xbc.ch\","
                  "\"postmaster\":\"p@x.ch\",\"delay_after\":[\"1h\",86400],\"return\":\"full\","
                  "\"double_bounce\":\"postmaster\"}," ROUTE FLOW("{\"route\":\"r\"}"));
    ck_assert_msg(compilation.errors == 0, "%s", report());
    struct policy p = opened();
    struct policy_notifications n = policy_settings(&p).notifications;
    ck_assert(span_eq(n.from, SPAN_LIT("gate@xn--b-eha.ch")));
    ck_assert(span_eq(n.postmaster, SPAN_LIT("p@x.ch")));
    ck_assert(n.language_count == 2 && n.languages[0] == LANGUAGE_IT &&
              n.languages[1] == LANGUAGE_DE);
    ck_assert(n.delay_count == 2 && n.delay_after[0] == 3600 && n.delay_after[1] == 86400);
    ck_assert(n.return_full && n.double_bounce);
    compile(START "\"notifications\":{\"delay_after\":[]}," ROUTE FLOW("{\"route\":\"r\"}"));
    p = opened();
    ck_assert_uint_eq(policy_settings(&p).notifications.delay_count, 0);
}
END_TEST

#define SIDE(name, extra, route)                                                                   \
    "\"" name "\":{\"listen\":\"127.0.0.1:" extra ",\"rules\":[" route "]}"
#define TWO_ROUTES "\"routes\":{\"a\":{\"mx\":\"a.ch\"},\"b\":{\"mx\":\"b.ch\"}},"
#define TO(route) "{\"route\":\"" route "\"}"

static const struct {
    const char *flows;
    uint32_t bounce[2];
} bounces[] = {
    {SIDE("out", "1\"", TO("a")) "," SIDE("in", "2\",\"domains\":\"x.ch\"", TO("b")), {1, 0}},
    {SIDE("in", "2\",\"domains\":\"x.ch\"", TO("b")) "," SIDE("out", "1\"", TO("a")), {0, 1}},
    {SIDE("one", "1\"", TO("a")) "," SIDE("two", "2\"", TO("b")), {0, 1}},
    {SIDE("out", "1\",\"bounce_route\":\"a\"", TO("a")) "," SIDE("in", "2\",\"domains\":\"x.ch\"",
                                                                 TO("b")),
     {0, 0}},
    {SIDE("out", "1\"", TO("a")) "," SIDE("in", "2\",\"domains\":\"x.ch\"",
                                          "{\"reject\":\"550 5.7.1 x\"}"),
     {0, 0}},
    {SIDE("one", "1\"", "{\"reject\":\"550 5.7.1 x\"}") "," SIDE("two", "2\"", TO("b")),
     {POLICY_NONE, 1}},
};

START_TEST(test_bounce_routes)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%s{%s}}", START TWO_ROUTES "\"flows\":", bounces[_i].flows);
    compile(text);
    struct policy p = opened();
    ck_assert_uint_eq(policy_flow(&p, 0).bounce_route, bounces[_i].bounce[0]);
    ck_assert_uint_eq(policy_flow(&p, 1).bounce_route, bounces[_i].bounce[1]);
}
END_TEST

/* ---- lints ------------------------------------------------------------------------------------
 */

#define PEERS                                                                                      \
    "\"peers\":{\"p\":{\"tls\":{\"trust\":\"t\"}}},\"identities\":{\"i\":{\"certificate\":\"/c\"," \
    "\"key\":\"/k\"}},"
#define LINTED(flow, rules)                                                                        \
    START ROUTE PEERS "\"flows\":{\"f\":{\"listen\":\"127.0.0.1:25\"," flow "\"rules\":[\n" rules  \
                      "{\"route\":\"r\"}]}}}"
#define DOMAINS "\"domains\":[\"example.ch\"],"

static const struct {
    const char *text, *pointer, *what; /* what NULL: no warning at all */
} lints[] = {
    {LINTED(DOMAINS, "{\"when\":{\"sender\":\"a.ch\"},\"route\":\"r\"},"), "", NULL},
    {LINTED(DOMAINS, "{\"route\":\"r\"},"), "/flows/f/rules/1", "never reached"},
    {LINTED(DOMAINS, "{\"when\":{\"sender\":\"a.ch\",\"recipient\":\"b.ch\"},\"route\":\"r\"},"
                     "{\"when\":{\"recipient\":\"b.ch\",\"sender\":\"a.ch\"},\"route\":\"r\"},"),
     "/flows/f/rules/1", "rule 0 (counted from 0) has the same condition"},
    {LINTED(DOMAINS, "{\"name\":\"x\",\"when\":{\"sender\":\"a.ch\"},\"route\":\"r\"},"
                     "{\"name\":\"x\",\"when\":{\"sender\":\"b.ch\"},\"route\":\"r\"},"),
     "/flows/f/rules/1", "another rule of the flow is named"},
    {LINTED("", ""), "/flows/f", "an open relay"},
    {LINTED("\"accept_from\":\"p\",", ""), "/flows/f/accept_from", "asks for none"},
    {LINTED("\"accept_from\":\"p\",\"identity\":\"i\",", ""), "", NULL},
    {LINTED("\"accept_from\":\"p\",\"identity\":\"i\",\"client_certificate\":\"no\",", ""),
     "/flows/f/accept_from", "asks for none"},
    {LINTED(DOMAINS, "{\"when\":{\"peer\":\"p\"},\"route\":\"r\"},"), "/flows/f/rules/0/when/peer",
     "asks for none"},
    {LINTED(DOMAINS, "{\"when\":{\"any\":[{\"sender\":\"a.ch\"},{\"not\":{\"peer\":[\"p\"]}}]},"
                     "\"route\":\"r\"},"),
     "/flows/f/rules/0/when/any/1/not/peer/0", "asks for none"},
    {LINTED("\"domains\":[\"*.Example.ch\"],", ""), "/flows/f/domains/0",
     "leaves out \"example.ch\" itself"},
    {LINTED("\"domains\":[\"*.example.ch.\",\"EXAMPLE.ch\"],", ""), "", NULL},
    {LINTED(DOMAINS, "{\"when\":{\"recipient\":\"*@*.b.ch\"},\"route\":\"r\"},"),
     "/flows/f/rules/0/when/recipient", "leaves out \"b.ch\" itself"},
    {LINTED(DOMAINS, "{\"when\":{\"recipient\":\"*.b.ch\"},\"route\":\"r\"},"
                     "{\"when\":{\"recipient\":\"b.ch\"},\"route\":\"r\"},"),
     "", NULL},
    {LINTED(DOMAINS, "{\"when\":{\"recipient\":\"me@*.b.ch\"},\"route\":\"r\"},"), "", NULL},
    {LINTED(DOMAINS, "{\"when\":{\"recipient\":\"*.incamail.ch\"},\"route\":\"r\"},"), "", NULL},
    {LINTED(DOMAINS, "{\"when\":{\"client\":\"194.41.147.13\"},\"route\":\"r\"},"),
     "/flows/f/rules/0/when/client", "194.41.147.13"},
    {LINTED(DOMAINS, "{\"when\":{\"client\":\"194.41.147.130\"},\"route\":\"r\"},"), "", NULL},
    {LINTED(DOMAINS, "{\"when\":{\"subject\":{\"contains\":\"=?UTF-8?Q?x?=\"}},\"route\":\"r\"},"),
     "/flows/f/rules/0/when/subject/contains", "encoded word"},
    {START "\"routes\":{\"r\":{\"mx\":\"a.ch\"}}," FLOW("{\"route\":\"r\"}"), "/routes/r",
     "without a TLS floor"},
    {START
     "\"routes\":{\"r\":{\"mx\":\"a.ch\",\"tls\":{\"require\":true}}}," FLOW("{\"route\":\"r\"}"),
     "/routes/r", "nothing is verified"},
    {START "\"trust\":{\"t\":{\"system\":true}},\"routes\":{\"r\":{\"hosts\":[\"b.ch\","
           "\"GW1.incamail.com:25\"],\"tls\":{\"require\":true,\"trust\":\"t\"}}}," FLOW(
               "{\"route\":\"r\"}"),
     "/routes/r/hosts/1", "gw1.incamail.com"},
    {START ROUTE
     "\"peers\":{\"q\":{\"addresses\":\"194.41.147.14/32\"}}," FLOW("{\"route\":\"r\"}"),
     "/peers/q/addresses", "194.41.147.14"},
    {START ROUTE
     "\"peers\":{\"q\":{\"addresses\":[\"10.0.0.0/8\",\"::/0\"],\"trusted\":true}}," FLOW(
         "{\"route\":\"r\"}"),
     "/peers/q/addresses/1", "no limit would hold"},
    {START ROUTE "\"peers\":{\"q\":{\"addresses\":\"0.0.0.0/0\"}}," FLOW("{\"route\":\"r\"}"), "",
     NULL},
    {START ROUTE
     "\"flows\":{\"f\":{\"listen\":{\"address\":\"127.0.0.1:25\",\"proxy_from\":\"0.0.0.0/"
     "0\"}," DOMAINS "\"rules\":[{\"route\":\"r\"}]}}}",
     "/flows/f/listen/proxy_from", "can claim any client's address"},
};

START_TEST(test_lints)
{
    compile(lints[_i].text);
    ck_assert_msg(compilation.errors == 0, "%s", report());
    if (lints[_i].what == NULL) {
        ck_assert_msg(compilation.warnings == 0, "%s\n%s", lints[_i].text, report());
        return;
    }
    ck_assert_msg(compilation.warnings == 1, "%s\n%s", lints[_i].text, report());
    const struct policy_diagnostic *d = &compilation.diagnostics[0];
    ck_assert_int_eq(d->severity, POLICY_WARNING);
    ck_assert_msg(strcmp(d->pointer, lints[_i].pointer) == 0, "%s", report());
    ck_assert_msg(strstr(d->what, lints[_i].what) != NULL, "%s", report());
    ck_assert_uint_gt(strlen(d->remedy), 0);
}
END_TEST

/* ---- schema, examples, reports ----------------------------------------------------------------
 */

static const char *const examples[] = {"domain-rule", "content-rule", "both-directions"};

START_TEST(test_examples)
{
    compile(example(examples[_i]));
    ck_assert_msg(compilation.errors == 0, "%s", report());
    ck_assert_msg(compilation.warnings == 1, "%s", report()); /* "internet" has no floor */
    (void)opened();
}
END_TEST

static bool in_array(const json_t *array, const char *s)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (strcmp(json_string_value(json_array_get(array, i)), s) == 0)
            return true;
    return false;
}

/* schema.json knows the same objects, keys and duties as the compiler. */
START_TEST(test_schema_is_true)
{
    json_error_t error;
    json_t *schema = json_load_file("policy/schema.json", 0, &error);
    ck_assert_msg(schema != NULL, "%s", error.text);
    size_t objects = 0;
    const json_t *definitions = json_object_get(schema, "$defs");
    for (const struct key_set *const *set = compile_key_sets; *set != NULL; set++, objects++) {
        const json_t *o = json_object_get(definitions, (*set)->name);
        const json_t *properties = json_object_get(o, "properties");
        ck_assert_msg(properties != NULL, "%s", (*set)->name);
        ck_assert(json_is_false(json_object_get(o, "additionalProperties")));
        size_t known = 0;
        size_t required = 0;
        for (size_t i = 0; i < (*set)->count; i++) {
            const struct key *key = &(*set)->keys[i];
            bool there = json_object_get(properties, key->name) != NULL;
            ck_assert_msg(there == (key->need != KEY_PLANNED), "%s.%s", (*set)->name, key->name);
            ck_assert_msg(in_array(json_object_get(o, "required"), key->name) ==
                              (key->need == KEY_REQUIRED),
                          "%s.%s", (*set)->name, key->name);
            known += key->need != KEY_PLANNED;
            required += key->need == KEY_REQUIRED;
        }
        ck_assert_uint_eq(json_object_size(properties), known);
        ck_assert_uint_eq(json_array_size(json_object_get(o, "required")), required);
    }
    const char *name;
    json_t *definition;
    json_object_foreach((json_t *)(uintptr_t)definitions, name, definition) objects -=
        json_object_get(definition, "properties") != NULL;
    ck_assert_uint_eq(objects, 0);
    json_decref(schema);
}
END_TEST

START_TEST(test_json_report)
{
    compile("{\"version\":1,\"a\\u001b[31m\\u202e\":1}");
    char *text = policy_report_json(&compilation, SPAN_LIT("/etc/\xff.json"));
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(o);
    ck_assert(json_is_false(json_object_get(o, "valid")));
    ck_assert_str_eq(json_string_value(json_object_get(o, "path")), "/etc/?.json");
    ck_assert_int_eq(json_integer_value(json_object_get(o, "errors")), 4);
    const json_t *list = json_object_get(o, "diagnostics");
    ck_assert_uint_eq(json_array_size(list), 4);
    const json_t *d = json_array_get(list, 3);
    ck_assert_str_eq(json_string_value(json_object_get(d, "severity")), "error");
    ck_assert_int_eq(json_integer_value(json_object_get(d, "line")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(d, "column")), 14);
    ck_assert_ptr_null(strchr(json_string_value(json_object_get(d, "what")), 0x1b));
    ck_assert_ptr_null(strchr(json_string_value(json_object_get(d, "pointer")), 0x1b));
    json_decref(o);
    free(text);
}
END_TEST

START_TEST(test_files)
{
    int error;
    policy_compilation_free(&compilation);
    ck_assert(policy_compile_file("policy/examples/domain-rule.json", &compilation, &error));
    ck_assert_int_eq(error, 0);
    policy_compilation_free(&compilation);
    ck_assert(!policy_compile_file("/nonexistent/policy.json", &compilation, &error));
    ck_assert_int_eq(error, ENOENT);
    ck_assert_str_eq(report(), "p: error: can't be read: No such file or directory\n");
    policy_compilation_free(&compilation);
    ck_assert(!policy_compile_file("/", &compilation, &error));
    ck_assert_int_eq(error, EISDIR);
    policy_compilation_free(&compilation);
    ck_assert(!policy_compile_file("/dev/zero", &compilation, &error));
    ck_assert_int_eq(error, 0);
    ck_assert_ptr_nonnull(strstr(report(), "longer than 67108864 bytes"));
}
END_TEST

START_TEST(test_the_same_image_each_time)
{
    struct policy_compilation other;
    compile(example("both-directions"));
    ck_assert(policy_compile(span_str(example("both-directions")), &other));
    ck_assert_uint_eq(compilation.image_size, other.image_size);
    ck_assert_mem_eq(compilation.image, other.image, other.image_size);
    policy_compilation_free(&other);
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
    Suite *s = suite_create("policy_compile");
    TCase *tc = tcase_create("policy_compile");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, NULL, teardown);
    LOOP(tc, test_bounce_routes, bounces);
    LOOP(tc, test_lints, lints);
    LOOP(tc, test_examples, examples);
    tcase_add_test(tc, test_ten_thousand_rules);
    tcase_add_test(tc, test_defaults);
    tcase_add_test(tc, test_settings);
    tcase_add_test(tc, test_trusted_peers_and_balancers);
    tcase_add_test(tc, test_what_is_mended);
    tcase_add_test(tc, test_notifications);
    tcase_add_test(tc, test_schema_is_true);
    tcase_add_test(tc, test_json_report);
    tcase_add_test(tc, test_files);
    tcase_add_test(tc, test_the_same_image_each_time);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
