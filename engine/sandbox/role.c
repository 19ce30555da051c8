/* The beginning of every role's process: what it is handed, and the closing of its sandbox. */
#include "engine/sandbox/role.h"
#include "engine/log/log.h"
#include "engine/sandbox/probe.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void ignore_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGINT, SIGHUP, SIGTERM, SIGUSR1};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        BUG_ON(sigaction(ignored[i], &ignore, NULL) != 0);
}

/* Someone may start the program by hand, to see what it does. */
static void check_channel(enum role role)
{
    int type = 0;
    socklen_t n = sizeof type;
    if (getsockopt(ROLE_MASTER_FD, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET)
        return;
    fprintf(stderr,
            "This is the role \"%s\" of mgid. It does nothing by itself: mgid starts it with what\n"
            "it needs. See mgid -h.\n",
            role_name(role));
    exit(EXIT_USAGE);
}

static void name_process(enum role role)
{
    char name[16];
    (void)snprintf(name, sizeof name, "mgid-%s", role_name(role));
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

static struct role_item *add_item(struct role_start *start, const struct ipc_message *m,
                                  unsigned index, struct span text)
{
    if (start->count >= LIMIT_ROLE_ITEMS)
        fatal_env(EXIT_SOFTWARE, 0, "start: more than %d descriptors", LIMIT_ROLE_ITEMS);
    BUG_ON(text.n > LIMIT_ROLE_TEXT);
    struct role_item *item = &start->items[start->count++];
    *item = (struct role_item){.kind = m->kind, .index = (uint16_t)index};
    memcpy(item->fds, m->fds, sizeof item->fds);
    memcpy(item->text, text.p, text.n);
    return item;
}

static void take_shard(struct role_start *start, const struct ipc_message *m)
{
    if (start->shard >= 0)
        fatal_env(EXIT_SOFTWARE, 0, "start: a second shard");
    start->shard = m->fds[0];
    start->shard_index = m->shard.index;
    start->flow_index = m->shard.flow_index;
    start->drain_only = m->shard.drain_only != 0;
    memcpy(start->flow, m->shard.flow.p, m->shard.flow.n);
    log_identify(start->role, m->shard.flow, m->shard.index);
}

static void take_image(struct role_start *start, const struct ipc_message *m)
{
    if (start->image >= 0)
        fatal_env(EXIT_SOFTWARE, 0, "start: a second policy image");
    start->image = m->fds[0];
    start->generation = m->image.generation;
}

static void take_start(struct role_start *start, const struct ipc_message *m)
{
    start->uid = m->start.uid;
    start->privileged = m->start.privileged != 0;
    start->debug = m->start.debug != 0;
    start->required = m->start.required != 0;
}

/* Returns true with `start`, the last message. */
static bool take(struct role_start *start, const struct ipc_message *m)
{
    switch (m->kind) {
    case MSG_peer: {
        if (m->peer.role >= ROLE_COUNT)
            fatal_env(EXIT_SOFTWARE, 0, "start: a peer of no known role");
        struct role_item *item = add_item(start, m, m->peer.index, m->peer.flow);
        item->role = (enum role)m->peer.role;
        return false;
    }
    case MSG_counters: {
        if (m->counters.role >= ROLE_COUNT)
            fatal_env(EXIT_SOFTWARE, 0, "start: counters of no known role");
        struct role_item *item = add_item(start, m, m->counters.index, m->counters.flow);
        item->role = (enum role)m->counters.role;
        return false;
    }
    case MSG_listener:
        (void)add_item(start, m, m->listener.listener, m->listener.address);
        return false;
    case MSG_identity_files:
        add_item(start, m, m->identity_files.identity, SPAN_EMPTY)->generation =
            m->identity_files.generation;
        return false;
    case MSG_identity_passphrase:
        add_item(start, m, m->identity_passphrase.identity, SPAN_EMPTY)->generation =
            m->identity_passphrase.generation;
        return false;
    case MSG_crl_file:
        add_item(start, m, m->crl_file.trust, SPAN_EMPTY)->generation = m->crl_file.generation;
        return false;
    case MSG_trust_file:
        add_item(start, m, m->trust_file.trust, SPAN_EMPTY)->generation = m->trust_file.generation;
        return false;
    case MSG_policy_text:
        (void)add_item(start, m, 0, m->policy_text.path);
        return false;
    case MSG_image:
        take_image(start, m);
        return false;
    case MSG_shard:
        take_shard(start, m);
        return false;
    case MSG_log_file:
        log_set_fd(m->fds[0]);
        start->log = m->fds[0];
        return false;
    case MSG_drain: /* the master stops while this process still starts */
        exit(EXIT_OK);
    case MSG_start:
        take_start(start, m);
        return true;
    default:
        fatal_env(EXIT_SOFTWARE, 0, "start: %s before start", ipc_kind_name(m->kind));
    }
}

void role_acquire(enum role role, int argc, char **argv, struct role_start *start)
{
    unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    log_identify(role, SPAN_EMPTY, 0);
    check_channel(role);
    if (argc > 1)
        fatal_env(EXIT_USAGE, 0, "a role takes no arguments: %s", argv[1]);
    ignore_signals();
    name_process(role);
    *start = (struct role_start){
        .role = role, .master = ROLE_MASTER_FD, .log = STDERR_FILENO, .image = -1, .shard = -1};
    for (;;) {
        struct pollfd master = {.fd = ROLE_MASTER_FD, .events = POLLIN};
        if (poll(&master, 1, -1) < 0 && errno != EINTR)
            fatal_env(EXIT_OSERR, errno, "poll");
        enum ipc_status status = ipc_receive(ROLE_MASTER_FD, ROLE_MASTER, role, buffer, &m);
        if (status == IPC_AGAIN)
            continue;
        if (status == IPC_CLOSED) /* and with it the reason to live; nothing is wrong here */
            exit(EXIT_UNAVAILABLE);
        if (status != IPC_OK)
            fatal_env(EXIT_SOFTWARE, 0, "start: %s", ipc_status_text(status));
        if (take(start, &m))
            return;
    }
}

void role_seal(const struct role_start *start, struct sandbox_request *request)
{
    struct sandbox_result result;
    struct ipc_message started = {.kind = MSG_started};
    request->role = start->role;
    request->uid = start->uid;
    request->privileged = start->privileged;
    request->channel = start->master;
    request->log_only = start->debug;
    request->required = start->required;
    sandbox_keep(request, start->log);
    sandbox_probe_prepare(start);
    sandbox_enter(request, &result);
    if (ipc_send(start->master, &started) != IPC_OK)
        fatal_env(EXIT_UNAVAILABLE, errno, "the master does not take \"started\"");
    sandbox_probe_act();
}
