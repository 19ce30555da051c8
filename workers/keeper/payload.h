/*
 * payload: is this what a TLS handshake signs? The keeper signs nothing else, so that a worker
 * that was taken over can't have the key sign a token, a mail or another protocol's message.
 * Pure.
 */
#ifndef MGID_KEEPER_PAYLOAD_H
#define MGID_KEEPER_PAYLOAD_H

#include "span.h"
#include "tls_purpose.h"

enum payload_kind {
    PAYLOAD_FOREIGN, /* none of the others */
    PAYLOAD_TLS13,   /* RFC 8446 4.4.3, with the context of the purpose */
    PAYLOAD_TLS12,   /* RFC 8422 5.4 (a server's key exchange), RFC 5246 7.4.8 (a client's proof) */
};

/* What the payload is, for TLS_AS_SERVER or TLS_AS_CLIENT. `why` is set to a static text: what a
 * foreign one was found lacking, "" otherwise. */
enum payload_kind payload_classify(unsigned purpose, struct span payload, const char **why);

#endif
