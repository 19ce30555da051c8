/* Policies: whatever the text, diagnostics or an image that opens; never both, never neither. */
#include "policy/compile.h"
#include "policy/policy.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char report[LIMIT_REPORT];
    struct policy_compilation c;
    char reason[LIMIT_REASON] = "";
    struct policy p;
    bool ok = policy_compile(span_of(data, size), &c);
    FUZZ_CHECK(ok == (c.image != NULL) && ok == (c.errors == 0));
    FUZZ_CHECK(c.count <= LIMIT_DIAGNOSTICS);
    if (ok)
        FUZZ_CHECK(policy_open(&p, span_of(c.image, c.image_size), reason));
    FUZZ_CHECK(policy_report_text(&c, SPAN_LIT("fuzz"), report, sizeof report) < sizeof report);
    policy_compilation_free(&c);
    return 0;
}
