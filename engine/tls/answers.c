/* What a handshake stops for: a signature by a key that is elsewhere, a verdict on the peer. */
#include "engine/tls/internal.h"
#include "engine/ipc/ipc.h"
#include <openssl/mem.h>
#include <openssl/pool.h>

/* The bytes that an encoded F_SPAN adds to its contents. */
enum { SPAN_LENGTH_BYTES = 4 };

static struct tls_connection *connection_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

static void drop_pending(struct tls_connection *conn)
{
    OPENSSL_free(conn->pending); /* wipes as well */
    conn->pending = NULL;
    conn->pending_n = 0;
}

/* ---- signatures ---- */

/* Copied, because on a TLS 1.2 server the library's own copy ends with this call. */
static enum ssl_private_key_result_t on_sign(SSL *ssl, uint8_t *out, size_t *out_n, size_t max_out,
                                             uint16_t algorithm, const uint8_t *in, size_t in_n)
{
    (void)out;
    (void)out_n;
    (void)max_out;
    struct tls_connection *conn = connection_of(ssl);
    drop_pending(conn);
    if (in_n == 0 || in_n > LIMIT_SIGN_PAYLOAD)
        return ssl_private_key_failure;
    conn->pending = OPENSSL_memdup(in, in_n);
    if (conn->pending == NULL)
        return ssl_private_key_failure;
    conn->pending_n = in_n;
    conn->algorithm = algorithm;
    conn->sign_state = ANSWER_WANTED;
    return ssl_private_key_retry;
}

static enum ssl_private_key_result_t on_complete(SSL *ssl, uint8_t *out, size_t *out_n,
                                                 size_t max_out)
{
    struct tls_connection *conn = connection_of(ssl);
    if (conn->sign_state == ANSWER_WANTED)
        return ssl_private_key_retry;
    bool good = conn->sign_state == ANSWER_GOOD && conn->pending_n <= max_out;
    if (good) {
        memcpy(out, conn->pending, conn->pending_n);
        *out_n = conn->pending_n;
    }
    drop_pending(conn);
    conn->sign_state = ANSWER_NONE;
    return good ? ssl_private_key_success : ssl_private_key_failure;
}

/* Only the key exchange without ECDHE decrypts with the key, and it is not negotiated. */
static enum ssl_private_key_result_t on_decrypt(SSL *ssl, uint8_t *out, size_t *out_n,
                                                size_t max_out, const uint8_t *in, size_t in_n)
{
    (void)ssl;
    (void)out;
    (void)out_n;
    (void)max_out;
    (void)in;
    (void)in_n;
    return ssl_private_key_failure;
}

const SSL_PRIVATE_KEY_METHOD tls_key_method = {
    .sign = on_sign,
    .decrypt = on_decrypt,
    .complete = on_complete,
};

struct tls_sign_wanted tls_sign_wanted(const struct tls_connection *conn)
{
    BUG_ON(conn->sign_state != ANSWER_WANTED);
    return (struct tls_sign_wanted){
        .purpose = conn->client ? TLS_AS_CLIENT : TLS_AS_SERVER,
        .algorithm = conn->algorithm,
        .payload = span_of(conn->pending, conn->pending_n),
    };
}

void tls_supply_signature(struct tls_connection *conn, struct span signature)
{
    BUG_ON(conn->sign_state != ANSWER_WANTED);
    drop_pending(conn);
    conn->sign_state = ANSWER_BAD;
    if (signature.n == 0 || signature.n > LIMIT_SIGNATURE)
        return;
    conn->pending = OPENSSL_memdup(signature.p, signature.n);
    if (conn->pending == NULL)
        return;
    conn->pending_n = signature.n;
    conn->sign_state = ANSWER_GOOD;
}

/* ---- the peer's certificates ---- */

static size_t chain_size(const STACK_OF(CRYPTO_BUFFER) * chain)
{
    size_t total = 0;
    for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(chain); i++)
        total += SPAN_LENGTH_BYTES + CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(chain, i));
    return total;
}

enum ssl_verify_result_t tls_on_verify(SSL *ssl, uint8_t *alert)
{
    struct tls_connection *conn = connection_of(ssl);
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(ssl);
    switch ((enum tls_answer)conn->verify_state) {
    case ANSWER_NONE:
        if (chain == NULL || chain_size(chain) > LIMIT_CHAIN)
            break;
        conn->verify_state = ANSWER_WANTED;
        return ssl_verify_retry;
    case ANSWER_WANTED:
        return ssl_verify_retry;
    case ANSWER_GOOD:
        return ssl_verify_ok;
    case ANSWER_BAD:
        break;
    }
    *alert = SSL_AD_BAD_CERTIFICATE;
    return ssl_verify_invalid;
}

void tls_peer_chain(const struct tls_connection *conn, struct msg_writer *w)
{
    const STACK_OF(CRYPTO_BUFFER) *chain =
        conn->ssl != NULL ? SSL_get0_peer_certificates(conn->ssl) : NULL;
    if (chain == NULL)
        return;
    for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(chain); i++) {
        const CRYPTO_BUFFER *der = sk_CRYPTO_BUFFER_value(chain, i);
        msg_put_span(w, span_of(CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der)));
    }
}

void tls_supply_verdict(struct tls_connection *conn, bool accept)
{
    BUG_ON(conn->verify_state != ANSWER_WANTED);
    conn->verify_state = accept ? ANSWER_GOOD : ANSWER_BAD;
}

/* ---- what is noted on the way ---- */

/* The library calls this on a client exactly when the server asked for a certificate. */
int tls_on_certificate_request(SSL *ssl, void *unused)
{
    (void)unused;
    connection_of(ssl)->asked = true;
    return 1;
}

void tls_on_info(const SSL *ssl, int type, int value)
{
    if (type == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
        connection_of(ssl)->peer_alert = (uint16_t)((value & 0xff) + 1);
}
