/* TLSA records against a chain. */
#include "workers/keeper/dane.h"
#include "tlsa.h"
#include "workers/keeper/certificate.h"
#include "workers/keeper/verify.h"
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

/* ---- one record, one certificate -------------------------------------------------------- */

/* The selected part as DER, to be freed with OPENSSL_free. */
static unsigned char *selected(X509 *certificate, unsigned selector, size_t *n)
{
    unsigned char *der = NULL;
    int length = selector == TLSA_KEY ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der)
                                      : i2d_X509(certificate, &der);
    *n = length > 0 ? (size_t)length : 0;
    return length > 0 ? der : NULL;
}

static bool matches(X509 *certificate, const struct tlsa *t)
{
    unsigned char digest[SHA512_DIGEST_LENGTH];
    size_t n = 0;
    unsigned char *der = selected(certificate, t->selector, &n);
    struct span found = SPAN_EMPTY;
    if (der == NULL)
        return false;
    if (t->matching == TLSA_SHA256)
        found = span_of(SHA256(der, n, digest), SHA256_DIGEST_LENGTH);
    else if (t->matching == TLSA_SHA512)
        found = span_of(SHA512(der, n, digest), SHA512_DIGEST_LENGTH);
    else if (t->matching == TLSA_FULL)
        found = span_of(der, n);
    bool same = found.n > 0 && span_eq(found, t->data);
    OPENSSL_free(der);
    return same;
}

/* ---- an authority of the chain ---------------------------------------------------------- */

/* The path from the leaf to that authority, and none other is trusted. */
static bool path_to(STACK_OF(X509) * chain, X509 *authority, const struct verify_demand *names,
                    uint64_t now, char *reason)
{
    struct trust anchor = {.name = "TLSA", .store = X509_STORE_new(), .partial = true, .count = 1};
    bool good = anchor.store != NULL && X509_STORE_add_cert(anchor.store, authority) == 1 &&
                verify_path(chain, &anchor, TLS_PEER_SERVER, now, reason) &&
                verify_identity(sk_X509_value(chain, 0), names, SPAN_EMPTY, reason);
    X509_STORE_free(anchor.store);
    ERR_clear_error();
    return good;
}

static bool by_authority(STACK_OF(X509) * chain, const struct tlsa *t,
                         const struct verify_demand *names, uint64_t now, char *reason)
{
    for (size_t i = 1; i < sk_X509_num(chain); i++)
        if (matches(sk_X509_value(chain, i), t) &&
            path_to(chain, sk_X509_value(chain, i), names, now, reason))
            return true;
    return false;
}

/* ---- all of them ------------------------------------------------------------------------ */

bool dane_met(STACK_OF(X509) * chain, struct span records, const struct span *names,
              uint32_t name_count, uint64_t now, char *reason)
{
    const struct verify_demand demand = {.names = names, .name_count = name_count};
    struct msg_reader r = {.in = records};
    struct tlsa t;
    unsigned usable = 0;
    reason[0] = '\0';
    while (tlsa_next(&r, &t)) {
        if (!tlsa_usable(&t))
            continue;
        usable++;
        bool met = t.usage == TLSA_DANE_EE ? matches(sk_X509_value(chain, 0), &t)
                                           : by_authority(chain, &t, &demand, now, reason);
        if (met) {
            reason[0] = '\0';
            return true;
        }
    }
    if (reason[0] == '\0')
        text_format(reason, usable > 0 ? "no TLSA record matches the certificate or its issuers"
                                       : "no TLSA record is usable");
    return false;
}
