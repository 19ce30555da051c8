/*
 * The resolver itself, sandbox closed: the test is its master, two workers and its name server.
 * The name server is a process of the test, so that it can be as slow and as silent as needed.
 */
#include "lookup.h"
#include "policy/compile.h"
#include "tests/unit/suite.h"
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MASTER_FD = 3, ROLE_UID = 64999, WORKERS = 2, PATIENCE_MS = 10000 };
enum { A = 1, CNAME = 5, SOA = 6, MX = 15, AAAA = 28 };

static char program[LIMIT_PATH];
static struct {
    pid_t pid;
    pid_t server;
    int master;
    int workers[WORKERS];
    unsigned port;
} self;

static unsigned char packet[LIMIT_MESSAGE];
static struct ipc_message got;

/* ---- the name server -------------------------------------------------------------------- */

/* What it knows. A name below "dead." is met with silence, below "fail." with SERVFAIL; any other
 * that is not here does not exist. */
static const struct {
    const char *name;
    int type;
    const char *data; /* "10 host", a host, or an address */
} zone[] = {
    {"good.example", MX, "20 mx2.good.example"},
    {"good.example", MX, "10 mx1.good.example"},
    {"mx1.good.example", AAAA, "2001:db8::1"},
    {"mx1.good.example", A, "192.0.2.1"},
    {"mx2.good.example", CNAME, "real.good.example"},
    {"real.good.example", A, "192.0.2.2"},
    {"null.example", MX, "0 "},
    {"implicit.example", A, "192.0.2.3"},
    {"empty.example", SOA, ""},
    {"half.example", MX, "10 mx.dead.example"},
    {"half.example", MX, "20 mx1.good.example"},
    {"internal.test", A, "192.0.2.4"},
    {"big.example", MX, "10 mx.big.example"},
    {"mx.big.example", A, "192.0.2.5"},
};

static size_t put_name(unsigned char *p, const char *name)
{
    size_t n = 0;
    while (*name != '\0') {
        size_t label = strcspn(name, ".");
        p[n++] = (unsigned char)label;
        memcpy(p + n, name, label);
        n += label;
        name += label + (name[label] == '.');
    }
    p[n++] = 0;
    return n;
}

static size_t put_data(unsigned char *p, int type, const char *data)
{
    size_t n = 0;
    if (type == A || type == AAAA)
        return inet_pton(type == A ? AF_INET : AF_INET6, data, p) == 1 ? (type == A ? 4 : 16) : 0;
    if (type == MX) {
        p[n++] = 0;
        p[n++] = (unsigned char)atoi(data);
        data = strchr(data, ' ') + 1;
    }
    return n + put_name(p + n, data);
}

static size_t put_record(unsigned char *p, const char *owner, int type, const char *data)
{
    size_t n = put_name(p, owner);
    const unsigned char fixed[] = {0, (unsigned char)type, 0, 1, 0, 0, 0, 60, 0};
    memcpy(p + n, fixed, sizeof fixed);
    n += sizeof fixed;
    size_t length = put_data(p + n + 1, type, data);
    p[n] = (unsigned char)length;
    return n + 1 + length;
}

/* The answer to the question for name and type, after `n` bytes of header and question. */
static size_t answer(unsigned char *p, size_t n, const char *name, int type)
{
    bool exists = false, chase = true;
    char owner[256];
    (void)snprintf(owner, sizeof owner, "%s", name);
    while (chase) {
        chase = false;
        for (size_t i = 0; i < sizeof zone / sizeof zone[0] && !chase; i++) {
            if (strcmp(zone[i].name, owner) != 0)
                continue;
            exists = true;
            if (zone[i].type != type && zone[i].type != CNAME)
                continue;
            n += put_record(p + n, owner, zone[i].type, zone[i].data);
            p[7]++;
            chase = zone[i].type == CNAME;
            if (chase)
                (void)snprintf(owner, sizeof owner, "%s", zone[i].data);
        }
    }
    p[3] = exists ? 0x80 : 0x83;
    return n;
}

static bool below(const char *name, const char *domain)
{
    size_t n = strlen(name), d = strlen(domain);
    return n >= d && strcmp(name + n - d, domain) == 0;
}

/* The response to the query in p, in its place; 0 for silence. Over UDP a name below "big." is only
 * told to come again over TCP. */
