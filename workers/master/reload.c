/*
 * From the policy's text to running roles, at the start and at every reload:
 *
 *   text -> compiler -> image -> files, spool, addresses -> keeper's verdict -> all roles
 *
 * Whatever fails on the way leaves what runs as it is. At the start nothing runs yet, and a failure
 * ends mgid.
 */
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The report's lines, one log line each; for -t as plain text. */
static void tell(struct master *m, enum log_level level)
{
    struct span rest = span_of(m->report.text, m->report.n);
    while (rest.n > 0) {
        const unsigned char *end = memchr(rest.p, '\n', rest.n);
        struct span line = span_head(rest, end ? (size_t)(end - rest.p) : rest.n);
        rest = span_from(rest, line.n + 1);
        if (line.n == 0)
            continue;
        if (m->options.check) {
            fprintf(stderr, "%.*s\n", (int)line.n, (const char *)line.p);
            continue;
        }
        log_begin(level, "policy");
        log_span("text", line);
        log_end();
    }
}

static void answer_control(struct master *m, bool ok)
{
    struct process *control = process_find(m, ROLE_CONTROL, "", 0);
    if (!m->reload.asked || control == NULL)
        return;
    process_send(
        m, control,
        &(struct ipc_message){.kind = MSG_reload_result,
                              .fds = {-1, -1},
                              .reload_result = {.id = m->reload.id,
                                                .ok = ok,
                                                .generation = m->generation.number,
                                                .report = span_of(m->report.text, m->report.n)}});
    m->reload.asked = false;
}

static void close_text(struct master *m)
{
    if (m->reload.text >= 0)
        (void)close(m->reload.text);
    m->reload.text = -1;
}

static void log_outcome(const struct master *m, bool ok)
{
    log_begin(ok ? LOG_NOTICE : LOG_ERROR, m->up ? "reload" : "start");
    log_bool("ok", ok);
    log_number("generation", m->generation.number);
    log_number("ms", (int64_t)(now_ms() - m->reload.begun));
    if (!ok && m->up)
        log_text("text", "the policy of before stays in force");
    log_end();
}

/* The end of a reload, either way. */
static void finish(struct master *m, bool ok)
{
    tell(m, ok ? LOG_WARNING : LOG_ERROR);
    if (!m->options.check)
        log_outcome(m, ok);
    close_text(m);
    answer_control(m, ok);
    m->reload.step = RELOAD_IDLE;
}

/* Nothing of what was prepared stays. */
static void refuse(struct master *m, enum exit_status status)
{
    if (m->up && m->reload.next.number != 0) {
        listeners_abort(m, m->reload.next.number);
        if (m->reload.control >= 0) {
            control_unlink(&m->reload.next.policy);
            (void)close(m->reload.control);
            m->reload.control = -1;
        }
        generation_close(&m->reload.next);
    }
    finish(m, false);
    if (!m->up)
        stop_failed(m, status);
}

void reload_begin(struct master *m)
{
    if (m->stop != STOP_NOT || m->emptying) /* a reload would open the listeners again */
        return;
    if (m->reload.step != RELOAD_IDLE || process_find(m, ROLE_COMPILER, "", 0) != NULL) {
        m->reload.again = true;
        return;
    }
    m->reload.again = false;
    m->reload.begun = now_ms();
    m->reload.give_up_at = m->reload.begun + TIMEOUT_RELOAD;
    m->report.n = 0;
    m->reload.text = open_regular(m->options.policy);
    if (m->reload.text < 0) {
        report_add(&m->report, "can't open the policy %s: %s", m->options.policy,
                   errno == EINVAL ? "not a regular file" : strerror(errno));
        refuse(m, EXIT_NOINPUT);
        return;
    }
    m->reload.step = RELOAD_COMPILING;
    struct process *compiler = process_add(m, ROLE_COMPILER, "", 0);
    BUG_ON(compiler == NULL);
    process_start(m, compiler);
    if (compiler->pid == 0)
        process_remove(m, compiler);
    if (m->reload.step == RELOAD_COMPILING && process_find(m, ROLE_COMPILER, "", 0) == NULL)
        refuse(m, EXIT_OSERR);
}

