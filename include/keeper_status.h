/*
 * keeper_status.h: what the keeper's answers mean (messages.def: chain_result, sign_result,
 * verify_result), and what a TLS key or a peer's chain is used for.
 */
#ifndef MGID_KEEPER_STATUS_H
#define MGID_KEEPER_STATUS_H

enum keeper_status {
    KEEPER_OK = 0,
    KEEPER_UNKNOWN_GENERATION, /* older than what is kept, or not there yet: start anew */
    KEEPER_REFUSED,            /* this flow may not, or the payload is no TLS handshake */
    KEEPER_UNUSABLE,           /* the identity or trust store could not be loaded */
    KEEPER_FAILED,             /* the operation itself failed */
};

/* In sign_request which end of the handshake we are; in verify_request which end the peer is. */
enum tls_purpose {
    TLS_SIGN_SERVER = 0, /* we accept the connection and prove our server identity */
    TLS_SIGN_CLIENT = 1, /* we connect, and the server asked for our certificate */
    TLS_PEER_SERVER = 2, /* we connect, and verify the server */
    TLS_PEER_CLIENT = 3, /* we accept, and verify the client */
};

#endif
