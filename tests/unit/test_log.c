/* Log lines: escaping against a JSON parser, and that no line is ever anything but whole JSON. */
#include "engine/log/log.h"
#include "limits.h"
#include "status.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- escaping --------------------------------------------------------------------------- */

/* What a JSON parser makes of the escaped value, malloc'ed; its length in *n. */
static char *parsed(struct span value, size_t capacity, size_t *n)
{
    char *out = malloc(capacity + 2);
    ck_assert_ptr_nonnull(out);
    out[0] = '"';
    size_t length = log_escape(value, out + 1, capacity);
    ck_assert_uint_le(length, capacity);
    out[1 + length] = '"';
    json_error_t error;
    json_t *string = json_loadb(out, length + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    ck_assert_msg(string != NULL, "%s", error.text);
    *n = json_string_length(string);
    char *copy = malloc(*n + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, json_string_value(string), *n + 1);
    json_decref(string);
    free(out);
    return copy;
}

static void escapes_to(struct span value, struct span expected)
{
    size_t n;
    char *text = parsed(value, 6 * value.n, &n);
    ck_assert_msg(span_eq(span_of(text, n), expected), "\"%.*s\" became \"%s\"", (int)value.n,
                  (const char *)value.p, text);
    free(text);
}

START_TEST(every_byte_alone)
{
    for (unsigned c = 0; c < 256; c++) {
        unsigned char byte = (unsigned char)c;
        escapes_to(span_of(&byte, 1), c < 0x80 ? span_of(&byte, 1) : SPAN_LIT("\xef\xbf\xbd"));
    }
}
END_TEST

START_TEST(utf8_passes_all_else_is_replaced)
{
#define BAD "\xef\xbf\xbd"
    static const struct {
        struct span value, expected;
    } cases[] = {
        {SPAN_LIT(""), SPAN_LIT("")},
        {SPAN_LIT("a\"b\\c/\x7f"), SPAN_LIT("a\"b\\c/\x7f")},
        {SPAN_LIT("\r\n\t\b\f\0x"), SPAN_LIT("\r\n\t\b\f\0x")},
        {SPAN_LIT("f\xc3\xbcr \xe2\x82\xac \xf0\x9f\x93\xa7"),
         SPAN_LIT("f\xc3\xbcr \xe2\x82\xac \xf0\x9f\x93\xa7")},
        {SPAN_LIT("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
         SPAN_LIT("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")},
        {SPAN_LIT("\xed\x9f\xbf\xee\x80\x80"), SPAN_LIT("\xed\x9f\xbf\xee\x80\x80")},
        /* Overlong, surrogate, over U+10FFFF, lone and missing continuations. */
        {SPAN_LIT("\xc0\x80"), SPAN_LIT(BAD BAD)},
        {SPAN_LIT("\xc1\xbf"), SPAN_LIT(BAD BAD)},
        {SPAN_LIT("\xe0\x9f\xbf"), SPAN_LIT(BAD BAD BAD)},
        {SPAN_LIT("\xed\xa0\x80"), SPAN_LIT(BAD BAD BAD)},
        {SPAN_LIT("\xf0\x8f\xbf\xbf"), SPAN_LIT(BAD BAD BAD BAD)},
        {SPAN_LIT("\xf4\x90\x80\x80"), SPAN_LIT(BAD BAD BAD BAD)},
        {SPAN_LIT("\xf5\x80\x80\x80"), SPAN_LIT(BAD BAD BAD BAD)},
        {SPAN_LIT("x\x80y"), SPAN_LIT("x" BAD "y")},
        {SPAN_LIT("\xc3"), SPAN_LIT(BAD)},
        {SPAN_LIT("\xe2\x82"), SPAN_LIT(BAD BAD)},
        {SPAN_LIT("\xf0\x9f\x93"), SPAN_LIT(BAD BAD BAD)},
        {SPAN_LIT("\xc3\"\xe2\x82z"), SPAN_LIT(BAD "\"" BAD BAD "z")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        escapes_to(cases[i].value, cases[i].expected);
}
END_TEST

START_TEST(every_capacity_gives_whole_characters)
{
    struct span value = SPAN_LIT("a\"\\\n\x01\xff\xc3\xbc\xe2\x82\xac\xf0\x9f\x93\xa7z");
    size_t full, n, last = 0;
    char *whole = parsed(value, 6 * value.n, &full);
    for (size_t capacity = 0; capacity <= 6 * value.n; capacity++) {
        char *text = parsed(value, capacity, &n);
        ck_assert(span_eq(span_of(text, n), span_of(whole, n)));
        ck_assert_uint_ge(n, last);
        last = n;
        free(text);
    }
    ck_assert_uint_eq(last, full);
    free(whole);
}
END_TEST

START_TEST(noise_is_always_valid_json)
{
    uint64_t state = 0x853c49e6748fea9bu;
    unsigned char bytes[200];
    for (int round = 0; round < 5000; round++) {
        size_t n;
        for (size_t i = 0; i < sizeof bytes; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            /* Mostly leading and continuation bytes, so that sequences come about. */
            bytes[i] = (unsigned char)(state % 3 ? 0x80 | (state >> 32) % 0x80 : state >> 40);
        }
        free(parsed(span_of(bytes, sizeof bytes), (size_t)(state % 700), &n));
    }
}
END_TEST

/* ---- lines ------------------------------------------------------------------------------ */

static int fd;

static void open_log(void)
{
    fd = memfd_create("log", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    log_set_fd(fd);
    log_set_level(LOG_INFO);
    log_identify(ROLE_MASTER, SPAN_EMPTY, 0); /* this process, forked from Check's */
}

/* What was written, NUL-terminated, malloc'ed. */
static char *written(void)
{
    off_t n = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)n + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(pread(fd, text, (size_t)n, 0), n);
    text[n] = '\0';
    return text;
}

/* The next line, parsed; *at moves on. Every line is an object, has no key twice, and the members
 * that every line has. */
static json_t *line_at(const char **at)
{
    const char *newline = strchr(*at, '\n');
    ck_assert_msg(newline != NULL, "no line, or one without its end: %s", *at);
    ck_assert_int_le(newline + 1 - *at, LIMIT_LOG_LINE);
    json_error_t error;
    json_t *line = json_loadb(*at, (size_t)(newline - *at), JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json_is_object(line), "%s: %.*s", error.text, (int)(newline - *at), *at);
    const char *time = json_string_value(json_object_get(line, "time"));
    int year, month, day, hour, minute, second, micro, end = 0;
    ck_assert_ptr_nonnull(time);
    ck_assert_int_eq(sscanf(time, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ%n", &year, &month, &day, &hour,
                            &minute, &second, &micro, &end),
                     7);
    ck_assert_uint_eq(strlen(time), 27);
    ck_assert_int_eq(end, 27);
    ck_assert(json_is_string(json_object_get(line, "level")));
    ck_assert(json_is_string(json_object_get(line, "role")));
    ck_assert(json_is_string(json_object_get(line, "event")));
    ck_assert_int_eq(json_integer_value(json_object_get(line, "pid")), getpid());
    *at = newline + 1;
    return line;
}

static json_t *only_line(void)
{
    char *text = written();
    const char *at = text;
    json_t *line = line_at(&at);
    ck_assert_str_eq(at, "");
    free(text);
    return line;
}

START_TEST(fields_of_all_kinds)
{
    log_identify(ROLE_CONNECTION, SPAN_LIT("out\"bound"), 3);
    log_begin(LOG_NOTICE, "delivered");
    log_span("span", SPAN_LIT("a\nb"));
    log_text("text", "t");
    log_format("format", "%s-%d", "x", -5);
    log_number("least", INT64_MIN);
    log_number("most", INT64_MAX);
    log_seconds("delay", 1500000);
    log_seconds("negative", -1);
    log_seconds("long", INT64_MAX);
    log_bool("yes", true);
    log_bool("no", false);
    log_end();
    char *raw = written();
    ck_assert_ptr_nonnull(strstr(raw, "\"delay\":1.500000,"));
    ck_assert_ptr_nonnull(strstr(raw, "\"negative\":-0.000001,"));
    ck_assert_ptr_nonnull(strstr(raw, "\"long\":9223372036854.775807,"));
    free(raw);
    json_t *line = only_line();
    ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "notice");
    ck_assert_str_eq(json_string_value(json_object_get(line, "role")), "connection");
    ck_assert_str_eq(json_string_value(json_object_get(line, "event")), "delivered");
    ck_assert_str_eq(json_string_value(json_object_get(line, "flow")), "out\"bound");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "worker")), 3);
    ck_assert_str_eq(json_string_value(json_object_get(line, "span")), "a\nb");
    ck_assert_str_eq(json_string_value(json_object_get(line, "format")), "x--5");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "least")), INT64_MIN);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "most")), INT64_MAX);
    ck_assert(json_is_true(json_object_get(line, "yes")));
    ck_assert(json_is_false(json_object_get(line, "no")));
    ck_assert_ptr_null(json_object_get(line, "truncated"));
    json_decref(line);
}
END_TEST

