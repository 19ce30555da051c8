/* What the files of engine/tls share. */
#ifndef MGID_TLS_INTERNAL_H
#define MGID_TLS_INTERNAL_H

#include "engine/tls/tls.h"
#include <openssl/ssl.h>

struct tls_context {
    SSL_CTX *ssl;
    enum tls_ask ask;
    bool client;
    bool has_chain;
    struct tls_tickets tickets; /* server; keys NULL: none */
    tls_keep_function *keep;    /* client; NULL: nothing is resumed */
    void *keep_owner;
    tls_choose_function *choose; /* server; NULL: its own chain always */
    void *choose_owner;
    unsigned references; /* its owner's, and one of each connection */
};

/* Drops a reference; the last one frees. */
void tls_context_drop(struct tls_context *context);

/* Clears the library's "no tickets" where the context has what it takes. */
void tls_tickets_allowed(SSL *ssl, const struct tls_context *context);

/* Of an answer that the handshake stops for. */
enum tls_answer { ANSWER_NONE, ANSWER_WANTED, ANSWER_GOOD, ANSWER_BAD };

/* A connection's end of the transport, owned by its SSL. NULL without memory. */
BIO *tls_transport_new(struct tls_connection *conn);

/* ---- callbacks of the library; each finds its connection by the SSL's app data ---- */
extern const SSL_PRIVATE_KEY_METHOD tls_key_method;
enum ssl_verify_result_t tls_on_verify(SSL *ssl, uint8_t *alert);
int tls_on_certificate_request(SSL *ssl, void *unused);
void tls_on_info(const SSL *ssl, int type, int value);

#endif
