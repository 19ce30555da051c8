/*
 * destination: a next hop (a route, and for routes by the recipient's MX the domain): where its
 * hosts are, the deliveries that wait for it, the clients that serve it.
 *
 * Hosts are tried in order; one that failed is passed over for a while. When none is left,
 * everything that waits is deferred with the last reason, and for a moment new mail too: a dead
 * destination costs one attempt, not one a mail.
 */
#ifndef MGID_DESTINATION_H
#define MGID_DESTINATION_H

#include "engine/ipc/ipc.h"
#include "workers/connection/queue.h"
#include "workers/connection/stream.h"

struct client;

struct candidate {
    union stream_address address;
    char host[LIMIT_DOMAIN + 1]; /* the name that the certificate must show; or the literal */
    uint64_t bad_until;          /* microseconds, monotonic */
    bool in_clear;               /* its TLS failed, and the route does not demand it */
    bool no_chunking;            /* offers CHUNKING and does not know BDAT */
};

enum destination_state { DESTINATION_UNKNOWN, DESTINATION_ASKING, DESTINATION_KNOWN };

struct destination {
    char route[LIMIT_NAME + 1];
    char domain[LIMIT_DOMAIN + 1]; /* "" unless the route goes by the recipient's MX */
    bool by_domain;                /* it did when this was made */
    struct destination *next_in_bucket;
    struct destination *next_busy; /* in the queue's list */
    struct delivery *sorted;       /* while an entry's recipients are sorted: its delivery */
    struct delivery_line ready;
    uint32_t failing; /* of them, from the first on: nothing could be delivered, to be told yet */
    bool failing_for_good;
    char failing_status[12];
    uint32_t deliveries; /* that exist, in whatever state */
    uint32_t clients;    /* connections, or being made */
    uint32_t starting;   /* of them, those that have no delivery yet */
    struct client *idle;
    enum destination_state state;
    uint32_t route_index; /* in the generation that was current when it was asked */
    uint32_t generation;
    uint32_t asking_host; /* of a route with hosts: the one asked for */
    uint64_t known_until; /* microseconds, monotonic */
    uint64_t down_until;
    bool running;
    bool busy;          /* in the queue's list */
    struct timer timer; /* when nothing is left to do: to be forgotten */
    char reason[LIMIT_REASON];
    uint32_t candidate_count;
    struct candidate candidates[LIMIT_CANDIDATES];
};

/* The destination of a recipient on that route; made when it is new. NULL: as many as the worker
 * can hold. */
struct destination *destination_for(struct worker *w, struct span route, struct span recipient);

/* The same, NULL when there is none yet. */
struct destination *destination_find(struct worker *w, struct span route, struct span recipient);

/* It has something to do: runs with the others at the end of the turn. */
void destination_wake(struct worker *w, struct destination *d);

/* The first of the queue's busy ones runs. */
void destination_run_next(struct worker *w);

/* Takes the next ready delivery that can be begun (queue_begin). NULL: none. */
struct delivery *destination_take(struct worker *w, struct destination *d);

/* Does what can be done: hands ready deliveries to idle clients, opens new ones, asks names. */
void destination_run(struct worker *w, struct destination *d);

/* The same for every destination with ready deliveries. */
void destination_run_all(struct worker *w);

/* An answer of the resolver, or none. */
void destination_found(struct worker *w, const struct msg_lookup_result *r);
void destination_resolver_gone(struct worker *w);

/* The best host that is not passed over, or NULL. */
struct candidate *destination_candidate(const struct worker *w, struct destination *d);

/* The host could not be used, and why; the next one is tried, or everything is deferred. */
void destination_candidate_failed(struct worker *w, struct destination *d, struct candidate *c,
                                  const char *why);

/* The host took a connection and broke the mail off: where there are others they come first, until
 * a deferred mail's next attempt or two are over. */
void destination_candidate_distrust(const struct worker *w, struct destination *d,
                                    struct candidate *c, const char *why);

/* Nothing can be delivered now (or ever, when permanent; status then is the enhanced code): tells
 * all that are ready, a few a turn. */
void destination_failed(struct worker *w, struct destination *d, const char *why, bool permanent,
                        const char *status);

/* A client or delivery has left: forgets the destination later when nothing is left. */
void destination_rest(struct worker *w, struct destination *d);
void destination_timer(struct worker *w, struct timer *t);

#endif
