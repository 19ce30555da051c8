/*
 * dane: does a server's chain meet the TLSA records that DNSSEC vouches for (RFC 6698, RFC 7672)?
 * Knows no policy: whether records or a trust store govern is the caller's to decide.
 */
#ifndef MGID_KEEPER_DANE_H
#define MGID_KEEPER_DANE_H

#include "limits.h"
#include "span.h"
#include <openssl/base.h>
#include <openssl/x509.h>

/* The leaf or an authority of the chain (leaf first) is one of the usable records (tlsa.h). By a
 * record of usage 3 the leaf needs neither name nor date (RFC 7672 3.1.1); by one of usage 2 there
 * is a path to that authority, and one of the names. Else false with reason (LIMIT_REASON bytes).
 * Records without a usable one: false; nothing can be verified then, and the caller must know
 * before. */
bool dane_met(STACK_OF(X509) * chain, struct span records, const struct span *names,
              uint32_t name_count, uint64_t now, char *reason);

#endif
