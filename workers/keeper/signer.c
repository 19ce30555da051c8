/* Which algorithm goes with which key, and the signing itself. */
#include "workers/keeper/signer.h"
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 };

struct algorithm {
    uint16_t number;
    const char *name;
    int key;                       /* EVP_PKEY_… */
    int curve;                     /* that TLS 1.3 demands of the key; 0: none */
    const EVP_MD *(*digest)(void); /* NULL: the algorithm has its own */
    bool pss;
    bool tls13;
};

/* RFC 8446 4.2.3 without SHA-1. PKCS #1 v1.5 is for TLS 1.2 only. */
static const struct algorithm algorithms[] = {
    {0x0401, "rsa_pkcs1_sha256", EVP_PKEY_RSA, 0, EVP_sha256, false, false},
    {0x0501, "rsa_pkcs1_sha384", EVP_PKEY_RSA, 0, EVP_sha384, false, false},
    {0x0601, "rsa_pkcs1_sha512", EVP_PKEY_RSA, 0, EVP_sha512, false, false},
    {0x0804, "rsa_pss_rsae_sha256", EVP_PKEY_RSA, 0, EVP_sha256, true, true},
    {0x0805, "rsa_pss_rsae_sha384", EVP_PKEY_RSA, 0, EVP_sha384, true, true},
    {0x0806, "rsa_pss_rsae_sha512", EVP_PKEY_RSA, 0, EVP_sha512, true, true},
    {0x0403, "ecdsa_secp256r1_sha256", EVP_PKEY_EC, NID_X9_62_prime256v1, EVP_sha256, false, true},
    {0x0503, "ecdsa_secp384r1_sha384", EVP_PKEY_EC, NID_secp384r1, EVP_sha384, false, true},
    {0x0603, "ecdsa_secp521r1_sha512", EVP_PKEY_EC, NID_secp521r1, EVP_sha512, false, true},
    {0x0807, "ed25519", EVP_PKEY_ED25519, 0, NULL, false, true},
};

static const struct algorithm *find(uint16_t number)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (algorithms[i].number == number)
            return &algorithms[i];
    return NULL;
}

const char *signer_algorithm_name(uint16_t algorithm)
{
    const struct algorithm *a = find(algorithm);
    return a != NULL ? a->name : "unknown";
}

static int curve_of(const EVP_PKEY *key)
{
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);
    return ec != NULL ? EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) : 0;
}

const char *signer_key_refusal(const EVP_PKEY *key)
{
    int curve;
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
        if (EVP_PKEY_bits(key) < RSA_BITS_MIN)
            return "an RSA key below 2048 bits";
        return EVP_PKEY_bits(key) > RSA_BITS_MAX ? "an RSA key above 8192 bits" : NULL;
    case EVP_PKEY_EC:
        curve = curve_of(key);
        if (curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 || curve == NID_secp521r1)
            return NULL;
        return "an EC key of a curve other than P-256, P-384, P-521";
    case EVP_PKEY_ED25519:
        return NULL;
    default:
        return "a key that is neither RSA nor EC nor Ed25519";
    }
}

static bool fits(const struct algorithm *a, const EVP_PKEY *key, enum payload_kind kind)
{
    if (a == NULL || EVP_PKEY_id(key) != a->key)
        return false;
    if (kind == PAYLOAD_TLS12)
        return true;
    return kind == PAYLOAD_TLS13 && a->tls13 && (a->curve == 0 || a->curve == curve_of(key));
}

enum signer_result signer_sign(EVP_PKEY *key, enum payload_kind kind, uint16_t algorithm,
                               struct span payload, unsigned char *out, size_t *n)
{
    const struct algorithm *a = find(algorithm);
    *n = 0;
    if (!fits(a, key, kind))
        return SIGNER_ALGORITHM;
    EVP_MD_CTX ctx;
    EVP_PKEY_CTX *key_ctx = NULL;
    size_t length = LIMIT_SIGNATURE;
    EVP_MD_CTX_init(&ctx);
    bool good =
        EVP_DigestSignInit(&ctx, &key_ctx, a->digest != NULL ? a->digest() : NULL, NULL, key) == 1;
    if (good && a->pss) /* -1: a salt as long as the hash, RFC 8446 4.2.3 */
        good = EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, -1) == 1;
    good = good && EVP_DigestSign(&ctx, out, &length, payload.p, payload.n) == 1;
    EVP_MD_CTX_cleanup(&ctx);
    ERR_clear_error();
    if (!good)
        return SIGNER_FAILED;
    *n = length;
    return SIGNER_DONE;
}
