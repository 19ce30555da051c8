/* Dates, Received fields, delivery status notifications. */
#include "engine/mime/dsn.h"
#include "engine/mime/trace.h"
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

/* CRLF only, 7 bit, no line over the bound; returns the longest. */
static size_t check_lines(struct span s)
{
    size_t longest = 0, column = 0;
    ck_assert_uint_ge(s.n, 2);
    ck_assert(memcmp(s.p + s.n - 2, "\r\n", 2) == 0);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = s.p[i];
        if (c == '\r') {
            ck_assert_uint_lt(i + 1, s.n);
            ck_assert_uint_eq(s.p[i + 1], '\n');
            longest = column > longest ? column : longest;
            column = 0;
            i++;
        } else {
            ck_assert(c == '\t' || (c >= ' ' && c < 0x7f));
            column++;
        }
    }
    ck_assert_uint_le(longest, LIMIT_TEXT_LINE);
    return longest;
}

static const char *text_of(const unsigned char *p, size_t n)
{
    static char text[LIMIT_DSN + 1];
    ck_assert_uint_le(n, LIMIT_DSN);
    memcpy(text, p, n);
    text[n] = '\0';
    return text;
}

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
    (void)check_lines(span_of(out, n));
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
        (void)check_lines(span_of(out, n));
        for (size_t capacity = 0; capacity < n; capacity++) {
            unsigned char *small = malloc(capacity + 1);
            ck_assert_uint_eq(trace_received(&all, small, capacity), 0);
            free(small);
        }
    }
}
END_TEST

/* ---- notifications ---------------------------------------------------------------------- */

static unsigned char buffer[LIMIT_DSN];

static const struct dsn_recipient recipients[] = {
    {.address = SPAN_LIT("hans@gmail.com.incamail.ch"),
     .original = SPAN_LIT("hans@gmail.com"),
     .action = DSN_FAILED,
     .status = SPAN_LIT("5.1.1"),
     .diagnostic = SPAN_LIT("550-5.1.1 no such user,\r\n550 5.1.1 ask his postmaster about him, "
                            "who may know where he went and whether he will be back"),
     .remote_reply = true,
     .remote_mta = SPAN_LIT("im.post.ch"),
     .last_attempt = 1795528100},
    {.address = SPAN_LIT("eva@example.org"),
     .action = DSN_DELAYED,
     .status = SPAN_LIT("4.4.3"),
     .diagnostic = SPAN_LIT("MX example.org: time-out"),
     .will_retry_until = 1795900000},
};

static struct dsn example(void)
{
    return (struct dsn){.hostname = SPAN_LIT("mx1.example.ch"),
                        .queue_id = SPAN_LIT("4Xy7-1"),
                        .arrival = 1795528000,
                        .sender = SPAN_LIT("boss@example.ch"),
                        .now = 1795528157,
                        .seed = 0x0123456789abcdef,
                        .recipients = recipients,
                        .recipient_count = COUNT(recipients),
                        .headers = SPAN_LIT("From: boss@example.ch\r\nSubject: a\r\n\tb\r\n")};
}

static struct dsn_output compose(const struct dsn *in)
{
    struct dsn_output out = {.p = buffer, .capacity = sizeof buffer};
    ck_assert(dsn_compose(in, &out) && !out.overflow);
    (void)check_lines(span_of(out.p, out.n));
    const char *path = getenv("MGID_DSN_SAMPLE");
    FILE *file = path != NULL ? fopen(path, "wb") : NULL;
    if (file != NULL) {
        ck_assert_uint_eq(fwrite(out.p, 1, out.n, file), out.n);
        ck_assert_int_eq(fclose(file), 0);
    }
    return out;
}

