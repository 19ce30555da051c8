/* Message data: smuggling variants, every split, and random input against a naive reader. */
#include "engine/smtp/data.h"
#include "tests/unit/random.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static bool normalising; /* the receiver's mode in this test */

struct outcome {
    unsigned char content[8192];
    size_t n;
    size_t consumed;
    uint64_t size;
    unsigned defects;
    bool ended;
};

/* Bytes of a line that are sure not to be its CR. */
static void naive_line(struct outcome *o, size_t line, bool cr)
{
    if (line - cr > LIMIT_SMTP_TEXT_LINE)
        o->defects |= SMTP_DEFECT_LINE_TOO_LONG;
}

/* The rules of RFC 5321 4.1.1.4 and 4.5.2, a byte at a time over the whole input. */
static void naive(struct span in, uint64_t max, struct outcome *o)
{
    bool line_start = true, cr = false, mended = false;
    size_t line = 0;

    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = in.p[i];
        if (line_start && c == '.') {
            size_t left = in.n - i;
            if (left >= 3 && in.p[i + 1] == '\r' && in.p[i + 2] == '\n') {
                o->ended = true;
                o->consumed = i + 3;
                break;
            }
            line_start = false;
            if (left >= 2 && in.p[i + 1] == '.')
                o->defects |= SMTP_DEFECT_DOT_LINES;
            if (left == 2 && in.p[i + 1] == '\r') /* may yet be the end */
                i++;
            continue;
        }
        if (mended && c == '.')
            o->defects |= SMTP_DEFECT_DOT_LINES;
        mended = normalising && !cr && c == '\n';
        if (mended) {
            o->content[o->n++] = '\r';
            o->content[o->n++] = '\n';
            line_start = false;
            line = 0;
            continue;
        }
        o->content[o->n++] = c;
        line++;
        line_start = false;
        if (cr && c != '\n')
            o->defects |= SMTP_DEFECT_BARE_CR;
        if (!cr && c == '\n')
            o->defects |= SMTP_DEFECT_BARE_LF;
        if (c == 0)
            o->defects |= SMTP_DEFECT_NUL;
        if (c >= 0x80)
            o->defects |= SMTP_DEFECT_EIGHT_BIT;
        if (cr && c == '\n') {
            line = 0;
            line_start = true;
        }
        cr = c == '\r';
        naive_line(o, line, cr);
    }
    if (!o->ended)
        o->consumed = in.n;
    o->size = o->n;
    if (max != 0 && o->size > max)
        o->defects |= SMTP_DEFECT_TOO_BIG;
}

/* Feeds a part as memory of its own, so that the sanitizer sees a byte read too many. Returns
 * what was consumed of it. */
static size_t feed(struct smtp_data *d, struct span part, struct outcome *o)
{
    unsigned char *memory = malloc(part.n == 0 ? 1 : part.n);
    struct span in = span_of(memory, part.n), body;
    enum smtp_data_step step;
    size_t consumed;

    memcpy(memory, part.p, part.n);
    while ((step = smtp_data_next(d, &in, &body)) == SMTP_DATA_BODY) {
        ck_assert_uint_gt(body.n, 0);
        ck_assert_uint_le(o->n + body.n, sizeof o->content);
        memcpy(o->content + o->n, body.p, body.n);
        o->n += body.n;
    }
    o->ended = step == SMTP_DATA_END;
    if (!o->ended)
        ck_assert_uint_eq(in.n, 0);
    consumed = part.n - in.n;
    free(memory);
    return consumed;
}

static void run_split(struct span in, const size_t *cuts, size_t count, uint64_t max,
                      struct outcome *o)
{
    struct smtp_data d;
    size_t from = 0;

    memset(o, 0, sizeof *o);
    smtp_data_begin(&d, max);
    if (normalising)
        smtp_data_normalise(&d);
    for (size_t i = 0; i <= count && !o->ended; i++) {
        size_t to = i < count ? cuts[i] : in.n;
        o->consumed += feed(&d, span_of(in.p + from, to - from), o);
        from = to;
    }
    o->size = d.size;
    o->defects = d.defects;
}

