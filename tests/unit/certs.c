/* Certificates for tests. */
#include "tests/unit/certs.h"
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "certs: %s failed\n", #condition);                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static EVP_PKEY *ec_key(int curve)
{
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *ec = EC_KEY_new_by_curve_name(curve);
    MUST(key != NULL && ec != NULL && EC_KEY_generate_key(ec) == 1);
    MUST(EVP_PKEY_assign_EC_KEY(key, ec) == 1);
    return key;
}

static EVP_PKEY *rsa_key(int bits)
{
    EVP_PKEY *key = EVP_PKEY_new();
    RSA *rsa = RSA_new();
    BIGNUM *e = BN_new();
    MUST(key != NULL && rsa != NULL && e != NULL && BN_set_word(e, RSA_F4) == 1);
    MUST(RSA_generate_key_ex(rsa, bits, e, NULL) == 1 && EVP_PKEY_assign_RSA(key, rsa) == 1);
    BN_free(e);
    return key;
}

static EVP_PKEY *ed25519_key(void)
{
    unsigned char seed[32];
    RAND_bytes(seed, sizeof seed);
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
}

static EVP_PKEY *new_key(enum cert_key kind)
{
    switch (kind) {
    case CERT_P256:
        return ec_key(NID_X9_62_prime256v1);
    case CERT_P384:
        return ec_key(NID_secp384r1);
    case CERT_RSA2048:
        return rsa_key(2048);
    case CERT_RSA1024:
        return rsa_key(1024);
    case CERT_ED25519:
        return ed25519_key();
    default:
        abort();
    }
}

static void add_entry(X509_NAME *name, int nid, const char *value)
{
    if (value != NULL)
        MUST(X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const unsigned char *)value, -1,
                                        -1, 0) == 1);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    if (value == NULL)
        return;
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    MUST(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_padding(X509 *certificate, size_t n)
{
    if (n == 0)
        return;
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    unsigned char *bytes = calloc(1, n);
    MUST(data != NULL && bytes != NULL && ASN1_OCTET_STRING_set(data, bytes, (int)n) == 1);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_netscape_comment, 0, data);
    MUST(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(data);
    free(bytes);
}

struct cert cert_make(const struct cert_spec *spec, const struct cert *issuer)
{
    enum { DAY = 86400 };
    static long serial;
    struct cert made = {.x509 = X509_new(), .key = new_key(spec->key)};
    X509 *x = made.x509;
    MUST(x != NULL && made.key != NULL);
    MUST(X509_set_version(x, 2) == 1);
    MUST(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial) == 1);
    X509_gmtime_adj(X509_getm_notBefore(x), spec->from != 0 ? spec->from : -DAY);
    X509_gmtime_adj(X509_getm_notAfter(x), spec->to != 0 ? spec->to : 100L * DAY);
    X509_NAME *subject = X509_get_subject_name(x);
    add_entry(subject, NID_organizationName, spec->organization);
    add_entry(subject, NID_organizationName, spec->second_organization);
    add_entry(subject, NID_commonName, spec->cn);
    X509 *by = issuer != NULL ? issuer->x509 : x;
    EVP_PKEY *key = issuer != NULL ? issuer->key : made.key;
    MUST(X509_set_issuer_name(x, X509_get_subject_name(by)) == 1);
    MUST(X509_set_pubkey(x, made.key) == 1);
    add_extension(x, by, NID_basic_constraints, spec->authority ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(x, by, NID_key_usage,
                  spec->key_usage != NULL ? spec->key_usage
                  : spec->authority       ? "critical,keyCertSign"
                                          : "critical,digitalSignature");
    add_extension(x, by, NID_ext_key_usage, spec->usage);
    add_extension(x, by, NID_subject_alt_name, spec->names);
    add_padding(x, spec->padding);
    const EVP_MD *digest = spec->digest != NULL ? spec->digest : EVP_sha256();
    MUST(X509_sign(x, key, EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? NULL : digest) > 0);
    return made;
}

void cert_free(struct cert *cert)
{
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
    *cert = (struct cert){0};
}

void cert_put(struct msg_writer *w, const struct cert *cert)
{
    unsigned char *der = NULL;
    int n = i2d_X509(cert->x509, &der);
    MUST(n > 0);
    msg_put_span(w, span_of(der, (size_t)n));
    OPENSSL_free(der);
}

static char *text_of(BIO *bio)
{
    const uint8_t *p = NULL;
    size_t n = 0;
    MUST(BIO_mem_contents(bio, &p, &n) == 1);
    char *text = malloc(n + 1);
    MUST(text != NULL);
    memcpy(text, p, n);
    text[n] = '\0';
    BIO_free(bio);
    return text;
}

char *cert_pem(const struct cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    MUST(bio != NULL && PEM_write_bio_X509(bio, cert->x509) == 1);
    return text_of(bio);
}

char *cert_key_pem(const struct cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    MUST(bio != NULL &&
         PEM_write_bio_PKCS8PrivateKey(bio, cert->key, NULL, NULL, 0, NULL, NULL) == 1);
    return text_of(bio);
}
