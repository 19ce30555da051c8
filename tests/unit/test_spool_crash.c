/* Shards as a crash, a bad disk or a careless hand leaves them: recovery on real files. */
#include "tests/unit/spool_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAILS 5
#define FIRST "segment-0000000000000001.log"

static struct rig rig;
static unsigned char whole[SEGMENT_BEGIN + 16384];
static size_t end; /* of the records in `whole` */
static struct spool_ref refs[MAILS];

/* One segment of five mails and an outcome (of the first one), each a batch, kept in `whole`. */
static void setup(void)
{
    rig_start(&rig);
    rig_open(&rig);
    for (unsigned i = 0; i < MAILS; i++) {
        rig_append(&rig, &refs[i], 1 + i % 2, SPAN_LIT("a body of a mail"));
        rig_commit(&rig);
    }
    ck_assert_int_eq(spool_append_done(rig.s, &refs[0], 0, SPOOL_DELIVERED), SPOOL_OK);
    end = refs[MAILS - 1].offset + refs[MAILS - 1].length + spool_gathered(rig.s).bytes;
    rig_commit(&rig);
    rig_close(&rig);
    memset(whole, 0, sizeof whole);
    ck_assert_uint_gt(rig_read_file(&rig, FIRST, whole, sizeof whole), end);
}

static void teardown(void)
{
    rig_end(&rig);
}

static unsigned bad_events(void)
{
    return rig.events[SPOOL_EVENT_TORN] + rig.events[SPOOL_EVENT_CORRUPT] +
           rig.events[SPOOL_EVENT_UNREADABLE];
}

static void recover_from(const unsigned char *bytes, size_t n)
{
    rig_close(&rig);
    rig_remove(&rig, "segment-");
    rig_remove(&rig, "quarantine-");
    rig_write_file(&rig, FIRST, bytes, n);
    rig_open(&rig);
}

START_TEST(truncations)
{
    for (size_t cut = SEGMENT_BEGIN; cut <= end; cut += end - cut > 40 ? 3 : 1) {
        unsigned complete = 0;
        recover_from(whole, cut);
        for (unsigned i = 0; i < MAILS; i++) {
            bool here = refs[i].offset + refs[i].length <= cut;
            bool finished = i == 0 && cut == end;
            complete += here && !finished;
            ck_assert((rig_find(&rig, refs[i].queue_id) != NULL) == (here && !finished));
        }
        ck_assert_uint_eq(rig.found_count, complete);
        ck_assert_uint_eq(rig.events[SPOOL_EVENT_CORRUPT], 0);
        ck_assert_uint_le(rig.events[SPOOL_EVENT_TORN], 1);
        ck_assert_uint_eq(rig_count(&rig, "quarantine-"), rig.events[SPOOL_EVENT_TORN]);
    }
}
END_TEST

/* Samples, as each costs files: every bit and every cut is test_spool_record's. */
START_TEST(flipped_bits)
{
    for (size_t at = SEGMENT_BEGIN; at < end; at += 3) {
        whole[at] ^= (unsigned char)(1u << at % 7);
        recover_from(whole, end);
        whole[at] ^= (unsigned char)(1u << at % 7);
        ck_assert_uint_eq(bad_events(), 1);
        ck_assert_uint_eq(rig_count(&rig, "quarantine-"), 1);
        for (unsigned i = 0; i < MAILS; i++) {
            bool hit = at >= refs[i].offset && at < refs[i].offset + refs[i].length;
            bool finished = i == 0 && at < refs[MAILS - 1].offset + refs[MAILS - 1].length;
            ck_assert((rig_find(&rig, refs[i].queue_id) != NULL) == (!hit && !finished));
        }
    }
}
END_TEST

START_TEST(flipped_bits_in_the_heads)
{
    for (size_t bit = 0; bit < SEGMENT_BEGIN * 8; bit += bit % 32768 < 600 ? 5 : 2043) {
        whole[bit / 8] ^= (unsigned char)(1u << bit % 8);
        recover_from(whole, end);
        whole[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_uint_eq(bad_events(), 0);
        ck_assert_uint_eq(rig.found_count, MAILS - 1);
    }
}
END_TEST

START_TEST(both_heads_gone)
{
    memset(whole, 0, SEGMENT_BEGIN);
    recover_from(whole, end);
    ck_assert_uint_eq(rig.found_count, 0);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_UNREADABLE], 1);
    ck_assert(rig_exists(&rig, "quarantine-" FIRST));
    ck_assert(!rig_exists(&rig, FIRST));
    /* Its number is not used again. */
    struct spool_ref a;
    rig_append(&rig, &a, 1, SPAN_LIT("x"));
    rig_commit(&rig);
    ck_assert_uint_eq(a.segment, 2);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 1);
}
END_TEST

