/*
 * policy: the compiled policy, as every role reads it.
 *
 * The compiler makes of the JSON text one flat, position-independent image. policy_open checks
 * all of it once; after that every accessor is total: it allocates nothing, copies no bytes and
 * can't be led out of the image, whatever the image holds. Spans that are returned point into
 * the image and live as long as it does (until policy_unmap, for a mapped one).
 *
 * Things are named by their index, in the order of the JSON text. POLICY_NONE says "none". An
 * index out of range is a bug of the caller (BUG_ON), but for the functions that say otherwise;
 * who takes an index from another process checks it against policy_count first.
 *
 * All of policy.h but policy_map and policy_unmap is pure.
 */
#ifndef MGID_POLICY_H
#define MGID_POLICY_H

#include "language.h"
#include "limits.h"
#include "priority.h"
#include "span.h"
#include "tls_purpose.h"

#define POLICY_NONE UINT32_MAX

/* The tables of an image; a table refers only to those before it. POLICY_RULES and
 * POLICY_LISTENERS count those of all flows, POLICY_HOSTS those of all routes. */
enum policy_table {
    POLICY_BYTES,    /* what all strings point into */
    POLICY_STRINGS,  /* lists of names: read with policy_string */
    POLICY_TEXTS,    /* what a subject is compared with */
    POLICY_NETWORKS, /* CIDRs */
    POLICY_PATTERNS, /* of addresses and domains */
    POLICY_FIELDS,   /* names of header fields that rules compare */
    POLICY_HOSTS,
    POLICY_PORTS,   /* distinct TCP ports that the routes connect to */
    POLICY_SERVERS, /* name servers; none: those of /etc/resolv.conf */
    POLICY_LISTENERS,
    POLICY_SETTINGS, /* exactly one */
    POLICY_IDENTITIES,
    POLICY_TRUSTS,
    POLICY_PEERS,
    POLICY_ROUTES,
    POLICY_NODES, /* conditions, in pre-order */
    POLICY_RULES,
    POLICY_CANDIDATES, /* lists of rules, for the index by recipient domain */
    POLICY_SLOTS,      /* that index */
    POLICY_FLOWS,
    POLICY_TABLE_COUNT
};

/* An opened image. The members are private to policy/. */
struct policy {
    struct span image;
    const void *tables[POLICY_TABLE_COUNT];
    uint32_t counts[POLICY_TABLE_COUNT];
};

/* Checks the whole image: format, checksum, bounds, indexes, string ranges, enumerations,
 * condition trees (depth, shape), a last rule without condition in every flow. On failure
 * returns false and writes one line to reason (LIMIT_REASON bytes). The image is borrowed; its
 * address must be a multiple of 8. */
bool policy_open(struct policy *p, struct span image, char *reason);

/* Opens an image that policy_open has accepted in another process, and that has not changed since:
 * looks at its frame alone (version, lengths, where the tables lie), whatever its size. */
bool policy_open_checked(struct policy *p, struct span image, char *reason);

/* Maps the image in fd (a memfd) read-only and opens it. Refuses a descriptor that is not sealed
 * against writing, shrinking, growing and unsealing: so that what was checked stays what is
 * read. fd stays the caller's and may be closed afterwards. System calls: fcntl(F_GET_SEALS),
 * fstat, mmap, and munmap on failure. */
bool policy_map(struct policy *p, int fd, char *reason);
/* The same with policy_open_checked, for one that the master hands out: it has checked it with
 * policy_map, and the seals say that it is what was checked. So a worker with open sessions need
 * not read 100,000 rules before it goes on. */
bool policy_map_checked(struct policy *p, int fd, char *reason);
void policy_unmap(struct policy *p);

/* How many there are. */
uint32_t policy_count(const struct policy *p, enum policy_table table);

/* ---- settings --------------------------------------------------------------------------- */

