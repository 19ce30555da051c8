/*
 * verify: does a peer's chain meet a demand? Knows no policy and no descriptor: what is wanted
 * comes in, a verdict and its reason go out.
 */
#ifndef MGID_KEEPER_VERIFY_H
#define MGID_KEEPER_VERIFY_H

#include "limits.h"
#include "span.h"
#include "tls_purpose.h"
#include <openssl/base.h>
#include <openssl/x509.h>

struct trust {
    char name[LIMIT_NAME + 1];
    X509_STORE *store;        /* NULL: could not be loaded */
    unsigned count;           /* certificates */
    unsigned char digest[32]; /* of its files */
    bool partial;             /* a certificate that is no root may end the path too */
    bool revocation;          /* it has lists of revoked certificates */
};

/* trust NULL: nothing is demanded. names may begin with "*." (names.h). */
struct verify_demand {
    const struct trust *trust;
    const struct span *names;
    uint32_t name_count;
    struct span organization;        /* empty: any */
    const struct span *fingerprints; /* SHA-256 in hexadecimal digits; of the certificate … */
    uint32_t fingerprint_count;
    const struct span *pins; /* … and of its public key */
    uint32_t pin_count;
    bool server_auth; /* a certificate for servers alone will do for a client */
};

struct verdict {
    bool verified;
    uint64_t peers;
    uint64_t not_after; /* seconds since 1970 */
    unsigned char sha256[32];
    char reason[LIMIT_REASON]; /* why not; "" when verified */
    char subject[LIMIT_REASON];
    char organization[LIMIT_REASON];
    char issuer[LIMIT_REASON];
    char names[LIMIT_REASON];
};

/* Fills what the leaf says: subject, organization, issuer, names, sha256, not_after. */
void verify_describe(const X509 *leaf, struct verdict *verdict);

/* Does the chain (leaf first, the rest in any order) lead to the trust store at that time (seconds
 * since 1970), fit for its purpose (TLS_PEER_SERVER, TLS_PEER_CLIENT), by keys and hashes that are
 * strong enough? Else false with reason (LIMIT_REASON bytes). */
bool verify_path(STACK_OF(X509) * chain, const struct trust *trust, unsigned purpose, uint64_t now,
                 char *reason);

/* The SHA-256 of the leaf's SubjectPublicKeyInfo. */
void verify_key_sha256(const X509 *leaf, unsigned char digest[32]);

/* Do the leaf's names, organization and digests meet the demand? `host` governs when the demand
 * lists no names, unless it is empty. Else false with reason. */
bool verify_identity(const X509 *leaf, const struct verify_demand *demand, struct span host,
                     char *reason);

#endif
