/* The compiled policy: matching, deciding, and what the roles ask. */
#include "tests/unit/policy_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- matching --------------------------------------------------------------------------- */

static const struct {
    const char *pattern, *domain;
    bool match;
} domains[] = {
    {"*.incamail.ch", "gmail.com.incamail.ch", true},
    {"*.incamail.ch", "a.incamail.ch", true},
    {"*.incamail.ch", "A.InCaMail.CH", true},
    {"*.incamail.ch", "a.incamail.ch.", true},
    {"*.incamail.ch.", "a.incamail.ch", true},
    {"*.incamail.ch", "incamail.ch", false},
    {"*.incamail.ch", "incamail.ch.", false},
    {"*.incamail.ch", ".incamail.ch", false},
    {"*.incamail.ch", "evil-incamail.ch", false},
    {"*.incamail.ch", "evilincamail.ch", false},
    {"*.incamail.ch", "a.incamail.ch.evil.com", false},
    {"*.incamail.ch", "a.incamail.com", false},
    {"*.incamail.ch", "a.incamail.ch..", false},
    {"*.incamail.ch", "", false},
    {"*.incamail.ch", ".", false},
    {"incamail.ch", "incamail.ch", true},
    {"incamail.ch", "INCAMAIL.ch.", true},
    {"incamail.ch", "a.incamail.ch", false},
    {"incamail.ch", "evil-incamail.ch", false},
    {"incamail.ch", "incamail.c", false},
    {"incamail.ch", "incamail.ch..", false},
    {"", "", false},
};

START_TEST(test_domains)
{
    ck_assert_int_eq(
        policy_domain_matches(span_str(domains[_i].pattern), span_str(domains[_i].domain)),
        domains[_i].match);
}
END_TEST

static const struct {
    const char *when, *sender, *recipient;
    bool match;
} addresses[] = {
    {"{\"recipient\":\"*.incamail.ch\"}", "s@x.ch", "hans@gmail.com.incamail.ch", true},
    {"{\"recipient\":\"*@*.incamail.ch\"}", "s@x.ch", "hans@gmail.com.INCAMAIL.ch.", true},
    {"{\"recipient\":\"*.incamail.ch\"}", "s@x.ch", "hans@incamail.ch", false},
    {"{\"recipient\":\"*.incamail.ch\"}", "s@x.ch", "hans@evil-incamail.ch", false},
    {"{\"recipient\":\"*.incamail.ch\"}", "s@x.ch", "x.incamail.ch", false},
    {"{\"recipient\":\"*.incamail.ch\"}", "s@x.ch", "x.incamail.ch@evil.example", false},
    {"{\"recipient\":\"incamail.ch\"}", "s@x.ch", "hans@incamail.ch", true},
    {"{\"recipient\":\"incamail.ch\"}", "s@x.ch", "hans@a.incamail.ch", false},
    {"{\"recipient\":\"*@incamail.ch\"}", "s@x.ch", "hans@INCAMAIL.CH", true},
    {"{\"recipient\":\"Hans@incamail.ch\"}", "s@x.ch", "hANS@incamail.ch", true},
    {"{\"recipient\":\"hans@incamail.ch\"}", "s@x.ch", "xhans@incamail.ch", false},
    {"{\"recipient\":\"hans@*.b.ch\"}", "s@x.ch", "hans@a.b.ch", true},
    {"{\"recipient\":\"hans@*.b.ch\"}", "s@x.ch", "hans@b.ch", false},
    {"{\"recipient\":\"b.ch\"}", "s@x.ch", "\"a@c.ch\"@b.ch", true},
    {"{\"recipient\":\"c.ch\"}", "s@x.ch", "\"a@c.ch\"@b.ch", false},
    {"{\"recipient\":[\"a.ch\",\"b.ch\",\"*.c.ch\"]}", "s@x.ch", "x@d.c.ch", true},
    {"{\"recipient\":[\"a.ch\",\"b.ch\",\"*.c.ch\"]}", "s@x.ch", "x@c.ch", false},
    {"{\"recipient\":\"b\\u00fccher.ch\"}", "s@x.ch", "x@xn--bcher-kva.ch", true},
    {"{\"recipient\":\"B\\u00dcCHER.ch\"}", "s@x.ch",
     "x@b\xc3\xbc"
     "cher.ch",
     true},
    {"{\"recipient\":\"*.xn--bcher-kva.ch\"}", "s@x.ch",
     "x@a.b\xc3\xbc"
     "cher.ch",
     true},
    {"{\"recipient\":\"a.ch\"}", "s@x.ch", "postmaster", false},
    {"{\"sender\":\"\"}", "", "x@y.ch", true},
    {"{\"sender\":\"<>\"}", "", "x@y.ch", true},
    {"{\"sender\":\"\"}", "s@x.ch", "x@y.ch", false},
    {"{\"sender\":\"x.ch\"}", "", "x@y.ch", false},
    {"{\"sender\":[\"\",\"x.ch\"]}", "s@x.ch", "x@y.ch", true},
    {"{\"not\":{\"sender\":\"\"}}", "s@x.ch", "x@y.ch", true},
    {"{\"sender\":\"x.ch\",\"recipient\":\"y.ch\"}", "s@x.ch", "x@y.ch", true},
    {"{\"sender\":\"x.ch\",\"recipient\":\"y.ch\"}", "s@z.ch", "x@y.ch", false},
    {"{\"sender\":\"x.ch\",\"recipient\":\"y.ch\"}", "s@x.ch", "x@z.ch", false},
    {"{\"any\":[{\"sender\":\"x.ch\"},{\"recipient\":\"y.ch\"}]}", "s@z.ch", "x@y.ch", true},
    {"{\"any\":[{\"sender\":\"x.ch\"},{\"recipient\":\"y.ch\"}]}", "s@z.ch", "x@z.ch", false},
    {"{\"all\":[{\"sender\":\"x.ch\"},{\"not\":{\"recipient\":\"y.ch\"}}]}", "s@x.ch", "x@y.ch",
     false},
    {"{\"all\":[{\"sender\":\"x.ch\"},{\"not\":{\"recipient\":\"y.ch\"}}]}", "s@x.ch", "x@z.ch",
     true},
};

