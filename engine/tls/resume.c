/* Resumption: tickets that carry a note of the owner's (server), sessions kept by the owner
 * (client). */
#include "engine/tls/internal.h"
#include "status.h"
#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

/*
 * A ticket: key's name (16), nonce (12), then sealed: the note's length (2), the note, the
 * library's session. The name is authenticated too. A random nonce is safe for 2^32 tickets of a
 * key.
 */
enum { NAME = 16, KEY = 32, NONCE = 12, TAG = 16, LENGTH = 2, HEAD = NAME + NONCE };

_Static_assert(NAME + KEY == TLS_TICKET_KEY, "a name and a key of AES-256-GCM");

static struct tls_connection *connection_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

/* ---- the note --------------------------------------------------------------------------- */

static void drop_note(struct tls_connection *conn)
{
    OPENSSL_free(conn->note);
    conn->note = NULL;
    conn->note_n = 0;
}

static bool keep_note(struct tls_connection *conn, struct span note, bool opened)
{
    drop_note(conn);
    conn->note_opened = opened;
    if (note.n == 0)
        return true;
    conn->note = OPENSSL_memdup(note.p, note.n);
    if (conn->note == NULL)
        return false;
    conn->note_n = (uint16_t)note.n;
    return true;
}

void tls_set_note(struct tls_connection *conn, struct span note)
{
    BUG_ON(conn->client || note.n > TLS_NOTE_MAX);
    (void)keep_note(conn, note, false); /* without memory a resumption knows of no certificate */
}

bool tls_resumed(const struct tls_connection *conn)
{
    return conn->ssl != NULL && SSL_session_reused(conn->ssl) == 1;
}

/* What a ticket brought counts only when the client has proved that it holds the ticket's secret.
 */
struct span tls_note(const struct tls_connection *conn)
{
    if (conn->note_n == 0 || (conn->note_opened && !tls_resumed(conn)))
        return SPAN_EMPTY;
    return span_of(conn->note, conn->note_n);
}

/* ---- server: tickets -------------------------------------------------------------------- */

static const struct tls_tickets *tickets_of(const SSL *ssl)
{
    return &connection_of(ssl)->context->tickets;
}

static const EVP_AEAD_CTX *cipher(EVP_AEAD_CTX *ctx, const unsigned char *key)
{
    EVP_AEAD_CTX_zero(ctx);
    return EVP_AEAD_CTX_init(ctx, EVP_aead_aes_256_gcm(), key + NAME, KEY, TAG, NULL) == 1 ? ctx
                                                                                           : NULL;
}

static size_t most_overhead(SSL *ssl)
{
    return HEAD + LENGTH + tls_note(connection_of(ssl)).n + TAG;
}

static int seal(SSL *ssl, uint8_t *out, size_t *out_n, size_t max_out, const uint8_t *in,
                size_t in_n)
{
    const unsigned char *key = tickets_of(ssl)->keys->key[0];
    struct span note = tls_note(connection_of(ssl));
    size_t plain_n = LENGTH + note.n + in_n, sealed = 0;
    if (max_out < HEAD + plain_n + TAG)
        return 0;
    unsigned char *plain = OPENSSL_malloc(plain_n);
    EVP_AEAD_CTX ctx;
    if (plain == NULL)
        return 0;
    plain[0] = (unsigned char)(note.n >> 8);
    plain[1] = (unsigned char)note.n;
    if (note.n > 0)
        memcpy(plain + LENGTH, note.p, note.n);
    memcpy(plain + LENGTH + note.n, in, in_n);
    memcpy(out, key, NAME);
    (void)RAND_bytes(out + NAME, NONCE);
    bool good = cipher(&ctx, key) != NULL &&
                EVP_AEAD_CTX_seal(&ctx, out + HEAD, &sealed, max_out - HEAD, out + NAME, NONCE,
                                  plain, plain_n, out, NAME) == 1;
    EVP_AEAD_CTX_cleanup(&ctx);
    OPENSSL_free(plain);
    *out_n = HEAD + sealed;
    return good ? 1 : 0;
}

