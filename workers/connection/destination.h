/*
 * destination: a next hop (a route, and for routes by the recipient's MX the domain): where its
 * hosts are, the deliveries that wait for it, the clients that serve it.
 *
 * Hosts are tried in order; one that failed is passed over for a while. When none is left, the
 * breaker of its pace opens (pace.h).
 */
#ifndef MGID_DESTINATION_H
#define MGID_DESTINATION_H

#include "engine/ipc/ipc.h"
#include "workers/connection/pace.h"
#include "workers/connection/queue.h"
#include "workers/connection/stream.h"

struct client;

struct candidate {
    union stream_address address;
    char host[LIMIT_DOMAIN + 1]; /* the name that the certificate must show; or the literal */
    uint64_t bad_until;          /* microseconds, monotonic */
    bool in_clear;               /* its TLS failed, and the route does not demand it */
    uint16_t tlsa;               /* 1 + of the destination's sets; 0: none */
    bool encrypt;                /* it has TLSA records, none of them usable: TLS, not verified */
    bool no_chunking;            /* offers CHUNKING and does not know BDAT */
};

enum destination_state { DESTINATION_UNKNOWN, DESTINATION_ASKING, DESTINATION_KNOWN };

struct destination {
    char route[LIMIT_NAME + 1];
    char domain[LIMIT_DOMAIN + 1]; /* "" unless the route goes by the recipient's MX */
    bool by_domain;                /* it did when this was made */
    struct destination *next_in_bucket;
    struct destination *next[DESTINATION_LISTS];
    struct delivery *sorted; /* while an entry's recipients are sorted: its delivery */
    struct ready ready;
    struct pace pace;
    bool suspended;   /* by the operator: all wait */
    uint32_t failing; /* of the ready ones: nothing could be delivered, to be told yet */
    bool failing_for_good;
    bool charged; /* one of those that were deferred before has been told of this failure */
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
    bool running;
    bool listed[DESTINATION_LISTS];
    struct timer timer; /* when its pace lets it go on; nothing left to do: to be forgotten */
    char reason[LIMIT_REASON];
    char status[12];          /* that goes with it, when a host failed (RFC 3463) */
    struct stream_tlsa *tlsa; /* LIMIT_CANDIDATES sets, once there was one */
    uint32_t tlsa_count;
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

/* One of its connections has ended: the one that waited longest for a connection is next. */
void destination_client_gone(struct worker *w, struct destination *d);

/* Connections may be had again: all that wait for one have their turn. */
void destination_wake_starved(struct worker *w);

/* Should one of its connections end, as others have none? */
bool destination_must_yield(const struct worker *w, const struct destination *d);

/* An answer of the resolver, or none. */
void destination_found(struct worker *w, const struct msg_lookup_result *r);
void destination_resolver_gone(struct worker *w);

/* The best host that is not passed over, or NULL. */
struct candidate *destination_candidate(const struct worker *w, struct destination *d);

/* The host could not be used, why, and the enhanced status of that; the next one is tried, or
 * everything is deferred. */
void destination_candidate_failed(struct worker *w, struct destination *d, struct candidate *c,
                                  const char *why, const char *status);

/* The host took a connection and broke the mail off: where there are others they come first, until
 * a deferred mail's next attempt or two are over. */
void destination_candidate_distrust(const struct worker *w, struct destination *d,
                                    struct candidate *c, const char *why);

/* Nothing can be delivered now (or ever, when permanent; status then is the enhanced code). That is
 * told a few a turn. For good: all that are ready. For now: those that are ready for the first
 * time, and one of the others; as long as the breaker is open the others just stand in line. So a
 * dead destination costs one attempt a pause, however many mails wait for it. */
void destination_failed(struct worker *w, struct destination *d, const char *why, bool permanent,
                        const char *status);

/* The operator wants it tried now: the breaker is closed, hosts are no longer passed over. */
void destination_retry(struct worker *w, struct destination *d);

/* What the policy says of its route. */
struct pace_limits destination_limits(const struct worker *w, const struct destination *d);

/* A client or delivery has left: forgets the destination later when nothing is left. */
void destination_rest(struct worker *w, struct destination *d);
void destination_timer(struct worker *w, struct timer *t);

#endif
