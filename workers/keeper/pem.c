/* PEM to keys, chains and trust stores. */
#include "workers/keeper/pem.h"
#include "engine/ipc/ipc.h"
#include "workers/keeper/certificate.h"
#include "workers/keeper/signer.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* ---- reading ---- */

/* Never asks anyone for a passphrase; the context is a struct span, or NULL for none. */
static int give_passphrase(char *buffer, int size, int writing, void *context)
{
    const struct span *passphrase = context;
    (void)writing;
    if (passphrase == NULL || size < 0 || passphrase->n > (size_t)size)
        return 0;
    memcpy(buffer, passphrase->p, passphrase->n);
    return (int)passphrase->n;
}

static struct span first_line(struct span text)
{
    const unsigned char *end = text.n > 0 ? memchr(text.p, '\n', text.n) : NULL;
    if (end != NULL)
        text.n = (size_t)(end - text.p);
    if (text.n > 0 && text.p[text.n - 1] == '\r')
        text.n--;
    return text;
}

/* The next certificate; NULL at the end or, with *malformed, at one that is none. */
static X509 *next_certificate(BIO *bio, bool *malformed)
{
    ERR_clear_error();
    X509 *certificate = PEM_read_bio_X509(bio, NULL, give_passphrase, NULL);
    uint32_t error = ERR_peek_last_error();
    *malformed = certificate == NULL && !(ERR_GET_LIB(error) == ERR_LIB_PEM &&
                                          ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
    ERR_clear_error();
    return certificate;
}

static STACK_OF(X509) * read_certificates(struct span text, char *reason)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    STACK_OF(X509) *list = sk_X509_new_null();
    bool malformed = bio == NULL || list == NULL;
    X509 *certificate;
    while (!malformed && (certificate = next_certificate(bio, &malformed)) != NULL) {
        if (sk_X509_num(list) < 4 * LIMIT_CHAIN_COUNT && sk_X509_push(list, certificate) != 0)
            continue;
        X509_free(certificate);
        malformed = true;
    }
    BIO_free(bio);
    if (malformed)
        text_format(reason, "the certificate file is malformed or holds too many");
    else if (sk_X509_num(list) == 0)
        text_format(reason, "the certificate file holds no certificate (PEM is wanted)");
    else
        return list;
    sk_X509_pop_free(list, X509_free);
    return NULL;
}

static EVP_PKEY *read_key(struct span text, struct span passphrase, char *reason)
{
    struct span line = first_line(passphrase);
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    EVP_PKEY *key =
        bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, line.n > 0 ? &line : NULL)
                    : NULL;
    BIO_free(bio);
    ERR_clear_error();
    const char *refusal = key != NULL   ? signer_key_refusal(key)
                          : line.n == 0 ? "no private key in PEM without a passphrase"
                                        : "no private key in PEM that the passphrase opens";
    if (refusal == NULL)
        return key;
    text_format(reason, "the key file holds %s", refusal);
    EVP_PKEY_free(key);
    return NULL;
}

/* ---- the chain ---- */

static X509 *take(STACK_OF(X509) * list, size_t at)
{
    return sk_X509_delete(list, at);
}

static X509 *take_leaf(STACK_OF(X509) * list, const EVP_PKEY *key)
{
    for (size_t i = 0; i < sk_X509_num(list); i++) {
        EVP_PKEY *public = X509_get_pubkey(sk_X509_value(list, i));
        bool same = public != NULL && EVP_PKEY_cmp(public, key) == 1;
        EVP_PKEY_free(public);
        if (same)
            return take(list, i);
    }
    return NULL;
}

static X509 *take_issuer(STACK_OF(X509) * list, X509 *of)
{
    for (size_t i = 0; i < sk_X509_num(list); i++)
        if (X509_check_issued(sk_X509_value(list, i), of) == X509_V_OK)
            return take(list, i);
    return NULL;
}

