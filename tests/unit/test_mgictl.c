/* The mgictl program as it is built, with this test as the daemon. */
#include "tests/unit/suite.h"
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "status.h"

static const char *program;
static char directory[] = "/tmp/mgid-mgictl.XXXXXX";
static char socket_path[64];

static struct {
    int status;
    char out[65536];
    char err[8192];
    char request[4096];
} result;

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    (void)snprintf(socket_path, sizeof socket_path, "%s/control.sock", directory);
    ck_assert_int_eq(setenv("MGID_SOCKET", socket_path, 1), 0);
    ck_assert_int_eq(setenv("TZ", "UTC", 1), 0);
}

static void teardown(void)
{
    (void)unlink(socket_path);
    (void)rmdir(directory);
}

/* The program with its output in files; argv ends with NULL. */
static pid_t launch(const char *const *argv, int out, int err)
{
    const char *all[16] = {program};
    for (size_t i = 0; argv[i]; i++)
        all[i + 1] = argv[i];
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)dup2(out, STDOUT_FILENO);
        (void)dup2(err, STDERR_FILENO);
        execv(program, (char *const *)(uintptr_t)all);
        _exit(127);
    }
    return pid;
}

static void read_back(int fd, char *text, size_t capacity)
{
    ssize_t n = pread(fd, text, capacity - 1, 0);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    close(fd);
}

static int temporary(void)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Serves one connection: keeps the request, sends the answer, closes. */
static void serve(int listener, const char *answer)
{
    struct pollfd called = {.fd = listener, .events = POLLIN};
    ck_assert_int_eq(poll(&called, 1, 5000), 1);
    int fd = accept(listener, NULL, NULL);
    ck_assert_int_ge(fd, 0);
    size_t n = 0;
    while (!memchr(result.request, '\n', n)) {
        ssize_t r = read(fd, result.request + n, sizeof result.request - 1 - n);
        ck_assert_int_gt(r, 0);
        n += (size_t)r;
    }
    result.request[n] = '\0';
    ck_assert_int_eq(write(fd, answer, strlen(answer)), (ssize_t)strlen(answer));
    close(fd);
}

/* Runs the program; with an answer, there is a daemon that gives it. */
static void run(const char *answer, const char *const *argv)
{
    int listener = -1;
    if (answer) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, socket_path, sizeof socket_path);
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
        ck_assert_int_eq(listen(listener, 1), 0);
    }
    int out = temporary(), err = temporary();
    pid_t pid = launch(argv, out, err);
    if (answer) {
        serve(listener, answer);
        close(listener);
        unlink(socket_path);
    }
    ck_assert_int_eq(waitpid(pid, &result.status, 0), pid);
    ck_assert(WIFEXITED(result.status));
    result.status = WEXITSTATUS(result.status);
    read_back(out, result.out, sizeof result.out);
    read_back(err, result.err, sizeof result.err);
}

#define RUN(answer, ...) run(answer, (const char *const[]){__VA_ARGS__, NULL})

static void says(const char *where, const char *what)
{
    ck_assert_msg(strstr(where, what) != NULL, "\"%s\" is not in: %s", what, where);
}

/* ---- the command line ------------------------------------------------------------------- */

START_TEST(help_teaches)
{
    static const char *const lines[][4] = {
        {"--help"},           {"policy", "check", "--help"},
        {"status", "--help"}, {"queue", "list", "-h"},
        {"--help", "reload"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        run(NULL, lines[i]);
        ck_assert_int_eq(result.status, EXIT_OK);
        says(result.out, "Usage: mgictl");
        says(result.out, i == 0 ? "A first look" : "Example");
        says(result.out, "--json");
        ck_assert_str_eq(result.err, "");
    }
    RUN(NULL, "--version");
    ck_assert_int_eq(result.status, EXIT_OK);
    ck_assert_str_eq(result.out, "mgictl " MGID_VERSION "\n");
}
END_TEST

START_TEST(wrong_command_lines_are_usage_errors)
{
    static const struct {
        const char *line[10];
        const char *remedy;
    } cases[] = {
        {{NULL}, "mgictl --help"},
        {{"frob"}, "policy check, policy explain"},
        {{"policy"}, "policy check"},
        {{"policy", "chec", "x"}, "policy check"},
        {{"policy", "check"}, "policy check FILE"},
        {{"policy", "check", "a", "b"}, "policy check FILE"},
        {{"status", "x"}, "status --help"},
        {{"statusx"}, "There are"},
        {{"--frob"}, "--help"},
        {{"--json=1", "status"}, "no value"},
        {{"status", "--socket"}, "PATH"},
        {{"--socket=", "status"}, "no value for --socket"},
        {{"status", "--limit", "3"}, "takes no --limit"},
        {{"queue", "list", "--limit", "0"}, "at most N"},
        {{"queue", "list", "--limit", "-1"}, "at most N"},
        {{"queue", "list", "--limit", "x"}, "at most N"},
        {{"queue", "list", "--limit=99999999999999999999"}, "at most N"},
        {{"queue", "list", "--age", "3w"}, "at most"},
        {{"queue", "list", "--to", "x"}, "takes no --to"},
        {{"queue", "delete"}, "which mails"},
        {{"queue", "redirect", "--all"}, "where to"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run(NULL, cases[i].line);
        ck_assert_msg(result.status == EXIT_USAGE, "case %zu ended with %d", i, result.status);
        ck_assert_str_eq(result.out, "");
        says(result.err, cases[i].remedy);
    }
}
END_TEST

START_TEST(no_daemon_is_told_with_the_remedy)
{
    RUN(NULL, "status");
    ck_assert_int_eq(result.status, EXIT_UNAVAILABLE);
    says(result.err, socket_path);
    says(result.err, "systemctl status mgid");
    RUN(NULL, "reload", "--socket", "/nowhere/at.all");
    ck_assert_int_eq(result.status, EXIT_UNAVAILABLE);
    says(result.err, "/nowhere/at.all");
    char path[200];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    RUN(NULL, "reload", "--socket", path);
    ck_assert_int_eq(result.status, EXIT_USAGE);
}
END_TEST

START_TEST(full_output_is_an_error)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int err = temporary();
    int status;
    pid_t pid = launch((const char *const[]){"--help", NULL}, full, err);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_IOERR);
    close(full);
    close(err);
}
END_TEST

