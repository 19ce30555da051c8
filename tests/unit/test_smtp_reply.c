/* Replies as a client reads them: in every split, and what hostile servers send. */
#include "engine/smtp/reply.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const struct good {
    const char *in;
    unsigned code, lines;
    const char *enhanced, *text;
} goods[] = {
    {"250 Ok\r\n", 250, 1, "", "Ok"},
    {"250\r\n", 250, 1, "", ""},
    {"250 \r\n", 250, 1, "", ""},
    {"250 2.1.0 Ok\r\n", 250, 1, "2.1.0", "2.1.0 Ok"},
    {"550 5.1.1\r\n", 550, 1, "5.1.1", "5.1.1"},
    {"550-5.7.1 a\r\n550 5.7.1 b\r\n", 550, 2, "5.7.1", "5.7.1 a 5.7.1 b"},
    {"550-a\r\n550-5.7.26 b\r\n550 c\r\n", 550, 3, "5.7.26", "a 5.7.26 b c"},
    {"250-a\r\n250-\r\n250\r\n", 250, 3, "", "a"},
    {"550 5.999.999 x\r\n", 550, 1, "5.999.999", "5.999.999 x"},
    {"550 5.1000.1 x\r\n", 550, 1, "", "5.1000.1 x"},
    {"550 5.1.1000 x\r\n", 550, 1, "", "5.1.1000 x"},
    {"550 4.1.1 x\r\n", 550, 1, "", "4.1.1 x"},
    {"550 5.1.1x\r\n", 550, 1, "", "5.1.1x"},
    {"550 5.1\r\n", 550, 1, "", "5.1"},
    {"550 5..1 x\r\n", 550, 1, "", "5..1 x"},
    {"550 5.1. x\r\n", 550, 1, "", "5.1. x"},
    {"354 3.0.0 go\r\n", 354, 1, "", "3.0.0 go"},
    {"450 a\001b\tc\x7f\r\n", 450, 1, "", "a?b c?"},
    {"571 5.7.1 no\r\n", 571, 1, "5.7.1", "5.7.1 no"},
    {"599 \xc3\xbc\r\n", 599, 1, "", "\xc3\xbc"},
};

/* The last step that is neither MORE nor LINE, or MORE. */
static enum smtp_reply_step feed(struct smtp_reply *r, struct span part, unsigned *lines,
                                 size_t *left)
{
    unsigned char *memory = malloc(part.n == 0 ? 1 : part.n);
    struct span in = span_of(memory, part.n);
    enum smtp_reply_step step;

    memcpy(memory, part.p, part.n);
    while ((step = smtp_reply_next(r, &in)) == SMTP_REPLY_LINE)
        ++*lines;
    *left = in.n;
    free(memory);
    return step;
}

static void check_good(const struct smtp_reply *r, const struct good *good, unsigned lines)
{
    char enhanced[12];

    ck_assert_uint_eq(r->code, good->code);
    ck_assert_uint_eq(lines + 1, good->lines);
    smtp_enhanced_text(r->enhanced, enhanced);
    ck_assert_str_eq(enhanced, good->enhanced);
    ck_assert(span_eq(smtp_reply_text(r), span_str(good->text)));
}

START_TEST(reads)
{
    const struct good *good = &goods[_i];
    struct span in = span_str(good->in);
    struct smtp_reply r;
    size_t left;

    smtp_reply_begin(&r);
    for (size_t cut = 0; cut < in.n; cut++) { /* the same reader for one reply after the other */
        unsigned lines = 0;
        ck_assert_int_eq(feed(&r, span_head(in, cut), &lines, &left), SMTP_REPLY_MORE);
        ck_assert_int_eq(feed(&r, span_from(in, cut), &lines, &left), SMTP_REPLY_DONE);
        ck_assert_uint_eq(left, 0);
        check_good(&r, good, lines);
    }
    unsigned lines = 0;
    for (size_t i = 0; i < in.n; i++)
        ck_assert_int_eq(feed(&r, span_of(in.p + i, 1), &lines, &left),
                         i + 1 < in.n ? SMTP_REPLY_MORE : SMTP_REPLY_DONE);
    check_good(&r, good, lines);
}
END_TEST

