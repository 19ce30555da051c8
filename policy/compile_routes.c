/* Identities, trust stores, peers and routes: what flows and rules refer to. */
#include "policy/compile_internal.h"

/* Where Debian's ca-certificates keeps the bundle. */
#define SYSTEM_TRUST "/etc/ssl/certs/ca-certificates.crt"

enum { SMTP_PORT = 25 };

/* ---- identities ------------------------------------------------------------------------- */

static void read_certificate(struct compiler *c, const struct place *at, const json_t *value,
                             void *draft)
{
    struct rec_identity *r = draft;
    (void)value_path(c, at, value, LIMIT_PATH - 1, &r->certificate);
}

static void read_key(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_identity *r = draft;
    (void)value_path(c, at, value, LIMIT_PATH - 1, &r->key);
}

static void read_passphrase(struct compiler *c, const struct place *at, const json_t *value,
                            void *draft)
{
    struct rec_identity *r = draft;
    (void)value_path(c, at, value, LIMIT_PATH - 1, &r->passphrase);
}

static const struct key identity_table[] = {
    {"certificate", KEY_REQUIRED, read_certificate},
    {"key", KEY_REQUIRED, read_key},
    {"passphrase", KEY_OPTIONAL, read_passphrase},
};
KEY_SET(identity_keys, "identity", identity_table);

static void read_identity(struct compiler *c, const struct place *at, const json_t *value,
                          struct rec_string name)
{
    struct rec_identity r = {.name = name};
    compile_object(c, at, value, &identity_keys, &r);
    (void)compile_append(c, at, POLICY_IDENTITIES, &r);
}

void read_identities(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    (void)draft;
    compile_map(c, at, value, POLICY_IDENTITIES, "identity", read_identity);
}

/* ---- trust stores ----------------------------------------------------------------------- */

static void read_system(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    struct rec_trust *r = draft;
    (void)value_bool(c, at, value, &r->system);
}

static void read_file(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_trust *r = draft;
    (void)value_path(c, at, value, LIMIT_PATH - 1, &r->file);
}

static void read_crl(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_trust *r = draft;
    (void)value_path(c, at, value, LIMIT_PATH - 1, &r->crl);
}

static const struct key trust_table[] = {
    {"system", KEY_OPTIONAL, read_system},
    {"file", KEY_OPTIONAL, read_file},
    {"crl", KEY_OPTIONAL, read_crl},
};
KEY_SET(trust_keys, "trust", trust_table);

static void read_trust(struct compiler *c, const struct place *at, const json_t *value,
                       struct rec_string name)
{
    struct rec_trust r = {.name = name};
    compile_object(c, at, value, &trust_keys, &r);
    bool file = json_object_get(value, "file") != NULL;
    if (json_is_object(value) && (r.system != 0) == file)
        compile_remedy(compile_error(c, at,
                                     file ? "both the system's store and a file"
                                          : "neither the system's store nor a file"),
                       "write either \"system\": true or \"file\": \"/path/to/ca.pem\"");
    if (r.system != 0)
        r.file = compile_string(c, at, SPAN_LIT(SYSTEM_TRUST));
    (void)compile_append(c, at, POLICY_TRUSTS, &r);
}

void read_trusts(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    (void)draft;
    compile_map(c, at, value, POLICY_TRUSTS, "trust store", read_trust);
}

/* ---- demands on a certificate ----------------------------------------------------------- */

/* What the "tls" of a peer and that of a route are read into. */
struct tls_draft {
    struct rec_demand demand;
    uint32_t require;
    uint32_t mutual;
    uint32_t dane;
    uint32_t identity;
};

static void read_demand_trust(struct compiler *c, const struct place *at, const json_t *value,
                              void *draft)
{
    struct tls_draft *t = draft;
    t->demand.trust = compile_reference_value(c, at, value, POLICY_TRUSTS, "trust store");
}

