/* The end: workers finish what is open, then the others go. */
#include "engine/log/log.h"
#include "workers/master/master.h"

static bool any_left(const struct master *m, bool workers)
{
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        const struct process *p = &m->processes[i];
        if (p->used && p->pid != 0 && (!workers || p->role == ROLE_CONNECTION))
            return true;
    }
    return false;
}

static void for_all(struct master *m, bool workers, bool kill)
{
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        struct process *p = &m->processes[i];
        if (!p->used || p->pid == 0 || (p->role == ROLE_CONNECTION) != workers)
            continue;
        if (kill || p->role == ROLE_COMPILER) /* it has nothing open that counts */
            process_kill(p);
        else
            process_drain(m, p, workers ? TIMEOUT_DRAIN : TIMEOUT_STOP);
    }
}

void stop_begin(struct master *m)
{
    bool again = m->stop != STOP_NOT;
    log_line(LOG_NOTICE, "stop", again ? "at once" : "workers finish what is open");
    if (again) {
        for_all(m, true, true);
        for_all(m, false, true);
        return;
    }
    m->stop = STOP_WORKERS;
    listeners_close(m); /* who comes now is refused and turns to another exchanger */
    for_all(m, true, false);
}

void stop_failed(struct master *m, enum exit_status status)
{
    if (m->exit_status == EXIT_OK)
        m->exit_status = status;
    m->stop = STOP_OTHERS;
    for_all(m, true, true);
    for_all(m, false, true);
}

/* ---- emptying --------------------------------------------------------------------------- */

void empty_tell(struct master *m, struct process *p)
{
    if (m->emptying && p->role == ROLE_CONNECTION)
        process_send(m, p,
                     &(struct ipc_message){.kind = MSG_empty,
                                           .fds = {-1, -1},
                                           .empty = {.route = span_str(m->empty_to)}});
}

void on_empty_request(struct master *m, struct process *from, const struct ipc_message *message)
{
    struct span route = message->empty_request.route;
    bool ok = m->up && m->stop == STOP_NOT && m->reload.step == RELOAD_IDLE;
    process_send(
        m, from,
        &(struct ipc_message){.kind = MSG_empty_result,
                              .fds = {-1, -1},
                              .empty_result = {.id = message->empty_request.id, .ok = ok}});
    if (!ok)
        return;
    log_line(LOG_NOTICE, "emptying", "%.*s", (int)route.n, route.p);
    m->emptying = true;
    memcpy(m->empty_to, route.p, route.n);
    m->empty_to[route.n] = '\0';
    listeners_close(m);
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++)
        if (m->processes[i].used && m->processes[i].pid != 0)
            empty_tell(m, &m->processes[i]);
}

/* A worker that ended with nothing left is not started again. */
static bool emptied(const struct master *m)
{
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        const struct process *p = &m->processes[i];
        if (p->used && p->role == ROLE_CONNECTION && (p->pid != 0 || p->restart_at != UINT64_MAX))
            return false;
    }
    return true;
}

void stop_tick(struct master *m, uint64_t now, uint64_t *next)
{
    (void)now;
    if (m->emptying && m->stop == STOP_NOT && emptied(m)) {
        log_line(LOG_NOTICE, "emptied", "nothing is left in the queue");
        stop_begin(m);
        *next = 0;
    }
    if (m->stop == STOP_NOT)
        return;
    if (m->stop == STOP_WORKERS && !any_left(m, true)) {
        m->stop = STOP_OTHERS;
        for_all(m, false, false);
        *next = 0; /* their deadlines count from the next round on */
    }
    if (m->stop == STOP_OTHERS && !any_left(m, false))
        m->done = true;
}
