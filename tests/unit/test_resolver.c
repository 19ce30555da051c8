/* DNS responses, and the answers that are made of them. */
#include "tests/unit/dns_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- reading them ----------------------------------------------------------------------- */

struct taken {
    unsigned n;
    struct wire_record records[64];
};

static void take(void *context, const struct wire_record *record)
{
    struct taken *t = context;
    ck_assert_uint_lt(t->n, COUNT(t->records));
    t->records[t->n++] = *record;
}

/* From memory of exactly the packet's length. */
static bool read_packet(struct span s, enum wire_type type, struct taken *t, struct wire_summary *w)
{
    unsigned char *exact = malloc(s.n + 1);
    memcpy(exact, s.p, s.n);
    t->n = 0;
    bool ok = wire_read(span_of(exact, s.n), type, take, t, w);
    free(exact);
    return ok;
}

START_TEST(reads_mx_records)
{
    static struct taken t;
    struct wire_summary w;
    begin_packet("Example.CH", WIRE_MX, 0);
    put_named("example.ch", WIRE_MX, 300, 20, "MX2.example.ch");
    put_named("other.ch", WIRE_MX, 1, 20, "wrong.example.ch");
    put_named("example.ch", WIRE_MX, 200, 10, "mx_1.example.ch");
    put_named("example.ch", WIRE_MX, 400, 0, "mx 3.example.ch");
    put_named("example.ch", WIRE_MX, 400, 0, "");
    ck_assert(read_packet(whole(), WIRE_MX, &t, &w));
    ck_assert_uint_eq(t.n, 3);
    ck_assert_str_eq(t.records[0].name, "mx2.example.ch");
    ck_assert_uint_eq(t.records[0].preference, 20);
    ck_assert_str_eq(t.records[1].name, "mx_1.example.ch");
    ck_assert_str_eq(t.records[2].name, "");
    ck_assert_uint_eq(w.ttl, 200);
    ck_assert_uint_eq(w.records, 4);
    ck_assert_uint_eq(w.unusable, 1);
    ck_assert(!read_packet(whole(), WIRE_A, &t, &w));
    for (size_t n = 0; n < packet.n; n++)
        ck_assert(!read_packet(span_head(whole(), n), WIRE_MX, &t, &w));
}
END_TEST

START_TEST(follows_aliases)
{
    static struct taken t;
    struct wire_summary w;
    begin_packet("a.ch", WIRE_A, 0);
    put_v4("c.ch", 50, 9); /* before its alias: not of the chain */
    put_named("a.ch", WIRE_CNAME, 100, 0, "B.ch");
    put_v4("a.ch", 50, 8);
    put_named("b.ch", WIRE_CNAME, 80, 0, "c.ch");
    put_v4("c.ch", 90, 1);
    put_v4("c.ch", 90, 2);
    ck_assert(read_packet(whole(), WIRE_A, &t, &w));
    ck_assert_uint_eq(t.n, 2);
    ck_assert_uint_eq(t.records[0].octets[3], 1);
    ck_assert_uint_eq(w.ttl, 80);
}
END_TEST

START_TEST(reads_denials)
{
    static struct taken t;
    struct wire_summary w;
    begin_packet("a.ch", WIRE_A, WIRE_NXDOMAIN);
    put_record(8, "ch", WIRE_SOA, 120, "whatever", 8);
    ck_assert(read_packet(whole(), WIRE_A, &t, &w));
    ck_assert_uint_eq(w.rcode, WIRE_NXDOMAIN);
    ck_assert_uint_eq(w.ttl, 120);
    ck_assert_uint_eq(t.n + w.records, 0);
}
END_TEST

START_TEST(pointers_lead_back)
{
    static struct taken t;
    struct wire_summary w;
    begin_packet("example.ch", WIRE_MX, 0);
    static const unsigned char good[] = {0, 10, 2, 'm', 'x', 0xc0, 12};
    size_t record = packet.n;
    put_record(6, "example.ch", WIRE_MX, 5, good, sizeof good);
    ck_assert(read_packet(whole(), WIRE_MX, &t, &w));
    ck_assert_str_eq(t.records[0].name, "mx.example.ch");
    for (unsigned target = 0; target < 0x4000; target++) { /* none may hang or read outside */
        packet.p[packet.n - 2] = (unsigned char)(0xc0 | target >> 8);
        packet.p[packet.n - 1] = (unsigned char)target;
        bool ok = read_packet(whole(), WIRE_MX, &t, &w);
        ck_assert(!ok || target < packet.n);
        if (target >= packet.n - 5) /* where the name itself begins */
            ck_assert(!ok);
    }
    ck_assert_uint_gt(packet.n, record);
}
END_TEST