START_TEST(test_addresses)
{
    struct built b;
    build_when(&b, addresses[_i].when);
    struct policy_facts f = envelope(addresses[_i].sender, addresses[_i].recipient);
    struct policy_decision d = policy_decide(&b.p, 0, &f, NULL);
    ck_assert_int_eq(d.outcome, POLICY_ROUTE);
    ck_assert_uint_eq(d.rule, addresses[_i].match ? 0 : 1);
    ck_assert_uint_eq(d.route, addresses[_i].match ? 0 : 2);
    unbuild(&b);
}
END_TEST

static const struct {
    const char *network, *client;
    bool mapped, match;
} networks[] = {
    {"10.1.0.0/24", "10.1.0.255", false, true},
    {"10.1.0.0/24", "10.1.1.0", false, false},
    {"10.1.0.0/24", "10.1.0.255", true, true},
    {"10.1.0.0/24", "10.1.1.0", true, false},
    {"10.1.0.128/25", "10.1.0.127", false, false},
    {"10.1.0.128/25", "10.1.0.128", false, true},
    {"10.1.0.4/31", "10.1.0.5", false, true},
    {"10.1.0.4/31", "10.1.0.6", false, false},
    {"10.1.0.4", "10.1.0.4", false, true},
    {"10.1.0.4", "10.1.0.5", false, false},
    {"0.0.0.0/0", "255.1.2.3", false, true},
    {"::/0", "255.1.2.3", false, false},
    {"::ffff:10.1.0.0/120", "10.1.0.9", false, true},
    {"::ffff:10.1.0.0/120", "10.1.0.9", true, true},
};

START_TEST(test_networks)
{
    struct built b;
    char when[128];
    (void)snprintf(when, sizeof when, "{\"client\":\"%s\"}", networks[_i].network);
    build_when(&b, when);
    struct policy_facts f = envelope("a@b.ch", "c@d.ch");
    f.client = ip(networks[_i].client);
    if (networks[_i].mapped) {
        struct policy_address v6 = {.family = 6, .bytes = {[10] = 0xff, [11] = 0xff}};
        memcpy(v6.bytes + 12, f.client.bytes, 4);
        f.client = v6;
    }
    ck_assert_uint_eq(policy_decide(&b.p, 0, &f, NULL).rule, networks[_i].match ? 0 : 1);
    f.client.family = 0;
    ck_assert_uint_eq(policy_decide(&b.p, 0, &f, NULL).rule, 1);
    unbuild(&b);
}
END_TEST

