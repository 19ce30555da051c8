/* A new process of a role: forked, executed, and handed what it needs. */
#include "engine/log/log.h"
#include "crash_point.h"
#include "engine/sandbox/role.h"
#include "workers/master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* In the new process: the channel as ROLE_MASTER_FD, nothing on stdin and stdout, stderr for what
 * is said before the log file comes; no environment; no other descriptor. */
static _Noreturn void execute(const struct master *m, const struct process *p, int channel,
                              pid_t master)
{
    char path[LIMIT_PATH + 32], title[LIMIT_NAME + 64];
    (void)snprintf(path, sizeof path, "%s/%s", m->options.libexec, role_name(p->role));
    if (p->role == ROLE_CONNECTION)
        (void)snprintf(title, sizeof title, "mgid: connection %s %u%s", p->flow, p->index,
                       p->drain_only ? " (empties its shard)" : "");
    else
        (void)snprintf(title, sizeof title, "mgid: %s", role_name(p->role));
    signals_reset();
    log_identify(p->role, span_str(p->flow), p->index);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != master)
        _exit(EXIT_UNAVAILABLE);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (m->options.check) { /* what counts is in the reports; only a failure to execute is told */
        log_set_fd(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, ROLE_MASTER_FD + 1));
        (void)dup2(nothing, STDERR_FILENO);
    }
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0)
        fatal_env(EXIT_OSERR, errno, "/dev/null");
    if (channel == ROLE_MASTER_FD ? fcntl(channel, F_SETFD, 0) < 0
                                  : dup2(channel, ROLE_MASTER_FD) < 0)
        fatal_env(EXIT_OSERR, errno, "channel of a new role");
    if (close_range(ROLE_MASTER_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        fatal_env(EXIT_OSERR, errno, "close_range");
    char *const argv[] = {title, NULL};
#ifdef MGID_CRASH_POINTS
    char *const environment[] = {crash_environment(), NULL};
#else
    char *const environment[] = {NULL};
#endif
    (void)execve(path, argv, environment);
    fatal_env(EXIT_UNAVAILABLE, errno, "can't execute %s", path);
}

static uint32_t role_uid(const struct master *m, const struct process *p)
{
    static const uint32_t offsets[ROLE_COUNT] = {
#define ROLE(NAME, name, uid_offset, summary) [ROLE_##NAME] = uid_offset,
#include "roles.def"
#undef ROLE
    };
    uint32_t base = LIMIT_UID_BASE_DEFAULT; /* the first compiler knows no other */
    if (m->generation.number != 0)
        base = policy_settings(&m->generation.policy).uid_base;
    if (p->role != ROLE_CONNECTION)
        return base + offsets[p->role];
    uint32_t flow = policy_find_flow(&m->generation.policy, span_str(p->flow));
    BUG_ON(flow == POLICY_NONE);
    return base + offsets[p->role] + flow;
}

/* Sends a message with one descriptor, which stays the caller's. */
static void send_fd(struct master *m, struct process *p, struct ipc_message message, int fd)
{
    message.fds[0] = fd;
    message.fds[1] = -1;
    process_send(m, p, &message);
}

static void send_counters(struct master *m, struct process *to, const struct process *worker,
                          int fd)
{
    send_fd(m, to,
            (struct ipc_message){.kind = MSG_counters,
                                 .counters = {.role = (uint8_t)worker->role,
                                              .index = worker->index,
                                              .flow = span_str(worker->flow)}},
            fd);
}

static bool send_shard(struct master *m, struct process *p, uint32_t uid)
{
    int shard = spool_shard(m, p, uid);
    if (shard < 0)
        return false;
    uint32_t flow = policy_find_flow(&m->generation.policy, span_str(p->flow));
    send_fd(m, p,
            (struct ipc_message){.kind = MSG_shard,
                                 .shard = {.index = p->index,
                                           .flow_index = (uint16_t)flow,
                                           .drain_only = p->drain_only || m->emptying,
                                           .flow = span_str(p->flow)}},
            shard);
    (void)close(shard);
    return true;
}

/* Control reads every worker's counters; it gets each page once. */
static void announce_counters(struct master *m, struct process *control, struct process *worker)
{
    if (worker->counters_known)
        return;
    send_counters(m, control, worker, worker->counters[1]);
    worker->counters_known = true;
}

static void send_to_control(struct master *m, struct process *p)
{
    struct span path = policy_settings(&m->generation.policy).control_socket;
    send_fd(m, p, (struct ipc_message){.kind = MSG_listener, .listener = {.address = path}},
            m->control);
    listeners_send_metrics(m, p);
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        struct process *q = &m->processes[i];
        if (!q->used || q->role != ROLE_CONNECTION)
            continue;
        q->counters_known = false; /* it was the control before that had it */
        announce_counters(m, p, q);
    }
}