START_TEST(noise_in_packets)
{
    static struct taken t;
    struct wire_summary w;
    srand(1);
    for (int round = 0; round < 50000; round++) {
        begin_packet("example.ch", WIRE_MX, 0);
        put_named("example.ch", WIRE_CNAME, 5, 0, "b.ch");
        put_named("b.ch", WIRE_MX, 5, 10, "mx.example.ch");
        put_record(8, "ch", WIRE_SOA, 120, "whatever", 8);
        for (int i = rand() % 6; i >= 0; i--)
            packet.p[(size_t)rand() % packet.n] = (unsigned char)rand();
        if (read_packet(whole(), WIRE_MX, &t, &w) && t.n > 0)
            ck_assert_uint_le(strlen(t.records[0].name), LIMIT_DOMAIN);
    }
}
END_TEST

/* ---- answers ---------------------------------------------------------------------------- */

/* "10 mx1.example.ch 2001:db8::1 192.0.2.1; …", addresses by their last octet: "6:1 4:1". */
static const char *hosts_text(void)
{
    static char text[8192];
    struct msg_reader r = {.in = span_of(result.hosts, result.hosts_length)};
    struct lookup_host host;
    size_t n = 0;
    text[0] = '\0';
    while (lookup_next_host(&r, &host)) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%u %.*s%s", n > 0 ? "; " : "",
                              host.preference, (int)host.name.n, (const char *)host.name.p,
                              host.secure ? " secure" : "");
        for (unsigned i = 0; i < host.count; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, " %u:%u", host.addresses[i].family,
                                  host.addresses[i].octets[host.addresses[i].family == 4 ? 3 : 15]);
        ck_assert_uint_lt(n, sizeof text);
    }
    ck_assert(!r.bad);
    return text;
}

static void check_result(enum lookup_status status, const char *hosts, const char *reason)
{
    ck_assert_msg(result.status == status, "status %s: %s", lookup_status_text(result.status),
                  result.reason);
    ck_assert_str_eq(hosts_text(), hosts);
    ck_assert_str_eq(result.reason, reason);
}

static bool asks(const struct answer_query *q, enum wire_type type, const char *name)
{
    return q->type == type && strcmp(q->name, name) == 0;
}

static void two_hosts(const struct answer_query *q)
{
    if (q->type == WIRE_MX) {
        put_named(q->name, WIRE_MX, 7200, 20, "mx2.example.ch");
        put_named(q->name, WIRE_MX, 7200, 10, "mx1.example.ch");
    } else if (asks(q, WIRE_AAAA, "mx1.example.ch")) {
        for (unsigned char i = 1; i <= 3; i++)
            put_v6(q->name, 500, i);
    } else if (asks(q, WIRE_A, "mx1.example.ch")) {
        put_v4(q->name, 7000, 11);
    } else if (asks(q, WIRE_A, "mx2.example.ch")) {
        put_v4(q->name, 7000, 21);
        put_v4(q->name, 7000, 22);
    } else {
        put_record(8, "example.ch", WIRE_SOA, 900, "x", 1);
    }
}

START_TEST(mx_in_order_with_addresses)
{
    answer_run(LOOKUP_MX, "Example.CH.", two_hosts);
    check_result(LOOKUP_OK,
                 "10 mx1.example.ch secure 6:1 4:11 6:2 6:3; 20 mx2.example.ch secure 4:21 4:22",
                 "");
    ck_assert(result.secure);
    ck_assert_uint_eq(result.ttl, 500);
    answer_run(LOOKUP_HOST, "mx1.example.ch", two_hosts);
    check_result(LOOKUP_OK, "0 mx1.example.ch secure 6:1 4:11 6:2 6:3", "");
    ck_assert_uint_eq(result.ttl, 500);
}
END_TEST

static const char *insecure_name;

static void partly_insecure(const struct answer_query *q)
{
    two_hosts(q);
    secure = strcmp(q->name, insecure_name) != 0;
}