static const struct {
    const char *when, *subject;
    bool match;
} subjects[] = {
    {"{\"subject\":{\"contains\":\"<im>\"}}", "<im><c> Offre", true},
    {"{\"subject\":{\"contains\":\"<IM>\"}}", "Re: <Im><c> Offre", true},
    {"{\"subject\":{\"contains\":\"<im>\"}}", "Re: im", false},
    {"{\"subject\":{\"contains\":\"<im>\"}}", "", false},
    {"{\"subject\":{\"contains\":\"<IM>\",\"case\":true}}", "<im>", false},
    {"{\"subject\":{\"contains\":\"<IM>\",\"case\":true}}", "a<IM>b", true},
    {"{\"subject\":{\"contains\":[\"x\",\"y\"]}}", "aYa", true},
    {"{\"subject\":{\"contains\":\"f\\u00e9v\"}}", "Offre f\xc3\xa9vrier", true},
    {"{\"subject\":{\"equals\":\"Test\"}}", "tEST", true},
    {"{\"subject\":{\"equals\":\"Test\"}}", "tESTx", false},
    {"{\"subject\":{\"equals\":\"Test\",\"case\":true}}", "tEST", false},
    {"{\"subject\":{\"equals\":\"\"}}", "", true},
    {"{\"subject\":{\"equals\":\"\"}}", "x", false},
    {"{\"subject\":{\"starts\":\"re:\"}}", "Re: x", true},
    {"{\"subject\":{\"starts\":\"re:\"}}", "Re", false},
    {"{\"subject\":{\"starts\":\"re:\"}}", "xRe:", false},
    {"{\"subject\":{\"ends\":\"(Secured by IncaMail)\"}}", "Hi (secured by incamail)", true},
    {"{\"subject\":{\"ends\":\"(Secured by IncaMail)\"}}", "(secured by incamail) x", false},
    {"{\"subject\":{\"ends\":\"long text\"}}", "text", false},
    {"{\"subject\":{\"starts\":\"a\",\"ends\":\"z\"}}", "abz", true},
    {"{\"subject\":{\"starts\":\"a\",\"ends\":\"z\"}}", "aby", false},
    {"{\"subject\":{\"starts\":\"a\",\"ends\":\"z\"}}", "bz", false},
    /* Two Subject fields: each is looked at, and nothing across them. */
    {"{\"subject\":{\"equals\":\"Test\"}}", "Other\ntest", true},
    {"{\"subject\":{\"equals\":\"Test\"}}", "test\nOther", true},
    {"{\"subject\":{\"equals\":\"Test\",\"case\":true}}", "Other\nTest\nx", true},
    {"{\"subject\":{\"equals\":\"Test\",\"case\":true}}", "Other\ntest", false},
    {"{\"subject\":{\"equals\":\"Test\"}}", "Te\nst", false},
    {"{\"subject\":{\"equals\":\"\"}}", "\nOther", true},
    {"{\"subject\":{\"equals\":\"\"}}", "Other\n", true},
    {"{\"subject\":{\"equals\":\"\"}}", "Other\nx", false},
    {"{\"subject\":{\"starts\":\"re:\"}}", "Other\nRe: x", true},
    {"{\"subject\":{\"starts\":\"re:\"}}", "Other\nxRe:", false},
    {"{\"subject\":{\"ends\":\"!\"}}", "Now!\nOther", true},
    {"{\"subject\":{\"ends\":\"!\"}}", "!Now\nOther", false},
    {"{\"subject\":{\"contains\":\"<im>\"}}", "Other\n<im><c> x", true},
    {"{\"subject\":{\"contains\":\"<im>\"}}", "<i\nm>", false},
    {"{\"not\":{\"subject\":{\"equals\":\"Test\"}}}", "Other\ntest", false},
};

START_TEST(test_subjects)
{
    struct built b;
    build_when(&b, subjects[_i].when);
    struct policy_facts f = envelope("a@b.ch", "c@d.ch");
    ck_assert_int_eq(policy_decide(&b.p, 0, &f, NULL).outcome, POLICY_NEED_HEADERS);
    f.have_headers = true;
    f.subject = span_str(subjects[_i].subject);
    ck_assert_uint_eq(policy_decide(&b.p, 0, &f, NULL).rule, subjects[_i].match ? 0 : 1);
    unbuild(&b);
}
END_TEST

