/* Delivery status notifications: frame, status for programs, the original. */
#include "tests/unit/dsn_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define BOUNDARY "=_0123456789abcdef"

static void has(const struct dsn_output *out, const char *wanted)
{
    ck_assert_msg(strstr((const char *)out->p, wanted) != NULL, "missing: %s in %s", wanted,
                  out->p);
}

static void has_not(const struct dsn_output *out, const char *unwanted)
{
    ck_assert_msg(strstr((const char *)out->p, unwanted) == NULL, "found: %s", unwanted);
}

START_TEST(composes_the_example)
{
    struct dsn in = rig_dsn();
    in.envid = SPAN_LIT("QQ+2B314159");
    struct dsn_output out = rig_compose(&in);
    has(&out, "From: \"Mail Delivery System\" <postmaster@example.ch>\r\nTo: <boss@example.ch>\r\n"
              "Subject: Your message could not be delivered\r\n"
              "Date: Tue, 24 Nov 2026 13:49:17 +0000\r\n"
              "Message-ID: <4Xy7-1._0123456789abcdef@mx1.example.ch>\r\n"
              "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
              "Content-Type: multipart/report; report-type=delivery-status;\r\n"
              "\tboundary=\"" BOUNDARY "\"\r\n\r\n");
    has(&out, "\r\n--" BOUNDARY "\r\nContent-Type: text/plain; charset=utf-8\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\nContent-Language: en\r\n\r\n");
    has(&out,
        "\r\n--" BOUNDARY "\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Original-Envelope-Id: QQ+314159\r\nReporting-MTA: dns; mx1.example.ch\r\n"
        "X-Queue-ID: 4Xy7-1\r\nArrival-Date: Tue, 24 Nov 2026 13:46:40 +0000\r\n\r\n"
        "Original-Recipient: rfc822; hans@gmail.com\r\n"
        "Final-Recipient: rfc822; hans@gmail.com.incamail.ch\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; im.post.ch\r\n"
        "Diagnostic-Code: smtp; 550-5.1.1 no such user, 550 5.1.1 ask his postmaster\r\n about");
    has(&out, "\r\n\r\nFinal-Recipient: rfc822; eva@example.org\r\n"
              "Action: delayed\r\nStatus: 4.4.3\r\n"
              "Diagnostic-Code: x-mgid; MX example.org: time-out\r\n"
              "Will-Retry-Until: ");
    has(&out, "\r\n--" BOUNDARY "\r\nContent-Type: text/rfc822-headers\r\n\r\n"
              "From: boss@example.ch\r\nSubject: a\r\n\tb\r\n\r\n--" BOUNDARY "--\r\n");
    ck_assert(!out.eight_bit && !out.utf8);
    ck_assert_uint_le(rig_check_lines(span_of(out.p, out.n), false), 78);
}
END_TEST

START_TEST(appends_or_leaves_alone)
{
    struct dsn in = rig_dsn();
    size_t whole = rig_compose(&in).n;
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
    static const struct span evil = SPAN_LIT("x\r\nEvil: 1\r\n\r\n--" BOUNDARY "\r\n\xc3\xbc\xff");
    struct dsn_recipient r = {.address = evil,
                              .original = evil,
                              .orcpt = evil,
                              .action = DSN_FAILED,
                              .status = SPAN_LIT("5.1.1\r\nEvil: 1"),
                              .diagnostic = evil,
                              .remote_reply = true,
                              .remote_mta = evil};
    struct dsn in = rig_dsn();
    in.recipients = &r;
    in.recipient_count = 1;
    in.sender = in.queue_id = in.hostname = in.envid = in.from = evil;
    in.content = SPAN_LIT("Subject: f\xc3\xbcr\r\nX: bare\nLF\rCR\0\r\n\r\nEvil: body\r\n");
    for (int utf8 = 0; utf8 < 2; utf8++) {
        in.utf8 = utf8;
        in.whole = utf8;
        struct dsn_output out = rig_compose(&in);
        has_not(&out, "\nEvil:");
        has_not(&out, "Original-Envelope-Id");
        has(&out, utf8 ? "\r\nSubject: f\xc3\xbcr\r\nX: bare?LF?CR?\r\n\r\n--"
                       : "\r\nSubject: f??r\r\nX: bare?LF?CR?\r\n\r\n--");
        has(&out, "\r\nStatus: 5.0.0\r\n");
        unsigned boundaries = 0;
        const char *p = (const char *)out.p;
        for (; (p = strstr(p, "\r\n--" BOUNDARY)) != NULL; p++)
            boundaries++;
        ck_assert_uint_eq(boundaries, 4);
    }
}
END_TEST

