/*
 * guard: how much each client takes of a worker: connections at once, by client and by network, and
 * how many connections, mails and recipients of it came lately. Pure after guard_init.
 *
 * A client is an IPv4 address, or the 64 bits of an IPv6 address that name its link: a host there
 * may take any address of 2^64. A network is a prefix of the limits'.
 *
 * Memory is laid out at start. Accounts are found by a hash with a secret key, so that no choice of
 * addresses makes the search slow. An account with connections can't be lost; of the others the one
 * that was used least lately makes room for a new one. So no flood of addresses makes the table
 * fail or forget who is connected, and what it forgets first is whom it saw longest ago.
 *
 * A rate of n a minute lets n come at once and then one each n-th of a minute: what comes is paid
 * for in time, and an account may be a minute in debt. It takes one number, and no window that
 * could be straddled. What is refused costs nothing.
 */
#ifndef MGID_GUARD_H
#define MGID_GUARD_H

#include "engine/guard/siphash.h"
#include "limits.h"

enum guard_rate { GUARD_CONNECTIONS, GUARD_MAILS, GUARD_RECIPIENTS, GUARD_RATES };

/* 0: no limit. */
struct guard_limits {
    uint32_t client_connections; /* at once */
    uint32_t network_connections;
    uint32_t per_minute[GUARD_RATES]; /* of a client; at most LIMIT_RATE_MAX */
    uint32_t network4;                /* bits of a network's prefix, at most 32 */
    uint32_t network6;                /* at most 64 */
};

enum guard_verdict {
    GUARD_WELCOME,
    GUARD_CLIENT_FULL,
    GUARD_NETWORK_FULL,
    GUARD_CLIENT_FAST,
    GUARD_VERDICTS
};

struct guard_account;

/* All members are guard's own. */
struct guard {
    struct guard_account *accounts;
    uint32_t *buckets; /* the first account of each, 0: none; as all numbers of accounts here */
    uint32_t capacity;
    uint32_t bucket_count; /* a power of two */
    uint32_t fresh;        /* accounts from here on were never used */
    uint32_t oldest;       /* of those without a connection */
    uint32_t newest;
    unsigned char key[SIPHASH_KEY];
};

/* Where a connection is counted. Zeroed: nowhere. */
struct guard_place {
    uint32_t client;
    uint32_t network;
};

/* Room for `connections` at once, and LIMIT_GUARD_SPARE accounts besides. 0, or -1 with errno. */
int guard_init(struct guard *g, uint32_t connections, const unsigned char key[SIPHASH_KEY]);
void guard_destroy(struct guard *g);

/* A connection from an address (family 4 or 6; 0, an unknown one, is a client like another), at
 * `now` microseconds of a clock that never goes back. GUARD_WELCOME counts it at *place until
 * guard_leave; else *place is nowhere, and nothing was counted. More connections than guard_init
 * was told are a bug. */
enum guard_verdict guard_enter(struct guard *g, const struct guard_limits *limits, uint8_t family,
                               const unsigned char *address, uint64_t now,
                               struct guard_place *place);

/* The connection has ended, or counts no more. Sets *place to nowhere; there nothing is done. */
void guard_leave(struct guard *g, struct guard_place *place);

/* May the connection's client have one more (GUARD_MAILS, GUARD_RECIPIENTS) now? True counts it.
 * Who is nowhere may. */
bool guard_charge(struct guard *g, const struct guard_limits *limits, struct guard_place place,
                  enum guard_rate rate, uint64_t now);

#endif
