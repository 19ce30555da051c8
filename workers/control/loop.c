/* One poll over all descriptors, and whose turn it is. */
#include "workers/control/control.h"
#include "workers/control/metrics.h"
#include <errno.h>
#include <poll.h>
#include <time.h>

enum {
    AT_MASTER,
    AT_LISTENER,
    AT_METRICS,
    AT_WORKERS,
    AT_CLIENTS = AT_WORKERS + LIMIT_ADMIN_WORKERS
};
enum { POLL_COUNT = AT_CLIENTS + LIMIT_ADMIN_CLIENTS };

uint64_t control_clock(void)
{
    struct timespec now;
    BUG_ON(clock_gettime(CLOCK_MONOTONIC, &now) != 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t control_wall(void)
{
    struct timespec now;
    BUG_ON(clock_gettime(CLOCK_REALTIME, &now) != 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void fill(const struct control *control, struct pollfd fds[POLL_COUNT])
{
    bool accepting = control->now >= control->accept_at;
    fds[AT_MASTER] = (struct pollfd){.fd = control->master, .events = POLLIN};
    fds[AT_LISTENER] = (struct pollfd){.fd = accepting ? control->listener : -1, .events = POLLIN};
    fds[AT_METRICS] = (struct pollfd){.fd = metrics_descriptor(control), .events = POLLIN};
    for (unsigned i = 0; i < LIMIT_ADMIN_WORKERS; i++)
        fds[AT_WORKERS + i] = (struct pollfd){
            .fd = i < control->worker_count ? control->workers[i].fd : -1, .events = POLLIN};
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++)
        fds[AT_CLIENTS + i] = (struct pollfd){.fd = control->clients[i].fd,
                                              .events = client_events(&control->clients[i])};
}

/* Milliseconds until something is due, -1 when nothing is. */
static int wait_time(const struct control *control)
{
    uint64_t due = control->draining ? control->drain_until : UINT64_MAX;
    if (control->now < control->accept_at && control->accept_at < due)
        due = control->accept_at;
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++)
        if (control->clients[i].fd >= 0 && client_due(&control->clients[i]) < due)
            due = client_due(&control->clients[i]);
    if (due == UINT64_MAX)
        return -1;
    if (due <= control->now)
        return 0;
    uint64_t milliseconds = (due - control->now + 999) / 1000;
    return milliseconds < INT32_MAX ? (int)milliseconds : INT32_MAX;
}

/* Of two times to wait; -1 is for ever. */
static int shorter(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static bool drained(const struct control *control)
{
    if (!control->draining)
        return false;
    if (control->now >= control->drain_until)
        return true;
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++) {
        const struct control_client *client = &control->clients[i];
        if (client->fd >= 0 && (client->job.request || client->out_n > client->out_sent))
            return false;
    }
    return true;
}

void control_serve(struct control *control)
{
    static struct pollfd fds[POLL_COUNT];
    for (control->now = control_clock(); !drained(control); control->now = control_clock()) {
        fill(control, fds);
        int n = poll(fds, POLL_COUNT, shorter(wait_time(control), metrics_wait(control)));
        if (n < 0 && errno != EINTR)
            fatal_env(EXIT_OSERR, errno, "poll");
        if (n < 0)
            continue;
        control->now = control_clock();
        metrics_run(control);
        /* Clients before channels: what came for a slot that a client has left stays unheard, as
         * ids are never used twice. */
        for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++)
            if (control->clients[i].fd >= 0)
                client_step(control, &control->clients[i], fds[AT_CLIENTS + i].revents);
        if (fds[AT_MASTER].revents)
            control_master_readable(control);
        for (unsigned i = 0; i < LIMIT_ADMIN_WORKERS; i++)
            if (fds[AT_WORKERS + i].revents && control->workers[i].fd == fds[AT_WORKERS + i].fd)
                control_worker_readable(control, i);
        if (fds[AT_LISTENER].revents && control->listener == fds[AT_LISTENER].fd)
            client_accept(control);
        /* What the channels brought goes out at once. */
        for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++)
            if (control->clients[i].fd >= 0)
                client_step(control, &control->clients[i], 0);
    }
}
