/*
 * mgispool: the spool by itself, for measuring.
 *
 *     mgispool fill DIRECTORY MAILS BYTES      stores mails of that size, 64 a commit, none
 * finished mgispool recover DIRECTORY               recovers: seconds, mails, memory mgispool
 * commit DIRECTORY COMMITS BYTES  commits of one mail each, finished at once: the times
 */
#include "engine/spool/spool.h"
#include "status.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 64

static uint64_t found;

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_recovered(void *context, const struct spool_recovered *f)
{
    (void)context;
    (void)f;
    found++;
}

static void on_event(void *context, const struct spool_event *e)
{
    (void)context;
    if (e->kind != SPOOL_EVENT_FREED)
        fprintf(stderr, "%s: segment %llu\n", spool_event_text(e->kind),
                (unsigned long long)e->segment);
}

static struct spool *open_shard(const char *path)
{
    struct spool_config config = {.event = on_event, .recovered = on_recovered};
    struct spool *s = NULL;
    int error = 0, directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        fatal_env(EXIT_OSERR, errno, "%s", path);
    enum spool_status status = spool_open(&s, directory, &config, &error);
    if (status == SPOOL_OK)
        status = spool_recover(s);
    if (status != SPOOL_OK)
        fatal_env(EXIT_IOERR, error, "%s: %s", path, spool_status_text(status));
    return s;
}

static void upkeep(struct spool *s)
{
    struct spool_upkeep op;
    while (spool_maintain(s, &op)) {
        int result = 0;
        switch (op.kind) {
        case SPOOL_UPKEEP_SYNC:
            result = fsync(op.fd);
            break;
        case SPOOL_UPKEEP_RESERVE:
            result = fallocate(op.fd, 0, 0, (off_t)op.size);
            break;
        case SPOOL_UPKEEP_EMPTY:
            result =
                fallocate(op.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)op.size);
            break;
        }
        spool_maintained(s, result < 0 ? -errno : 0);
    }
}

static void add(struct spool *s, struct spool_ref *ref, struct iovec *body, uint64_t number)
{
    char address[64];
    int n = snprintf(address, sizeof address, "recipient-%llu@mail-%llu.example.org",
                     (unsigned long long)number, (unsigned long long)(number % 1000));
    struct spool_recipient to = {.address = span_of(address, (size_t)n),
                                 .route = SPAN_LIT("internet"),
                                 .rule = SPAN_LIT("rest")};
    struct spool_mail mail = {.queue_id = spool_queue_id(s, (uint64_t)time(NULL) * 1000000),
                              .arrival = (uint64_t)time(NULL) * 1000000,
                              .expires = (uint64_t)time(NULL) + 432000,
                              .sender = SPAN_LIT("sender@example.ch"),
                              .helo = SPAN_LIT("client.example.ch"),
                              .client = SPAN_LIT("[192.0.2.1]:4711"),
                              .tls = SPAN_LIT("TLSv1.3"),
                              .body_size = body->iov_len,
                              .recipient_count = 1,
                              .recipients = &to,
                              .body = body,
                              .body_count = 1};
    if (spool_append_mail(s, &mail, ref, NULL) != SPOOL_OK)
        fatal_env(EXIT_IOERR, 0, "the batch is full");
}

static void commit(struct spool *s)
{
    struct spool_io io;
    enum spool_status status = spool_batch_start(s, &io);
    if (status == SPOOL_OK) {
        ssize_t n = pwritev(io.fd, io.iov, (int)io.iov_count, (off_t)io.offset);
        int synced = io.sync && fdatasync(io.fd) != 0 ? -errno : 0;
        status = spool_batch_finish(s, n < 0 ? -errno : n, synced);
    }
    if (status != SPOOL_OK)
        fatal_env(EXIT_IOERR, spool_error(s), "commit: %s", spool_status_text(status));
}

static void fill(struct spool *s, uint64_t mails, struct iovec *body)
{
    static struct spool_ref refs[AT_ONCE];
    for (uint64_t i = 0; i < mails;) {
        for (unsigned n = 0; n < AT_ONCE && i < mails; n++)
            add(s, &refs[n], body, i++);
        commit(s);
        upkeep(s);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct spool *s, uint64_t commits, struct iovec *body)
{
    double *times = calloc(commits, sizeof *times);
    struct spool_ref ref;
    if (!times)
        fatal_env(EXIT_OSERR, ENOMEM, "times");
    for (uint64_t i = 0; i < commits; i++) {
        add(s, &ref, body, i);
        double began = seconds();
        commit(s);
        times[i] = seconds() - began;
        if (spool_append_done(s, &ref, 0, SPOOL_DELIVERED) != SPOOL_OK)
            fatal_env(EXIT_IOERR, 0, "the batch is full");
        upkeep(s);
    }
    for (unsigned part = 0; part < 4; part++) {
        double *p = times + part * (commits / 4);
        qsort(p, commits / 4, sizeof *p, by_size);
        printf("quarter %u: median %.3f ms, 99%% %.3f ms, most %.3f ms\n", part + 1,
               p[commits / 8] * 1e3, p[commits / 4 * 99 / 100] * 1e3, p[commits / 4 - 1] * 1e3);
    }
    free(times);
}

int main(int argc, char **argv)
{
    if (argc < 3 || (strcmp(argv[1], "recover") != 0 && argc < 5)) {
        fprintf(stderr, "usage: mgispool fill|recover|commit DIRECTORY [COUNT BYTES]\n");
        return EXIT_USAGE;
    }
    double began = seconds();
    struct spool *s = open_shard(argv[2]);
    uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    struct iovec body = {.iov_len = argc > 4 ? strtoull(argv[4], NULL, 10) : 0};
    body.iov_base = malloc(body.iov_len + 1);
    if (!body.iov_base)
        fatal_env(EXIT_OSERR, ENOMEM, "body");
    memset(body.iov_base, 'x', body.iov_len);
    if (strcmp(argv[1], "fill") == 0)
        fill(s, count, &body);
    else if (strcmp(argv[1], "commit") == 0)
        measure(s, count, &body);
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("%s: %.2f s, %llu mails recovered, %ld MB resident at most\n", argv[1],
           seconds() - began, (unsigned long long)found, usage.ru_maxrss / 1024);
    spool_close(s);
    free(body.iov_base);
    return EXIT_OK;
}
