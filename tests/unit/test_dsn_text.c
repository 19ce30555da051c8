/* Notifications: what they say to people, in each language and for each cause. */
#include "engine/mime/prose.h"
#include "tests/unit/dsn_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum { ANY = 999 };

/* Every row of the table. */
static const struct {
    int subject, detail;
    const char *what[LANGUAGE_COUNT], *advice[LANGUAGE_COUNT];
} causes[] = {
#define CAUSE(subject, detail, en, en_do, de, de_do, fr, fr_do, it, it_do)                         \
    {subject, detail, {en, de, fr, it}, {en_do, de_do, fr_do, it_do}},
#include "engine/mime/dsn_text.def"
};

static const struct {
    const char *name, *text[LANGUAGE_COUNT];
} sentences[] = {
#define SENTENCE(NAME, en, de, fr, it) {#NAME, {en, de, fr, it}},
#include "engine/mime/dsn_text.def"
};

static const char *sentence(const char *name, unsigned language)
{
    for (size_t i = 0; i < COUNT(sentences); i++)
        if (strcmp(sentences[i].name, name) == 0)
            return sentences[i].text[language];
    ck_abort_msg("no sentence %s", name);
}

/* Looked for as rig_prose gives it. */
static void says(const struct dsn_output *out, const char *wanted)
{
    ck_assert_msg(strstr(rig_prose(out), wanted) != NULL, "missing: %s in %s", wanted,
                  rig_prose(out));
}

static void says_not(const struct dsn_output *out, const char *unwanted)
{
    ck_assert_msg(strstr(rig_prose(out), unwanted) == NULL, "found: %s", unwanted);
}

START_TEST(every_cause_in_every_language)
{
    char status[2][32];
    int row = _i / LANGUAGE_COUNT, subject = causes[row].subject, detail = causes[row].detail;
    uint8_t language = (uint8_t)(_i % LANGUAGE_COUNT);
    for (int class = 4; class < 6; class ++)
        (void)snprintf(status[class - 4], sizeof status[0], "%d.%d.%d", class, subject, detail);
    struct dsn_recipient r[] = {
        {.address = SPAN_LIT("f@x.ch"), .action = DSN_FAILED, .status = span_str(status[1])},
        {.address = SPAN_LIT("d@x.ch"), .action = DSN_DELAYED, .status = span_str(status[0])}};
    struct dsn in = rig_dsn();
    in.languages = &language;
    for (unsigned i = 0; i < 2; i++) {
        in.recipients = &r[i];
        in.recipient_count = 1;
        struct dsn_output out = rig_compose(&in);
        says(&out, causes[row].what[language]);
        if (i == 0)
            says(&out, causes[row].advice[language]);
        else
            says_not(&out, causes[row].advice[language]);
        says(&out, sentence(i == 0 ? "FAILED" : "DELAYED", language));
    }
}
END_TEST

/* A status without a row of its own, or none at all. */
START_TEST(other_causes)
{
    static const struct {
        const char *status;
        int subject, detail;
    } table[] = {{"5.1.99", 1, ANY}, {"5.8.1", ANY, ANY}, {"", ANY, ANY},      {"5", ANY, ANY},
                 {"5.1", 1, ANY},    {"5..1", ANY, ANY},  {"5.x.1", ANY, ANY}, {"5.7.1", 7, ANY}};
    for (size_t i = 0; i < COUNT(table); i++) {
        struct dsn_recipient r = {.address = SPAN_LIT("f@x.ch"),
                                  .action = DSN_FAILED,
                                  .status = span_str(table[i].status)};
        struct dsn in = rig_dsn();
        in.recipients = &r;
        in.recipient_count = 1;
        struct dsn_output out = rig_compose(&in);
        size_t row = 0;
        while (causes[row].subject != table[i].subject || causes[row].detail != table[i].detail)
            row++;
        says(&out, causes[row].what[LANGUAGE_EN]);
    }
}
END_TEST

START_TEST(the_words_are_sound)
{
    for (size_t i = 0; i < COUNT(sentences) + 2 * COUNT(causes); i++)
        for (unsigned l = 0; l < LANGUAGE_COUNT; l++) {
            size_t c = (i - COUNT(sentences)) / 2;
            const char *s = i < COUNT(sentences) ? sentences[i].text[l]
                            : i % 2              ? causes[c].what[l]
                                                 : causes[c].advice[l];
            size_t n = strlen(s);
            ck_assert_uint_gt(n, 0);
            ck_assert_uint_le(n, 300);
            ck_assert_ptr_null(strstr(s, "\xc3\x9f")); /* German as in Switzerland */
            ck_assert_ptr_null(strstr(s, "  "));
            ck_assert(s[0] != ' ' && s[n - 1] != ' ');
            ck_assert_msg(l != LANGUAGE_FR || strstr(s, " :") == NULL, "no-break space: %s", s);
        }
}
END_TEST

