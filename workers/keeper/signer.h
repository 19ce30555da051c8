/*
 * signer: signatures of TLS handshakes, by algorithms that fit the key. Knows no payload's
 * meaning: payload.h has judged it before.
 */
#ifndef MGID_KEEPER_SIGNER_H
#define MGID_KEEPER_SIGNER_H

#include "limits.h"
#include "workers/keeper/payload.h"
#include <openssl/base.h>

/* NULL when TLS can use the key with what we sign: RSA from 2048 to 8192 bits, P-256, P-384, P-521,
 * Ed25519. Otherwise a static text: what is wrong with it. */
const char *signer_key_refusal(const EVP_PKEY *key);

enum signer_result {
    SIGNER_DONE,
    SIGNER_ALGORITHM, /* it does not fit the key or the TLS version, or is not allowed at all */
    SIGNER_FAILED,
};

/* Signs the payload. `algorithm` is a SignatureScheme (RFC 8446 4.2.3). At most LIMIT_SIGNATURE
 * bytes are written to out, their number to *n. */
enum signer_result signer_sign(EVP_PKEY *key, enum payload_kind kind, uint16_t algorithm,
                               struct span payload, unsigned char *out, size_t *n);

/* "ecdsa_secp256r1_sha256", …; "unknown" for one that we never use. */
const char *signer_algorithm_name(uint16_t algorithm);

#endif
