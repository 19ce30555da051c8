/* The keeper's process: what it is handed, the channels, one request of each in turn. */
#include "engine/log/log.h"
#include "engine/sandbox/role.h"
#include "workers/keeper/certificate.h"
#include "workers/keeper/keeper.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A worker's channel. fd -1: free. */
struct channel {
    int fd;
    enum role role;
    uint16_t index;
    char flow[LIMIT_NAME + 1];
    bool full;        /* the worker does not fetch its answers: none more until it does */
    uint32_t tickets; /* version of the flow's ticket keys that it was sent */
    uint64_t refused_second;
    unsigned refused; /* in that second */
};

struct process {
    struct keeper keeper;
    uint64_t watched; /* seconds since 1970: the last look at the certificates' ends */
    uint32_t first;   /* the generation that it was started with: served even when expired */
    int master;
    struct channel channels[LIMIT_ROLE_ITEMS];
    struct keeper_answer answer;
    unsigned char packet[LIMIT_MESSAGE];
    char report[LIMIT_REPORT];
};

/* Lines about refusals of one worker in a second: one that was taken over can't fill the disk. */
enum { REFUSALS_LOGGED = 5 };

/* Milliseconds between two looks at what only time changes. */
enum { TICK = 10000 };

static uint64_t now(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec > 0 ? (uint64_t)t.tv_sec : 0;
}

/* ---- files ---- */

/* The whole file as bytes that free_file wipes; closes fd. p NULL when it can't be read or is
 * larger than max. */