/* The window that a long subject is searched in must hide no place. */
START_TEST(test_subject_windows)
{
    struct built b;
    build_when(&b, "{\"subject\":{\"contains\":\"needle-in-the-hay\"}}");
    enum { LONG = 13000, NEEDLE = 17 };
    static char subject[LONG];
    struct policy_facts f = envelope("a@b.ch", "c@d.ch");
    f.have_headers = true;
    f.subject = span_of(subject, sizeof subject);
    memset(subject, 'n', sizeof subject);
    ck_assert_uint_eq(policy_decide(&b.p, 0, &f, NULL).rule, 1);
    for (size_t at = 0; at + NEEDLE <= LONG; at++) {
        memset(subject, 'n', sizeof subject);
        memcpy(subject + at, "NEEDLE-in-the-hay", NEEDLE);
        ck_assert_msg(policy_decide(&b.p, 0, &f, NULL).rule == 0, "not found at %zu", at);
    }
    f.subject.n = LONG - 1; /* cut off in the middle */
    ck_assert_uint_eq(policy_decide(&b.p, 0, &f, NULL).rule, 1);
    f.subject = span_of(NULL, 0);
    ck_assert_uint_eq(policy_decide(&b.p, 0, &f, NULL).rule, 1);
    unbuild(&b);
}
END_TEST

/* ---- three values ----------------------------------------------------------------------- */

#define T "{\"recipient\":\"yes.ch\"}"
#define F "{\"recipient\":\"no.ch\"}"
#define U "{\"subject\":{\"contains\":\"x\"}}"

static const struct {
    const char *when;
    enum policy_truth truth;
} logic[] = {
    {T, POLICY_TRUE},
    {F, POLICY_FALSE},
    {U, POLICY_UNKNOWN},
    {"{\"from_domain\":\"a.ch\"}", POLICY_UNKNOWN},
    {"{\"not\":" U "}", POLICY_UNKNOWN},
    {"{\"not\":" T "}", POLICY_FALSE},
    {"{\"not\":" F "}", POLICY_TRUE},
    {"{\"all\":[" T "," T "]}", POLICY_TRUE},
    {"{\"all\":[" T "," F "]}", POLICY_FALSE},
    {"{\"all\":[" T "," U "]}", POLICY_UNKNOWN},
    {"{\"all\":[" U "," F "]}", POLICY_FALSE},
    {"{\"all\":[" F "," U "]}", POLICY_FALSE},
    {"{\"all\":[" U "," T "]}", POLICY_UNKNOWN},
    {"{\"any\":[" F "," F "]}", POLICY_FALSE},
    {"{\"any\":[" F "," T "]}", POLICY_TRUE},
    {"{\"any\":[" U "," T "]}", POLICY_TRUE},
    {"{\"any\":[" T "," U "]}", POLICY_TRUE},
    {"{\"any\":[" F "," U "]}", POLICY_UNKNOWN},
    {"{\"any\":[" U "," F "]}", POLICY_UNKNOWN},
    {"{\"not\":{\"all\":[" U "," F "]}}", POLICY_TRUE},
    {"{\"not\":{\"any\":[" U "," T "]}}", POLICY_FALSE},
    {"{\"not\":{\"not\":{\"not\":" U "}}}", POLICY_UNKNOWN},
    {"{\"subject\":{\"contains\":\"x\"},\"recipient\":\"no.ch\"}", POLICY_FALSE},
    {"{\"subject\":{\"contains\":\"x\"},\"recipient\":\"yes.ch\"}", POLICY_UNKNOWN},
    {"{\"recipient\":\"no.ch\",\"any\":[" T "," U "]}", POLICY_FALSE},
};

START_TEST(test_three_values)
{
    struct built b;
    build_when(&b, logic[_i].when);
    struct policy_facts f = envelope("a@b.ch", "c@yes.ch");
    struct policy_decision d = policy_decide(&b.p, 0, &f, NULL);
    enum policy_truth t = d.outcome == POLICY_NEED_HEADERS ? POLICY_UNKNOWN
                          : d.rule == 0                    ? POLICY_TRUE
                                                           : POLICY_FALSE;
    ck_assert_int_eq(t, logic[_i].truth);
    f.have_headers = true;
    ck_assert_int_ne(policy_decide(&b.p, 0, &f, NULL).outcome, POLICY_NEED_HEADERS);
    unbuild(&b);
}
END_TEST