static void compare(const struct outcome *got, const struct outcome *want)
{
    ck_assert_int_eq(got->ended, want->ended);
    ck_assert_uint_eq(got->consumed, want->consumed);
    ck_assert_uint_eq(got->size, want->size);
    ck_assert_uint_eq(got->defects, want->defects);
    if ((want->defects & SMTP_DEFECT_TOO_BIG) == 0) {
        ck_assert_uint_eq(got->n, want->n);
        ck_assert_mem_eq(got->content, want->content, want->n);
    } else {
        ck_assert_uint_le(got->n, want->n);
        ck_assert_mem_eq(got->content, want->content, got->n);
    }
}

static void all_splits(struct span in, uint64_t max)
{
    static struct outcome got, want;
    size_t cuts[4096];

    naive(in, max, &want);
    run_split(in, NULL, 0, max, &got);
    compare(&got, &want);
    for (size_t i = 0; i <= in.n; i++) {
        run_split(in, &i, 1, max, &got);
        compare(&got, &want);
    }
    for (size_t i = 0; i < in.n; i++)
        cuts[i] = i;
    run_split(in, cuts, in.n, max, &got);
    compare(&got, &want);
}

#define CR_ SMTP_DEFECT_BARE_CR
#define LF_ SMTP_DEFECT_BARE_LF

static const struct sample {
    const char *in;
    size_t n;
    const char *content;
    size_t content_n;
    unsigned defects;
    bool ends;
} samples[] = {
#define S(in, content, defects, ends)                                                              \
    {                                                                                              \
        in, sizeof(in) - 1, content, sizeof(content) - 1, defects, ends                            \
    }
    S(".\r\n", "", 0, true),
    S(".\r\nQUIT\r\n", "", 0, true),
    S("a\r\n.\r\n", "a\r\n", 0, true),
    S("\r\n.\r\n", "\r\n", 0, true),
    S("..\r\n.\r\n", ".\r\n", SMTP_DEFECT_DOT_LINES, true),
    S(".a\r\n.\r\n", "a\r\n", 0, true),
    S("a.\r\n.\r\n", "a.\r\n", 0, true),
    S("a\r\n..b\r\n...\r\n.\r\n", "a\r\n.b\r\n..\r\n", SMTP_DEFECT_DOT_LINES, true),
    /* what other servers have taken for an end, and this one does not */
    S("a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", LF_, true),
    S("a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", LF_, true),
    S("a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", CR_, true),
    S("a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", CR_, true),
    S("a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", LF_, true),
    S("a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", CR_, true),
    S("a\r\n.\r\r\nb\r\n.\r\n", "a\r\n\r\r\nb\r\n", CR_, true),
    S("a\r\n\0.\r\nb\r\n.\r\n", "a\r\n\0.\r\nb\r\n", SMTP_DEFECT_NUL, true),
    S("a\r\n.\0\r\nb\r\n.\r\n", "a\r\n\0\r\nb\r\n", SMTP_DEFECT_NUL, true),
    S("a\r\0\n.\r\nb\r\n.\r\n", "a\r\0\n.\r\nb\r\n", CR_ | LF_ | SMTP_DEFECT_NUL, true),
    S("a\r\r\n.\r\n", "a\r\r\n", CR_, true),
    S("a\n\r\n.\r\n", "a\n\r\n", LF_, true),
    S("a\r\n.\r", "a\r\n", 0, false),
    S("a\r\n.", "a\r\n", 0, false),
    S("a\r\n \t.\r\n", "a\r\n \t.\r\n", 0, false),
    S("\xc3\xa4\r\n.\r\n", "\xc3\xa4\r\n", SMTP_DEFECT_EIGHT_BIT, true),
#undef S
};

START_TEST(knows_the_end)
{
    const struct sample *s = &samples[_i];
    static struct outcome got;

    run_split(span_of(s->in, s->n), NULL, 0, 0, &got);
    ck_assert_int_eq(got.ended, s->ends);
    ck_assert_uint_eq(got.defects, s->defects);
    ck_assert_uint_eq(got.n, s->content_n);
    ck_assert_mem_eq(got.content, s->content, s->content_n);
    all_splits(span_of(s->in, s->n), 0);
}
END_TEST

