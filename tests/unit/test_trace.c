/* Dates and Received fields. */
#include "engine/mime/trace.h"
#include "tests/unit/dsn_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- dates ------------------------------------------------------------------------------ */

static const struct {
    int64_t seconds;
    const char *text;
} dates[] = {
    {0, "Thu, 01 Jan 1970 00:00:00 +0000"},
    {-1, "Thu, 01 Jan 1970 00:00:00 +0000"},
    {951782399, "Mon, 28 Feb 2000 23:59:59 +0000"},
    {951782400, "Tue, 29 Feb 2000 00:00:00 +0000"},
    {951868800, "Wed, 01 Mar 2000 00:00:00 +0000"},
    {1795528157, "Tue, 24 Nov 2026 13:49:17 +0000"},
    {4107542400, "Mon, 01 Mar 2100 00:00:00 +0000"},
    {INT64_C(253402300799), "Fri, 31 Dec 9999 23:59:59 +0000"},
    {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 +0000"},
};

START_TEST(known_dates)
{
    char out[TRACE_DATE];
    ck_assert_uint_eq(trace_date(dates[_i].seconds, out), strlen(dates[_i].text));
    ck_assert_str_eq(out, dates[_i].text);
}
END_TEST

START_TEST(dates_are_those_of_the_c_library)
{
    for (int64_t day = 0; day < 366 * 500; day++) {
        char out[TRACE_DATE], expected[TRACE_DATE];
        time_t t = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        ck_assert_ptr_nonnull(gmtime_r(&t, &tm));
        ck_assert_uint_gt(strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S +0000", &tm),
                          0);
        (void)trace_date(t, out);
        ck_assert_str_eq(out, expected);
    }
}
END_TEST

/* ---- lines ------------------------------------------------------------------------------ */

static const char *text_of(const unsigned char *p, size_t n)
{
    static char text[LIMIT_RECEIVED + 1];
    ck_assert_uint_le(n, LIMIT_RECEIVED);
    memcpy(text, p, n);
    text[n] = '\0';
    return text;
}

START_TEST(short_dates)
{
    char out[TRACE_DATE];
    ck_assert_uint_eq(trace_short_date(1795528157, out), 16);
    ck_assert_str_eq(out, "2026-11-24 13:49");
    (void)trace_short_date(-5, out);
    ck_assert_str_eq(out, "1970-01-01 00:00");
    (void)trace_short_date(INT64_MAX, out);
    ck_assert_str_eq(out, "9999-12-31 23:59");
}
END_TEST

/* ---- Received --------------------------------------------------------------------------- */

static const struct trace_received plain = {
    .helo = SPAN_LIT("client.example.ch"),
    .client = SPAN_LIT("192.0.2.1"),
    .host = SPAN_LIT("mx1.example.ch"),
    .id = SPAN_LIT("4Xy7-1"),
    .extended = true,
    .time = 1795528157,
};

START_TEST(received_in_clear)
{
    unsigned char out[LIMIT_RECEIVED];
    size_t n = trace_received(&plain, out, sizeof out);
    ck_assert_str_eq(text_of(out, n), "Received: from client.example.ch ([192.0.2.1])\r\n"
                                      "\tby mx1.example.ch (mgid) with ESMTP id 4Xy7-1;\r\n"
                                      "\tTue, 24 Nov 2026 13:49:17 +0000\r\n");
    struct trace_received helo = plain;
    helo.extended = false;
    helo.helo = SPAN_EMPTY;
    helo.client = SPAN_LIT("2001:db8::1");
    n = trace_received(&helo, out, sizeof out);
    ck_assert_ptr_nonnull(strstr(text_of(out, n), "from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])"));
    ck_assert_ptr_nonnull(strstr(text_of(out, n), " with SMTP id "));
}
END_TEST

START_TEST(received_utf8)
{
    unsigned char out[LIMIT_RECEIVED];
    struct trace_received utf8 = plain;
    utf8.utf8 = true;
    size_t n = trace_received(&utf8, out, sizeof out);
    ck_assert_ptr_nonnull(strstr(text_of(out, n), " with UTF8SMTP id "));
    utf8.tls_version = SPAN_LIT("TLSv1.3");
    n = trace_received(&utf8, out, sizeof out);
    ck_assert_ptr_nonnull(strstr(text_of(out, n), " with UTF8SMTPS id "));
}
END_TEST

START_TEST(received_over_tls)
{
    unsigned char out[LIMIT_RECEIVED];
    struct trace_received tls = plain;
    tls.tls_version = SPAN_LIT("TLSv1.3");
    tls.tls_cipher = SPAN_LIT("TLS_AES_128_GCM_SHA256");
    tls.certificate = SPAN_LIT("verified, CN=im.post.ch, O=Post CH AG, peer incamail");
    tls.recipient = SPAN_LIT("hans@example.ch");
    size_t n = trace_received(&tls, out, sizeof out);
    ck_assert_str_eq(
        text_of(out, n),
        "Received: from client.example.ch ([192.0.2.1])\r\n"
        "\tby mx1.example.ch (mgid) with ESMTPS id 4Xy7-1\r\n"
        "\t(TLSv1.3 TLS_AES_128_GCM_SHA256; client certificate verified, CN=im.post.ch,\r\n"
        "\tO=Post CH AG, peer incamail)\r\n"
        "\tfor <hans@example.ch>; Tue, 24 Nov 2026 13:49:17 +0000\r\n");
}
END_TEST

START_TEST(received_from_hostile_client)
{
    unsigned char out[LIMIT_RECEIVED];
    struct trace_received evil = plain;
    evil.helo = SPAN_LIT("a\r\nX-Evil: 1\r\n\r\nb(\\\xff\0c");
    evil.tls_version = SPAN_LIT("TLS\r\n1");
    evil.certificate = SPAN_LIT(") x\r\nY-Evil: 1 (\\ \xc3\xbc");
    evil.recipient = SPAN_LIT("\"a> b\"@example.ch\r\nZ-Evil: 1");
    size_t n = trace_received(&evil, out, sizeof out);
    (void)rig_check_lines(span_of(out, n), false);
    const char *text = text_of(out, n);
    ck_assert_ptr_nonnull(strstr(text, "from a??X-Evil:?1????b????c ("));
    ck_assert_ptr_null(strstr(text, "\nX-Evil"));
    ck_assert_ptr_null(strstr(text, "\nY-Evil"));
    ck_assert_ptr_null(strstr(text, "\nZ-Evil"));
    ck_assert_ptr_nonnull(strstr(text, "for <\"a? b\"@example.ch  Z-Evil: 1>;"));
    for (const char *p = text; (p = strchr(p, '\n')) != NULL && p[1] != '\0'; p++)
        ck_assert_int_eq(p[1], '\t');
}
END_TEST

/* Every field far over its bound still fits, in lines of bounded length; less room gives 0. */
START_TEST(received_fits_its_limit)
{
    static const unsigned char fill[] = {'a', ' ', '.', '\n'};
    unsigned char big[1000], out[LIMIT_RECEIVED];
    for (size_t f = 0; f < COUNT(fill); f++) {
        memset(big, fill[f], sizeof big);
        struct span s = span_of(big, sizeof big);
        struct trace_received all = {.helo = s,
                                     .client = s,
                                     .host = s,
                                     .id = s,
                                     .extended = true,
                                     .tls_version = s,
                                     .tls_cipher = s,
                                     .certificate = s,
                                     .recipient = s,
                                     .time = INT64_MAX};
        size_t n = trace_received(&all, out, sizeof out);
        ck_assert_uint_gt(n, 0);
        (void)rig_check_lines(span_of(out, n), false);
        for (size_t capacity = 0; capacity < n; capacity++) {
            unsigned char *small = malloc(capacity + 1);
            ck_assert_uint_eq(trace_received(&all, small, capacity), 0);
            free(small);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trace");
    TCase *t = tcase_create("trace");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, known_dates, 0, (int)COUNT(dates));
    tcase_add_test(t, dates_are_those_of_the_c_library);
    tcase_add_test(t, short_dates);
    tcase_add_test(t, received_in_clear);
    tcase_add_test(t, received_utf8);
    tcase_add_test(t, received_over_tls);
    tcase_add_test(t, received_from_hostile_client);
    tcase_add_test(t, received_fits_its_limit);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
