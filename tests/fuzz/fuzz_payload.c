/* What a worker wants signed. Only the two forms of TLS pass, and both begin as they must. */
#include "tests/fuzz/fuzz.h"
#include "workers/keeper/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    const char *why = NULL;
    unsigned purpose = fuzz_byte(&in) & 1 ? TLS_AS_SERVER : TLS_AS_CLIENT;
    enum payload_kind kind = payload_classify(purpose, in, &why);
    FUZZ_CHECK(why != NULL && (kind == PAYLOAD_FOREIGN) == (why[0] != '\0'));
    if (kind == PAYLOAD_TLS13)
        FUZZ_CHECK(in.n > 64 && in.p[0] == ' ' && in.p[63] == ' ');
    return 0;
}