static size_t respond(unsigned char *p, bool tcp)
{
    char name[256] = "";
    size_t i = 12, length = 0;
    for (; p[i] != 0; i += 1u + p[i]) {
        if (length > 0)
            name[length++] = '.';
        for (unsigned k = 1; k <= p[i]; k++)
            name[length++] = (char)ascii_lower(p[i + k]);
    }
    int type = p[i + 2];
    size_t end = i + 5;
    bool truncated = !tcp && below(name, "big.example");
    p[2] = truncated ? 0x83 : 0x81;
    p[3] = 0x82;
    memset(p + 6, 0, 6);
    if (below(name, "dead.example"))
        return 0;
    return truncated || below(name, "fail.example") ? end : answer(p, end, name, type);
}

static void serve_tcp(int listener)
{
    unsigned char p[4096];
    int fd = accept(listener, NULL, NULL);
    ssize_t n = recv(fd, p, 512, 0);
    if (n == 2) /* the length came by itself */
        n += recv(fd, p + 2, 510, 0);
    if (n > 18) {
        size_t end = respond(p + 2, true);
        p[0] = (unsigned char)(end >> 8);
        p[1] = (unsigned char)end;
        (void)send(fd, p, end + 2, MSG_NOSIGNAL);
    }
    (void)close(fd);
}