START_TEST(no_flow_no_worker)
{
    log_identify(ROLE_KEEPER, SPAN_EMPTY, 9);
    log_line(LOG_INFO, "e", "%s", "text");
    json_t *line = only_line();
    ck_assert_ptr_null(json_object_get(line, "flow"));
    ck_assert_ptr_null(json_object_get(line, "worker"));
    ck_assert_str_eq(json_string_value(json_object_get(line, "text")), "text");
    json_decref(line);
}
END_TEST

START_TEST(levels_are_kept)
{
    log_line(LOG_DEBUG, "below", "x");
    log_set_level(LOG_WARNING);
    log_line(LOG_NOTICE, "below", "x");
    log_line(LOG_ERROR, "above", "x");
    log_set_level(LOG_INFO);
    json_t *line = only_line();
    ck_assert_str_eq(json_string_value(json_object_get(line, "event")), "above");
    json_decref(line);
}
END_TEST

/* A first field of every length around the bound, and fields after it. */
START_TEST(long_lines_lose_fields_and_stay_json)
{
    static char big[LIMIT_LOG_LINE + 100];
    memset(big, 'x', sizeof big);
    unsigned whole = 0, cut = 0;
    for (size_t n = LIMIT_LOG_LINE - 300; n < LIMIT_LOG_LINE + 50; n++) {
        ck_assert_int_eq(ftruncate(fd, 0), 0);
        ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
        log_begin(LOG_INFO, "long");
        log_span("big", span_of(big, n));
        log_text("after", "small");
        log_number("number", 42);
        log_bool("bool", true);
        log_end();
        json_t *line = only_line();
        bool truncated = json_is_true(json_object_get(line, "truncated"));
        size_t kept = json_string_length(json_object_get(line, "big"));
        bool all = kept == n && json_object_get(line, "after") && json_object_get(line, "number") &&
                   json_object_get(line, "bool");
        ck_assert(truncated != all);
        whole += all;
        cut += !all;
        json_decref(line);
    }
    ck_assert_uint_gt(whole, 0);
    ck_assert_uint_gt(cut, 50);
}
END_TEST

