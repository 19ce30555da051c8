/*
 * Images: a worker reads what the master hands it. A good image, changed in places that the input
 * names and with its checksum made right again, is refused or can be used; it is never misread.
 */
#include "policy/compile.h"
#include "policy/format.h"
#include "policy/policy.h"
#include "tests/fuzz/fuzz.h"

static const char text[] =
    "{\"version\":1,\"hostname\":\"mx.example.ch\",\"spool\":\"/s\","
    "\"identities\":{\"server\":{\"certificate\":\"/c\",\"key\":\"/k\"}},"
    "\"trust\":{\"public\":{\"system\":true}},"
    "\"peers\":{\"exchange\":{\"addresses\":[\"10.1.0.0/24\",\"2001:db8::/32\"]},"
    "\"platform\":{\"tls\":{\"trust\":\"public\",\"names\":[\"*.incamail.com\"]}}},"
    "\"routes\":{\"a\":{\"mx\":\"im.post.ch\",\"tls\":{\"require\":true,\"trust\":\"public\"}},"
    "\"b\":{\"hosts\":[\"x.example.ch:25\",\"192.0.2.1\"]},\"c\":{\"mx\":\"recipient\"}},"
    "\"flows\":{\"out\":{\"listen\":\"10.0.0.2:25\",\"identity\":\"server\","
    "\"accept_from\":[\"exchange\"],\"rules\":["
    "{\"name\":\"s\",\"when\":{\"recipient\":[\"*.incamail.ch\",\"a@b.ch\"]},\"route\":\"a\"},"
    "{\"name\":\"t\",\"when\":{\"any\":[{\"subject\":{\"contains\":[\"<im>\"]}},"
    "{\"not\":{\"client\":\"10.0.0.0/8\"}}],\"sender\":\"*@hr.example.ch\"},\"route\":\"b\"},"
    "{\"name\":\"p\",\"when\":{\"from_domain\":\"im.post.ch\",\"not\":{\"peer\":\"platform\"}},"
    "\"reject\":\"550 5.7.1 no\"},{\"name\":\"r\",\"route\":\"c\"}]}}}";

static void use(const struct policy *p)
{
    struct span authors[] = {SPAN_LIT("im.post.ch")};
    struct policy_facts facts = {.sender = SPAN_LIT("a@hr.example.ch"),
                                 .recipient = SPAN_LIT("b@c.incamail.ch"),
                                 .have_headers = true,
                                 .subject = SPAN_LIT("re: <im> x"),
                                 .from_domains = authors,
                                 .from_domain_count = 1};
    for (uint32_t i = 0; i < policy_count(p, POLICY_FLOWS); i++) {
        struct policy_decision d = policy_decide(p, i, &facts, NULL);
        (void)policy_rule(p, d.rule);
        (void)policy_recipient_allowed(p, i, facts.recipient);
    }
    for (uint32_t i = 0; i < policy_count(p, POLICY_ROUTES); i++)
        (void)policy_route(p, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct policy_compilation good;
    struct span in = span_of(data, size);
    char reason[LIMIT_REASON] = "";
    struct rec_header header;
    struct policy p;
    void *copy = NULL;
    if (!good.image)
        FUZZ_CHECK(policy_compile(SPAN_LIT(text), &good));
    FUZZ_CHECK(posix_memalign(&copy, 64, good.image_size) == 0);
    unsigned char *image = copy;
    memcpy(image, good.image, good.image_size);
    while (in.n >= 3) {
        size_t at = (fuzz_byte(&in) << 8 | fuzz_byte(&in)) % good.image_size;
        image[at] = (unsigned char)fuzz_byte(&in);
    }
    memcpy(&header, image, sizeof header);
    header.checksum = format_checksum(span_of(image, good.image_size));
    memcpy(image, &header, sizeof header);
    if (policy_open(&p, span_of(image, good.image_size), reason))
        use(&p);
    else
        FUZZ_CHECK(reason[0] != '\0');
    free(copy);
    return 0;
}
