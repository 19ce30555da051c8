/* An image is checked once, here, so that nobody after has to. */
#include "policy/format.h"
#include "priority.h"
#include <stdio.h>

_Static_assert(sizeof(struct rec_header) % FORMAT_ALIGN == 0, "the first table is aligned");
_Static_assert(sizeof(struct rec_flow) == 104 && sizeof(struct rec_node) == 32 &&
                   sizeof(struct rec_settings) == 256 && sizeof(struct rec_rule) == 68,
               "records have no padding, so that an image is the same bytes each time");
_Static_assert(sizeof(struct rec_peer) == 64, "nor has a peer");

const struct format_table format_tables[POLICY_TABLE_COUNT] = {
#define TABLE(NAME, type, max) [POLICY_##NAME] = {#NAME, sizeof(type), max},
    POLICY_FORMAT(TABLE)
#undef TABLE
};

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

/* Four lanes, so that one multiplication need not wait for another. */
enum { LANES = 4 };

static void absorb(uint64_t lanes[LANES], struct span s)
{
    uint64_t words[LANES];
    const unsigned char *p = s.p;
    size_t n = s.n;
    for (; n >= sizeof words; p += sizeof words, n -= sizeof words) {
        memcpy(words, p, sizeof words);
        for (size_t i = 0; i < LANES; i++)
            lanes[i] = mix(lanes[i], words[i]);
    }
    memset(words, 0, sizeof words);
    memcpy(words, p, n);
    for (size_t i = 0; i < LANES; i++)
        lanes[i] = mix(lanes[i], words[i]);
}

/* Detects damage; a forged image is what the other checks are for. */
uint64_t format_checksum(struct span image)
{
    uint64_t lanes[LANES] = {image.n, 1, 2, 3};
    struct rec_header header;
    memcpy(&header, image.p, sizeof header);
    header.checksum = 0;
    absorb(lanes, span_of(&header, sizeof header));
    absorb(lanes, span_from(image, sizeof header));
    return mix(mix(lanes[0], lanes[1]), mix(lanes[2], lanes[3]));
}

uint32_t format_domain_hash(struct span domain)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < domain.n; i++)
        h = (h ^ ascii_lower(domain.p[i])) * 16777619u;
    return h ^ (h >> 15);
}

/* ---- the checks ------------------------------------------------------------------------- */

struct check {
    struct policy *p;
    char *reason;
    const char *table; /* under examination, for the reason */
    uint32_t index;
    /* Up to where conditions, flows and the index have claimed their items, by table. */
    uint32_t claimed_by_nodes[POLICY_TABLE_COUNT];
    uint32_t claimed_by_flows[POLICY_TABLE_COUNT];
};

static bool fail(const struct check *c, const char *what)
{
    (void)snprintf(c->reason, LIMIT_REASON, "policy image: %s %u: %s", c->table, c->index, what);
    return false;
}

static bool in_table(const struct check *c, struct policy_range r, enum policy_table table)
{
    uint32_t count = c->p->counts[table];
    return r.first <= count && r.count <= count - r.first;
}

static bool range_ok(const struct check *c, struct policy_range r, enum policy_table table)
{
    return in_table(c, r, table) || fail(c, "a range leaves its table");
}

/* A range of its own, behind those before: items that many could share would let a small image
 * ask for endless work. */
static bool claim(const struct check *c, uint32_t *claimed, struct policy_range r,
                  enum policy_table table)
{
    if (!range_ok(c, r, table))
        return false;
    if (r.count == 0)
        return true;
    if (r.first < claimed[table])
        return fail(c, "a range overlaps another");
    claimed[table] = r.first + r.count;
    return true;
}

/* In the bytes, and of a length that the readers' buffers are made for. */
static bool string_ok(const struct check *c, struct rec_string s, size_t min, size_t max)
{
    struct policy_range r = {.first = s.offset, .count = s.length};
    if (!in_table(c, r, POLICY_BYTES))
        return fail(c, "a string leaves the bytes");
    if (s.length < min || s.length > max)
        return fail(c, "a string has a wrong length");
    return true;
}

static bool path_ok(const struct check *c, struct rec_string s, size_t max)
{
    return string_ok(c, s, 1, max) &&
           (format_string(c->p, s).p[0] == '/' || fail(c, "a path is not absolute"));
}

