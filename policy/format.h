/*
 * format: how an image lies in memory. Private to policy/; others read it through policy.h.
 *
 * A header, then the tables in the order of enum policy_table, each beginning at the next
 * multiple of 8 bytes after the one before; the last one ends the image. Numbers are in host
 * order: an image lives on one machine and under one build. There are no pointers: records name
 * each other by index, and strings by offset and length in the table of bytes.
 */
#ifndef MGID_POLICY_FORMAT_H
#define MGID_POLICY_FORMAT_H

#include "policy/policy.h"

#define FORMAT_MAGIC "mgidpol"
enum { FORMAT_VERSION = 5, FORMAT_ALIGN = 8 };

struct rec_table {
    uint32_t offset;
    uint32_t count;
};

struct rec_header {
    char magic[8];
    uint32_t version;
    uint32_t table_count;
    uint64_t size;
    uint64_t checksum; /* of all bytes, with this field taken as 0 */
    struct rec_table tables[POLICY_TABLE_COUNT];
};

struct rec_string {
    uint32_t offset;
    uint32_t length;
};

struct rec_identity {
    struct rec_string name, certificate, key;
    struct rec_string passphrase; /* empty: none */
};

struct rec_trust {
    struct rec_string name, file;
    struct rec_string crl; /* empty: none */
    uint32_t system;
};

struct rec_demand {
    uint32_t trust;
    struct policy_range names;
    struct rec_string organization;
    struct policy_range fingerprints; /* strings of 64 hexadecimal digits, lower case */
    struct policy_range pins;         /* the same */
    uint32_t server_auth;             /* a client's certificate may be for servers only */
};

struct rec_peer {
    struct rec_string name;
    struct policy_range networks;
    uint32_t needs_tls;
    uint32_t trusted;
    struct rec_demand tls;
};

struct rec_route {
    struct rec_string name;
    uint32_t kind;
    uint32_t port;
    struct policy_range hosts;
    struct rec_string mx;
    uint32_t tls_require;
    uint32_t tls_mutual;
    uint32_t tls_dane;
    uint32_t identity;
    uint32_t connections;
    uint32_t rate;
    struct rec_demand tls;
};

/* A listener, a name server, or a host of a route (then text is its name). */
struct rec_endpoint {
    struct rec_string text;
    uint32_t family;
    uint32_t port;
    unsigned char address[16];
};

/* `proxies`: networks whose connections begin with a PROXY header, the only ones then. */
struct rec_listener {
    struct rec_endpoint endpoint;
    struct policy_range proxies;
    uint32_t greeting_delay; /* seconds */
};

/* A range of slots is a hash table of recipient domains (compile_index.c), its size a power of
 * two or 0; `always` lists the rules that it does not know of. */
struct rec_flow {
    struct rec_string name;
    struct policy_range listeners;
    struct policy_range domains;
    struct policy_range rules;
    struct policy_range slots;
    struct policy_range always;
    uint64_t accept_from;
    uint64_t server_identities; /* `identity`, and what a client may ask for instead */
    uint64_t client_identities; /* that the worker's key requests may name as a client */
    uint32_t identity;
    uint32_t workers;
    uint32_t client_certificate;
    uint32_t bounce_route;
    uint32_t tls_legacy;
    uint32_t tls_groups; /* bits of enum policy_group; 0: the usual ones */
    uint32_t bare_lf;
    uint32_t complete; /* enum policy_complete */
};

struct rec_rule {
    struct rec_string name;
    struct rec_string reply;
    uint32_t action;
    uint32_t route;
    struct policy_range nodes; /* one tree; empty: unconditional */
    uint32_t lifetime;         /* seconds; 0: the policy's */
    uint32_t priority;
    uint32_t hold;
    struct rec_string remove_suffix; /* a domain; empty: none */
    struct rec_string add_suffix;
    struct rec_string edits; /* of the header, as engine/mime/edit.h has them */
};

/* A condition; its subtree is the `size` nodes from itself on. */
struct rec_node {
    uint32_t condition;
    uint32_t size;
    struct policy_range items; /* patterns, networks or texts */
    uint64_t value;            /* peers: a mask; size: bytes; TLS: the lowest version, or 0 and 1 */
    uint32_t case_sensitive;
    uint32_t field; /* of a header condition */
};

enum pattern_local { PATTERN_ANY, PATTERN_LITERAL, PATTERN_NULL_SENDER };

/* Strings are lower case (ASCII), the domain without trailing dot. */
struct rec_pattern {
    uint32_t local_kind;
    uint32_t below; /* any name below the domain, but not the domain */
    struct rec_string local;
    struct rec_string domain;
};