START_TEST(composes_the_example)
{
    static const char *const parts[] = {
        "From: \"Mail delivery\" <MAILER-DAEMON@mx1.example.ch>\r\nTo: <boss@example.ch>\r\n",
        "\r\nDate: Tue, 24 Nov 2026 13:49:17 +0000\r\n"
        "Message-ID: <4Xy7-1._0123456789abcdef@mx1.example.ch>\r\n"
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "\tboundary=\"=_0123456789abcdef\"\r\n\r\n",
        "\r\n--=_0123456789abcdef\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
        "\r\n    <hans@gmail.com.incamail.ch>\r\n        addressed as <hans@gmail.com>\r\n"
        "        refused by im.post.ch:\r\n        550-5.1.1 no such user, 550 5.1.1 ask",
        "\r\n--=_0123456789abcdef\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx1.example.ch\r\n",
        "\r\n\r\nOriginal-Recipient: rfc822; hans@gmail.com\r\n"
        "Final-Recipient: rfc822; hans@gmail.com.incamail.ch\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; im.post.ch\r\n"
        "Diagnostic-Code: smtp; 550-5.1.1 no such user, 550 5.1.1 ask his postmaster\r\n about",
        "\r\n\r\nFinal-Recipient: rfc822; eva@example.org\r\n"
        "Action: delayed\r\nStatus: 4.4.3\r\n"
        "Diagnostic-Code: x-mgid; MX example.org: time-out\r\n"
        "Will-Retry-Until: ",
        "\r\n--=_0123456789abcdef\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        "From: boss@example.ch\r\nSubject: a\r\n\tb\r\n\r\n--=_0123456789abcdef--\r\n",
    };
    struct dsn in = example();
    struct dsn_output out = compose(&in);
    const char *text = text_of(out.p, out.n);
    for (size_t i = 0; i < COUNT(parts); i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "missing: %s in %s", parts[i], text);
    ck_assert_uint_le(check_lines(span_of(out.p, out.n)), 78);
}
END_TEST

START_TEST(appends_or_leaves_alone)
{
    struct dsn in = example();
    size_t whole = compose(&in).n;
    for (size_t capacity = 0; capacity <= whole + 3; capacity += capacity < whole - 40 ? 37 : 1) {
        unsigned char *p = malloc(capacity + 1);
        memset(p, '!', capacity + 1);
        struct dsn_output out = {.p = p, .n = capacity < 3 ? capacity : 3, .capacity = capacity};
        size_t before = out.n;
        ck_assert_int_eq(dsn_compose(&in, &out), capacity >= whole + 3);
        ck_assert_uint_eq(out.n, capacity >= whole + 3 ? whole + 3 : before);
        ck_assert_int_eq(out.overflow, capacity < whole + 3);
        ck_assert_uint_eq(p[capacity], '!');
        if (out.overflow)
            ck_assert(!dsn_compose(&in, &out));
        free(p);
    }
}
END_TEST

START_TEST(hostile_spans_stay_in_their_place)
{
    static const struct span evil =
        SPAN_LIT("x\r\nEvil: 1\r\n\r\n--=_0123456789abcdef\r\n\xc3\xbc");
    struct dsn_recipient r = {.address = evil,
                              .original = evil,
                              .action = DSN_FAILED,
                              .status = SPAN_LIT("5.1.1\r\nEvil: 1"),
                              .diagnostic = evil,
                              .remote_reply = true,
                              .remote_mta = evil};
    struct dsn in = example();
    in.recipients = &r;
    in.recipient_count = 1;
    in.sender = evil;
    in.queue_id = evil;
    in.hostname = evil;
    in.headers = SPAN_LIT("Subject: f\xc3\xbcr\r\nX: bare\nLF\rCR\0\r\n\r\nEvil: body\r\n");
    struct dsn_output out = compose(&in);
    const char *text = text_of(out.p, out.n);
    ck_assert_ptr_null(strstr(text, "\nEvil:"));
    ck_assert_ptr_nonnull(strstr(text, "\r\nSubject: f??r\r\nX: bare?LF?CR?\r\n\r\n--"));
    ck_assert_ptr_nonnull(strstr(text, "\r\nStatus: 5.0.0\r\n"));
    unsigned boundaries = 0;
    for (const char *p = text; (p = strstr(p, "\r\n--=_0123456789abcdef")) != NULL; p++)
        boundaries++;
    ck_assert_uint_eq(boundaries, 4);
}
END_TEST

static const struct {
    const char *status;
    const char *written;
} statuses[] = {
    {"5.1.1", "5.1.1"},   {"4.4.7", "4.4.7"},  {"5.123.456", "5.123.456"}, {"", "5.0.0"},
    {"2.0.0", "5.0.0"},   {"5.1", "5.0.0"},    {"5.1.", "5.0.0"},          {"5..1", "5.0.0"},
    {"5.1.1.1", "5.0.0"}, {"55.1.1", "5.0.0"}, {"5.1234.1", "5.0.0"},      {"5.1.1 ", "5.0.0"},
    {".1.1", "5.0.0"},    {"5.1.a", "5.0.0"},
};