static const struct {
    const char *in;
    const char *content; /* NULL: no end in it */
    unsigned defects;
} mended[] = {
    {"a\nb\r\n.\r\n", "a\r\nb\r\n", 0},
    {"\na\n\n\r\n.\r\n", "\r\na\r\n\r\n\r\n", 0},
    {"a\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", SMTP_DEFECT_DOT_LINES},
    {"a\n.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", SMTP_DEFECT_DOT_LINES},
    {"a\n..b\r\n.\r\n", "a\r\n..b\r\n", SMTP_DEFECT_DOT_LINES},
    {"a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", 0}, /* ".\n" is a line with a dot before it */
    {"a\r\n.\n.\r\nb\r\n.\r\n", "a\r\n\r\n.\r\nb\r\n", SMTP_DEFECT_DOT_LINES},
    {"a\r.\nb\r\n.\r\n", "a\r.\r\nb\r\n", SMTP_DEFECT_BARE_CR},
    {"a\r\r\nb\r\n.\r\n", "a\r\r\nb\r\n", SMTP_DEFECT_BARE_CR},
    {"a\n\r.\r\n", NULL, SMTP_DEFECT_BARE_CR},
    {"a\n.\n", NULL, SMTP_DEFECT_DOT_LINES},
    {"a\r\n.\n", NULL, 0},
    {"a\n.\r\n", NULL, SMTP_DEFECT_DOT_LINES},
};

START_TEST(bare_lf_mended)
{
    static struct outcome got;
    struct span in = span_str(mended[_i].in);

    normalising = true;
    run_split(in, NULL, 0, 0, &got);
    ck_assert_int_eq(got.ended, mended[_i].content != NULL);
    ck_assert_uint_eq(got.defects, mended[_i].defects);
    if (mended[_i].content != NULL) {
        ck_assert_uint_eq(got.n, strlen(mended[_i].content));
        ck_assert_mem_eq(got.content, mended[_i].content, got.n);
    }
    all_splits(in, 0);
    normalising = false;
}
END_TEST

/* Loop: bare LFs are flagged, and mended. */
START_TEST(random_input_as_the_naive_reader)
{
    static const unsigned char alphabets[][8] = {
        {'\r', '\n', '.', 'a', '\r', '\n', '.', 'b'},
        {'\r', '\n', '.', 'a', 0, 0x80, '\n', '.'},
        {'a', 'b', 'c', 'd', 'e', '.', '\r', '\n'},
    };
    static struct outcome got, want;
    unsigned char in[700];
    size_t cuts[3];

    normalising = _i == 1;
    for (unsigned round = 0; round < 60000; round++) {
        const unsigned char *alphabet = alphabets[round % 3];
        size_t n = random_small(round % 5 == 0 ? sizeof in : 80);
        uint64_t max = random_small(4) == 0 ? 1 + random_small(100) : 0;
        for (size_t i = 0; i < n; i++) {
            in[i] = alphabet[random_small(8)];
            if (i > 0 && in[i - 1] == '\r' && random_small(3) != 0)
                in[i] = '\n';
        }
        for (unsigned i = 0; i < 3; i++)
            cuts[i] = random_small((uint32_t)n + 1);
        for (unsigned i = 0; i < 3; i++)
            for (unsigned j = i + 1; j < 3; j++)
                if (cuts[j] < cuts[i]) {
                    size_t t = cuts[i];
                    cuts[i] = cuts[j];
                    cuts[j] = t;
                }
        naive(span_of(in, n), max, &want);
        run_split(span_of(in, n), cuts, random_small(4), max, &got);
        compare(&got, &want);
        if (round % 200 == 0)
            all_splits(span_of(in, n), max);
    }
    normalising = false;
}
END_TEST

/* Around the limit, at every offset to the blocks, with line ends that are none. */
START_TEST(long_lines)
{
    static const char *const ends[] = {"\r\n.\r\n", "\ra\r\n.\r\n", "\n\r\n.\r\n", "\r\r\n.\r\n"};
    static struct outcome got, want;
    unsigned char in[1400];

    for (unsigned length = LIMIT_SMTP_TEXT_LINE - 3; length < LIMIT_SMTP_TEXT_LINE + 4; length++)
        for (unsigned before = 0; before < 70; before++)
            for (unsigned e = 0; e < 4; e++) {
                size_t n = before, end = strlen(ends[e]);
                memset(in, 'x', sizeof in);
                memcpy(in + n, "\r\n", 2);
                n += 2 + length;
                memcpy(in + n, ends[e], end);
                n += end;
                naive(span_of(in, n), 0, &want);
                run_split(span_of(in, n), NULL, 0, 0, &got);
                compare(&got, &want);
                size_t cut = n - end + 1;
                run_split(span_of(in, n), &cut, 1, 0, &got);
                compare(&got, &want);
            }
    memset(in, 'x', sizeof in);
    memcpy(in + LIMIT_SMTP_TEXT_LINE, "\r\n.\r\n", 5);
    run_split(span_of(in, LIMIT_SMTP_TEXT_LINE + 5), NULL, 0, 0, &got);
    ck_assert_uint_eq(got.defects, 0);
    memcpy(in + LIMIT_SMTP_TEXT_LINE + 1, "\r\n.\r\n", 5);
    in[LIMIT_SMTP_TEXT_LINE] = 'x';
    run_split(span_of(in, LIMIT_SMTP_TEXT_LINE + 6), NULL, 0, 0, &got);
    ck_assert_uint_eq(got.defects, SMTP_DEFECT_LINE_TOO_LONG);
}
END_TEST

