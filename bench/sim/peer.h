/*
 * peer: TLS contexts of the simulator, and what is to be said of the other side. Verification
 * is BoringSSL's own X.509 path building with a store from a file; its verdict is recorded and
 * never ends the handshake, so that a refusal can be a reply that names the reason.
 */
#ifndef MGISIM_PEER_H
#define MGISIM_PEER_H

#include "span.h"
#include <openssl/ssl.h>
#include <stdio.h>

struct peer_setup {
    const char *certificate; /* PEM chain and key of ours; NULL for none (a client only) */
    const char *key;
    const char *ca;      /* PEM certificates that the other side's chain must lead to, or NULL */
    const char *maximum; /* "1.2", "1.3" or NULL: the highest version that is offered */
    bool ask;            /* server: ask for a client certificate */
};

struct peer_facts {
    bool present; /* a certificate was shown */
    bool verified;
    char reason[256]; /* why not verified */
    char subject[512];
    char organization[256];
    char issuer[512];
    char sha1[41];
    char sha256[65];
    const char *version; /* "TLSv1.3" */
    const char *cipher;
};

/* A context for accepting or connecting; ends the program when a file does not serve. */
SSL_CTX *peer_server_context(const struct peer_setup *setup);
SSL_CTX *peer_client_context(const struct peer_setup *setup);

/* A client's connection on fd that demands `name` (may be NULL) in the server's certificate. */
SSL *peer_connect(SSL_CTX *context, int fd, const char *name);
/* Did the server ask for our certificate during this connection's handshake? */
bool peer_was_asked(const SSL *ssl);

/* Facts of a completed handshake. */
void peer_describe(const SSL *ssl, bool have_ca, struct peer_facts *facts);

/* Writes the facts as members: "tls", "cipher", and an object named `role`. */
void peer_write(FILE *out, const char *role, const struct peer_facts *facts);

/* The newest error of BoringSSL's queue, for people; clears the queue. */
const char *peer_error(char *buffer, size_t size);

#endif
