/*
 * certs: certificates made for a test, with whatever is wrong with them. A failure to make one
 * ends the test program.
 */
#ifndef MGID_TEST_CERTS_H
#define MGID_TEST_CERTS_H

#include "engine/ipc/ipc.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

enum cert_key { CERT_P256, CERT_P384, CERT_RSA2048, CERT_RSA1024, CERT_ED25519, CERT_KEY_COUNT };

struct cert_spec {
    const char *cn;
    const char *organization; /* NULL: none */
    const char *second_organization;
    const char *names; /* "DNS:a,IP:127.0.0.1"; NULL: none */
    const char *usage; /* extendedKeyUsage, "serverAuth,clientAuth"; NULL: none */
    const char *key_usage;
    enum cert_key key;
    bool authority;
    long from;            /* seconds from now; 0: a day ago */
    long to;              /* seconds from now; 0: in 100 days */
    const EVP_MD *digest; /* NULL: SHA-256 (or the key's own) */
    size_t padding;       /* bytes of a comment extension, to make it large */
};

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

/* Signed by issuer, or by itself when that is NULL. */
struct cert cert_make(const struct cert_spec *spec, const struct cert *issuer);
void cert_free(struct cert *cert);

/* Appends the DER to a chain as messages carry it. */
void cert_put(struct msg_writer *w, const struct cert *cert);

/* PEM, NUL-terminated, to be freed with free. */
char *cert_pem(const struct cert *cert);
char *cert_key_pem(const struct cert *cert);

#endif