/* Splits the note off. False when the owner does not want it resumed. */
static bool take_plain(const SSL *ssl, struct span plain, uint8_t *out, size_t *out_n)
{
    struct tls_connection *conn = connection_of(ssl);
    const struct tls_tickets *t = tickets_of(ssl);
    if (plain.n < LENGTH)
        return false;
    size_t n = (size_t)plain.p[0] << 8 | plain.p[1];
    if (n > TLS_NOTE_MAX || n > plain.n - LENGTH)
        return false;
    struct span note = span_of(plain.p + LENGTH, n);
    struct span session = span_from(plain, LENGTH + n);
    if ((n > 0 && !t->usable(t->owner, note)) || !keep_note(conn, note, true))
        return false;
    memcpy(out, session.p, session.n);
    *out_n = session.n;
    return true;
}

/* A ticket that can't be opened or is not wanted leads to a full handshake, never to an error. */
static enum ssl_ticket_aead_result_t open_ticket(SSL *ssl, uint8_t *out, size_t *out_n,
                                                 size_t max_out, const uint8_t *in, size_t in_n)
{
    const struct tls_ticket_keys *keys = tickets_of(ssl)->keys;
    const unsigned char *key = NULL;
    for (unsigned i = 0; in_n > HEAD + TAG && i < keys->count; i++)
        if (memcmp(keys->key[i], in, NAME) == 0)
            key = keys->key[i];
    if (key == NULL || max_out < in_n)
        return ssl_ticket_aead_ignore_ticket;
    unsigned char *plain = OPENSSL_malloc(in_n);
    size_t plain_n = 0;
    EVP_AEAD_CTX ctx;
    bool good = plain != NULL && cipher(&ctx, key) != NULL;
    if (good) {
        good = EVP_AEAD_CTX_open(&ctx, plain, &plain_n, in_n, in + NAME, NONCE, in + HEAD,
                                 in_n - HEAD, in, NAME) == 1;
        EVP_AEAD_CTX_cleanup(&ctx);
    }
    good = good && take_plain(ssl, span_of(plain, plain_n), out, out_n);
    OPENSSL_free(plain);
    ERR_clear_error();
    return good ? ssl_ticket_aead_success : ssl_ticket_aead_ignore_ticket;
}

static const SSL_TICKET_AEAD_METHOD ticket_method = {
    .max_overhead = most_overhead, .seal = seal, .open = open_ticket};

void tls_context_resume(struct tls_context *context, const struct tls_tickets *tickets)
{
    BUG_ON(context->client || tickets->keys == NULL || tickets->usable == NULL);
    context->tickets = *tickets;
    SSL_CTX_set_ticket_aead_method(context->ssl, &ticket_method);
    (void)SSL_CTX_set_num_tickets(context->ssl, 1);
}

void tls_tickets_allowed(SSL *ssl, const struct tls_context *context)
{
    const struct tls_ticket_keys *keys = context->tickets.keys;
    if (context->client ? context->keep != NULL : keys != NULL && keys->count > 0)
        SSL_clear_options(ssl, SSL_OP_NO_TICKET);
}

/* ---- client: sessions ------------------------------------------------------------------- */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_connection *conn = connection_of(ssl);
    if (SSL_SESSION_has_ticket(session) != 1)
        return 0;
    return conn->context->keep(conn->context->keep_owner, conn, session) ? 1 : 0;
}

void tls_context_keep(struct tls_context *context, tls_keep_function *keep, void *owner)
{
    BUG_ON(!context->client);
    context->keep = keep;
    context->keep_owner = owner;
    SSL_CTX_set_session_cache_mode(context->ssl,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ssl, on_session);
}

bool tls_offer(struct tls_connection *conn, struct ssl_session_st *session, bool asked)
{
    BUG_ON(!conn->client || conn->ssl == NULL);
    if (SSL_set_session(conn->ssl, session) != 1)
        return false;
    conn->asked_before = asked;
    return true;
}

bool tls_session_single_use(const struct ssl_session_st *session)
{
    return SSL_SESSION_should_be_single_use(session) == 1;
}

void tls_session_free(struct ssl_session_st *session)
{
    SSL_SESSION_free(session);
}