void on_not_compiled(struct master *m, struct process *from, const struct ipc_message *message)
{
    (void)from;
    report_add_span(&m->report, message->not_compiled.report);
    refuse(m, EXIT_DATA);
}

/* ---- the image is there: can it be put into effect? -------------------------------------------
 */

static void ask_keeper(struct master *m, struct process *keeper, uint32_t number)
{
    m->reload.step = RELOAD_CHECKING;
    process_send(m, keeper,
                 &(struct ipc_message){.kind = MSG_generation_check,
                                       .fds = {-1, -1},
                                       .generation_check = {.generation = number}});
}

/* Entries for all workers of the policy that have none. */
static bool add_workers(struct master *m)
{
    const struct policy *policy = &m->generation.policy;
    for (uint32_t i = 0; i < policy_count(policy, POLICY_FLOWS); i++) {
        struct policy_flow flow = policy_flow(policy, i);
        char name[LIMIT_NAME + 1];
        BUG_ON(!copy_text(name, sizeof name, flow.name));
        for (uint32_t w = 0; w < flow.workers; w++) {
            if (process_find(m, ROLE_CONNECTION, name, w) != NULL)
                continue;
            struct process *p = process_add(m, ROLE_CONNECTION, name, w);
            if (p == NULL)
                return false;
            p->restart_at = m->up ? 0 : UINT64_MAX;
        }
    }
    return true;
}

/* The keeper starts first: it knows whether the keys are any good. */
static bool prepare_start(struct master *m)
{
    const struct policy *policy = &m->generation.policy;
    struct process *keeper = process_add(m, ROLE_KEEPER, "", 0);
    if (!m->options.check) {
        log_file_open(m, policy);
        if (!spool_open(m, policy, &m->report) || !spool_check(m, policy, &m->report) ||
            !listeners_prepare(m, &m->generation, &m->report))
            return false;
        m->control = control_listen(policy_settings(policy).control_socket, &m->report);
        if (m->control < 0)
            return false;
        (void)process_add(m, ROLE_RESOLVER, "", 0);
        (void)process_add(m, ROLE_CONTROL, "", 0);
        if (!add_workers(m)) {
            report_add(&m->report, "more than %d workers", LIMIT_WORKERS);
            return false;
        }
        spool_leftovers(m);
    }
    process_start(m, keeper);
    ask_keeper(m, keeper, m->generation.number);
    return true;
}

/* What only a restart can change. */
static bool can_follow(struct master *m, const struct policy *next)
{
    const struct policy *now = &m->generation.policy;
    struct policy_settings a = policy_settings(now), b = policy_settings(next);
    unsigned workers = 0;
    if (!span_eq(a.spool, b.spool) || a.uid_base != b.uid_base) {
        report_add(&m->report,
                   "another spool or uid_base takes effect with a restart of mgid only");
        return false;
    }
    for (uint32_t i = 0; i < policy_count(now, POLICY_FLOWS); i++) {
        struct span name = policy_flow(now, i).name;
        if (policy_find_flow(next, name) == POLICY_NONE) {
            report_add(&m->report,
                       "the flow \"%.*s\" can be taken away with a restart of mgid only, "
                       "when its queue is empty",
                       (int)name.n, (const char *)name.p);
            return false;
        }
    }
    for (uint32_t i = 0; i < policy_count(next, POLICY_FLOWS); i++)
        workers += policy_flow(next, i).workers;
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        const struct process *p = &m->processes[i];
        if (p->used && p->role == ROLE_CONNECTION &&
            p->index >= policy_flow(next, policy_find_flow(next, span_str(p->flow))).workers)
            workers++; /* it stays until its shard is empty */
    }
    if (workers > LIMIT_WORKERS)
        report_add(&m->report, "%u workers, with those that still empty a shard; %d can be had",
                   workers, LIMIT_WORKERS);
    return workers <= LIMIT_WORKERS;
}