START_TEST(test_actions)
{
    struct built b;
    build(&b, rig_both_flows);
    uint32_t in = policy_find_flow(&b.p, SPAN_LIT("in"));
    ck_assert_uint_eq(in, 1);
    ck_assert_uint_eq(policy_find_flow(&b.p, SPAN_LIT("i")), POLICY_NONE);
    struct policy_facts f = envelope("a@im.post.ch", "c@slow.example.ch");
    struct policy_decision d = policy_decide(&b.p, in, &f, NULL);
    ck_assert_int_eq(d.outcome, POLICY_NEED_HEADERS);
    ck_assert_uint_eq(d.rule, 4);
    f.have_headers = true;
    d = policy_decide(&b.p, in, &f, NULL);
    ck_assert_int_eq(d.outcome, POLICY_DEFER);
    ck_assert(span_eq(d.reply, SPAN_LIT("451 4.7.1 later")));
    /* Two authors: the one can't hide the other. */
    struct span from[] = {SPAN_LIT("a.example"), SPAN_LIT("IM.Post.CH.")};
    f.from_domains = from;
    f.from_domain_count = 1;
    ck_assert_int_eq(policy_decide(&b.p, in, &f, NULL).outcome, POLICY_DEFER);
    f.from_domain_count = 2;
    d = policy_decide(&b.p, in, &f, NULL);
    ck_assert_int_eq(d.outcome, POLICY_REJECT);
    ck_assert_uint_eq(d.route, POLICY_NONE);
    ck_assert(span_eq(d.reply, SPAN_LIT("550 5.7.1 not from the platform")));
    f.peers = 1; /* the platform itself, known before the headers */
    f.have_headers = false;
    d = policy_decide(&b.p, in, &f, NULL);
    ck_assert_int_eq(d.outcome, POLICY_ROUTE);
    ck_assert(span_eq(policy_route(&b.p, d.route).name, SPAN_LIT("second")));
    ck_assert(span_eq(policy_rule(&b.p, d.rule).name, SPAN_LIT("platform")));
    unbuild(&b);
}
END_TEST

/* ---- traces, and the index ---------------------------------------------------------------- */

struct steps {
    char text[1024];
};

static void note_step(void *context, const struct policy_step *s)
{
    static const char *const truths[] = {"false", "true", "unknown"};
    struct steps *steps = context;
    size_t n = strlen(steps->text);
    (void)snprintf(steps->text + n, sizeof steps->text - n, "%u %s %s [%.*s] [%.*s]\n", s->rule,
                   policy_condition_name(s->condition), truths[s->truth], (int)s->value.n,
                   (const char *)s->value.p, (int)s->matched.n, (const char *)s->matched.p);
}

START_TEST(test_trace)
{
    struct built b;
    build(&b, rig_both_flows);
    struct steps steps = {""};
    struct policy_trace trace = {.context = &steps, .step = note_step};
    struct policy_facts f = envelope("boss@hr.example.ch", "x@gmail.com");
    f.have_headers = true;
    f.subject = SPAN_LIT("Re: <IM> now!");
    struct policy_decision d = policy_decide(&b.p, 0, &f, &trace);
    ck_assert_uint_eq(d.rule, 1);
    ck_assert_str_eq(steps.text, "0 recipient false [x@gmail.com] []\n"
                                 "0 rule false [] []\n"
                                 "1 sender true [boss@hr.example.ch] [boss@hr.example.ch]\n"
                                 "1 subject contains true [Re: <IM> now!] [<IM>]\n"
                                 "1 subject ends true [Re: <IM> now!] [!]\n"
                                 "1 rule true [] []\n");
    unbuild(&b);
}
END_TEST

