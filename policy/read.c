/* The image as values: what policy.h promises of each accessor. */
#include "policy/format.h"
#include "policy/match.h"
#include "status.h"

uint32_t policy_count(const struct policy *p, enum policy_table table)
{
    BUG_ON(table >= POLICY_TABLE_COUNT);
    return p->counts[table];
}

/* Record `index` of a table; an index out of range is the caller's bug. */
#define RECORD(p, NAME, index)                                                                     \
    ({                                                                                             \
        BUG_ON((index) >= (p)->counts[POLICY_##NAME]);                                             \
        format_##NAME(p) + (index);                                                                \
    })

static struct policy_notifications notifications(const struct policy *p,
                                                 const struct rec_settings *s)
{
    struct policy_notifications n = {
        .from = format_string(p, s->notice_from),
        .postmaster = format_string(p, s->postmaster),
        .language_count = (uint8_t)s->language_count,
        .delay_count = (uint8_t)s->delay_count,
        .return_full = s->return_full != 0,
        .double_bounce = s->double_bounce != 0,
    };
    for (uint32_t i = 0; i < s->language_count; i++)
        n.languages[i] = (uint8_t)s->languages[i];
    memcpy(n.delay_after, s->delay_after, sizeof n.delay_after);
    return n;
}

static struct policy_address address(const struct rec_endpoint *r)
{
    struct policy_address a = {.family = (uint8_t)r->family};
    memcpy(a.bytes, r->address, sizeof a.bytes);
    return a;
}

static struct policy_endpoint endpoint(const struct policy *p, const struct rec_endpoint *r)
{
    return (struct policy_endpoint){
        .text = format_string(p, r->text),
        .address = address(r),
        .port = (uint16_t)r->port,
    };
}

struct policy_settings policy_settings(const struct policy *p)
{
    const struct rec_settings *s = RECORD(p, SETTINGS, 0);
    return (struct policy_settings){
        .hostname = format_string(p, s->hostname),
        .spool = format_string(p, s->spool),
        .control_socket = format_string(p, s->control_socket),
        .log_file = format_string(p, s->log_file),
        .uid_base = s->uid_base,
        .message_size = s->message_size,
        .memory = s->memory,
        .sessions = s->sessions,
        .recipients = s->recipients,
        .retry_first = s->retry_first,
        .retry_max = s->retry_max,
        .lifetime = s->lifetime,
        .limits = s->limits,
        .dnssec = s->dnssec != 0,
        .sandbox_required = s->sandbox_required != 0,
        .trust_anchor = format_string(p, s->trust_anchor),
        .notifications = notifications(p, s),
        .metrics = endpoint(p, &s->metrics),
    };
}

struct policy_endpoint policy_server(const struct policy *p, uint32_t index)
{
    return endpoint(p, RECORD(p, SERVERS, index));
}

struct policy_endpoint policy_listener(const struct policy *p, uint32_t index)
{
    return endpoint(p, &RECORD(p, LISTENERS, index)->endpoint);
}

enum policy_arrival policy_listener_arrival(const struct policy *p, uint32_t index,
                                            const struct policy_address *from)
{
    const struct rec_listener *l = RECORD(p, LISTENERS, index);
    if (l->proxies.count == 0)
        return POLICY_ARRIVAL_DIRECT;
    return match_networks(p, l->proxies, from) ? POLICY_ARRIVAL_PROXIED : POLICY_ARRIVAL_STRANGER;
}

uint32_t policy_listener_greeting_delay(const struct policy *p, uint32_t index)
{
    return RECORD(p, LISTENERS, index)->greeting_delay;
}

uint16_t policy_port(const struct policy *p, uint32_t index)
{
    return (uint16_t)*RECORD(p, PORTS, index);
}

struct policy_identity policy_identity(const struct policy *p, uint32_t index)
{
    const struct rec_identity *r = RECORD(p, IDENTITIES, index);
    return (struct policy_identity){
        .name = format_string(p, r->name),
        .certificate = format_string(p, r->certificate),
        .key = format_string(p, r->key),
        .passphrase = format_string(p, r->passphrase),
    };
}

struct policy_trust policy_trust(const struct policy *p, uint32_t index)
{
    const struct rec_trust *r = RECORD(p, TRUSTS, index);
    return (struct policy_trust){
        .name = format_string(p, r->name),
        .system = r->system != 0,
        .file = format_string(p, r->file),
        .crl = format_string(p, r->crl),
    };
}

struct span policy_string(const struct policy *p, struct policy_range list, uint32_t i)
{
    BUG_ON(i >= list.count || list.first > p->counts[POLICY_STRINGS] ||
           i >= p->counts[POLICY_STRINGS] - list.first);
    return format_string(p, format_STRINGS(p)[list.first + i]);
}

static struct policy_demand demand(const struct policy *p, const struct rec_demand *d)
{
    return (struct policy_demand){
        .trust = d->trust,
        .names = d->names,
        .organization = format_string(p, d->organization),
        .fingerprints = d->fingerprints,
        .pins = d->pins,
        .server_auth = d->server_auth != 0,
    };
}

struct policy_peer policy_peer(const struct policy *p, uint32_t index)
{
    const struct rec_peer *r = RECORD(p, PEERS, index);
    return (struct policy_peer){
        .name = format_string(p, r->name),
        .networks = r->networks,
        .needs_tls = r->needs_tls != 0,
        .trusted = r->trusted != 0,
        .tls = demand(p, &r->tls),
    };
}

bool policy_trusts(const struct policy *p, uint64_t peers)
{
    for (uint32_t i = 0; i < p->counts[POLICY_PEERS]; i++)
        if ((peers >> i & 1) != 0 && format_PEERS(p)[i].trusted != 0)
            return true;
    return false;
}

uint64_t policy_peers_by_address(const struct policy *p, const struct policy_address *client)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < p->counts[POLICY_PEERS]; i++) {
        const struct rec_peer *r = format_PEERS(p) + i;
        if (r->networks.count == 0 || match_networks(p, r->networks, client))
            mask |= (uint64_t)1 << i;
    }
    return mask;
}