/* ---- answers ---------------------------------------------------------------------------- */

#define END "{\"end\":true,\"ok\":true}\n"

START_TEST(status_is_a_table)
{
    static const char answer[] =
        "{\"type\":\"daemon\",\"version\":\"9.9\",\"generation\":7,\"started\":0,\"uptime\":90061}"
        "\n"
        "{\"type\":\"process\",\"role\":\"keeper\",\"flow\":\"\",\"index\":0,\"pid\":11,"
        "\"restarts\":2,\"started\":1,\"state\":\"serving\"}\n"
        "{\"type\":\"worker\",\"flow\":\"x\",\"worker\":0,\"counters\":{\"commands\":1}}\n"
        "{\"type\":\"counters\",\"counters\":{\"commands\":12345}}\n" END;
    RUN(answer, "status");
    ck_assert_int_eq(result.status, EXIT_OK);
    ck_assert_str_eq(result.request, "{\"command\":\"status\"}\n");
    says(result.out, "mgid 9.9, policy generation 7, up 1 d 1 h (since 1970-01-01 00:00:00)\n");
    says(result.out, "ROLE    FLOW  WORKER  PID  STATE");
    says(result.out, "keeper             0   11  serving");
    says(result.out, "commands  12345  SMTP commands received\n");
    RUN(answer, "--json", "status");
    ck_assert_int_eq(result.status, EXIT_OK);
    ck_assert_str_eq(result.out, answer);
}
END_TEST

START_TEST(queue_is_a_table_that_steers_no_terminal)
{
    static const char answer[] =
        "{\"type\":\"mail\",\"queue_id\":\"0123456789abc\",\"arrival_time\":1,\"message_size\":"
        "5120,"
        "\"sender\":\"\",\"flow\":\"out\",\"recipients\":[{\"address\":\"a\\u001b[2J@f\xc3\xbcr."
        "ch\","
        "\"route\":\"incamail\",\"rule\":\"r\",\"state\":\"deferred\",\"attempts\":3,"
        "\"next_attempt\":1,\"delay_reason\":\"450\\nlater\\u009b\"},"
        "{\"address\":\"b@c\",\"route\":\"incamail\",\"attempts\":0}]}\n"
        "{\"end\":true,\"ok\":true,\"mails\":1,\"more\":true}\n";
    RUN(answer, "queue", "list", "--limit", "1");
    ck_assert_int_eq(result.status, EXIT_OK);
    ck_assert_str_eq(result.request, "{\"command\":\"queue-list\",\"limit\":1}\n");
    says(result.out, "0123456789abc  ");
    says(result.out,
         "  5.1k  out   <>      a?[2J@f\xc3\xbcr.ch  incamail      3  now      450?later?\n");
    says(result.out, "  5.1k  out   <>      b@c           incamail      0  now      \n");
    says(result.out, "1 mail; there may be more\n");
    ck_assert_ptr_null(strchr(result.out, 0x1b));
    RUN("{\"end\":true,\"ok\":true,\"mails\":0,\"more\":false}\n", "queue", "list");
    ck_assert_str_eq(result.out, "The queue is empty.\n");
}
END_TEST

START_TEST(long_queue_is_listed_whole)
{
    enum { MAILS = 300 };
    static char answer[MAILS * 200];
    size_t n = 0;
    for (int i = 0; i < MAILS; i++)
        n += (size_t)snprintf(answer + n, sizeof answer - n,
                              "{\"type\":\"mail\",\"queue_id\":\"id-%d\",\"recipients\":"
                              "[{\"address\":\"%s%d@x\"}]}\n",
                              i, i > 280 ? "quite-a-long-local-part-" : "", i);
    (void)snprintf(answer + n, sizeof answer - n, END);
    RUN(answer, "queue", "list");
    ck_assert_int_eq(result.status, EXIT_OK);
    says(result.out, "\nid-0 ");
    says(result.out, "\nid-255 ");
    says(result.out, "\nid-256 ");
    says(result.out, "\nid-299 ");
    const char *head = strstr(result.out, "QUEUE ID");
    ck_assert_ptr_nonnull(head);
    ck_assert_ptr_null(strstr(head + 1, "QUEUE ID"));
}
END_TEST

