/* Assembling the answer of a look-up: MX order, implicit and null MX, addresses, the verdict. */
#include "workers/resolver/answer.h"
#include "tlsa.h"
#include <arpa/inet.h>
#include <stdio.h>

static const char *const family_names[ANSWER_FAMILIES] = {"AAAA", "A"};
static const enum wire_type family_types[ANSWER_FAMILIES] = {WIRE_AAAA, WIRE_A};

/* ---- the name that was asked for -------------------------------------------------------- */

static bool is_failure(const struct answer_part *part)
{
    return part->state >= ANSWER_FAILED;
}

static void set_literal(struct answer *a, enum answer_family family, const void *octets)
{
    struct answer_host *host = &a->hosts[0];
    a->literal = true;
    a->host_count = 1;
    host->counts[family] = 1;
    if (family == ANSWER_IPV6)
        memcpy(host->v6[0], octets, sizeof host->v6[0]);
    else
        memcpy(host->v4[0], octets, sizeof host->v4[0]);
}

/* "192.0.2.1", "2001:db8::1", "[192.0.2.1]", "[IPv6:2001:db8::1]". */
static bool take_literal(struct answer *a, struct span name)
{
    const struct span tag = SPAN_LIT("IPv6:");
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    bool brackets = name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';
    if (brackets)
        name = span_of(name.p + 1, name.n - 2);
    if (brackets && span_istarts(name, tag))
        name = span_from(name, tag.n);
    if (name.n >= sizeof text || memchr(name.p, '\0', name.n) != NULL)
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1)
        set_literal(a, ANSWER_IPV4, &v4);
    else if (inet_pton(AF_INET6, text, &v6) == 1)
        set_literal(a, ANSWER_IPV6, &v6);
    else
        return false;
    return true;
}

/* Labels of 1 to 63 letters, digits, "-", "_", in all at most 253 (255 on the wire). */
static bool take_name(struct answer *a, struct span name)
{
    size_t label = 0;
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > LIMIT_DOMAIN - 2)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = ascii_lower(name.p[i]);
        if (c == '.' ? label == 0 : ++label > 63)
            return false;
        if (c == '.')
            label = 0;
        else if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '-' && c != '_')
            return false;
        a->name[i] = (char)c;
    }
    a->name[name.n] = '\0';
    return label > 0;
}

static void add_self(struct answer *a)
{
    a->host_count = 1;
    memcpy(a->hosts[0].name, a->name, sizeof a->name);
}

void answer_begin(struct answer *a, enum lookup_kind kind, struct span name, uint16_t tlsa_port)
{
    BUG_ON(kind != LOOKUP_HOST && kind != LOOKUP_MX);
    memset(a, 0, sizeof *a);
    a->kind = kind;
    a->tlsa_port = tlsa_port;
    if (take_literal(a, name))
        return;
    a->bad_name = !take_name(a, name);
    if (!a->bad_name && kind == LOOKUP_HOST)
        add_self(a);
}

/* ---- queries and their outcomes --------------------------------------------------------- */

static bool host_secure(const struct answer *a, const struct answer_host *host)
{
    bool secure = !a->literal && (a->kind == LOOKUP_HOST || a->mx.secure);
    for (enum answer_family f = 0; f < ANSWER_FAMILIES; f++)
        if (!is_failure(&host->parts[f]))
            secure = secure && host->parts[f].secure;
    return secure;
}

/* RFC 7672 2.2.2: the name that CNAMEs led to comes first, if all of the way was validated; then
 * the host's own. Where its addresses are not, only an alias may still have TLSA records of its
 * own; and hosts of an MX set that is not validated may be anybody's. NULL: no further one. */
static const char *tlsa_base(const struct answer *a, const struct answer_host *host,
                             unsigned attempt)
{
    bool secure = host_secure(a, host);
    if (a->tlsa_port == 0 || a->literal || (a->kind == LOOKUP_MX && !a->mx.secure))
        return NULL;
    if (host->counts[ANSWER_IPV4] + host->counts[ANSWER_IPV6] == 0)
        return NULL;
    if (secure && host->aliased && host->expanded[0] != '\0')
        return attempt == 0 ? host->expanded : attempt == 1 ? host->name : NULL;
    return attempt == 0 && (secure || host->aliased) ? host->name : NULL;
}

