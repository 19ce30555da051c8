/* Waiting, and what the roles say. */
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Which messages are taken, and when. Who may send which is in messages.def; one that comes at
 * another time is a bug of the role or worse, and ends it. */
static bool always(const struct master *m, const struct process *p)
{
    (void)m, (void)p;
    return true;
}

static bool starting(const struct master *m, const struct process *p)
{
    (void)m;
    return p->state == PROCESS_STARTING || p->state == PROCESS_DRAINING;
}

static bool compiling(const struct master *m, const struct process *p)
{
    (void)p;
    return m->reload.step == RELOAD_COMPILING;
}

static const struct {
    enum msg_kind kind;
    bool (*allowed)(const struct master *m, const struct process *p);
    void (*handle)(struct master *m, struct process *from, const struct ipc_message *message);
} requests[] = {
    {MSG_started, starting, on_started},
    {MSG_compiled, compiling, on_compiled},
    {MSG_not_compiled, compiling, on_not_compiled},
    {MSG_generation_verdict, always, on_generation_verdict},
    {MSG_reload_request, always, on_reload_request},
    {MSG_roles_request, always, on_roles_request},
    {MSG_empty_request, always, on_empty_request},
};

static void close_descriptors(const struct ipc_message *message)
{
    for (unsigned i = 0; i < ipc_kind_descriptors(message->kind); i++)
        (void)close(message->fds[i]);
}

static bool dispatch(struct master *m, struct process *p, const struct ipc_message *message)
{
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        if (requests[i].kind == message->kind && requests[i].allowed(m, p)) {
            requests[i].handle(m, p, message);
            return true;
        }
    close_descriptors(message);
    return false;
}

static void offended(struct process *p, const char *what)
{
    log_begin(LOG_ERROR, "role misbehaves");
    log_text("child", role_name(p->role));
    log_number("child_pid", p->pid);
    log_text("text", what);
    log_end();
    process_kill(p);
    (void)close(p->channel);
    p->channel = -1;
}

void loop_receive(struct master *m, struct process *p)
{
    enum { AT_ONCE = 16 }; /* then the others get their turn */
    for (int i = 0; i < AT_ONCE && p->channel >= 0; i++) {
        struct ipc_message message;
        enum ipc_status status = ipc_receive(p->channel, p->role, ROLE_MASTER, m->buffer, &message);
        if (status == IPC_AGAIN)
            return;
        if (status == IPC_CLOSED) { /* it ends, or nobody could tell it anything any more */
            process_kill(p);
            (void)close(p->channel);
            p->channel = -1;
        } else if (status != IPC_OK) {
            offended(p, ipc_status_text(status));
        } else if (!dispatch(m, p, &message)) {
            offended(p, ipc_kind_name(message.kind));
        }
    }
}

static void wait_until(struct master *m, uint64_t next)
{
    struct pollfd fds[LIMIT_PROCESSES + 1];
    struct process *who[LIMIT_PROCESSES + 1];
    nfds_t n = 0;
    fds[n] = (struct pollfd){.fd = m->signals, .events = POLLIN};
    who[n++] = NULL;
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++)
        if (m->processes[i].used && m->processes[i].channel >= 0) {
            fds[n] = (struct pollfd){.fd = m->processes[i].channel, .events = POLLIN};
            who[n++] = &m->processes[i];
        }
    uint64_t now = now_ms();
    uint64_t pause = next <= now ? 0 : next - now;
    int timeout = next == UINT64_MAX ? -1 : pause > 60000 ? 60000 : (int)pause;
    if (poll(fds, n, timeout) < 0) {
        if (errno != EINTR)
            fatal_env(EXIT_OSERR, errno, "poll");
        return;
    }
    for (nfds_t i = 1; i < n; i++)
        if (fds[i].revents != 0 && who[i]->used && who[i]->channel == fds[i].fd)
            loop_receive(m, who[i]);
    if (fds[0].revents != 0)
        signals_read(m);
}

void loop_run(struct master *m)
{
    while (!m->done) {
        uint64_t next = UINT64_MAX, now = now_ms();
        children_tick(m, now, &next);
        reload_tick(m, now, &next);
        reload_roll(m, now, &next);
        watch_tick(m, now, &next);
        stop_tick(m, now, &next);
        log_flush();
        if (!m->done)
            wait_until(m, next);
    }
}