static _Noreturn void serve(int udp, int listener)
{
    unsigned char p[4096];
    for (;;) {
        struct pollfd fds[] = {{.fd = udp, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        if (poll(fds, 2, -1) <= 0)
            continue;
        if (fds[1].revents != 0)
            serve_tcp(listener);
        if (fds[0].revents == 0 || recvfrom(udp, p, 512, 0, (struct sockaddr *)&from, &size) < 17)
            continue;
        size_t end = respond(p, false);
        if (end > 0)
            (void)sendto(udp, p, end, 0, (struct sockaddr *)&from, size);
    }
}

/* One port for both, which another process may have taken meanwhile. */
static bool bind_server(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    fds[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(fds[0] >= 0 && fds[1] >= 0);
    ck_assert_int_eq(bind(fds[0], (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(fds[0], (struct sockaddr *)&address, &size), 0);
    self.port = ntohs(address.sin_port);
    if (bind(fds[1], (struct sockaddr *)&address, size) == 0 && listen(fds[1], 16) == 0)
        return true;
    close(fds[0]);
    close(fds[1]);
    return false;
}

static void start_server(void)
{
    int fds[2];
    while (!bind_server(fds))
        ck_assert_int_eq(errno, EADDRINUSE);
    self.server = fork();
    ck_assert_int_ge(self.server, 0);
    if (self.server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        serve(fds[0], fds[1]);
    }
    close(fds[0]);
    close(fds[1]);
}

/* ---- what the master does --------------------------------------------------------------- */

static int image(unsigned port)
{
    static struct policy_compilation c;
    char text[2048];
    int n =
        snprintf(text, sizeof text,
                 "{\"version\":1,\"hostname\":\"mx1.example.ch\",\"spool\":\"/var/spool/mgid\","
                 "\"resolver\":{\"servers\":[\"127.0.0.1@%u\"],\"dnssec\":false},"
                 "\"routes\":{\"out\":{\"mx\":\"recipient\"}},"
                 "\"flows\":{\"f\":{\"listen\":[\"127.0.0.1:2525\"],\"domains\":[\"example.ch\"],"
                 "\"rules\":[{\"name\":\"rest\",\"route\":\"out\"}]}}}",
                 port);
    bool ok = policy_compile(span_of(text, (size_t)n), &c);
    ck_assert_msg(ok, "%s: %s", ok ? "" : c.diagnostics[0].pointer,
                  ok ? "" : c.diagnostics[0].what);
    int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_ge(fd, 0);
    ck_assert(write(fd, c.image, c.image_size) == (ssize_t)c.image_size);
    ck_assert_int_eq(
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    policy_compilation_free(&c);
    return fd;
}

static void tell(struct ipc_message m)
{
    ck_assert_int_eq(ipc_send(self.master, &m), IPC_OK);
    for (unsigned i = 0; i < ipc_kind_descriptors(m.kind); i++)
        close(m.fds[i]);
}

static void tell_image(uint32_t generation, unsigned port)
{
    tell((struct ipc_message){
        .kind = MSG_image, .fds = {image(port), -1}, .image = {.generation = generation}});
}

/* Returns the worker's end. */
static int tell_worker(unsigned i)
{
    int pair[2];
    ck_assert_int_eq(ipc_pair(pair), 0);
    tell((struct ipc_message){.kind = MSG_peer,
                              .fds = {pair[1], -1},
                              .peer = {ROLE_CONNECTION, (uint16_t)i, SPAN_LIT("f")}});
    return pair[0];
}

static void hear(int fd, enum role to, int milliseconds)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&readable, 1, milliseconds), 1);
    ck_assert_int_eq(ipc_receive(fd, ROLE_RESOLVER, to, packet, &got), IPC_OK);
}

static _Noreturn void become_resolver(int channel)
{
    int quiet = open(getenv("MGID_TEST_LOUD") != NULL ? "/dev/stderr" : "/dev/null", O_WRONLY);
    (void)dup2(quiet, STDERR_FILENO);
    if (channel == MASTER_FD)
        (void)fcntl(MASTER_FD, F_SETFD, 0);
    else
        (void)dup2(channel, MASTER_FD);
    (void)close_range(MASTER_FD + 1, ~0u, 0);
    execl(program, program, (char *)NULL);
    _exit(127);
}

static void start(void)
{
    int pair[2];
    memset(&self, 0, sizeof self);
    start_server();
    ck_assert_int_eq(ipc_pair(pair), 0);
    self.pid = fork();
    ck_assert_int_ge(self.pid, 0);
    if (self.pid == 0)
        become_resolver(pair[1]);
    close(pair[1]);
    self.master = pair[0];
    tell_image(1, self.port);
    for (unsigned i = 0; i < WORKERS; i++)
        self.workers[i] = tell_worker(i);
    bool privileged = getuid() == 0;
    tell((struct ipc_message){
        .kind = MSG_start,
        .start = {.uid = privileged ? ROLE_UID : getuid(), .privileged = privileged}});
    hear(self.master, ROLE_MASTER, PATIENCE_MS);
    ck_assert_int_eq(got.kind, MSG_started);
}

static int wait_end(void)
{
    int status = -1;
    ck_assert_int_eq(waitpid(self.pid, &status, 0), self.pid);
    self.pid = 0;
    ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void stop(void)
{
    if (self.pid > 0) {
        tell((struct ipc_message){.kind = MSG_drain, .drain = {.milliseconds = 0}});
        ck_assert_int_eq(wait_end(), 0);
    }
    (void)kill(self.server, SIGKILL);
    (void)waitpid(self.server, NULL, 0);
    for (unsigned i = 0; i < WORKERS; i++)
        close(self.workers[i]);
    close(self.master);
}

/* ---- what the workers do ---------------------------------------------------------------- */

static void request(int fd, uint64_t id, unsigned kind, const char *name)
{
    struct ipc_message m = {.kind = MSG_lookup_request,
                            .lookup_request = {id, (uint8_t)kind, span_str(name)}};
    enum ipc_status status;
    while ((status = ipc_send(fd, &m)) == IPC_AGAIN)
        (void)poll(NULL, 0, 1);
    ck_assert_int_eq(status, IPC_OK);
}

static void take_result(int fd, int milliseconds)
{
    hear(fd, ROLE_CONNECTION, milliseconds);
    ck_assert_int_eq(got.kind, MSG_lookup_result);
}

static void expect(int fd, unsigned kind, const char *name, enum lookup_status status,
                   const char *hosts, const char *reason)
{
    static uint64_t id = 1000;
    char text[1024] = "";
    size_t n = 0;
    struct lookup_host host;
    request(fd, ++id, kind, name);
    take_result(fd, PATIENCE_MS);
    ck_assert_uint_eq(got.lookup_result.id, id);
    ck_assert_msg(got.lookup_result.status == status, "%s: %s, not %s", name,
                  lookup_status_text(got.lookup_result.status), lookup_status_text(status));
    struct msg_reader r = {.in = got.lookup_result.hosts};
    while (lookup_next_host(&r, &host)) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%u %.*s", n > 0 ? "; " : "",
                              host.preference, (int)host.name.n, (const char *)host.name.p);
        for (unsigned i = 0; i < host.count; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, " %u:%u", host.addresses[i].family,
                                  host.addresses[i].octets[host.addresses[i].family == 4 ? 3 : 15]);
    }
    ck_assert(!r.bad);
    ck_assert_str_eq(text, hosts);
    (void)snprintf(text, sizeof text, "%.*s", (int)got.lookup_result.reason.n,
                   (const char *)got.lookup_result.reason.p);
    ck_assert_str_eq(text, reason);
}

static void expect_good(int fd)
{
    expect(fd, LOOKUP_MX, "good.example", LOOKUP_OK,
           "10 mx1.good.example 6:1 4:1; 20 mx2.good.example 4:2", "");
}

static void expect_closed(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
    ck_assert_int_eq(ipc_receive(fd, ROLE_RESOLVER, ROLE_CONNECTION, packet, &got), IPC_CLOSED);
}

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- tests ------------------------------------------------------------------------------ */

START_TEST(answers)
{
    int fd = self.workers[0];
    expect_good(fd);
    expect_good(self.workers[1]);
    expect(fd, LOOKUP_HOST, "mx2.good.example", LOOKUP_OK, "0 mx2.good.example 4:2", "");
    expect(fd, LOOKUP_MX, "null.example", LOOKUP_NULL_MX, "",
           "null.example: accepts no mail (null MX)");
    expect(fd, LOOKUP_MX, "implicit.example", LOOKUP_OK, "0 implicit.example 4:3", "");
    expect(fd, LOOKUP_MX, "empty.example", LOOKUP_NO_ADDRESS, "",
           "empty.example: neither MX nor AAAA nor A");
    expect(fd, LOOKUP_MX, "gone.example", LOOKUP_NO_SUCH_DOMAIN, "",
           "gone.example: no such domain");
    expect(fd, LOOKUP_HOST, "gone.example", LOOKUP_NO_SUCH_DOMAIN, "",
           "gone.example: no such domain");
    expect(fd, LOOKUP_HOST, "internal.test", LOOKUP_OK, "0 internal.test 4:4", "");
    expect(fd, LOOKUP_MX, "big.example", LOOKUP_OK, "10 mx.big.example 4:5", "");
    expect(fd, LOOKUP_MX, "[IPv6:2001:db8::9]", LOOKUP_OK, "0  6:9", "");
    expect(fd, LOOKUP_MX, "not a name", LOOKUP_BAD_NAME, "", "not a host name");
    expect(fd, LOOKUP_MX, "x.fail.example", LOOKUP_TRY_AGAIN, "", "MX x.fail.example: SERVFAIL");
}
END_TEST

/* Silence for many domains delays nobody else, and is over after LIMIT_LOOKUP_SECONDS. */
START_TEST(the_dead_block_nobody)
{
    enum { DEAD = 300 };
    int64_t begin = now_ms();
    for (unsigned i = 0; i < DEAD; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "d%u.dead.example", i);
        request(self.workers[0], i, LOOKUP_MX, name);
    }
    expect_good(self.workers[1]);
    expect(self.workers[1], LOOKUP_HOST, "real.good.example", LOOKUP_OK, "0 real.good.example 4:2",
           "");
    ck_assert_int_lt(now_ms() - begin, 5000);
    bool seen[DEAD] = {false};
    for (unsigned i = 0; i < DEAD; i++) {
        take_result(self.workers[0], (LIMIT_LOOKUP_SECONDS + 2) * 1000);
        uint64_t id = got.lookup_result.id;
        char reason[64];
        (void)snprintf(reason, sizeof reason, "MX d%u.dead.example: ", (unsigned)id);
        ck_assert_uint_lt(id, DEAD);
        ck_assert(!seen[id]);
        seen[id] = true;
        ck_assert_int_eq(got.lookup_result.status, LOOKUP_TRY_AGAIN);
        ck_assert(span_istarts(got.lookup_result.reason, span_str(reason)));
    }
    ck_assert_int_lt(now_ms() - begin, (LIMIT_LOOKUP_SECONDS + 3) * 1000);
    expect_good(self.workers[0]); /* the name server itself is not believed dead */
    expect(self.workers[1], LOOKUP_HOST, "implicit.example", LOOKUP_OK, "0 implicit.example 4:3",
           "");
}
END_TEST

/* An MX host whose name server is silent leaves the others. */
START_TEST(half_an_answer_is_one)
{
    request(self.workers[0], 1, LOOKUP_MX, "half.example");
    take_result(self.workers[0], (LIMIT_LOOKUP_SECONDS + 2) * 1000);
    ck_assert_int_eq(got.lookup_result.status, LOOKUP_OK);
    struct msg_reader r = {.in = got.lookup_result.hosts};
    struct lookup_host host;
    ck_assert(lookup_next_host(&r, &host));
    ck_assert(span_eq(host.name, SPAN_LIT("mx1.good.example")));
    ck_assert(!lookup_next_host(&r, &host) && !r.bad);
}
END_TEST

/* The worker over its bound is told at once; the other one has its share. */
START_TEST(bounds_hold)
{
    enum { OVER = 100 };
    unsigned refused = 0;
    for (unsigned i = 0; i < LIMIT_CHANNEL_LOOKUPS + OVER; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "d%u.dead.example", i);
        request(self.workers[0], i, LOOKUP_MX, name);
        struct pollfd p = {.fd = self.workers[0], .events = POLLIN};
        while (poll(&p, 1, 0) == 1) {
            take_result(self.workers[0], 0);
            refused++;
        }
    }
    while (refused < OVER) {
        take_result(self.workers[0], PATIENCE_MS);
        ck_assert_int_eq(got.lookup_result.status, LOOKUP_TRY_AGAIN);
        ck_assert(span_eq(got.lookup_result.reason, SPAN_LIT("too many look-ups under way")));
        refused++;
    }
    expect_good(self.workers[1]);
    close(self.workers[0]); /* with all its look-ups under way */
    self.workers[0] = tell_worker(0);
    expect_good(self.workers[0]);
}
END_TEST