static bool index_ok(const struct check *c, uint32_t index, enum policy_table table, bool none)
{
    return index < c->p->counts[table] || (none && index == POLICY_NONE) ||
           fail(c, "an index leaves its table");
}

static bool number_ok(const struct check *c, uint64_t n, uint64_t min, uint64_t max)
{
    return (n >= min && n <= max) || fail(c, "a number is out of range");
}

static bool peers_ok(const struct check *c, uint64_t mask)
{
    uint32_t n = c->p->counts[POLICY_PEERS];
    return n == 64 || (mask >> n) == 0 || fail(c, "a mask names peers that are not there");
}

static bool optional_path_ok(const struct check *c, struct rec_string s)
{
    return s.length == 0 ? string_ok(c, s, 0, 0) : path_ok(c, s, LIMIT_PATH - 1);
}

static bool digests_ok(const struct check *c, struct policy_range r)
{
    if (!range_ok(c, r, POLICY_STRINGS))
        return false;
    for (uint32_t i = 0; i < r.count; i++)
        if (!string_ok(c, format_STRINGS(c->p)[r.first + i], 64, 64))
            return false;
    return true;
}

static bool demand_ok(const struct check *c, const struct rec_demand *d)
{
    return digests_ok(c, d->fingerprints) && digests_ok(c, d->pins) &&
           number_ok(c, d->server_auth, 0, 1) && index_ok(c, d->trust, POLICY_TRUSTS, true) &&
           range_ok(c, d->names, POLICY_STRINGS) &&
           string_ok(c, d->organization, 0, LIMIT_REASON) &&
           (d->trust != POLICY_NONE ||
            (d->names.count == 0 && d->organization.length == 0 && d->fingerprints.count == 0 &&
             d->pins.count == 0) ||
            fail(c, "names are demanded without a trust store"));
}

/* Does a byte of the word lie below 0x20, or is one 0x7f? Byte-wise borrows, so exact only as to
 * whether there is one. */
static bool has_control(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = ones << 7;
    uint64_t deletes = word ^ (ones * 0x7f);
    return ((word - ones * 0x20) & ~word & tops) != 0 || ((deletes - ones) & ~deletes & tops) != 0;
}

/* No control character in any string: none can break a line of a log or a reply, or end a path.
 * Eight bytes at a time where all are clean. */
static bool check_BYTES(struct check *c, const unsigned char *byte)
{
    uint64_t word;
    if (c->p->counts[POLICY_BYTES] - c->index >= sizeof word) {
        memcpy(&word, byte, sizeof word);
        if (!has_control(word)) {
            c->index += sizeof word - 1;
            return true;
        }
    }
    return (*byte >= 0x20 && *byte != 0x7f) || fail(c, "a control character");
}

static bool check_IDENTITIES(struct check *c, const struct rec_identity *r)
{
    return string_ok(c, r->name, 1, LIMIT_NAME) && path_ok(c, r->certificate, LIMIT_PATH - 1) &&
           path_ok(c, r->key, LIMIT_PATH - 1) && optional_path_ok(c, r->passphrase);
}

static bool check_TRUSTS(struct check *c, const struct rec_trust *r)
{
    return string_ok(c, r->name, 1, LIMIT_NAME) && path_ok(c, r->file, LIMIT_PATH - 1) &&
           optional_path_ok(c, r->crl) && number_ok(c, r->system, 0, 1);
}

static bool check_PEERS(struct check *c, const struct rec_peer *r)
{
    return string_ok(c, r->name, 1, LIMIT_NAME) && range_ok(c, r->networks, POLICY_NETWORKS) &&
           number_ok(c, r->needs_tls, 0, 1) && number_ok(c, r->trusted, 0, 1) &&
           demand_ok(c, &r->tls) &&
           ((r->needs_tls != 0) == (r->tls.trust != POLICY_NONE) ||
            fail(c, "TLS and a trust store go together")) &&
           (r->needs_tls != 0 || r->networks.count > 0 || fail(c, "anyone would be this peer"));
}

