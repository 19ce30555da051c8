/*
 * listen: the worker's listening sockets. A flood that exhausts descriptors makes accepting pause.
 */
#ifndef MGID_LISTEN_H
#define MGID_LISTEN_H

#include "engine/ring/ring.h"

struct worker;

/* Accepts on every listener, unless the worker drains. */
void listen_arm(struct worker *w);
void listen_stop(struct worker *w);
void listen_accepted(struct worker *w, uint32_t index, uint32_t generation,
                     struct io_uring_cqe *cqe);

#endif
