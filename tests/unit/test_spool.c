/* A shard on a real directory: commits, failures, restarts, freeing. */
#include "tests/unit/spool_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BODY SPAN_LIT("Subject: hello\r\n\r\nThis is the body.\r\n")
#define WRITTEN RIG_ALL

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

static void check_body(const struct spool_ref *ref, struct span body)
{
    struct spool_mail mail;
    char buffer[256];
    ck_assert_int_eq(spool_load(rig.s, ref, &mail), SPOOL_OK);
    ck_assert_uint_eq(mail.body_count, 1);
    ck_assert(span_eq(span_of(mail.body[0].iov_base, mail.body[0].iov_len), body));
    ck_assert(span_eq(mail.recipients[0].address, SPAN_LIT("rcpt0@example.ch")));
    ck_assert_int_eq(spool_read(rig.s, ref, 0, buffer, sizeof buffer), (ssize_t)body.n);
    ck_assert(span_eq(span_of(buffer, body.n), body));
    ck_assert_int_eq(spool_read(rig.s, ref, 5, buffer, 4), 4);
    ck_assert_mem_eq(buffer, body.p + 5, 4);
    ck_assert_int_eq(spool_read(rig.s, ref, body.n, buffer, 4), 0);
    ck_assert_int_eq(spool_read(rig.s, ref, UINT64_MAX, buffer, 4), 0);
}

static uint64_t live(void)
{
    struct spool_usage usage;
    ck_assert_int_eq(spool_usage(rig.s, &usage), SPOOL_OK);
    ck_assert_uint_gt(usage.free_bytes, 0);
    return usage.live;
}

static unsigned segments(void)
{
    struct spool_usage usage;
    ck_assert_int_eq(spool_usage(rig.s, &usage), SPOOL_OK);
    /* The next one may have been made. */
    unsigned files = rig_count(&rig, "segment-");
    ck_assert(files == usage.segments || files == usage.segments + 1);
    return usage.segments;
}

/* ---- commit ------------------------------------------------------------------------------- */

START_TEST(stored_mails_are_found_again)
{
    struct spool_ref a, b;
    struct spool_io io;
    ck_assert_int_eq(spool_batch_start(rig.s, &io), SPOOL_IDLE);
    rig_append(&rig, &a, 2, BODY);
    rig_append(&rig, &b, 1, SPAN_LIT("second mail"));
    ck_assert_uint_eq(spool_gathered(rig.s).mails, 2);
    rig_commit(&rig);
    ck_assert(spool_stored(&a) && spool_stored(&b));
    ck_assert_uint_eq(a.left, 2);
    ck_assert_uint_eq(live(), 2);
    check_body(&a, BODY);
    check_body(&b, SPAN_LIT("second mail"));
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 2);
    const struct rig_found *f = rig_find(&rig, a.queue_id);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(memcmp(&f->ref, &a, offsetof(struct spool_ref, large)), 0);
    ck_assert_str_eq(f->sender, "sender@example.ch");
    ck_assert_str_eq(f->address[1], "rcpt1@example.ch");
    ck_assert_str_eq(f->original[1], "was@there");
    ck_assert_uint_eq(f->mail.arrival, 1700000000000000);
    ck_assert_uint_eq(f->mail.expires, 1700086400);
    ck_assert_uint_eq(f->mail.flags, 7);
    ck_assert_uint_eq(f->states[0].attempts, 0);
    check_body(&f->ref, BODY);
    for (unsigned i = 0; i < SPOOL_EVENT_COUNT; i++)
        ck_assert_uint_eq(rig.events[i], 0);
}
END_TEST

