/* Changes to a header section: exact bytes, and what a client then shows. */
#include "engine/mime/edit.h"
#include "engine/mime/header.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned char out[LIMIT_HEADERS + LIMIT_EDIT_GROWTH];

static struct span apply(const char *edits, const char *section)
{
    ck_assert_msg(edits_valid(span_str(edits)), "%s", edits);
    size_t n = edits_apply(span_str(edits), span_str(section), out, sizeof out);
    ck_assert_uint_gt(n, 0);
    return span_of(out, n);
}

#define LONG40 "abcdefghijklmnopqrstuvwxyzabcdefghijklmn"

static const struct {
    const char *edits, *section, *wanted;
} cases[] = {
    /* fields set and removed */
    {"s1:A1:x", "B: y\r\n\r\n", "B: y\r\nA: x\r\n\r\n"},
    {"s1:A1:x", "a : y\r\nB: z\r\n\r\n", "A: x\r\nB: z\r\n\r\n"},
    {"s1:A1:x", "A: 1\r\n 2\r\nB: z\r\nA: 3\r\n\r\n", "A: x\r\nB: z\r\n\r\n"},
    {"r1:A", "A: 1\r\n\t2\r\nB: z\r\na: 3\r\n\r\n", "B: z\r\n\r\n"},
    {"r1:A", "AB: 1\r\n A: 2\r\nno colon\r\n A: 3\r\n\r\n",
     "AB: 1\r\n A: 2\r\nno colon\r\n A: 3\r\n\r\n"},
    {"r1:As1:A1:x", "A: 1\r\n\r\n", "A: x\r\n\r\n"},
    {"s1:A0:", "\r\n", "A: \r\n\r\n"},
    {"s1:A1:x", "B: y\r\n", "B: y\r\nA: x\r\n"},
    {"s1:A1:x", "B: y", "B: y\r\nA: x\r\n"},
    {"s1:A8:Z\xc3\xbcrich.", "\r\n", "A: =?UTF-8?B?WsO8cmljaC4=?=\r\n\r\n"},
    {"s1:A4:=?x?", "\r\n", "A: =?UTF-8?B?PT94Pw==?=\r\n\r\n"},
    /* the subject */
    {"p8:<im><c> ", "Subject: Hallo\r\nB: z\r\n\r\n", "Subject: <im><c> Hallo\r\nB: z\r\n\r\n"},
    {"p4:<im>", "subject:Hallo\r\n\r\n", "Subject: <im>Hallo\r\n\r\n"},
    {"p5:<im> ", "B: z\r\n\r\n", "B: z\r\nSubject: <im>\r\n\r\n"},
    {"p5:<im> ", "Subject:\r\n\r\n", "Subject: <im>\r\n\r\n"},
    {"p5:<im> ", "Subject: =?UTF-8?Q?Z=C3=BCrich?=\r\n\r\n",
     "Subject: <im> =?UTF-8?Q?Z=C3=BCrich?=\r\n\r\n"},
    {"p4:<im>", "Subject: =?UTF-8?Q?Z=C3=BCrich?=\r\n\r\n",
     "Subject: =?UTF-8?Q?=3Cim=3E?= =?UTF-8?Q?Z=C3=BCrich?=\r\n\r\n"},
    {"p4:<im>", "Subject: Z\xc3\xbcrich\r\n\r\n", "Subject: <im>Z\xc3\xbcrich\r\n\r\n"},
    {"p3:\xc3\xa9 ", "Subject: Hallo Welt\r\n\r\n", "Subject: =?UTF-8?B?w6k=?= Hallo Welt\r\n\r\n"},
    {"p2:\xc3\xa9", "Subject: Hallo Welt\r\n\r\n", "Subject: =?UTF-8?Q?=C3=A9Hallo?= Welt\r\n\r\n"},
    /* there already: as it is */
    {"p8:<im><c> ", "Subject: <im><c> Hallo\r\n\r\n", "Subject: <im><c> Hallo\r\n\r\n"},
    {"p8:<im><c> ", "Subject:\r\n =?UTF-8?B?PGltPjxjPiBPZmZyZQ==?=\r\n\r\n",
     "Subject:\r\n =?UTF-8?B?PGltPjxjPiBPZmZyZQ==?=\r\n\r\n"},
    {"p8:<im><c> ", "Subject: Re: <im><c> Hallo\r\n\r\n",
     "Subject: <im><c> Re: <im><c> Hallo\r\n\r\n"},
    /* a second one could be the one that is shown */
    {"p5:<im> ", "Subject: a\r\nSubject: b\r\n\r\n", "Subject: <im> a\r\n\r\n"},
    {"p5:<im> ", "Subject: <im> a\r\nSubject: b\r\n\r\n", "Subject: <im> a\r\n\r\n"},
    /* folds stay, and new ones come where a line would get too long */
    {"p5:<im> ", "Subject: a\r\n b\r\n\r\n", "Subject: <im> a\r\n b\r\n\r\n"},
    {"p8:<im><c> ", "Subject: " LONG40 LONG40 "\r\n\r\n",
     "Subject: <im><c>\r\n " LONG40 LONG40 "\r\n\r\n"},
    {"p8:<im><c> ", "Subject: " LONG40 " " LONG40 "\r\n\r\n",
     "Subject: <im><c> " LONG40 "\r\n " LONG40 "\r\n\r\n"},
    {"p1:x", "Subject: " LONG40 " " LONG40 "\r\n\r\n",
     "Subject: x" LONG40 "\r\n " LONG40 "\r\n\r\n"},
    {"p5:<im> ", "Subject: a\r\n " LONG40 LONG40 "\r\n\r\n",
     "Subject: <im> a\r\n " LONG40 LONG40 "\r\n\r\n"},
    /* all at once, each by itself */
    {"p5:<im> s1:A1:xr1:B", "B: z\r\nSubject: a\r\n\r\n", "Subject: <im> a\r\nA: x\r\n\r\n"},
};

