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
    listeners_commit(m, UINT32_MAX); /* who comes now is refused and turns to another exchanger */
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

void stop_tick(struct master *m, uint64_t now, uint64_t *next)
{
    (void)now;
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
