/*
 * keeper: requests of connection workers and what is answered. Knows no descriptor: main.c
 * receives and sends.
 *
 * Who asks comes from the channel, never from the message: `flow` is what the master said of the
 * channel. What a flow may have signed is policy_identity_allowed of the generation it names.
 */
#ifndef MGID_KEEPER_KEEPER_H
#define MGID_KEEPER_KEEPER_H

#include "engine/ipc/ipc.h"
#include "keeper_status.h"
#include "workers/keeper/generation.h"
#include "workers/keeper/tickets.h"

enum { KEEPER_GENERATIONS = 2 };

struct keeper {
    struct generation *kept[KEEPER_GENERATIONS]; /* newest first; NULL: none */
    struct generation *staged;                   /* its files are coming; serves nobody */
    struct tickets tickets;
};

/* What a reply's spans point into. */
struct keeper_answer {
    struct ipc_message reply;
    unsigned char signature[LIMIT_SIGNATURE];
    unsigned char names[LIMIT_IDENTITY_NAMES];
    struct verdict verdict;
    char refusal[LIMIT_REASON]; /* what to log when it is KEEPER_REFUSED, else "" */
};

/* The generation of that number that serves; NULL when there is none. */
struct generation *keeper_generation(const struct keeper *k, uint32_t number);

/* Puts the staged generation into service; the oldest goes. One of the same number is replaced. */
void keeper_promote(struct keeper *k);

/* Frees and wipes everything. */
void keeper_free(struct keeper *k);

/* Answers a chain_request, sign_request or verify_request; another kind is a bug. answer->reply is
 * to be sent; it is valid as long as answer and the generations are. */
void keeper_answer(const struct keeper *k, struct span flow, const struct ipc_message *request,
                   uint64_t now, struct keeper_answer *answer);

#endif
