/* The control program, started as its master would, and its clients. */
#include "tests/unit/control_stand.h"
#include "engine/sandbox/role.h"
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct control_stand stand = {.directory = "/tmp/mgid-control.XXXXXX"};

const char *const flows[WORKERS] = {"outbound", "outbound", "inbound"};
const uint16_t indexes[WORKERS] = {0, 1, 0};

void stand_program(const char *self)
{
    const char *slash = strrchr(self, '/');
    (void)snprintf(stand.program, sizeof stand.program, "%.*s/../libexec/mgid/control",
                   slash ? (int)(slash - self) : 1, slash ? self : ".");
}

void stand_send(struct ipc_message m)
{
    ck_assert_int_eq(ipc_send(stand.master, &m), IPC_OK);
}

void stand_worker(unsigned i)
{
    int pair[2], page[2];
    ck_assert_int_eq(ipc_pair(pair), 0);
    stand.workers[i] = pair[0];
    stand_send((struct ipc_message){.kind = MSG_peer,
                                    .fds = {pair[1], -1},
                                    .peer = {ROLE_CONNECTION, indexes[i], span_str(flows[i])}});
    close(pair[1]);
    ck_assert_int_eq(counters_create(page), 0);
    stand.pages[i] = counters_map(page[0], true);
    ck_assert_ptr_nonnull(stand.pages[i]);
    stand_send((struct ipc_message){.kind = MSG_counters,
                                    .fds = {page[1], -1},
                                    .counters = {ROLE_CONNECTION, indexes[i], span_str(flows[i])}});
    close(page[0]);
    close(page[1]);
}

static void send_listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ck_assert_ptr_nonnull(mkdtemp(stand.directory));
    (void)snprintf(stand.socket_path, sizeof stand.socket_path, "%s/control.sock", stand.directory);
    memcpy(address.sun_path, stand.socket_path, sizeof stand.socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 32), 0);
    stand_send((struct ipc_message){
        .kind = MSG_listener, .fds = {fd, -1}, .listener = {0, span_str(stand.socket_path)}});
    close(fd);
}

void stand_receive(int fd, enum role from, enum role to, unsigned char *buffer,
                   struct ipc_message *m)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&readable, 1, 5000), 1);
    ck_assert_int_eq(ipc_receive(fd, from, to, buffer, m), IPC_OK);
}

void stand_start(void)
{
    static unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    int pair[2];
    ck_assert_int_eq(ipc_pair(pair), 0);
    stand.pid = fork();
    ck_assert_int_ge(stand.pid, 0);
    if (stand.pid == 0) {
        if (pair[1] == ROLE_MASTER_FD)
            (void)fcntl(ROLE_MASTER_FD, F_SETFD, 0);
        else
            (void)dup2(pair[1], ROLE_MASTER_FD);
        (void)close_range(ROLE_MASTER_FD + 1, ~0u, 0);
        execl(stand.program, stand.program, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    stand.master = pair[0];
    send_listener();
    for (unsigned i = 0; i < WORKERS; i++)
        stand_worker(i);
    /* As the master does: root gives way to a uid of the role's own. */
    bool root = getuid() == 0;
    stand_send((struct ipc_message){
        .kind = MSG_start, .start = {.uid = root ? ROLE_UID : getuid(), .privileged = root}});
    stand_receive(stand.master, ROLE_CONTROL, ROLE_MASTER, buffer, &m);
    ck_assert_int_eq(m.kind, MSG_started);
}

int stand_wait_end(void)
{
    int status = -1;
    ck_assert_int_eq(waitpid(stand.pid, &status, 0), stand.pid);
    stand.pid = 0;
    return status;
}

void stand_stop(void)
{
    if (stand.pid > 0) {
        stand_send((struct ipc_message){.kind = MSG_drain, .drain = {.milliseconds = 0}});
        int status = stand_wait_end();
        ck_assert_int_eq(status, 0);
    }
    (void)unlink(stand.socket_path);
    (void)rmdir(stand.directory);
}

/* ---- the client's side ------------------------------------------------------------------ */

struct admin_client ask(const char *request)
{
    struct admin_client client;
    ck_assert_int_eq(admin_connect(&client, stand.socket_path), 0);
    if (request)
        ck_assert_int_eq(admin_send(&client, span_str(request)), 0);
    return client;
}

json_t *next(struct admin_client *client)
{
    struct span line;
    ck_assert_int_eq(admin_receive(client, 15, &line), ADMIN_LINE);
    json_t *object = json_loadb((const char *)line.p, line.n, 0, NULL);
    ck_assert(json_is_object(object));
    return object;
}

const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    ck_assert_msg(text != NULL, "no text \"%s\"", key);
    return text;
}

json_int_t number_of(json_t *object, const char *key)
{
    ck_assert_msg(json_is_integer(json_object_get(object, key)), "no number \"%s\"", key);
    return json_integer_value(json_object_get(object, key));
}

void ends(struct admin_client *client, bool ok)
{
    json_t *end = next(client);
    ck_assert(json_is_true(json_object_get(end, "end")));
    ck_assert(json_is_true(json_object_get(end, "ok")) == ok);
    ck_assert((json_object_get(end, "error") == NULL) == ok);
    json_decref(end);
}

void closed(struct admin_client *client)
{
    struct span line;
    ck_assert_int_eq(admin_receive(client, 15, &line), ADMIN_CLOSED);
    admin_close(client);
}