static bool check_ROUTES(struct check *c, const struct rec_route *r)
{
    bool hosts = r->kind == POLICY_ROUTE_HOSTS;
    bool mx = r->kind == POLICY_ROUTE_MX;
    return string_ok(c, r->name, 1, LIMIT_NAME) &&
           number_ok(c, r->kind, 0, POLICY_ROUTE_MX_RECIPIENT) &&
           range_ok(c, r->hosts, POLICY_HOSTS) && number_ok(c, r->hosts.count > 0, hosts, hosts) &&
           string_ok(c, r->mx, mx, mx ? LIMIT_DOMAIN : 0) &&
           number_ok(c, r->port, hosts ? 0 : 1, UINT16_MAX) && number_ok(c, r->tls_require, 0, 1) &&
           number_ok(c, r->tls_mutual, 0, 1) && number_ok(c, r->tls_dane, 0, 1) &&
           (r->tls_mutual == 0 || (r->tls_require != 0 && r->identity != POLICY_NONE) ||
            fail(c, "mutual TLS is demanded without TLS or a certificate")) &&
           index_ok(c, r->identity, POLICY_IDENTITIES, true) && demand_ok(c, &r->tls) &&
           number_ok(c, r->connections, 1, LIMIT_ROUTE_CONNECTIONS_MAX) &&
           number_ok(c, r->rate, 0, LIMIT_ROUTE_RATE_MAX);
}

static bool endpoint_ok(struct check *c, const struct rec_endpoint *r, bool name, size_t max)
{
    return string_ok(c, r->text, 1, max) && number_ok(c, r->port, 1, UINT16_MAX) &&
           (r->family == 4 || r->family == 6 || (name && r->family == 0) ||
            fail(c, "an address family is wrong"));
}

static bool check_LISTENERS(struct check *c, const struct rec_listener *r)
{
    return endpoint_ok(c, &r->endpoint, false, LIMIT_ADDRESS_TEXT) &&
           range_ok(c, r->proxies, POLICY_NETWORKS) &&
           number_ok(c, r->greeting_delay, 0, LIMIT_GREETING_DELAY_MAX);
}

static bool check_SERVERS(struct check *c, const struct rec_endpoint *r)
{
    return endpoint_ok(c, r, false, LIMIT_ADDRESS_TEXT);
}

static bool check_HOSTS(struct check *c, const struct rec_endpoint *r)
{
    return endpoint_ok(c, r, true, LIMIT_DOMAIN);
}

static bool check_PORTS(struct check *c, const uint32_t *port)
{
    return number_ok(c, *port, 1, UINT16_MAX);
}

static bool check_STRINGS(struct check *c, const struct rec_string *s)
{
    return string_ok(c, *s, 1, LIMIT_DOMAIN);
}

static bool check_TEXTS(struct check *c, const struct rec_string *s)
{
    return string_ok(c, *s, 0, LIMIT_POLICY_NEEDLE);
}

static bool check_FIELDS(struct check *c, const struct rec_string *s)
{
    return string_ok(c, *s, 1, LIMIT_NAME);
}

static bool check_NETWORKS(struct check *c, const struct rec_network *r)
{
    return (r->family == 4 || r->family == 6 || fail(c, "an address family is wrong")) &&
           number_ok(c, r->bits, 0, r->family == 4 ? 32 : 128);
}

static bool check_PATTERNS(struct check *c, const struct rec_pattern *r)
{
    bool null_sender = r->local_kind == PATTERN_NULL_SENDER;
    return number_ok(c, r->local_kind, 0, PATTERN_NULL_SENDER) && number_ok(c, r->below, 0, 1) &&
           string_ok(c, r->local, 0, LIMIT_LOCAL_PART) &&
           string_ok(c, r->domain, !null_sender, null_sender ? 0 : LIMIT_DOMAIN);
}

static bool check_SLOTS(struct check *c, const struct rec_slot *r)
{
    return string_ok(c, r->domain, 0, LIMIT_DOMAIN) && range_ok(c, r->exact, POLICY_CANDIDATES) &&
           range_ok(c, r->below, POLICY_CANDIDATES);
}

static bool check_CANDIDATES(struct check *c, const uint32_t *rule)
{
    return index_ok(c, *rule, POLICY_RULES, false);
}