/* A worker that asks and does not read gets every answer in the end. */
START_TEST(slow_reader_gets_all)
{
    enum { MANY = 3000 };
    bool seen[MANY] = {false};
    unsigned asked = 0, answered = 0;
    while (answered < MANY) {
        struct ipc_message m = {.kind = MSG_lookup_request,
                                .lookup_request = {asked, LOOKUP_MX, SPAN_LIT("good.example")}};
        if (asked < MANY && ipc_send(self.workers[0], &m) == IPC_OK) {
            asked++;
            continue;
        }
        take_result(self.workers[0], PATIENCE_MS);
        ck_assert_uint_lt(got.lookup_result.id, MANY);
        ck_assert(!seen[got.lookup_result.id]);
        seen[got.lookup_result.id] = true;
        answered++;
    }
    expect_good(self.workers[0]);
}
END_TEST

START_TEST(a_broken_channel_is_closed_alone)
{
    ck_assert_int_eq(send(self.workers[0], "junk", 4, 0), 4);
    expect_closed(self.workers[0]);
    expect_good(self.workers[1]);
    request(self.workers[1], 1, 77, "good.example");
    expect_closed(self.workers[1]);
    for (unsigned i = 0; i < WORKERS; i++) {
        close(self.workers[i]);
        self.workers[i] = tell_worker(i);
        expect_good(self.workers[i]);
    }
    struct ipc_message forbidden = {.kind = MSG_queue_result, .queue_result = {.id = 1}};
    ck_assert_int_eq(ipc_send(self.workers[0], &forbidden), IPC_OK);
    expect_closed(self.workers[0]);
    expect_good(self.workers[1]);
    int old = self.workers[1];
    self.workers[1] = tell_worker(1);
    expect_closed(old);
    close(old);
    expect_good(self.workers[1]);
}
END_TEST

