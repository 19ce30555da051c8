/* Addresses: what is accepted has a canonical form that is accepted, equal, and its own canonical.
 */
#include "engine/smtp/address.h"
#include "tests/fuzz/fuzz.h"

static void check_canonical(const struct smtp_address *a)
{
    unsigned char form[SMTP_ADDRESS_CANONICAL], again[SMTP_ADDRESS_CANONICAL];
    struct smtp_address b;
    size_t n = smtp_address_canonical(a, form);
    FUZZ_CHECK(n <= sizeof form);
    FUZZ_CHECK(!memchr(form, '\r', n) && !memchr(form, '\n', n) && !memchr(form, 0, n));
    if (a->kind == SMTP_ADDRESS_POSTMASTER)
        return; /* has no domain: not an address of its own */
    FUZZ_CHECK(smtp_address_parse(span_of(form, n), &b) == SMTP_ADDRESS_OK);
    FUZZ_CHECK(smtp_address_equal(a, &b));
    FUZZ_CHECK(span_eq(span_of(again, smtp_address_canonical(&b, again)), span_of(form, n)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct smtp_address a;
    if (smtp_address_parse(in, &a) == SMTP_ADDRESS_OK)
        check_canonical(&a);
    if (smtp_path_parse(&in, &a) == SMTP_ADDRESS_OK) {
        FUZZ_CHECK(in.p > data && in.p[-1] == '>');
        check_canonical(&a);
    }
    (void)smtp_domain_valid(span_of(data, size));
    return 0;
}