START_TEST(secure_when_all_was_validated)
{
    insecure_name = "mx2.example.ch";
    answer_run(LOOKUP_MX, "example.ch", partly_insecure);
    ck_assert(!result.secure);
    check_result(LOOKUP_OK,
                 "10 mx1.example.ch secure 6:1 4:11 6:2 6:3; 20 mx2.example.ch 4:21 4:22", "");
    insecure_name = "example.ch";
    answer_run(LOOKUP_MX, "example.ch", partly_insecure);
    ck_assert(!result.secure);
    ck_assert_ptr_null(strstr(hosts_text(), "secure"));
}
END_TEST

static void null_mx(const struct answer_query *q)
{
    ck_assert_int_eq(q->type, WIRE_MX);
    put_named(q->name, WIRE_MX, 60, 0, "");
}

static void root_among_others(const struct answer_query *q)
{
    if (q->type == WIRE_MX)
        put_named(q->name, WIRE_MX, 60, 0, "");
    two_hosts(q);
}

static void implicit(const struct answer_query *q)
{
    ck_assert_str_eq(q->name, "example.ch");
    if (q->type == WIRE_A)
        put_v4(q->name, 60, 1);
}

static void nothing(const struct answer_query *q)
{
    (void)q;
}

static void no_such_domain(const struct answer_query *q)
{
    begin_packet(q->name, q->type, WIRE_NXDOMAIN);
    put_record(8, "ch", WIRE_SOA, 99, "x", 1);
}

static void no_such_domain_by_rcode(const struct answer_query *q)
{
    (void)q;
    failure = ANSWER_FAILED;
    failure_rcode = WIRE_NXDOMAIN;
}

static void dangling(const struct answer_query *q)
{
    if (q->type == WIRE_MX)
        put_named(q->name, WIRE_MX, 60, 0, "gone.example.ch");
    else
        no_such_domain(q);
}

static void unusable(const struct answer_query *q)
{
    put_named(q->name, WIRE_MX, 60, 0, "a b.example.ch");
}

START_TEST(absences)
{
    answer_run(LOOKUP_MX, "example.ch", null_mx);
    check_result(LOOKUP_NULL_MX, "", "example.ch: accepts no mail (null MX)");
    ck_assert_uint_eq(result.ttl, 60);
    answer_run(LOOKUP_MX, "example.ch", root_among_others);
    check_result(LOOKUP_OK,
                 "10 mx1.example.ch secure 6:1 4:11 6:2 6:3; 20 mx2.example.ch secure 4:21 4:22",
                 "");
    answer_run(LOOKUP_MX, "example.ch", implicit);
    check_result(LOOKUP_OK, "0 example.ch secure 4:1", "");
    answer_run(LOOKUP_MX, "example.ch", nothing);
    check_result(LOOKUP_NO_ADDRESS, "", "example.ch: neither MX nor AAAA nor A");
    answer_run(LOOKUP_HOST, "example.ch", nothing);
    check_result(LOOKUP_NO_ADDRESS, "", "example.ch: neither AAAA nor A");
    answer_run(LOOKUP_MX, "example.ch", no_such_domain);
    check_result(LOOKUP_NO_SUCH_DOMAIN, "", "example.ch: no such domain");
    ck_assert_uint_eq(result.ttl, 99);
    answer_run(LOOKUP_HOST, "example.ch", no_such_domain);
    check_result(LOOKUP_NO_SUCH_DOMAIN, "", "example.ch: no such domain");
    answer_run(LOOKUP_MX, "example.ch", no_such_domain_by_rcode);
    check_result(LOOKUP_NO_SUCH_DOMAIN, "", "example.ch: no such domain");
    answer_run(LOOKUP_MX, "example.ch", dangling);
    check_result(LOOKUP_NO_ADDRESS, "", "example.ch: no host of the MX set has an address");
    answer_run(LOOKUP_MX, "example.ch", unusable);
    check_result(LOOKUP_NO_ADDRESS, "", "example.ch: no host of the MX set has an address");
}
END_TEST

static enum wire_type failing_type;
static const char *failing_name;
static enum answer_state failing_state;

static void one_fails(const struct answer_query *q)
{
    two_hosts(q);
    if (q->type != failing_type || (failing_name != NULL && strcmp(q->name, failing_name) != 0))
        return;
    failure = failing_state;
    failure_rcode = WIRE_SERVFAIL;
    why = "no keys for DNSKEY example.ch";
}

static void fails(enum wire_type type, const char *name, enum answer_state how)
{
    failing_type = type;
    failing_name = name;
    failing_state = how;
    answer_run(LOOKUP_MX, "example.ch", one_fails);
}