static const struct bad {
    const char *in;
    size_t n;
} bads[] = {
#define B(in)                                                                                      \
    {                                                                                              \
        in, sizeof(in) - 1                                                                         \
    }
    B("\r\n"),
    B("\n"),
    B("Ok\r\n"),
    B("25\r\n"),
    B("2500 x\r\n"),
    B("250x\r\n"),
    B("250\n"),
    B("250 x\n"),
    B("250 x\rx\r\n"),
    B("250 x\r\r\n"),
    B("250\rx"),
    B("150 x\r\n"),
    B("050 x\r\n"),
    B("650 x\r\n"),
    B("25:x\r\n"),
    B(" 250 x\r\n"),
    B("250-a\r\n251 b\r\n"),
    B("250-a\r\n550 b\r\n"),
    B("250-a\r\n\r\n"),
    B("250-a\r\nb\r\n"),
    B("250-a\n250 b\r\n"),
    B("\0"),
    B("2\0"
      "50 x\r\n"),
    B("250\0x\r\n"),
    B("250\t x\r\n"),
    B("\x16\x03\x01\x02"),
#undef B
};

START_TEST(refuses)
{
    struct span in = span_of(bads[_i].in, bads[_i].n);
    struct smtp_reply r;
    unsigned lines = 0;
    size_t left;

    smtp_reply_begin(&r);
    ck_assert_int_eq(feed(&r, in, &lines, &left), SMTP_REPLY_BAD);
    /* and nothing mends it */
    ck_assert_int_eq(feed(&r, SPAN_LIT("250 Ok\r\n"), &lines, &left), SMTP_REPLY_BAD);
    smtp_reply_begin(&r);
    enum smtp_reply_step step = SMTP_REPLY_MORE;
    for (size_t i = 0; i < in.n; i++)
        step = feed(&r, span_of(in.p + i, 1), &lines, &left);
    ck_assert_int_eq(step, SMTP_REPLY_BAD);
}
END_TEST

START_TEST(takes_one_reply_at_a_time)
{
    struct span in = SPAN_LIT("250 a\r\n550-b\r\n550 c\r\n25");
    struct smtp_reply r;

    smtp_reply_begin(&r);
    ck_assert_int_eq(smtp_reply_next(&r, &in), SMTP_REPLY_DONE);
    ck_assert_uint_eq(r.code, 250);
    ck_assert_int_eq(smtp_reply_next(&r, &in), SMTP_REPLY_LINE);
    ck_assert(span_eq(smtp_reply_line(&r), SPAN_LIT("b")));
    ck_assert_int_eq(smtp_reply_next(&r, &in), SMTP_REPLY_DONE);
    ck_assert(span_eq(smtp_reply_line(&r), SPAN_LIT("c")));
    ck_assert(span_eq(smtp_reply_text(&r), SPAN_LIT("b c")));
    /* a complete reply stays until there is more */
    struct span none = SPAN_EMPTY;
    ck_assert_int_eq(smtp_reply_next(&r, &none), SMTP_REPLY_MORE);
    ck_assert_uint_eq(r.code, 550);
    ck_assert_int_eq(smtp_reply_next(&r, &in), SMTP_REPLY_MORE);
}
END_TEST

static enum smtp_reply_step one_line(size_t length)
{
    static char text[2 * LIMIT_SMTP_REPLY_LINE];
    struct span in = span_of(text, length);
    struct smtp_reply r;

    memset(text, 'x', sizeof text);
    memcpy(text, "250 ", 4);
    memcpy(text + length - 2, "\r\n", 2);
    smtp_reply_begin(&r);
    enum smtp_reply_step step = smtp_reply_next(&r, &in);
    if (step == SMTP_REPLY_DONE)
        ck_assert_uint_le(smtp_reply_text(&r).n, LIMIT_SMTP_REPLY_TEXT);
    return step;
}

START_TEST(line_length)
{
    ck_assert_int_eq(one_line(512), SMTP_REPLY_DONE);
    ck_assert_int_eq(one_line(LIMIT_SMTP_REPLY_LINE), SMTP_REPLY_DONE);
    ck_assert_int_eq(one_line(LIMIT_SMTP_REPLY_LINE + 1), SMTP_REPLY_BAD);
}
END_TEST

static enum smtp_reply_step many_lines(unsigned count, struct smtp_reply *r)
{
    char line[LIMIT_SMTP_REPLY_TEXT];
    enum smtp_reply_step step = SMTP_REPLY_MORE;