static void put_certificate(struct msg_writer *w, X509 *certificate)
{
    unsigned char *der = NULL;
    int n = i2d_X509(certificate, &der);
    if (n <= 0)
        w->overflow = true;
    else
        msg_put_span(w, span_of(der, (size_t)n));
    OPENSSL_free(der);
}

/* Moves the chain out of the list and encodes it. */
static bool order_chain(STACK_OF(X509) * list, struct identity *identity, char *reason)
{
    struct msg_writer w = {.p = OPENSSL_malloc(LIMIT_CHAIN), .capacity = LIMIT_CHAIN};
    identity->chain = w.p;
    identity->leaf = take_leaf(list, identity->key);
    if (w.p == NULL || identity->leaf == NULL) {
        text_format(reason, "the key does not belong to a certificate of the certificate file");
        return false;
    }
    put_certificate(&w, identity->leaf);
    unsigned count = 1;
    X509 *last = identity->leaf, *issuer;
    while ((issuer = take_issuer(list, last)) != NULL && count < LIMIT_CHAIN_COUNT) {
        put_certificate(&w, issuer);
        if (last != identity->leaf)
            X509_free(last);
        last = issuer;
        count++;
    }
    X509_free(issuer);
    if (last != identity->leaf)
        X509_free(last);
    identity->chain_n = w.n;
    identity->left_out = (unsigned)sk_X509_num(list);
    if (!w.overflow && issuer == NULL)
        return true;
    text_format(reason, "the certificate chain is too long");
    return false;
}

bool pem_identity(struct span certificates, struct span key, struct span passphrase,
                  struct identity *identity, char *reason)
{
    *identity = (struct identity){0};
    reason[0] = '\0';
    STACK_OF(X509) *list = read_certificates(certificates, reason);
    if (list == NULL)
        return false;
    identity->key = read_key(key, passphrase, reason);
    bool good = identity->key != NULL && order_chain(list, identity, reason);
    sk_X509_pop_free(list, X509_free);
    ERR_clear_error();
    if (!good)
        pem_identity_free(identity);
    return good;
}

void pem_identity_free(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->leaf);
    OPENSSL_free(identity->chain);
    *identity = (struct identity){0};
}

/* ---- trust ---- */

X509_STORE *pem_trust(struct span text, unsigned *count, char *reason)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    X509_STORE *store = X509_STORE_new();
    bool more = bio != NULL && store != NULL;
    *count = 0;
    reason[0] = '\0';
    /* Each turn takes at least a line off the text, so a malformed one can't hold it up. */
    while (more && *count < LIMIT_TRUST_COUNT) {
        bool malformed = false;
        X509 *certificate = next_certificate(bio, &malformed);
        more = certificate != NULL || malformed;
        if (certificate != NULL && X509_STORE_add_cert(store, certificate) == 1)
            (*count)++;
        X509_free(certificate);
        more = more && BIO_pending(bio) > 0;
    }
    BIO_free(bio);
    ERR_clear_error();
    if (*count > 0)
        return store;
    text_format(reason, "the file holds no certificate (PEM is wanted)");
    X509_STORE_free(store);
    return NULL;
}

/* ---- revocation lists ---- */

bool pem_crl(struct span text, X509_STORE *store, unsigned *count, char *reason)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    bool good = bio != NULL, more = good;
    *count = 0;
    reason[0] = '\0';
    while (good && more) {
        ERR_clear_error();
        X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, give_passphrase, NULL);
        uint32_t error = ERR_peek_last_error();
        more = crl != NULL;
        good = crl != NULL ? *count < LIMIT_CRL_COUNT && X509_STORE_add_crl(store, crl) == 1
                           : ERR_GET_LIB(error) == ERR_LIB_PEM &&
                                 ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
        *count += crl != NULL;
        X509_CRL_free(crl);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (good && *count > 0)
        return true;
    text_format(reason, good ? "the file holds no revocation list (PEM is wanted)"
                             : "the file of revocation lists is malformed or holds too many");
    return false;
}
