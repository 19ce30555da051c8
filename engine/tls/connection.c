/* A connection: from its start over handshake and data to its end. */
#include "engine/tls/internal.h"
#include "status.h"
#include <openssl/err.h>
#include <openssl/mem.h>
#include <stdio.h>

/* Rather than a record smaller than this, a write waits for an emptied output buffer: each
 * record costs an operation and 29 bytes at both ends. */
enum { SMALL_RECORD = 1024 };

static const char *const result_names[] = {
    [TLS_DONE] = "done",
    [TLS_WANT_READ] = "want read",
    [TLS_WANT_WRITE] = "want write",
    [TLS_WANT_SIGN] = "want signature",
    [TLS_WANT_VERIFY] = "want verdict",
    [TLS_CLOSED] = "closed",
    [TLS_FAILED] = "failed",
};

const char *tls_result_name(enum tls_result result)
{
    return (size_t)result < sizeof result_names / sizeof result_names[0] ? result_names[result]
                                                                         : "unknown";
}

/* ---- start and end ---- */

static bool start(struct tls_connection *conn, struct tls_context *context)
{
    BUG_ON(context == NULL);
    *conn = (struct tls_connection){
        .client = context->client,
        .chosen = TLS_NOT_CHOSEN,
        .has_chain = context->has_chain,
        .asked = context->ask != TLS_ASK_NOTHING,
        .input = SPAN_EMPTY,
    };
    ERR_clear_error();
    SSL *ssl = SSL_new(context->ssl);
    BIO *bio = tls_transport_new(conn);
    if (ssl == NULL || bio == NULL || SSL_set_app_data(ssl, conn) != 1) {
        SSL_free(ssl);
        BIO_free(bio);
        return false;
    }
    SSL_set_bio(ssl, bio, bio);
    SSL_set_shed_handshake_config(ssl, 1);
    tls_tickets_allowed(ssl, context);
    conn->ssl = ssl;
    conn->context = context;
    context->references++;
    return true;
}

bool tls_start_server(struct tls_connection *conn, struct tls_context *context)
{
    if (!start(conn, context))
        return false;
    BUG_ON(conn->client);
    SSL_set_accept_state(conn->ssl);
    return true;
}

/* RFC 6066 3: a DNS host name, without trailing dot; addresses are not permitted. */
static bool sni_sendable(const char *name)
{
    struct span s = span_str(name);
    if (s.n == 0 || s.n > LIMIT_DOMAIN || s.p[s.n - 1] == '.' || s.p[0] == '.')
        return false;
    bool numeric = true; /* the last label, so far */
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = s.p[i];
        bool letter = ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
        if (!letter && !ascii_digit(c) && c != '-' && c != '_' && c != '.')
            return false;
        numeric = c == '.' || (numeric && ascii_digit(c));
    }
    return !numeric;
}

bool tls_start_client(struct tls_connection *conn, struct tls_context *context, const char *sni)
{
    if (!start(conn, context))
        return false;
    BUG_ON(!conn->client);
    SSL_set_connect_state(conn->ssl);
    if (sni != NULL && sni_sendable(sni) && SSL_set_tlsext_host_name(conn->ssl, sni) != 1) {
        tls_wipe(conn);
        return false;
    }
    return true;
}

void tls_wipe(struct tls_connection *conn)
{
    SSL_free(conn->ssl);
    if (conn->context != NULL)
        tls_context_drop(conn->context);
    OPENSSL_free(conn->pending);
    OPENSSL_free(conn->note);
    OPENSSL_cleanse(conn, sizeof *conn);
}

/* ---- steps ---- */

static enum tls_result fail(struct tls_connection *conn)
{
    uint32_t code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    if (conn->peer_alert != 0)
        snprintf(conn->error, sizeof conn->error, "the peer sent the alert \"%s\"",
                 SSL_alert_desc_string_long(conn->peer_alert - 1));
    else
        snprintf(conn->error, sizeof conn->error, "%s", reason != NULL ? reason : "TLS failed");
    conn->failed = true;
    ERR_clear_error();
    return TLS_FAILED;
}