START_TEST(segment_that_was_being_made)
{
    /* It gets its name when its head is on disk: what has none is damaged. */
    static unsigned char blank[65536];
    recover_from(whole, end);
    rig_close(&rig);
    rig_write_file(&rig, "spare-0000000000000002", blank, sizeof blank);
    rig_open(&rig);
    ck_assert_uint_eq(rig.found_count, MAILS - 1);
    ck_assert_uint_eq(bad_events(), 0);
    ck_assert_uint_eq(rig_count(&rig, "spare-"), 0);
    rig_close(&rig);
    rig_write_file(&rig, "segment-0000000000000002.log", blank, sizeof blank);
    rig_open(&rig);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_UNREADABLE], 1);
    ck_assert_uint_eq(rig.found_count, MAILS - 1);
}
END_TEST

START_TEST(next_segment_made_ahead_is_taken)
{
    struct spool_ref a;
    recover_from(whole, end);
    rig_maintain(&rig);
    ck_assert(rig_exists(&rig, "segment-0000000000000002.log"));
    for (unsigned i = 0; i < 3; i++) {
        rig_reopen(&rig);
        rig_maintain(&rig);
        ck_assert_uint_eq(rig_count(&rig, "segment-"), 2);
        ck_assert_uint_eq(bad_events(), 0);
    }
    rig_append(&rig, &a, 1, SPAN_LIT("x"));
    rig_commit(&rig);
    ck_assert_uint_eq(a.segment, 2);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, MAILS);
}
END_TEST

START_TEST(another_version_is_refused)
{
    int error = 0;
    struct spool_config config = {.shard = 5};
    rig_close(&rig);
    for (size_t at = 0; at < SEGMENT_HEAD; at += SEGMENT_COPY)
        whole[at + offsetof(struct record_header, version)]++;
    rig_write_file(&rig, FIRST, whole, end);
    ck_assert_int_eq(spool_open(&rig.s, rig.directory, &config, &error), SPOOL_OK);
    ck_assert_int_eq(spool_recover(rig.s), SPOOL_FAILED);
    ck_assert_int_eq(spool_error(rig.s), EPROTONOSUPPORT);
    ck_assert(rig_exists(&rig, FIRST)); /* an older or newer mgid can still use it */
}
END_TEST

START_TEST(torn_tail_is_reported_once)
{
    struct spool_ref a;
    recover_from(whole, end - 20);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_TORN], 1);
    ck_assert_uint_eq(rig.last[SPOOL_EVENT_TORN].offset,
                      refs[MAILS - 1].offset + refs[MAILS - 1].length);
    ck_assert_uint_ge(rig.last[SPOOL_EVENT_TORN].length, 24); /* trailing zero bytes do not count */
    ck_assert_uint_eq(rig.found_count, MAILS);
    rig_append(&rig, &a, 1, SPAN_LIT("x"));
    rig_commit(&rig);
    ck_assert_uint_eq(a.segment, 2);
    rig_reopen(&rig);
    ck_assert_uint_eq(bad_events(), 0);
    ck_assert_uint_eq(rig.found_count, MAILS + 1);
}
END_TEST

START_TEST(damage_in_an_older_segment)
{
    struct spool_ref a;
    recover_from(whole, end);
    rig_append(&rig, &a, 1, SPAN_LIT("x"));
    rig_commit(&rig);
    rig_close(&rig);
    /* Its end is known by the next one's head: what is missing there is damage. */
    rig_write_file(&rig, FIRST, whole, refs[2].offset + 10);
    rig_open(&rig);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_CORRUPT], 1);
    ck_assert_uint_eq(rig.last[SPOOL_EVENT_CORRUPT].offset, refs[2].offset);
    ck_assert_uint_eq(rig.last[SPOOL_EVENT_CORRUPT].length, end - refs[2].offset);
    ck_assert_uint_eq(rig.found_count, 3);
    ck_assert_ptr_nonnull(rig_find(&rig, a.queue_id));
    /* What was set aside is set aside once. */
    rig_reopen(&rig);
    ck_assert_uint_eq(rig_count(&rig, "quarantine-"), 1);
    ck_assert_uint_eq(rig.found_count, 3);
}
END_TEST