/* The sender reads the address that he wrote. */
START_TEST(shows_the_address_as_the_sender_wrote_it)
{
    struct dsn in = rig_dsn();
    struct dsn_output out = rig_compose(&in);
    says(&out, "<hans@gmail.com> There is no mailbox");
    says_not(&out, "incamail.ch");
    struct dsn_recipient r = in.recipients[0];
    in.recipients = &r;
    in.recipient_count = 1;
    r.orcpt = SPAN_LIT("rfc822;Hans+2BX@gmail.com");
    out = rig_compose(&in);
    says(&out, "<Hans+X@gmail.com> There is");
    r.orcpt = SPAN_LIT("utf-8;h\\x{E4}ns@gmail.com");
    out = rig_compose(&in);
    says(&out, "<h\xc3\xa4ns@gmail.com> There is");
    r.orcpt = SPAN_LIT("x400;/S+3Dhans/");
    out = rig_compose(&in);
    says(&out, "<hans@gmail.com> There is");
}
END_TEST

START_TEST(says_what_the_mail_was)
{
    struct dsn in = rig_dsn();
    in.content = SPAN_LIT("Subject: =?utf-8?q?Gr=C3=BCezi?= mitenand\r\n\r\nx\r\n");
    struct dsn_output out = rig_compose(&in);
    says(&out, "This is the mail gateway mx1.example.ch. It writes to you about your message of "
               "2026-11-24 13:46 (UTC). Subject: Gr\xc3\xbc\x65zi mitenand It could not");
    says(&out, "The header of your message is attached.");
    says(&out,
         "For your administrator (reference 4Xy7-1): <hans@gmail.com>: im.post.ch: 550-5.1.1 no "
         "such user, 550 5.1.1 ask");
    says(&out, "<eva@example.org>: MX example.org: time-out");
    says(&out, "It will be tried until 2026-11-28 21:06 (UTC).");
    in.whole = true;
    out = rig_compose(&in);
    says(&out, "Your message is attached.");
    in.content = SPAN_EMPTY; /* the spool could not give it */
    out = rig_compose(&in);
    says_not(&out, "attached");
    in.content = SPAN_LIT("X: 1\r\n\r\n");
    out = rig_compose(&in);
    says_not(&out, "Subject:");
}
END_TEST

START_TEST(says_that_the_time_is_over)
{
    struct dsn_recipient r = {.address = SPAN_LIT("f@x.ch"),
                              .action = DSN_FAILED,
                              .status = SPAN_LIT("4.7.5"),
                              .expired = true};
    struct dsn in = rig_dsn();
    in.recipients = &r;
    in.recipient_count = 1;
    struct dsn_output out = rig_compose(&in);
    says(&out, "The time to deliver it is over. The message may only travel over an encrypted");
    says(&out, "was not sent unprotected.");
}
END_TEST

START_TEST(several_languages_in_order)
{
    static const uint8_t languages[] = {LANGUAGE_FR, LANGUAGE_DE};
    struct dsn in = rig_dsn();
    in.languages = languages;
    in.language_count = 2;
    struct dsn_output out = rig_compose(&in);
    ck_assert_ptr_nonnull(strstr((char *)out.p, "\r\nContent-Language: fr, de\r\n"));
    ck_assert_ptr_nonnull(
        strstr((char *)out.p, "\r\nSubject: =?UTF-8?Q?Votre_message_n=E2=80=99a_"));
    const char *text = rig_prose(&out);
    const char *fr = strstr(text, sentence("FAILED", LANGUAGE_FR));
    const char *de = strstr(text, sentence("FAILED", LANGUAGE_DE));
    ck_assert(fr != NULL && de != NULL && fr < de);
    ck_assert_ptr_nonnull(strstr(de, "-------- Pour votre administrateur"));
    says_not(&out, sentence("FAILED", LANGUAGE_EN));
}
END_TEST

/* Nothing that a stranger wrote turns, hides or imitates what stands around it. */
START_TEST(shows_no_hostile_characters)
{
    struct dsn_recipient r = {.address = SPAN_LIT("a\xe2\x80\xae@x.ch"),
                              .action = DSN_FAILED,
                              .diagnostic = SPAN_LIT("550 \x1b[2J\xc2\x9b\xff\xe2\x80\x8b.")};
    struct dsn in = rig_dsn();
    in.recipients = &r;
    in.recipient_count = 1;
    in.content = SPAN_LIT("Subject: =?utf-8?q?=E2=81=A6=1B=00x?=\r\n\r\n");
    struct dsn_output out = rig_compose(&in);
    const char *text = rig_prose(&out);
    says(&out, "<a?@x.ch>");
    says(&out, "550 [2J???.");
    says(&out, "Subject: ?");
    for (const char *p = text; *p != '\0'; p++)
        ck_assert((unsigned char)*p >= ' ');
    ck_assert_ptr_null(strstr(text, "\xe2\x81\xa6"));
}
END_TEST