/* What a leaf points at; composites point at nothing. */
static enum policy_table items_table(uint32_t condition)
{
    switch (condition) {
    case POLICY_IF_RECIPIENT:
    case POLICY_IF_SENDER:
    case POLICY_IF_FROM_DOMAIN:
        return POLICY_PATTERNS;
    case POLICY_IF_CLIENT:
        return POLICY_NETWORKS;
    case POLICY_IF_SUBJECT_CONTAINS:
    case POLICY_IF_SUBJECT_EQUALS:
    case POLICY_IF_SUBJECT_STARTS:
    case POLICY_IF_SUBJECT_ENDS:
    case POLICY_IF_HEADER_CONTAINS:
    case POLICY_IF_HEADER_EQUALS:
    case POLICY_IF_HEADER_STARTS:
    case POLICY_IF_HEADER_ENDS:
        return POLICY_TEXTS;
    default:
        return POLICY_TABLE_COUNT;
    }
}

static bool check_NODES(struct check *c, const struct rec_node *r)
{
    if (r->condition >= POLICY_CONDITION_COUNT)
        return fail(c, "an unknown condition");
    enum policy_table items = items_table(r->condition);
    bool composite = r->condition <= POLICY_IF_NOT;
    bool header =
        r->condition >= POLICY_IF_HEADER_CONTAINS && r->condition <= POLICY_IF_HEADER_ENDS;
    return number_ok(c, r->size, composite ? 2 : 1, composite ? LIMIT_POLICY_NODES : 1) &&
           (items == POLICY_TABLE_COUNT ? number_ok(c, r->items.count, 0, 0)
                                        : claim(c, c->claimed_by_nodes, r->items, items)) &&
           (r->condition != POLICY_IF_PEER || peers_ok(c, r->value)) &&
           number_ok(c, r->case_sensitive, 0, 1) &&
           (header ? index_ok(c, r->field, POLICY_FIELDS, false) : number_ok(c, r->field, 0, 0));
}

/* The nodes first .. end must be exactly one tree in pre-order, no deeper than the bound: then a
 * walk of it ends, and its recursion stays small. An explicit stack of the open nodes' ends. */
static bool tree_ok(const struct check *c, uint32_t first, uint32_t end)
{
    const struct rec_node *nodes = format_NODES(c->p);
    uint32_t ends[LIMIT_POLICY_DEPTH];
    uint32_t children[LIMIT_POLICY_DEPTH];
    bool is_not[LIMIT_POLICY_DEPTH];
    unsigned depth = 0;
    for (uint32_t i = first; i < end; i++) {
        while (depth > 0 && ends[depth - 1] == i)
            depth--;
        if (depth == 0 && i != first)
            return fail(c, "a condition has more than one root");
        uint32_t limit = depth > 0 ? ends[depth - 1] : end;
        if (nodes[i].size > limit - i)
            return fail(c, "a condition leaves its parent");
        if (depth > 0 && ++children[depth - 1] > 1 && is_not[depth - 1])
            return fail(c, "a negation of more than one condition");
        if (nodes[i].condition > POLICY_IF_NOT)
            continue;
        if (depth == LIMIT_POLICY_DEPTH)
            return fail(c, "conditions are nested too deeply");
        ends[depth] = i + nodes[i].size;
        children[depth] = 0;
        is_not[depth] = nodes[i].condition == POLICY_IF_NOT;
        depth++;
    }
    return nodes[first].size == end - first || fail(c, "a condition has more than one root");
}

static bool check_RULES(struct check *c, const struct rec_rule *r)
{
    /* Trees follow each other without a gap, so that two rules can't share one. */
    const struct rec_rule *before = c->index > 0 ? r - 1 : NULL;
    uint32_t expected = before != NULL ? before->nodes.first + before->nodes.count : 0;
    bool route = r->action == POLICY_ACT_ROUTE;
    bool reply = r->action == POLICY_ACT_REJECT || r->action == POLICY_ACT_DEFER;
    if (!string_ok(c, r->name, 1, LIMIT_NAME) || !number_ok(c, r->action, 0, POLICY_ACT_DISCARD) ||
        !string_ok(c, r->reply, reply ? 10 : 0, reply ? LIMIT_POLICY_REPLY : 0) ||
        !(route ? index_ok(c, r->route, POLICY_ROUTES, false)
                : number_ok(c, r->route, POLICY_NONE, POLICY_NONE)) ||
        !number_ok(c, r->lifetime, 0, LIMIT_LIFETIME_MAX) ||
        !number_ok(c, r->priority, 0, PRIORITY_COUNT - 1) || !number_ok(c, r->hold, 0, 1) ||
        !string_ok(c, r->remove_suffix, 0, LIMIT_DOMAIN) ||
        !string_ok(c, r->add_suffix, 0, LIMIT_DOMAIN) ||
        !string_ok(c, r->edits, 0, LIMIT_RULE_EDIT_TEXT) || !range_ok(c, r->nodes, POLICY_NODES))
        return false;
    if (r->nodes.first != expected)
        return fail(c, "its conditions do not follow those of the rule before");
    return r->nodes.count == 0 || tree_ok(c, r->nodes.first, r->nodes.first + r->nodes.count);
}

