/*
 * wire: reading a DNS response (RFC 1035 4.1) for the records of one type. Pure.
 *
 * libunbound hands over what it has checked; it is read as if it came from a stranger.
 */
#ifndef MGID_RESOLVER_WIRE_H
#define MGID_RESOLVER_WIRE_H

#include "limits.h"
#include "span.h"

enum wire_type {
    WIRE_A = 1,
    WIRE_CNAME = 5,
    WIRE_SOA = 6,
    WIRE_MX = 15,
    WIRE_AAAA = 28,
    WIRE_TLSA = 52
};
enum wire_rcode { WIRE_NOERROR = 0, WIRE_SERVFAIL = 2, WIRE_NXDOMAIN = 3 };

/* One record of the type asked for. */
struct wire_record {
    uint16_t preference;               /* MX */
    char name[LIMIT_DOMAIN + 1];       /* MX: lower case, without trailing dot; "" for the root */
    uint8_t octets[16];                /* A: the first 4; AAAA */
    uint8_t usage, selector, matching; /* TLSA */
    struct span data;                  /* TLSA: points into the packet */
};

struct wire_summary {
    uint8_t rcode;
    unsigned records;            /* of the type, also those that were left out */
    unsigned unusable;           /* MX whose target is no host name; left out */
    bool aliased;                /* a CNAME led from the question's name to the answer's … */
    char name[LIMIT_DOMAIN + 1]; /* … which is this; "" when it is no host name */
    uint32_t ttl; /* smallest of the answer's records, or of the SOA that denies; else 0 */
};

/*
 * Follows CNAMEs from the question's name and calls take for each record of the type (WIRE_A,
 * WIRE_AAAA, WIRE_MX, WIRE_TLSA) at their end. False when the packet is malformed, no response,
 * truncated, or to another type of question; what was taken until then is to be thrown away.
 */
bool wire_read(struct span packet, enum wire_type type,
               void (*take)(void *context, const struct wire_record *record), void *context,
               struct wire_summary *summary);

/* The text of an rcode, "SERVFAIL" …; "error" for one without a name here. */
const char *wire_rcode_text(unsigned rcode);

#endif
