/*
 * answer: from DNS responses to the answer of one look-up (RFC 5321 5.1, RFC 7505). Pure.
 *
 * An answer says which queries it needs (answer_next_query), takes their outcomes in any order
 * (answer_take, answer_fail), and is complete when none is left: then answer_write.
 */
#ifndef MGID_RESOLVER_ANSWER_H
#define MGID_RESOLVER_ANSWER_H

#include "lookup.h"
#include "workers/resolver/wire.h"

enum answer_state {
    ANSWER_UNASKED,
    ANSWER_ASKED,
    ANSWER_FOUND,
    ANSWER_NO_DATA,
    ANSWER_NO_NAME, /* NXDOMAIN */
    ANSWER_FAILED,  /* by rcode */
    ANSWER_TIME_OUT,
    ANSWER_BUSY,      /* the resolver has no room for one more query */
    ANSWER_MALFORMED, /* not a DNS response to what was asked */
    ANSWER_BOGUS,
};

/* What became of one query. */
struct answer_part {
    uint8_t state; /* enum answer_state */
    uint8_t rcode;
    bool secure;
    uint32_t ttl;
};

enum answer_family { ANSWER_IPV6, ANSWER_IPV4, ANSWER_FAMILIES };

/* The TLSA records of a host: for the name at the end of its CNAMEs, then for its own. */
struct answer_tlsa {
    struct answer_part part;
    uint8_t attempt;
    bool left_out; /* a record had no room */
    char base[LIMIT_DOMAIN + 1];
    char query[LIMIT_DOMAIN + 1]; /* "_25._tcp.base" */
    uint16_t n;
    unsigned char records[LIMIT_TLSA]; /* tlsa.h */
};

struct answer_host {
    uint16_t preference;
    uint32_t order; /* random: shuffles equal preferences */
    char name[LIMIT_DOMAIN + 1];
    struct answer_part parts[ANSWER_FAMILIES];
    uint8_t counts[ANSWER_FAMILIES];
    uint8_t v6[LIMIT_HOST_ADDRESSES][16];
    uint8_t v4[LIMIT_HOST_ADDRESSES][4];
    bool aliased;
    char expanded[LIMIT_DOMAIN + 1];
    struct answer_tlsa tlsa;
};

struct answer {
    enum lookup_kind kind;
    uint16_t tlsa_port; /* 0: not wanted */
    char name[LIMIT_DOMAIN + 1];
    bool literal; /* the name is an address; nothing is asked */
    bool bad_name;
    struct answer_part mx;
    bool implicit_mx; /* no MX: the domain itself (RFC 5321 5.1) */
    bool null_mx;
    unsigned host_count;
    struct answer_host hosts[LIMIT_MX];
    char detail[160]; /* why the first bogus part is bogus */
};

/* A query of an answer. host is ANSWER_MX_QUERY for the MX set. */
enum { ANSWER_MX_QUERY = LIMIT_MX };
struct answer_query {
    unsigned host;
    enum answer_family family; /* of an address query */
    enum wire_type type;
    const char *name; /* points into the answer */
};

/* The source of chance for the order among equal preferences. */
struct answer_random {
    uint32_t (*next)(void *context);
    void *context;
};

/* Begins a look-up. The name may be a domain with or without trailing dot, an address ("192.0.2.1",
 * "2001:db8::1") or an address literal of RFC 5321 4.1.3. An unknown kind is a bug of the caller.
 */
void answer_begin(struct answer *a, enum lookup_kind kind, struct span name, uint16_t tlsa_port);

/* The next query that is to be asked, which is thereby marked as asked; false when there is none
 * at present (outcomes of others may bring new ones). */
bool answer_next_query(struct answer *a, struct answer_query *query);

/* The response to a query. */
void answer_take(struct answer *a, const struct answer_query *query, struct span packet,
                 bool secure, const struct answer_random *random);

/* No response: state is ANSWER_FAILED (with rcode; NXDOMAIN is no failure), ANSWER_TIME_OUT,
 * ANSWER_BUSY or ANSWER_BOGUS (with libunbound's explanation, which may be NULL). */
void answer_fail(struct answer *a, const struct answer_query *query, enum answer_state state,
                 uint8_t rcode, const char *why);

/* What is to be sent. `reason` is empty with LOOKUP_OK. */
struct answer_result {
    enum lookup_status status;
    bool secure;  /* every response that counts was validated */
    uint32_t ttl; /* the smallest, at most LIMIT_LOOKUP_TTL; 0 when not to be kept */
    char reason[LIMIT_REASON + 1];
    size_t hosts_length;
    unsigned char hosts[LIMIT_LOOKUP]; /* as messages.def says at lookup_result */
};

/* Call when all queries are answered or failed. */
void answer_write(const struct answer *a, struct answer_result *out);

#endif
