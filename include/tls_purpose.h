/*
 * tls_purpose.h: what an identity's key is asked to sign for. A connection worker names it in a
 * sign request; the keeper authorises it with policy_identity_allowed.
 */
#ifndef MGID_TLS_PURPOSE_H
#define MGID_TLS_PURPOSE_H

enum tls_purpose {
    TLS_AS_SERVER = 1, /* a flow's listener, towards who connects to it */
    TLS_AS_CLIENT = 2, /* a route, towards the host that mail is delivered to */
};

#endif