static const struct {
    enum dsn_action action;
    const char *status;
    const char *written;
} statuses[] = {
    {DSN_FAILED, "5.1.1", "5.1.1"},         {DSN_FAILED, "4.4.7", "4.4.7"},
    {DSN_FAILED, "5.123.456", "5.123.456"}, {DSN_FAILED, "", "5.0.0"},
    {DSN_FAILED, "2.0.0", "5.0.0"},         {DSN_FAILED, "5.1", "5.0.0"},
    {DSN_FAILED, "5.1.", "5.0.0"},          {DSN_FAILED, "5..1", "5.0.0"},
    {DSN_FAILED, "5.1.1.1", "5.0.0"},       {DSN_FAILED, "55.1.1", "5.0.0"},
    {DSN_FAILED, "5.1234.1", "5.0.0"},      {DSN_FAILED, "5.1.1 ", "5.0.0"},
    {DSN_FAILED, ".1.1", "5.0.0"},          {DSN_FAILED, "5.1.a", "5.0.0"},
    {DSN_DELAYED, "4.2.2", "4.2.2"},        {DSN_DELAYED, "5.2.2", "4.0.0"},
    {DSN_RELAYED, "2.1.5", "2.1.5"},        {DSN_RELAYED, "4.4.1", "2.0.0"},
    {DSN_DELIVERED, "", "2.0.0"},
};

START_TEST(status_codes)
{
    static const char *const actions[] = {"failed", "delayed", "relayed", "delivered"};
    struct dsn_recipient r = {.address = SPAN_LIT("a@b.ch"),
                              .action = statuses[_i].action,
                              .status = span_str(statuses[_i].status)};
    struct dsn in = rig_dsn();
    char expected[128];
    in.recipients = &r;
    in.recipient_count = 1;
    struct dsn_output out = rig_compose(&in);
    (void)snprintf(expected, sizeof expected,
                   "Final-Recipient: rfc822; a@b.ch\r\nAction: %s\r\nStatus: %s\r\n\r\n",
                   actions[r.action], statuses[_i].written);
    has(&out, expected);
}
END_TEST

START_TEST(time_over_has_its_own_status)
{
    struct dsn_recipient r = {.address = SPAN_LIT("a@b.ch"),
                              .action = DSN_FAILED,
                              .status = SPAN_LIT("4.7.5"),
                              .expired = true};
    struct dsn in = rig_dsn();
    in.recipients = &r;
    in.recipient_count = 1;
    struct dsn_output out = rig_compose(&in);
    has(&out, "\r\nStatus: 4.4.7\r\n");
}
END_TEST

START_TEST(addresses_of_hosts_have_brackets)
{
    static const char *const hosts[][2] = {{"im.post.ch", "im.post.ch"},
                                           {"192.0.2.1", "[192.0.2.1]"},
                                           {"2001:db8::1", "[IPv6:2001:db8::1]"},
                                           {"[192.0.2.1]:25", "[192.0.2.1]:25"},
                                           {"4.example", "4.example"}};
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct dsn_recipient r = {.address = SPAN_LIT("a@b.ch"),
                                  .action = DSN_FAILED,
                                  .remote_mta = span_str(hosts[i][0])};
        struct dsn in = rig_dsn();
        char expected[128];
        in.recipients = &r;
        in.recipient_count = 1;
        struct dsn_output out = rig_compose(&in);
        (void)snprintf(expected, sizeof expected, "\r\nRemote-MTA: dns; %s\r\n", hosts[i][1]);
        has(&out, expected);
    }
}
END_TEST