START_TEST(reload_tells_how_it_went)
{
    RUN("{\"type\":\"report\",\"text\":\"p:1:2: warning: w\"}\n"
        "{\"end\":true,\"ok\":true,\"generation\":8}\n",
        "reload");
    ck_assert_int_eq(result.status, EXIT_OK);
    ck_assert_str_eq(result.out, "p:1:2: warning: w\nThe policy is in force, generation 8.\n");
    RUN("{\"type\":\"report\",\"text\":\"p:1:2: error: e\"}\n"
        "{\"end\":true,\"ok\":false,\"error\":\"the policy was refused\"}\n",
        "reload");
    ck_assert_int_eq(result.status, EXIT_DATA);
    ck_assert_str_eq(result.out, "p:1:2: error: e\n");
    says(result.err, "refused");
}
END_TEST

START_TEST(partial_answers_are_never_success)
{
    RUN("{\"type\":\"unanswered\",\"role\":\"connection\",\"flow\":\"out\",\"worker\":1,"
        "\"error\":\"no answer in time\"}\n" END,
        "queue", "list");
    ck_assert_int_eq(result.status, EXIT_TEMPFAIL);
    says(result.err, "connection process 1 of flow out did not answer: no answer in time");
    RUN("", "status");
    ck_assert_int_eq(result.status, EXIT_TEMPFAIL);
    says(result.err, "broke off");
    RUN("{\"end\":true,\"ok\":true}", "status"); /* no newline: cut off */
    ck_assert_int_eq(result.status, EXIT_TEMPFAIL);
    RUN("garbage\n" END, "status");
    ck_assert_int_eq(result.status, EXIT_TEMPFAIL);
    RUN("[]\n" END, "status");
    ck_assert_int_eq(result.status, EXIT_TEMPFAIL);
    RUN("{\"end\":true,\"ok\":false,\"error\":\"too many clients\"}\n", "status");
    ck_assert_int_eq(result.status, EXIT_UNAVAILABLE);
    says(result.err, "too many clients");
}
END_TEST

/* ---- policy check ----------------------------------------------------------------------- */

static void write_policy(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

START_TEST(policy_check_needs_no_daemon)
{
    char path[128], place[160];
    (void)snprintf(path, sizeof path, "%s/policy.json", directory);
    write_policy(path, "{\n  \"frob\": 1\n}\n");
    RUN(NULL, "policy", "check", path);
    ck_assert_int_eq(result.status, EXIT_DATA);
    (void)snprintf(place, sizeof place, "%s:2:", path);
    says(result.out, place);
    says(result.out, ": error: /frob: ");
    RUN(NULL, "--json", "policy", "check", path);
    ck_assert_int_eq(result.status, EXIT_DATA);
    says(result.out, "\"valid\":false");
    ck_assert_int_eq(result.out[0], '{');
    write_policy(
        path, "{\"version\": 1, \"hostname\": \"mx.example.ch\", \"spool\": \"/var/spool/mgid\",\n"
              "\"routes\": {\"all\": {\"hosts\": [\"mail.example.ch:25\"]}},\n"
              "\"flows\": {\"out\": {\"listen\": [\"127.0.0.1:2525\"],\n"
              "\"rules\": [{\"name\": \"rest\", \"route\": \"all\"}]}}}\n");
    RUN(NULL, "policy", "check", path);
    ck_assert_msg(result.status == EXIT_OK, "%s", result.out);
    says(result.out, "is usable");
    ck_assert_int_eq(unlink(path), 0);
    RUN(NULL, "policy", "check", path);
    ck_assert_int_eq(result.status, EXIT_NOINPUT);
    says(result.err, "No such file");
}
END_TEST

int main(int argc, char **argv)
{
    static char path[4096];
    const char *slash = strrchr(argv[0], '/');
    (void)argc;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(path, sizeof path, "%.*s/../bin/mgictl", slash ? (int)(slash - argv[0]) : 1,
                   slash ? argv[0] : ".");
    program = path;
    Suite *suite = suite_create("mgictl");
    TCase *tc = tcase_create("program");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, help_teaches);
    tcase_add_test(tc, wrong_command_lines_are_usage_errors);
    tcase_add_test(tc, no_daemon_is_told_with_the_remedy);
    tcase_add_test(tc, full_output_is_an_error);
    tcase_add_test(tc, status_is_a_table);
    tcase_add_test(tc, queue_is_a_table_that_steers_no_terminal);
    tcase_add_test(tc, long_queue_is_listed_whole);
    tcase_add_test(tc, reload_tells_how_it_went);
    tcase_add_test(tc, partial_answers_are_never_success);
    tcase_add_test(tc, policy_check_needs_no_daemon);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