    smtp_reply_begin(r);
    for (unsigned i = 0; i < count; i++) {
        snprintf(line, sizeof line, "550%cline %u%s\r\n", i + 1 < count ? '-' : ' ', i,
                 i == 0           ? " first"
                 : i + 1 == count ? " last"
                                  : "");
        struct span in = span_str(line);
        step = smtp_reply_next(r, &in);
        if (step == SMTP_REPLY_BAD)
            break;
        struct span text = smtp_reply_line(r);
        ck_assert(span_eq(text, span_of(line + 4, strlen(line) - 6)));
    }
    return step;
}

START_TEST(first_and_last_lines_are_kept)
{
    struct smtp_reply r;

    ck_assert_int_eq(many_lines(LIMIT_SMTP_REPLY_LINES, &r), SMTP_REPLY_DONE);
    struct span text = smtp_reply_text(&r);
    ck_assert(span_istarts(text, SPAN_LIT("line 0 first line 1 line 2 ")));
    ck_assert(span_iends(text, SPAN_LIT(" line 127 last")));
    ck_assert_uint_le(text.n, LIMIT_SMTP_REPLY_TEXT);
    ck_assert_int_eq(many_lines(LIMIT_SMTP_REPLY_LINES + 1, &r), SMTP_REPLY_BAD);
}
END_TEST

/* Lines longer than what is kept, one after the other. */
START_TEST(long_lines_are_cut)
{
    char line[LIMIT_SMTP_REPLY_LINE];
    struct smtp_reply r;

    smtp_reply_begin(&r);
    for (unsigned i = 0; i < 10; i++) {
        memset(line, 'a' + (int)i, 1000);
        memcpy(line, i < 9 ? "250-" : "250 ", 4);
        memcpy(line + 1000, "\r\n", 2);
        struct span in = span_of(line, 1002);
        ck_assert_int_eq(smtp_reply_next(&r, &in), i < 9 ? SMTP_REPLY_LINE : SMTP_REPLY_DONE);
        ck_assert_uint_ge(smtp_reply_line(&r).n, LIMIT_SMTP_REPLY_TEXT / 2);
        ck_assert_int_eq(smtp_reply_line(&r).p[0], 'a' + (int)i);
    }
}
END_TEST

START_TEST(made_here)
{
    static char text[2 * LIMIT_SMTP_REPLY_TEXT];
    struct smtp_reply r;
    char enhanced[12];

    memset(text, 'x', sizeof text);
    smtp_reply_make(&r, 552, (struct smtp_enhanced){5, 3, 4}, SPAN_LIT("too big"));
    ck_assert_uint_eq(r.code, 552);
    ck_assert(span_eq(smtp_reply_text(&r), SPAN_LIT("too big")));
    ck_assert_uint_eq(smtp_enhanced_text(r.enhanced, enhanced), 5);
    ck_assert_str_eq(enhanced, "5.3.4");
    smtp_reply_make(&r, 552, (struct smtp_enhanced){0}, span_of(text, sizeof text));
    ck_assert_uint_eq(smtp_reply_text(&r).n, LIMIT_SMTP_REPLY_TEXT);
    struct span in = SPAN_LIT("250 Ok\r\n");
    ck_assert_int_eq(smtp_reply_next(&r, &in), SMTP_REPLY_DONE);
    ck_assert_uint_eq(r.code, 250);
}
END_TEST

START_TEST(noise)
{
    static const char alphabet[] = "2255550-- .\r\n\r\nx1";
    struct smtp_reply r;

    srand(3);
    for (unsigned round = 0; round < 200000; round++) {
        char text[24];
        for (unsigned i = 0; i < sizeof text; i++)
            text[i] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        struct span in = span_of(text, sizeof text);
        smtp_reply_begin(&r);
        while (in.n > 0 && smtp_reply_next(&r, &in) != SMTP_REPLY_BAD)
            ck_assert_uint_le(smtp_reply_text(&r).n, LIMIT_SMTP_REPLY_TEXT);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("smtp_reply");
    TCase *tests = tcase_create("reply");

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, reads, 0, sizeof goods / sizeof goods[0]);
    tcase_add_loop_test(tests, refuses, 0, sizeof bads / sizeof bads[0]);
    tcase_add_test(tests, takes_one_reply_at_a_time);
    tcase_add_test(tests, line_length);
    tcase_add_test(tests, first_and_last_lines_are_kept);
    tcase_add_test(tests, long_lines_are_cut);
    tcase_add_test(tests, made_here);
    tcase_add_test(tests, noise);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