/* ---- the original recipient ------------------------------------------------------------- */

static const struct {
    const char *orcpt, *original, *address;
    bool utf8;
    const char *written;
} originals[] = {
    {"rfc822;Bob+2BWork@x.ch", "", "bob@y.ch", false,
     "\r\nOriginal-Recipient: rfc822; Bob+Work@x.ch\r\nFinal-Recipient: rfc822; bob@y.ch\r\n"},
    {"rfc822;bob@x.ch", "c@x.ch", "c@x.ch.incamail.ch", false,
     "\r\nOriginal-Recipient: rfc822; bob@x.ch\r\nFinal-Recipient: rfc822; c@x.ch.incamail.ch\r\n"},
    {"x400;/S+3Da/", "", "a@y.ch", false, "\r\nOriginal-Recipient: x400; /S=a/\r\n"},
    {"rfc822;a+0D+0ABcc:x", "o@x.ch", "a@y.ch", false,
     "\r\nOriginal-Recipient: rfc822; o@x.ch\r\n"}, /* malformed: no control characters */
    {"utf-8;b\\x{FC}cher@x.ch", "", "a@y.ch", false,
     "\r\nOriginal-Recipient: utf-8; b\\x{FC}cher@x.ch\r\n"},
    {"UTF-8;b\\x{FC}\\x{1F600}@x.ch", "", "b\xc3\xbc@x.ch", true,
     "\r\nOriginal-Recipient: utf-8; b\xc3\xbc\xf0\x9f\x98\x80@x.ch\r\n"
     "Final-Recipient: utf-8; b\xc3\xbc@x.ch\r\n"},
    {"", "", "b\xc3\xbc@x.ch", false, "\r\nFinal-Recipient: utf-8; b\\x{FC}@x.ch\r\n"},
    {"", "", "b\xff@x.ch", true, "\r\nFinal-Recipient: rfc822; b?@x.ch\r\n"},
};

START_TEST(original_recipients)
{
    struct dsn_recipient r = {.address = span_str(originals[_i].address),
                              .original = span_str(originals[_i].original),
                              .orcpt = span_str(originals[_i].orcpt),
                              .action = DSN_FAILED,
                              .status = SPAN_LIT("5.1.1")};
    struct dsn in = rig_dsn();
    in.recipients = &r;
    in.recipient_count = 1;
    in.utf8 = originals[_i].utf8;
    struct dsn_output out = rig_compose(&in);
    has(&out, originals[_i].written);
}
END_TEST

/* ---- internationalized mail (RFC 6533) -------------------------------------------------- */