START_TEST(next_batch_gathers_while_one_flies)
{
    struct spool_ref a, b;
    struct spool_io io, next;
    rig_append(&rig, &a, 1, BODY);
    ck_assert_int_eq(spool_batch_start(rig.s, &io), SPOOL_OK);
    ck_assert(io.sync);
    ck_assert_uint_eq(io.mail_count, 1);
    ck_assert_ptr_eq(io.mails[0], &a);
    rig_append(&rig, &b, 1, SPAN_LIT("meanwhile"));
    ck_assert_int_eq(rig_write(&io), (ssize_t)io.length);
    ck_assert_int_eq(spool_batch_finish(rig.s, (ssize_t)io.length, 0), SPOOL_OK);
    ck_assert(spool_stored(&a) && !spool_stored(&b));
    ck_assert_ptr_eq(io.mails[0], &a);
    ck_assert_int_eq(spool_batch_start(rig.s, &next), SPOOL_OK);
    ck_assert_uint_eq(next.offset, io.offset + io.length);
    ck_assert_int_eq(rig_write(&next), (ssize_t)next.length);
    ck_assert_int_eq(spool_batch_finish(rig.s, (ssize_t)next.length, 0), SPOOL_OK);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 2);
    check_body(&rig.found[1].ref, SPAN_LIT("meanwhile"));
}
END_TEST

START_TEST(ids_go_on_after_a_restart)
{
    struct spool_ref a;
    rig_append(&rig, &a, 1, BODY);
    uint64_t id = spool_queue_id(rig.s, 1700000000000000);
    ck_assert_uint_gt(id, a.queue_id);
    rig_commit(&rig);
    ck_assert_int_eq(spool_append_done(rig.s, &a, 0, SPOOL_DELIVERED), SPOOL_OK);
    rig_commit(&rig);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 0);
    /* The clock went back. */
    ck_assert_uint_gt(spool_queue_id(rig.s, 5), a.queue_id);
    ck_assert_uint_eq(queue_id_shard(spool_queue_id(rig.s, 5)), 5);
}
END_TEST

/* ---- failed batches ----------------------------------------------------------------------- */

static void failing(ssize_t written, int synced, enum spool_status expected)
{
    struct spool_ref kept, lost, later, other;
    rig_append(&rig, &kept, 2, BODY);
    rig_append(&rig, &other, 1, BODY);
    rig_commit(&rig);
    rig_append(&rig, &lost, 1, BODY);
    ck_assert_int_eq(spool_append_done(rig.s, &kept, 0, SPOOL_DELIVERED), SPOOL_OK);
    ck_assert_int_eq(spool_append_defer(rig.s, &kept, 1,
                                        &(struct spool_deferral){.attempts = 3,
                                                                 .notices = 3,
                                                                 .next_attempt = 1700000500,
                                                                 .reason = SPAN_LIT("451 busy")}),
                     SPOOL_OK);
    /* All of it is in the file, yet it counts for nothing. */
    ck_assert_int_eq(rig_commit_as(&rig, written, synced), expected);
    ck_assert(!spool_stored(&lost));
    ck_assert_int_ne(spool_error(rig.s), 0);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_BATCH_FAILED], 1);
    ck_assert_uint_eq(segments(), 2);
    ck_assert_uint_eq(live(), 2);
    /* Outcomes were taken over. */
    ck_assert_uint_eq(spool_gathered(rig.s).records, 2);
    ck_assert_uint_eq(spool_gathered(rig.s).mails, 0);
    rig_append(&rig, &later, 1, BODY);
    rig_commit(&rig);
    ck_assert_uint_gt(later.segment, kept.segment);
    check_body(&kept, BODY);
    for (unsigned i = 0; i < 2; i++) {
        rig_reopen(&rig);
        ck_assert_uint_eq(rig.found_count, 3);
        ck_assert_ptr_null(rig_find(&rig, lost.queue_id));
        ck_assert_ptr_nonnull(rig_find(&rig, later.queue_id));
        const struct rig_found *f = rig_find(&rig, kept.queue_id);
        ck_assert_ptr_nonnull(f);
        ck_assert(f->states[0].finished && !f->states[1].finished);
        ck_assert_uint_eq(f->states[1].attempts, 3);
        ck_assert_uint_eq(f->states[1].notices, 3);
        ck_assert_uint_eq(f->states[1].next_attempt, 1700000500);
        ck_assert_str_eq(f->reason[1], "451 busy");
        ck_assert_uint_eq(f->ref.left, 1);
        ck_assert_uint_eq(rig.events[SPOOL_EVENT_CORRUPT], 0);
        ck_assert_uint_eq(rig.events[SPOOL_EVENT_TORN], 0);
    }
}

START_TEST(write_error)
{
    failing(-EIO, 0, SPOOL_FAILED);
}
END_TEST