static void read_demand_name(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    (void)draft;
    bool wildcard = s.n > 2 && s.p[0] == '*' && s.p[1] == '.';
    char name[2 + DOMAIN_TEXT] = "*.";
    char unicode[DOMAIN_TEXT];
    if (!name_domain(c, at, wildcard ? span_from(s, 2) : s, name + 2, unicode))
        return;
    struct rec_string r = compile_string(c, at, span_str(wildcard ? name : name + 2));
    (void)compile_append(c, at, POLICY_STRINGS, &r);
}

static void read_demand_names(struct compiler *c, const struct place *at, const json_t *value,
                              void *draft)
{
    struct tls_draft *t = draft;
    uint32_t first = compile_count(c, POLICY_STRINGS);
    compile_each(c, at, value, LIMIT_DOMAIN - 2, read_demand_name, NULL);
    t->demand.names = compile_range(c, POLICY_STRINGS, first);
}

static void read_organization(struct compiler *c, const struct place *at, const json_t *value,
                              void *draft)
{
    struct tls_draft *t = draft;
    struct span s;
    if (value_string(c, at, value, 1, LIMIT_DOMAIN, &s))
        t->demand.organization = compile_string(c, at, s);
}

static void read_require(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    struct tls_draft *t = draft;
    (void)value_bool(c, at, value, &t->require);
}

static void read_client_identity(struct compiler *c, const struct place *at, const json_t *value,
                                 void *draft)
{
    struct tls_draft *t = draft;
    t->identity = compile_reference_value(c, at, value, POLICY_IDENTITIES, "identity");
}

static void read_fingerprints(struct compiler *c, const struct place *at, const json_t *value,
                              void *draft)
{
    struct tls_draft *t = draft;
    read_digests(c, at, value, &t->demand.fingerprints);
}

static void read_pins(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct tls_draft *t = draft;
    read_digests(c, at, value, &t->demand.pins);
}

static void read_server_auth(struct compiler *c, const struct place *at, const json_t *value,
                             void *draft)
{
    struct tls_draft *t = draft;
    (void)value_bool(c, at, value, &t->demand.server_auth);
}

static void read_mutual(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    struct tls_draft *t = draft;
    (void)value_bool(c, at, value, &t->mutual);
}

static void read_dane(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct tls_draft *t = draft;
    (void)value_bool(c, at, value, &t->dane);
}

static const struct key peer_tls_table[] = {
    {"trust", KEY_REQUIRED, read_demand_trust},
    {"names", KEY_OPTIONAL, read_demand_names},
    {"organization", KEY_OPTIONAL, read_organization},
    {"fingerprints", KEY_OPTIONAL, read_fingerprints},
    {"pins", KEY_OPTIONAL, read_pins},
    {"allow_server_auth_only", KEY_OPTIONAL, read_server_auth},
};
static const struct key route_tls_table[] = {
    {"require", KEY_OPTIONAL, read_require},
    {"trust", KEY_OPTIONAL, read_demand_trust},
    {"names", KEY_OPTIONAL, read_demand_names},
    {"organization", KEY_OPTIONAL, read_organization},
    {"fingerprints", KEY_OPTIONAL, read_fingerprints},
    {"pins", KEY_OPTIONAL, read_pins},
    {"identity", KEY_OPTIONAL, read_client_identity},
    {"mutual", KEY_OPTIONAL, read_mutual},
    {"dane", KEY_OPTIONAL, read_dane},
};
KEY_SET(peer_tls_keys, "peer_tls", peer_tls_table);
KEY_SET(route_tls_keys, "route_tls", route_tls_table);

/* ---- peers ------------------------------------------------------------------------------ */

static void read_network(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    (void)draft;
    struct rec_network n;
    if (name_network(c, at, s, &n))
        (void)compile_append(c, at, POLICY_NETWORKS, &n);
}

struct policy_range read_networks(struct compiler *c, const struct place *at, const json_t *value)
{
    uint32_t first = compile_count(c, POLICY_NETWORKS);
    compile_each(c, at, value, LIMIT_ADDRESS_TEXT, read_network, NULL);
    return compile_range(c, POLICY_NETWORKS, first);
}

