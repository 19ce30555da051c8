/*
 * lookup: what a connection worker asks the resolver (lookup_request, lookup_result in
 * messages.def), and how it reads the answer.
 */
#ifndef MGID_LOOKUP_H
#define MGID_LOOKUP_H

#include "engine/ipc/ipc.h"

enum lookup_kind {
    LOOKUP_HOST = 1, /* A and AAAA of a host: one entry of preference 0 */
    LOOKUP_MX = 2,   /* the MX set of a domain (RFC 5321 5.1), with the addresses of each host */
};

/*
 * X(NAME, text, permanent). Not permanent: defer the mail. LOOKUP_OK is zero.
 * Only OK has hosts; every other one has a reason that names the look-up that failed.
 */
#define LOOKUP_STATUSES(X)                                                                         \
    X(OK, "found", false)                                                                          \
    X(NO_SUCH_DOMAIN, "no such domain", true)                                                      \
    X(NO_ADDRESS, "no address", true)   /* the name exists, neither MX host nor it has one */      \
    X(NULL_MX, "accepts no mail", true) /* RFC 7505 */                                             \
    X(BAD_NAME, "not a host name", true)                                                           \
    X(TRY_AGAIN, "look-up failed", false) /* time-out, SERVFAIL, or the resolver is full */        \
    X(BOGUS, "DNSSEC validation failed", false)

enum lookup_status {
#define X(NAME, text, permanent) LOOKUP_##NAME,
    LOOKUP_STATUSES(X)
#undef X
        LOOKUP_STATUS_COUNT
};

/* For people; "unknown" for a number that is no status. */
static inline const char *lookup_status_text(unsigned status)
{
    static const char *const texts[] = {
#define X(NAME, text, permanent) text,
        LOOKUP_STATUSES(X)
#undef X
    };
    return status < LOOKUP_STATUS_COUNT ? texts[status] : "unknown";
}

/* True when asking again later makes no difference: the mail bounces. */
static inline bool lookup_permanent(unsigned status)
{
    static const bool permanents[] = {
#define X(NAME, text, permanent) permanent,
        LOOKUP_STATUSES(X)
#undef X
    };
    return status < LOOKUP_STATUS_COUNT && permanents[status];
}

/* What became of a host's TLSA records. */
enum lookup_tlsa {
    LOOKUP_TLSA_NONE,   /* not wanted, there are none, or DNSSEC does not vouch for them */
    LOOKUP_TLSA_FOUND,  /* validated; tlsa.h */
    LOOKUP_TLSA_FAILED, /* bogus, or no answer: the host must not be used now (RFC 7672 2.1.2) */
};

struct lookup_address {
    uint8_t family;     /* 4 or 6 */
    uint8_t octets[16]; /* the first 4 of them for family 4 */
};

/* One host of an answer. `name` is empty for an address literal. */
struct lookup_host {
    uint16_t preference;
    bool secure; /* its addresses (and the MX set, for a look-up of that kind) were validated */
    struct span name; /* as asked or as in the MX record, lower case, without trailing dot */
    uint8_t count;    /* of addresses, at least 1; in the order in which they are to be tried */
    struct lookup_address addresses[LIMIT_HOST_ADDRESSES];
    enum lookup_tlsa tlsa;
    struct span tlsa_base;    /* FOUND: the name that they belong to, which a CNAME may have led to */
    struct span tlsa_records; /* FOUND: tlsa.h; FAILED: why, as text */
};

/*
 * Takes the next host from the `hosts` field of a lookup_result (r->in); names point into it.
 * False at the end, and when what follows is malformed: then r->bad is set.
 */
static inline bool lookup_next_host(struct msg_reader *r, struct lookup_host *host)
{
    if (r->bad || r->in.n == 0)
        return false;
    host->preference = msg_get_u16(r);
    host->secure = msg_get_u8(r) != 0;
    host->name = msg_get_span(r, LIMIT_DOMAIN);
    host->count = msg_get_u8(r);
    if (host->count == 0 || host->count > LIMIT_HOST_ADDRESSES)
        r->bad = true;
    for (unsigned i = 0; i < host->count && !r->bad; i++) {
        struct lookup_address *a = &host->addresses[i];
        a->family = msg_get_u8(r);
        struct span octets = msg_get_span(r, sizeof a->octets);
        if (!((a->family == 4 && octets.n == 4) || (a->family == 6 && octets.n == 16)))
            r->bad = true;
        else
            memcpy(a->octets, octets.p, octets.n);
    }
    unsigned tlsa = msg_get_u8(r);
    host->tlsa_base = msg_get_span(r, LIMIT_DOMAIN);
    host->tlsa_records = msg_get_span(r, LIMIT_TLSA);
    if (tlsa > LOOKUP_TLSA_FAILED)
        r->bad = true;
    host->tlsa = tlsa == LOOKUP_TLSA_FOUND    ? LOOKUP_TLSA_FOUND
                 : tlsa == LOOKUP_TLSA_FAILED ? LOOKUP_TLSA_FAILED
                                              : LOOKUP_TLSA_NONE;
    return !r->bad;
}

#endif