/* What senders are told of their mail. */
struct policy_notifications {
    struct span from;       /* the address in From */
    struct span postmaster; /* hears of notices that can't be delivered, with double_bounce */
    uint8_t languages[LANGUAGE_COUNT]; /* enum language, each at most once */
    uint8_t language_count;            /* at least 1 */
    uint8_t delay_count;
    bool return_full;   /* the whole mail rather than its headers, when the client said nothing */
    bool double_bounce; /* false: they are dropped */
    uint32_t delay_after[LIMIT_DELAY_NOTICES]; /* seconds, rising */
};

/* Of clients, by a worker; 0 is no limit. See limits.def. */
struct policy_limits {
#define LIMIT(name, kind, least, usual, most) uint32_t name;
#include "policy/limits.def"
#undef LIMIT
};

/* An IP address. family is 4 or 6, or 0 for none (then it is in no network). The functions below
 * take an IPv4-mapped IPv6 address for the IPv4 address that it is. */
struct policy_address {
    uint8_t family;
    unsigned char bytes[16]; /* the first 4 for IPv4; network order */
};

/* A socket address. `text` as the policy writes it. */
struct policy_endpoint {
    struct span text;
    struct policy_address address;
    uint16_t port;
};

struct policy_settings {
    struct span hostname;
    struct span spool;          /* absolute path */
    struct span control_socket; /* absolute path, fits sockaddr_un */
    struct span log_file;       /* empty: stderr */
    uint32_t uid_base;
    uint64_t message_size; /* largest mail, bytes */
    uint64_t memory;       /* buffer pool of a connection worker, bytes */
    uint32_t sessions;     /* inbound sessions of a connection worker */
    uint32_t recipients;   /* of one mail */
    uint32_t retry_first;  /* seconds until the second attempt */
    uint32_t retry_max;    /* longest pause between two attempts, seconds; >= retry_first */
    uint32_t lifetime;     /* seconds until a mail is bounced */
    struct policy_limits limits;
    bool dnssec;              /* the resolver validates */
    bool sandbox_required;    /* no role serves with less than the whole sandbox */
    struct span trust_anchor; /* absolute path of a file; empty: the root's */
    struct policy_notifications notifications;
    struct policy_endpoint metrics; /* port 0: none are served */
};

struct policy_settings policy_settings(const struct policy *p);

struct policy_endpoint policy_server(const struct policy *p, uint32_t index);
struct policy_endpoint policy_listener(const struct policy *p, uint32_t index);
uint16_t policy_port(const struct policy *p, uint32_t index);

enum policy_arrival {
    POLICY_ARRIVAL_DIRECT,   /* from is the client */
    POLICY_ARRIVAL_PROXIED,  /* from is a balancer: a PROXY header says who the client is */
    POLICY_ARRIVAL_STRANGER, /* the listener is for balancers, and from is none of them */
};

/* What a connection from that address to that listener is (proxy_from). */
enum policy_arrival policy_listener_arrival(const struct policy *p, uint32_t index,
                                            const struct policy_address *from);

/* Seconds until a client of that listener is greeted; 0: at once. */
uint32_t policy_listener_greeting_delay(const struct policy *p, uint32_t index);

/* ---- certificates ----------------------------------------------------------------------- */

struct policy_identity {
    struct span name;
    struct span certificate; /* absolute path, PEM, leaf first */
    struct span key;         /* absolute path, PEM */
    struct span passphrase;  /* absolute path: its first line opens the key; empty: none */
};

struct policy_identity policy_identity(const struct policy *p, uint32_t index);

struct policy_trust {
    struct span name;
    bool system;      /* the system's trust store; file is then its bundle's path */
    struct span file; /* absolute path, PEM; never empty */
    struct span crl;  /* absolute path, PEM; empty: no revocation is checked */
};

struct policy_trust policy_trust(const struct policy *p, uint32_t index);

/* Elements first to first + count - 1 of a table. */
struct policy_range {
    uint32_t first;
    uint32_t count;
};

/* One of a list of strings: names are read so, with 0 <= i < names.count. */
struct span policy_string(const struct policy *p, struct policy_range list, uint32_t i);