/* What a call of the library that returned code (not a success) asks for. */
static enum tls_result outcome(struct tls_connection *conn, int code)
{
    switch (SSL_get_error(conn->ssl, code)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION:
        return TLS_WANT_SIGN;
    case SSL_ERROR_WANT_CERTIFICATE_VERIFY:
        return TLS_WANT_VERIFY;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        return fail(conn);
    }
}

/* The library's error queue is the thread's: an error of another connection must not be read as
 * one of this. */
static bool ready(struct tls_connection *conn)
{
    BUG_ON(conn->ssl == NULL);
    if (conn->failed)
        return false;
    ERR_clear_error();
    return true;
}

enum tls_result tls_handshake(struct tls_connection *conn)
{
    if (!ready(conn))
        return TLS_FAILED;
    int code = SSL_do_handshake(conn->ssl);
    if (code == 1)
        return TLS_DONE;
    enum tls_result result = outcome(conn, code);
    if (result == TLS_CLOSED) { /* close_notify is no way to end a handshake */
        snprintf(conn->error, sizeof conn->error, "the peer closed during the handshake");
        conn->failed = true;
        return TLS_FAILED;
    }
    return result;
}

enum tls_result tls_read(struct tls_connection *conn, unsigned char *buffer, size_t capacity,
                         size_t *n)
{
    *n = 0;
    if (!ready(conn))
        return TLS_FAILED;
    BUG_ON(capacity == 0);
    int most = capacity < TLS_RECORD_MAX ? (int)capacity : TLS_RECORD_MAX;
    int code = SSL_read(conn->ssl, buffer, most);
    if (code <= 0)
        return outcome(conn, code);
    *n = (size_t)code;
    return TLS_DONE;
}

/* How much of n bytes goes into the next record; 0: the output has no room worth using. */
static size_t record_size(const struct tls_connection *conn, size_t n)
{
    size_t room = conn->output_capacity - conn->output_n;
    if (room <= TLS_RECORD_OVERHEAD)
        return 0;
    room -= TLS_RECORD_OVERHEAD;
    if (n > TLS_RECORD_MAX)
        n = TLS_RECORD_MAX;
    if (n <= room)
        return n;
    return room < SMALL_RECORD && conn->output_n > 0 ? 0 : room;
}

enum tls_result tls_write(struct tls_connection *conn, struct span plain, size_t *n)
{
    *n = 0;
    if (!ready(conn))
        return TLS_FAILED;
    BUG_ON(plain.n < conn->retry_n);
    if (plain.n == 0)
        return TLS_DONE;
    /* A record that was made but not written in full has its length fixed. */
    size_t size = conn->retry_n > 0 ? conn->retry_n : record_size(conn, plain.n);
    if (size == 0)
        return TLS_WANT_WRITE;
    int code = SSL_write(conn->ssl, plain.p, (int)size);
    if (code <= 0) {
        enum tls_result result = outcome(conn, code);
        conn->retry_n = result == TLS_WANT_WRITE ? size : 0;
        return result;
    }
    conn->retry_n = 0;
    *n = (size_t)code;
    return TLS_DONE;
}

enum tls_result tls_shutdown(struct tls_connection *conn)
{
    if (!ready(conn))
        return TLS_FAILED;
    int code = SSL_shutdown(conn->ssl);
    return code >= 0 ? TLS_DONE : outcome(conn, code);
}

/* ---- what to log ---- */

struct tls_description tls_describe(const struct tls_connection *conn)
{
    struct tls_description d = {.version = "", .cipher = "", .group = ""};
    if (conn->ssl == NULL)
        return d;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(conn->ssl);
    if (cipher != NULL) {
        d.version = SSL_get_version(conn->ssl);
        d.cipher = SSL_CIPHER_standard_name(cipher);
    }
    const char *group = SSL_get_curve_name(SSL_get_curve_id(conn->ssl));
    if (group != NULL)
        d.group = group;
    d.resumed = tls_resumed(conn);
    d.asked = conn->client && d.resumed ? conn->asked_before : conn->asked;
    if (conn->client)
        d.presented = d.asked && conn->has_chain;
    else
        d.presented = conn->verify_state != ANSWER_NONE ||
                      (d.resumed && SSL_SESSION_has_peer_sha256(SSL_get_session(conn->ssl)) == 1);
    return d;
}

const char *tls_error(const struct tls_connection *conn)
{
    return conn->error;
}