START_TEST(utf8_mail_has_global_parts)
{
    struct dsn in = rig_dsn();
    in.utf8 = true;
    struct dsn_output out = rig_compose(&in);
    ck_assert(!out.utf8 && !out.eight_bit); /* nothing in it needs that */
    in.sender = SPAN_LIT("z\xc3\xbcrich@example.ch");
    out = rig_compose(&in);
    ck_assert(out.utf8 && out.eight_bit);
    has(&out, "\r\nTo: <z\xc3\xbcrich@example.ch>\r\n");
    has(&out, "\r\nContent-Type: message/global-delivery-status\r\n"
              "Content-Transfer-Encoding: 8bit\r\n\r\n");
    has(&out,
        "\r\nContent-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    in.whole = true;
    out = rig_compose(&in);
    has(&out, "\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFrom:");
    in = rig_dsn();
    in.utf8 = true;
    in.content = SPAN_LIT("Subject: gr\xc3\xbc\x65zi\r\n\r\n");
    out = rig_compose(&in);
    ck_assert(out.utf8);
    has(&out, "\r\nSubject: gr\xc3\xbc\x65zi\r\n");
    in.content = SPAN_LIT("Subject: gr\xfc\x65zi\r\n\r\n"); /* no UTF-8: it stays 7 bit */
    out = rig_compose(&in);
    ck_assert(!out.utf8);
    has(&out, "\r\nSubject: gr?ezi\r\n");
}
END_TEST

/* ---- the original ----------------------------------------------------------------------- */

START_TEST(returns_the_whole_mail)
{
    struct dsn in = rig_dsn();
    in.whole = true;
    struct dsn_output out = rig_compose(&in);
    has(&out,
        "\r\nContent-Type: message/rfc822\r\n\r\nFrom: boss@example.ch\r\nSubject: a\r\n\tb\r\n"
        "\r\nBody\r\n\r\n--" BOUNDARY "--\r\n");
    ck_assert(!out.eight_bit);
    in.content = SPAN_LIT("Subject: x\r\n\r\nGr\xfc\xdf\x65\r\n");
    out = rig_compose(&in);
    ck_assert(out.eight_bit && !out.utf8);
    has(&out,
        "\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: x\r\n\r\nGr\xfc\xdf\x65\r\n\r\n--");
    has(&out, "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\nThis is a delivery");
}
END_TEST

/* What can't travel comes back as its headers. */
START_TEST(returns_headers_of_what_can_not_travel)
{
    static unsigned char content[LIMIT_DSN_CONTENT + 100];
    static const char *const bad[] = {"a\r\n\r\nb", "a\r\n\r\nb\nc\r\n", "a\r\n\r\nb\rc\r\n"};
    struct dsn in = rig_dsn();
    in.whole = true;
    for (size_t i = 0; i < COUNT(bad); i++) {
        in.content = span_str(bad[i]);
        struct dsn_output out = rig_compose(&in);
        has(&out, "text/rfc822-headers\r\n\r\na\r\n\r\n--");
    }
    in.content = SPAN_LIT("a\r\n\r\nb\0\r\n");
    struct dsn_output out = rig_compose(&in);
    has(&out, "text/rfc822-headers\r\n\r\na\r\n\r\n--");
    memset(content, 'x', sizeof content);
    memcpy(content, "a\r\n\r\n", 5);
    memcpy(content + 5 + LIMIT_TEXT_LINE, "\r\n", 2);
    in.content = span_of(content, 5 + LIMIT_TEXT_LINE + 2);
    out = rig_compose(&in);
    has(&out, "message/rfc822\r\n\r\na\r\n\r\nxxx");
    content[5 + LIMIT_TEXT_LINE] = 'x';
    memcpy(content + 6 + LIMIT_TEXT_LINE, "\r\n", 2);
    in.content = span_of(content, 5 + LIMIT_TEXT_LINE + 3);
    out = rig_compose(&in);
    has(&out, "text/rfc822-headers\r\n\r\na\r\n\r\n--");
    for (size_t i = 5; i + 2 <= sizeof content; i += 2)
        memcpy(content + i, "\r\n", 2);
    in.content = span_of(content, LIMIT_DSN_CONTENT + 1);
    out = rig_compose(&in);
    has(&out, "text/rfc822-headers\r\n\r\na\r\n\r\n--");
}
END_TEST

START_TEST(returns_whole_lines_of_the_header)
{
    static unsigned char headers[LIMIT_DSN_HEADERS + 10];
    struct dsn in = rig_dsn();
    memset(headers, 'a', sizeof headers);
    memcpy(headers, "X: 1\r\n", 6);
    in.content = span_of(headers, sizeof headers);
    struct dsn_output out = rig_compose(&in);
    has(&out, "text/rfc822-headers\r\n\r\nX: 1\r\n\r\n--");
    memcpy(headers + 1500, "\r\n\r\n", 4); /* a line that is too long is cut */
    out = rig_compose(&in);
    has(&out, "\r\n\r\nX: 1\r\naaaa");
    ck_assert_uint_eq(rig_check_lines(span_of(out.p, out.n), false), LIMIT_TEXT_LINE);
    in.content = SPAN_EMPTY;
    (void)rig_compose(&in);
}
END_TEST

/* All at their bounds, in the ways that fold and encode worst. */
START_TEST(fits_its_limit)
{
    static const char *const fills[] = {"a",        "a ",
                                        "=",        "abcdefghijklmnopqrstuvwxyzabcdefghijklmn ",
                                        "\xc3\xbc", "\xf0\x9f\x98\x80"};
    static const char *const causes[] = {"5.7.5", "4.7.5", "5.7.20", "5.1.3", "5.2.2", "5.9.9"};
    static const uint8_t languages[] = {LANGUAGE_DE, LANGUAGE_FR, LANGUAGE_IT, LANGUAGE_EN};
    static struct dsn_recipient many[LIMIT_DSN_RECIPIENTS];
    static unsigned char big[2000], content[LIMIT_DSN_CONTENT];
    size_t most = 0;
    memset(content, 'a', sizeof content);
    for (size_t i = 0; i + 2 <= sizeof content; i += 4)
        memcpy(content + i, i == 4 ? "b:" : "\r\n", 2);
    memcpy(content + sizeof content - 2, "\r\n", 2);
    for (size_t f = 0; f < COUNT(fills) * COUNT(causes); f++) {
        const char *fill = fills[f % COUNT(fills)];
        for (size_t i = 0; i < sizeof big; i++)
            big[i] = (unsigned char)fill[i % strlen(fill)];
        struct span s = span_of(big, sizeof big);
        memcpy(content, "Subject: ", 9);
        memcpy(content + 9, big, 600);
        memcpy(content + 609, "\r\n", 2);
        for (unsigned i = 0; i < LIMIT_DSN_RECIPIENTS; i++)
            many[i] = (struct dsn_recipient){.address = s,
                                             .original = s,
                                             .action = i % 2 ? DSN_FAILED : DSN_DELAYED,
                                             .status = span_str(causes[f / COUNT(fills)]),
                                             .expired = i % 2,
                                             .diagnostic = s,
                                             .remote_reply = true,
                                             .remote_mta = s,
                                             .last_attempt = INT64_MAX,
                                             .will_retry_until = INT64_MAX};
        struct dsn in = rig_dsn();
        in.hostname = in.queue_id = in.sender = in.from = s;
        in.recipients = many;
        in.recipient_count = LIMIT_DSN_RECIPIENTS;
        in.content = span_of(content, sizeof content);
        in.languages = languages;
        in.language_count = 4;
        in.whole = true;
        in.utf8 = f % 2;
        size_t n = rig_compose(&in).n;
        most = n > most ? n : most;
    }
    ck_assert_uint_gt(most, LIMIT_DSN / 2); /* the test reaches what it is about */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dsn");
    TCase *t = tcase_create("dsn");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, composes_the_example);
    tcase_add_test(t, appends_or_leaves_alone);
    tcase_add_test(t, hostile_spans_stay_in_their_place);
    tcase_add_loop_test(t, status_codes, 0, (int)COUNT(statuses));
    tcase_add_test(t, time_over_has_its_own_status);
    tcase_add_test(t, addresses_of_hosts_have_brackets);
    tcase_add_loop_test(t, original_recipients, 0, (int)COUNT(originals));
    tcase_add_test(t, utf8_mail_has_global_parts);
    tcase_add_test(t, returns_the_whole_mail);
    tcase_add_test(t, returns_headers_of_what_can_not_travel);
    tcase_add_test(t, returns_whole_lines_of_the_header);
    tcase_add_test(t, fits_its_limit);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