START_TEST(failures_are_named)
{
    fails(WIRE_MX, NULL, ANSWER_TIME_OUT);
    check_result(LOOKUP_TRY_AGAIN, "", "MX example.ch: time-out");
    ck_assert_uint_eq(result.ttl, 0);
    fails(WIRE_MX, NULL, ANSWER_FAILED);
    check_result(LOOKUP_TRY_AGAIN, "", "MX example.ch: SERVFAIL");
    fails(WIRE_MX, NULL, ANSWER_BOGUS);
    check_result(LOOKUP_BOGUS, "", "MX example.ch: bogus (no keys for DNSKEY example.ch)");
    fails(WIRE_MX, NULL, ANSWER_BUSY);
    check_result(LOOKUP_TRY_AGAIN, "", "MX example.ch: too many queries under way");
    ck_assert(!result.secure);
    /* one host that works is enough, and its data are as secure as they were */
    fails(WIRE_A, "mx2.example.ch", ANSWER_TIME_OUT);
    check_result(LOOKUP_OK, "10 mx1.example.ch secure 6:1 4:11 6:2 6:3", "");
    ck_assert(result.secure);
    fails(WIRE_AAAA, "mx1.example.ch", ANSWER_TIME_OUT);
    check_result(LOOKUP_OK, "10 mx1.example.ch secure 4:11; 20 mx2.example.ch secure 4:21 4:22",
                 "");
    /* none that works, and one that may come good */
    failing_name = "mx2.example.ch";
    failing_type = WIRE_A;
    failing_state = ANSWER_FAILED;
    answer_run(LOOKUP_HOST, "mx2.example.ch", one_fails);
    check_result(LOOKUP_TRY_AGAIN, "", "A mx2.example.ch: SERVFAIL");
}
END_TEST

static void malformed(const struct answer_query *q)
{
    two_hosts(q);
    if (q->type == WIRE_MX)
        packet.n--;
}

static void servfail_in_packet(const struct answer_query *q)
{
    begin_packet(q->name, q->type, WIRE_SERVFAIL);
}

START_TEST(bad_responses_fail)
{
    answer_run(LOOKUP_MX, "example.ch", malformed);
    check_result(LOOKUP_TRY_AGAIN, "", "MX example.ch: malformed response");
    answer_run(LOOKUP_MX, "example.ch", servfail_in_packet);
    check_result(LOOKUP_TRY_AGAIN, "", "MX example.ch: SERVFAIL");
    answer_run(LOOKUP_HOST, "example.ch", servfail_in_packet);
    check_result(LOOKUP_TRY_AGAIN, "", "AAAA example.ch: SERVFAIL");
}
END_TEST

/* ---- order and bounds ------------------------------------------------------------------- */

static void three_equal(const struct answer_query *q)
{
    static const char *const names[] = {"a", "b", "c"};
    if (q->type == WIRE_MX)
        for (size_t i = 0; i < COUNT(names); i++)
            put_named(q->name, WIRE_MX, 60, 10, names[i]);
    else if (q->type == WIRE_A)
        put_v4(q->name, 60, 1);
}

START_TEST(equal_preferences_are_shuffled)
{
    unsigned seen[3][3] = {{0}};
    dns_chance = 1;
    for (int round = 0; round < 3000; round++) {
        answer_run(LOOKUP_MX, "example.ch", three_equal);
        ck_assert_uint_eq(answer.host_count, 3);
        for (unsigned i = 0; i < 3; i++)
            seen[i][answer.hosts[i].name[0] - 'a']++;
    }
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 3; k++)
            ck_assert_msg(seen[i][k] > 850 && seen[i][k] < 1150, "place %u: %u times %u", i,
                          seen[i][k], k);
}
END_TEST

/* Preferences fall, so that the best come last; and each host has more addresses than the bound. */
static void very_many(const struct answer_query *q)
{
    for (unsigned i = 0; i < 60; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "mx%u.example.ch", i);
        if (q->type == WIRE_MX)
            put_named(q->name, WIRE_MX, 60, 59 - i, name);
        else if (q->type == WIRE_A)
            put_v4(q->name, 60, (unsigned char)i);
        else
            put_v6(q->name, 60, (unsigned char)i);
    }
}

