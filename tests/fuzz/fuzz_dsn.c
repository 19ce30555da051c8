/* Notifications made of hostile texts: whole lines, within their bounds. */
#include "engine/mime/dsn.h"
#include "tests/fuzz/fuzz.h"

static struct span take(struct span *in)
{
    struct span s = span_head(*in, fuzz_byte(in));
    s = span_head(*in, s.n);
    *in = span_from(*in, s.n);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char text[LIMIT_DSN];
    struct span in = span_of(data, size);
    struct dsn_output out = {.p = text, .capacity = sizeof text};
    struct dsn_recipient list[3] = {0};
    for (unsigned i = 0; i < 3; i++) {
        list[i].action = fuzz_byte(&in) % DSN_ACTION_COUNT;
        list[i].orcpt = take(&in);
        list[i].address = take(&in);
        list[i].original = take(&in);
        list[i].status = take(&in);
        list[i].diagnostic = take(&in);
        list[i].remote_mta = take(&in);
        list[i].remote_reply = fuzz_byte(&in) & 1;
    }
    static const uint8_t languages[] = {LANGUAGE_DE, LANGUAGE_FR, LANGUAGE_IT, LANGUAGE_EN};
    unsigned flags = fuzz_byte(&in);
    struct dsn d = {.hostname = SPAN_LIT("mx.example.ch"),
                    .queue_id = SPAN_LIT("0123456789ABCDEF"),
                    .arrival = 1800000000,
                    .sender = SPAN_LIT("a@example.ch"),
                    .now = 1800000100,
                    .seed = 5,
                    .recipients = list,
                    .recipient_count = 3,
                    .from = SPAN_LIT("postmaster@example.ch"),
                    .envid = take(&in),
                    .languages = languages,
                    .language_count = 1 + flags % LANGUAGE_COUNT,
                    .utf8 = flags & 64,
                    .whole = flags & 128,
                    .content = in};
    FUZZ_CHECK(dsn_compose(&d, &out));
    for (size_t i = 0, line = 0; i < out.n; i++) {
        if (text[i] == '\n') {
            FUZZ_CHECK(i > 0 && text[i - 1] == '\r' && i - line <= LIMIT_TEXT_LINE + 1);
            line = i + 1;
        } else if (text[i] == '\r') {
            FUZZ_CHECK(i + 1 < out.n && text[i + 1] == '\n');
        }
    }
    return 0;
}