START_TEST(test_cases)
{
    struct span found = apply(cases[_i].edits, cases[_i].section);
    ck_assert_msg(span_eq(found, span_str(cases[_i].wanted)), "%.*s", (int)found.n, found.p);
}
END_TEST

/* ---- what is shown ------------------------------------------------------------------------ */

static size_t shown(struct span section, unsigned char text[LIMIT_HEADER_DECODED])
{
    static unsigned char buffer[LIMIT_HEADER_BUFFER];
    struct header_want want = {.name = SPAN_LIT("Subject"), .mode = HEADER_JOIN};
    struct header_scanner s;
    header_begin(&s, &want, 1, buffer, sizeof buffer);
    (void)header_feed(&s, section);
    header_finish(&s);
    return header_decode(header_value(&s, 0), text, LIMIT_HEADER_DECODED, NULL);
}

static const char *const prefixes[] = {"<im>",
                                       "<im><c> ",
                                       "\xc3\xa9",
                                       "[Gr\xc3\xbc\xc3\x9f"
                                       "e] ",
                                       "=",
                                       "a =?",
                                       "\xf0\x9f\x94\x92 \xf0\x9f\x94\x92\xf0\x9f\x94\x92 "};
static const char *const subjects[] = {
    "Hallo",
    "Hallo Welt",
    "=?UTF-8?Q?Z=C3=BCrich?=",
    "?x?= y",
    "=?UTF-8?B?w6k=?= =?UTF-8?B?w6k=?=",
    "Re: =?iso-8859-1?q?=E9t=E9?= und mehr",
    "Z\xc3\xbcrich roh",
    "=?UTF-8?Q?=3Ci?=\r\n =?UTF-8?Q?m=3E?=",
    LONG40 LONG40 LONG40,
    LONG40 "\r\n " LONG40 "\r\n\t" LONG40,
};

/* The decoded subject is the prefix and the decoded subject of before, for each pair. */
START_TEST(test_shown)
{
    static unsigned char before[LIMIT_HEADER_DECODED], after[LIMIT_HEADER_DECODED];
    const char *prefix = prefixes[_i];
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        char edits[256], section[1024];
        (void)snprintf(edits, sizeof edits, "p%zu:%s", strlen(prefix), prefix);
        (void)snprintf(section, sizeof section, "Subject: %s\r\n\r\n", subjects[i]);
        size_t n = shown(span_str(section), before);
        struct span edited = apply(edits, section);
        size_t m = shown(edited, after);
        size_t p = strlen(prefix);
        if (n >= p && memcmp(before, prefix, p) == 0)
            p = 0; /* it was there already */
        ck_assert_msg(
            m == p + n && memcmp(after, prefix, p) == 0 && memcmp(after + p, before, n) == 0,
            "%s|%s: %.*s in %.*s", prefix, subjects[i], (int)m, after, (int)edited.n, edited.p);
        for (size_t at = 0, column = 0; at < edited.n; at++) {
            column = edited.p[at] == '\n' ? 0 : column + 1;
            ck_assert_uint_le(column, LIMIT_TEXT_LINE + 1);
        }
    }
}
END_TEST

/* ---- hostile ------------------------------------------------------------------------------ */