static bool prepare_reload(struct master *m)
{
    const struct policy *next = &m->reload.next.policy;
    struct process *keeper = process_find(m, ROLE_KEEPER, "", 0);
    struct span path = policy_settings(next).control_socket;
    if (!can_follow(m, next) || !spool_check(m, next, &m->report) ||
        !listeners_prepare(m, &m->reload.next, &m->report))
        return false;
    if (!span_eq(path, policy_settings(&m->generation.policy).control_socket)) {
        m->reload.control = control_listen(path, &m->report);
        if (m->reload.control < 0)
            return false;
    }
    if (keeper == NULL || keeper->state != PROCESS_SERVING) {
        report_add(&m->report, "the keeper is not there to check the certificates; try again");
        return false;
    }
    process_send(m, keeper,
                 &(struct ipc_message){.kind = MSG_image,
                                       .fds = {m->reload.next.image, -1},
                                       .image = {.generation = m->reload.next.number}});
    generation_send_files(m, keeper, &m->reload.next);
    ask_keeper(m, keeper, m->reload.next.number);
    return true;
}

void on_compiled(struct master *m, struct process *from, const struct ipc_message *message)
{
    (void)from;
    uint32_t number = ++m->reload.last; /* that of a refused one is not used again */
    close_text(m);
    report_add_span(&m->report, message->compiled.report);
    bool ok = generation_open(m->up ? &m->reload.next : &m->generation, number, message->fds[0],
                              &m->report) &&
              (m->up ? prepare_reload(m) : prepare_start(m));
    if (!ok)
        refuse(m, EXIT_CONFIG);
}

void reload_files(struct master *m)
{
    int image = fcntl(m->generation.image, F_DUPFD_CLOEXEC, 0);
    m->reload.begun = now_ms();
    m->reload.give_up_at = m->reload.begun + TIMEOUT_RELOAD;
    m->report.n = 0;
    if (image < 0)
        report_add(&m->report, "no descriptor: %s", strerror(errno));
    else if (generation_open(&m->reload.next, ++m->reload.last, image, &m->report) &&
             prepare_reload(m))
        return;
    refuse(m, EXIT_CONFIG);
}

/* ---- the keeper has spoken: into effect -------------------------------------------------------
 */

static void start_all(struct master *m)
{
    finish(m, true);
    m->up = true;
    if (m->options.check) {
        fprintf(stderr, "%s is valid, its certificates and keys are usable.\n", m->options.policy);
        stop_failed(m, EXIT_OK);
        return;
    }
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++)
        if (m->processes[i].used && m->processes[i].pid == 0)
            m->processes[i].restart_at = 0;
}

/* The new image to who can go on with it; who can't is marked, for reload_roll. */
static void tell_process(struct master *m, struct process *p)
{
    const struct policy *policy = &m->generation.policy;
    if (p->role == ROLE_CONNECTION)
        p->drain_only =
            p->index >= policy_flow(policy, policy_find_flow(policy, span_str(p->flow))).workers;
    if (p->pid == 0 || p->role == ROLE_KEEPER || p->role == ROLE_COMPILER)
        return;
    if (process_bearings(policy, p) != p->bearings) {
        p->replace = true;
        return;
    }
    process_send(m, p,
                 &(struct ipc_message){.kind = MSG_image,
                                       .fds = {m->generation.image, -1},
                                       .image = {.generation = m->generation.number}});
}

static void commit(struct master *m)
{
    struct generation old = m->generation;
    m->generation = m->reload.next;
    generation_clear(&m->reload.next);
    struct span log_file = policy_settings(&m->generation.policy).log_file;
    if (!span_eq(log_file, policy_settings(&old.policy).log_file))
        log_file_open(m, &m->generation.policy);
    if (m->reload.control >= 0) {
        control_unlink(&old.policy);
        (void)close(m->control);
        m->control = m->reload.control;
        m->reload.control = -1;
    }
    listeners_commit(m, m->generation.number);
    finish(m, true); /* before control itself may have to be replaced */
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++)
        if (m->processes[i].used)
            tell_process(m, &m->processes[i]);
    if (!add_workers(m)) /* counted before */
        log_line(LOG_ERROR, "reload", "not all workers could be added");
    generation_close(&old);
}

void on_generation_verdict(struct master *m, struct process *from,
                           const struct ipc_message *message)
{
    (void)from;
    uint32_t awaited = m->up ? m->reload.next.number : m->generation.number;
    if (m->reload.step != RELOAD_CHECKING || message->generation_verdict.generation != awaited)
        return; /* of a reload that was given up */
    report_add_span(&m->report, message->generation_verdict.report);
    if (!message->generation_verdict.usable)
        refuse(m, EXIT_CONFIG);
    else if (m->up)
        commit(m);
    else
        start_all(m);
}

