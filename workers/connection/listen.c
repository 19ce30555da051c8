/* Accepting clients. */
#include "workers/connection/listen.h"
#include "engine/log/log.h"
#include "workers/connection/arrival.h"
#include "workers/connection/worker.h"
#include <errno.h>
#include <unistd.h>

void listen_arm(struct worker *w)
{
    for (unsigned i = 0; i < w->listener_count; i++) {
        struct listener *l = &w->listeners[i];
        if (l->armed || l->fd < 0 || w->draining || w->emptying)
            continue;
        l->armed = true;
        ring_accept(&w->ring, worker_tag(COMPLETION_ACCEPT, i, 0), l->fd);
    }
}

void listen_stop(struct worker *w)
{
    for (unsigned i = 0; i < w->listener_count; i++) {
        struct listener *l = &w->listeners[i];
        if (l->fd < 0)
            continue;
        if (l->armed)
            ring_cancel_one(&w->ring, worker_tag(COMPLETION_NONE, 0, 0),
                            worker_tag(COMPLETION_ACCEPT, i, 0));
        (void)close(l->fd);
        l->fd = -1;
    }
}

void listen_accepted(struct worker *w, uint32_t index, uint32_t generation,
                     struct io_uring_cqe *cqe)
{
    struct listener *l = &w->listeners[index];
    (void)generation;
    if (!(cqe->flags & IORING_CQE_F_MORE))
        l->armed = false;
    if (cqe->res >= 0) {
        if (w->draining || w->emptying)
            (void)close(cqe->res);
        else
            arrival_begin(w, index, cqe->res);
    } else if (cqe->res != -ECANCELED && cqe->res != -ECONNABORTED && cqe->res != -EINTR) {
        log_line(LOG_ERROR, "accept failed", "%s", strerror(-cqe->res));
        w->accept_again = w->now + LIMIT_ACCEPT_PAUSE_MICROSECONDS;
        return;
    }
    listen_arm(w);
}