/* What a peer's certificate must show. trust POLICY_NONE: no verification is demanded (names and
 * organization are then empty). No names: for a route the name connected to governs, for a peer
 * any name will do. A name may begin with "*." (RFC 6125 6.4.3). */
struct policy_demand {
    uint32_t trust;
    struct policy_range names;
    struct span organization; /* empty: any */
    /* SHA-256 of the certificate, of its SubjectPublicKeyInfo: policy_string, 64 hexadecimal digits
     * in lower case. Where there are any the certificate's must be one of them. */
    struct policy_range fingerprints;
    struct policy_range pins;
    bool server_auth; /* peers: a certificate for servers alone will do for a client */
};

/* ---- peers ------------------------------------------------------------------------------ */

/* At most 64: peer n is bit n of a mask. One with addresses and tls must meet both. */
struct policy_peer {
    struct span name;
    struct policy_range networks; /* empty: from anywhere */
    bool needs_tls;               /* then tls.trust is set */
    bool trusted;                 /* the limits of clients do not hold for it */
    struct policy_demand tls;
};

struct policy_peer policy_peer(const struct policy *p, uint32_t index);

/* The peers that are met in full by a client from that address which met the TLS demands of
 * tls_met (bits of peers; 0 in clear or without a certificate). Bits of peers that don't need
 * TLS need not be set in tls_met. */
uint64_t policy_peers_met(const struct policy *p, const struct policy_address *client,
                          uint64_t tls_met);

/* Is one of the peers trusted? */
bool policy_trusts(const struct policy *p, uint64_t peers);

/* The peers whose networks hold the address, or that have none: the address's half alone. */
uint64_t policy_peers_by_address(const struct policy *p, const struct policy_address *client);

/* ---- routes ----------------------------------------------------------------------------- */

enum policy_route_kind {
    POLICY_ROUTE_HOSTS,        /* the hosts, in order */
    POLICY_ROUTE_MX,           /* the mail exchangers of mx */
    POLICY_ROUTE_MX_RECIPIENT, /* those of the recipient's domain */
};

struct policy_route {
    struct span name;
    enum policy_route_kind kind;
    struct policy_range hosts; /* POLICY_ROUTE_HOSTS: at least one */
    struct span mx;            /* POLICY_ROUTE_MX: a domain, lower case, no trailing dot */
    uint16_t port;             /* the two MX kinds: port of every exchanger */
    bool tls_require;          /* never in clear */
    bool tls_mutual;           /* nor to a server that does not ask for our certificate */
    bool tls_dane;             /* TLSA records govern, where no trust store does */
    struct policy_demand tls;
    uint32_t identity;    /* client certificate, or POLICY_NONE */
    uint32_t connections; /* at once to one destination of it, from one worker */
    uint32_t rate;        /* mails a minute, the same; 0: no bound */
};

struct policy_route policy_route(const struct policy *p, uint32_t index);
/* POLICY_NONE when there is none of that name. */
uint32_t policy_find_route(const struct policy *p, struct span name);

/* A host of a route: a name (address.family 0) or an address literal (name is its text). */
struct policy_host {
    struct span name;
    struct policy_address address;
    uint16_t port;
};

/* 0 <= i < hosts.count of the route. */
struct policy_host policy_route_host(const struct policy *p, uint32_t route, uint32_t i);

/* ---- flows and rules -------------------------------------------------------------------- */

enum policy_client_certificate {
    POLICY_CERTIFICATE_NO,      /* none is asked for */
    POLICY_CERTIFICATE_ASK,     /* asked for and verified to a verdict; rules decide */
    POLICY_CERTIFICATE_REQUIRE, /* no mail without a verified one */
};

/* TLS key exchanges that a flow may be limited to, by their names. */
enum policy_group { POLICY_X25519, POLICY_P256, POLICY_P384, POLICY_GROUP_COUNT };

enum policy_bare_lf {
    POLICY_BARE_LF_REFUSE,
    POLICY_BARE_LF_NORMALISE, /* it becomes CRLF */
};