/* Ascending rules of the flow. */
static bool candidates_ok(const struct check *c, const struct rec_flow *f, struct policy_range list)
{
    const uint32_t *rules = format_CANDIDATES(c->p) + list.first;
    for (uint32_t i = 0; i < list.count; i++)
        if (rules[i] < f->rules.first || rules[i] - f->rules.first >= f->rules.count ||
            (i > 0 && rules[i] <= rules[i - 1]))
            return fail(c, "its index names a rule out of place");
    return true;
}

static bool flow_index_ok(struct check *c, const struct rec_flow *f)
{
    if (!claim(c, c->claimed_by_flows, f->slots, POLICY_SLOTS) ||
        !claim(c, c->claimed_by_flows, f->always, POLICY_CANDIDATES) ||
        !candidates_ok(c, f, f->always))
        return false;
    if ((f->slots.count & (f->slots.count - 1)) != 0)
        return fail(c, "the size of its index is not a power of two");
    uint32_t last = f->rules.first + f->rules.count - 1;
    if (f->always.count == 0 ||
        format_CANDIDATES(c->p)[f->always.first + f->always.count - 1] != last)
        return fail(c, "its index leaves out the last rule");
    const struct rec_slot *slots = format_SLOTS(c->p) + f->slots.first;
    bool empty = f->slots.count == 0;
    for (uint32_t i = 0; i < f->slots.count; i++) {
        if (!claim(c, c->claimed_by_flows, slots[i].exact, POLICY_CANDIDATES) ||
            !claim(c, c->claimed_by_flows, slots[i].below, POLICY_CANDIDATES) ||
            !candidates_ok(c, f, slots[i].exact) || !candidates_ok(c, f, slots[i].below))
            return false;
        empty = empty || slots[i].domain.length == 0;
    }
    return empty || fail(c, "its index is full, a search in it would not end");
}

/* The identities that its routes present: what the keeper goes by. */
static uint64_t client_identities(const struct policy *p, const struct rec_flow *f)
{
    const struct rec_route *routes = format_ROUTES(p);
    const struct rec_rule *rules = format_RULES(p);
    uint64_t mask = 0;
    uint32_t end = f->rules.first + f->rules.count;
    for (uint32_t i = f->rules.first; i < end; i++) {
        uint32_t route = rules[i].action == POLICY_ACT_ROUTE ? rules[i].route : POLICY_NONE;
        if (route != POLICY_NONE && routes[route].identity != POLICY_NONE)
            mask |= (uint64_t)1 << routes[route].identity;
    }
    if (f->bounce_route != POLICY_NONE && routes[f->bounce_route].identity != POLICY_NONE)
        mask |= (uint64_t)1 << routes[f->bounce_route].identity;
    return mask;
}

/* The default one is among them, and none is that is not there. */
static bool server_identities_ok(const struct check *c, const struct rec_flow *f)
{
    uint32_t n = c->p->counts[POLICY_IDENTITIES];
    bool own = f->identity == POLICY_NONE
                   ? f->server_identities == 0
                   : f->identity < 64 && (f->server_identities >> f->identity & 1) != 0;
    return (own && (n == 64 || (f->server_identities >> n) == 0)) ||
           fail(c, "the identities of a flow are wrong");
}