START_TEST(a_new_policy)
{
    tell_image(2, self.port);
    expect_good(self.workers[0]);
    tell_image(3, self.port == 53535 ? 53536 : 53535);
    ck_assert_int_eq(wait_end(), EXIT_TEMPFAIL);
}
END_TEST

START_TEST(drains)
{
    request(self.workers[0], 1, LOOKUP_MX, "good.example");
    tell((struct ipc_message){.kind = MSG_drain, .drain = {.milliseconds = 5000}});
    take_result(self.workers[0], PATIENCE_MS);
    ck_assert_int_eq(wait_end(), EXIT_OK);
}
END_TEST

START_TEST(drain_has_an_end)
{
    int64_t begin = now_ms();
    request(self.workers[0], 1, LOOKUP_MX, "x.dead.example");
    (void)poll(NULL, 0, 200);
    tell((struct ipc_message){.kind = MSG_drain, .drain = {.milliseconds = 500}});
    ck_assert_int_eq(wait_end(), EXIT_OK);
    ck_assert_int_lt(now_ms() - begin, 5000);
}
END_TEST

START_TEST(ends_with_its_master)
{
    close(self.master);
    ck_assert_int_eq(wait_end(), EXIT_UNAVAILABLE);
    self.master = open("/dev/null", O_RDONLY);
}
END_TEST

int main(int argc, char **argv)
{
    /* $(BUILD)/tests/unit_resolver_process, beside $(BUILD)/libexec/mgid/resolver */
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    (void)snprintf(program, sizeof program, "%.*s/../libexec/mgid/resolver",
                   slash != NULL ? (int)(slash - argv[0]) : 1, slash != NULL ? argv[0] : ".");
    Suite *suite = suite_create("resolver_process");
    TCase *t = tcase_create("resolver_process");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, start, stop);
    tcase_add_test(t, answers);
    tcase_add_test(t, a_broken_channel_is_closed_alone);
    tcase_add_test(t, slow_reader_gets_all);
    tcase_add_test(t, bounds_hold);
    tcase_add_test(t, a_new_policy);
    tcase_add_test(t, drains);
    tcase_add_test(t, drain_has_an_end);
    tcase_add_test(t, ends_with_its_master);
    tcase_add_test(t, half_an_answer_is_one);
    tcase_add_test(t, the_dead_block_nobody);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