START_TEST(status_codes)
{
    struct dsn_recipient r = {.address = SPAN_LIT("a@b.ch"),
                              .action = DSN_FAILED,
                              .status = span_str(statuses[_i].status)};
    struct dsn in = example();
    char expected[64];
    in.recipients = &r;
    in.recipient_count = 1;
    struct dsn_output out = compose(&in);
    (void)snprintf(expected, sizeof expected, "\r\nStatus: %s\r\n", statuses[_i].written);
    ck_assert_ptr_nonnull(strstr(text_of(out.p, out.n), expected));
}
END_TEST

/* All at their bounds, in the ways that fold worst. */
START_TEST(fits_its_limit)
{
    static const char *const fills[] = {"a", "a ", "abcdefghijklmnopqrstuvwxyzabcdefghijklmn "};
    static struct dsn_recipient many[LIMIT_DSN_RECIPIENTS];
    static unsigned char big[2000], headers[2 * LIMIT_DSN_HEADERS];
    for (size_t f = 0; f < COUNT(fills); f++) {
        for (size_t i = 0; i < sizeof big; i++)
            big[i] = (unsigned char)fills[f][i % strlen(fills[f])];
        for (size_t i = 0; i < sizeof headers; i++)
            headers[i] = (unsigned char)"a:\r\n"[i % 4];
        struct span s = span_of(big, sizeof big);
        for (unsigned i = 0; i < LIMIT_DSN_RECIPIENTS; i++)
            many[i] = (struct dsn_recipient){.address = s,
                                             .original = s,
                                             .action = i % 2 ? DSN_FAILED : DSN_DELAYED,
                                             .status = SPAN_LIT("5.123.456"),
                                             .diagnostic = s,
                                             .remote_reply = true,
                                             .remote_mta = s,
                                             .last_attempt = INT64_MAX,
                                             .will_retry_until = INT64_MAX};
        struct dsn in = example();
        in.hostname = in.queue_id = in.sender = s;
        in.recipients = many;
        in.recipient_count = LIMIT_DSN_RECIPIENTS;
        in.headers = span_of(headers, sizeof headers);
        (void)compose(&in);
    }
}
END_TEST

START_TEST(returns_whole_lines_of_the_header)
{
    static unsigned char headers[LIMIT_DSN_HEADERS + 10];
    struct dsn in = example();
    memset(headers, 'a', sizeof headers);
    memcpy(headers, "X: 1\r\n", 6);
    in.headers = span_of(headers, sizeof headers);
    struct dsn_output out = compose(&in);
    ck_assert_ptr_nonnull(
        strstr(text_of(out.p, out.n), "text/rfc822-headers\r\n\r\nX: 1\r\n\r\n--"));
    in.headers = span_of(headers, LIMIT_DSN_HEADERS); /* cut by who read it */
    out = compose(&in);
    ck_assert_ptr_nonnull(
        strstr(text_of(out.p, out.n), "text/rfc822-headers\r\n\r\nX: 1\r\n\r\n--"));
    in.headers = span_of(headers, 2000); /* the last line has no end, and is too long */
    out = compose(&in);
    ck_assert_ptr_nonnull(strstr(text_of(out.p, out.n), "\r\n\r\nX: 1\r\naaaa"));
    ck_assert_uint_eq(check_lines(span_of(out.p, out.n)), LIMIT_TEXT_LINE);
    in.headers = SPAN_EMPTY;
    (void)compose(&in);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dsn");
    TCase *t = tcase_create("dsn");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, known_dates, 0, (int)COUNT(dates));
    tcase_add_test(t, dates_are_those_of_the_c_library);
    tcase_add_test(t, received_in_clear);
    tcase_add_test(t, received_over_tls);
    tcase_add_test(t, received_from_hostile_client);
    tcase_add_test(t, received_fits_its_limit);
    tcase_add_test(t, appends_or_leaves_alone);
    tcase_add_test(t, hostile_spans_stay_in_their_place);
    tcase_add_loop_test(t, status_codes, 0, (int)COUNT(statuses));
    tcase_add_test(t, fits_its_limit);
    tcase_add_test(t, returns_whole_lines_of_the_header);
    tcase_add_test(t, composes_the_example);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