static bool send_to_worker(struct master *m, struct process *p, uint32_t uid)
{
    struct process *control = process_find(m, ROLE_CONTROL, "", 0);
    if (!send_shard(m, p, uid))
        return false;
    send_counters(m, p, p, p->counters[0]);
    if (!p->drain_only && !m->emptying)
        listeners_send(m, p);
    if (control != NULL && control->channel >= 0)
        announce_counters(m, control, p);
    return true;
}

/* What each role needs besides image, log and channels. */
static bool send_own(struct master *m, struct process *p, uint32_t uid)
{
    switch (p->role) {
    case ROLE_CONNECTION:
        return send_to_worker(m, p, uid);
    case ROLE_KEEPER:
        generation_send_files(m, p, &m->generation);
        return true;
    case ROLE_CONTROL:
        send_to_control(m, p);
        return true;
    case ROLE_COMPILER:
        send_fd(m, p,
                (struct ipc_message){.kind = MSG_policy_text,
                                     .policy_text = {.path = span_str(m->options.policy)}},
                m->reload.text);
        return true;
    default:
        return true;
    }
}

static void hand_all(struct master *m, struct process *p)
{
    uint32_t uid = role_uid(m, p);
    if (m->log >= 0)
        send_fd(m, p, (struct ipc_message){.kind = MSG_log_file}, m->log);
    if (p->role != ROLE_COMPILER) {
        send_fd(
            m, p,
            (struct ipc_message){.kind = MSG_image, .image = {.generation = m->generation.number}},
            m->generation.image);
        p->bearings = process_bearings(&m->generation.policy, p);
    }
    if (!send_own(m, p, uid)) {
        process_kill(p);
        return;
    }
    topology_connect(m, p);
    process_send(
        m, p,
        &(struct ipc_message){
            .kind = MSG_start,
            .fds = {-1, -1},
            .start = {.uid = uid,
                      .privileged = m->privileged,
                      .debug = m->options.debug,
                      .required = p->role != ROLE_COMPILER && /* it comes before the policy */
                                  policy_settings(&m->generation.policy).sandbox_required}});
}

/* As after a death: tried again, less and less often. */
static void start_failed(struct process *p, const char *what)
{
    int error = errno;
    unsigned pause = restart_pause(&p->failures, 0);
    p->state = PROCESS_WAITING;
    p->restart_at = now_ms() + pause;
    log_begin(LOG_ERROR, "start failed");
    log_text("child", role_name(p->role));
    log_text("text", what);
    log_text("error", strerror(error));
    log_number("restart_ms", pause);
    log_end();
}

void process_start(struct master *m, struct process *p)
{
    int ends[2];
    BUG_ON(p->pid != 0 || p->channel >= 0);
    if (ipc_pair(ends) != 0) {
        start_failed(p, "can't make its channel");
        return;
    }
    pid_t master = getpid();
    log_flush();
    pid_t pid = fork();
    if (pid == 0)
        execute(m, p, ends[1], master);
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        start_failed(p, "can't fork");
        return;
    }
    p->pid = pid;
    p->channel = ends[0];
    p->state = PROCESS_STARTING;
    p->replace = false;
    p->started = now_ms();
    p->started_wall = (uint64_t)time(NULL);
    p->kill_at = 0;
    CRASH_POINT(MASTER_STARTED_ROLE);
    hand_all(m, p);
}
