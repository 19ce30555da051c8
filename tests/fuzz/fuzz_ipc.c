/* Messages between roles: what decodes encodes to the same packet, and nothing else decodes. */
#include "engine/ipc/ipc.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char again[LIMIT_MESSAGE];
    struct span in = span_of(data, size);
    struct ipc_message m;
    unsigned roles = fuzz_byte(&in);
    enum role from = (enum role)(roles % 16 % ROLE_COUNT);
    enum role to = (enum role)(roles / 16 % ROLE_COUNT);
    if (ipc_decode(in, from, to, &m) != IPC_OK)
        return 0;
    FUZZ_CHECK(m.kind > MSG_NONE && m.kind < MSG_KIND_COUNT);
    FUZZ_CHECK(span_eq(span_of(again, ipc_encode(&m, again, sizeof again)), in));
    return 0;
}