START_TEST(long_values_are_cut_between_characters)
{
    static unsigned char long_address[600];
    struct dsn_recipient r = {.address = span_of(long_address, 600), .action = DSN_FAILED};
    struct dsn in = rig_dsn();
    in.recipients = &r;
    in.recipient_count = 1;
    in.utf8 = true;
    long_address[0] = 'a';
    for (size_t i = 1; i + 1 < sizeof long_address; i += 2)
        memcpy(long_address + i, "\xc3\xbc", 2);
    struct dsn_output out = rig_compose(&in);
    says(&out, "\xc3\xbc\xc3\xbc...> ");
    const char *text = rig_prose(&out);
    ck_assert_uint_le((size_t)(strchr(text, '>') - strchr(text, '<')), LIMIT_DSN_SHOWN + 8);
}
END_TEST

/* ---- wrapping and encoding -------------------------------------------------------------- */

static const char *written(bool raw, unsigned indent, const char *template, const char *value)
{
    static unsigned char buffer[4096];
    struct text t = {.p = buffer, .capacity = sizeof buffer - 1};
    struct prose p = {.out = &t, .raw = raw, .indent = indent};
    const struct prose_value values[] = {{"V", span_str(value)}, {NULL, SPAN_EMPTY}};
    prose_template(&p, template, values);
    prose_end(&p);
    ck_assert(!t.overflow);
    buffer[t.n] = '\0';
    return (const char *)buffer;
}

START_TEST(wraps_and_quotes)
{
    ck_assert_str_eq(written(false, 0, "a {V} = b", "x  y"), "a x y =3D b\r\n");
    ck_assert_str_eq(written(false, 2, "\xc3\xbc", ""), "  =C3=BC\r\n");
    ck_assert_str_eq(written(true, 2, "\xc3\xbc =", ""), "  \xc3\xbc =\r\n");
    ck_assert_str_eq(written(false, 0, "", ""), "");
    const char *ten = "123456789 123456789 123456789 123456789 123456789 123456789 123456789 12 3";
    ck_assert_str_eq(
        written(false, 0, ten, ""),
        "123456789 123456789 123456789 123456789 123456789 123456789 123456789 12\r\n3\r\n");
    ck_assert_str_eq(written(false, 4, ten, ""), "    123456789 123456789 123456789 123456789 "
                                                 "123456789 123456789\r\n    123456789 12 3\r\n");
    /* 30 characters are 30 columns, but 180 bytes: soft breaks, no line over 76 */
    const char *u =
        "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
        "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc";
    const char *line = written(false, 0, "{V}{V}", u);
    size_t longest = 0, column = 0;
    for (; *line != '\0'; line++) {
        column = *line == '\n' ? 0 : column + 1;
        longest = column > longest ? column : longest;
    }
    ck_assert_uint_le(longest, 77); /* with the CR */
    ck_assert_uint_gt(longest, 70);
}
END_TEST

START_TEST(subjects_are_encoded_words)
{
    static const struct {
        const char *in, *out;
    } table[] = {
        {"Plain = ascii?", "Plain = ascii?"},
        {"Gr\xc3\xbc\x65zi _=?", "=?UTF-8?Q?Gr=C3=BCezi_=5F=3D=3F?="},
        {"\xc3\xbc 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789",
         "=?UTF-8?Q?=C3=BC_0123456789_0123456789_0123456789_0123456789_0123456789_0?=\r\n "
         "=?UTF-8?Q?123456789_0123456789?="},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        unsigned char buffer[512];
        struct text t = {.p = buffer, .capacity = sizeof buffer - 1};
        prose_subject(&t, table[i].in);
        buffer[t.n] = '\0';
        ck_assert_str_eq((char *)buffer, table[i].out);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dsn_text");
    TCase *t = tcase_create("dsn_text");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, every_cause_in_every_language, 0, (int)COUNT(causes) * LANGUAGE_COUNT);
    tcase_add_test(t, other_causes);
    tcase_add_test(t, the_words_are_sound);
    tcase_add_test(t, shows_the_address_as_the_sender_wrote_it);
    tcase_add_test(t, says_what_the_mail_was);
    tcase_add_test(t, says_that_the_time_is_over);
    tcase_add_test(t, several_languages_in_order);
    tcase_add_test(t, shows_no_hostile_characters);
    tcase_add_test(t, long_values_are_cut_between_characters);
    tcase_add_test(t, wraps_and_quotes);
    tcase_add_test(t, subjects_are_encoded_words);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
