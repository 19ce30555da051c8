/* Contexts: what is negotiated at all, and which certificate we show. */
#include "engine/tls/internal.h"
#include "engine/ipc/ipc.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

/* The same list for what we sign with and for what a peer may sign with: SHA-1 is left out. */
static const uint16_t signature_algorithms[] = {
    SSL_SIGN_ED25519,
    SSL_SIGN_ECDSA_SECP256R1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,
    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA512,
    SSL_SIGN_ECDSA_SECP521R1_SHA512,
};

static const int groups[] = {NID_X25519, NID_X9_62_prime256v1, NID_secp384r1};

static const char ciphers_of_tls12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                       "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                       "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

void tls_prepare(void)
{
    unsigned char first[32];
    CRYPTO_library_init();
    if (RAND_bytes(first, sizeof first) != 1)
        fatal_env(EXIT_OSERR, 0, "no random bytes from the system");
    OPENSSL_cleanse(first, sizeof first);
}

static void say(char *error, const char *what)
{
    uint32_t code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    snprintf(error, LIMIT_REASON, "%s%s%s", what, reason != NULL ? ": " : "",
             reason != NULL ? reason : "");
}

/* What appliances of ten years ago have; the key exchange is no weaker. */
static const char legacy_ciphers[] = "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"
                                     "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA";

static bool settings(SSL_CTX *ssl)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(ssl, LIMIT_CHAIN);
    SSL_CTX_set_retain_only_sha256_of_client_certs(ssl, 1);
    SSL_CTX_set_info_callback(ssl, tls_on_info);
    SSL_CTX_set_timeout(ssl, LIMIT_TICKET_SECONDS);
    SSL_CTX_set_session_psk_dhe_timeout(ssl, LIMIT_TICKET_SECONDS);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_strict_cipher_list(ssl, ciphers_of_tls12) == 1 &&
           SSL_CTX_set1_curves(ssl, groups, COUNT(groups)) == 1 &&
           SSL_CTX_set_signing_algorithm_prefs(ssl, signature_algorithms,
                                               COUNT(signature_algorithms)) == 1 &&
           SSL_CTX_set_verify_algorithm_prefs(ssl, signature_algorithms,
                                              COUNT(signature_algorithms)) == 1;
}

/* Gives ssl the certificates of the encoded list and the key that is elsewhere. */
static bool use_chain(SSL_CTX *ssl, struct span chain, char *error)
{
    CRYPTO_BUFFER *certificates[LIMIT_CHAIN_COUNT];
    size_t n = 0;
    bool good = false;
    struct msg_reader r = {.in = chain};
    while (!r.bad && r.in.n > 0 && n < LIMIT_CHAIN_COUNT) {
        struct span der = msg_get_span(&r, LIMIT_CHAIN);
        if (r.bad)
            break;
        certificates[n] = CRYPTO_BUFFER_new(der.p, der.n, NULL);
        if (certificates[n] == NULL)
            break;
        n++;
    }
    if (!msg_get_end(&r) || n == 0)
        say(error, "the certificate chain is malformed or too long");
    else if (SSL_CTX_set_chain_and_key(ssl, certificates, n, NULL, &tls_key_method) != 1)
        say(error, "the certificate can't be used for TLS");
    else
        good = true;
    while (n > 0)
        CRYPTO_BUFFER_free(certificates[--n]);
    return good;
}

static struct tls_context *context_new(bool client, struct span chain, char *error)
{
    ERR_clear_error();
    struct tls_context *context = calloc(1, sizeof *context);
    SSL_CTX *ssl = SSL_CTX_new(TLS_with_buffers_method());
    if (context == NULL || ssl == NULL || !settings(ssl)) {
        say(error, "no TLS context");
        goto fail;
    }
    context->ssl = ssl;
    context->client = client;
    context->has_chain = chain.n > 0;
    context->references = 1;
    if ((chain.n > 0 || !client) && !use_chain(ssl, chain, error))
        goto fail;
    return context;
fail:
    SSL_CTX_free(ssl);
    free(context);
    ERR_clear_error();
    return NULL;
}

struct tls_context *tls_context_server(struct span chain, enum tls_ask ask, char *error)
{
    struct tls_context *context = context_new(false, chain, error);
    if (context == NULL)
        return NULL;
    context->ask = ask;
    int mode = ask == TLS_ASK_NOTHING ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    if (ask == TLS_ASK_REQUIRE)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_custom_verify(context->ssl, mode, tls_on_verify);
    /* A session that was made when no certificate was asked for is not resumed where one is. */
    const uint8_t scope[] = {'m', 'g', 'i', 'd', (uint8_t)ask};
    if (SSL_CTX_set_session_id_context(context->ssl, scope, sizeof scope) != 1) {
        say(error, "no TLS context");
        tls_context_free(context);
        return NULL;
    }
    return context;
}

struct tls_context *tls_context_client(struct span chain, char *error)
{
    struct tls_context *context = context_new(true, chain, error);
    if (context == NULL)
        return NULL;
    SSL_CTX_set_custom_verify(context->ssl, SSL_VERIFY_PEER, tls_on_verify);
    SSL_CTX_set_cert_cb(context->ssl, tls_on_certificate_request, NULL);
    return context;
}

bool tls_context_negotiate(struct tls_context *context, unsigned wanted, bool legacy)
{
    static const enum tls_group bits[COUNT(groups)] = {TLS_X25519, TLS_P256, TLS_P384};
    char ciphers[sizeof ciphers_of_tls12 + sizeof legacy_ciphers];
    int list[COUNT(groups)];
    size_t n = 0;
    for (size_t i = 0; i < COUNT(groups); i++)
        if (wanted == 0 || (wanted & bits[i]) != 0)
            list[n++] = groups[i];
    (void)snprintf(ciphers, sizeof ciphers, "%s%s%s", ciphers_of_tls12, legacy ? ":" : "",
                   legacy ? legacy_ciphers : "");
    bool good = SSL_CTX_set1_curves(context->ssl, list, n) == 1 &&
                SSL_CTX_set_strict_cipher_list(context->ssl, ciphers) == 1;
    ERR_clear_error();
    return good;
}

static int on_name(SSL *ssl, int *alert, void *unused)
{
    struct tls_connection *conn = SSL_get_app_data(ssl);
    const struct tls_context *context = conn->context;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    uint16_t number = TLS_NOT_CHOSEN;
    (void)alert;
    (void)unused;
    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    const struct tls_context *other =
        context->choose(context->choose_owner, span_str(name), &number);
    if (other == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_set_SSL_CTX(ssl, other->ssl) == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    conn->chosen = number;
    return SSL_TLSEXT_ERR_OK;
}

void tls_context_choose(struct tls_context *context, tls_choose_function *choose, void *owner)
{
    context->choose = choose;
    context->choose_owner = owner;
    (void)SSL_CTX_set_tlsext_servername_callback(context->ssl, on_name);
}

void tls_context_drop(struct tls_context *context)
{
    if (--context->references > 0)
        return;
    SSL_CTX_free(context->ssl);
    free(context);
}

void tls_context_free(struct tls_context *context)
{
    if (context != NULL)
        tls_context_drop(context);
}
