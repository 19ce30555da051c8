/*
 * worker: what a connection worker has. One thread; everything below is touched by it alone.
 */
#ifndef MGID_WORKER_H
#define MGID_WORKER_H

#include "engine/counters/counters.h"
#include "engine/guard/guard.h"
#include "engine/pool/chunk.h"
#include "engine/pool/pool.h"
#include "engine/pool/timer.h"
#include "engine/ring/ring.h"
#include "engine/sandbox/role.h"
#include "engine/spool/spool.h"
#include "workers/connection/commit.h"
#include "workers/connection/generation.h"
#include "workers/connection/import.h"
#include "workers/connection/links.h"
#include "workers/connection/queue.h"
#include "workers/connection/resume.h"
#include "workers/connection/stream.h"

enum completion_kind {
    COMPLETION_NONE,
#define COMPLETION(KIND, function) COMPLETION_##KIND,
#include "workers/connection/completions.def"
#undef COMPLETION
    COMPLETION_KIND_COUNT
};

/* What a timer of the worker's heap lies in. */
enum timer_kind { TIMER_STREAM, TIMER_DELIVERY, TIMER_DESTINATION, TIMER_WORKER };

struct listener {
    int fd;
    uint32_t number; /* of policy_listener */
    bool armed;
};

struct worker {
    struct ring ring;
    uint64_t now; /* microseconds, monotonic; read once a turn */
    int64_t wall; /* microseconds since 1970; read once a turn */
    struct timer_heap timers;
    struct counters_page *counters;

    struct guard guard; /* of clients */
    struct pool streams;
    struct pool stream_tls;
    struct pool sessions;
    struct pool transactions;
    struct pool lines; /* of struct smtp_line: partial commands */
    struct pool clients;
    struct chunk_pool chunks;
    struct stream *closing;
    uint32_t last_words; /* finished streams with output that the kernel has not got yet */

    struct generations generations;
    struct resume resume;
    struct links links;
    struct commit commit;
    struct queue queue;
    struct import import;
    struct spool *spool;

    struct listener listeners[LIMIT_LISTENERS];
    unsigned listener_count;
    unsigned sessions_open;

    char flow[LIMIT_NAME + 1];
    uint16_t shard_index;
    int shard;       /* its directory */
    bool serving;    /* the first policy is in use, the shard is recovered */
    bool drain_only; /* a shard that the policy no longer uses: ends when it is empty */
    bool draining;
    unsigned spool_segments; /* as of the last housekeeping */
    bool emptying;                 /* mgictl drain: takes nothing, ends when it is empty */
    char empty_to[LIMIT_NAME + 1]; /* the route that all goes by; "": each its own */
    bool clients_short;            /* a destination wants a connection, and all are in use */
    bool spool_full;               /* the last commit found no room */
    bool spool_low;             /* below the watermark: new mail is answered 452 before it hurts */
    uint64_t spool_room;        /* bytes above that watermark, as of the last look */
    uint64_t drain_until;       /* microseconds, monotonic */
    uint64_t refusal_logged;    /* when a refused connection was last told */
    uint64_t refusals_unlogged; /* since then */
    uint64_t accept_again;      /* 0, or when descriptors may be there again */
    struct timer housekeeping;

    unsigned char scratch[LIMIT_CHUNK];     /* replies or commands being built */
    unsigned char plain[LIMIT_CHUNK];       /* a decrypted piece of input */
    unsigned char read_buffer[LIMIT_CHUNK]; /* a piece of a large mail */
    unsigned char stuffed[LIMIT_CHUNK];     /* a piece of a mail with its dots stuffed */
};

/* A tag for an operation on a pool's slot. */
static inline struct ring_tag worker_tag(enum completion_kind kind, uint32_t index,
                                         uint32_t generation)
{
    return (struct ring_tag){.kind = (uint8_t)kind, .generation = generation, .index = index};
}

/* The chunks that mail may use end here; what is above is for replies and for delivering. */
bool worker_short_of_memory(const struct worker *w);

/* Sets now and wall. */
void worker_read_clocks(struct worker *w);

/* Another policy is in use; the first time: the worker begins to serve. */
void worker_policy_changed(struct worker *w);

/* No new clients; what is open may end within that time. */
void worker_drain(struct worker *w, uint32_t milliseconds);

/* Nothing new; what is queued goes out, by that route if it has a name; then the end. */
void worker_empty(struct worker *w, struct span route);

/* Serves until drained. */
void worker_run(struct worker *w);

#endif
