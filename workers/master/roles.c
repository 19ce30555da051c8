/* The answer to "which processes are there?" */
#include "workers/master/master.h"

void on_roles_request(struct master *m, struct process *from, const struct ipc_message *message)
{
    static unsigned char text[LIMIT_REPORT];
    struct msg_writer w = {.p = text, .capacity = sizeof text};
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        const struct process *p = &m->processes[i];
        if (!p->used)
            continue;
        msg_put_u8(&w, (uint8_t)p->role);
        msg_put_u16(&w, p->index);
        msg_put_span(&w, span_str(p->flow));
        msg_put_u32(&w, (uint32_t)p->pid);
        msg_put_u32(&w, p->restarts);
        msg_put_u64(&w, p->started_wall);
        msg_put_u8(&w, (uint8_t)p->state);
    }
    BUG_ON(w.overflow);
    process_send(m, from,
                 &(struct ipc_message){.kind = MSG_roles_result,
                                       .fds = {-1, -1},
                                       .roles_result = {.id = message->roles_request.id,
                                                        .generation = m->generation.number,
                                                        .started = m->started_wall,
                                                        .roles = span_of(text, w.n)}});
}

_Static_assert(LIMIT_PROCESSES *(1 + 2 + 4 + LIMIT_NAME + 4 + 4 + 8 + 1) <= LIMIT_REPORT,
               "the list of all processes fits");
