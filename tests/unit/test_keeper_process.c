/*
 * The keeper program as it is built, sandboxed, with this test as its master and its workers.
 */
#include "engine/ipc/ipc.h"
#include "engine/sandbox/role.h"
#include "keeper_status.h"
#include "policy/compile.h"
#include "tests/unit/certs.h"
#include "tests/unit/keeper_policy.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROLE_UID = 61802, WORKERS = 2, FIRST = 4 };

static const char *program; /* the keeper program */
static const char *const flows[WORKERS] = {"outbound", "inbound"};

static struct {
    pid_t pid;
    int master;
    int workers[WORKERS];
} self;

static struct cert root, server, client;
static unsigned char packet[LIMIT_MESSAGE];
static struct ipc_message got;

/* ---- what the master does ---- */

static int file_of(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    ck_assert(fd >= 0);
    ck_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static int image(void)
{
    static struct policy_compilation c;
    ck_assert(policy_compile(span_of(policy_text, sizeof policy_text - 1), &c));
    int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert(fd >= 0);
    ck_assert(write(fd, c.image, c.image_size) == (ssize_t)c.image_size);
    ck_assert(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ==
              0);
    policy_compilation_free(&c);
    return fd;
}

static void tell(struct ipc_message m)
{
    ck_assert_int_eq(ipc_send(self.master, &m), IPC_OK);
    for (unsigned i = 0; i < ipc_kind_descriptors(m.kind); i++)
        close(m.fds[i]);
}

static void tell_worker(unsigned i)
{
    int pair[2];
    ck_assert_int_eq(ipc_pair(pair), 0);
    if (self.workers[i] > 0)
        close(self.workers[i]);
    self.workers[i] = pair[0];
    tell((struct ipc_message){
        .kind = MSG_peer, .fds = {pair[1], -1}, .peer = {ROLE_CONNECTION, 0, span_str(flows[i])}});
}

static void tell_identity(uint32_t generation, uint16_t identity, const struct cert *certificate,
                          const struct cert *key)
{
    char *pem = cert_pem(certificate), *key_pem = cert_key_pem(key);
    tell((struct ipc_message){.kind = MSG_identity_files,
                              .fds = {file_of(pem), file_of(key_pem)},
                              .identity_files = {generation, identity}});
    free(pem);
    free(key_pem);
}

static void tell_trust(uint32_t generation, uint16_t trust)
{
    char *pem = cert_pem(&root);
    tell((struct ipc_message){
        .kind = MSG_trust_file, .fds = {file_of(pem), -1}, .trust_file = {generation, trust}});
    free(pem);
}

static void tell_generation(uint32_t generation, const struct cert *key_of_client)
{
    tell((struct ipc_message){
        .kind = MSG_image, .fds = {image(), -1}, .image = {.generation = generation}});
    tell_identity(generation, SERVER_ID, &server, &server);
    tell_identity(generation, CLIENT_ID, &client, key_of_client);
    tell_trust(generation, PUBLIC_TRUST);
    tell_trust(generation, CORPORATE_TRUST);
}

static void hear(int fd, enum role to)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&readable, 1, 5000), 1);
    ck_assert_int_eq(ipc_receive(fd, ROLE_KEEPER, to, packet, &got), IPC_OK);
}

/* The keys that a worker was sent last. */
static struct {
    unsigned count;
    unsigned times;
    unsigned char first[TLS_TICKET_KEY];
} tickets[WORKERS];

static void take_tickets(unsigned worker)
{
    struct span keys = got.ticket_keys.keys;
    ck_assert(keys.n > 0 && keys.n % TLS_TICKET_KEY == 0);
    tickets[worker].count = (unsigned)(keys.n / TLS_TICKET_KEY);
    tickets[worker].times++;
    memcpy(tickets[worker].first, keys.p, TLS_TICKET_KEY);
}

/* Ticket keys come unasked, in between. */
static void hear_worker(unsigned worker)
{
    for (;;) {
        hear(self.workers[worker], ROLE_CONNECTION);
        if (got.kind != MSG_ticket_keys)
            return;
        take_tickets(worker);
    }
}

