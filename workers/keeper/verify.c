/* A peer's chain against a trust store, and its leaf against what was wanted. */
#include "workers/keeper/verify.h"
#include "workers/keeper/certificate.h"
#include "workers/keeper/names.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { RSA_BITS_MIN = 2048, EC_BITS_MIN = 256 };

void verify_describe(const X509 *leaf, struct verdict *verdict)
{
    certificate_name(X509_get_subject_name(leaf), verdict->subject);
    certificate_name(X509_get_issuer_name(leaf), verdict->issuer);
    (void)certificate_organization(leaf, verdict->organization);
    certificate_names(leaf, verdict->names);
    certificate_sha256(leaf, verdict->sha256);
    verdict->not_after = certificate_time(X509_get0_notAfter(leaf));
}

/* ---- the path ---- */

/* "certificate", or which CA's. */
static void say_whose(const X509 *certificate, int depth, char *reason)
{
    char name[LIMIT_REASON];
    if (depth == 0) {
        text_format(reason, "certificate");
        return;
    }
    certificate_name(X509_get_subject_name(certificate), name);
    text_format(reason, "CA certificate '%s'", name);
}

static void say_time(const X509 *certificate, int depth, bool expired, char *reason)
{
    char date[16];
    certificate_date(certificate_time(expired ? X509_get0_notAfter(certificate)
                                              : X509_get0_notBefore(certificate)),
                     date);
    say_whose(certificate, depth, reason);
    text_format(reason, expired ? " expired %s" : " not valid before %s", date);
}

static void say_no_issuer(const X509 *certificate, int depth, const struct trust *trust, bool alone,
                          char *reason)
{
    char issuer[LIMIT_REASON];
    /* The library does not call one self-signed whose key usage lacks the signing of certificates.
     */
    if (depth == 0 &&
        X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0) {
        text_format(reason, "self-signed");
        return;
    }
    certificate_name(X509_get_issuer_name(certificate), issuer);
    text_format(reason, "issuer '%.200s' not in trust store '%s'%s", issuer, trust->name,
                alone ? " (and the peer sent no intermediate certificate)" : "");
}

static void explain_path(X509_STORE_CTX *ctx, const struct trust *trust, bool alone,
                         unsigned purpose, char *reason)
{
    int error = X509_STORE_CTX_get_error(ctx);
    int depth = X509_STORE_CTX_get_error_depth(ctx);
    const X509 *at = X509_STORE_CTX_get_current_cert(ctx);
    reason[0] = '\0';
    switch (at != NULL ? error : X509_V_ERR_UNSPECIFIED) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        say_time(at, depth, error == X509_V_ERR_CERT_HAS_EXPIRED, reason);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        text_format(reason, "self-signed");
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        say_no_issuer(at, depth, trust, alone, reason);
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        say_whose(at, depth, reason);
        text_format(reason, " not for TLS %s (key usage, %s)",
                    purpose == TLS_PEER_SERVER ? "servers" : "clients",
                    purpose == TLS_PEER_SERVER ? "serverAuth" : "clientAuth");
        break;
    case X509_V_ERR_CERT_REVOKED:
        say_whose(at, depth, reason);
        text_format(reason, " is revoked");
        break;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        say_whose(at, depth, reason);
        text_format(reason, ": its issuer's revocation list in '%s' is out of date", trust->name);
        break;
    default:
        if (at != NULL)
            say_whose(at, depth, reason);
        text_format(reason, "%s%s", at != NULL ? ": " : "", X509_verify_cert_error_string(error));
    }
}

static bool key_strong(X509 *certificate, int depth, char *reason)
{
    EVP_PKEY *key = X509_get_pubkey(certificate);
    int kind = key != NULL ? EVP_PKEY_id(key) : EVP_PKEY_NONE;
    int bits = key != NULL ? EVP_PKEY_bits(key) : 0;
    EVP_PKEY_free(key);
    if (kind == EVP_PKEY_ED25519 || (kind == EVP_PKEY_EC && bits >= EC_BITS_MIN) ||
        (kind == EVP_PKEY_RSA && bits >= RSA_BITS_MIN))
        return true;
    say_whose(certificate, depth, reason);
    if (kind == EVP_PKEY_RSA)
        text_format(reason, " has an RSA key of %d bits, %d are wanted", bits, RSA_BITS_MIN);
    else
        text_format(reason, " has a key that is too weak or of an unknown kind");
    return false;
}

/* The trust anchor's own signature proves nothing, so its hash does not matter. */
static bool strong(STACK_OF(X509) * path, char *reason)
{
    size_t n = sk_X509_num(path);
    for (size_t i = 0; i < n; i++) {
        X509 *certificate = sk_X509_value(path, i);
        if (!key_strong(certificate, (int)i, reason))
            return false;
        if (i + 1 == n || certificate_signature_strong(certificate))
            continue;
        say_whose(certificate, (int)i, reason);
        text_format(reason, " signed with a weak hash (%s)",
                    OBJ_nid2sn(X509_get_signature_nid(certificate)));
        return false;
    }
    return true;
}

/* Where there are lists, those issuers are checked that have one. */
static int allow_no_list(int ok, X509_STORE_CTX *ctx)
{
    if (ok == 0 && X509_STORE_CTX_get_error(ctx) == X509_V_ERR_UNABLE_TO_GET_CRL) {
        X509_STORE_CTX_set_error(ctx, X509_V_OK);
        return 1;
    }
    return ok;
}