START_TEST(missing_segment_is_told)
{
    struct spool_ref a;
    for (unsigned i = 0; i < 2; i++) {
        recover_from(whole, end);
        rig_append(&rig, &a, 1, SPAN_LIT("x"));
        rig_commit(&rig);
    }
    rig_reopen(&rig);
    rig_append(&rig, &a, 1, SPAN_LIT("y"));
    rig_commit(&rig);
    ck_assert_uint_eq(a.segment, 3);
    rig_remove(&rig, "segment-0000000000000002");
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_GAP], 1);
    ck_assert_uint_eq(rig.last[SPOOL_EVENT_GAP].segment, 2);
    ck_assert_uint_eq(rig.found_count, MAILS);
}
END_TEST

START_TEST(large_file_is_kept_when_records_are_damaged)
{
    whole[refs[2].offset + 50] ^= 1;
    rig_write_file(&rig, "large-0000000000001000", "body", 4);
    recover_from(whole, end);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_LARGE_ORPHAN], 1);
    ck_assert(rig_exists(&rig, "quarantine-large-0000000000001000"));
}
END_TEST

START_TEST(record_damaged_while_we_run)
{
    struct spool_mail mail;
    recover_from(whole, end);
    struct spool_ref a = rig_find(&rig, refs[1].queue_id)->ref;
    ck_assert_int_eq(spool_load(rig.s, &a, &mail), SPOOL_OK);
    whole[a.body_offset] ^= 1;
    rig_write_file(&rig, FIRST, whole, end);
    ck_assert_int_eq(spool_load(rig.s, &a, &mail), SPOOL_CORRUPT);
    rig_write_file(&rig, FIRST, whole, 100);
    ck_assert_int_eq(spool_load(rig.s, &a, &mail), SPOOL_FAILED);
}
END_TEST

START_TEST(quarantine_is_bounded)
{
    for (unsigned i = 0; i < LIMIT_SPOOL_QUARANTINE; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "quarantine-%016x-00000000", 100 + i);
        rig_write_file(&rig, name, "x", 1);
    }
    whole[refs[2].offset] ^= 1;
    rig_write_file(&rig, FIRST, whole, end);
    rig_open(&rig);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_CORRUPT], 1);
    ck_assert_uint_eq(rig_count(&rig, "quarantine-"), LIMIT_SPOOL_QUARANTINE);
}
END_TEST

/* Sound records of the segment's own seal that say what can't be. */
START_TEST(records_at_odds)
{
    struct segment_head head;
    unsigned char *p = whole + end;
    struct done_record done = {.recipient = 7, .outcome = SPOOL_DELIVERED};
    struct msg_writer w = {.capacity = 256};
    uint32_t crc;
    ck_assert(head_read(span_of(whole, SEGMENT_BEGIN), 1, &head));
    /* An outcome of a recipient that is not there; of a mail that is not there. */
    for (unsigned i = 0; i < 2; i++) {
        w = (struct msg_writer){.p = p + RECORD_HEADER, .capacity = 256};
        done_encode(&w, &done);
        uint32_t n =
            record_close(p, RECORD_DONE, i ? 999999 : refs[1].queue_id, (uint32_t)w.n, &crc);
        record_seal(p, p + n - RECORD_END, head.seal, crc, 0);
        p += n;
    }
    /* A kind that does not exist, a mail and a head that are empty. */
    static const unsigned kinds[] = {77, RECORD_MAIL, RECORD_HEAD};
    for (unsigned i = 0; i < 3; i++) {
        uint32_t n = record_close(p, (enum record_kind)kinds[i], 999999, 0, &crc);
        record_seal(p, p + n - RECORD_END, head.seal, crc, 0);
        p += n;
    }
    recover_from(whole, (size_t)(p - whole));
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_STRAY_DONE], 1);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_CORRUPT], 3);
    ck_assert_uint_eq(rig_count(&rig, "quarantine-"), 3);
    ck_assert_uint_eq(rig.found_count, MAILS - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool_crash");
    TCase *tc = tcase_create("spool_crash");
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, truncations);
    tcase_add_test(tc, flipped_bits);
    tcase_add_test(tc, flipped_bits_in_the_heads);
    tcase_add_test(tc, both_heads_gone);
    tcase_add_test(tc, segment_that_was_being_made);
    tcase_add_test(tc, next_segment_made_ahead_is_taken);
    tcase_add_test(tc, another_version_is_refused);
    tcase_add_test(tc, torn_tail_is_reported_once);
    tcase_add_test(tc, damage_in_an_older_segment);
    tcase_add_test(tc, missing_segment_is_told);
    tcase_add_test(tc, large_file_is_kept_when_records_are_damaged);
    tcase_add_test(tc, record_damaged_while_we_run);
    tcase_add_test(tc, quarantine_is_bounded);
    tcase_add_test(tc, records_at_odds);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