START_TEST(escapes_count_at_the_bound)
{
    static char big[LIMIT_LOG_LINE];
    memset(big, 1, sizeof big); /* each becomes six */
    log_begin(LOG_INFO, "long");
    log_span("big", span_of(big, sizeof big));
    log_text("small", "kept");
    log_end();
    json_t *line = only_line();
    ck_assert(json_is_true(json_object_get(line, "truncated")));
    ck_assert_str_eq(json_string_value(json_object_get(line, "small")), "kept");
    json_decref(line);
}
END_TEST

START_TEST(buffered_lines_come_whole_and_in_order)
{
    enum { LINES = 3000 };
    log_set_buffered(true);
    log_line(LOG_INFO, "first", "x");
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), 0);
    for (int i = 0; i < LINES; i++) {
        log_begin(LOG_INFO, "numbered");
        log_number("i", i);
        log_end();
    }
    ck_assert_int_gt(lseek(fd, 0, SEEK_END), 0);
    log_flush();
    log_set_buffered(false);
    char *text = written();
    const char *at = text;
    json_decref(line_at(&at));
    for (int i = 0; i < LINES; i++) {
        json_t *line = line_at(&at);
        ck_assert_int_eq(json_integer_value(json_object_get(line, "i")), i);
        json_decref(line);
    }
    ck_assert_str_eq(at, "");
    free(text);
}
END_TEST

