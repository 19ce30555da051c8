/*
 * channels: the connection workers that ask. Requests are read one after the other; a channel
 * that does not take its answers is not read from until it does.
 */
#ifndef MGID_RESOLVER_CHANNELS_H
#define MGID_RESOLVER_CHANNELS_H

#include "workers/resolver/lookups.h"

struct channel {
    struct channels *all;
    int fd; /* -1: free */
    uint16_t index;
    char flow[LIMIT_NAME + 1];
    struct loop_event event;
    struct lookup *lookups; /* all of this channel, the latest first */
    unsigned lookup_count;
    unsigned unsent;  /* of them, complete but not taken by the worker yet */
    bool refusal;     /* a request over the bound waits for its "try again" to be sent */
    uint64_t refused; /* its id */
};

struct channels {
    struct loop *loop;
    struct lookups lookups;
    struct channel slots[LIMIT_ROLE_ITEMS];
    unsigned char buffer[LIMIT_MESSAGE];
    struct answer_result result;
};

/* Fatal when memory can't be had. *all must not move. */
void channels_init(struct channels *all, struct loop *loop, struct ub_ctx *ctx);

/* Takes the descriptor of a channel to the connection worker `index` of `flow`, in place of one
 * that was there before. Closes fd and logs when there is no room. */
void channels_put(struct channels *all, int fd, unsigned index, struct span flow);

/* True when no answer is owed to anyone. */
bool channels_idle(const struct channels *all);

#endif