/* Fields that a mail gets when it has none of that name. */
enum policy_complete {
    POLICY_COMPLETE_MESSAGE_ID = 1 << 0,
    POLICY_COMPLETE_DATE = 1 << 1,
};
enum { POLICY_COMPLETE_ALL = POLICY_COMPLETE_MESSAGE_ID | POLICY_COMPLETE_DATE };

struct policy_flow {
    struct span name;
    struct policy_range listeners; /* of policy_listener */
    uint32_t identity;             /* POLICY_NONE: STARTTLS is not offered */
    uint64_t identities;           /* those that a client may ask for by name, itself among them */
    bool tls_legacy;               /* CBC suites too */
    uint32_t tls_groups;           /* bits of enum policy_group; 0: all */
    uint32_t workers;              /* 1 .. LIMIT_WORKERS_PER_FLOW */
    uint64_t accept_from;          /* peers; 0: anyone */
    struct policy_range domains;   /* patterns; empty: any recipient */
    enum policy_client_certificate client_certificate;
    enum policy_bare_lf bare_lf;
    uint32_t complete;         /* enum policy_complete */
    uint32_t bounce_route;     /* POLICY_NONE only when no rule of the flow has a route */
    struct policy_range rules; /* of policy_rule */
};

struct policy_flow policy_flow(const struct policy *p, uint32_t index);
/* POLICY_NONE when there is none of that name. */
uint32_t policy_find_flow(const struct policy *p, struct span name);

/* True when the flow takes mail from a client that is those peers (policy_peers_met). */
bool policy_flow_accepts(const struct policy *p, uint32_t flow, uint64_t peers);

/* True when the flow takes mail for that recipient (no brackets): it has no `domains`, or one of
 * them matches. The bare "postmaster" is always taken (RFC 5321 4.5.1). False means a reply of
 * 550 5.7.1 relaying denied. */
bool policy_recipient_allowed(const struct policy *p, uint32_t flow, struct span recipient);

/* May a worker of the flow have that identity's key sign for that purpose (enum tls_purpose)? As
 * a server: the listener's identities. As a client: the identities of the routes that the flow's
 * rules and its bounce_route name. False too for any index or purpose that does not exist. */
bool policy_identity_allowed(const struct policy *p, uint32_t flow, uint32_t identity,
                             unsigned purpose);

enum policy_action { POLICY_ACT_ROUTE, POLICY_ACT_REJECT, POLICY_ACT_DEFER, POLICY_ACT_DISCARD };

struct policy_rule {
    struct span name;
    enum policy_action action;
    uint32_t route;    /* POLICY_ACT_ROUTE */
    struct span reply; /* POLICY_ACT_REJECT, _DEFER: "550 5.7.1 text", but for CRLF ready to send */
    bool conditional;  /* has a `when` */
    uint32_t lifetime; /* seconds until that recipient's copy is bounced; 0: settings.lifetime */
    enum priority priority;
    bool hold;         /* the mail is kept back until an operator releases it */
    bool rewrites;     /* policy_rewrite may change the recipient's address */
    struct span edits; /* of the header of that recipient's copy (engine/mime/edit.h) */
};

/* index counts all rules: flow.rules.first is the flow's first. */
struct policy_rule policy_rule(const struct policy *p, uint32_t index);

/* The recipient's address as the rule wants it delivered, in out: without the suffix that it
 * takes away, with the one that it adds, each by label and only where it is not so already. Empty
 * when no address would come of it: one without a domain, with a literal, or too long. */
struct span policy_rewrite(const struct policy *p, uint32_t rule, struct span recipient,
                           unsigned char out[LIMIT_ADDRESS]);

/* The reply to a recipient of whose address none would come. */
struct span policy_rewrite_refusal(void);

/* The name of a header field that rules compare; index below policy_count(POLICY_FIELDS). */
struct span policy_field(const struct policy *p, uint32_t index);

/* ---- deciding --------------------------------------------------------------------------- */