/* Rules of all kinds over few domains, so that many are hit by several. */
static char *many_rules(unsigned count, unsigned domains_used, size_t *n)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, n);
    ck_assert_ptr_nonnull(out);
    fputs(HEAD "\"flows\":{\"out\":{\"listen\":\"127.0.0.1:2500\",\"accept_from\":\"exchange\","
               "\"rules\":[",
          out);
    srandom(7);
    for (unsigned i = 0; i < count; i++) {
        unsigned d = (unsigned)random() % domains_used;
        unsigned e = (unsigned)random() % domains_used;
        fprintf(out, "{\"name\":\"rule %u\",\"when\":", i);
        switch (random() % 6) {
        case 0:
            fprintf(out, "{\"recipient\":\"*.d%u.example\"}", d);
            break;
        case 1:
            fprintf(out, "{\"recipient\":[\"d%u.example\",\"a.D%u.example\"]}", d, e);
            break;
        case 2:
            fprintf(out, "{\"sender\":\"s%u@x.ch\",\"recipient\":[\"u%u@d%u.example\"]}", e % 5,
                    d % 5, d);
            break;
        case 3:
            fprintf(out,
                    "{\"all\":[{\"sender\":\"s%u@x.ch\"},{\"recipient\":\"*.a.d%u.example\"}]}",
                    e % 5, d);
            break;
        case 4:
            fprintf(out,
                    "{\"not\":{\"any\":[{\"recipient\":\"d%u.example\"},"
                    "{\"sender\":\"x.ch\"}]}}",
                    d);
            break;
        default:
            fprintf(out, "{\"any\":[{\"recipient\":\"u3@a.d%u.example\"},{\"sender\":\"y%u.ch\"}]}",
                    d, e);
        }
        fputs(",\"route\":\"first\"},", out);
    }
    fputs("{\"route\":\"rest\"}]}}}", out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

START_TEST(test_index_decides_like_the_walk)
{
    static const unsigned counts[] = {1, 5, 40, 400, 10000};
    static const char *const labels[] = {"", "a.", "b.a.", "c.b.a.", "xa."};
    const struct policy_trace walk = {.step = ignore_step};
    size_t hits = 0;
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        size_t n;
        unsigned used = counts[k] < 20 ? 3 : counts[k] / 4;
        char *text = many_rules(counts[k], used, &n);
        struct built b;
        build(&b, span_of(text, n));
        free(text);
        for (int i = 0; i < 1000; i++) {
            char sender[64];
            char recipient[64];
            (void)snprintf(sender, sizeof sender, "s%ld@x.ch", random() % 6);
            (void)snprintf(recipient, sizeof recipient, "u%ld@%sd%ld.Example%s", random() % 6,
                           labels[random() % 5], random() % (used + 2),
                           random() % 3 == 0 ? "." : "");
            struct policy_facts f = envelope(sender, recipient);
            struct policy_decision by_index = policy_decide(&b.p, 0, &f, NULL);
            struct policy_decision by_walk = policy_decide(&b.p, 0, &f, &walk);
            ck_assert_msg(by_index.rule == by_walk.rule && by_index.outcome == by_walk.outcome,
                          "%s: %u by index, %u by walk", recipient, by_index.rule, by_walk.rule);
            hits += by_index.rule != counts[k];
        }
        unbuild(&b);
    }
    ck_assert_uint_gt(hits, 500); /* the comparison is worth something */
}
END_TEST

START_TEST(test_long_recipient)
{
    struct built b;
    build_when(&b, "{\"recipient\":\"*.a\"}");
    static char recipient[4096];
    for (size_t i = 0; i < sizeof recipient; i++)
        recipient[i] = i % 2 == 0 ? 'a' : '.';
    recipient[1] = '@';
    struct policy_facts f = envelope("", "");
    const struct policy_trace walk = {.step = ignore_step};
    for (size_t n = 0; n <= 2 + LIMIT_DOMAIN; n++) {
        f.recipient = span_of(recipient, n);
        ck_assert_uint_eq(policy_decide(&b.p, 0, &f, NULL).rule,
                          policy_decide(&b.p, 0, &f, &walk).rule);
    }
    f.recipient.n = sizeof recipient; /* longer than any domain: taken for none */
    ck_assert_uint_eq(policy_decide(&b.p, 0, &f, NULL).rule, 1);
    unbuild(&b);
}
END_TEST

/* ---- what the roles ask --------------------------------------------------------------------- */

