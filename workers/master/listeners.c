/* Listening sockets: the flows' and the admin socket. */
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static socklen_t to_socket_address(const struct policy_endpoint *e, union address *out)
{
    *out = (union address){0};
    if (e->address.family == 4) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(e->port);
        memcpy(&out->v4.sin_addr, e->address.bytes, 4);
        return sizeof out->v4;
    }
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(e->port);
    memcpy(&out->v6.sin6_addr, e->address.bytes, 16);
    return sizeof out->v6;
}

/* One option, 1. */
static int switch_on(int fd, int level, int name)
{
    const int on = 1;
    return setsockopt(fd, level, name, &on, sizeof on);
}

static int bound(const union address *a, socklen_t n, bool shared)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0)
        return -1;
    if (switch_on(fd, SOL_SOCKET, SO_REUSEADDR) == 0 &&
        (!shared || switch_on(fd, SOL_SOCKET, SO_REUSEPORT) == 0) &&
        switch_on(fd, IPPROTO_TCP, TCP_NODELAY) == 0 && /* accepted ones inherit it */
        (a->any.sa_family != AF_INET6 || switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0) &&
        bind(fd, &a->any, n) == 0 && listen(fd, LIMIT_BACKLOG) == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static bool same(const struct listening *l, const struct policy_endpoint *e)
{
    return l->port == e->port && l->address.family == e->address.family &&
           memcmp(l->address.bytes, e->address.bytes, e->address.family == 4 ? 4 : 16) == 0;
}

static struct listening *find(struct master *m, const char *flow, unsigned worker,
                              const struct policy_endpoint *e)
{
    for (unsigned i = 0; i < m->listening_count; i++) {
        struct listening *l = &m->listening[i];
        if (l->worker == worker && strcmp(l->flow, flow) == 0 && same(l, e))
            return l;
    }
    return NULL;
}

static bool address_is_ours(const struct master *m, const struct policy_endpoint *e)
{
    for (unsigned i = 0; i < m->listening_count; i++)
        if (same(&m->listening[i], e))
            return true;
    return false;
}

/* With SO_REUSEPORT a second mgid of the same user could share the address and take part of the
 * connections. So the first socket of an address is tried alone. At the start it is tried for some
 * seconds: the workers of a predecessor that was killed hold it until they have ended too. */
static bool can_be_had(const struct master *m, const union address *a, socklen_t n)
{
    for (unsigned i = 0;; i++) {
        int alone = bound(a, n, false);
        if (alone >= 0) {
            (void)close(alone);
            return true;
        }
        if (m->up || errno != EADDRINUSE || i == LIMIT_LISTEN_TRIES)
            return false;
        (void)poll(NULL, 0, LIMIT_LISTEN_PAUSE_MS);
    }
}

static int open_listener(const struct master *m, const struct policy_endpoint *e)
{
    union address a;
    socklen_t n = to_socket_address(e, &a);
    if (!address_is_ours(m, e) && !can_be_had(m, &a, n))
        return -1;
    return bound(&a, n, true);
}

static bool want(struct master *m, const char *flow, unsigned worker,
                 const struct policy_endpoint *e, uint32_t generation, struct report *report)
{
    struct listening *l = find(m, flow, worker, e);
    if (l == NULL) {
        int fd = -1;
        errno = EMFILE;
        if (m->listening_count < LIMIT_LISTENING)
            fd = open_listener(m, e);
        if (fd < 0) {
            report_add(report, "%s%s%s: can't listen on %.*s: %s%s", *flow ? "flow \"" : "metrics",
                       flow, *flow ? "\"" : "", (int)e->text.n, (const char *)e->text.p,
                       strerror(errno), errno == EACCES ? " (ports below 1024 need root)" : "");
            return false;
        }
        l = &m->listening[m->listening_count++];
        *l = (struct listening){.fd = fd,
                                .worker = (uint16_t)worker,
                                .address = e->address,
                                .port = e->port,
                                .opened = generation};
        (void)snprintf(l->flow, sizeof l->flow, "%s", flow);
    }
    l->wanted = generation;
    return true;
}

bool listeners_prepare(struct master *m, const struct generation *g, struct report *report)
{
    for (uint32_t i = 0; i < policy_count(&g->policy, POLICY_FLOWS); i++) {
        struct policy_flow flow = policy_flow(&g->policy, i);
        char name[LIMIT_NAME + 1] = "";
        BUG_ON(!copy_text(name, sizeof name, flow.name));
        for (uint32_t w = 0; w < flow.workers; w++)
            for (uint32_t k = 0; k < flow.listeners.count; k++) {
                struct policy_endpoint e = policy_listener(&g->policy, flow.listeners.first + k);
                if (!want(m, name, w, &e, g->number, report))
                    return false;
            }
    }
    struct policy_endpoint metrics = policy_settings(&g->policy).metrics;
    return metrics.port == 0 || want(m, "", 0, &metrics, g->number, report);
}

static void close_some(struct master *m, bool opened, uint32_t number)
{
    for (unsigned i = 0; i < m->listening_count;) {
        struct listening *l = &m->listening[i];
        if (opened ? l->opened != number : l->wanted == number) {
            i++;
            continue;
        }
        (void)close(l->fd);
        *l = m->listening[--m->listening_count];
    }
}

void listeners_abort(struct master *m, uint32_t number)
{
    close_some(m, true, number);
}

void listeners_commit(struct master *m, uint32_t number)
{
    close_some(m, false, number);
}

void listeners_close(struct master *m)
{
    for (unsigned i = m->listening_count; i-- > 0;) {
        struct listening *l = &m->listening[i];
        if (l->flow[0] == '\0')
            continue;
        (void)close(l->fd);
        *l = m->listening[--m->listening_count];
    }
}

void listeners_send(struct master *m, struct process *worker)
{
    const struct policy *policy = &m->generation.policy;
    uint32_t index = policy_find_flow(policy, span_str(worker->flow));
    BUG_ON(index == POLICY_NONE);
    struct policy_range listeners = policy_flow(policy, index).listeners;
    for (uint32_t i = 0; i < listeners.count; i++) {
        uint32_t number = listeners.first + i;
        struct policy_endpoint e = policy_listener(policy, number);
        const struct listening *l = find(m, worker->flow, worker->index, &e);
        BUG_ON(l == NULL);
        process_send(
            m, worker,
            &(struct ipc_message){.kind = MSG_listener,
                                  .fds = {l->fd, -1},
                                  .listener = {.listener = (uint16_t)number, .address = e.text}});
    }
}

void listeners_send_metrics(struct master *m, struct process *control)
{
    struct policy_endpoint e = policy_settings(&m->generation.policy).metrics;
    if (e.port == 0)
        return;
    const struct listening *l = find(m, "", 0, &e);
    BUG_ON(l == NULL);
    process_send(
        m, control,
        &(struct ipc_message){.kind = MSG_listener,
                              .fds = {l->fd, -1},
                              .listener = {.listener = LISTENER_METRICS, .address = e.text}});
}

/* ---- the admin socket -------------------------------------------------------------------------
 */

static bool to_local_address(struct span path, union address *a)
{
    *a = (union address){.local = {.sun_family = AF_UNIX}};
    return copy_text(a->local.sun_path, sizeof a->local.sun_path, path);
}

/* Its directory, when it is not there; not its parents. */
static void make_directory_of(const char *path)
{
    char directory[sizeof((struct sockaddr_un *)0)->sun_path];
    (void)copy_text(directory, sizeof directory, span_str(path));
    char *slash = strrchr(directory, '/');
    if (slash != NULL && slash != directory) {
        *slash = '\0';
        (void)mkdir(directory, 0755);
    }
}

/* Removes a socket that nobody listens on any more; false when someone does. */
static bool remove_stale(const union address *a)
{
    struct stat st;
    if (lstat(a->local.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return true;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    bool answered = connect(fd, &a->any, sizeof a->local) == 0 || errno == EAGAIN;
    (void)close(fd);
    if (!answered)
        (void)unlink(a->local.sun_path);
    return !answered;
}

int control_listen(struct span path, struct report *report)
{
    union address a;
    int fd = -1;
    errno = ENAMETOOLONG;
    if (to_local_address(path, &a)) {
        make_directory_of(a.local.sun_path);
        errno = EADDRINUSE;
        if (remove_stale(&a))
            fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    mode_t before = umask(0177); /* 0600 from the first moment on */
    if (fd >= 0 && (bind(fd, &a.any, sizeof a.local) != 0 || listen(fd, LIMIT_BACKLOG) != 0)) {
        int error = errno;
        (void)close(fd);
        fd = -1;
        errno = error;
    }
    (void)umask(before);
    if (fd < 0)
        report_add(report, "can't make the admin socket %.*s: %s", (int)path.n,
                   (const char *)path.p, strerror(errno));
    return fd;
}

void control_unlink(const struct policy *policy)
{
    union address a;
    if (to_local_address(policy_settings(policy).control_socket, &a))
        (void)unlink(a.local.sun_path);
}
