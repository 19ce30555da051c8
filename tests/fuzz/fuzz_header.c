/* Header sections: any split is read alike; every captured value decodes to valid UTF-8. */
#include "engine/mime/header.h"
#include "tests/fuzz/fuzz.h"

enum { WANTS = 4 };

static bool valid_utf8(struct span s)
{
    for (size_t i = 0; i < s.n;) {
        unsigned char c = s.p[i];
        size_t n = c < 0x80                ? 1
                   : c >= 0xf0 && c < 0xf5 ? 4
                   : c >= 0xe0 && c < 0xf0 ? 3
                   : c >= 0xc2 && c < 0xe0 ? 2
                                           : 0;
        if (n == 0 || n > s.n - i)
            return false;
        for (size_t k = 1; k < n; k++)
            if ((s.p[i + k] & 0xc0) != 0x80)
                return false;
        i += n;
    }
    return true;
}

static void check_value(struct span value)
{
    static unsigned char out[LIMIT_HEADER_DECODED];
    unsigned char domain[LIMIT_DOMAIN];
    struct span list = value, one;
    bool truncated = false;
    size_t n = header_decode(value, out, sizeof out, &truncated);
    FUZZ_CHECK(n <= sizeof out && !truncated && valid_utf8(span_of(out, n)));
    while (header_next_value(&list, &one)) {
        size_t length;
        while (header_next_domain(&one, domain, &length))
            FUZZ_CHECK(length <= sizeof domain);
    }
    FUZZ_CHECK(header_mailbox_domain(value, domain) <= sizeof domain);
}

static void run(struct span in, uint32_t seed, struct fuzz_log *log)
{
    static const struct header_want wants[WANTS] = {
        {.name = {(const unsigned char *)"Subject", 7}, .mode = HEADER_JOIN},
        {.name = {(const unsigned char *)"From", 4}, .mode = HEADER_JOIN},
        {.name = {(const unsigned char *)"To", 2}, .mode = HEADER_FIRST},
        {.name = {(const unsigned char *)"Received", 8},
         .mode = HEADER_COUNT,
         .by = {(const unsigned char *)"mx.example", 10}},
    };
    unsigned char buffer[2000];
    struct header_scanner s;
    size_t taken = 0;
    header_begin(&s, wants, WANTS, buffer, sizeof buffer);
    while (in.n > 0 && !s.done) {
        size_t n = seed ? fuzz_cut(&seed, in.n) : in.n;
        unsigned char *copy = fuzz_copy(span_head(in, n));
        size_t used = header_feed(&s, span_of(copy, n));
        free(copy);
        FUZZ_CHECK(used <= n && (used == n || s.done));
        taken += used;
        in = span_from(in, n);
    }
    header_finish(&s);
    fuzz_log_number(log, taken);
    fuzz_log_number(log, (uint64_t)(s.too_large << 2 | s.malformed << 1 | s.bare));
    for (unsigned i = 0; i < WANTS; i++) {
        fuzz_log_number(log, (uint64_t)s.fields[i].count << 20 | (uint64_t)s.fields[i].hits << 1 |
                                 s.fields[i].truncated);
        fuzz_log_put(log, header_value(&s, i));
        check_value(header_value(&s, i));
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
    if (in.n <= LIMIT_HEADER_CAPTURE)
        check_value(in);
    free(whole.p);
    free(cut.p);
    return 0;
}
