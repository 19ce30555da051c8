/*
 * lookups: the look-ups under way, their queries to libunbound, and their time-outs.
 *
 * A query outlives its look-up when that ran out of time or its channel was closed: libunbound
 * still calls back, and then finds that nobody waits. (ub_cancel is not for event contexts.)
 */
#ifndef MGID_RESOLVER_LOOKUPS_H
#define MGID_RESOLVER_LOOKUPS_H

#include "engine/pool/pool.h"
#include "workers/resolver/answer.h"
#include "workers/resolver/loop.h"

struct lookup;

/* One query that libunbound works on. */
struct lookup_query {
    struct lookups *all;
    struct lookup *lookup; /* NULL: nobody waits any more */
    struct lookup_query *next;
    struct lookup_query *previous;
    struct answer_query what;
};

struct lookup {
    struct lookups *all;
    uint64_t id;         /* of the request */
    void *owner;         /* who asked (its channel) */
    struct lookup *next; /* of the owner's list, which is the owner's matter */
    struct lookup *previous;
    struct lookup_query *queries; /* those that were not answered yet */
    bool asking;                  /* queries are being handed over: the end has to wait */
    bool ended;                   /* lookup_end was called meanwhile */
    bool done;
    struct loop_event timer;
    struct answer answer;
};

struct lookups {
    struct loop *loop;
    struct ub_ctx *ctx;
    struct pool lookups;
    struct pool queries;
    struct answer_random random;
    void (*done)(
        struct lookup *lookup); /* the answer is complete; lookup_end is the owner's to do */
};

/* Returns 0, or -1 with errno. done is never called from within lookup_begin. */
int lookups_init(struct lookups *all, struct loop *loop, struct ub_ctx *ctx,
                 void (*done)(struct lookup *lookup));

/* A look-up, or NULL when LIMIT_LOOKUPS are under way. The caller sets next and previous, and
 * calls lookup_run at last. */
struct lookup *lookup_begin(struct lookups *all, void *owner, uint64_t id, enum lookup_kind kind,
                            struct span name, uint16_t tlsa_port);

/* Hands the queries over. May call done before it returns. */
void lookup_run(struct lookup *lookup);

/* Forgets the look-up, complete or not. */
void lookup_end(struct lookup *lookup);

#endif