START_TEST(size_at_the_maximum)
{
    static struct outcome got;
    struct span in = SPAN_LIT("12345678\r\n.\r\n");

    run_split(in, NULL, 0, 10, &got);
    ck_assert_uint_eq(got.defects, 0);
    run_split(in, NULL, 0, 9, &got);
    ck_assert_uint_eq(got.defects, SMTP_DEFECT_TOO_BIG);
    ck_assert(got.ended);
    ck_assert_uint_eq(got.size, 10);
    ck_assert_uint_le(got.n, 9);
}
END_TEST

/* ---- stuffing --------------------------------------------------------------------------- */

static size_t stuffed(struct span content, size_t cut, size_t capacity, unsigned char *wire)
{
    struct smtp_stuffer s;
    struct span parts[2] = {span_head(content, cut), span_from(content, cut)};
    unsigned char memory[64];
    size_t n = 0;

    smtp_stuff_begin(&s);
    for (unsigned i = 0; i < 2; i++) {
        unsigned char *part = malloc(parts[i].n == 0 ? 1 : parts[i].n);
        bool done;
        memcpy(part, parts[i].p, parts[i].n);
        parts[i].p = part;
        do {
            struct smtp_out out = {.p = memory, .capacity = capacity};
            done = smtp_stuff(&s, &parts[i], &out);
            memcpy(wire + n, memory, out.n);
            n += out.n;
            ck_assert(done || out.n > 0);
        } while (!done);
        free(part);
    }
    struct span end = smtp_stuff_end(&s);
    memcpy(wire + n, end.p, end.n);
    return n + end.n;
}

START_TEST(stuffed_and_unstuffed_is_the_same)
{
    static const unsigned char alphabet[] = {'\r', '\n', '.', 'a'};
    static struct outcome got;
    unsigned char content[100], wire[300];

    for (unsigned round = 0; round < 20000; round++) {
        size_t n = random_small(60);
        for (size_t i = 0; i < n; i++) {
            content[i] = alphabet[random_small(4)];
            if (i > 0 && content[i - 1] == '\r' && random_small(3) != 0)
                content[i] = '\n';
        }
        size_t length =
            stuffed(span_of(content, n), random_small((uint32_t)n + 1), 2 + random_small(40), wire);
        run_split(span_of(wire, length), NULL, 0, 0, &got);
        ck_assert(got.ended);
        ck_assert_uint_eq(got.consumed, length);
        ck_assert_uint_ge(got.n, n);
        ck_assert_mem_eq(got.content, content, n);
        if (n == 0 || (n >= 2 && content[n - 2] == '\r' && content[n - 1] == '\n'))
            ck_assert_uint_eq(got.n, n);
        else
            ck_assert_uint_eq(got.n, n + 2);
    }
}
END_TEST

START_TEST(stuffs_only_after_crlf)
{
    unsigned char wire[100];
    size_t n = stuffed(SPAN_LIT(".a\n.b\r.c\r\n.d\r\n"), 5, 40, wire);
    struct span want = SPAN_LIT("..a\n.b\r.c\r\n..d\r\n.\r\n");

    ck_assert_uint_eq(n, want.n);
    ck_assert_mem_eq(wire, want.p, n);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("smtp_data");
    TCase *tests = tcase_create("data");

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, knows_the_end, 0, sizeof samples / sizeof samples[0]);
    tcase_add_loop_test(tests, bare_lf_mended, 0, sizeof mended / sizeof mended[0]);
    tcase_add_loop_test(tests, random_input_as_the_naive_reader, 0, 2);
    tcase_add_test(tests, long_lines);
    tcase_add_test(tests, size_at_the_maximum);
    tcase_add_test(tests, stuffed_and_unstuffed_is_the_same);
    tcase_add_test(tests, stuffs_only_after_crlf);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