START_TEST(new_descriptor_gets_what_follows)
{
    log_set_buffered(true);
    log_line(LOG_INFO, "old", "x");
    int old = dup(fd);
    int other = memfd_create("other", MFD_CLOEXEC);
    log_set_fd(other);
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
    fd = old;
    json_decref(only_line());
    log_line(LOG_INFO, "new", "x");
    log_flush();
    fd = other;
    json_t *line = only_line();
    ck_assert_str_eq(json_string_value(json_object_get(line, "event")), "new");
    json_decref(line);
    close(old);
}
END_TEST

START_TEST(lost_lines_are_counted)
{
    int ends[2];
    char bytes[4096];
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    log_set_fd(ends[1]);
    memset(bytes, ' ', sizeof bytes);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    for (int i = 0; i < 3; i++)
        log_line(LOG_INFO, "lost", "x");
    while (read(ends[0], bytes, sizeof bytes) > 0)
        continue;
    log_line(LOG_INFO, "kept", "x");
    ssize_t n = read(ends[0], bytes, sizeof bytes - 1);
    ck_assert_int_gt(n, 0);
    bytes[n] = '\0';
    const char *kept = strstr(bytes, "\"event\":\"kept\"");
    const char *lost = strstr(bytes, "\"event\":\"log lost\",\"lines\":3}");
    ck_assert_ptr_nonnull(kept);
    ck_assert_ptr_nonnull(lost);
    log_set_fd(STDERR_FILENO);
    close(ends[0]);
}
END_TEST

/* ---- the two kinds of fatal ------------------------------------------------------------- */

/* Runs `act` in a child that logs to fd; returns its wait status. */
static int status_of(void (*act)(void))
{
    int status;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        log_set_buffered(true);
        act();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static void environment_fails(void)
{
    fatal_env(EXIT_CANTCREAT, 2, "no %s", "room");
}

static void bug_shows(void)
{
    BUG_ON(1 + 1 == 2);
}

START_TEST(environment_ends_with_its_status)
{
    int status = status_of(environment_fails);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_CANTCREAT);
    char *text = written();
    ck_assert_ptr_nonnull(
        strstr(text, "\"event\":\"fatal\",\"text\":\"no room\",\"error\":\"No such"));
    free(text);
}
END_TEST

START_TEST(bug_aborts_and_tells_where)
{
    int status = status_of(bug_shows);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
    char *text = written();
    ck_assert_ptr_nonnull(strstr(text, "\"event\":\"bug\",\"at\":\"tests/unit/test_log.c:"));
    ck_assert_ptr_nonnull(strstr(text, "\"text\":\"1 + 1 == 2\"}\n"));
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("escape");
    tcase_add_test(tc, every_byte_alone);
    tcase_add_test(tc, utf8_passes_all_else_is_replaced);
    tcase_add_test(tc, every_capacity_gives_whole_characters);
    tcase_add_test(tc, noise_is_always_valid_json);
    suite_add_tcase(suite, tc);
    tc = tcase_create("lines");
    tcase_add_checked_fixture(tc, open_log, NULL);
    tcase_add_test(tc, fields_of_all_kinds);
    tcase_add_test(tc, no_flow_no_worker);
    tcase_add_test(tc, levels_are_kept);
    tcase_add_test(tc, long_lines_lose_fields_and_stay_json);
    tcase_add_test(tc, escapes_count_at_the_bound);
    tcase_add_test(tc, buffered_lines_come_whole_and_in_order);
    tcase_add_test(tc, new_descriptor_gets_what_follows);
    tcase_add_test(tc, lost_lines_are_counted);
    tcase_add_test(tc, environment_ends_with_its_status);
    tcase_add_test(tc, bug_aborts_and_tells_where);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
