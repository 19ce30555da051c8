/* Content that goes in 7 bits: what comes out, for any split of what goes in. */
#include "engine/mime/seven_bit.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* The message in pieces of `step` bytes, the output taken in whole buffers. */
static bool convert(struct span in, size_t step, bool binary, char *out, size_t capacity,
                    size_t *length, const char **refused)
{
    static struct seven_bit s;
    unsigned char room[SEVEN_BIT_ROOM + 100];
    bool ok = true, ended = false;
    *length = 0;
    seven_bit_begin(&s, binary);
    while (ok && !ended) {
        unsigned char *copy = malloc(step);
        struct span piece = span_head(in, step);
        memcpy(copy, piece.p, piece.n);
        in = span_from(in, piece.n);
        piece = span_of(copy, piece.n);
        do {
            struct text text = {.p = room, .capacity = sizeof room};
            ok = seven_bit_feed(&s, &piece, &text);
            if (ok && piece.n == 0 && in.n == 0 && text.capacity - text.n >= SEVEN_BIT_ROOM) {
                ok = seven_bit_end(&s, &text);
                ended = true;
            }
            ck_assert(!text.overflow);
            ck_assert_uint_le(*length + text.n, capacity);
            memcpy(out + *length, room, text.n);
            *length += text.n;
        } while (ok && (piece.n > 0 || (in.n == 0 && !ended)));
        free(copy);
    }
    *refused = s.refused;
    return ok;
}

#define M "MIME-Version: 1.0\r\n"
#define QP "Content-Transfer-Encoding: quoted-printable\r\n"
#define B64 "Content-Transfer-Encoding: base64\r\n"
#define UNKNOWN "Content-Type: text/plain; charset=unknown-8bit\r\n"
#define U "\xc3\xbc"

struct sample {
    const char *in;
    const char *out; /* NULL: refused */
    bool binary;
};

static const struct sample samples[] = {
    /* 0: text */
    {M "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr" U
       "ezi\r\n",
     M "Content-Type: text/plain; charset=utf-8\r\n" QP "\r\nGr=C3=BCezi\r\n", false},
    {"Subject: x\r\n\r\n" U "\r\n", "Subject: x\r\n" UNKNOWN M QP "\r\n=C3=BC\r\n", false},
    {"\r\n" U "\r\n", UNKNOWN M QP "\r\n=C3=BC\r\n", false},
    {M "\r\na=b \r\n\tc\t\r\n\r\n \r\n", M UNKNOWN QP "\r\na=3Db=20\r\n\tc=09\r\n\r\n=20\r\n",
     false},
    {M "\r\nno end", M UNKNOWN QP "\r\nno end=\r\n", false},
    {M "\r\n", M UNKNOWN QP "\r\n", false},
    {M "\r\n"
       "0123456789012345678901234567890123456789012345678901234567890123456789012345678\r\n"
       "012345678901234567890123456789012345678901234567890123456789012345678901" U "\r\n",
     M UNKNOWN QP
     "\r\n012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n5678\r\n"
     "012345678901234567890123456789012345678901234567890123456789012345678901=C3=\r\n=BC\r\n",
     false},
    {"Content-Type: TEXT/html\r\nmime-version: 1.0\r\nCONTENT-TRANSFER-ENCODING: 8BIT\r\n\r\n" U
     "\r\n",
     "Content-Type: TEXT/html\r\nmime-version: 1.0\r\n" QP "\r\n=C3=BC\r\n", false},

    /* 8: other leaves */
    {M "Content-Type: image/png\r\n\r\nabc" U,
     M "Content-Type: image/png\r\n" B64 "\r\nYWJjw7w=\r\n", false},
    {M "Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\rc\r\n",
     M "Content-Type: image/png\r\n" B64 "\r\nYQpiDWMNCg==\r\n", true},
    {M "Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\rc\r\n",
     M "Content-Type: text/plain\r\n" QP "\r\na=0Ab=0Dc\r\n", true},
    {M "Content-Type: image/png\r\n" B64 "\r\nYQ==\r\n",
     M "Content-Type: image/png\r\n" B64 "\r\nYQ==\r\n", false},
    {M "Content-Type: image/png\r\n" B64 "\r\nY" U "Q==\r\n", NULL, false},
    {M "Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uue\r\n\r\nM\r\n",
     M "Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uue\r\n\r\nM\r\n", false},
    {M "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n"
       "Content-Transfer-Encoding: base64\r\n\r\n" U "\r\n",
     NULL, false},
    {M "Subject: " U "\r\n\r\nx\r\n", NULL, false},

    /* 16: multiparts */
    {M "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
       "before " U "\r\n--b\r\n\r\n" U "\r\n--b\r\nContent-Type: a/b\r\n\r\n" U
       "\r\n--b--\r\nbehind " U "\r\n",
     M "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
       "before ??\r\n--b\r\n" UNKNOWN QP "\r\n=C3=BC\r\n--b\r\nContent-Type: a/b\r\n" B64
       "\r\nw7w=\r\n--b--\r\nbehind ??\r\n",
     false},
    {M "Content-Type: multipart/mixed; (c) boundary = \"b \\\"c\"\r\n\r\n--b \"c\r\n\r\n" U
       "\r\n\r\n--b \"c--\t\r\n",
     M "Content-Type: multipart/mixed; (c) boundary = \"b \\\"c\"\r\n\r\n--b \"c\r\n" UNKNOWN QP
       "\r\n=C3=BC\r\n\r\n--b \"c--\t\r\n",
     false},
    {M "Content-Type: multipart/mixed;\r\n boundary=a\r\n\r\n--a\r\nContent-Type: "
       "multipart/alternative;"
       " boundary=b\r\n\r\n--b\r\n\r\n" U "\r\n--a\r\n\r\nx\r\n--a--\r\n",
     M "Content-Type: multipart/mixed;\r\n boundary=a\r\n\r\n--a\r\nContent-Type: "
       "multipart/alternative;"
       " boundary=b\r\n\r\n--b\r\n" UNKNOWN QP "\r\n=C3=BC\r\n--a\r\n" UNKNOWN QP
       "\r\nx\r\n--a--\r\n",
     false},
    {M "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n\r\n--b\r\n"
       "Content-Type: a/b\r\n\r\n\r\n--b--\r\n",
     M "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n" B64
       "\r\n--b\r\nContent-Type: a/b\r\n" B64 "\r\n--b--\r\n",
     false},
    {M "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\n" U
       "\r\n--b--\r\n",
     M "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n" UNKNOWN M QP
       "\r\n=C3=BC\r\n--b--\r\n",
     false},
    {M "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: x\r\n\r\n" U
       "\r\n",
     M
     "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: x\r\n" UNKNOWN
         M QP "\r\n=C3=BC\r\n",
     false},
    {M "Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: " U "\r\n", NULL, false},
    {M "Content-Type: message/rfc822\r\n\r\nSubject: " U "\r\n\r\nx\r\n", NULL, false},
    {M "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na=b \r\n--b--\r\n",
     M "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na=b \r\n--b--\r\n", false},
    {M "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" U "\r\n--b--\r\n", NULL,
     false},
    {M "Content-Type: multipart/mixed; boundary*0=b\r\n\r\n--b\r\n\r\n" U "\r\n--b--\r\n", NULL,
     false},
    {M "Content-Type: multipart/mixed; boundary=b; boundary=c\r\n\r\n--b\r\n\r\n" U "\r\n", NULL,
     false},
    {M "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n" U "\r\n--b--\r\n", NULL, false},
    /* A NUL can't stand in these texts; the other two that binary content may have can. */
    {M "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na\nb\r\n--b--\r\n", NULL,
     true},
    {M "Subject: a\rb\r\n\r\nx\r\n", NULL, true},
};