START_TEST(write_without_room)
{
    failing(-ENOSPC, -ECANCELED, SPOOL_FULL);
}
END_TEST

START_TEST(short_write)
{
    failing(100, -ECANCELED, SPOOL_FULL);
}
END_TEST

START_TEST(sync_error)
{
    failing(WRITTEN, -EIO, SPOOL_FAILED);
}
END_TEST

START_TEST(failed_batch_is_void_even_when_all_ends_at_once)
{
    struct spool_ref kept, lost;
    rig_append(&rig, &kept, 1, BODY);
    rig_commit(&rig);
    rig_append(&rig, &lost, 1, BODY);
    ck_assert_int_eq(rig_commit_as(&rig, WRITTEN, -EIO), SPOOL_FAILED);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 1);
    ck_assert_uint_eq(rig.found[0].ref.queue_id, kept.queue_id);
}
END_TEST

START_TEST(refused_without_a_segment)
{
    /* The name of the first segment is taken: none can be made. */
    struct spool_ref a;
    struct spool_io io;
    char name[64];
    rig_segment_name(1, name);
    ck_assert_int_eq(mkdirat(rig.directory, name, 0700), 0);
    rig_append(&rig, &a, 1, BODY);
    ck_assert_int_eq(spool_batch_start(rig.s, &io), SPOOL_FAILED);
    ck_assert_int_eq(spool_error(rig.s), EISDIR);
    ck_assert_uint_eq(io.mail_count, 1);
    ck_assert_ptr_eq(io.mails[0], &a);
    ck_assert(!spool_stored(&a));
    ck_assert_int_eq(spool_batch_start(rig.s, &io), SPOOL_IDLE);
    ck_assert_int_eq(unlinkat(rig.directory, name, AT_REMOVEDIR), 0);
    rig_append(&rig, &a, 1, BODY);
    rig_commit(&rig);
    ck_assert(spool_stored(&a));
}
END_TEST

START_TEST(outcomes_outlive_a_refusal)
{
    struct spool_ref a, b;
    struct spool_io io;
    char name[64];
    rig_append(&rig, &a, 1, BODY);
    rig_commit(&rig);
    rig_segment_name(2, name);
    ck_assert_int_eq(mkdirat(rig.directory, name, 0700), 0);
    rig_append(&rig, &b, 1, BODY);
    ck_assert_int_eq(rig_commit_as(&rig, WRITTEN, -EIO), SPOOL_FAILED);
    ck_assert_int_eq(spool_error(rig.s), EIO);
    ck_assert_int_eq(spool_append_done(rig.s, &a, 0, SPOOL_DELIVERED), SPOOL_OK);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(spool_batch_start(rig.s, &io), SPOOL_FAILED);
        ck_assert_uint_eq(io.mail_count, 0);
        ck_assert_uint_eq(spool_gathered(rig.s).records, 1);
    }
    ck_assert_int_eq(unlinkat(rig.directory, name, AT_REMOVEDIR), 0);
    rig_commit(&rig);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 0);
}
END_TEST

START_TEST(what_is_carried_over_is_not_newer)
{
    struct spool_ref a;
    struct spool_io io;
    struct spool_deferral first = {.attempts = 1, .next_attempt = 100, .reason = SPAN_LIT("first")};
    struct spool_deferral second = {.attempts = 2, .next_attempt = 200, .reason = SPAN_EMPTY};
    rig_append(&rig, &a, 2, BODY);
    rig_commit(&rig);
    ck_assert_int_eq(spool_append_hold(rig.s, &a, true), SPOOL_OK);
    ck_assert_int_eq(spool_append_defer(rig.s, &a, 0, &first), SPOOL_OK);
    ck_assert_int_eq(spool_append_defer(rig.s, &a, 1, &first), SPOOL_OK);
    ck_assert_int_eq(spool_batch_start(rig.s, &io), SPOOL_OK);
    ck_assert_int_eq(spool_append_hold(rig.s, &a, false), SPOOL_OK);
    ck_assert_int_eq(spool_append_defer(rig.s, &a, 0, &second), SPOOL_OK);
    ck_assert_int_eq(spool_batch_finish(rig.s, -EIO, -ECANCELED), SPOOL_FAILED);
    rig_commit(&rig);
    rig_reopen(&rig);
    const struct rig_found *f = rig_find(&rig, a.queue_id);
    ck_assert(!f->mail.held);
    ck_assert_uint_eq(f->states[0].attempts, 2);
    ck_assert_uint_eq(f->states[1].attempts, 1);
}
END_TEST