/* ---- asked, timed, lost -----------------------------------------------------------------------
 */

void on_reload_request(struct master *m, struct process *from, const struct ipc_message *message)
{
    const char *busy =
        m->emptying ? "the node is being emptied" : "a reload is under way; ask again";
    if (m->reload.step == RELOAD_IDLE && process_find(m, ROLE_COMPILER, "", 0) == NULL &&
        m->stop == STOP_NOT && !m->emptying) {
        m->reload.asked = true;
        m->reload.id = message->reload_request.id;
        reload_begin(m);
        return;
    }
    process_send(m, from,
                 &(struct ipc_message){.kind = MSG_reload_result,
                                       .fds = {-1, -1},
                                       .reload_result = {.id = message->reload_request.id,
                                                         .generation = m->generation.number,
                                                         .report = span_str(busy)}});
}

void reload_lost(struct master *m, const struct process *p)
{
    if (p->role == ROLE_CONTROL)
        m->reload.asked = false;
    if (m->stop != STOP_NOT)
        return;
    if (p->role == ROLE_COMPILER && m->reload.step == RELOAD_COMPILING) {
        report_add(&m->report, "the compiler ended without an answer");
        refuse(m, EXIT_UNAVAILABLE);
    } else if (p->role == ROLE_KEEPER && m->reload.step == RELOAD_CHECKING) {
        report_add(&m->report, "the keeper ended before it had checked the certificates");
        refuse(m, EXIT_UNAVAILABLE);
    }
}

void reload_tick(struct master *m, uint64_t now, uint64_t *next)
{
    if (m->stop != STOP_NOT)
        return;
    if (m->reload.step == RELOAD_IDLE) {
        if (m->reload.again && process_find(m, ROLE_COMPILER, "", 0) == NULL)
            reload_begin(m);
        return;
    }
    if (now >= m->reload.give_up_at) {
        struct process *compiler = process_find(m, ROLE_COMPILER, "", 0);
        if (compiler != NULL)
            process_kill(compiler);
        report_add(&m->report, "%s took longer than %d s",
                   m->reload.step == RELOAD_COMPILING ? "the compiler" : "the keeper",
                   TIMEOUT_RELOAD / 1000);
        refuse(m, EXIT_UNAVAILABLE);
    } else if (m->reload.give_up_at < *next) {
        *next = m->reload.give_up_at;
    }
}

void reload_roll(struct master *m, uint64_t now, uint64_t *next)
{
    enum {
        SETTLE = 5000
    }; /* a worker that is not there after that holds the others up no longer */
    struct process *due = NULL;
    if (m->stop != STOP_NOT || !m->up)
        return;
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        struct process *p = &m->processes[i];
        if (!p->used || p->role == ROLE_COMPILER || p->pid == 0)
            continue;
        if (p->replace && p->state == PROCESS_DRAINING)
            return;
        if (p->replace)
            due = due ? due : p;
        else if (p->state == PROCESS_STARTING && now < p->started + SETTLE) {
            if (p->started + SETTLE < *next)
                *next = p->started + SETTLE;
            return;
        }
    }
    if (due == NULL)
        return;
    log_line(LOG_INFO, "replace", "%s %s %u is started anew for the new policy",
             role_name(due->role), due->flow, due->index);
    process_drain(m, due, TIMEOUT_DRAIN);
    *next = 0;
}

void on_started(struct master *m, struct process *from, const struct ipc_message *message)
{
    (void)message;
    if (from->state == PROCESS_STARTING)
        from->state = PROCESS_SERVING;
    empty_tell(m, from);
    unsigned count = 0;
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++) {
        const struct process *p = &m->processes[i];
        if (p->used && p->role != ROLE_COMPILER && p->state != PROCESS_SERVING)
            return;
        count += p->used && p->role != ROLE_COMPILER;
    }
    if (m->serving || !m->up)
        return;
    m->serving = true;
    log_begin(LOG_NOTICE, "serving");
    log_number("generation", m->generation.number);
    log_number("roles", count);
    log_end();
}