static struct span read_file(int fd, size_t max)
{
    struct stat st;
    unsigned char *p = NULL;
    size_t n = 0;
    if (fstat(fd, &st) == 0 && st.st_size > 0 && (uint64_t)st.st_size <= max)
        p = OPENSSL_malloc((size_t)st.st_size);
    while (p != NULL && n < (size_t)st.st_size) {
        ssize_t r = pread(fd, p + n, (size_t)st.st_size - n, (off_t)n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    (void)close(fd);
    return span_of(p, n);
}

static void free_file(struct span file)
{
    OPENSSL_free((void *)(uintptr_t)file.p);
}

static void take_identity(struct generation *g, uint32_t index, const int fds[2])
{
    struct span certificates = read_file(fds[0], LIMIT_CERTIFICATE_FILE);
    struct span key = read_file(fds[1], LIMIT_CERTIFICATE_FILE);
    generation_identity(g, index, certificates, key, now());
    free_file(certificates);
    free_file(key);
}

static void take_trust(struct generation *g, uint32_t index, int fd)
{
    struct span file = read_file(fd, LIMIT_TRUST_FILE);
    generation_trust(g, index, file);
    free_file(file);
}

static void take_passphrase(struct generation *g, uint32_t index, int fd)
{
    struct span file = read_file(fd, LIMIT_CERTIFICATE_FILE);
    generation_passphrase(g, index, file);
    free_file(file);
}

static void take_crl(struct generation *g, uint32_t index, int fd)
{
    struct span file = read_file(fd, LIMIT_CRL_FILE);
    /* One that can't be read must not count as none. */
    generation_crl(g, index, file.n > 0 ? file : SPAN_LIT("unreadable"));
    free_file(file);
}

/* ---- channels ---- */

static void close_channel(struct process *p, struct channel *c, const char *why)
{
    log_begin(LOG_WARNING, "channel closed");
    log_text("peer", role_name(c->role));
    log_text("flow", c->flow);
    log_number("worker", c->index);
    log_text("reason", why);
    log_end();
    (void)close(c->fd);
    c->fd = -1;
    tickets_renew(&p->keeper.tickets, span_str(c->flow), now());
}

/* A restarted worker takes the place of the one before it. */
static void add_channel(struct process *p, int fd, enum role role, uint16_t index, struct span flow)
{
    struct channel *place = NULL;
    for (unsigned i = 0; i < LIMIT_ROLE_ITEMS; i++) {
        struct channel *c = &p->channels[i];
        bool same =
            c->fd >= 0 && c->role == role && c->index == index && span_eq(span_str(c->flow), flow);
        if (same) {
            (void)close(c->fd);
            tickets_renew(&p->keeper.tickets, flow, now());
        }
        if (same || (c->fd < 0 && place == NULL))
            place = c;
        if (same)
            break;
    }
    if (place == NULL || flow.n > LIMIT_NAME) {
        log_line(LOG_ERROR, "channel refused", "no room for one more worker");
        (void)close(fd);
        return;
    }
    *place = (struct channel){.fd = fd, .role = role, .index = index};
    memcpy(place->flow, flow.p, flow.n);
}

static void log_refusal(struct channel *c, const struct keeper_answer *answer,
                        const struct ipc_message *request)
{
    uint64_t second = now();
    if (second != c->refused_second)
        c->refused = 0;
    c->refused_second = second;
    if (c->refused++ >= REFUSALS_LOGGED)
        return;
    log_begin(LOG_WARNING, "request refused");
    log_text("request", ipc_kind_name(request->kind));
    log_text("flow", c->flow);
    log_number("worker", c->index);
    if (request->kind == MSG_sign_request) {
        log_number("generation", request->sign_request.generation);
        log_number("identity", request->sign_request.identity);
        log_number("purpose", request->sign_request.purpose);
        log_number("algorithm", request->sign_request.algorithm);
        log_number("payload_bytes", (int64_t)request->sign_request.payload.n);
    }
    log_text("reason", answer->refusal);
    log_end();
}

static bool writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

static bool tickets_due(struct process *p, const struct channel *c)
{
    return c->tickets != tickets_of(&p->keeper.tickets, span_str(c->flow), now())->version;
}

/* Ticket keys go out before anything else; the socket is known to take a packet. */
static void send_tickets(struct process *p, struct channel *c)
{
    const struct ticket_flow *f = tickets_of(&p->keeper.tickets, span_str(c->flow), now());
    struct ipc_message m = {
        .kind = MSG_ticket_keys,
        .fds = {-1, -1},
        .ticket_keys.keys = span_of(f->keys.key, f->keys.count * (size_t)TLS_TICKET_KEY),
    };
    c->tickets = f->version;
    enum ipc_status status = ipc_send(c->fd, &m);
    if (status != IPC_OK)
        close_channel(p, c, ipc_status_text(status));
}

/* One request: so no worker, however busy, makes another wait for more than one of its own. */
static void serve_channel(struct process *p, struct channel *c)
{
    struct ipc_message request;
    /* A socket that poll calls writable takes the largest reply; no answer is then ever lost. */
    c->full = !writable(c->fd);
    if (c->full)
        return;
    if (tickets_due(p, c)) {
        send_tickets(p, c);
        return;
    }
    enum ipc_status status = ipc_receive(c->fd, c->role, ROLE_KEEPER, p->packet, &request);
    if (status == IPC_AGAIN)
        return;
    if (status != IPC_OK) {
        close_channel(p, c, ipc_status_text(status));
        return;
    }
    keeper_answer(&p->keeper, span_str(c->flow), &request, now(), &p->answer);
    if (p->answer.refusal[0] != '\0')
        log_refusal(c, &p->answer, &request);
    status = ipc_send(c->fd, &p->answer.reply);
    if (status != IPC_OK)
        close_channel(
            p, c, status == IPC_AGAIN ? "it does not fetch its answers" : ipc_status_text(status));
}

/* ---- the master ---- */

static void stage(struct process *p, int fd, uint32_t number)
{
    struct policy policy;
    char reason[LIMIT_REASON] = "";
    generation_free(p->keeper.staged);
    p->keeper.staged = NULL;
    if (policy_map(&policy, fd, reason))
        p->keeper.staged = generation_new(number, &policy, true);
    else
        log_line(LOG_ERROR, "policy unusable", "generation %u: %s", number, reason);
    (void)close(fd);
}

/* Files of a generation that is not being built are closed unread. */
static struct generation *staged(const struct process *p, uint32_t number)
{
    struct generation *g = p->keeper.staged;
    return g != NULL && g->number == number ? g : NULL;
}

static void check(struct process *p, uint32_t number)
{
    struct generation *g = staged(p, number);
    bool fresh = g != NULL;
    if (!fresh)
        g = keeper_generation(&p->keeper, number);
    bool usable = g != NULL && generation_usable(g, number != p->first, now(), p->report);
    if (g == NULL)
        (void)snprintf(p->report, sizeof p->report, "the keeper has no policy of generation %u",
                       number);
    log_begin(usable ? LOG_INFO : LOG_ERROR, "generation checked");
    log_number("generation", number);
    log_bool("usable", usable);
    if (!usable)
        log_text("report", p->report);
    log_end();
    struct ipc_message verdict = {.kind = MSG_generation_verdict,
                                  .fds = {-1, -1},
                                  .generation_verdict = {.generation = number,
                                                         .usable = usable,
                                                         .report = span_str(p->report)}};
    if (fresh && usable) {
        keeper_promote(&p->keeper);
    } else if (fresh) {
        generation_free(g);
        p->keeper.staged = NULL;
    }
    if (ipc_send(p->master, &verdict) != IPC_OK)
        log_line(LOG_ERROR, "generation checked", "the master does not take the verdict");
}

static _Noreturn void leave(struct process *p, enum exit_status status)
{
    keeper_free(&p->keeper);
    OPENSSL_cleanse(p, sizeof *p);
    log_flush();
    exit(status);
}

static void close_descriptors(const struct ipc_message *m)
{
    for (unsigned i = 0; i < LIMIT_MESSAGE_FDS; i++)
        if (m->fds[i] >= 0)
            (void)close(m->fds[i]);
}

static void serve_master(struct process *p)
{
    struct ipc_message m;
    struct generation *g = NULL;
    enum ipc_status status = ipc_receive(p->master, ROLE_MASTER, ROLE_KEEPER, p->packet, &m);
    if (status == IPC_AGAIN)
        return;
    if (status != IPC_OK) {
        log_line(LOG_NOTICE, "stopping", "the master: %s", ipc_status_text(status));
        leave(p, status == IPC_CLOSED ? EXIT_UNAVAILABLE : EXIT_SOFTWARE);
    }
    switch (m.kind) {
    case MSG_peer:
        add_channel(p, m.fds[0], (enum role)m.peer.role, m.peer.index, m.peer.flow);
        return;
    case MSG_image:
        stage(p, m.fds[0], m.image.generation);
        return;
    case MSG_log_file:
        log_set_fd(m.fds[0]);
        return;
    case MSG_identity_files:
        if ((g = staged(p, m.identity_files.generation)) != NULL)
            take_identity(g, m.identity_files.identity, m.fds);
        else
            close_descriptors(&m);
        return;
    case MSG_identity_passphrase:
        if ((g = staged(p, m.identity_passphrase.generation)) != NULL)
            take_passphrase(g, m.identity_passphrase.identity, m.fds[0]);
        else
            close_descriptors(&m);
        return;
    case MSG_crl_file:
        if ((g = staged(p, m.crl_file.generation)) != NULL)
            take_crl(g, m.crl_file.trust, m.fds[0]);
        else
            close_descriptors(&m);
        return;
    case MSG_trust_file:
        if ((g = staged(p, m.trust_file.generation)) != NULL)
            take_trust(g, m.trust_file.trust, m.fds[0]);
        else
            close_descriptors(&m);
        return;
    case MSG_generation_check:
        check(p, m.generation_check.generation);
        return;
    case MSG_drain: /* the master drains the keeper last, when no worker needs it any more */
        leave(p, EXIT_OK);
    default:
        close_descriptors(&m);
        log_line(LOG_ERROR, "message ignored", "%s from the master", ipc_kind_name(m.kind));
    }
}

/* ---- the process ---- */

/* Keys do not reach the swap. As an ordinary user the limit allows only little: then what there is
 * now is tried, and the log says what came of it. */
static void lock_memory(bool privileged)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    bool locked = privileged && setrlimit(RLIMIT_MEMLOCK, &all) == 0 &&
                  mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
    bool partly = !locked && mlockall(MCL_CURRENT) == 0;
    log_begin(locked || partly ? LOG_INFO : LOG_NOTICE, "memory lock");
    log_text("locked", locked ? "all" : partly ? "what was there at start" : "nothing");
    log_end();
}

static void prepare_library(void)
{
    unsigned char first[32];
    CRYPTO_library_init();
    if (RAND_bytes(first, sizeof first) != 1)
        fatal_env(EXIT_OSERR, 0, "no random bytes from the system");
    OPENSSL_cleanse(first, sizeof first);
}

static void take_start(struct process *p, const struct role_start *start)
{
    p->master = start->master;
    p->first = start->generation;
    for (unsigned i = 0; i < LIMIT_ROLE_ITEMS; i++)
        p->channels[i].fd = -1;
    stage(p, start->image, start->generation);
    if (p->keeper.staged == NULL)
        fatal_env(EXIT_SOFTWARE, 0, "the policy image can't be used");
    for (unsigned i = 0; i < start->count; i++) {
        const struct role_item *item = &start->items[i];
        if (item->kind == MSG_peer)
            add_channel(p, item->fds[0], item->role, item->index, span_str(item->text));
        else if (item->kind == MSG_identity_files)
            take_identity(p->keeper.staged, item->index, item->fds);
        else if (item->kind == MSG_identity_passphrase)
            take_passphrase(p->keeper.staged, item->index, item->fds[0]);
        else if (item->kind == MSG_crl_file)
            take_crl(p->keeper.staged, item->index, item->fds[0]);
        else if (item->kind == MSG_trust_file)
            take_trust(p->keeper.staged, item->index, item->fds[0]);
    }
    /* A bad file leaves its own identity or trust store unusable; the others are served. */
    if (!generation_usable(p->keeper.staged, false, now(), p->report)) {
        log_begin(LOG_ERROR, "generation incomplete");
        log_number("generation", start->generation);
        log_text("report", p->report);
        log_end();
    }
    keeper_promote(&p->keeper);
}

/* Not at every turn: there are many in a second, and it looks at every certificate. */
static void watch(struct process *p)
{
    uint64_t second = now();
    if (p->keeper.kept[0] == NULL || second - p->watched < TICK / 1000)
        return;
    p->watched = second;
    generation_watch(p->keeper.kept[0], second);
}

static _Noreturn void serve(struct process *p)
{
    static struct pollfd polled[LIMIT_ROLE_ITEMS + 1];
    for (;;) {
        watch(p);
        polled[0] = (struct pollfd){.fd = p->master, .events = POLLIN};
        for (unsigned i = 0; i < LIMIT_ROLE_ITEMS; i++) {
            const struct channel *c = &p->channels[i];
            bool out = c->full || (c->fd >= 0 && tickets_due(p, c));
            polled[i + 1] = (struct pollfd){.fd = c->fd, .events = out ? POLLOUT : POLLIN};
        }
        if (poll(polled, LIMIT_ROLE_ITEMS + 1, TICK) < 0) {
            if (errno != EINTR)
                fatal_env(EXIT_OSERR, errno, "poll");
            continue;
        }
        /* First the workers: the master may put another descriptor in a channel's place. */
        for (unsigned i = 0; i < LIMIT_ROLE_ITEMS; i++)
            if (p->channels[i].fd >= 0 && polled[i + 1].revents != 0)
                serve_channel(p, &p->channels[i]);
        if (polled[0].revents != 0)
            serve_master(p);
    }
}

int main(int argc, char **argv)
{
    static struct role_start start;
    static struct process process;
    struct sandbox_request request = {.root = -1};
    /* Before the first key is there, and again by the sandbox. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        fatal_env(EXIT_OSERR, errno, "PR_SET_DUMPABLE");
    role_acquire(ROLE_KEEPER, argc, argv, &start);
    prepare_library();
    take_start(&process, &start);
    lock_memory(start.privileged);
    for (unsigned i = 0; i < LIMIT_ROLE_ITEMS; i++)
        if (process.channels[i].fd >= 0)
            sandbox_keep(&request, process.channels[i].fd);
    role_seal(&start, &request);
    serve(&process);
}
