/* Channels to the master and the connection workers. */
#include "workers/control/control.h"
#include "engine/log/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Messages taken from one channel before the others have their turn. */
enum { BURST = 64 };

/* The entry of that worker, made when there is none yet; NULL when there are too many. */
static struct control_worker *worker_entry(struct control *control, struct span flow,
                                           unsigned index)
{
    for (unsigned i = 0; i < control->worker_count; i++) {
        struct control_worker *worker = &control->workers[i];
        if (worker->index == index && span_eq(span_str(worker->flow), flow))
            return worker;
    }
    if (control->worker_count == LIMIT_ADMIN_WORKERS || flow.n > LIMIT_NAME) {
        log_line(LOG_ERROR, "control", "a worker that there is no room for");
        return NULL;
    }
    struct control_worker *worker = &control->workers[control->worker_count++];
    *worker = (struct control_worker){.index = (uint16_t)index, .fd = -1};
    memcpy(worker->flow, flow.p, flow.n);
    return worker;
}

static void drop_channel(struct control *control, unsigned worker, const char *why)
{
    (void)close(control->workers[worker].fd);
    control->workers[worker].fd = -1;
    request_peer_lost(control, (int)worker, why);
}

void control_take_channel(struct control *control, struct span flow, unsigned index, int fd)
{
    struct control_worker *worker = worker_entry(control, flow, index);
    if (!worker) {
        (void)close(fd);
        return;
    }
    if (worker->fd >= 0)
        drop_channel(control, (unsigned)(worker - control->workers), "it was started anew");
    worker->fd = fd;
    worker->starts++;
    worker->dropped = false;
}

void control_take_counters(struct control *control, struct span flow, unsigned index, int fd)
{
    struct control_worker *worker = worker_entry(control, flow, index);
    struct counters_page *page = worker ? counters_map(fd, false) : NULL;
    if (worker && !page) {
        log_begin(LOG_ERROR, "counters");
        log_span("of_flow", flow);
        log_number("of_worker", (int64_t)index);
        log_text("error", strerror(errno));
        log_end();
    }
    (void)close(fd);
    if (!page)
        return;
    counters_unmap(worker->page);
    worker->page = page;
}

void control_take_listener(struct control *control, int fd)
{
    if (control->listener >= 0)
        (void)close(control->listener);
    control->listener = fd;
    /* Accepting must never wait: a client may have gone between poll and accept. */
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : 0;
    if (fd >= 0 && (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0))
        fatal_env(EXIT_OSERR, errno, "admin socket");
}

static void take_peer(struct control *control, const struct ipc_message *m)
{
    if (m->peer.role == ROLE_CONNECTION)
        control_take_channel(control, m->peer.flow, m->peer.index, m->fds[0]);
    else
        (void)close(m->fds[0]);
}

static void take_counters(struct control *control, const struct ipc_message *m)
{
    if (m->counters.role == ROLE_CONNECTION)
        control_take_counters(control, m->counters.flow, m->counters.index, m->fds[0]);
    else
        (void)close(m->fds[0]);
}

static void take_drain(struct control *control, uint32_t milliseconds)
{
    control->draining = true;
    control->drain_until = control->now + (uint64_t)milliseconds * 1000;
    control_take_listener(control, -1);
}

static void take_master_message(struct control *control, const struct ipc_message *m)
{
    switch (m->kind) {
    case MSG_peer:
        take_peer(control, m);
        break;
    case MSG_counters:
        take_counters(control, m);
        break;
    case MSG_image:
        /* Only its number is of interest here. */
        control->generation = m->image.generation;
        (void)close(m->fds[0]);
        break;
    case MSG_listener:
        control_take_listener(control, m->fds[0]);
        break;
    case MSG_log_file:
        log_set_fd(m->fds[0]);
        break;
    case MSG_drain:
        take_drain(control, m->drain.milliseconds);
        break;
    case MSG_reload_result:
        if (m->reload_result.ok)
            control->generation = m->reload_result.generation;
        request_answer(control, CONTROL_MASTER, m->reload_result.id, m);
        break;
    case MSG_empty_result:
        request_answer(control, CONTROL_MASTER, m->empty_result.id, m);
        break;
    case MSG_roles_result:
        request_answer(control, CONTROL_MASTER, m->roles_result.id, m);
        break;
    default:
        fatal_env(EXIT_SOFTWARE, 0, "the master sent %s", ipc_kind_name(m->kind));
    }
}

void control_master_readable(struct control *control)
{
    unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    for (int i = 0; i < BURST; i++) {
        enum ipc_status status =
            ipc_receive(control->master, ROLE_MASTER, ROLE_CONTROL, buffer, &m);
        if (status == IPC_AGAIN)
            return;
        if (status == IPC_CLOSED) /* and with it the reason to live; nothing is wrong here */
            exit(EXIT_UNAVAILABLE);
        if (status != IPC_OK)
            fatal_env(EXIT_SOFTWARE, 0, "the master: %s", ipc_status_text(status));
        take_master_message(control, &m);
    }
}

void control_worker_readable(struct control *control, unsigned worker)
{
    unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    struct control_worker *w = &control->workers[worker];
    for (int i = 0; i < BURST && w->fd >= 0; i++) {
        enum ipc_status status = ipc_receive(w->fd, ROLE_CONNECTION, ROLE_CONTROL, buffer, &m);
        if (status == IPC_AGAIN)
            return;
        if (status == IPC_OK && m.kind == MSG_queue_result) {
            request_answer(control, (int)worker, m.queue_result.id, &m);
            continue;
        }
        if (status == IPC_OK && m.kind == MSG_content_result) {
            request_answer(control, (int)worker, m.content_result.id, &m);
            continue;
        }
        if (status == IPC_OK && m.kind == MSG_import_result) {
            request_answer(control, (int)worker, m.import_result.id, &m);
            continue;
        }
        if (status == IPC_OK && m.kind == MSG_route_result) {
            request_answer(control, (int)worker, m.route_result.id, &m);
            continue;
        }
        if (status != IPC_CLOSED) {
            log_begin(LOG_ERROR, "channel closed");
            log_text("of_flow", w->flow);
            log_number("of_worker", w->index);
            log_text("text", status == IPC_OK ? ipc_kind_name(m.kind) : ipc_status_text(status));
            log_end();
        }
        drop_channel(control, worker,
                     status == IPC_CLOSED ? "its process has ended" : "it sent what it may not");
    }
}

const char *control_ask(struct control *control, struct control_client *client, int whom,
                        struct ipc_message *m, uint64_t *id, unsigned seconds)
{
    int fd = whom == CONTROL_MASTER ? control->master : control->workers[whom].fd;
    if (fd < 0)
        return "its process does not run";
    *id = ++control->last_id;
    enum ipc_status status = ipc_send(fd, m);
    if (status != IPC_OK)
        return status == IPC_AGAIN ? "it takes no more messages" : "its process has ended";
    client->job.awaited = whom;
    client->job.id = control->last_id;
    client->job.deadline = control->now + seconds * UINT64_C(1000000);
    return NULL;
}
