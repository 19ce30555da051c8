/* Channels between roles: made in pairs, each end handed to its process or kept until it is there.
 */
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <errno.h>
#include <unistd.h>

static const struct {
    enum role a, b;
} wiring[] = {
#define WIRE(a, b) {ROLE_##a, ROLE_##b},
#include "workers/master/topology.def"
#undef WIRE
};

_Static_assert(sizeof wiring / sizeof wiring[0] * LIMIT_WORKERS <= LIMIT_WIRES,
               "each worker's channels have their place");

static bool wired(enum role a, enum role b)
{
    for (size_t i = 0; i < sizeof wiring / sizeof wiring[0]; i++)
        if ((wiring[i].a == a && wiring[i].b == b) || (wiring[i].a == b && wiring[i].b == a))
            return true;
    return false;
}

/* The wire between p and q, made when it is not there; *side is p's end. */
static struct wire *find_wire(struct master *m, const struct process *p, const struct process *q,
                              unsigned *side)
{
    unsigned a = (unsigned)(p - m->processes), b = (unsigned)(q - m->processes);
    struct wire *unused = NULL;
    for (unsigned i = 0; i < LIMIT_WIRES; i++) {
        struct wire *w = &m->wires[i];
        if (!w->used) {
            unused = unused ? unused : w;
            continue;
        }
        *side = w->process[0] == a ? 0 : 1;
        if (w->process[*side] == a && w->process[!*side] == b)
            return w;
    }
    BUG_ON(unused == NULL);
    *unused = (struct wire){.used = true, .process = {a, b}, .waiting = {-1, -1}};
    *side = 0;
    return unused;
}

/* Gives `to` its end of a channel to `other`; the descriptor is closed here. */
static void hand_over(struct master *m, struct process *to, const struct process *other, int fd)
{
    const char *flow = to->flow[0] != '\0' ? to->flow : other->flow;
    process_send(
        m, to,
        &(struct ipc_message){
            .kind = MSG_peer,
            .fds = {fd, -1},
            .peer = {.role = (uint8_t)other->role, .index = other->index, .flow = span_str(flow)}});
    (void)close(fd);
}

void topology_connect(struct master *m, struct process *p)
{
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        struct process *q = &m->processes[i];
        unsigned side;
        int ends[2];
        if (!q->used || q == p || !wired(p->role, q->role))
            continue;
        struct wire *w = find_wire(m, p, q, &side);
        if (w->waiting[side] >= 0) {
            hand_over(m, p, q, w->waiting[side]);
            w->waiting[side] = -1;
            continue;
        }
        if (ipc_pair(ends) != 0) {
            log_line(LOG_ERROR, "channel", "can't make a channel: %s", strerror(errno));
            process_kill(p); /* without it it can't serve: tried again after a pause */
            return;
        }
        hand_over(m, p, q, ends[0]);
        if (w->waiting[!side] >= 0)
            (void)close(w->waiting[!side]);
        w->waiting[!side] = -1;
        if (q->channel >= 0)
            hand_over(m, q, p, ends[1]);
        else
            w->waiting[!side] = ends[1];
    }
}

void topology_forget(struct master *m, const struct process *p)
{
    unsigned index = (unsigned)(p - m->processes);
    for (unsigned i = 0; i < LIMIT_WIRES; i++) {
        struct wire *w = &m->wires[i];
        if (!w->used || (w->process[0] != index && w->process[1] != index))
            continue;
        for (int side = 0; side < 2; side++)
            if (w->waiting[side] >= 0)
                (void)close(w->waiting[side]);
        w->used = false;
    }
}
