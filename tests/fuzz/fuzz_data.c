/* Message data: any split gives the same content and end; what is stuffed again reads back. */
#include "engine/smtp/data.h"
#include "tests/fuzz/fuzz.h"

/* Content into log, then the defects, and how much came behind the end. */
static bool receive(struct span in, bool normalise, uint32_t seed, struct fuzz_log *log,
                    uint8_t *defects)
{
    struct smtp_data d;
    struct span body;
    bool ended = false;
    size_t behind = 0;
    smtp_data_begin(&d, 5000);
    if (normalise)
        smtp_data_normalise(&d);
    while (in.n > 0 && !ended) {
        size_t n = seed ? fuzz_cut(&seed, in.n) : in.n;
        unsigned char *copy = fuzz_copy(span_head(in, n));
        struct span part = span_of(copy, n);
        enum smtp_data_step step;
        while ((step = smtp_data_next(&d, &part, &body)) == SMTP_DATA_BODY) {
            FUZZ_CHECK(body.n > 0);
            fuzz_log_put(log, body);
        }
        ended = step == SMTP_DATA_END;
        behind = part.n;
        free(copy);
        in = span_from(in, n);
    }
    *defects = d.defects;
    fuzz_log_number(log, ended ? behind + in.n + 1 : 0);
    fuzz_log_number(log, d.defects);
    fuzz_log_number(log, d.size);
    return ended;
}

/* Content without the three numbers. */
static struct span content(const struct fuzz_log *log)
{
    return span_of(log->p, log->n - 3 * sizeof(uint64_t));
}

static void send_again(struct span text)
{
    size_t capacity = 3 * text.n + 16;
    struct smtp_out out = {.p = malloc(capacity), .capacity = capacity};
    struct smtp_stuffer stuffer;
    struct fuzz_log back = {0};
    struct span in = text;
    uint8_t defects;
    smtp_stuff_begin(&stuffer);
    FUZZ_CHECK(smtp_stuff(&stuffer, &in, &out));
    smtp_out_put(&out, smtp_stuff_end(&stuffer));
    FUZZ_CHECK(receive(span_of(out.p, out.n), false, 0, &back, &defects));
    struct span got = content(&back);
    FUZZ_CHECK(got.n >= text.n && span_eq(span_head(got, text.n), text));
    FUZZ_CHECK(got.n - text.n <= 2); /* the last line's end, where it had none */
    free(out.p);
    free(back.p);
}

/* In one of the modes of a receiver; what it has mended a strict one takes. */
static void check(struct span in, bool normalise, uint32_t seed)
{
    struct fuzz_log whole = {0}, cut = {0};
    uint8_t defects, other;
    bool ended = receive(in, normalise, 0, &whole, &defects);
    FUZZ_CHECK(receive(in, normalise, seed, &cut, &other) == ended && fuzz_log_same(&whole, &cut));
    FUZZ_CHECK(!normalise || !(defects & SMTP_DEFECT_BARE_LF));
    if (ended && !(defects & (SMTP_DEFECTS_SMUGGLING | SMTP_DEFECT_TOO_BIG)))
        send_again(content(&whole));
    free(whole.p);
    free(cut.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    uint32_t seed = fuzz_byte(&in) | 1;
    check(in, false, seed);
    check(in, true, seed);
    return 0;
}
