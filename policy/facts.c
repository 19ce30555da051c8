/* Out of a scanned header section: what rules compare. */
#include "policy/facts.h"
#include "status.h"

void facts_begin(struct header_want wants[FACTS_WANTS])
{
    wants[FACTS_SUBJECT] = (struct header_want){.name = SPAN_LIT("Subject"), .mode = HEADER_JOIN};
    wants[FACTS_FROM] = (struct header_want){.name = SPAN_LIT("From"), .mode = HEADER_JOIN};
}

unsigned facts_add_fields(const struct policy *p, struct header_want *wants, unsigned count,
                          struct facts_fields *fields)
{
    for (uint32_t i = 0; i < policy_count(p, POLICY_FIELDS); i++) {
        struct span name = policy_field(p, i);
        unsigned n = 0;
        while (n < count && !span_ieq(wants[n].name, name))
            n++;
        BUG_ON(n == LIMIT_HEADER_WANTS);
        if (n == count)
            wants[count++] = (struct header_want){.name = name};
        wants[n].mode = HEADER_JOIN;
        fields->want[i] = (uint8_t)n;
    }
    return count;
}

static struct span decode(const struct header_scanner *s, unsigned want, struct facts *out,
                          size_t *used)
{
    unsigned char *at = out->text + *used;
    size_t n = header_decode(header_value(s, want), at, sizeof out->text - *used, NULL);
    *used += n;
    return span_of(at, n);
}

/* The domain of every author of every From field. False: more than rules could look at. */
static bool find_authors(const struct header_scanner *s, struct facts *out)
{
    struct span fields = header_value(s, FACTS_FROM);
    struct span list;
    out->from_domain_count = 0;
    while (header_next_value(&fields, &list)) {
        unsigned char domain[LIMIT_DOMAIN];
        size_t n;
        while (header_next_domain(&list, domain, &n)) {
            uint32_t i = out->from_domain_count;
            if (n == 0)
                continue;
            if (i == LIMIT_AUTHORS)
                return false;
            memcpy(out->domains[i], domain, n);
            out->from_domains[i] = span_of(out->domains[i], n);
            out->from_domain_count++;
        }
    }
    return true;
}

enum facts_fault facts_read(const struct policy *p, const struct header_scanner *s,
                            const struct facts_fields *fields, struct facts *out)
{
    size_t used = 0;
    uint32_t count = policy_count(p, POLICY_FIELDS);
    bool cut = s->fields[FACTS_SUBJECT].truncated || s->fields[FACTS_FROM].truncated;
    for (uint32_t i = 0; i < count; i++)
        cut = cut || s->fields[fields->want[i]].truncated;
    if (cut)
        return FACTS_CUT;
    if (!find_authors(s, out))
        return FACTS_AUTHORS;
    out->subject = decode(s, FACTS_SUBJECT, out, &used);
    for (uint32_t i = 0; i < count; i++)
        out->fields[i] = decode(s, fields->want[i], out, &used);
    return FACTS_OK;
}

const char *facts_fault_reply(enum facts_fault fault)
{
    return fault == FACTS_CUT ? "552 5.3.4 A header field that rules look at exceeds the size limit"
                              : "550 5.6.0 Too many authors in From";
}

void facts_tell(const struct facts *facts, struct policy_facts *f)
{
    f->have_headers = true;
    f->subject = facts->subject;
    f->fields = facts->fields;
    f->from_domains = facts->from_domains;
    f->from_domain_count = facts->from_domain_count;
}
