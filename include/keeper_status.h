/*
 * keeper_status.h: what the keeper's answers mean (messages.def: chain_result, sign_result,
 * verify_result).
 */
#ifndef MGID_KEEPER_STATUS_H
#define MGID_KEEPER_STATUS_H

#include "tls_purpose.h"

enum keeper_status {
    KEEPER_OK = 0,
    KEEPER_UNKNOWN_GENERATION, /* older than what is kept, or not there yet: start anew */
    KEEPER_REFUSED,            /* this flow may not, or the payload is no TLS handshake */
    KEEPER_UNUSABLE,           /* the identity or trust store could not be loaded */
    KEEPER_FAILED,             /* the operation itself failed */
};

#endif