static bool check_FLOWS(struct check *c, const struct rec_flow *f)
{
    const struct rec_flow *before = c->index > 0 ? f - 1 : NULL;
    uint32_t expected = before != NULL ? before->rules.first + before->rules.count : 0;
    if (!string_ok(c, f->name, 1, LIMIT_NAME) || !range_ok(c, f->listeners, POLICY_LISTENERS) ||
        !number_ok(c, f->listeners.count, 1, LIMIT_LISTENERS) ||
        !claim(c, c->claimed_by_flows, f->domains, POLICY_PATTERNS) ||
        !range_ok(c, f->rules, POLICY_RULES) ||
        !number_ok(c, f->rules.count, 1, LIMIT_POLICY_RULES) || !peers_ok(c, f->accept_from) ||
        !index_ok(c, f->identity, POLICY_IDENTITIES, true) ||
        !number_ok(c, f->workers, 1, LIMIT_WORKERS_PER_FLOW) ||
        !number_ok(c, f->client_certificate, 0, POLICY_CERTIFICATE_REQUIRE) ||
        !server_identities_ok(c, f) || !number_ok(c, f->tls_legacy, 0, 1) ||
        !number_ok(c, f->tls_groups, 0, (1u << POLICY_GROUP_COUNT) - 1) ||
        !number_ok(c, f->bare_lf, 0, POLICY_BARE_LF_NORMALISE) ||
        !number_ok(c, f->complete, 0, POLICY_COMPLETE_ALL) ||
        !index_ok(c, f->bounce_route, POLICY_ROUTES, true))
        return false;
    if (f->rules.first != expected)
        return fail(c, "its rules do not follow those of the flow before");
    uint32_t last = f->rules.first + f->rules.count - 1;
    if (format_RULES(c->p)[last].nodes.count != 0)
        return fail(c, "its last rule has a condition");
    if (f->client_identities != client_identities(c->p, f))
        return fail(c, "its client identities are not those of its routes");
    return flow_index_ok(c, f);
}

static bool notifications_ok(struct check *c, const struct rec_settings *s)
{
    if (!string_ok(c, s->notice_from, 3, LIMIT_ADDRESS) ||
        !string_ok(c, s->postmaster, 3, LIMIT_ADDRESS) ||
        !number_ok(c, s->language_count, 1, LANGUAGE_COUNT) ||
        !number_ok(c, s->delay_count, 0, LIMIT_DELAY_NOTICES) ||
        !number_ok(c, s->return_full, 0, 1) || !number_ok(c, s->double_bounce, 0, 1))
        return false;
    for (uint32_t i = 0; i < LANGUAGE_COUNT; i++)
        if (!number_ok(c, s->languages[i], 0, LANGUAGE_COUNT - 1))
            return false;
    for (uint32_t i = 0; i < s->delay_count; i++)
        if (!number_ok(c, s->delay_after[i], i > 0 ? s->delay_after[i - 1] + 1 : 1,
                       LIMIT_LIFETIME_MAX))
            return false;
    return true;
}

static bool limits_ok(struct check *c, const struct policy_limits *l)
{
    bool ok = true;
#define LIMIT(name, kind, least, usual, most) ok = ok && number_ok(c, l->name, least, most);
#include "policy/limits.def"
#undef LIMIT
    return ok;
}

static bool check_SETTINGS(struct check *c, const struct rec_settings *s)
{
    return string_ok(c, s->hostname, 1, LIMIT_DOMAIN) && path_ok(c, s->spool, LIMIT_PATH - 1) &&
           path_ok(c, s->control_socket, LIMIT_UNIX_PATH) && optional_path_ok(c, s->log_file) &&
           optional_path_ok(c, s->trust_anchor) &&
           number_ok(c, s->message_size, LIMIT_MESSAGE_SIZE_MIN, LIMIT_MESSAGE_SIZE_MAX) &&
           number_ok(c, s->memory, LIMIT_MEMORY_MIN, LIMIT_MEMORY_MAX) &&
           number_ok(c, s->uid_base, 1, LIMIT_UID_BASE_MAX) &&
           number_ok(c, s->sessions, 1, LIMIT_SESSIONS_MAX) &&
           number_ok(c, s->recipients, LIMIT_RECIPIENTS_MIN, LIMIT_RECIPIENTS_MAX) &&
           number_ok(c, s->retry_first, 1, s->retry_max) &&
           number_ok(c, s->retry_max, 1, LIMIT_RETRY_MAX) &&
           number_ok(c, s->lifetime, 1, LIMIT_LIFETIME_MAX) && number_ok(c, s->dnssec, 0, 1) &&
           number_ok(c, s->sandbox_required, 0, 1) && limits_ok(c, &s->limits) &&
           notifications_ok(c, s) &&
           (s->metrics.port == 0 ? string_ok(c, s->metrics.text, 0, 0)
                                 : endpoint_ok(c, &s->metrics, false, LIMIT_ADDRESS_TEXT));
}

