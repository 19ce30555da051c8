/* What control answers, to clients that behave and to those that do not. */
#include "engine/spool/queue_id.h"
#include "process_state.h"
#include "recipient_state.h"
#include "tests/unit/control_stand.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- status ----------------------------------------------------------------------------- */

static void answer_roles(uint64_t id, struct span roles)
{
    stand_send((struct ipc_message){
        .kind = MSG_roles_result,
        .roles_result = {.id = id, .generation = 7, .started = 1000, .roles = roles}});
}

static void put_process(struct msg_writer *w, uint16_t index, const char *flow)
{
    msg_put_u8(w, ROLE_CONNECTION);
    msg_put_u16(w, index);
    msg_put_span(w, span_str(flow));
    msg_put_u32(w, 4242);
    msg_put_u32(w, 3);
    msg_put_u64(w, 2000);
    msg_put_u8(w, PROCESS_SERVING);
}

START_TEST(status_tells_processes_and_counters)
{
    unsigned char buffer[LIMIT_MESSAGE], roles[512];
    struct ipc_message m;
    struct msg_writer w = {.p = roles, .capacity = sizeof roles};
    counter_add(stand.pages[0], COUNTER_mails_accepted, 40);
    counter_add(stand.pages[2], COUNTER_mails_accepted, 2);
    struct admin_client client = ask("{\"command\":\"status\"}");
    stand_receive(stand.master, ROLE_CONTROL, ROLE_MASTER, buffer, &m);
    ck_assert_int_eq(m.kind, MSG_roles_request);
    put_process(&w, 1, "outbound");
    answer_roles(m.roles_request.id, span_of(roles, w.n));
    json_t *line = next(&client);
    ck_assert_str_eq(text_of(line, "type"), "daemon");
    ck_assert_str_eq(text_of(line, "version"), MGID_VERSION);
    ck_assert_int_eq(number_of(line, "generation"), 7);
    ck_assert_int_gt(number_of(line, "uptime"), 1000000);
    json_decref(line);
    line = next(&client);
    ck_assert_str_eq(text_of(line, "type"), "process");
    ck_assert_str_eq(text_of(line, "role"), "connection");
    ck_assert_str_eq(text_of(line, "flow"), "outbound");
    ck_assert_str_eq(text_of(line, "state"), "serving");
    ck_assert_int_eq(number_of(line, "pid"), 4242);
    ck_assert_int_eq(number_of(line, "restarts"), 3);
    json_decref(line);
    for (unsigned i = 0; i < WORKERS; i++) {
        line = next(&client);
        ck_assert_str_eq(text_of(line, "type"), "worker");
        ck_assert_str_eq(text_of(line, "flow"), flows[i]);
        ck_assert_int_eq(number_of(json_object_get(line, "counters"), "mails_accepted"), i == 0 ? 40
                                                                                         : i == 2
                                                                                             ? 2
                                                                                             : 0);
        json_decref(line);
    }
    line = next(&client);
    ck_assert_str_eq(text_of(line, "type"), "counters");
    ck_assert_int_eq(number_of(json_object_get(line, "counters"), "mails_accepted"), 42);
    json_decref(line);
    ends(&client, true);
    admin_close(&client);
}
END_TEST

START_TEST(malformed_roles_are_said_not_believed)
{
    unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    struct admin_client client = ask("{\"command\":\"status\"}");
    stand_receive(stand.master, ROLE_CONTROL, ROLE_MASTER, buffer, &m);
    answer_roles(m.roles_request.id, SPAN_LIT("garbage"));
    json_decref(next(&client));
    json_t *line = next(&client);
    ck_assert_str_eq(text_of(line, "type"), "unanswered");
    json_decref(line);
    admin_close(&client);
}
END_TEST

START_TEST(busy_master_is_named_in_time)
{
    struct admin_client client = ask("{\"command\":\"status\"}");
    json_decref(next(&client));
    json_t *line = next(&client);
    ck_assert_str_eq(text_of(line, "type"), "unanswered");
    ck_assert_str_eq(text_of(line, "role"), "master");
    json_decref(line);
    for (unsigned i = 0; i < WORKERS + 1; i++)
        json_decref(next(&client));
    line = next(&client);
    ck_assert(json_is_true(json_object_get(line, "ok")));
    ck_assert(json_is_false(json_object_get(line, "complete")));
    json_decref(line);
    admin_close(&client);
}
END_TEST

