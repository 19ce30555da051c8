/* The page of counters: made, mapped twice, refused when it is not one. */
#include "engine/counters/counters.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(counts_across_processes)
{
    int fds[2];
    ck_assert_int_eq(counters_create(fds), 0);
    struct counters_page *reader = counters_map(fds[1], false);
    ck_assert_ptr_nonnull(reader);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct counters_page *page = counters_map(fds[0], true);
        if (!page)
            _exit(1);
        counter_add(page, COUNTER_commands, 3);
        counter_add(page, COUNTER_commands, 4);
        counter_add(page, COUNTER_sessions_open, 5);
        counter_sub(page, COUNTER_sessions_open, 2);
        counter_set(page, COUNTER_pool_buffers_free, UINT64_MAX);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    uint64_t values[COUNTER_COUNT];
    counters_read(reader, values);
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        uint64_t expected = i == COUNTER_commands            ? 7
                            : i == COUNTER_sessions_open     ? 3
                            : i == COUNTER_pool_buffers_free ? UINT64_MAX
                                                             : 0;
        ck_assert_uint_eq(values[i], expected);
    }
    counters_unmap(reader);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(restart_keeps_counters_and_clears_gauges)
{
    int fds[2];
    ck_assert_int_eq(counters_create(fds), 0);
    struct counters_page *page = counters_map(fds[0], true);
    ck_assert_ptr_nonnull(page);
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        counter_set(page, i, 100 + i);
    counters_unmap(page);
    page = counters_map(fds[1], false);
    ck_assert_ptr_nonnull(page);
    ck_assert_uint_eq(counter_value(page, COUNTER_sessions_open), 100 + COUNTER_sessions_open);
    counters_unmap(page);
    page = counters_map(fds[0], true);
    ck_assert_ptr_nonnull(page);
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        ck_assert_uint_eq(counter_value(page, i),
                          counter_descriptions[i].kind != COUNTER_KIND_counter ? 0 : 100 + i);
    counters_unmap(page);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(reader_cannot_write_nor_anyone_resize)
{
    int fds[2];
    ck_assert_int_eq(counters_create(fds), 0);
    ck_assert_ptr_null(counters_map(fds[1], true));
    ck_assert_int_eq(errno, EACCES);
    ck_assert_int_ne(ftruncate(fds[0], 0), 0);
    ck_assert_int_ne(ftruncate(fds[0], 2 * LIMIT_COUNTER_PAGE), 0);
    ck_assert_int_ne(fcntl(fds[0], F_ADD_SEALS, F_SEAL_WRITE), 0);
    ck_assert_int_eq(fcntl(fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(fcntl(fds[1], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* A memfd with the head at hand; size and seals as told. */
static int forge(const struct counters_page *head, off_t size, int seals)
{
    int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, size), 0);
    if (size >= (off_t)sizeof *head)
        ck_assert_int_eq(pwrite(fd, head, sizeof *head, 0), (ssize_t)sizeof *head);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void refused(const struct counters_page *head, off_t size, int seals)
{
    int fd = forge(head, size, seals);
    for (int writable = 0; writable < 2; writable++) {
        errno = 0;
        ck_assert_ptr_null(counters_map(fd, writable));
        ck_assert_int_eq(errno, EINVAL);
    }
    close(fd);
}

START_TEST(refuses_what_is_no_page)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    struct counters_page head = {.magic = COUNTERS_MAGIC,
                                 .version = COUNTERS_VERSION,
                                 .count = COUNTER_COUNT,
                                 .histograms_count = HISTOGRAM_COUNT};
    int fd = forge(&head, LIMIT_COUNTER_PAGE, seals);
    struct counters_page *page = counters_map(fd, false);
    ck_assert_ptr_nonnull(page);
    counters_unmap(page);
    close(fd);

    refused(&head, LIMIT_COUNTER_PAGE, F_SEAL_GROW);
    refused(&head, LIMIT_COUNTER_PAGE, F_SEAL_SHRINK);
    refused(&head, LIMIT_COUNTER_PAGE, 0);
    refused(&head, 0, seals);
    refused(&head, LIMIT_COUNTER_PAGE - 1, seals);
    refused(&head, 2 * LIMIT_COUNTER_PAGE, seals);
    struct counters_page other = head;
    other.magic++;
    refused(&other, LIMIT_COUNTER_PAGE, seals);
    other = head;
    other.version++;
    refused(&other, LIMIT_COUNTER_PAGE, seals);
    other = head;
    other.count--;
    refused(&other, LIMIT_COUNTER_PAGE, seals);
    other = head;
    other.histograms_count++;
    refused(&other, LIMIT_COUNTER_PAGE, seals);

    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    ck_assert_ptr_null(counters_map(pipe_fds[0], false));
    ck_assert_int_eq(errno, EINVAL);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    ck_assert_ptr_null(counters_map(-1, false));
    ck_assert_int_eq(errno, EBADF);
    counters_unmap(NULL);
}
END_TEST

START_TEST(names_are_usable_in_metrics)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        const char *name = counter_descriptions[i].name;
        ck_assert_uint_gt(strlen(name), 0);
        ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        ck_assert_uint_gt(strlen(counter_descriptions[i].help), 0);
        for (unsigned k = 0; k < i; k++)
            ck_assert_str_ne(name, counter_descriptions[k].name);
    }
    ck_assert_str_eq(counter_descriptions[COUNTER_queue_mails].name, "queue_mails");
    ck_assert_int_eq(counter_descriptions[COUNTER_queue_mails].kind, COUNTER_KIND_gauge);
}
END_TEST

START_TEST(histograms_count_by_bounds)
{
    int fds[2];
    ck_assert_int_eq(counters_create(fds), 0);
    struct counters_page *page = counters_map(fds[0], true);
    const struct histogram_description *d = &histogram_descriptions[HISTOGRAM_mail_bytes];
    unsigned bounds = 0;
    while (bounds < HISTOGRAM_BOUNDS && d->bounds[bounds] > 0)
        bounds++;
    uint64_t sum = 0;
    for (unsigned i = 0; i < bounds; i++) {
        histogram_observe(page, HISTOGRAM_mail_bytes, d->bounds[i]);
        histogram_observe(page, HISTOGRAM_mail_bytes, d->bounds[i] + 1);
        sum += 2 * d->bounds[i] + 1;
    }
    histogram_observe(page, HISTOGRAM_mail_bytes, 0);
    const struct histogram_values *v = &page->histograms[HISTOGRAM_mail_bytes];
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++)
        ck_assert_uint_eq(atomic_load(&v->buckets[i]), i < bounds              ? 2
                                                       : i == HISTOGRAM_BOUNDS ? 1
                                                                               : 0);
    ck_assert_uint_eq(atomic_load(&v->sum), sum);
    counters_unmap(page);
    (void)close(fds[0]);
    (void)close(fds[1]);
}
END_TEST

START_TEST(histograms_have_rising_bounds)
{
    for (unsigned h = 0; h < HISTOGRAM_COUNT; h++) {
        const struct histogram_description *d = &histogram_descriptions[h];
        ck_assert(d->bounds[0] > 0 && d->scale > 0);
        for (unsigned i = 1; i < HISTOGRAM_BOUNDS; i++)
            ck_assert(d->bounds[i] == 0 ||
                      (d->bounds[i - 1] > 0 && d->bounds[i] > d->bounds[i - 1]));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("counters");
    TCase *tc = tcase_create("page");
    tcase_add_test(tc, counts_across_processes);
    tcase_add_test(tc, histograms_count_by_bounds);
    tcase_add_test(tc, histograms_have_rising_bounds);
    tcase_add_test(tc, restart_keeps_counters_and_clears_gauges);
    tcase_add_test(tc, reader_cannot_write_nor_anyone_resize);
    tcase_add_test(tc, refuses_what_is_no_page);
    tcase_add_test(tc, names_are_usable_in_metrics);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
