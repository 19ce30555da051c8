/*
 * loop: waiting on descriptors and deadlines with poll(2), for the resolver's own channels and,
 * as a pluggable event base (unbound-event.h), for libunbound.
 *
 * Not libevent: that opens an epoll descriptor and a socket pair of its own, which the exact list
 * of descriptors that a sandboxed role may hold could not name.
 */
#ifndef MGID_RESOLVER_LOOP_H
#define MGID_RESOLVER_LOOP_H

#include "engine/pool/timer.h"
#include <poll.h>
#include <sys/time.h>
#include <unbound.h>
#include <unbound-event.h>

/* One event. libunbound's are made by the loop, others lie in their owner's structure. An event
 * must not move or go away between loop_add and loop_remove (or, without UB_EV_PERSIST, its
 * callback). The fields are the loop's. */
struct loop_event {
    struct ub_event handle; /* first: libunbound knows no more of it */
    struct loop *loop;
    void (*callback)(int fd, short bits, void *arg);
    void *arg;
    struct timer timer;
    uint64_t period; /* microseconds; of an event that persists */
    int fd;          /* -1: a timer only */
    short bits;      /* UB_EV_READ, UB_EV_WRITE, UB_EV_PERSIST */
    uint32_t place;  /* in the array for poll, plus 1; 0: not there */
};

struct loop {
    struct ub_event_base base; /* what ub_ctx_create_ub_event takes */
    struct timer_heap timers;
    struct pollfd *polled;
    struct loop_event **events; /* of the same places */
    uint32_t count;
    uint32_t capacity;
};

/* Room for `capacity` events. Returns 0, or -1 with errno. The loop must not move. */
int loop_init(struct loop *loop, uint32_t capacity);

/* Prepares an event that is not in the loop. */
void loop_event_init(struct loop *loop, struct loop_event *event, int fd, short bits,
                     void (*callback)(int fd, short bits, void *arg), void *arg);

/* Puts the event in, or gives it a new time-out (microseconds; 0: none). The callback gets
 * UB_EV_READ, UB_EV_WRITE or UB_EV_TIMEOUT; without UB_EV_PERSIST the event is taken out before.
 * False when the loop is full. */
bool loop_add(struct loop_event *event, uint64_t timeout);
void loop_remove(struct loop_event *event);

/* loop_remove, other bits, loop_add without time-out. */
bool loop_change(struct loop_event *event, short bits);

/* Waits until something happens, and calls back. Fatal when poll fails. */
void loop_step(struct loop *loop);

#endif
