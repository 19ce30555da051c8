/*
 * tickets: the keys that a flow's workers seal session tickets with. They belong to the flow, not
 * to a policy or a worker: a session may be resumed at any worker of the flow, before and after a
 * reload, and at no other flow.
 *
 * A key seals for LIMIT_TICKET_ROTATION seconds and opens until the last ticket has expired. When a
 * worker's channel ends, the flow's keys are made anew: what a worker may have learnt while it was
 * taken over is of no use once it is gone.
 */
#ifndef MGID_KEEPER_TICKETS_H
#define MGID_KEEPER_TICKETS_H

#include "limits.h"
#include "span.h"
#include "tls_ticket.h"

struct ticket_flow {
    char flow[LIMIT_NAME + 1]; /* "": free */
    struct tls_ticket_keys keys;
    uint64_t made;    /* the first key; seconds since 1970 */
    uint32_t version; /* changes with the keys, and is never used twice */
};

struct tickets {
    struct ticket_flow flows[LIMIT_FLOWS];
    uint32_t versions;
};

/* The keys of a flow, made when it is new, rotated when that is due. Where all places are taken the
 * flow whose keys are oldest gives way. Valid until the next call. */
const struct ticket_flow *tickets_of(struct tickets *t, struct span flow, uint64_t now);

/* All keys of the flow are made anew. */
void tickets_renew(struct tickets *t, struct span flow, uint64_t now);

/* Wipes all. */
void tickets_free(struct tickets *t);

#endif