START_TEST(expected_output)
{
    const struct sample *sample = &samples[_i];
    struct span in = span_str(sample->in);
    static char out[8192];
    for (size_t step = 1; step <= in.n; step++) {
        const char *refused;
        size_t n;
        bool ok = convert(in, step, sample->binary, out, sizeof out - 1, &n, &refused);
        out[n] = '\0';
        ck_assert_int_eq(ok, sample->out != NULL);
        ck_assert_int_eq(ok, refused == NULL);
        if (ok)
            ck_assert_str_eq(out, sample->out);
    }
}
END_TEST

/* Lines of any length: 7 bits, lines of at most 76 characters where they were encoded, and the
 * same for any split. */
START_TEST(long_lines)
{
    static const char head[] = M "Content-Type: text/plain\r\n\r\n";
    static unsigned char in[20000];
    static char whole[80000], part[80000];
    srand(7);
    for (unsigned round = 0; round < 60; round++) {
        size_t n = sizeof head - 1, length, again;
        const char *refused;
        memcpy(in, head, n);
        while (n < 3000 + 250 * round) {
            in[n++] = (unsigned char)rand();
            if (rand() % 700 == 0) {
                in[n++] = '\r';
                in[n++] = '\n';
            }
        }
        ck_assert(convert(span_of(in, n), n, true, whole, sizeof whole, &length, &refused));
        for (size_t i = 0, column = 0; i < length; i++) {
            unsigned char c = (unsigned char)whole[i];
            column = c == '\n' ? 0 : column + 1;
            ck_assert(c < 0x80 && c != 0 && column <= 77);
            ck_assert(c != '\r' || whole[i + 1] == '\n');
        }
        size_t step = 1 + (size_t)rand() % 1500;
        ck_assert(convert(span_of(in, n), step, true, part, sizeof part, &again, &refused));
        ck_assert_uint_eq(again, length);
        ck_assert_mem_eq(whole, part, length);
    }
}
END_TEST

/* Deeper than it looks: copied, and refused when it has 8-bit bytes. */
START_TEST(depth)
{
    for (unsigned levels = 1; levels < 12; levels++) {
        char in[4096] = M;
        static char out[8192];
        size_t n;
        const char *refused;
        for (unsigned i = 0; i < levels; i++)
            snprintf(in + strlen(in), sizeof in - strlen(in),
                     "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", i, i);
        snprintf(in + strlen(in), sizeof in - strlen(in), "\r\n" U "\r\n");
        bool ok = convert(span_str(in), 100, false, out, sizeof out, &n, &refused);
        ck_assert_int_eq(ok, levels <= SEVEN_BIT_DEPTH);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seven_bit");
    TCase *tests = tcase_create("conversion");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, expected_output, 0, COUNT(samples));
    tcase_add_test(tests, long_lines);
    tcase_add_test(tests, depth);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