static bool settled(const struct answer_part *part)
{
    return part->state != ANSWER_UNASKED && part->state != ANSWER_ASKED;
}

static bool next_tlsa(const struct answer *a, unsigned h, struct answer_host *host,
                      struct answer_query *query)
{
    struct answer_tlsa *t = &host->tlsa;
    const char *base = tlsa_base(a, host, t->attempt);
    if (t->part.state != ANSWER_UNASKED || base == NULL || !settled(&host->parts[ANSWER_IPV4]) ||
        !settled(&host->parts[ANSWER_IPV6]))
        return false;
    (void)snprintf(t->base, sizeof t->base, "%s", base);
    int n = snprintf(t->query, sizeof t->query, "_%u._tcp.%s", a->tlsa_port, base);
    if (n > LIMIT_DOMAIN - 2) { /* no such name can exist */
        t->part.state = ANSWER_NO_NAME;
        return false;
    }
    t->part.state = ANSWER_ASKED;
    *query = (struct answer_query){.host = h, .type = WIRE_TLSA, .name = t->query};
    return true;
}

bool answer_next_query(struct answer *a, struct answer_query *query)
{
    if (a->literal || a->bad_name)
        return false;
    if (a->kind == LOOKUP_MX && a->mx.state == ANSWER_UNASKED) {
        a->mx.state = ANSWER_ASKED;
        *query = (struct answer_query){.host = ANSWER_MX_QUERY, .type = WIRE_MX, .name = a->name};
        return true;
    }
    for (unsigned h = 0; h < a->host_count; h++) {
        struct answer_host *host = &a->hosts[h];
        for (enum answer_family f = 0; f < ANSWER_FAMILIES; f++) {
            if (host->parts[f].state != ANSWER_UNASKED)
                continue;
            host->parts[f].state = ANSWER_ASKED;
            *query = (struct answer_query){
                .host = h, .family = f, .type = family_types[f], .name = host->name};
            return true;
        }
        if (next_tlsa(a, h, host, query))
            return true;
    }
    return false;
}

static struct answer_part *part_of(struct answer *a, const struct answer_query *query)
{
    if (query->host == ANSWER_MX_QUERY)
        return &a->mx;
    BUG_ON(query->host >= a->host_count || query->family >= ANSWER_FAMILIES);
    if (query->type == WIRE_TLSA)
        return &a->hosts[query->host].tlsa.part;
    return &a->hosts[query->host].parts[query->family];
}

static void take_address(void *context, const struct wire_record *record, enum answer_family family)
{
    struct answer_host *host = context;
    unsigned n = host->counts[family];
    if (n == LIMIT_HOST_ADDRESSES)
        return;
    if (family == ANSWER_IPV6)
        memcpy(host->v6[n], record->octets, sizeof host->v6[n]);
    else
        memcpy(host->v4[n], record->octets, sizeof host->v4[n]);
    host->counts[family]++;
}

static void take_v6(void *context, const struct wire_record *record)
{
    take_address(context, record, ANSWER_IPV6);
}

static void take_v4(void *context, const struct wire_record *record)
{
    take_address(context, record, ANSWER_IPV4);
}

struct mx_context {
    struct answer *answer;
    const struct answer_random *random;
    bool root; /* a record that says "no mail" */
};

static bool before(const struct answer_host *host, const struct wire_record *record, uint32_t order)
{
    return host->preference < record->preference ||
           (host->preference == record->preference && host->order <= order);
}

/* Keeps the best LIMIT_MX hosts in order, a host that is named twice at its better place. */
static void take_mx(void *context, const struct wire_record *record)
{
    struct mx_context *mx = context;
    struct answer *a = mx->answer;
    if (record->name[0] == '\0') {
        mx->root = true;
        return;
    }
    uint32_t order = mx->random->next(mx->random->context);
    for (unsigned i = 0; i < a->host_count; i++) {
        if (strcmp(a->hosts[i].name, record->name) != 0)
            continue;
        if (before(&a->hosts[i], record, order))
            return;
        a->host_count--;
        memmove(&a->hosts[i], &a->hosts[i + 1], (a->host_count - i) * sizeof a->hosts[0]);
        break;
    }
    unsigned place = 0;
    while (place < a->host_count && before(&a->hosts[place], record, order))
        place++;
    if (place == LIMIT_MX)
        return;
    if (a->host_count < LIMIT_MX)
        a->host_count++;
    memmove(&a->hosts[place + 1], &a->hosts[place],
            (a->host_count - 1 - place) * sizeof a->hosts[0]);
    memset(&a->hosts[place], 0, sizeof a->hosts[place]);
    a->hosts[place].preference = record->preference;
    a->hosts[place].order = order;
    memcpy(a->hosts[place].name, record->name, sizeof record->name);
}