static void read_addresses(struct compiler *c, const struct place *at, const json_t *value,
                           void *draft)
{
    struct rec_peer *r = draft;
    r->networks = read_networks(c, at, value);
}

static void read_peer_tls(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    struct rec_peer *r = draft;
    struct tls_draft t = {.demand.trust = POLICY_NONE};
    compile_object(c, at, value, &peer_tls_keys, &t);
    r->tls = t.demand;
    r->needs_tls = 1;
}

static void read_trusted(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    struct rec_peer *r = draft;
    (void)value_bool(c, at, value, &r->trusted);
}

static const struct key peer_table[] = {
    {"addresses", KEY_OPTIONAL, read_addresses},
    {"tls", KEY_OPTIONAL, read_peer_tls},
    {"trusted", KEY_OPTIONAL, read_trusted},
};
KEY_SET(peer_keys, "peer", peer_table);

static void read_peer(struct compiler *c, const struct place *at, const json_t *value,
                      struct rec_string name)
{
    struct rec_peer r = {.name = name, .tls.trust = POLICY_NONE};
    compile_object(c, at, value, &peer_keys, &r);
    if (json_is_object(value) && json_object_get(value, "addresses") == NULL &&
        json_object_get(value, "tls") == NULL)
        compile_remedy(compile_error(c, at, "anyone would be this peer"),
                       "give \"addresses\", \"tls\" or both");
    (void)compile_append(c, at, POLICY_PEERS, &r);
}

void read_peers(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    (void)draft;
    compile_map(c, at, value, POLICY_PEERS, "peer", read_peer);
}

/* ---- routes ----------------------------------------------------------------------------- */

static void note_port(struct compiler *c, const struct place *at, uint32_t port)
{
    for (uint32_t i = 0; i < compile_count(c, POLICY_PORTS); i++)
        if (*(uint32_t *)compile_record(c, POLICY_PORTS, i) == port)
            return;
    (void)compile_append(c, at, POLICY_PORTS, &port);
}

static void read_host(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    (void)draft;
    struct rec_endpoint host;
    if (!name_endpoint(c, at, s, true, SMTP_PORT, &host))
        return;
    (void)compile_append(c, at, POLICY_HOSTS, &host);
    note_port(c, at, host.port);
}

static void read_hosts(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_route *r = draft;
    uint32_t first = compile_count(c, POLICY_HOSTS);
    compile_each(c, at, value, LIMIT_DOMAIN + sizeof ":65535", read_host, NULL);
    r->hosts = compile_range(c, POLICY_HOSTS, first);
    r->kind = POLICY_ROUTE_HOSTS;
}

static void read_mx(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_route *r = draft;
    struct span s;
    char ascii[DOMAIN_TEXT];
    char unicode[DOMAIN_TEXT];
    r->kind = POLICY_ROUTE_MX;
    r->port = SMTP_PORT;
    if (!value_string(c, at, value, 1, LIMIT_DOMAIN, &s))
        return;
    if (span_eq(s, SPAN_LIT("recipient")))
        r->kind = POLICY_ROUTE_MX_RECIPIENT;
    else if (name_domain(c, at, s, ascii, unicode))
        r->mx = compile_string(c, at, span_str(ascii));
}

static void read_port(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_route *r = draft;
    uint64_t port;
    if (r->kind == POLICY_ROUTE_HOSTS) {
        compile_remedy(compile_error(c, at, "\"port\" goes with \"mx\" alone"),
                       "write the port behind each host, like mail.example.ch:2525");
        return;
    }
    if (value_number(c, at, value, 1, UINT16_MAX, &port))
        r->port = (uint32_t)port;
}