/* ---- outcomes ----------------------------------------------------------------------------- */

START_TEST(outcomes_over_restarts)
{
    struct spool_ref a, b, c;
    struct spool_io io;
    rig_append(&rig, &a, 3, BODY);
    rig_append(&rig, &b, 2, BODY);
    rig_append(&rig, &c, 2, BODY);
    rig_commit(&rig);
    ck_assert_int_eq(spool_append_done(rig.s, &a, 1, SPOOL_DELIVERED), SPOOL_OK);
    ck_assert_int_eq(spool_append_defer(rig.s, &a, 0,
                                        &(struct spool_deferral){.attempts = 1,
                                                                 .notices = 1,
                                                                 .next_attempt = 100,
                                                                 .reason = SPAN_LIT("first")}),
                     SPOOL_OK);
    ck_assert_int_eq(spool_append_defer(rig.s, &a, 0,
                                        &(struct spool_deferral){.attempts = 2,
                                                                 .notices = 2,
                                                                 .next_attempt = 200,
                                                                 .reason = SPAN_LIT("second")}),
                     SPOOL_OK);
    ck_assert_int_eq(spool_append_done(rig.s, &b, SPOOL_ALL_RECIPIENTS, SPOOL_BOUNCED), SPOOL_OK);
    ck_assert(!spool_stored(&b));
    ck_assert_uint_eq(live(), 2);
    ck_assert_int_eq(spool_batch_start(rig.s, &io), SPOOL_OK);
    ck_assert(!io.sync);
    ck_assert_int_eq(rig_write(&io), (ssize_t)io.length);
    /* Without a sync its result says nothing. */
    ck_assert_int_eq(spool_batch_finish(rig.s, (ssize_t)io.length, -EIO), SPOOL_OK);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 2);
    struct rig_found *f = &rig.found[0];
    ck_assert_uint_eq(f->ref.queue_id, a.queue_id);
    ck_assert_uint_eq(f->ref.left, 2);
    ck_assert(!f->states[0].finished && f->states[1].finished && !f->states[2].finished);
    ck_assert_uint_eq(f->states[0].attempts, 2);
    ck_assert_uint_eq(f->states[0].next_attempt, 200);
    ck_assert_str_eq(f->reason[0], "second");
    ck_assert_uint_eq(f->states[2].attempts, 0);
    ck_assert_int_eq(spool_append_done(rig.s, &f->ref, 0, SPOOL_EXPIRED), SPOOL_OK);
    rig_commit(&rig);
    rig_reopen(&rig);
    f = &rig.found[0];
    ck_assert_uint_eq(f->ref.left, 1);
    ck_assert_int_eq(spool_append_done(rig.s, &f->ref, 2, SPOOL_DELIVERED), SPOOL_OK);
    ck_assert(!spool_stored(&f->ref));
    rig_commit(&rig);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 1);
    ck_assert_uint_eq(rig.found[0].ref.queue_id, c.queue_id);
    ck_assert_uint_eq(rig.found[0].ref.left, 2);
}
END_TEST

START_TEST(held_mails_stay_held)
{
    struct spool_ref a, b, moved = {0};
    struct spool_mail mail;
    rig_append(&rig, &a, 1, BODY);
    rig_append(&rig, &b, 1, BODY);
    rig_commit(&rig);
    ck_assert_int_eq(spool_append_hold(rig.s, &a, true), SPOOL_OK);
    ck_assert_int_eq(spool_append_hold(rig.s, &b, true), SPOOL_OK);
    ck_assert_int_eq(spool_append_hold(rig.s, &b, false), SPOOL_OK);
    rig_commit(&rig);
    rig_reopen(&rig);
    ck_assert(rig_find(&rig, a.queue_id)->mail.held);
    ck_assert(!rig_find(&rig, b.queue_id)->mail.held);
    /* Moved on, with the state that the caller gives. */
    a = rig_find(&rig, a.queue_id)->ref;
    ck_assert_int_eq(spool_load(rig.s, &a, &mail), SPOOL_OK);
    mail.held = true;
    ck_assert_int_eq(spool_append_mail(rig.s, &mail, &moved, &a), SPOOL_OK);
    rig_commit(&rig);
    rig_reopen(&rig);
    ck_assert(rig_find(&rig, moved.queue_id)->mail.held);
    ck_assert_int_eq(spool_append_hold(rig.s, &moved, false), SPOOL_OK);
    rig_commit(&rig);
    rig_reopen(&rig);
    ck_assert(!rig_find(&rig, moved.queue_id)->mail.held);
}
END_TEST

