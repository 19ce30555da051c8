/* The processes: found, told, killed, reaped, started again. */
#include "engine/counters/counters.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct process *process_find(struct master *m, enum role role, const char *flow, unsigned index)
{
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        struct process *p = &m->processes[i];
        if (p->used && p->role == role && p->index == index && strcmp(p->flow, flow) == 0)
            return p;
    }
    return NULL;
}

struct process *process_add(struct master *m, enum role role, const char *flow, unsigned index)
{
    unsigned workers = 0;
    struct process *unused = NULL;
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        struct process *p = &m->processes[i];
        if (!p->used)
            unused = unused ? unused : p;
        else if (p->role == ROLE_CONNECTION)
            workers++;
    }
    if (unused == NULL || (role == ROLE_CONNECTION && workers >= LIMIT_WORKERS))
        return NULL;
    struct process p = {.used = true,
                        .role = role,
                        .index = (uint16_t)index,
                        .state = PROCESS_WAITING,
                        .restart_at = UINT64_MAX,
                        .channel = -1,
                        .counters = {-1, -1}};
    (void)snprintf(p.flow, sizeof p.flow, "%s", flow);
    if (role == ROLE_CONNECTION && counters_create(p.counters) != 0) {
        log_line(LOG_ERROR, "counters", "can't make a page of counters: %s", strerror(errno));
        return NULL;
    }
    *unused = p;
    return unused;
}

void process_remove(struct master *m, struct process *p)
{
    BUG_ON(p->pid != 0 || p->channel >= 0);
    topology_forget(m, p);
    for (int i = 0; i < 2; i++)
        if (p->counters[i] >= 0)
            (void)close(p->counters[i]);
    *p = (struct process){.channel = -1};
}

void process_kill(struct process *p)
{
    if (p->pid > 0)
        (void)kill(p->pid, SIGKILL);
}

void process_send(struct master *m, struct process *p, const struct ipc_message *message)
{
    (void)m;
    if (p->channel < 0)
        return;
    enum ipc_status status = ipc_send(p->channel, message);
    if (status == IPC_AGAIN) {
        struct pollfd room = {.fd = p->channel, .events = POLLOUT};
        (void)poll(&room, 1, TIMEOUT_SEND);
        status = ipc_send(p->channel, message);
    }
    if (status == IPC_OK)
        return;
    int error = errno;
    if (status != IPC_CLOSED) { /* else its end is about to be reaped and logged */
        log_begin(LOG_ERROR, "role does not listen");
        log_text("child", role_name(p->role));
        log_number("child_pid", p->pid);
        log_text("message", ipc_kind_name(message->kind));
        log_text("text", status == IPC_FAILED ? strerror(error) : ipc_status_text(status));
        log_end();
    }
    process_kill(p);
}

void process_drain(struct master *m, struct process *p, unsigned milliseconds)
{
    enum { GRACE = 500 };
    if (p->pid == 0 || p->state == PROCESS_DRAINING)
        return;
    p->state = PROCESS_DRAINING;
    p->kill_at = now_ms() + milliseconds + GRACE;
    process_send(m, p,
                 &(struct ipc_message){
                     .kind = MSG_drain, .fds = {-1, -1}, .drain = {.milliseconds = milliseconds}});
}

/* ---- the end of a process ---------------------------------------------------------------------
 */

static void log_exit(const struct process *p, pid_t pid, int status, uint64_t lived, bool expected)
{
    log_begin(expected ? LOG_INFO : LOG_ERROR, "exit");
    log_text("child", role_name(p->role));
    if (p->flow[0] != '\0') {
        log_text("child_flow", p->flow);
        log_number("child_worker", p->index);
    }
    log_number("child_pid", pid);
    log_number("lived_ms", (int64_t)lived);
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        log_format("signal", "SIG%s", name ? name : "?");
        if (WTERMSIG(status) == SIGSYS)
            log_text("text", "sandbox violation: a system call that its role does not make");
    } else {
        log_number("status", WEXITSTATUS(status));
    }
    if (p->restart_at != UINT64_MAX)
        log_number("restart_ms", (int64_t)(p->restart_at - now_ms()));
    log_end();
}

/* What becomes of the entry of a process that ended. */
static void decide(struct master *m, struct process *p, bool done, uint64_t lived)
{
    p->state = PROCESS_WAITING;
    p->restart_at = UINT64_MAX;
    if (m->stop != STOP_NOT || !m->up || p->role == ROLE_COMPILER)
        return;
    if ((p->drain_only || (m->emptying && p->role == ROLE_CONNECTION)) && done && !p->replace)
        return; /* its shard is empty */
    if (p->replace) {
        p->restart_at = now_ms();
        return;
    }
    p->restarts++;
    p->restart_at = now_ms() + restart_pause(&p->failures, lived);
}

static void ended(struct master *m, struct process *p, int status)
{
    bool done = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK;
    bool asked =
        p->state == PROCESS_DRAINING || p->role == ROLE_COMPILER || p->drain_only || m->emptying;
    uint64_t lived = now_ms() - p->started;
    pid_t pid = p->pid;
    loop_receive(m, p); /* what it said last; the compiler says all and exits */
    if (p->channel >= 0)
        (void)close(p->channel);
    p->channel = -1;
    p->pid = 0;
    p->kill_at = 0;
    decide(m, p, done, lived);
    bool ordered = m->stop != STOP_NOT && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    log_exit(p, pid, status, lived, ordered || (done && asked));
    reload_lost(m, p);
    bool emptied = p->drain_only && done && !p->replace && m->stop == STOP_NOT;
    if (emptied)
        spool_remove_shard(m, p);
    if (emptied || p->role == ROLE_COMPILER)
        process_remove(m, p);
}

void children_reap(struct master *m)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (unsigned i = 0; i < LIMIT_PROCESSES; i++)
            if (m->processes[i].used && m->processes[i].pid == pid) {
                CRASH_POINT(MASTER_CHILD_ENDED);
                ended(m, &m->processes[i], status);
                break;
            }
}

static void earlier(uint64_t *next, uint64_t at)
{
    if (at < *next)
        *next = at;
}

void children_tick(struct master *m, uint64_t now, uint64_t *next)
{
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        struct process *p = &m->processes[i];
        if (!p->used)
            continue;
        if (p->pid == 0 && m->stop == STOP_NOT) {
            if (p->restart_at <= now)
                process_start(m, p);
            if (p->pid == 0)
                earlier(next, p->restart_at);
        }
        if (p->pid != 0 && p->kill_at != 0) {
            if (p->kill_at <= now) {
                log_line(LOG_WARNING, "drain", "%s %s %u (pid %d) did not finish in time",
                         role_name(p->role), p->flow, p->index, (int)p->pid);
                process_kill(p);
                p->kill_at = now + TIMEOUT_STOP;
            }
            earlier(next, p->kill_at);
        }
    }
}