static void settle(struct answer_part *part, const struct wire_summary *summary, bool secure)
{
    part->secure = secure;
    part->ttl = summary->ttl;
    part->rcode = summary->rcode;
    if (summary->rcode == WIRE_NXDOMAIN)
        part->state = ANSWER_NO_NAME;
    else if (summary->rcode != WIRE_NOERROR)
        part->state = ANSWER_FAILED;
    else
        part->state = summary->records > 0 ? ANSWER_FOUND : ANSWER_NO_DATA;
}

static void take_mx_set(struct answer *a, struct span packet, bool secure,
                        const struct answer_random *random)
{
    struct mx_context context = {.answer = a, .random = random};
    struct wire_summary summary;
    if (!wire_read(packet, WIRE_MX, take_mx, &context, &summary)) {
        a->host_count = 0;
        a->mx.state = ANSWER_MALFORMED;
        return;
    }
    settle(&a->mx, &summary, secure);
    if (a->mx.state != ANSWER_FOUND)
        a->host_count = 0;
    if (a->mx.state == ANSWER_NO_DATA) {
        a->implicit_mx = true;
        add_self(a);
    }
    a->null_mx = a->mx.state == ANSWER_FOUND && context.root && summary.records == 1;
}

static void take_tlsa(void *context, const struct wire_record *record)
{
    struct answer_tlsa *t = context;
    struct msg_writer w = {.p = t->records, .n = t->n, .capacity = sizeof t->records};
    const struct tlsa one = {record->usage, record->selector, record->matching, record->data};
    tlsa_put(&w, &one);
    t->left_out |= w.overflow;
    if (!w.overflow)
        t->n = (uint16_t)w.n;
}

/* Records that nobody vouches for count as none; so does a denial. The next base has its turn. */
static void take_tlsa_set(struct answer_host *host, struct span packet, bool secure)
{
    struct answer_tlsa *t = &host->tlsa;
    struct wire_summary summary;
    t->n = 0;
    t->left_out = false;
    if (!wire_read(packet, WIRE_TLSA, take_tlsa, t, &summary)) {
        t->part.state = ANSWER_MALFORMED;
        return;
    }
    settle(&t->part, &summary, secure);
    /* What has no room must not look as if it was never there. */
    if (t->left_out && secure && !tlsa_any_usable(span_of(t->records, t->n)))
        t->part.state = ANSWER_MALFORMED;
    if (is_failure(&t->part) || (t->part.state == ANSWER_FOUND && secure))
        return;
    t->n = 0;
    t->attempt++;
    t->part.state = ANSWER_UNASKED;
}

void answer_take(struct answer *a, const struct answer_query *query, struct span packet,
                 bool secure, const struct answer_random *random)
{
    struct wire_summary summary;
    struct answer_part *part = part_of(a, query);
    BUG_ON(part->state != ANSWER_ASKED);
    if (query->host == ANSWER_MX_QUERY) {
        take_mx_set(a, packet, secure, random);
        return;
    }
    struct answer_host *host = &a->hosts[query->host];
    if (query->type == WIRE_TLSA) {
        take_tlsa_set(host, packet, secure);
        return;
    }
    if (wire_read(packet, query->type, query->family == ANSWER_IPV6 ? take_v6 : take_v4, host,
                  &summary))
        settle(part, &summary, secure);
    else
        part->state = ANSWER_MALFORMED;
    if (part->state == ANSWER_FOUND && summary.aliased) {
        host->aliased = true;
        memcpy(host->expanded, summary.name, sizeof host->expanded);
    }
    if (part->state != ANSWER_FOUND)
        host->counts[query->family] = 0;
}

