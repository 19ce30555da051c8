/* Bodies in files of their own. */
#include "tests/unit/spool_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct rig rig;

static void setup(void)
{
    rig_start(&rig);
    rig_open(&rig);
}

static void teardown(void)
{
    rig_end(&rig);
}

#define LARGE_SIZE 300000

static unsigned char large_body[LARGE_SIZE];

/* Writes the file and appends the record; it is committed by the caller. */
static void append_large(struct spool_ref *ref)
{
    enum spool_status status;
    struct spool_recipient to = {.address = SPAN_LIT("rcpt0@example.ch")};
    uint64_t id = spool_queue_id(rig.s, 1700000000000000);
    for (size_t i = 0; i < LARGE_SIZE; i++)
        large_body[i] = (unsigned char)(i * 13);
    int fd = spool_large_create(rig.s, id, &status);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, large_body, LARGE_SIZE), LARGE_SIZE);
    ck_assert_int_eq(fdatasync(fd), 0);
    (void)close(fd);
    struct spool_mail mail = {.queue_id = id,
                              .large = true,
                              .body_size = LARGE_SIZE,
                              .body_crc = spool_crc(0, span_of(large_body, LARGE_SIZE)),
                              .recipient_count = 1,
                              .recipients = &to};
    ck_assert_int_eq(spool_append_mail(rig.s, &mail, ref, NULL), SPOOL_OK);
}

START_TEST(large_mail_lives_and_goes)
{
    struct spool_ref a;
    struct spool_mail mail;
    struct spool_io io;
    static unsigned char buffer[LARGE_SIZE];
    append_large(&a);
    rig_commit(&rig);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 1);
    a = rig.found[0].ref;
    ck_assert(a.large && !rig.found[0].body_missing);
    ck_assert_int_eq(spool_load(rig.s, &a, &mail), SPOOL_OK);
    ck_assert(mail.large);
    ck_assert_uint_eq(mail.body_count, 0);
    ck_assert_int_eq(spool_read(rig.s, &a, 0, buffer, sizeof buffer), LARGE_SIZE);
    ck_assert_uint_eq(spool_crc(0, span_of(buffer, LARGE_SIZE)), mail.body_crc);
    ck_assert_int_eq(spool_read(rig.s, &a, LARGE_SIZE - 10, buffer, sizeof buffer), 10);
    ck_assert_mem_eq(buffer, large_body + LARGE_SIZE - 10, 10);
    /* Its file goes only when the outcome is on disk: this one is synced. */
    ck_assert_int_eq(spool_append_done(rig.s, &a, 0, SPOOL_DELIVERED), SPOOL_OK);
    ck_assert_uint_eq(rig_count(&rig, "large-"), 1);
    ck_assert_int_eq(spool_batch_start(rig.s, &io), SPOOL_OK);
    ck_assert(io.sync);
    ck_assert_int_eq(rig_write(&io), (ssize_t)io.length);
    ck_assert_uint_eq(rig_count(&rig, "large-"), 1);
    ck_assert_int_eq(spool_batch_finish(rig.s, (ssize_t)io.length, -EIO), SPOOL_FAILED);
    ck_assert_uint_eq(rig_count(&rig, "large-"), 1);
    rig_commit(&rig);
    rig_maintain(&rig);
    ck_assert_uint_eq(rig_count(&rig, "large-"), 0);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 0);
}
END_TEST

START_TEST(large_files_without_a_mail_go)
{
    struct spool_ref kept, lost;
    append_large(&kept);
    rig_commit(&rig);
    append_large(&lost);
    ck_assert_int_eq(rig_commit_as(&rig, -EIO, -ECANCELED), SPOOL_FAILED);
    spool_large_discard(rig.s, lost.queue_id);
    rig_maintain(&rig);
    ck_assert_uint_eq(rig_count(&rig, "large-"), 1);
    append_large(&lost); /* never committed */
    rig_reopen(&rig);
    ck_assert_uint_eq(rig_count(&rig, "large-"), 1);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_LARGE_DISCARDED], 1);
    ck_assert_uint_eq(rig.found_count, 1);
    ck_assert_uint_eq(rig.found[0].ref.queue_id, kept.queue_id);
    ck_assert_uint_eq(rig_count(&rig, "quarantine-"), 0);
}
END_TEST

START_TEST(large_body_that_is_missing_or_short)
{
    struct spool_ref a, b;
    struct spool_mail mail;
    char name[64];
    append_large(&a);
    append_large(&b);
    rig_commit(&rig);
    (void)snprintf(name, sizeof name, "large-%016llx", (unsigned long long)a.queue_id);
    ck_assert_int_eq(unlinkat(rig.directory, name, 0), 0);
    (void)snprintf(name, sizeof name, "large-%016llx", (unsigned long long)b.queue_id);
    rig_write_file(&rig, name, "short", 5);
    ck_assert_int_eq(spool_load(rig.s, &a, &mail), SPOOL_CORRUPT);
    ck_assert_int_eq(spool_load(rig.s, &b, &mail), SPOOL_CORRUPT);
    ck_assert_int_eq(spool_read(rig.s, &b, 0, name, 5), -EIO);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 2);
    ck_assert(rig.found[0].body_missing && rig.found[1].body_missing);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_LARGE_MISSING], 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool_large");
    TCase *tc = tcase_create("spool_large");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, large_mail_lives_and_goes);
    tcase_add_test(tc, large_files_without_a_mail_go);
    tcase_add_test(tc, large_body_that_is_missing_or_short);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