START_TEST(test_accessors)
{
    struct built b;
    build(&b, rig_both_flows);
    const struct policy *p = &b.p;
    struct policy_flow out = policy_flow(p, 0);
    ck_assert_uint_eq(out.workers, 2);
    ck_assert_uint_eq(out.identity, 0);
    ck_assert_uint_eq(out.listeners.count, 2);
    struct policy_endpoint l = policy_listener(p, out.listeners.first + 1);
    ck_assert(span_eq(l.text, SPAN_LIT("[::1]:2500")));
    ck_assert_int_eq(l.address.family, 6);
    ck_assert_int_eq(l.address.bytes[15], 1);
    ck_assert_uint_eq(l.port, 2500);
    ck_assert_uint_eq(policy_flow(p, 1).identity, POLICY_NONE);
    ck_assert_int_eq(policy_flow(p, 1).client_certificate, POLICY_CERTIFICATE_NO);
    ck_assert_int_eq(out.client_certificate, POLICY_CERTIFICATE_ASK);

    struct policy_route r = policy_route(p, policy_find_route(p, SPAN_LIT("second")));
    ck_assert_int_eq(r.kind, POLICY_ROUTE_HOSTS);
    ck_assert_uint_eq(r.hosts.count, 3);
    struct policy_host h = policy_route_host(p, 1, 0);
    ck_assert(span_eq(h.name, SPAN_LIT("mail.example.ch")));
    ck_assert(h.port == 2525 && h.address.family == 0);
    h = policy_route_host(p, 1, 1);
    ck_assert(span_eq(h.name, SPAN_LIT("2001:db8::5")));
    ck_assert(h.port == 25 && h.address.family == 6);
    h = policy_route_host(p, 1, 2);
    ck_assert(h.port == 25 && h.address.family == 4 && h.address.bytes[3] == 9);
    r = policy_route(p, 2);
    ck_assert(r.kind == POLICY_ROUTE_MX_RECIPIENT && r.port == 2626 && !r.tls_require);
    ck_assert_uint_eq(r.tls.trust, POLICY_NONE);
    r = policy_route(p, 0);
    ck_assert(r.kind == POLICY_ROUTE_MX && r.port == 25 && r.tls_require);
    ck_assert(span_eq(r.mx, SPAN_LIT("im.post.ch")));
    ck_assert_uint_eq(policy_find_route(p, SPAN_LIT("firs")), POLICY_NONE);

    ck_assert_uint_eq(policy_count(p, POLICY_PORTS), 3);
    ck_assert_uint_eq(policy_port(p, 0), 25);
    ck_assert_uint_eq(policy_port(p, 1), 2525);
    ck_assert_uint_eq(policy_port(p, 2), 2626);

    struct policy_peer peer = policy_peer(p, 0);
    ck_assert(peer.needs_tls && peer.networks.count == 0 && peer.tls.names.count == 2);
    ck_assert(span_eq(policy_string(p, peer.tls.names, 0), SPAN_LIT("*.incamail.com")));
    ck_assert(span_eq(peer.tls.organization, SPAN_LIT("Post CH AG")));
    ck_assert(policy_trust(p, peer.tls.trust).system);
    ck_assert_uint_gt(policy_trust(p, 0).file.n, 0);
    ck_assert(span_eq(policy_identity(p, 1).key, SPAN_LIT("/c.key")));
    unbuild(&b);
}
END_TEST

START_TEST(test_peers)
{
    struct built b;
    build(&b, rig_both_flows);
    enum { PLATFORM = 1, EXCHANGE = 2, BOTH = 4 };
    struct policy_address inside = ip("10.1.0.9");
    struct policy_address outside = ip("10.2.0.9");
    struct policy_address other = ip("192.0.2.1");
    ck_assert_uint_eq(policy_peers_by_address(&b.p, &inside), PLATFORM | EXCHANGE);
    ck_assert_uint_eq(policy_peers_met(&b.p, &inside, 0), EXCHANGE);
    ck_assert_uint_eq(policy_peers_met(&b.p, &outside, 0), 0);
    ck_assert_uint_eq(policy_peers_met(&b.p, &outside, PLATFORM), PLATFORM);
    ck_assert_uint_eq(policy_peers_met(&b.p, &outside, ~(uint64_t)0), PLATFORM);
    ck_assert_uint_eq(policy_peers_met(&b.p, &other, 0), 0);
    ck_assert_uint_eq(policy_peers_met(&b.p, &other, BOTH), BOTH);
    ck_assert_uint_eq(policy_peers_met(&b.p, &inside, BOTH), EXCHANGE);

    ck_assert(policy_flow_accepts(&b.p, 0, EXCHANGE));
    ck_assert(policy_flow_accepts(&b.p, 0, BOTH | PLATFORM));
    ck_assert(!policy_flow_accepts(&b.p, 0, PLATFORM));
    ck_assert(!policy_flow_accepts(&b.p, 0, 0));
    ck_assert(policy_flow_accepts(&b.p, 1, 0));
    unbuild(&b);
}
END_TEST