void answer_fail(struct answer *a, const struct answer_query *query, enum answer_state state,
                 uint8_t rcode, const char *why)
{
    struct answer_part *part = part_of(a, query);
    BUG_ON(part->state != ANSWER_ASKED);
    BUG_ON(state < ANSWER_FAILED);
    part->state =
        state == ANSWER_FAILED && rcode == WIRE_NXDOMAIN ? ANSWER_NO_NAME : (uint8_t)state;
    part->rcode = rcode;
    if (state == ANSWER_BOGUS && why != NULL && a->detail[0] == '\0')
        (void)snprintf(a->detail, sizeof a->detail, "%s", why);
}

/* ---- the verdict ------------------------------------------------------------------------ */

/* "MX im.post.ch: time-out" */
static void explain(const struct answer *a, const char *type, const char *name,
                    const struct answer_part *part, char *text, size_t capacity)
{
    static const char *const texts[] = {
        [ANSWER_TIME_OUT] = "time-out",
        [ANSWER_BUSY] = "too many queries under way",
        [ANSWER_MALFORMED] = "malformed response",
        [ANSWER_BOGUS] = "bogus",
    };
    bool by_rcode = part->state == ANSWER_FAILED;
    bool detail = part->state == ANSWER_BOGUS && a->detail[0] != '\0';
    (void)snprintf(text, capacity, "%s %s: %s%s%s%s", type, name,
                   by_rcode ? wire_rcode_text(part->rcode) : texts[part->state], detail ? " (" : "",
                   detail ? a->detail : "", detail ? ")" : "");
}

/* The end of the look-up's time may have come before the question: that is no "there are none". */
static struct answer_part tlsa_outcome(const struct answer *a, const struct answer_host *host)
{
    struct answer_part part = host->tlsa.part;
    if (!settled(&part) && tlsa_base(a, host, host->tlsa.attempt) != NULL)
        part.state = ANSWER_TIME_OUT;
    return part;
}

static void write_tlsa(const struct answer *a, const struct answer_host *host, struct msg_writer *w)
{
    const struct answer_tlsa *t = &host->tlsa;
    struct answer_part part = tlsa_outcome(a, host);
    char why[LIMIT_REASON];
    if (is_failure(&part)) {
        explain(a, "TLSA", host->name, &part, why, sizeof why);
        msg_put_u8(w, LOOKUP_TLSA_FAILED);
        msg_put_span(w, SPAN_EMPTY);
        msg_put_span(w, span_str(why));
        return;
    }
    bool found = part.state == ANSWER_FOUND;
    msg_put_u8(w, found ? LOOKUP_TLSA_FOUND : LOOKUP_TLSA_NONE);
    msg_put_span(w, found ? span_str(t->base) : SPAN_EMPTY);
    msg_put_span(w, found ? span_of(t->records, t->n) : SPAN_EMPTY);
}

/* RFC 5321 leaves the order of a host's addresses open: IPv6 first, then the families in turn, so
 * that a family that does not get through costs one attempt before the other has its chance. */
static bool write_host(const struct answer *a, const struct answer_host *host, bool secure,
                       struct msg_writer *w)
{
    unsigned v6 = host->counts[ANSWER_IPV6], v4 = host->counts[ANSWER_IPV4];
    unsigned total = v6 + v4 < LIMIT_HOST_ADDRESSES ? v6 + v4 : LIMIT_HOST_ADDRESSES;
    if (total == 0)
        return false;
    msg_put_u16(w, host->preference);
    msg_put_u8(w, secure);
    msg_put_span(w, a->literal ? SPAN_EMPTY : span_str(host->name));
    msg_put_u8(w, (uint8_t)total);
    for (unsigned i = 0, written = 0; written < total; i++) {
        if (i < v6) {
            msg_put_u8(w, 6);
            msg_put_span(w, span_of(host->v6[i], 16));
            written++;
        }
        if (i < v4 && written < total) {
            msg_put_u8(w, 4);
            msg_put_span(w, span_of(host->v4[i], 4));
            written++;
        }
    }
    write_tlsa(a, host, w);
    return true;
}

