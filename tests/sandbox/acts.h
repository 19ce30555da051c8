/*
 * acts: one function for each row of acts.def. Each returns what a system call would: 0 or more
 * when the act succeeded, -1 with errno when it was refused, PROBE_CLOSED when a channel was closed
 * in answer.
 */
#ifndef MGID_TESTS_SANDBOX_ACTS_H
#define MGID_TESTS_SANDBOX_ACTS_H

#include "roles.h"
#include <liburing.h>

enum { PROBE_MASTER = 3, PROBE_PEERS = 64, PROBE_CLOSED = 1000000 };

struct probe {
    enum role role;
    char act[64];
    unsigned port; /* listens on the loopback address; no policy names it */
    char key[1024];
    char other[1024]; /* directory of another flow's shard */
    int shard;        /* own directory, or -1 */
    int peer[PROBE_PEERS];
    enum role peer_role[PROBE_PEERS];
    unsigned peers;
    struct io_uring *ring; /* NULL: none */
};

/* Waits until the other side has closed the channel (PROBE_CLOSED), or some seconds (0). What it
 * says before that is passed over. */
int probe_closed(int fd);

#define ACT(name, connection, keeper, resolver, control, compiler, what)                           \
    int act_##name(const struct probe *p);
#include "tests/sandbox/acts.def"
#undef ACT

#endif