START_TEST(long_reason_is_cut)
{
    struct spool_ref a;
    char reason[LIMIT_REASON + 100];
    memset(reason, 'r', sizeof reason);
    rig_append(&rig, &a, 1, BODY);
    rig_commit(&rig);
    ck_assert_int_eq(
        spool_append_defer(rig.s, &a, 0,
                           &(struct spool_deferral){.attempts = 1,
                                                    .notices = 1,
                                                    .next_attempt = 1,
                                                    .reason = span_of(reason, sizeof reason)}),
        SPOOL_OK);
    rig_commit(&rig);
    rig_reopen(&rig);
    ck_assert_uint_eq(strlen(rig.found[0].reason[0]), LIMIT_REASON);
}
END_TEST

/* ---- freeing ------------------------------------------------------------------------------ */

/* The next batch goes to a new segment. */
static void leave_segment(void)
{
    struct spool_ref lost;
    rig_append(&rig, &lost, 1, BODY);
    ck_assert_int_eq(rig_commit_as(&rig, WRITTEN, -EIO), SPOOL_FAILED);
}

START_TEST(segments_go_from_the_oldest)
{
    struct spool_ref a, b, c;
    rig_append(&rig, &a, 2, BODY);
    rig_commit(&rig);
    leave_segment();
    rig_append(&rig, &b, 1, BODY);
    rig_commit(&rig);
    leave_segment();
    rig_append(&rig, &c, 1, BODY);
    rig_commit(&rig);
    ck_assert_uint_eq(segments(), 3);
    /* The middle one has no mail left, but holds an outcome of the first one's. */
    ck_assert_int_eq(spool_append_done(rig.s, &a, 0, SPOOL_DELIVERED), SPOOL_OK);
    ck_assert_int_eq(spool_append_done(rig.s, &b, 0, SPOOL_DELIVERED), SPOOL_OK);
    rig_commit(&rig);
    rig_maintain(&rig);
    ck_assert_uint_eq(segments(), 3);
    rig_reopen(&rig);
    rig_maintain(&rig);
    ck_assert_uint_eq(segments(), 3);
    ck_assert_uint_eq(rig.found_count, 2);
    struct spool_ref again = rig_find(&rig, a.queue_id)->ref;
    ck_assert_uint_eq(again.left, 1);
    ck_assert_int_eq(spool_append_done(rig.s, &again, 1, SPOOL_DELIVERED), SPOOL_OK);
    /* Gone before the outcome is written: that the mail is gone says as much. */
    rig_maintain(&rig);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_FREED], 2);
    ck_assert_uint_eq(segments(), 1);
    rig_commit(&rig);
    for (unsigned i = 0; i < 3; i++) {
        rig_reopen(&rig);
        rig_maintain(&rig);
        ck_assert_uint_eq(rig.found_count, 1);
        ck_assert_uint_eq(rig.found[0].ref.queue_id, c.queue_id);
        ck_assert_uint_eq(rig.events[SPOOL_EVENT_GAP], 0);
        ck_assert_uint_eq(rig.events[SPOOL_EVENT_STRAY_DONE], 0);
    }
}
END_TEST

