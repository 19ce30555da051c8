#include "tests/unit/spool_rig.h"
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void copy(char *out, size_t capacity, struct span s)
{
    ck_assert_uint_lt(s.n, capacity);
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

static void on_recovered(void *context, const struct spool_recovered *f)
{
    struct rig *r = context;
    ck_assert_uint_lt(r->found_count, RIG_MAILS);
    struct rig_found *to = &r->found[r->found_count++];
    *to = (struct rig_found){.ref = f->ref, .mail = f->mail, .body_missing = f->body_missing};
    copy(to->sender, sizeof to->sender, f->mail.sender);
    ck_assert_uint_eq(f->mail.recipient_count, f->ref.recipients);
    for (unsigned i = 0; i < f->mail.recipient_count && i < RIG_RECIPIENTS; i++) {
        copy(to->address[i], sizeof to->address[i], f->mail.recipients[i].address);
        copy(to->original[i], sizeof to->original[i], f->mail.recipients[i].original);
        to->states[i] = f->states[i];
        copy(to->reason[i], sizeof to->reason[i], f->states[i].reason);
    }
}

static void on_event(void *context, const struct spool_event *e)
{
    struct rig *r = context;
    ck_assert_ptr_nonnull(e->name.p);
    r->events[e->kind]++;
    r->last[e->kind] = *e;
    r->last[e->kind].name = SPAN_EMPTY;
}

void rig_start(struct rig *r)
{
    *r = (struct rig){.directory = -1};
    (void)snprintf(r->path, sizeof r->path, "/var/tmp/spool-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(r->path));
    r->directory = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(r->directory, 0);
}

void rig_open(struct rig *r)
{
    int error = 0;
    struct spool_config config = {
        .shard = 5, .context = r, .event = on_event, .recovered = on_recovered};
    r->found_count = 0;
    memset(r->events, 0, sizeof r->events);
    ck_assert_int_eq(spool_open(&r->s, r->directory, &config, &error), SPOOL_OK);
    ck_assert_int_eq(spool_recover(r->s), SPOOL_OK);
}

void rig_close(struct rig *r)
{
    spool_close(r->s);
    r->s = NULL;
}

void rig_reopen(struct rig *r)
{
    rig_close(r);
    rig_open(r);
}

void rig_remove(const struct rig *r, const char *prefix)
{
    DIR *d = opendir(r->path);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            ck_assert_int_eq(unlinkat(r->directory, e->d_name, 0), 0);
    (void)closedir(d);
}

unsigned rig_count(const struct rig *r, const char *prefix)
{
    unsigned n = 0;
    DIR *d = opendir(r->path);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    (void)closedir(d);
    return n;
}

void rig_end(struct rig *r)
{
    rig_close(r);
    rig_remove(r, "");
    (void)close(r->directory);
    ck_assert_int_eq(rmdir(r->path), 0);
}

void rig_append(struct rig *r, struct spool_ref *ref, unsigned recipients, struct span body)
{
    static const char *const addresses[RIG_RECIPIENTS] = {"rcpt0@example.ch", "rcpt1@example.ch",
                                                          "rcpt2@example.ch", "rcpt3@example.ch"};
    struct spool_recipient list[RIG_RECIPIENTS];
    ck_assert_uint_le(recipients, RIG_RECIPIENTS);
    for (unsigned i = 0; i < recipients; i++)
        list[i] = (struct spool_recipient){.address = span_str(addresses[i]),
                                           .original = i == 1 ? SPAN_LIT("was@there") : SPAN_EMPTY,
                                           .route = SPAN_LIT("route"),
                                           .rule = SPAN_LIT("rule")};
    /* In two pieces, so that the CRC goes over a seam. */
    struct iovec pieces[2] = {{(void *)(uintptr_t)body.p, body.n / 3},
                              {(void *)(uintptr_t)(body.p + body.n / 3), body.n - body.n / 3}};
    struct spool_mail mail = {.queue_id = spool_queue_id(r->s, 1700000000000000),
                              .arrival = 1700000000000000,
                              .expires = 1700086400,
                              .flags = 7,
                              .body_flags = 3,
                              .sender = SPAN_LIT("sender@example.ch"),
                              .helo = SPAN_LIT("client.example.ch"),
                              .client = SPAN_LIT("[192.0.2.1]:4711"),
                              .tls = SPAN_LIT("TLSv1.3, verified"),
                              .body_size = body.n,
                              .recipient_count = (uint16_t)recipients,
                              .recipients = list,
                              .body = pieces,
                              .body_count = 2};
    ck_assert_int_eq(spool_append_mail(r->s, &mail, ref, NULL), SPOOL_OK);
    ck_assert(!spool_stored(ref));
}

ssize_t rig_write(const struct spool_io *io)
{
    ck_assert_uint_le(io->iov_count, LIMIT_SPOOL_IOV);
    ssize_t n = pwritev(io->fd, io->iov, (int)io->iov_count, (off_t)io->offset);
    return n < 0 ? -errno : n;
}

enum spool_status rig_commit_as(struct rig *r, ssize_t written, int synced)
{
    struct spool_io io;
    ck_assert_int_eq(spool_batch_start(r->s, &io), SPOOL_OK);
    ck_assert_int_eq(rig_write(&io), (ssize_t)io.length);
    return spool_batch_finish(r->s, written == RIG_ALL ? (ssize_t)io.length : written, synced);
}

void rig_commit(struct rig *r)
{
    struct spool_io io;
    ck_assert_int_eq(spool_batch_start(r->s, &io), SPOOL_OK);
    ssize_t n = rig_write(&io);
    ck_assert(io.directory < 0 || fsync(io.directory) == 0);
    int synced = io.sync && fdatasync(io.fd) != 0 ? -errno : 0;
    ck_assert_int_eq(spool_batch_finish(r->s, n, synced), SPOOL_OK);
}

void rig_maintain(struct rig *r)
{
    struct spool_upkeep op;
    while (spool_maintain(r->s, &op)) {
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
        spool_maintained(r->s, result < 0 ? -errno : 0);
    }
}

bool rig_exists(const struct rig *r, const char *name)
{
    return faccessat(r->directory, name, F_OK, 0) == 0;
}

void rig_segment_name(uint64_t sequence, char name[64])
{
    (void)snprintf(name, 64, "segment-%016llx.log", (unsigned long long)sequence);
}

size_t rig_read_file(const struct rig *r, const char *name, void *out, size_t capacity)
{
    int fd = openat(r->directory, name, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ssize_t n = pread(fd, out, capacity, 0);
    ck_assert_int_ge(n, 0);
    (void)close(fd);
    return (size_t)n;
}

void rig_write_file(const struct rig *r, const char *name, const void *bytes, size_t n)
{
    int fd = openat(r->directory, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    (void)close(fd);
}

const struct rig_found *rig_find(const struct rig *r, uint64_t queue_id)
{
    for (unsigned i = 0; i < r->found_count; i++)
        if (r->found[i].ref.queue_id == queue_id)
            return &r->found[i];
    return NULL;
}