START_TEST(the_best_of_very_many)
{
    answer_run(LOOKUP_MX, "example.ch", very_many);
    ck_assert_int_eq(result.status, LOOKUP_OK);
    struct msg_reader r = {.in = span_of(result.hosts, result.hosts_length)};
    struct lookup_host host;
    unsigned n = 0;
    for (; lookup_next_host(&r, &host); n++) {
        ck_assert_uint_eq(host.preference, n);
        ck_assert_uint_eq(host.count, LIMIT_HOST_ADDRESSES);
        for (unsigned i = 0; i < host.count; i++)
            ck_assert_uint_eq(host.addresses[i].family, i % 2 == 0 ? 6 : 4);
    }
    ck_assert(!r.bad);
    ck_assert_uint_eq(n, LIMIT_MX);
}
END_TEST

static void named_twice(const struct answer_query *q)
{
    if (q->type == WIRE_MX) {
        put_named(q->name, WIRE_MX, 60, 30, "b.ch");
        put_named(q->name, WIRE_MX, 60, 20, "a.ch");
        put_named(q->name, WIRE_MX, 60, 10, "B.CH");
        put_named(q->name, WIRE_MX, 60, 40, "b.ch");
    } else if (q->type == WIRE_A) {
        put_v4(q->name, 60, 1);
    }
}

START_TEST(a_host_named_twice_counts_once)
{
    answer_run(LOOKUP_MX, "example.ch", named_twice);
    check_result(LOOKUP_OK, "10 b.ch secure 4:1; 20 a.ch secure 4:1", "");
}
END_TEST

/* ---- names ------------------------------------------------------------------------------ */

static void must_not_be_asked(const struct answer_query *q)
{
    ck_abort_msg("asked for %s", q->name);
}

static const struct {
    const char *name;
    const char *hosts;
} literals[] = {
    {"192.0.2.7", "0  4:7"},          {"[192.0.2.7]", "0  4:7"},        {"2001:db8::7", "0  6:7"},
    {"[IPv6:2001:db8::7]", "0  6:7"}, {"[ipv6:2001:db8::7]", "0  6:7"}, {"[2001:db8::7]", "0  6:7"},
};

START_TEST(literals_need_no_query)
{
    answer_run(_i % 2 == 0 ? LOOKUP_MX : LOOKUP_HOST, literals[_i].name, must_not_be_asked);
    check_result(LOOKUP_OK, literals[_i].hosts, "");
    ck_assert(!result.secure);
}
END_TEST

#define LABEL "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk" /* 63 */

static const char *const bad_names[] = {
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "a b",
    "a\xc3\xbc",
    "a/b",
    "[1.2.3]",
    "[1.2.3.4",
    "1.2.3.4]",
    "a@b",
    LABEL "x.example.ch",
    "[]",
    "[IPv6:]",
    LABEL "." LABEL "." LABEL "." LABEL,
};

START_TEST(bad_names_need_no_query)
{
    answer_run(LOOKUP_MX, bad_names[_i], must_not_be_asked);
    check_result(LOOKUP_BAD_NAME, "", "not a host name");
    ck_assert(lookup_permanent(result.status));
}
END_TEST

START_TEST(long_names_are_asked_for)
{
    answer_run(LOOKUP_HOST,
               LABEL "." LABEL "." LABEL "."
                     "abcdefghijklmnopqrstuvwxyz_-0123456789abcdefghijklmnopqrstuvw",
               nothing);
    ck_assert_int_eq(result.status, LOOKUP_NO_ADDRESS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolver");
    TCase *t = tcase_create("resolver");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, reads_mx_records);
    tcase_add_test(t, follows_aliases);
    tcase_add_test(t, reads_denials);
    tcase_add_test(t, pointers_lead_back);
    tcase_add_test(t, noise_in_packets);
    tcase_add_test(t, mx_in_order_with_addresses);
    tcase_add_test(t, secure_when_all_was_validated);
    tcase_add_test(t, absences);
    tcase_add_test(t, failures_are_named);
    tcase_add_test(t, bad_responses_fail);
    tcase_add_test(t, equal_preferences_are_shuffled);
    tcase_add_test(t, the_best_of_very_many);
    tcase_add_test(t, a_host_named_twice_counts_once);
    tcase_add_loop_test(t, literals_need_no_query, 0, (int)COUNT(literals));
    tcase_add_loop_test(t, bad_names_need_no_query, 0, (int)COUNT(bad_names));
    tcase_add_test(t, long_names_are_asked_for);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
