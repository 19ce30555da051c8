/* Labels, networks and texts: the comparisons that rules are made of. */
#include "policy/match.h"
#include "policy/format.h"
#include "status.h"

/* ---- addresses and domains -------------------------------------------------------------- */

static struct span without_dot(struct span domain)
{
    if (domain.n > 0 && domain.p[domain.n - 1] == '.')
        domain.n--;
    return domain;
}

struct match_address match_split(struct span address)
{
    struct match_address a = {.local = address, .domain = SPAN_EMPTY};
    /* The last "@": a quoted local part may hold others. */
    for (size_t i = address.n; i > 0; i--)
        if (address.p[i - 1] == '@') {
            a.local = span_head(address, i - 1);
            a.domain = without_dot(span_from(address, i));
            break;
        }
    a.null_sender = address.n == 0;
    return a;
}

bool match_below(struct span name, struct span domain)
{
    return name.n > domain.n + 1 && name.p[name.n - domain.n - 1] == '.' &&
           span_iends(name, domain);
}

bool policy_domain_matches(struct span pattern, struct span domain)
{
    struct span name = without_dot(domain);
    if (pattern.n > 2 && pattern.p[0] == '*' && pattern.p[1] == '.')
        return match_below(name, without_dot(span_from(pattern, 2)));
    return pattern.n > 0 && span_ieq(name, without_dot(pattern));
}

static bool pattern_matches(const struct policy *p, const struct rec_pattern *r,
                            const struct match_address *a)
{
    if (r->local_kind == PATTERN_NULL_SENDER)
        return a->null_sender;
    struct span domain = format_string(p, r->domain);
    if (r->below ? !match_below(a->domain, domain) : !span_ieq(a->domain, domain))
        return false;
    return r->local_kind == PATTERN_ANY || span_ieq(a->local, format_string(p, r->local));
}

bool match_patterns(const struct policy *p, struct policy_range patterns,
                    const struct match_address *address)
{
    const struct rec_pattern *r = format_PATTERNS(p) + patterns.first;
    for (uint32_t i = 0; i < patterns.count; i++)
        if (pattern_matches(p, r + i, address))
            return true;
    return false;
}

/* ---- networks --------------------------------------------------------------------------- */

static struct policy_address unmapped(const struct policy_address *a)
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    if (a->family != 6 || memcmp(a->bytes, prefix, sizeof prefix) != 0)
        return *a;
    struct policy_address v4 = {.family = 4};
    memcpy(v4.bytes, a->bytes + sizeof prefix, 4);
    return v4;
}

static bool in_network(const struct rec_network *n, const struct policy_address *a)
{
    if (a->family != n->family)
        return false;
    unsigned bytes = n->bits / 8;
    unsigned rest = n->bits % 8;
    if (memcmp(a->bytes, n->address, bytes) != 0)
        return false;
    return rest == 0 || ((a->bytes[bytes] ^ n->address[bytes]) >> (8 - rest)) == 0;
}

bool match_networks(const struct policy *p, struct policy_range networks,
                    const struct policy_address *address)
{
    struct policy_address a = unmapped(address);
    for (uint32_t i = 0; i < networks.count; i++)
        if (in_network(format_NETWORKS(p) + networks.first + i, &a))
            return true;
    return false;
}

/* ---- texts ------------------------------------------------------------------------------ */

/* Subjects are searched in windows of this size, folded to lower case on the stack. A window
 * begins LIMIT_POLICY_NEEDLE - 1 bytes before the end of the one before, so that no text falls
 * between two; memmem is linear, so the whole is. */
enum { WINDOW = 4096 };

static bool contains_exactly(struct span value, struct span text, struct span *matched)
{
    const unsigned char *at = value.n > 0 ? memmem(value.p, value.n, text.p, text.n) : NULL;
    if (at == NULL)
        return false;
    *matched = span_of(at, text.n);
    return true;
}

static bool contains_folded(const struct policy *p, struct policy_range texts, struct span value,
                            struct span *matched)
{
    unsigned char window[WINDOW];
    size_t start = 0;
    for (;;) {
        struct span part = span_head(span_from(value, start), WINDOW);
        for (size_t i = 0; i < part.n; i++)
            window[i] = ascii_lower(part.p[i]);
        for (uint32_t i = 0; i < texts.count; i++) {
            struct span text = format_string(p, format_TEXTS(p)[texts.first + i]);
            const unsigned char *at = memmem(window, part.n, text.p, text.n);
            if (at != NULL) {
                *matched = span_of(part.p + (at - window), text.n);
                return true;
            }
        }
        if (part.n == value.n - start)
            return false;
        start += WINDOW - (LIMIT_POLICY_NEEDLE - 1);
    }
}

/* Where in value the text would have to stand, or an empty span of the wrong length. */
static struct span placed(enum policy_condition how, struct span value, size_t n)
{
    switch (how) {
    case POLICY_IF_SUBJECT_EQUALS:
        return value;
    case POLICY_IF_SUBJECT_STARTS:
        return span_head(value, n);
    default:
        return span_from(value, value.n > n ? value.n - n : 0);
    }
}

bool match_texts(const struct policy *p, struct policy_range texts, enum policy_condition how,
                 bool case_sensitive, struct span value, struct span *matched)
{
    if (how == POLICY_IF_SUBJECT_CONTAINS && !case_sensitive)
        return contains_folded(p, texts, value, matched);
    for (uint32_t i = 0; i < texts.count; i++) {
        struct span text = format_string(p, format_TEXTS(p)[texts.first + i]);
        if (how == POLICY_IF_SUBJECT_CONTAINS) {
            if (contains_exactly(value, text, matched))
                return true;
            continue;
        }
        *matched = placed(how, value, text.n);
        if (case_sensitive ? span_eq(*matched, text) : span_ieq(*matched, text))
            return true;
    }
    return false;
}
