/* Replies: any split is read alike, and what is kept of them is printable. */
#include "engine/smtp/reply.h"
#include "tests/fuzz/fuzz.h"

static void run(struct span in, uint32_t seed, struct fuzz_log *log)
{
    struct smtp_reply r;
    enum smtp_reply_step step = SMTP_REPLY_MORE;
    smtp_reply_begin(&r);
    while (in.n > 0 && step != SMTP_REPLY_BAD) {
        size_t n = seed ? fuzz_cut(&seed, in.n) : in.n;
        unsigned char *copy = fuzz_copy(span_head(in, n));
        struct span part = span_of(copy, n);
        do {
            step = smtp_reply_next(&r, &part);
            if (step != SMTP_REPLY_MORE)
                fuzz_log_number(log, (uint64_t)step * 1000 + (step == SMTP_REPLY_BAD ? 0 : r.code));
            if (step == SMTP_REPLY_LINE || step == SMTP_REPLY_DONE)
                fuzz_log_put(log, smtp_reply_line(&r));
            if (step == SMTP_REPLY_DONE) {
                struct span text = smtp_reply_text(&r);
                for (size_t i = 0; i < text.n; i++)
                    FUZZ_CHECK(text.p[i] >= 0x20 && text.p[i] != 0x7f);
                fuzz_log_put(log, text);
                smtp_reply_begin(&r);
            }
        } while (step == SMTP_REPLY_LINE || step == SMTP_REPLY_DONE);
        free(copy);
        in = span_from(in, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct fuzz_log whole = {0}, cut = {0};
    uint32_t seed = fuzz_byte(&in) | 1;
    run(in, 0, &whole);
    run(in, seed, &cut);
    FUZZ_CHECK(fuzz_log_same(&whole, &cut));
    free(whole.p);
    free(cut.p);
    return 0;
}