START_TEST(full_segment_is_followed_by_the_next)
{
    static unsigned char body[LIMIT_INLINE_MAIL];
    enum { MAILS = 280 }; /* of 256 KiB: more than a segment */
    static struct spool_ref refs[MAILS];
    memset(body, 'x', sizeof body);
    for (unsigned i = 0; i < MAILS; i++) {
        rig_append(&rig, &refs[i], 1, span_of(body, sizeof body));
        if (i % 20 == 19)
            rig_commit(&rig);
    }
    ck_assert_uint_eq(segments(), 2);
    ck_assert_uint_eq(refs[0].segment + 1, refs[MAILS - 1].segment);
    struct spool_mail mail;
    ck_assert_int_eq(spool_load(rig.s, &refs[0], &mail), SPOOL_OK);
    ck_assert_int_eq(spool_load(rig.s, &refs[MAILS - 1], &mail), SPOOL_OK);
    ck_assert_uint_eq(mail.body[0].iov_len, sizeof body);
    for (unsigned i = 0; i < MAILS - 2; i++)
        ck_assert_int_eq(spool_append_done(rig.s, &refs[i], 0, SPOOL_DELIVERED), SPOOL_OK);
    rig_commit(&rig);
    rig_maintain(&rig);
    ck_assert_uint_eq(segments(), 1);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 2);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_CORRUPT] + rig.events[SPOOL_EVENT_TORN], 0);
}
END_TEST

START_TEST(restarts_do_not_pile_up_segments)
{
    struct spool_ref a, b;
    rig_append(&rig, &a, 1, BODY);
    rig_commit(&rig);
    leave_segment();
    for (unsigned i = 0; i < 5; i++)
        rig_reopen(&rig);
    ck_assert_uint_eq(segments(), 2);
    rig_append(&rig, &b, 1, BODY);
    rig_commit(&rig);
    ck_assert_uint_eq(segments(), 2); /* the blank one was taken */
    for (unsigned i = 0; i < 5; i++)
        rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 2);
    ck_assert_uint_eq(segments(), 2);
    rig_append(&rig, &b, 1, BODY);
    rig_commit(&rig);
    ck_assert_uint_eq(segments(), 3); /* one that was written to is not */
}
END_TEST

START_TEST(moving_a_mail_on_frees_its_segment)
{
    struct spool_ref old, fresh = {0};
    struct spool_mail mail;
    rig_append(&rig, &old, 3, BODY);
    rig_commit(&rig);
    ck_assert_int_eq(spool_append_done(rig.s, &old, 1, SPOOL_DELIVERED), SPOOL_OK);
    leave_segment();
    ck_assert_int_eq(spool_load(rig.s, &old, &mail), SPOOL_OK);
    struct spool_recipient list[3];
    memcpy(list, mail.recipients, sizeof list);
    list[1].finished = true;
    mail.recipients = list;
    ck_assert_int_eq(spool_append_mail(rig.s, &mail, &fresh, &old), SPOOL_OK);
    ck_assert_int_eq(spool_append_defer(rig.s, &fresh, 0,
                                        &(struct spool_deferral){.attempts = 6,
                                                                 .notices = 6,
                                                                 .next_attempt = 66,
                                                                 .reason = SPAN_LIT("moved")}),
                     SPOOL_OK);
    /* An outcome comes while it moves. */
    ck_assert_int_eq(spool_append_done(rig.s, &old, 2, SPOOL_DELIVERED), SPOOL_OK);
    rig_commit(&rig);
    ck_assert(!spool_stored(&old) && spool_stored(&fresh));
    ck_assert_uint_eq(fresh.left, 1);
    ck_assert_uint_eq(live(), 1);
    rig_maintain(&rig);
    ck_assert_uint_eq(segments(), 1);
    check_body(&fresh, BODY);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 1);
    const struct rig_found *f = &rig.found[0];
    ck_assert_uint_eq(f->ref.queue_id, fresh.queue_id);
    ck_assert(!f->states[0].finished && f->states[1].finished && f->states[2].finished);
    ck_assert_uint_eq(f->states[0].attempts, 6);
    ck_assert_str_eq(f->reason[0], "moved");
}
END_TEST

START_TEST(a_mail_finished_while_it_moves_is_finished)
{
    struct spool_ref old, fresh = {0};
    struct spool_mail mail;
    rig_append(&rig, &old, 1, BODY);
    rig_commit(&rig);
    ck_assert_int_eq(spool_load(rig.s, &old, &mail), SPOOL_OK);
    ck_assert_int_eq(spool_append_mail(rig.s, &mail, &fresh, &old), SPOOL_OK);
    ck_assert_int_eq(spool_append_done(rig.s, &old, 0, SPOOL_DELIVERED), SPOOL_OK);
    rig_commit(&rig);
    ck_assert(!spool_stored(&old) && !spool_stored(&fresh));
    ck_assert_uint_eq(live(), 0);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 0);
}
END_TEST