START_TEST(test_relaying_and_identities)
{
    struct built b;
    build(&b, rig_both_flows);
    const struct policy *p = &b.p;
    ck_assert(policy_recipient_allowed(p, 0, SPAN_LIT("x@anywhere.example")));
    ck_assert(policy_recipient_allowed(p, 1, SPAN_LIT("x@example.ch")));
    ck_assert(policy_recipient_allowed(p, 1, SPAN_LIT("x@a.EXAMPLE.ch.")));
    ck_assert(policy_recipient_allowed(p, 1, SPAN_LIT("Postmaster")));
    ck_assert(!policy_recipient_allowed(p, 1, SPAN_LIT("root")));
    ck_assert(!policy_recipient_allowed(p, 1, SPAN_LIT("x@evil-example.ch")));
    ck_assert(!policy_recipient_allowed(p, 1, SPAN_LIT("x@example.ch@evil.com")));
    ck_assert(!policy_recipient_allowed(p, 1, SPAN_LIT("x%example.ch@evil.com")));
    ck_assert(!policy_recipient_allowed(p, 1, SPAN_LIT("")));

    enum { SERVER, CLIENT, BOUNCES };
    ck_assert(policy_identity_allowed(p, 0, SERVER, TLS_AS_SERVER));
    ck_assert(!policy_identity_allowed(p, 0, SERVER, TLS_AS_CLIENT));
    ck_assert(policy_identity_allowed(p, 0, CLIENT, TLS_AS_CLIENT));
    ck_assert(!policy_identity_allowed(p, 0, CLIENT, TLS_AS_SERVER));
    /* The bounces of "out" go over the last rule of "in", and the other way round. */
    ck_assert_uint_eq(policy_flow(p, 0).bounce_route, 1);
    ck_assert_uint_eq(policy_flow(p, 1).bounce_route, 2);
    ck_assert(policy_identity_allowed(p, 0, BOUNCES, TLS_AS_CLIENT));
    ck_assert(policy_identity_allowed(p, 1, BOUNCES, TLS_AS_CLIENT));
    ck_assert(!policy_identity_allowed(p, 1, CLIENT, TLS_AS_CLIENT));
    ck_assert(!policy_identity_allowed(p, 1, SERVER, TLS_AS_SERVER));
    ck_assert(!policy_identity_allowed(p, 2, SERVER, TLS_AS_SERVER));
    ck_assert(!policy_identity_allowed(p, 0, 3, TLS_AS_CLIENT));
    ck_assert(!policy_identity_allowed(p, 0, POLICY_NONE, TLS_AS_SERVER));
    ck_assert(!policy_identity_allowed(p, 1, POLICY_NONE, TLS_AS_SERVER));
    ck_assert(!policy_identity_allowed(p, 0, 0, 0));
    ck_assert(!policy_identity_allowed(p, 0, 0, 3));
    unbuild(&b);
}
END_TEST

#define LOOP(tc, test, table)                                                                      \
    tcase_add_loop_test(tc, test, 0, (int)(sizeof table / sizeof table[0]))

int main(void)
{
    Suite *s = suite_create("policy");
    TCase *tc = tcase_create("policy");
    tcase_set_timeout(tc, 120);
    LOOP(tc, test_domains, domains);
    LOOP(tc, test_addresses, addresses);
    LOOP(tc, test_networks, networks);
    LOOP(tc, test_subjects, subjects);
    LOOP(tc, test_three_values, logic);
    tcase_add_test(tc, test_subject_windows);
    tcase_add_test(tc, test_actions);
    tcase_add_test(tc, test_trace);
    tcase_add_test(tc, test_index_decides_like_the_walk);
    tcase_add_test(tc, test_long_recipient);
    tcase_add_test(tc, test_accessors);
    tcase_add_test(tc, test_peers);
    tcase_add_test(tc, test_relaying_and_identities);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