/* ---- requests --------------------------------------------------------------------------- */

START_TEST(wrong_requests_are_refused)
{
    static const char *const wrong[] = {
        "x",
        "[]",
        "{}",
        "{\"command\":1}",
        "{\"command\":\"fly\"}",
        "{\"command\":\"status\"",
        "{\"command\":\"status\",\"limit\":1}",
        "{\"command\":\"queue-list\",\"limit\":0}",
        "{\"command\":\"queue-list\",\"limit\":\"1\"}",
        "{\"command\":\"queue-list\",\"limit\":-1}",
        "{\"command\":\"queue-list\",\"limit\":1e3}",
        "{\"command\":\"reload\",\"command\":\"reload\"}",
        "{\"command\":\"reload\",\"x\":1}",
        "{\"command\":\"st\xff\"}",
        "\"command\"",
        "null",
        "{\"command\":\"queue-list\",\"limit\":99999999999999999999}",
    };
    struct admin_client client = ask(NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(admin_send(&client, span_str(wrong[i])), 0);
        ends(&client, false);
    }
    admin_close(&client);
}
END_TEST

START_TEST(requests_in_one_packet_are_answered_in_order)
{
    struct admin_client client = ask("{}\n\n{\"command\":\"x\"}\n[1]");
    for (int i = 0; i < 3; i++)
        ends(&client, false);
    admin_close(&client);
}
END_TEST

START_TEST(long_request_ends_the_connection)
{
    static char big[LIMIT_ADMIN_REQUEST + 100];
    memset(big, ' ', sizeof big - 1);
    struct admin_client client = ask(NULL);
    struct span line;
    /* It may be closed before all was sent. */
    (void)admin_send(&client, span_str(big));
    ends(&client, false);
    ck_assert_int_ne(admin_receive(&client, 15, &line), ADMIN_LINE);
    admin_close(&client);
}
END_TEST

START_TEST(clients_are_bounded_and_slots_come_back)
{
    struct admin_client clients[LIMIT_ADMIN_CLIENTS];
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++) {
        clients[i] = ask("{}");
        ends(&clients[i], false);
    }
    struct admin_client one_more = ask(NULL);
    ends(&one_more, false);
    closed(&one_more);
    admin_close(&clients[5]);
    struct admin_client client;
    json_t *line;
    /* The place is free once control has seen the end of the one that left. */
    do {
        client = ask("{}");
        line = next(&client);
        if (strstr(text_of(line, "error"), "too many")) {
            json_decref(line);
            line = NULL;
            admin_close(&client);
        }
    } while (!line);
    json_decref(line);
    admin_close(&client);
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++)
        if (i != 5)
            admin_close(&clients[i]);
}
END_TEST

