/* Digests of certificates and keys, and what a listener negotiates. */
#include "policy/compile_internal.h"

/* ---- digests ---------------------------------------------------------------------------- */

enum { DIGITS = 64 };

/* 64 hexadecimal digits; colons between bytes, as openssl writes them, are left out. */
static void read_digest(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    char digits[DIGITS];
    size_t n = 0;
    bool good = true;
    (void)draft;
    for (size_t i = 0; i < s.n && good; i++) {
        unsigned char d = ascii_lower(s.p[i]);
        bool digit = ascii_digit(d) || (d >= 'a' && d <= 'f');
        good = digit ? n < DIGITS : d == ':' && n > 0 && n % 2 == 0 && s.p[i - 1] != ':';
        if (good && digit)
            digits[n++] = (char)d;
    }
    if (!good || n != DIGITS || s.p[s.n - 1] == ':') {
        compile_remedy(compile_error(c, at, "no SHA-256 digest"),
                       "write its 32 bytes as 64 hexadecimal digits, with or without colons");
        return;
    }
    struct rec_string r = compile_string(c, at, span_of(digits, n));
    (void)compile_append(c, at, POLICY_STRINGS, &r);
}

void read_digests(struct compiler *c, const struct place *at, const json_t *value,
                  struct policy_range *out)
{
    uint32_t first = compile_count(c, POLICY_STRINGS);
    compile_each(c, at, value, DIGITS + DIGITS / 2, read_digest, NULL);
    *out = compile_range(c, POLICY_STRINGS, first);
}

/* ---- what a listener negotiates --------------------------------------------------------- */

static void read_legacy(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    struct rec_flow *f = draft;
    (void)value_bool(c, at, value, &f->tls_legacy);
}

static void read_group(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    static const char *const names[POLICY_GROUP_COUNT] = {
        [POLICY_X25519] = "X25519", [POLICY_P256] = "P-256", [POLICY_P384] = "P-384"};
    struct rec_flow *f = draft;
    for (unsigned i = 0; i < POLICY_GROUP_COUNT; i++) {
        if (!span_eq(s, span_str(names[i])))
            continue;
        f->tls_groups |= 1u << i;
        return;
    }
    compile_remedy(compile_error(c, at, "no group that mgid has"),
                   "give \"X25519\", \"P-256\" or \"P-384\"");
}

static void read_groups(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    compile_each(c, at, value, LIMIT_NAME, read_group, draft);
}

static const struct key flow_tls_table[] = {
    {"legacy", KEY_OPTIONAL, read_legacy},
    {"groups", KEY_OPTIONAL, read_groups},
};
KEY_SET(flow_tls_keys, "flow_tls", flow_tls_table);

void read_flow_tls(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    compile_object(c, at, value, &flow_tls_keys, draft);
}