START_TEST(a_move_that_fails_changes_nothing)
{
    struct spool_ref old, fresh = {0};
    struct spool_mail mail;
    rig_append(&rig, &old, 2, BODY);
    rig_commit(&rig);
    ck_assert_int_eq(spool_load(rig.s, &old, &mail), SPOOL_OK);
    ck_assert_int_eq(spool_append_mail(rig.s, &mail, &fresh, &old), SPOOL_OK);
    ck_assert_int_eq(spool_append_done(rig.s, &old, 0, SPOOL_DELIVERED), SPOOL_OK);
    ck_assert_int_eq(rig_commit_as(&rig, WRITTEN, -EIO), SPOOL_FAILED);
    ck_assert(spool_stored(&old) && !spool_stored(&fresh));
    rig_commit(&rig);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.found_count, 1);
    ck_assert(rig.found[0].states[0].finished && !rig.found[0].states[1].finished);
}
END_TEST

/* ---- one process a shard ------------------------------------------------------------------ */

START_TEST(second_opener_is_refused)
{
    struct spool *second = rig.s;
    struct spool_config config = {.shard = 1};
    int error = 0;
    ck_assert_int_eq(spool_open(&second, rig.directory, &config, &error), SPOOL_BUSY);
    ck_assert_ptr_null(second);
    rig_reopen(&rig);
}
END_TEST

START_TEST(lock_goes_with_the_process)
{
    rig_close(&rig);
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        rig_open(&rig);
        if (write(fds[1], "x", 1) == 1)
            (void)pause();
        _exit(1);
    }
    char c;
    ck_assert_int_eq(read(fds[0], &c, 1), 1);
    struct spool_config config = {.shard = 1};
    struct spool *second;
    int error = 0;
    ck_assert_int_eq(spool_open(&second, rig.directory, &config, &error), SPOOL_BUSY);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    rig_open(&rig);
}
END_TEST

START_TEST(unknown_files_are_left_alone)
{
    rig_write_file(&rig, "notes.txt", "x", 1);
    rig_write_file(&rig, "segment-1.log", "x", 1);
    rig_write_file(&rig, "segment-000000000000000A.log", "x", 1);
    rig_write_file(&rig, "large-0000000000000001.tmp", "x", 1);
    rig_reopen(&rig);
    ck_assert_uint_eq(rig.events[SPOOL_EVENT_UNKNOWN_FILE], 4);
    ck_assert(rig_exists(&rig, "notes.txt") && rig_exists(&rig, "segment-1.log"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool");
    TCase *tc = tcase_create("spool");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, stored_mails_are_found_again);
    tcase_add_test(tc, next_batch_gathers_while_one_flies);
    tcase_add_test(tc, ids_go_on_after_a_restart);
    tcase_add_test(tc, write_error);
    tcase_add_test(tc, write_without_room);
    tcase_add_test(tc, short_write);
    tcase_add_test(tc, sync_error);
    tcase_add_test(tc, failed_batch_is_void_even_when_all_ends_at_once);
    tcase_add_test(tc, refused_without_a_segment);
    tcase_add_test(tc, outcomes_outlive_a_refusal);
    tcase_add_test(tc, what_is_carried_over_is_not_newer);
    tcase_add_test(tc, outcomes_over_restarts);
    tcase_add_test(tc, held_mails_stay_held);
    tcase_add_test(tc, long_reason_is_cut);
    tcase_add_test(tc, segments_go_from_the_oldest);
    tcase_add_test(tc, full_segment_is_followed_by_the_next);
    tcase_add_test(tc, restarts_do_not_pile_up_segments);
    tcase_add_test(tc, moving_a_mail_on_frees_its_segment);
    tcase_add_test(tc, a_mail_finished_while_it_moves_is_finished);
    tcase_add_test(tc, a_move_that_fails_changes_nothing);
    tcase_add_test(tc, second_opener_is_refused);
    tcase_add_test(tc, lock_goes_with_the_process);
    tcase_add_test(tc, unknown_files_are_left_alone);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