/* Only as root can a test be somebody else. */
START_TEST(other_users_are_refused)
{
    ck_assert_int_eq(chmod(stand.directory, 0711), 0);
    ck_assert_int_eq(chmod(stand.socket_path, 0666), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct admin_client client;
        struct span line;
        bool refused = setgid(ROLE_UID + 1) == 0 && setuid(ROLE_UID + 1) == 0 &&
                       admin_connect(&client, stand.socket_path) == 0 &&
                       admin_receive(&client, 5, &line) == ADMIN_LINE &&
                       memmem(line.p, line.n, "only root", 9) != NULL &&
                       admin_receive(&client, 5, &line) == ADMIN_CLOSED;
        _exit(refused ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- reload ----------------------------------------------------------------------------- */

START_TEST(reload_brings_the_report)
{
    unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    for (int ok = 0; ok < 2; ok++) {
        struct admin_client client = ask("{\"command\":\"reload\"}");
        stand_receive(stand.master, ROLE_CONTROL, ROLE_MASTER, buffer, &m);
        ck_assert_int_eq(m.kind, MSG_reload_request);
        stand_send((struct ipc_message){
            .kind = MSG_reload_result,
            .reload_result = {m.reload_request.id, (uint8_t)ok, 8,
                              SPAN_LIT("p.json:1:2: error: bad \xff\n\np.json:2:3: second")}});
        json_t *line = next(&client);
        ck_assert_str_eq(text_of(line, "type"), "report");
        ck_assert_str_eq(text_of(line, "text"), "p.json:1:2: error: bad \xef\xbf\xbd");
        json_decref(line);
        line = next(&client);
        ck_assert_str_eq(text_of(line, "text"), "p.json:2:3: second");
        json_decref(line);
        ends(&client, ok);
        admin_close(&client);
    }
}
END_TEST

/* ---- queue ------------------------------------------------------------------------------ */

/* Answers the master's part: that those workers (bits) are there. */
static void answer_workers(unsigned present)
{
    unsigned char buffer[LIMIT_MESSAGE], roles[512];
    struct ipc_message m;
    struct msg_writer w = {.p = roles, .capacity = sizeof roles};
    stand_receive(stand.master, ROLE_CONTROL, ROLE_MASTER, buffer, &m);
    ck_assert_int_eq(m.kind, MSG_roles_request);
    for (unsigned i = 0; i < WORKERS; i++)
        if (present & 1u << i)
            put_process(&w, indexes[i], flows[i]);
    answer_roles(m.roles_request.id, span_of(roles, w.n));
}

static struct admin_client ask_queue(const char *request)
{
    struct admin_client client = ask(request);
    answer_workers(7);
    return client;
}

static void put_mail(struct msg_writer *w, uint64_t id, unsigned recipients)
{
    msg_put_u64(w, id);
    msg_put_u64(w, UINT64_C(1700000000123456));
    msg_put_u64(w, 5120);
    msg_put_u32(w, 1);
    msg_put_span(w, SPAN_LIT("a@example.ch"));
    for (unsigned i = 0; i < 4; i++)
        msg_put_span(w, SPAN_EMPTY);
    msg_put_u16(w, (uint16_t)recipients);
    msg_put_u16(w, (uint16_t)recipients);
    for (unsigned i = 0; i < recipients; i++) {
        msg_put_span(w, SPAN_LIT("b@example.com\x01\xfe"));
        msg_put_span(w, SPAN_LIT("incamail"));
        msg_put_span(w, SPAN_LIT("suffix"));
        msg_put_u8(w, i == 0 ? RECIPIENT_DEFERRED : RECIPIENT_QUEUED);
        msg_put_u32(w, 4);
        msg_put_u64(w, 1700000999);
        msg_put_u64(w, 1700009999);
        msg_put_u8(w, 0);
        msg_put_u8(w, 0);
        for (unsigned k = 0; k < 3; k++)
            msg_put_span(w, SPAN_EMPTY);
        msg_put_span(w, i == 0 ? SPAN_LIT("450 later") : SPAN_EMPTY);
    }
}

/* Answers worker i's next request with that many mails from the id after its cursor. */
static void answer_queue(unsigned i, uint64_t after, unsigned count, bool more)
{
    static unsigned char mails[LIMIT_QUEUE_PAGE];
    unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    struct msg_writer w = {.p = mails, .capacity = sizeof mails};
    stand_receive(stand.workers[i], ROLE_CONTROL, ROLE_CONNECTION, buffer, &m);
    ck_assert_int_eq(m.kind, MSG_queue_request);
    ck_assert_uint_eq(m.queue_request.after, after);
    ck_assert_uint_gt(m.queue_request.count, 0);
    for (unsigned k = 0; k < count; k++)
        put_mail(&w, after + 1 + k, 2);
    ck_assert(!w.overflow);
    struct ipc_message r = {.kind = MSG_queue_result,
                            .queue_result = {.id = m.queue_request.id,
                                             .more = more,
                                             .next = after + count,
                                             .mails = span_of(mails, w.n)}};
    ck_assert_int_eq(ipc_send(stand.workers[i], &r), IPC_OK);
}

static void is_mail(json_t *line, unsigned worker, uint64_t id)
{
    char text[QUEUE_ID_TEXT + 1];
    queue_id_format(id, text);
    ck_assert_str_eq(text_of(line, "type"), "mail");
    ck_assert_str_eq(text_of(line, "queue_name"), "deferred");
    ck_assert_str_eq(text_of(line, "queue_id"), text);
    ck_assert_int_eq(number_of(line, "arrival_time"), 1700000000);
    ck_assert_int_eq(number_of(line, "message_size"), 5120);
    ck_assert_str_eq(text_of(line, "sender"), "a@example.ch");
    ck_assert_str_eq(text_of(line, "flow"), flows[worker]);
    ck_assert_int_eq(number_of(line, "worker"), indexes[worker]);
    json_t *recipients = json_object_get(line, "recipients");
    ck_assert_uint_eq(json_array_size(recipients), 2);
    json_t *first = json_array_get(recipients, 0);
    ck_assert_str_eq(text_of(first, "address"), "b@example.com\x01\xef\xbf\xbd");
    ck_assert_str_eq(text_of(first, "route"), "incamail");
    ck_assert_str_eq(text_of(first, "rule"), "suffix");
    ck_assert_str_eq(text_of(first, "state"), "deferred");
    ck_assert_str_eq(text_of(first, "delay_reason"), "450 later");
    ck_assert_int_eq(number_of(first, "attempts"), 4);
    ck_assert_int_eq(number_of(first, "next_attempt"), 1700000999);
    ck_assert_ptr_null(json_object_get(json_array_get(recipients, 1), "delay_reason"));
    json_decref(line);
}

static void queue_ends(struct admin_client *client, json_int_t mails, bool more, bool complete)
{
    json_t *end = next(client);
    ck_assert(json_is_true(json_object_get(end, "end")));
    ck_assert(json_is_true(json_object_get(end, "ok")));
    ck_assert_int_eq(number_of(end, "mails"), mails);
    ck_assert(json_is_true(json_object_get(end, "more")) == more);
    ck_assert(json_is_true(json_object_get(end, "complete")) == complete);
    json_decref(end);
    admin_close(client);
}

START_TEST(queue_pages_through_all_workers)
{
    struct admin_client client = ask_queue("{\"command\":\"queue-list\"}");
    answer_queue(0, 0, 200, true);
    answer_queue(0, 200, 100, false);
    answer_queue(1, 0, 0, false);
    answer_queue(2, 0, 3, true);
    answer_queue(2, 3, 0, false);
    for (unsigned i = 0; i < 300; i++)
        is_mail(next(&client), 0, i + 1);
    for (unsigned i = 0; i < 3; i++)
        is_mail(next(&client), 2, i + 1);
    queue_ends(&client, 303, false, true);
}
END_TEST

START_TEST(queue_limit_holds)
{
    struct admin_client client = ask_queue("{\"command\":\"queue-list\",\"limit\":5}");
    answer_queue(0, 0, 3, false);
    answer_queue(1, 0, 10, true);
    for (unsigned i = 0; i < 3; i++)
        is_mail(next(&client), 0, i + 1);
    for (unsigned i = 0; i < 2; i++)
        is_mail(next(&client), 1, i + 1);
    queue_ends(&client, 5, true, true);
}
END_TEST

static void is_unanswered(json_t *line, unsigned worker)
{
    ck_assert_str_eq(text_of(line, "type"), "unanswered");
    ck_assert_str_eq(text_of(line, "flow"), flows[worker]);
    ck_assert_int_eq(number_of(line, "worker"), indexes[worker]);
    json_decref(line);
}

START_TEST(dead_and_hanging_workers_are_named)
{
    struct admin_client client = ask_queue("{\"command\":\"queue-list\"}");
    struct admin_client other = ask("{\"command\":\"nonsense\"}");
    unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    stand_receive(stand.workers[0], ROLE_CONTROL, ROLE_CONNECTION, buffer, &m);
    close(stand.workers[0]);
    is_unanswered(next(&client), 0);
    /* Worker 1 says nothing; meanwhile others are served. */
    ends(&other, false);
    admin_close(&other);
    is_unanswered(next(&client), 1);
    answer_queue(2, 0, 1, false);
    is_mail(next(&client), 2, 1);
    queue_ends(&client, 1, false, false);
    /* The dead one comes back. */
    stand_worker(0);
    client = ask_queue("{\"command\":\"queue-list\",\"limit\":1}");
    answer_queue(0, 0, 1, false);
    is_mail(next(&client), 0, 1);
    queue_ends(&client, 1, true, true);
}
END_TEST

START_TEST(removed_worker_is_not_missed)
{
    for (unsigned i = 0; i < 2; i++)
        close(stand.workers[i]);
    struct admin_client client = ask("{\"command\":\"queue-list\"}");
    /* Worker 0 is between two starts, worker 1 was taken away, worker 2 the master forgot. */
    answer_workers(1);
    is_unanswered(next(&client), 0);
    answer_queue(2, 0, 1, false);
    is_mail(next(&client), 2, 1);
    queue_ends(&client, 1, false, false);
    stand_worker(1);
    client = ask("{\"command\":\"queue-list\"}");
    answer_workers(2);
    answer_queue(1, 0, 0, false);
    answer_queue(2, 0, 0, false);
    queue_ends(&client, 0, false, true);
}
END_TEST

START_TEST(queue_is_listed_without_the_master)
{
    struct admin_client client = ask("{\"command\":\"queue-list\"}");
    json_t *line = next(&client);
    ck_assert_str_eq(text_of(line, "type"), "unanswered");
    ck_assert_str_eq(text_of(line, "role"), "master");
    json_decref(line);
    for (unsigned i = 0; i < WORKERS; i++)
        answer_queue(i, 0, 0, false);
    queue_ends(&client, 0, false, false);
}
END_TEST

/* A page that is wrong in each of some ways; the listing goes on with the next worker. */
START_TEST(malformed_page_is_not_believed)
{
    unsigned char mails[512], buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    struct msg_writer w = {.p = mails, .capacity = sizeof mails};
    struct admin_client client = ask_queue("{\"command\":\"queue-list\"}");
    stand_receive(stand.workers[0], ROLE_CONTROL, ROLE_CONNECTION, buffer, &m);
    put_mail(&w, _i == 0 ? 0 : 9, 1);
    if (_i == 1)
        put_mail(&w, 9, 1); /* not ascending: might go on for ever */
    size_t n = _i == 2 ? w.n - 1 : w.n;
    struct span page = _i == 3 ? SPAN_EMPTY : span_of(mails, n);
    struct ipc_message r = {
        .kind = MSG_queue_result,
        .queue_result = {
            .id = m.queue_request.id, .more = 1, .next = _i == 3 ? 0 : 9, .mails = page}};
    ck_assert_int_eq(ipc_send(stand.workers[0], &r), IPC_OK);
    if (_i == 1)
        json_decref(next(&client));
    is_unanswered(next(&client), 0);
    answer_queue(1, 0, 0, false);
    answer_queue(2, 0, 0, false);
    queue_ends(&client, _i == 1, false, false);
}
END_TEST

START_TEST(forbidden_message_closes_the_channel)
{
    struct ipc_message forbidden = {.kind = MSG_lookup_request,
                                    .lookup_request = {1, 1, SPAN_LIT("x")}};
    ck_assert_int_eq(ipc_send(stand.workers[0], &forbidden), IPC_OK);
    struct pollfd hung = {.fd = stand.workers[0]};
    ck_assert_int_eq(poll(&hung, 1, 5000), 1);
    ck_assert(hung.revents & POLLHUP);
    struct admin_client client = ask_queue("{\"command\":\"queue-list\"}");
    is_unanswered(next(&client), 0);
    admin_close(&client);
}
END_TEST

START_TEST(answer_to_another_id_or_worker_is_unheard)
{
    unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    struct admin_client client = ask_queue("{\"command\":\"queue-list\"}");
    stand_receive(stand.workers[0], ROLE_CONTROL, ROLE_CONNECTION, buffer, &m);
    uint64_t id = m.queue_request.id;
    for (unsigned i = 0; i < 2; i++) {
        /* The right id from the wrong worker, then the wrong id from the right one. */
        struct ipc_message r = {
            .kind = MSG_queue_result,
            .queue_result = {.id = i == 0 ? id : id + 1, .mails = SPAN_LIT("junk")}};
        ck_assert_int_eq(ipc_send(stand.workers[1 - i], &r), IPC_OK);
    }
    struct ipc_message r = {.kind = MSG_queue_result, .queue_result = {.id = id}};
    ck_assert_int_eq(ipc_send(stand.workers[0], &r), IPC_OK);
    answer_queue(1, 0, 0, false);
    answer_queue(2, 0, 0, false);
    queue_ends(&client, 0, false, true);
}
END_TEST

START_TEST(slow_client_holds_up_nobody)
{
    struct admin_client slow = ask_queue("{\"command\":\"queue-list\"}");
    unsigned given = 0;
    /* Pages are asked for only as far as the slow one's buffers go. */
    for (struct pollfd asked = {.fd = stand.workers[0], .events = POLLIN};
         poll(&asked, 1, 500) == 1; given += 200)
        answer_queue(0, given, 200, true);
    ck_assert_uint_gt(given, 0);
    ck_assert_uint_lt(given, 20000);
    struct admin_client quick = ask("{}");
    ends(&quick, false);
    admin_close(&quick);
    for (unsigned i = 0; i < given; i++)
        is_mail(next(&slow), 0, i + 1);
    answer_queue(0, given, 0, false);
    admin_close(&slow);
}
END_TEST

/* ---- the end ---------------------------------------------------------------------------- */

START_TEST(drain_finishes_what_is_open)
{
    unsigned char buffer[LIMIT_MESSAGE];
    struct ipc_message m;
    struct admin_client idle = ask("{}");
    ends(&idle, false);
    struct admin_client client = ask("{\"command\":\"reload\"}");
    stand_receive(stand.master, ROLE_CONTROL, ROLE_MASTER, buffer, &m);
    stand_send((struct ipc_message){.kind = MSG_drain, .drain = {.milliseconds = 10000}});
    stand_send((struct ipc_message){.kind = MSG_reload_result,
                                    .reload_result = {m.reload_request.id, 1, 2, SPAN_EMPTY}});
    ends(&client, true);
    closed(&client);
    closed(&idle);
    ck_assert_int_eq(stand_wait_end(), 0);
}
END_TEST

START_TEST(ends_with_the_master)
{
    close(stand.master);
    int status = stand_wait_end();
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_UNAVAILABLE);
}
END_TEST

START_TEST(malformed_master_is_fatal)
{
    ck_assert_int_eq(send(stand.master, "junk", 4, MSG_NOSIGNAL), 4);
    int status = stand_wait_end();
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_SOFTWARE);
}
END_TEST

int main(int argc, char **argv)
{
    (void)argc;
    stand_program(argv[0]);
    Suite *suite = suite_create("control");
    TCase *tc = tcase_create("program");
    tcase_add_checked_fixture(tc, stand_start, stand_stop);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, status_tells_processes_and_counters);
    tcase_add_test(tc, malformed_roles_are_said_not_believed);
    tcase_add_test(tc, busy_master_is_named_in_time);
    tcase_add_test(tc, wrong_requests_are_refused);
    tcase_add_test(tc, requests_in_one_packet_are_answered_in_order);
    tcase_add_test(tc, long_request_ends_the_connection);
    tcase_add_test(tc, clients_are_bounded_and_slots_come_back);
    if (getuid() == 0)
        tcase_add_test(tc, other_users_are_refused);
    tcase_add_test(tc, reload_brings_the_report);
    tcase_add_test(tc, queue_pages_through_all_workers);
    tcase_add_test(tc, queue_limit_holds);
    tcase_add_test(tc, dead_and_hanging_workers_are_named);
    tcase_add_test(tc, removed_worker_is_not_missed);
    tcase_add_test(tc, queue_is_listed_without_the_master);
    tcase_add_loop_test(tc, malformed_page_is_not_believed, 0, 4);
    tcase_add_test(tc, forbidden_message_closes_the_channel);
    tcase_add_test(tc, answer_to_another_id_or_worker_is_unheard);
    tcase_add_test(tc, slow_client_holds_up_nobody);
    tcase_add_test(tc, drain_finishes_what_is_open);
    tcase_add_test(tc, ends_with_the_master);
    tcase_add_test(tc, malformed_master_is_fatal);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