static void read_route_tls(struct compiler *c, const struct place *at, const json_t *value,
                           void *draft)
{
    struct rec_route *r = draft;
    struct tls_draft t = {.demand.trust = POLICY_NONE, .identity = POLICY_NONE};
    compile_object(c, at, value, &route_tls_keys, &t);
    if (json_object_get(value, "trust") == NULL &&
        (t.demand.names.count > 0 || t.demand.organization.length > 0 ||
         t.demand.fingerprints.count > 0 || t.demand.pins.count > 0))
        compile_remedy(
            compile_error(c, at,
                          "\"names\", \"organization\", \"fingerprints\" or \"pins\" of a "
                          "certificate that nothing verifies"),
            "add \"trust\"");
    if (t.mutual != 0 && (t.require == 0 || json_object_get(value, "identity") == NULL))
        compile_remedy(compile_error(c, at, "\"mutual\" without what it needs"),
                       "add \"require\": true and \"identity\"");
    r->tls = t.demand;
    r->tls_require = t.require;
    r->tls_mutual = t.mutual;
    r->tls_dane = t.dane;
    r->identity = t.identity;
}

static void read_connections(struct compiler *c, const struct place *at, const json_t *value,
                             void *draft)
{
    struct rec_route *r = draft;
    uint64_t n;
    if (value_number(c, at, value, 1, LIMIT_ROUTE_CONNECTIONS_MAX, &n))
        r->connections = (uint32_t)n;
}

static void read_rate(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_route *r = draft;
    uint64_t n;
    if (value_number(c, at, value, 1, LIMIT_ROUTE_RATE_MAX, &n))
        r->rate = (uint32_t)n;
}

static const struct key route_table[] = {
    {"connections", KEY_OPTIONAL, read_connections},
    {"hosts", KEY_OPTIONAL, read_hosts},
    {"mails_per_minute", KEY_OPTIONAL, read_rate},
    {"mx", KEY_OPTIONAL, read_mx},
    {"port", KEY_OPTIONAL, read_port},
    {"tls", KEY_OPTIONAL, read_route_tls},
};
KEY_SET(route_keys, "route", route_table);

static void read_route(struct compiler *c, const struct place *at, const json_t *value,
                       struct rec_string name)
{
    struct rec_route r = {.name = name,
                          .identity = POLICY_NONE,
                          .tls.trust = POLICY_NONE,
                          .connections = LIMIT_ROUTE_CONNECTIONS_DEFAULT};
    compile_object(c, at, value, &route_keys, &r);
    bool hosts = json_object_get(value, "hosts") != NULL;
    bool mx = json_object_get(value, "mx") != NULL;
    if (json_is_object(value) && hosts == mx)
        compile_remedy(
            compile_error(c, at,
                          hosts ? "both \"hosts\" and \"mx\"" : "neither \"hosts\" nor \"mx\""),
            "give \"hosts\" to deliver to named hosts, or \"mx\" to look the mail "
            "exchangers up (of a domain, or \"recipient\")");
    if (r.port != 0)
        note_port(c, at, r.port);
    (void)compile_append(c, at, POLICY_ROUTES, &r);
}

void read_routes(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    (void)draft;
    compile_map(c, at, value, POLICY_ROUTES, "route", read_route);
}

void refuse_dane(struct compiler *c, const struct place *root, const json_t *policy)
{
    json_t *routes = json_object_get(policy, "routes"), *route;
    struct place at = {.up = root, .in = policy, .key = "routes"};
    const char *name;
    json_object_foreach(routes, name, route)
    {
        const json_t *tls = json_object_get(route, "tls");
        struct place at_route = {.up = &at, .in = routes, .key = name};
        struct place at_tls = {.up = &at_route, .in = route, .key = "tls"};
        struct place at_dane = {.up = &at_tls, .in = tls, .key = "dane"};
        if (json_is_true(json_object_get(tls, "dane")))
            compile_remedy(
                compile_error(c, &at_dane, "TLSA records govern, and no answer is validated"),
                "leave \"dnssec\" of \"resolver\" true, or take \"dane\" out");
    }
}
