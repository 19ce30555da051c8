/* ORCPT: what is decoded is sound, and its escaped form decodes to the same again. */
#include "engine/mime/utf8.h"
#include "engine/mime/xtext.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orcpt o, again;
    char value[8 + 10 * LIMIT_ORCPT];
    unsigned char *copy = fuzz_copy(span_of(data, size));
    bool ok = orcpt_parse(span_of(copy, size), &o);
    if (ok) {
        struct span address = span_of(o.address, o.n);
        FUZZ_CHECK(o.n > 0 && o.n <= size && utf8_valid(address));
        for (size_t i = 0; i < o.n; i++)
            FUZZ_CHECK(o.address[i] >= ' ' && o.address[i] != 0x7f);
        memcpy(value, "utf-8;", 6);
        size_t n = 6 + utf8_address_escape(address, value + 6, sizeof value - 6);
        for (size_t i = 0; i < n; i++)
            FUZZ_CHECK(value[i] > ' ' && value[i] < 0x7f);
        if (n <= LIMIT_ORCPT) {
            FUZZ_CHECK(orcpt_parse(span_of(value, n), &again));
            FUZZ_CHECK(span_eq(span_of(again.address, again.n), address));
        }
    }
    free(copy);
    return 0;
}