struct rec_network {
    uint32_t family;
    uint32_t bits;
    unsigned char address[16];
};

struct rec_settings {
    struct rec_string hostname, spool, control_socket, log_file, notice_from, postmaster;
    struct rec_string trust_anchor; /* empty: the root's */
    struct rec_endpoint metrics;    /* port 0: none */
    uint64_t message_size;
    uint64_t memory;
    struct policy_limits limits;
    uint32_t uid_base;
    uint32_t sessions;
    uint32_t recipients;
    uint32_t retry_first;
    uint32_t retry_max;
    uint32_t lifetime;
    uint32_t dnssec;
    uint32_t languages[LANGUAGE_COUNT];
    uint32_t language_count;
    uint32_t delay_after[LIMIT_DELAY_NOTICES];
    uint32_t delay_count;
    uint32_t return_full;
    uint32_t double_bounce; /* 1: to the postmaster */
    uint32_t sandbox_required;
};

/* A domain that rules name, and those rules: with the domain itself, and with all below it.
 * Empty when the domain is. */
struct rec_slot {
    struct rec_string domain;
    struct policy_range exact;
    struct policy_range below;
};

/* TABLE(NAME, type of a record, largest count), in the order of enum policy_table */
#define POLICY_FORMAT(TABLE)                                                                       \
    TABLE(BYTES, unsigned char, LIMIT_POLICY_BYTES)                                                \
    TABLE(STRINGS, struct rec_string, LIMIT_POLICY_STRINGS)                                        \
    TABLE(TEXTS, struct rec_string, LIMIT_POLICY_TEXTS)                                            \
    TABLE(NETWORKS, struct rec_network, LIMIT_POLICY_NETWORKS)                                     \
    TABLE(PATTERNS, struct rec_pattern, LIMIT_POLICY_PATTERNS)                                     \
    TABLE(FIELDS, struct rec_string, LIMIT_POLICY_FIELDS)                                          \
    TABLE(HOSTS, struct rec_endpoint, LIMIT_POLICY_HOSTS)                                          \
    TABLE(PORTS, uint32_t, UINT16_MAX)                                                             \
    TABLE(SERVERS, struct rec_endpoint, LIMIT_NAME_SERVERS)                                        \
    TABLE(LISTENERS, struct rec_listener, LIMIT_LISTENERS)                                         \
    TABLE(SETTINGS, struct rec_settings, 1)                                                        \
    TABLE(IDENTITIES, struct rec_identity, LIMIT_POLICY_IDENTITIES)                                \
    TABLE(TRUSTS, struct rec_trust, LIMIT_POLICY_TRUSTS)                                           \
    TABLE(PEERS, struct rec_peer, LIMIT_POLICY_PEERS)                                              \
    TABLE(ROUTES, struct rec_route, LIMIT_POLICY_ROUTES)                                           \
    TABLE(NODES, struct rec_node, LIMIT_POLICY_NODES)                                              \
    TABLE(RULES, struct rec_rule, LIMIT_POLICY_RULES)                                              \
    TABLE(CANDIDATES, uint32_t, LIMIT_POLICY_PATTERNS + LIMIT_POLICY_RULES)                        \
    TABLE(SLOTS, struct rec_slot, 4 * LIMIT_POLICY_PATTERNS)                                       \
    TABLE(FLOWS, struct rec_flow, LIMIT_FLOWS)

struct format_table {
    const char *name;
    size_t record_size;
    uint32_t max;
};

/* By enum policy_table. */
extern const struct format_table format_tables[POLICY_TABLE_COUNT];

/* The checksum that belongs into the header of an image of at least a header's length. */
uint64_t format_checksum(struct span image);

/* Where the next table begins. */
static inline uint64_t format_align(uint64_t offset)
{
    return (offset + FORMAT_ALIGN - 1) / FORMAT_ALIGN * FORMAT_ALIGN;
}

/* The hash of a domain in any case of ASCII letters, for the slots of a flow. */
uint32_t format_domain_hash(struct span domain);

/* Records of an opened image, by index. A range that policy_open has checked needs no check. */
#define FORMAT_ACCESS(NAME, type, max)                                                             \
    static inline const type *format_##NAME(const struct policy *p)                                \
    {                                                                                              \
        return (const type *)p->tables[POLICY_##NAME];                                             \
    }
POLICY_FORMAT(FORMAT_ACCESS)
#undef FORMAT_ACCESS

static inline struct span format_string(const struct policy *p, struct rec_string s)
{
    return span_of(format_BYTES(p) + s.offset, s.length);
}

#endif