static uint32_t host_ttl(const struct answer *a, const struct answer_host *host, uint32_t ttl)
{
    for (enum answer_family f = 0; f < ANSWER_FAMILIES; f++)
        if (!is_failure(&host->parts[f]) && host->parts[f].ttl < ttl)
            ttl = host->parts[f].ttl;
    struct answer_part tlsa = tlsa_outcome(a, host);
    if (tlsa.state == ANSWER_FOUND && tlsa.ttl < ttl)
        ttl = tlsa.ttl;
    return is_failure(&tlsa) ? 0 : ttl;
}

static uint32_t smallest_ttl(const struct answer *a)
{
    uint32_t ttl = LIMIT_LOOKUP_TTL;
    if (a->kind == LOOKUP_MX && !a->literal && a->mx.ttl < ttl)
        ttl = a->mx.ttl;
    for (unsigned h = 0; h < a->host_count && !a->literal; h++)
        ttl = host_ttl(a, &a->hosts[h], ttl);
    return ttl;
}

static void name_failure(const struct answer *a, const char *type, const char *name,
                         const struct answer_part *part, struct answer_result *out)
{
    out->status = part->state == ANSWER_BOGUS ? LOOKUP_BOGUS : LOOKUP_TRY_AGAIN;
    out->ttl = 0;
    explain(a, type, name, part, out->reason, sizeof out->reason);
}

static bool find_failure(const struct answer *a, struct answer_result *out)
{
    if (a->kind == LOOKUP_MX && is_failure(&a->mx)) {
        name_failure(a, "MX", a->name, &a->mx, out);
        return true;
    }
    for (unsigned h = 0; h < a->host_count; h++)
        for (enum answer_family f = 0; f < ANSWER_FAMILIES; f++)
            if (is_failure(&a->hosts[h].parts[f])) {
                name_failure(a, family_names[f], a->hosts[h].name, &a->hosts[h].parts[f], out);
                return true;
            }
    return false;
}

static void conclude(struct answer_result *out, enum lookup_status status, const char *name,
                     const char *text)
{
    out->status = status;
    (void)snprintf(out->reason, sizeof out->reason, "%s: %s", name, text);
}

/* No host has an address, and nothing failed that might come good: why for ever. */
static void name_absence(const struct answer *a, struct answer_result *out)
{
    if (a->kind == LOOKUP_MX && a->mx.state == ANSWER_NO_NAME) {
        conclude(out, LOOKUP_NO_SUCH_DOMAIN, a->name, "no such domain");
    } else if (a->null_mx) {
        conclude(out, LOOKUP_NULL_MX, a->name, "accepts no mail (null MX)");
    } else if (a->kind == LOOKUP_HOST && (a->hosts[0].parts[ANSWER_IPV6].state == ANSWER_NO_NAME ||
                                          a->hosts[0].parts[ANSWER_IPV4].state == ANSWER_NO_NAME)) {
        conclude(out, LOOKUP_NO_SUCH_DOMAIN, a->name, "no such domain");
    } else if (a->kind == LOOKUP_HOST) {
        conclude(out, LOOKUP_NO_ADDRESS, a->name, "neither AAAA nor A");
    } else if (a->implicit_mx) {
        conclude(out, LOOKUP_NO_ADDRESS, a->name, "neither MX nor AAAA nor A");
    } else {
        conclude(out, LOOKUP_NO_ADDRESS, a->name, "no host of the MX set has an address");
    }
}

void answer_write(const struct answer *a, struct answer_result *out)
{
    struct msg_writer w = {.p = out->hosts, .capacity = sizeof out->hosts};
    bool any = false, secure = true;
    out->status = LOOKUP_OK;
    out->reason[0] = '\0';
    out->ttl = smallest_ttl(a);
    for (unsigned h = 0; h < a->host_count && !a->null_mx; h++) {
        bool validated = host_secure(a, &a->hosts[h]);
        if (!write_host(a, &a->hosts[h], validated, &w))
            continue;
        any = true;
        secure = secure && validated;
    }
    BUG_ON(w.overflow);
    out->hosts_length = w.n;
    out->secure = any && secure;
    if (a->bad_name) {
        out->status = LOOKUP_BAD_NAME;
        out->ttl = 0;
        (void)snprintf(out->reason, sizeof out->reason, "not a host name");
    } else if (!any && !find_failure(a, out)) {
        name_absence(a, out);
    }
}