uint64_t policy_peers_met(const struct policy *p, const struct policy_address *client,
                          uint64_t tls_met)
{
    for (uint32_t i = 0; i < p->counts[POLICY_PEERS]; i++)
        if (format_PEERS(p)[i].needs_tls == 0)
            tls_met |= (uint64_t)1 << i;
    return policy_peers_by_address(p, client) & tls_met;
}

struct policy_route policy_route(const struct policy *p, uint32_t index)
{
    const struct rec_route *r = RECORD(p, ROUTES, index);
    return (struct policy_route){
        .name = format_string(p, r->name),
        .kind = (enum policy_route_kind)r->kind,
        .hosts = r->hosts,
        .mx = format_string(p, r->mx),
        .port = (uint16_t)r->port,
        .tls_require = r->tls_require != 0,
        .tls_mutual = r->tls_mutual != 0,
        .tls_dane = r->tls_dane != 0,
        .tls = demand(p, &r->tls),
        .identity = r->identity,
        .connections = r->connections,
        .rate = r->rate,
    };
}

uint32_t policy_find_route(const struct policy *p, struct span name)
{
    for (uint32_t i = 0; i < p->counts[POLICY_ROUTES]; i++)
        if (span_eq(format_string(p, format_ROUTES(p)[i].name), name))
            return i;
    return POLICY_NONE;
}

struct policy_host policy_route_host(const struct policy *p, uint32_t route, uint32_t i)
{
    const struct rec_route *r = RECORD(p, ROUTES, route);
    BUG_ON(i >= r->hosts.count);
    const struct rec_endpoint *h = format_HOSTS(p) + r->hosts.first + i;
    return (struct policy_host){
        .name = format_string(p, h->text),
        .address = address(h),
        .port = (uint16_t)h->port,
    };
}

