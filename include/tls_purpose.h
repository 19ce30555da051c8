/*
 * tls_purpose.h: what is asked of the keeper for a TLS handshake. A worker names it in a sign or
 * verify request; the keeper authorises a signature with policy_identity_allowed.
 */
#ifndef MGID_TLS_PURPOSE_H
#define MGID_TLS_PURPOSE_H

enum tls_purpose {
    TLS_AS_SERVER = 1,   /* sign: we accepted the connection and prove the listener's identity */
    TLS_AS_CLIENT = 2,   /* sign: we connected, and the server asked for our certificate */
    TLS_PEER_SERVER = 3, /* verify: we connected, the peer is a server */
    TLS_PEER_CLIENT = 4, /* verify: we accepted, the peer is a client */
};

#endif