bool verify_path(STACK_OF(X509) * chain, const struct trust *trust, unsigned purpose, uint64_t now,
                 char *reason)
{
    bool good = false;
    reason[0] = '\0';
    if (trust->store == NULL) {
        text_format(reason, "trust store '%s' could not be loaded", trust->name);
        return false;
    }
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (ctx == NULL ||
        X509_STORE_CTX_init(ctx, trust->store, sk_X509_value(chain, 0), chain) != 1 ||
        X509_STORE_CTX_set_purpose(ctx, purpose == TLS_PEER_SERVER
                                            ? X509_PURPOSE_SSL_SERVER
                                            : X509_PURPOSE_SSL_CLIENT) != 1) {
        text_format(reason, "no memory");
    } else {
        X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(ctx);
        unsigned long flags = X509_V_FLAG_TRUSTED_FIRST;
        if (trust->partial)
            flags |= X509_V_FLAG_PARTIAL_CHAIN;
        if (trust->revocation) {
            flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
            X509_STORE_CTX_set_verify_cb(ctx, allow_no_list);
        }
        (void)X509_VERIFY_PARAM_set_flags(parameters, flags);
        X509_VERIFY_PARAM_set_depth(parameters, LIMIT_CHAIN_COUNT);
        X509_VERIFY_PARAM_set_time(parameters, (time_t)now);
        if (X509_verify_cert(ctx) == 1)
            good = strong(X509_STORE_CTX_get0_chain(ctx), reason);
        else
            explain_path(ctx, trust, sk_X509_num(chain) == 1, purpose, reason);
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return good;
}

/* ---- the identity ---- */

struct wanted {
    const struct span *names;
    uint32_t count;
};

static bool matches_one(struct span presented, void *context)
{
    const struct wanted *wanted = context;
    for (uint32_t i = 0; i < wanted->count; i++)
        if (names_match(presented, wanted->names[i]))
            return true;
    return false;
}

static void say_names(const X509 *leaf, const struct wanted *wanted, char *reason)
{
    char has[LIMIT_REASON];
    certificate_names(leaf, has);
    text_format(reason, "no name of the certificate matches ");
    for (uint32_t i = 0; i < wanted->count; i++) {
        if (i > 0)
            text_format(reason, " or ");
        text_add(reason, wanted->names[i]);
    }
    text_format(reason, " (has: %s)", has[0] != '\0' ? has : "none");
}

/* An address of a route that is written as an address is proved by an address only. */
static bool host_is_address(struct span host, unsigned char *address, size_t *n)
{
    char text[INET6_ADDRSTRLEN];
    if (host.n == 0 || host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    if (inet_pton(AF_INET, text, address) == 1)
        *n = 4;
    else if (inet_pton(AF_INET6, text, address) == 1)
        *n = 16;
    else
        return false;
    return true;
}

static bool name_met(const X509 *leaf, const struct verify_demand *demand, struct span host,
                     char *reason)
{
    struct wanted wanted = {.names = demand->names, .count = demand->name_count};
    unsigned char address[16];
    size_t n = 0;
    if (wanted.count == 0) {
        if (host.n == 0)
            return true;
        wanted = (struct wanted){.names = &host, .count = 1};
        if (host_is_address(host, address, &n)) {
            if (certificate_has_address(leaf, span_of(address, n)))
                return true;
            say_names(leaf, &wanted, reason);
            return false;
        }
    }
    if (certificate_any_name(leaf, matches_one, &wanted))
        return true;
    say_names(leaf, &wanted, reason);
    return false;
}

/* ---- digests ---- */

void verify_key_sha256(const X509 *leaf, unsigned char digest[32])
{
    unsigned char *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
    memset(digest, 0, SHA256_DIGEST_LENGTH);
    if (n > 0)
        SHA256(der, (size_t)n, digest);
    OPENSSL_free(der);
}

static bool among(const unsigned char digest[32], const struct span *wanted, uint32_t count,
                  char *hex)
{
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    for (uint32_t i = 0; i < count; i++)
        if (span_eq(wanted[i], span_str(hex)))
            return true;
    return count == 0;
}

static bool digests_met(const X509 *leaf, const struct verify_demand *demand, char *reason)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char hex[2 * SHA256_DIGEST_LENGTH + 1];
    certificate_sha256(leaf, digest);
    if (!among(digest, demand->fingerprints, demand->fingerprint_count, hex)) {
        text_format(reason, "fingerprint (SHA-256) is %s, which is not wanted", hex);
        return false;
    }
    verify_key_sha256(leaf, digest);
    if (!among(digest, demand->pins, demand->pin_count, hex)) {
        text_format(reason, "the key's pin (SHA-256) is %s, which is not wanted", hex);
        return false;
    }
    return true;
}

bool verify_identity(const X509 *leaf, const struct verify_demand *demand, struct span host,
                     char *reason)
{
    char organization[LIMIT_REASON];
    reason[0] = '\0';
    if (!name_met(leaf, demand, host, reason) || !digests_met(leaf, demand, reason))
        return false;
    if (demand->organization.n == 0)
        return true;
    bool clear = certificate_organization(leaf, organization);
    if (clear && span_eq(span_str(organization), demand->organization))
        return true;
    text_format(reason, "organization is '%.200s'%s, wanted '", organization,
                clear ? "" : " (ambiguous)");
    text_add(reason, demand->organization);
    text_add(reason, SPAN_LIT("'"));
    return false;
}
