/* The master's list of processes (roles_result). */
#include "workers/control/control.h"

bool roles_next(struct msg_reader *r, struct control_process *process)
{
    if (r->bad || r->in.n == 0)
        return false;
    process->role = msg_get_u8(r);
    process->index = msg_get_u16(r);
    process->flow = msg_get_span(r, LIMIT_NAME);
    process->pid = msg_get_u32(r);
    process->restarts = msg_get_u32(r);
    process->started = msg_get_u64(r);
    process->state = msg_get_u8(r);
    return !r->bad;
}

bool roles_have_worker(struct span roles, const struct control_worker *worker)
{
    struct msg_reader r = {.in = roles};
    struct control_process process;
    while (roles_next(&r, &process))
        if (process.role == ROLE_CONNECTION && process.index == worker->index &&
            span_eq(process.flow, span_str(worker->flow)))
            return true;
    return r.bad;
}
