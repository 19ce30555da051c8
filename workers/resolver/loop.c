/* The event loop, and the tables of functions through which libunbound uses it. */
#include "workers/resolver/loop.h"
#include "engine/pool/reserve.h"
#include "status.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { MICRO = 1000000, MAX_WAIT_MS = 3600 * 1000 };

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * MICRO + (uint64_t)t.tv_nsec / 1000;
}

/* ---- events ----------------------------------------------------------------------------- */

static short wanted(short bits)
{
    return (short)(((bits & UB_EV_READ) ? POLLIN : 0) | ((bits & UB_EV_WRITE) ? POLLOUT : 0));
}

static bool put_in(struct loop_event *event)
{
    struct loop *loop = event->loop;
    if (event->fd < 0 || event->place != 0)
        return true;
    if (loop->count == loop->capacity)
        return false;
    loop->polled[loop->count] = (struct pollfd){.fd = event->fd, .events = wanted(event->bits)};
    loop->events[loop->count] = event;
    event->place = ++loop->count;
    return true;
}

/* The last one takes the free place; loop_step walks downwards and so meets each at most once. */
static void take_out(struct loop_event *event)
{
    struct loop *loop = event->loop;
    if (event->place == 0)
        return;
    uint32_t place = event->place - 1;
    uint32_t last = --loop->count;
    BUG_ON(loop->events[place] != event);
    loop->polled[place] = loop->polled[last];
    loop->events[place] = loop->events[last];
    loop->events[place]->place = place + 1;
    event->place = 0;
}

void loop_event_init(struct loop *loop, struct loop_event *event, int fd, short bits,
                     void (*callback)(int fd, short bits, void *arg), void *arg)
{
    *event =
        (struct loop_event){.loop = loop, .callback = callback, .arg = arg, .fd = fd, .bits = bits};
}

bool loop_add(struct loop_event *event, uint64_t timeout)
{
    if (!put_in(event))
        return false;
    if (timeout == 0)
        return true;
    event->period = timeout;
    return timer_arm(&event->loop->timers, &event->timer, now_us() + timeout);
}

void loop_remove(struct loop_event *event)
{
    take_out(event);
    timer_cancel(&event->loop->timers, &event->timer);
}

bool loop_change(struct loop_event *event, short bits)
{
    loop_remove(event);
    event->bits = bits;
    return loop_add(event, 0);
}

/* After the callback the event may be gone. */
static void fire(struct loop_event *event, short bits)
{
    bool rearm = timer_armed(&event->timer) || (bits & UB_EV_TIMEOUT);
    if (!(event->bits & UB_EV_PERSIST))
        loop_remove(event);
    else if (rearm && event->period > 0)
        (void)timer_arm(&event->loop->timers, &event->timer, now_us() + event->period);
    event->callback(event->fd, bits, event->arg);
}

/* ---- one step --------------------------------------------------------------------------- */

static int wait_ms(const struct loop *loop)
{
    uint64_t next = timer_next(&loop->timers), now = now_us();
    if (next == TIMER_NEVER)
        return -1;
    if (next <= now)
        return 0;
    uint64_t ms = (next - now + 999) / 1000;
    return ms < MAX_WAIT_MS ? (int)ms : MAX_WAIT_MS;
}

/* An error or hang-up is news to whichever direction the owner waits for. */
static short happened(const struct loop_event *event, short revents)
{
    const short both = POLLERR | POLLHUP | POLLNVAL;
    return (short)(((revents & (POLLIN | both)) ? event->bits & UB_EV_READ : 0) |
                   ((revents & (POLLOUT | both)) ? event->bits & UB_EV_WRITE : 0));
}

void loop_step(struct loop *loop)
{
    int ready = poll(loop->polled, loop->count, wait_ms(loop));
    if (ready < 0 && errno != EINTR)
        fatal_env(EXIT_OSERR, errno, "poll");
    for (uint32_t i = loop->count; ready > 0 && i > 0; i--) {
        if (i > loop->count) /* callbacks took out some at the end */
            continue;
        short revents = loop->polled[i - 1].revents;
        if (revents == 0)
            continue;
        loop->polled[i - 1].revents = 0;
        short bits = happened(loop->events[i - 1], revents);
        if (bits != 0)
            fire(loop->events[i - 1], bits);
    }
    uint64_t now = now_us();
    for (uint32_t due = loop->timers.n; due > 0; due--) { /* those re-armed at once wait a turn */
        struct timer *timer = timer_expired(&loop->timers, now);
        if (timer == NULL)
            break;
        fire(timer_owner(timer, struct loop_event, timer), UB_EV_TIMEOUT);
    }
}