/* What is known of a mail and one of its recipients. Addresses without angle brackets. */
struct policy_facts {
    struct span sender; /* empty: the null sender */
    struct span recipient;
    struct policy_address client;
    uint64_t peers;       /* policy_peers_met */
    unsigned tls_version; /* 12 or 13 for TLS 1.2 or 1.3; 0: in clear */
    bool tls_verified;    /* the client's certificate was, against any trust store of a peer */
    bool have_headers;    /* the mail is there, and what follows is valid */
    uint64_t size;        /* of the mail as it came, bytes */
    /* Decoded and unfolded, UTF-8; empty when the mail has none. Of several Subject fields all,
     * with "\n" between: a condition holds when it holds for one of them. */
    struct span subject;
    /* The domains of all author addresses (From), so that a second one can't hide the first. A
     * condition from_domain holds when one of them matches. */
    const struct span *from_domains;
    uint32_t from_domain_count;
    /* The values of the fields that rules compare, by number (policy_field), decoded as the subject
     * is; empty for what the mail has not. NULL: the mail has none of them. */
    const struct span *fields;
};

enum policy_truth { POLICY_FALSE, POLICY_TRUE, POLICY_UNKNOWN };

enum policy_condition {
    POLICY_IF_ALL,
    POLICY_IF_ANY,
    POLICY_IF_NOT,
    POLICY_IF_RECIPIENT,
    POLICY_IF_SENDER,
    POLICY_IF_FROM_DOMAIN,
    POLICY_IF_CLIENT,
    POLICY_IF_PEER,
    POLICY_IF_SUBJECT_CONTAINS,
    POLICY_IF_SUBJECT_EQUALS,
    POLICY_IF_SUBJECT_STARTS,
    POLICY_IF_SUBJECT_ENDS,
    POLICY_IF_HEADER_CONTAINS, /* in the order of the subject's */
    POLICY_IF_HEADER_EQUALS,
    POLICY_IF_HEADER_STARTS,
    POLICY_IF_HEADER_ENDS,
    POLICY_IF_SIZE_OVER,
    POLICY_IF_SIZE_UNDER,
    POLICY_IF_TLS_VERSION,
    POLICY_IF_TLS_VERIFIED,
    POLICY_CONDITION_COUNT,
    POLICY_IF_RULE = POLICY_CONDITION_COUNT /* in a trace: the rule as a whole */
};

/* "recipient", "subject contains", … as an operator knows it. */
const char *policy_condition_name(enum policy_condition condition);

/* One comparison, or (POLICY_IF_RULE) one rule. Spans live as long as facts and image. */
struct policy_step {
    uint32_t rule;
    enum policy_condition condition; /* a leaf, or POLICY_IF_RULE */
    enum policy_truth truth;
    struct span value;   /* what was compared; empty where it is no text */
    struct span field;   /* the name of the header field; else empty */
    struct span matched; /* the bytes of value that matched, when truth is POLICY_TRUE */
};

struct policy_trace {
    void *context;
    void (*step)(void *context, const struct policy_step *step);
};

enum policy_outcome {
    POLICY_ROUTE,
    POLICY_REJECT,
    POLICY_DEFER,
    POLICY_DISCARD,      /* taken and thrown away */
    POLICY_NEED_HEADERS, /* ask again with have_headers; never returned when it was set */
};

struct policy_decision {
    enum policy_outcome outcome;
    uint32_t rule;     /* of policy_rule; for POLICY_NEED_HEADERS the rule that needs them */
    uint32_t route;    /* POLICY_ROUTE, else POLICY_NONE */
    struct span reply; /* POLICY_REJECT, POLICY_DEFER */
};

/* The first rule of the flow whose condition holds. A rule that can't be told before the headers
 * are there ends the walk. Every comparison and rule is told to trace, when it is not NULL. */
struct policy_decision policy_decide(const struct policy *p, uint32_t flow,
                                     const struct policy_facts *facts,
                                     const struct policy_trace *trace);

/* Does the domain (or an address's) match label-wise? "*.example.ch" matches any name below
 * example.ch but not itself; letters without case; one trailing dot is ignored. The pattern must
 * be in the form that the compiler stores. For tests, tools and the compiler. */
bool policy_domain_matches(struct span pattern, struct span domain);

#endif
