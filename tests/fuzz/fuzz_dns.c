/* DNS responses, as an answer of the resolver takes them. */
#include "tests/fuzz/fuzz.h"
#include "workers/resolver/answer.h"

static uint32_t no_chance(void *context)
{
    (void)context;
    return 7;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct answer a;
    static struct answer_result result;
    static const struct answer_random random = {.next = no_chance};
    struct answer_query query;
    struct span in = span_of(data, size);
    unsigned options = fuzz_byte(&in);
    answer_begin(&a, options & 1 ? LOOKUP_MX : LOOKUP_HOST, SPAN_LIT("example.org"),
                 options & 4 ? 25 : 0);
    while (answer_next_query(&a, &query)) {
        size_t n = fuzz_byte(&in) * 4u;
        struct span part = span_head(in, n);
        unsigned char *copy = fuzz_copy(part);
        in = span_from(in, part.n);
        if (n == 0)
            answer_fail(&a, &query, ANSWER_TIME_OUT, 0, NULL);
        else
            answer_take(&a, &query, span_of(copy, part.n), options & 2, &random);
        free(copy);
    }
    answer_write(&a, &result);
    FUZZ_CHECK(result.hosts_length <= sizeof result.hosts);
    return 0;
}
