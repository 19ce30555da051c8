/*
 * pem: files of certificates and keys, as bytes, to what the keeper works with. Pure.
 *
 * `reason` (LIMIT_REASON bytes) says what is wrong; never does it hold a part of a key.
 */
#ifndef MGID_KEEPER_PEM_H
#define MGID_KEEPER_PEM_H

#include "limits.h"
#include "span.h"
#include <openssl/base.h>
#include <openssl/x509.h>

/* A key and its chain. All zero: none. */
struct identity {
    EVP_PKEY *key;
    X509 *leaf;
    unsigned char *chain; /* as chain_result carries it */
    size_t chain_n;
    unsigned left_out; /* certificates of the file that do not belong to the chain */
};

/* The key's certificate is looked for in the file and its issuers are put after it, in order,
 * whatever the file's order; the certificate itself must come first (RFC 8446 4.4.2). */
/* `passphrase` (its first line) opens an encrypted key; empty: none. */
bool pem_identity(struct span certificates, struct span key, struct span passphrase,
                  struct identity *identity, char *reason);

/* Wipes and frees; leaves it all zero. */
void pem_identity_free(struct identity *identity);

/* A store of all certificates in the text, *count of them. Ones that can't be parsed are passed
 * over, as a system's store may hold such. NULL when none is left. */
X509_STORE *pem_trust(struct span text, unsigned *count, char *reason);

/* Adds the revocation lists of the text to the store: from then on it refuses what they revoke.
 * False with reason when there is none, too many, or one that is malformed: half a list would say
 * that a certificate is good. */
bool pem_crl(struct span text, X509_STORE *store, unsigned *count, char *reason);

#endif