/* ---- as libunbound's event base --------------------------------------------------------- */

static uint64_t microseconds(const struct timeval *t)
{
    if (t == NULL)
        return 0;
    uint64_t us = (uint64_t)t->tv_sec * MICRO + (uint64_t)t->tv_usec;
    return us > 0 ? us : 1; /* 0 would be no time-out at all */
}

static struct loop_event *event_of(struct ub_event *handle)
{
    return (struct loop_event *)(void *)handle;
}

static void ub_add_bits(struct ub_event *handle, short bits)
{
    event_of(handle)->bits = (short)(event_of(handle)->bits | bits);
}

static void ub_del_bits(struct ub_event *handle, short bits)
{
    event_of(handle)->bits = (short)(event_of(handle)->bits & ~bits);
}

static void ub_set_fd(struct ub_event *handle, int fd)
{
    event_of(handle)->fd = fd;
}

static int ub_del(struct ub_event *handle)
{
    loop_remove(event_of(handle));
    return 0;
}

static void ub_free(struct ub_event *handle)
{
    loop_remove(event_of(handle));
    free(event_of(handle));
}

static int ub_add(struct ub_event *handle, struct timeval *timeout)
{
    return loop_add(event_of(handle), microseconds(timeout)) ? 0 : -1;
}

static int ub_add_timer(struct ub_event *handle, struct ub_event_base *base,
                        void (*callback)(int, short, void *), void *arg, struct timeval *timeout)
{
    struct loop_event *event = event_of(handle);
    (void)base;
    event->callback = callback;
    event->arg = arg;
    return ub_add(handle, timeout);
}

/* libunbound never asks for signals of an event base that is not its own, nor Windows' events. */
static int ub_no_signal(struct ub_event *handle, struct timeval *timeout)
{
    (void)handle, (void)timeout;
    return -1;
}

static void ub_no_windows(struct ub_event *handle)
{
    (void)handle;
}

static void ub_no_windows_block(struct ub_event *handle, int bits)
{
    (void)handle, (void)bits;
}

static struct ub_event_vmt event_functions = {
    .add_bits = ub_add_bits,
    .del_bits = ub_del_bits,
    .set_fd = ub_set_fd,
    .free = ub_free,
    .add = ub_add,
    .del = ub_del,
    .add_timer = ub_add_timer,
    .del_timer = ub_del,
    .add_signal = ub_no_signal,
    .del_signal = ub_del,
    .winsock_unregister_wsaevent = ub_no_windows,
    .winsock_tcp_wouldblock = ub_no_windows_block,
};

static struct ub_event *ub_new_event(struct ub_event_base *base, int fd, short bits,
                                     void (*callback)(int, short, void *), void *arg)
{
    struct loop_event *event = malloc(sizeof *event);
    if (event == NULL)
        return NULL;
    loop_event_init((struct loop *)(void *)base, event, fd, bits, callback, arg);
    event->handle = (struct ub_event){.magic = UB_EVENT_MAGIC, .vmt = &event_functions};
    return &event->handle;
}

static struct ub_event *ub_new_signal(struct ub_event_base *base, int fd,
                                      void (*callback)(int, short, void *), void *arg)
{
    (void)base, (void)fd, (void)callback, (void)arg;
    return NULL;
}

static struct ub_event *ub_new_windows(struct ub_event_base *base, void *event,
                                       void (*callback)(int, short, void *), void *arg)
{
    (void)base, (void)event, (void)callback, (void)arg;
    return NULL;
}

static void ub_base_free(struct ub_event_base *base)
{
    (void)base;
}

static int ub_base_dispatch(struct ub_event_base *base)
{
    (void)base;
    return -1;
}

static int ub_base_exit(struct ub_event_base *base, struct timeval *when)
{
    (void)base, (void)when;
    return -1;
}

static struct ub_event_base_vmt base_functions = {
    .free = ub_base_free,
    .dispatch = ub_base_dispatch,
    .loopexit = ub_base_exit,
    .new_event = ub_new_event,
    .new_signal = ub_new_signal,
    .winsock_register_wsaevent = ub_new_windows,
};

int loop_init(struct loop *loop, uint32_t capacity)
{
    *loop = (struct loop){.base = {.magic = UB_EVENT_MAGIC, .vmt = &base_functions},
                          .capacity = capacity};
    loop->polled = reserve_memory(sizeof *loop->polled, capacity);
    loop->events = reserve_memory(sizeof(struct loop_event *), capacity);
    if (loop->polled == NULL || loop->events == NULL)
        return -1;
    return timer_heap_init(&loop->timers, capacity);
}
