/* TLSA records beside an answer's hosts: which name they are asked for, and what DNSSEC says of it.
 */
#include "tests/unit/dns_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Of one host: "none", "BASE USAGE SELECTOR MATCHING:BYTES …", or "failed: WHY". */
static const char *tlsa_text(void)
{
    static char text[2048];
    struct msg_reader r = {.in = span_of(result.hosts, result.hosts_length)};
    struct lookup_host host;
    struct tlsa t;
    ck_assert(lookup_next_host(&r, &host));
    if (host.tlsa == LOOKUP_TLSA_NONE)
        return "none";
    int n = snprintf(
        text, sizeof text, "%.*s",
        (int)(host.tlsa == LOOKUP_TLSA_FAILED ? host.tlsa_records.n : host.tlsa_base.n),
        (const char *)(host.tlsa == LOOKUP_TLSA_FAILED ? host.tlsa_records.p : host.tlsa_base.p));
    struct msg_reader records = {.in = host.tlsa_records};
    while (host.tlsa == LOOKUP_TLSA_FOUND && tlsa_next(&records, &t))
        n += snprintf(text + n, sizeof text - (size_t)n, " %u%u%u:%zu", t.usage, t.selector,
                      t.matching, t.data.n);
    return text;
}

static void put_tlsa(const char *owner, uint8_t usage, uint8_t matching, size_t n)
{
    static unsigned char data[4096] = {0, 1, 0};
    data[0] = usage;
    data[2] = matching;
    put_record(6, owner, WIRE_TLSA, 300, data, 3 + n);
}

/* Who answers what: names that are insecure, bogus, without records, an alias. */
static const char *tlsa_insecure, *tlsa_bogus, *tlsa_alias, *tlsa_empty;

static bool is(const char *name, const char *other)
{
    return other != NULL && strcmp(name, other) == 0;
}

static void with_tlsa(const struct answer_query *q)
{
    const char *owner = q->name;
    secure = !is(q->name, tlsa_insecure);
    if (is(q->name, tlsa_bogus)) {
        failure = ANSWER_BOGUS;
        why = "signature missing";
        return;
    }
    if (q->type == WIRE_MX) {
        put_named(owner, WIRE_MX, 60, 10, "mx.example.ch");
    } else if (q->type == WIRE_A) {
        if (tlsa_alias != NULL)
            put_named(owner, WIRE_CNAME, 60, 0, tlsa_alias);
        put_v4(tlsa_alias != NULL ? tlsa_alias : owner, 60, 1);
    } else if (q->type == WIRE_TLSA && !is(q->name, tlsa_empty)) {
        put_tlsa(owner, 3, 1, 32);
        put_tlsa(owner, 0, 2, 64);
    } else {
        put_record(8, "example.ch", WIRE_SOA, 900, "x", 1);
    }
}

#define TLSA_IS(kind, text)                                                                        \
    do {                                                                                           \
        answer_run(kind, kind == LOOKUP_MX ? "example.ch" : "mx.example.ch", with_tlsa);           \
        ck_assert_int_eq(result.status, LOOKUP_OK);                                                \
        ck_assert_str_eq(tlsa_text(), text);                                                       \
    } while (0)

START_TEST(tlsa_records)
{
    TLSA_IS(LOOKUP_MX, "none"); /* not asked for */
    tlsa_port = 25;
    TLSA_IS(LOOKUP_MX, "mx.example.ch 311:32 012:64");
    ck_assert_uint_eq(result.ttl, 60);
    TLSA_IS(LOOKUP_HOST, "mx.example.ch 311:32 012:64");
    tlsa_empty = "_25._tcp.mx.example.ch";
    TLSA_IS(LOOKUP_MX, "none");
    tlsa_empty = NULL;
    tlsa_insecure = "_25._tcp.mx.example.ch";
    TLSA_IS(LOOKUP_MX, "none");
    tlsa_insecure = "mx.example.ch"; /* then TLSA is not even asked for */
    tlsa_bogus = "_25._tcp.mx.example.ch";
    TLSA_IS(LOOKUP_MX, "none");
    tlsa_insecure = "example.ch"; /* the MX set: its hosts may be anybody's */
    TLSA_IS(LOOKUP_MX, "none");
    tlsa_insecure = NULL;
    TLSA_IS(LOOKUP_MX, "TLSA mx.example.ch: bogus (signature missing)");
    ck_assert_uint_eq(result.ttl, 0);
    tlsa_bogus = "example.ch";
    answer_run(LOOKUP_MX, "example.ch", with_tlsa);
    ck_assert_int_eq(result.status, LOOKUP_BOGUS);
}
END_TEST

START_TEST(tlsa_of_aliases)
{
    tlsa_port = 25;
    tlsa_alias = "host.provider.example";
    TLSA_IS(LOOKUP_MX, "host.provider.example 311:32 012:64");
    tlsa_empty = "_25._tcp.host.provider.example";
    TLSA_IS(LOOKUP_MX, "mx.example.ch 311:32 012:64");
    tlsa_empty = NULL;
    tlsa_insecure = "mx.example.ch"; /* the alias leads out of what is signed */
    TLSA_IS(LOOKUP_MX, "mx.example.ch 311:32 012:64");
    tlsa_empty = "_25._tcp.mx.example.ch";
    TLSA_IS(LOOKUP_MX, "none");
    tlsa_insecure = NULL;
    tlsa_bogus = "_25._tcp.host.provider.example"; /* no way round it by the other name */
    TLSA_IS(LOOKUP_MX, "TLSA mx.example.ch: bogus (signature missing)");
}
END_TEST

static void huge_tlsa(const struct answer_query *q)
{
    with_tlsa(q);
    if (q->type != WIRE_TLSA)
        return;
    begin_packet(q->name, q->type, 0);
    put_tlsa(q->name, 2, 0, LIMIT_TLSA);
}

START_TEST(tlsa_without_room_or_time)
{
    tlsa_port = 25;
    answer_run(LOOKUP_MX, "example.ch", huge_tlsa);
    ck_assert_str_eq(tlsa_text(), "TLSA mx.example.ch: malformed response");
    /* The time of the look-up is over before TLSA was asked for. */
    struct answer_query query;
    answer_begin(&answer, LOOKUP_HOST, SPAN_LIT("mx.example.ch"), 25);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert(answer_next_query(&answer, &query));
        secure = true;
        begin_packet(query.name, query.type, 0);
        with_tlsa(&query);
        answer_take(&answer, &query, whole(), secure, &random_source);
    }
    answer_write(&answer, &result);
    ck_assert_str_eq(tlsa_text(), "TLSA mx.example.ch: time-out");
    /* Or while its answer was awaited. */
    ck_assert(answer_next_query(&answer, &query));
    ck_assert_int_eq(query.type, WIRE_TLSA);
    answer_fail(&answer, &query, ANSWER_TIME_OUT, 0, NULL);
    answer_write(&answer, &result);
    ck_assert_str_eq(tlsa_text(), "TLSA mx.example.ch: time-out");
}
END_TEST

static void forget_tlsa(void)
{
    tlsa_port = 0;
    tlsa_insecure = tlsa_bogus = tlsa_alias = tlsa_empty = NULL;
}

int main(void)
{
    Suite *suite = suite_create("resolver tlsa");
    TCase *t = tcase_create("tlsa");
    tcase_add_checked_fixture(t, forget_tlsa, NULL);
    tcase_add_test(t, tlsa_records);
    tcase_add_test(t, tlsa_of_aliases);
    tcase_add_test(t, tlsa_without_room_or_time);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