/* What the tables hold between them: each item belongs to one of the workers that exist. */
static bool totals_ok(struct check *c)
{
    uint64_t workers = 0;
    uint64_t listeners = 0;
    for (uint32_t i = 0; i < c->p->counts[POLICY_FLOWS]; i++) {
        workers += format_FLOWS(c->p)[i].workers;
        listeners += format_FLOWS(c->p)[i].listeners.count;
    }
    uint32_t rules = c->p->counts[POLICY_RULES];
    uint32_t flows = c->p->counts[POLICY_FLOWS];
    c->table = "FLOWS";
    c->index = flows;
    if (flows == 0 || c->p->counts[POLICY_SETTINGS] != 1)
        return fail(c, "there must be a flow and one record of settings");
    struct policy_range last_rules = format_FLOWS(c->p)[flows - 1].rules;
    struct policy_range last_nodes = format_RULES(c->p)[rules - 1].nodes;
    if (last_rules.first + last_rules.count != rules ||
        last_nodes.first + last_nodes.count != c->p->counts[POLICY_NODES])
        return fail(c, "rules or conditions that belong to none");
    return number_ok(c, workers, 1, LIMIT_WORKERS) &&
           number_ok(c, listeners, c->p->counts[POLICY_LISTENERS], LIMIT_LISTENERS);
}

/* In the order of the tables: what a record refers to has been checked by then. */
static bool tables_ok(struct check *c)
{
#define TABLE(NAME, type, max)                                                                     \
    c->table = #NAME;                                                                              \
    for (c->index = 0; c->index < c->p->counts[POLICY_##NAME]; c->index++)                         \
        if (!check_##NAME(c, format_##NAME(c->p) + c->index))                                      \
            return false;
    POLICY_FORMAT(TABLE)
#undef TABLE
    return true;
}

/* Header, sizes and where the tables lie. */
static bool frame_ok(struct policy *p, struct span image, bool checksum, char *reason)
{
    struct rec_header h;
    const char *wrong = NULL;
    if (image.n < sizeof h || image.n > LIMIT_POLICY_IMAGE)
        wrong = "it has a wrong length";
    else if ((uintptr_t)image.p % FORMAT_ALIGN != 0)
        wrong = "it is not aligned in memory";
    if (wrong == NULL) {
        memcpy(&h, image.p, sizeof h);
        if (memcmp(h.magic, FORMAT_MAGIC, sizeof h.magic) != 0)
            wrong = "it does not begin like one";
        else if (h.version != FORMAT_VERSION || h.table_count != POLICY_TABLE_COUNT)
            wrong = "another version of mgid made it";
        else if (h.size != image.n)
            wrong = "its length is not what it says";
        else if (checksum && h.checksum != format_checksum(image))
            wrong = "its checksum is wrong";
    }
    uint64_t end = sizeof h;
    for (unsigned i = 0; i < POLICY_TABLE_COUNT && wrong == NULL; i++) {
        uint64_t offset = format_align(end);
        if (h.tables[i].offset != offset || h.tables[i].count > format_tables[i].max)
            wrong = "a table is out of place";
        end = offset + (uint64_t)h.tables[i].count * format_tables[i].record_size;
        if (end > image.n || offset > image.n)
            wrong = "a table leaves the image";
        if (wrong != NULL)
            break;
        p->tables[i] = image.p + offset;
        p->counts[i] = h.tables[i].count;
    }
    if (wrong == NULL && end != image.n)
        wrong = "bytes are left over at its end";
    if (wrong != NULL)
        (void)snprintf(reason, LIMIT_REASON, "policy image: %s", wrong);
    return wrong == NULL;
}

bool policy_open(struct policy *p, struct span image, char *reason)
{
    *p = (struct policy){.image = image};
    struct check c = {.p = p, .reason = reason};
    if (frame_ok(p, image, true, reason) && tables_ok(&c) && totals_ok(&c))
        return true;
    *p = (struct policy){.image = SPAN_EMPTY};
    return false;
}

bool policy_open_checked(struct policy *p, struct span image, char *reason)
{
    *p = (struct policy){.image = image};
    if (frame_ok(p, image, false, reason))
        return true;
    *p = (struct policy){.image = SPAN_EMPTY};
    return false;
}