static void start(void)
{
    int pair[2];
    memset(tickets, 0, sizeof tickets);
    memset(&self, 0, sizeof self);
    root = cert_make(&(struct cert_spec){.cn = "Root", .authority = true}, NULL);
    server = cert_make(&(struct cert_spec){.cn = "mx1"}, &root);
    client = cert_make(&(struct cert_spec){.cn = "gw"}, &root);
    ck_assert_int_eq(ipc_pair(pair), 0);
    self.pid = fork();
    ck_assert_int_ge(self.pid, 0);
    if (self.pid == 0) {
        int quiet = open("/dev/null", O_WRONLY);
        (void)dup2(quiet, STDERR_FILENO);
        if (pair[1] == ROLE_MASTER_FD)
            (void)fcntl(ROLE_MASTER_FD, F_SETFD, 0);
        else
            (void)dup2(pair[1], ROLE_MASTER_FD);
        (void)close_range(ROLE_MASTER_FD + 1, ~0u, 0);
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    self.master = pair[0];
    tell_generation(FIRST, &client);
    for (unsigned i = 0; i < WORKERS; i++)
        tell_worker(i);
    bool privileged = getuid() == 0;
    tell((struct ipc_message){
        .kind = MSG_start,
        .start = {.uid = privileged ? ROLE_UID : getuid(), .privileged = privileged}});
    hear(self.master, ROLE_MASTER);
    ck_assert_int_eq(got.kind, MSG_started);
}

static int wait_end(void)
{
    int status = -1;
    ck_assert_int_eq(waitpid(self.pid, &status, 0), self.pid);
    self.pid = 0;
    return status;
}

static void stop(void)
{
    if (self.pid > 0) {
        tell((struct ipc_message){.kind = MSG_drain, .drain = {.milliseconds = 0}});
        ck_assert_int_eq(wait_end(), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        close(self.workers[i]);
    close(self.master);
    cert_free(&root);
    cert_free(&server);
    cert_free(&client);
}

/* ---- what the workers do ---- */

static struct ipc_message chain_request(uint64_t id, uint32_t generation, uint16_t identity)
{
    return (struct ipc_message){.kind = MSG_chain_request,
                                .chain_request = {id, generation, identity}};
}

static enum keeper_status ask_chain(unsigned worker, uint32_t generation, uint16_t identity)
{
    static uint64_t id = 1000;
    struct ipc_message m = chain_request(++id, generation, identity);
    ck_assert_int_eq(ipc_send(self.workers[worker], &m), IPC_OK);
    hear_worker(worker);
    ck_assert_int_eq(got.kind, MSG_chain_result);
    ck_assert_uint_eq(got.chain_result.id, id);
    if (got.chain_result.status == KEEPER_OK)
        ck_assert_uint_eq(got.chain_result.demands.n, 32);
    return got.chain_result.status;
}

/* What was sent before the end is still there. */
static void expect_closed(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    enum ipc_status status;
    do {
        ck_assert_int_eq(poll(&p, 1, 5000), 1);
        status = ipc_receive(fd, ROLE_KEEPER, ROLE_CONNECTION, packet, &got);
    } while (status == IPC_OK && got.kind == MSG_ticket_keys);
    ck_assert_int_eq(status, IPC_CLOSED);
}

/* ---- tests ---- */

START_TEST(serves_workers_by_flow)
{
    ck_assert_int_eq(ask_chain(0, FIRST, SERVER_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain(0, FIRST, CLIENT_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain(1, FIRST, SERVER_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain(1, FIRST, CLIENT_ID), KEEPER_REFUSED);
    ck_assert_int_eq(ask_chain(1, FIRST + 1, SERVER_ID), KEEPER_UNKNOWN_GENERATION);
}
END_TEST

START_TEST(signs_and_verifies_when_sealed)
{
    unsigned char payload[64 + 34 + 32];
    memset(payload, ' ', 64);
    memcpy(payload + 64, "TLS 1.3, client CertificateVerify", 34);
    memset(payload + 98, 7, 32);
    struct ipc_message m = {.kind = MSG_sign_request,
                            .sign_request = {.generation = FIRST,
                                             .identity = CLIENT_ID,
                                             .purpose = TLS_AS_CLIENT,
                                             .algorithm = 0x403,
                                             .payload = span_of(payload, sizeof payload)}};
    ck_assert_int_eq(ipc_send(self.workers[0], &m), IPC_OK);
    hear_worker(0);
    ck_assert_int_eq(got.kind, MSG_sign_result);
    ck_assert_int_eq(got.sign_result.status, KEEPER_OK);
    static unsigned char chain[8192];
    struct msg_writer w = {.p = chain, .capacity = sizeof chain};
    cert_put(&w, &client);
    m = (struct ipc_message){.kind = MSG_verify_request,
                             .verify_request = {.generation = FIRST,
                                                .purpose = TLS_PEER_CLIENT,
                                                .subject = INBOUND,
                                                .host = SPAN_EMPTY,
                                                .chain = span_of(chain, w.n)}};
    ck_assert_int_eq(ipc_send(self.workers[1], &m), IPC_OK);
    hear_worker(1);
    ck_assert_int_eq(got.verify_result.status, KEEPER_OK);
    ck_assert_int_eq(got.verify_result.verified, 1);
}
END_TEST

START_TEST(bad_message_costs_its_channel_only)
{
    ck_assert(send(self.workers[0], "nonsense", 8, 0) == 8);
    expect_closed(self.workers[0]);
    ck_assert_int_eq(ask_chain(1, FIRST, SERVER_ID), KEEPER_OK);
    /* Well made, but not a worker's to say. */
    struct ipc_message m = {.kind = MSG_drain, .fds = {-1, -1}, .drain = {.milliseconds = 0}};
    ck_assert_int_eq(ipc_send(self.workers[1], &m), IPC_OK);
    expect_closed(self.workers[1]);
    tell_worker(1); /* the master starts it anew */
    ck_assert_int_eq(ask_chain(1, FIRST, SERVER_ID), KEEPER_OK);
}
END_TEST

/* Each flow has keys of its own; they outlive a reload, and end with a worker that knew them. */
START_TEST(ticket_keys)
{
    static const unsigned char none[TLS_TICKET_KEY];
    unsigned char before[TLS_TICKET_KEY];
    for (unsigned i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(ask_chain(i, FIRST, SERVER_ID), KEEPER_OK);
        ck_assert_uint_eq(tickets[i].times, 1);
        ck_assert_uint_eq(tickets[i].count, 1);
        ck_assert(memcmp(tickets[i].first, none, sizeof none) != 0);
    }
    ck_assert(memcmp(tickets[0].first, tickets[1].first, TLS_TICKET_KEY) != 0);
    tell_generation(FIRST + 1, &client);
    tell((struct ipc_message){.kind = MSG_generation_check, .generation_check = {FIRST + 1}});
    hear(self.master, ROLE_MASTER);
    ck_assert_int_eq(ask_chain(0, FIRST + 1, SERVER_ID), KEEPER_OK);
    ck_assert_uint_eq(tickets[0].times, 1);
    memcpy(before, tickets[0].first, sizeof before);
    tell_worker(0); /* started anew: whatever it was, its keys are void */
    ck_assert_int_eq(ask_chain(0, FIRST + 1, SERVER_ID), KEEPER_OK);
    ck_assert_uint_eq(tickets[0].count, 1);
    ck_assert(memcmp(tickets[0].first, before, sizeof before) != 0);
    ck_assert_int_eq(ask_chain(1, FIRST + 1, SERVER_ID), KEEPER_OK);
    ck_assert_uint_eq(tickets[1].times, 1); /* the other flow's are not */
}
END_TEST

START_TEST(restarted_worker_takes_its_place)
{
    int old = dup(self.workers[0]);
    tell_worker(0);
    ck_assert_int_eq(ask_chain(0, FIRST, SERVER_ID), KEEPER_OK);
    expect_closed(old);
    close(old);
}
END_TEST

/* A worker that asks and asks, and takes no answer, does not keep another from being served. */
START_TEST(greedy_worker)
{
    unsigned sent = 0, idle = 0;
    struct ipc_message m = chain_request(1, FIRST, SERVER_ID);
    while (idle < 20) { /* until both directions are full, and the keeper has stopped reading */
        if (ipc_send(self.workers[0], &m) == IPC_OK) {
            sent++;
            idle = 0;
        } else {
            idle++;
            (void)poll(NULL, 0, 10);
        }
        ck_assert_uint_lt(sent, 1000000);
    }
    ck_assert_uint_gt(sent, 10);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_int_eq(ask_chain(1, FIRST, SERVER_ID), KEEPER_OK);
    for (unsigned i = 0; i < sent; i++) { /* and none of its answers is lost */
        hear_worker(0);
        ck_assert_int_eq(got.chain_result.status, KEEPER_OK);
    }
}
END_TEST

static void expect_verdict(uint32_t generation, bool usable, const char *report)
{
    tell((struct ipc_message){.kind = MSG_generation_check, .generation_check = {generation}});
    hear(self.master, ROLE_MASTER);
    ck_assert_int_eq(got.kind, MSG_generation_verdict);
    ck_assert_uint_eq(got.generation_verdict.generation, generation);
    ck_assert_msg(span_eq(got.generation_verdict.report, span_str(report)), "%.*s",
                  (int)got.generation_verdict.report.n,
                  (const char *)got.generation_verdict.report.p);
    ck_assert_int_eq(got.generation_verdict.usable, usable);
}

START_TEST(reloads)
{
    expect_verdict(FIRST, true, "");
    tell_generation(FIRST + 1, &server); /* the client's certificate with the server's key */
    expect_verdict(
        FIRST + 1, false,
        "identity \"client\": /e/client.pem: the key does not belong to a certificate of "
        "the certificate file");
    ck_assert_int_eq(ask_chain(0, FIRST + 1, SERVER_ID), KEEPER_UNKNOWN_GENERATION);
    ck_assert_int_eq(ask_chain(0, FIRST, CLIENT_ID), KEEPER_OK);
    tell_generation(FIRST + 1, &client);
    ck_assert_int_eq(ask_chain(0, FIRST + 1, SERVER_ID), KEEPER_UNKNOWN_GENERATION);
    expect_verdict(FIRST + 1, true, "");
    ck_assert_int_eq(ask_chain(0, FIRST + 1, CLIENT_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain(0, FIRST, CLIENT_ID), KEEPER_OK);
    expect_verdict(99, false, "the keeper has no policy of generation 99");
    tell_trust(98, PUBLIC_TRUST); /* of a generation that nobody announced */
    tell_identity(98, 0, &server, &server);
    ck_assert_int_eq(ask_chain(0, FIRST + 1, CLIENT_ID), KEEPER_OK);
    for (uint32_t n = FIRST + 2; n < FIRST + 30; n++) { /* the sandbox and the memory hold */
        tell_generation(n, &client);
        expect_verdict(n, true, "");
        ck_assert_int_eq(ask_chain(0, n, CLIENT_ID), KEEPER_OK);
    }
    ck_assert_int_eq(ask_chain(0, FIRST, CLIENT_ID), KEEPER_UNKNOWN_GENERATION);
}
END_TEST

/* An image that is not sealed could change after it was checked. */
START_TEST(unsealed_image)
{
    tell((struct ipc_message){
        .kind = MSG_image, .fds = {file_of("no image"), -1}, .image = {.generation = 50}});
    expect_verdict(50, false, "the keeper has no policy of generation 50");
    ck_assert_int_eq(ask_chain(0, FIRST, CLIENT_ID), KEEPER_OK);
}
END_TEST

START_TEST(ends_with_its_master)
{
    close(self.master);
    int status = wait_end();
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_UNAVAILABLE);
    self.master = dup(STDIN_FILENO); /* for stop to close */
}
END_TEST

int main(int argc, char **argv)
{
    static char path[LIMIT_PATH];
    (void)argc;
    /* build/tests/unit_keeper_process beside build/libexec/mgid/keeper */
    const char *slash = strrchr(argv[0], '/');
    (void)snprintf(path, sizeof path, "%.*s/../libexec/mgid/keeper",
                   slash != NULL ? (int)(slash - argv[0]) : 1, slash != NULL ? argv[0] : ".");
    program = path;
    Suite *s = suite_create("keeper process");
    TCase *t = tcase_create("process");
    tcase_add_checked_fixture(t, start, stop);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, serves_workers_by_flow);
    tcase_add_test(t, signs_and_verifies_when_sealed);
    tcase_add_test(t, bad_message_costs_its_channel_only);
    tcase_add_test(t, ticket_keys);
    tcase_add_test(t, restarted_worker_takes_its_place);
    tcase_add_test(t, greedy_worker);
    tcase_add_test(t, reloads);
    tcase_add_test(t, unsealed_image);
    tcase_add_test(t, ends_with_its_master);
    suite_add_tcase(s, t);
    return suite_run(s);
}
