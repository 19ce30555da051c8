/* Composing and reading of notifications for tests. */
#include "tests/unit/dsn_rig.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

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

struct dsn rig_dsn(void)
{
    static const uint8_t languages[] = {LANGUAGE_EN};
    return (struct dsn){.hostname = SPAN_LIT("mx1.example.ch"),
                        .from = SPAN_LIT("postmaster@example.ch"),
                        .queue_id = SPAN_LIT("4Xy7-1"),
                        .arrival = 1795528000,
                        .sender = SPAN_LIT("boss@example.ch"),
                        .now = 1795528157,
                        .seed = 0x0123456789abcdef,
                        .languages = languages,
                        .language_count = 1,
                        .recipients = recipients,
                        .recipient_count = 2,
                        .content = SPAN_LIT("From: boss@example.ch\r\nSubject: a\r\n\tb\r\n"
                                            "\r\nBody\r\n")};
}

size_t rig_check_lines(struct span s, bool eight_bit)
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
            ck_assert(c == '\t' || (c >= ' ' && c != 0x7f && (c < 0x80 || eight_bit)));
            column++;
        }
    }
    ck_assert_uint_le(longest, LIMIT_TEXT_LINE);
    return longest;
}

struct dsn_output rig_compose(const struct dsn *in)
{
    static unsigned char buffer[LIMIT_DSN + 1];
    struct dsn_output out = {.p = buffer, .capacity = sizeof buffer - 1};
    ck_assert(dsn_compose(in, &out) && !out.overflow);
    buffer[out.n] = '\0';
    (void)rig_check_lines(span_of(out.p, out.n), out.eight_bit);
    const char *path = getenv("MGID_DSN_SAMPLE");
    FILE *file = path != NULL ? fopen(path, "wb") : NULL;
    if (file != NULL) {
        ck_assert_uint_eq(fwrite(out.p, 1, out.n, file), out.n);
        ck_assert_int_eq(fclose(file), 0);
    }
    return out;
}

static unsigned hex(char c)
{
    ck_assert((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
    return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

const char *rig_prose(const struct dsn_output *out)
{
    static char text[LIMIT_DSN];
    const char *part = strstr((const char *)out->p, "Content-Type: text/plain; charset=utf-8\r\n");
    ck_assert_ptr_nonnull(part);
    const char *p = strstr(part, "\r\n\r\n");
    bool raw = strstr(part, "Content-Transfer-Encoding: 8bit") != NULL &&
               strstr(part, "Content-Transfer-Encoding: 8bit") < p;
    const char *end = strstr(p + 4, "\r\n--=_");
    size_t n = 0;
    ck_assert_ptr_nonnull(end);
    for (p += 4; p < end; p++) {
        bool space = *p == ' ' || *p == '\r' || *p == '\n';
        if (*p == '=' && !raw && p[1] == '\r') {
            p += 2;
        } else if (*p == '=' && !raw) {
            text[n++] = (char)(16 * hex(p[1]) + hex(p[2]));
            p += 2;
        } else if (!space || (n > 0 && text[n - 1] != ' ')) {
            text[n++] = space ? ' ' : *p;
        }
    }
    text[n] = '\0';
    return text;
}