static const char *const bad[] = {
    "x",
    "p",
    "p:",
    "p5:a",
    "p00001:a",
    "s1:A",
    "s0:1:x",
    "r8:Received",
    "r0:",
    "p0:",
    "p2: x",
    "p1:xp1:y",
    "s7:subject1:xp1:y",
    "s1:A1:x ",
    "r1: ",
    "r1:A\n",
    "p1:\x7f",
    "s12:Content-Type1:x",
    "s3:A:B1:x",
    "r12:MIME-Version",
    "r1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:Ar1:A",
};

START_TEST(test_bad)
{
    ck_assert(!edits_valid(span_str(bad[_i])));
    ck_assert_uint_eq(
        edits_apply(span_str(bad[_i]), SPAN_LIT("Subject: x\r\n\r\n"), out, sizeof out), 0);
}
END_TEST

START_TEST(test_limits)
{
    static char text[LIMIT_EDIT_TEXT + 64];
    struct text t = {.p = (unsigned char *)text, .capacity = sizeof text};
    unsigned char value[LIMIT_EDIT_VALUE + 1];
    memset(value, 'v', sizeof value);
    edit_put(&t, &(struct edit){EDIT_SET, SPAN_LIT("A"), span_of(value, LIMIT_EDIT_VALUE)});
    ck_assert(edits_valid(span_of(t.p, t.n)));
    t.n = 0;
    edit_put(&t, &(struct edit){EDIT_SET, SPAN_LIT("A"), span_of(value, sizeof value)});
    ck_assert(!edits_valid(span_of(t.p, t.n)));
    t.n = 0;
    edit_put(&t,
             &(struct edit){EDIT_PREFIX_SUBJECT, SPAN_EMPTY, span_of(value, LIMIT_SUBJECT_PREFIX)});
    ck_assert(edits_valid(span_of(t.p, t.n)));
    t.n = 0;
    edit_put(&t, &(struct edit){EDIT_PREFIX_SUBJECT, SPAN_EMPTY,
                                span_of(value, LIMIT_SUBJECT_PREFIX + 1)});
    ck_assert(!edits_valid(span_of(t.p, t.n)));
}
END_TEST

/* A section as large as one may be, made of what is folded most, fits the room that is promised;
 * random ones never write outside of it (the sanitizer looks on). */
START_TEST(test_room)
{
    static const char pieces[][12] = {"Subject:", "A: ", " ",        "\r\n", "\r\n ",
                                      "=?u?q?",   "x",   "\xc3\xa9", ":"};
    static unsigned char section[LIMIT_HEADERS];
    static const char edits[] = "p8:<im><c> s1:A8:Z\xc3\xbcrich.r1:B";
    size_t n = (size_t)snprintf((char *)section, sizeof section, "Subject: ");
    while (n + 4 < sizeof section)
        section[n] = n % 2 ? ' ' : 'x', n++;
    memcpy(section + n, "\r\n\r\n", 4);
    ck_assert_uint_gt(edits_apply(SPAN_LIT(edits), span_of(section, n + 4), out, sizeof out), n);
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        n = 0;
        for (unsigned i = 0; i < 30; i++) {
            const char *piece = pieces[(unsigned)rand() % (sizeof pieces / sizeof pieces[0])];
            memcpy(section + n, piece, strlen(piece));
            n += strlen(piece);
        }
        unsigned char *exact = malloc(n + LIMIT_EDIT_GROWTH);
        ck_assert_uint_gt(
            edits_apply(SPAN_LIT(edits), span_of(section, n), exact, n + LIMIT_EDIT_GROWTH), 0);
        size_t room = (unsigned)rand() % 64;
        ck_assert_uint_le(edits_apply(SPAN_LIT(edits), span_of(section, n), exact, room), room);
        free(exact);
    }
}
END_TEST

START_TEST(test_section)
{
    ck_assert_uint_eq(edit_section(SPAN_LIT("A: b\r\n\r\nbody")), 8);
    ck_assert_uint_eq(edit_section(SPAN_LIT("\r\nbody")), 2);
    ck_assert_uint_eq(edit_section(SPAN_LIT("A: b\r\nc\n\n")), 0);
    ck_assert_uint_eq(edit_section(SPAN_EMPTY), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("edit");
    TCase *tc = tcase_create("edit");
    tcase_add_loop_test(tc, test_cases, 0, sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(tc, test_shown, 0, sizeof prefixes / sizeof prefixes[0]);
    tcase_add_loop_test(tc, test_bad, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tc, test_limits);
    tcase_add_test(tc, test_room);
    tcase_add_test(tc, test_section);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