struct policy_flow policy_flow(const struct policy *p, uint32_t index)
{
    const struct rec_flow *f = RECORD(p, FLOWS, index);
    return (struct policy_flow){
        .name = format_string(p, f->name),
        .listeners = f->listeners,
        .identity = f->identity,
        .identities = f->server_identities,
        .tls_legacy = f->tls_legacy != 0,
        .tls_groups = f->tls_groups,
        .workers = f->workers,
        .accept_from = f->accept_from,
        .domains = f->domains,
        .client_certificate = (enum policy_client_certificate)f->client_certificate,
        .bare_lf = (enum policy_bare_lf)f->bare_lf,
        .complete = f->complete,
        .bounce_route = f->bounce_route,
        .rules = f->rules,
    };
}

uint32_t policy_find_flow(const struct policy *p, struct span name)
{
    for (uint32_t i = 0; i < p->counts[POLICY_FLOWS]; i++)
        if (span_eq(format_string(p, format_FLOWS(p)[i].name), name))
            return i;
    return POLICY_NONE;
}

bool policy_flow_accepts(const struct policy *p, uint32_t flow, uint64_t peers)
{
    const struct rec_flow *f = RECORD(p, FLOWS, flow);
    return f->accept_from == 0 || (f->accept_from & peers) != 0;
}

bool policy_recipient_allowed(const struct policy *p, uint32_t flow, struct span recipient)
{
    const struct rec_flow *f = RECORD(p, FLOWS, flow);
    if (f->domains.count == 0 || span_ieq(recipient, SPAN_LIT("postmaster")))
        return true;
    struct match_address a = match_split(recipient);
    return match_patterns(p, f->domains, &a);
}

bool policy_identity_allowed(const struct policy *p, uint32_t flow, uint32_t identity,
                             unsigned purpose)
{
    if (flow >= p->counts[POLICY_FLOWS] || identity >= p->counts[POLICY_IDENTITIES])
        return false;
    const struct rec_flow *f = format_FLOWS(p) + flow;
    switch (purpose) {
    case TLS_AS_SERVER:
        return (f->server_identities >> identity & 1) != 0;
    case TLS_AS_CLIENT:
        return (f->client_identities >> identity & 1) != 0;
    default:
        return false;
    }
}

struct policy_rule policy_rule(const struct policy *p, uint32_t index)
{
    const struct rec_rule *r = RECORD(p, RULES, index);
    return (struct policy_rule){
        .name = format_string(p, r->name),
        .action = (enum policy_action)r->action,
        .route = r->route,
        .reply = format_string(p, r->reply),
        .conditional = r->nodes.count > 0,
        .lifetime = r->lifetime,
        .priority = (enum priority)r->priority,
        .hold = r->hold != 0,
        .rewrites = r->add_suffix.length > 0 || r->remove_suffix.length > 0,
        .edits = format_string(p, r->edits),
    };
}

struct span policy_field(const struct policy *p, uint32_t index)
{
    return format_string(p, *RECORD(p, FIELDS, index));
}

struct span policy_rewrite(const struct policy *p, uint32_t rule, struct span recipient,
                           unsigned char out[LIMIT_ADDRESS])
{
    const struct rec_rule *r = RECORD(p, RULES, rule);
    struct span gone = format_string(p, r->remove_suffix);
    struct span added = format_string(p, r->add_suffix);
    struct match_address a = match_split(recipient);
    if (a.domain.n == 0 || a.domain.p[0] == '[')
        return SPAN_EMPTY;
    if (gone.n > 0 && match_below(a.domain, gone))
        a.domain.n -= gone.n + 1;
    if (added.n > 0 && match_below(a.domain, added))
        added.n = 0;
    size_t n = a.local.n + 1 + a.domain.n + (added.n > 0 ? 1 + added.n : 0);
    if (a.domain.n + 1 + added.n > LIMIT_DOMAIN || n > LIMIT_ADDRESS)
        return SPAN_EMPTY;
    unsigned char *end = mempcpy(out, a.local.p, a.local.n);
    *end++ = '@';
    end = mempcpy(end, a.domain.p, a.domain.n);
    if (added.n > 0) {
        *end++ = '.';
        end = mempcpy(end, added.p, added.n);
    }
    return span_of(out, (size_t)(end - out));
}

struct span policy_rewrite_refusal(void)
{
    return SPAN_LIT("553 5.1.3 A rule changes the address, and none would come of this one");
}
