/* The pure parts: queue ids, CRC, records, their scan. */
#include "engine/spool/batch.h"
#include "engine/spool/crc32c.h"
#include "engine/spool/record.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdlib.h>

#define SEAL UINT64_C(0x0123456789abcdef)

/* ---- queue ids ---------------------------------------------------------------------------- */

START_TEST(ids_ascend_whatever_the_clock_does)
{
    uint64_t id = queue_id_next(1000, 0, 3);
    ck_assert_uint_eq(id, 1000 * 1024 + 3);
    ck_assert_uint_eq(queue_id_next(1000, id, 3), 1001 * 1024 + 3);
    ck_assert_uint_eq(queue_id_next(5, id, 3), 1001 * 1024 + 3);
    ck_assert_uint_eq(queue_id_next(2000, id, 1023), 2000 * 1024 + 1023);
    ck_assert_uint_eq(queue_id_next(0, 0, 0), 1024);
    ck_assert_uint_eq(queue_id_microseconds(id), 1000);
    ck_assert_uint_eq(queue_id_shard(id), 3);
    uint64_t last = queue_id_next(QUEUE_ID_TIME_MAX, 0, 1);
    ck_assert_uint_eq(queue_id_microseconds(last), QUEUE_ID_TIME_MAX);
    ck_assert_uint_eq(queue_id_next(0, last, 1), 0);
    ck_assert_uint_eq(queue_id_next(UINT64_MAX, 0, 1), 0);
}
END_TEST

START_TEST(id_text_is_one_to_one_and_sorts)
{
    static const uint64_t ids[] = {
        0, 1, 31, 32, 1024, UINT64_C(1764000000000000) * 1024 + 7, UINT64_MAX - 1, UINT64_MAX};
    char before[QUEUE_ID_TEXT + 1] = "";
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char text[QUEUE_ID_TEXT + 1];
        uint64_t back;
        queue_id_format(ids[i], text);
        ck_assert_uint_eq(strlen(text), QUEUE_ID_TEXT);
        ck_assert_str_gt(text, before);
        ck_assert(queue_id_parse(span_str(text), &back));
        ck_assert_uint_eq(back, ids[i]);
        memcpy(before, text, sizeof text);
    }
}
END_TEST

START_TEST(bad_id_texts)
{
    static const char *const bad[] = {"",
                                      "000000000000",
                                      "00000000000000",
                                      "000000000000i",
                                      "000000000000l",
                                      "00000000000o0",
                                      "u000000000000",
                                      "000000000000A",
                                      "0000000 00000",
                                      "g000000000000", /* 2^64 */
                                      "zzzzzzzzzzzzz"};
    uint64_t id;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!queue_id_parse(span_str(bad[i]), &id), "%s", bad[i]);
    ck_assert(!queue_id_parse(span_of("000000000000\0", 13), &id));
    ck_assert(queue_id_parse(span_str("fzzzzzzzzzzzz"), &id));
    ck_assert_uint_eq(id, UINT64_MAX);
}
END_TEST

/* ---- CRC ---------------------------------------------------------------------------------- */

/* RFC 3720 B.4, and the check value of the catalogue of CRCs. */
START_TEST(crc_known_values)
{
    unsigned char b[32];
    uint32_t (*const both[])(uint32_t, struct span) = {crc32c, crc32c_portable};
    for (unsigned f = 0; f < 2; f++) {
        memset(b, 0, sizeof b);
        ck_assert_uint_eq(both[f](0, span_of(b, 32)), 0x8a9136aa);
        memset(b, 0xff, sizeof b);
        ck_assert_uint_eq(both[f](0, span_of(b, 32)), 0x62a8ab43);
        for (unsigned i = 0; i < 32; i++)
            b[i] = (unsigned char)i;
        ck_assert_uint_eq(both[f](0, span_of(b, 32)), 0x46dd794e);
        for (unsigned i = 0; i < 32; i++)
            b[i] = (unsigned char)(31 - i);
        ck_assert_uint_eq(both[f](0, span_of(b, 32)), 0x113fdb5c);
        ck_assert_uint_eq(both[f](0, SPAN_LIT("123456789")), 0xe3069283);
        ck_assert_uint_eq(both[f](0, SPAN_EMPTY), 0);
    }
}
END_TEST

START_TEST(crc_over_pieces)
{
    unsigned char b[257];
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (unsigned char)(i * 167 + i / 3);
    uint32_t whole = crc32c(0, span_of(b, sizeof b));
    ck_assert_uint_eq(whole, crc32c_portable(0, span_of(b, sizeof b)));
    for (size_t cut = 0; cut <= sizeof b; cut++) {
        uint32_t crc = crc32c(0, span_of(b, cut));
        ck_assert_uint_eq(crc, crc32c_portable(0, span_of(b, cut)));
        ck_assert_uint_eq(crc32c(crc, span_of(b + cut, sizeof b - cut)), whole);
    }
}
END_TEST

/* ---- records ------------------------------------------------------------------------------ */

static unsigned char body_bytes[LIMIT_INLINE_MAIL];

/* A segment's bytes as a batch would write them, behind an empty head. */
static size_t flatten(const struct batch *b, unsigned char *out)
{
    size_t n = SEGMENT_BEGIN;
    memset(out, 0, SEGMENT_BEGIN);
    for (unsigned i = 0; i < b->iov_count; i++) {
        memcpy(out + n, b->iov[i].iov_base, b->iov[i].iov_len);
        n += b->iov[i].iov_len;
    }
    ck_assert_uint_eq(n - SEGMENT_BEGIN, b->length);
    return n;
}

/* A scan of bytes in memory, whose file was blank before. */
static struct span view(void *context, size_t offset, size_t n)
{
    (void)n;
    return span_from(*(const struct span *)context, offset);
}

static struct scan scan_of(struct span *bytes, uint64_t seal)
{
    return (struct scan){.view = view,
                         .context = bytes,
                         .seal = seal,
                         .limit = bytes->n,
                         .blank = true,
                         .at = SEGMENT_BEGIN};
}

static void add_mail(struct batch *b, uint64_t id, unsigned recipients, struct span body,
                     struct spool_ref *ref)
{
    struct spool_recipient list[3] = {
        {.address = SPAN_LIT("a@example.ch"), .route = SPAN_LIT("r"), .rule = SPAN_LIT("first")},
        {.address = SPAN_LIT("b@example.ch.incamail.ch"),
         .original = SPAN_LIT("b@example.ch"),
         .orcpt = SPAN_LIT("rfc822;b+2Bc@example.ch"),
         .expires = 1800000000,
         .notify = 9,
         .priority = 3,
         .variant = 2,
         .route = SPAN_LIT("incamail"),
         .rule = SPAN_LIT("second"),
         .finished = true},
        {.address = SPAN_LIT("postmaster")}};
    struct iovec piece = {(void *)(uintptr_t)body.p, body.n};
    struct spool_mail mail = {.queue_id = id,
                              .arrival = 11,
                              .expires = 22,
                              .flags = 33,
                              .body_flags = 44,
                              .sender = SPAN_LIT("s@example.ch"),
                              .helo = SPAN_LIT("h"),
                              .client = SPAN_LIT("c"),
                              .tls = SPAN_LIT("t"),
                              .edits = SPAN_LIT("4:r1:A4:r1:B"),
                              .body_size = body.n,
                              .recipient_count = (uint16_t)recipients,
                              .recipients = list,
                              .body = &piece,
                              .body_count = 1};
    ck_assert(batch_add_mail(b, &mail, ref, NULL));
}

START_TEST(mail_goes_round)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 5000, LIMIT_INLINE_MAIL};
    struct batch b;
    unsigned char *bytes = malloc(SEGMENT_BEGIN + LIMIT_SPOOL_BATCH);
    ck_assert(batch_init(&b, LIMIT_SPOOL_BATCH));
    for (size_t i = 0; i < sizeof body_bytes; i++)
        body_bytes[i] = (unsigned char)(i * 31);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct spool_ref ref;
        struct record record;
        struct spool_mail mail;
        struct spool_recipient *list = calloc(LIMIT_RECIPIENTS_MAX, sizeof *list);
        batch_clear(&b);
        add_mail(&b, 5000, 3, span_of(body_bytes, sizes[i]), &ref);
        batch_freeze(&b, SEAL);
        size_t n = flatten(&b, bytes);
        struct span at = span_of(bytes + SEGMENT_BEGIN, n - SEGMENT_BEGIN);
        ck_assert_uint_eq(ref.length % RECORD_ALIGN, 0);
        ck_assert_uint_eq(ref.length, at.n);
        ck_assert_uint_eq(ref.left, 2);
        ck_assert(record_check(at, SEAL, &record));
        ck_assert(!record_check(at, SEAL + 1, &record));
        ck_assert(record_check(at, SEAL, &record));
        ck_assert(mail_decode(&record, &mail, list));
        ck_assert_uint_eq(mail.queue_id, 5000);
        ck_assert_uint_eq(mail.arrival, 11);
        ck_assert_uint_eq(mail.expires, 22);
        ck_assert_uint_eq(mail.flags, 33);
        ck_assert_uint_eq(mail.body_flags, 44);
        ck_assert(span_eq(mail.sender, SPAN_LIT("s@example.ch")));
        ck_assert(span_eq(mail.helo, SPAN_LIT("h")));
        ck_assert(span_eq(mail.client, SPAN_LIT("c")));
        ck_assert(span_eq(mail.tls, SPAN_LIT("t")));
        ck_assert_uint_eq(mail.recipient_count, 3);
        ck_assert(span_eq(mail.recipients[1].original, SPAN_LIT("b@example.ch")));
        ck_assert(span_eq(mail.recipients[1].orcpt, SPAN_LIT("rfc822;b+2Bc@example.ch")));
        ck_assert_uint_eq(mail.recipients[1].expires, 1800000000);
        ck_assert_uint_eq(mail.recipients[1].notify, 9);
        ck_assert_uint_eq(mail.recipients[1].priority, 3);
        ck_assert_uint_eq(mail.recipients[1].variant, 2);
        ck_assert(span_eq(mail.edits, SPAN_LIT("4:r1:A4:r1:B")));
        ck_assert(span_eq(mail.recipients[1].rule, SPAN_LIT("second")));
        ck_assert(mail.recipients[1].finished && !mail.recipients[0].finished);
        ck_assert_uint_eq(mail.body_size, sizes[i]);
        ck_assert(span_eq(record.body, span_of(body_bytes, sizes[i])));
        ck_assert_ptr_eq(record.body.p, at.p + ref.body_offset);
        free(list);
    }
    batch_destroy(&b);
    free(bytes);
}
END_TEST

START_TEST(small_kinds_go_round)
{
    struct batch b;
    struct record record;
    static unsigned char bytes[SEGMENT_BEGIN + 4096];
    char long_reason[LIMIT_REASON];
    memset(long_reason, 'x', sizeof long_reason);
    struct done_record done = {.recipient = SPOOL_ALL_RECIPIENTS, .outcome = SPOOL_BOUNCED};
    struct defer_record defer = {.recipient = 9,
                                 .attempts = 4,
                                 .notices = 3,
                                 .next_attempt = 77,
                                 .reason = span_of(long_reason, sizeof long_reason)};
    ck_assert(batch_init(&b, LIMIT_SPOOL_BATCH));
    ck_assert(batch_add_done(&b, 2048, &done, false));
    ck_assert(!b.sync);
    ck_assert(batch_add_defer(&b, 2049, &defer));
    ck_assert(batch_add_done(&b, 2050, &done, true));
    ck_assert(b.sync);
    ck_assert_uint_eq(b.iov_count, 1);
    batch_freeze(&b, SEAL);
    struct span at = span_from(span_of(bytes, flatten(&b, bytes)), SEGMENT_BEGIN);
    struct done_record d = {0};
    ck_assert(record_check(at, SEAL, &record) && record.queue_id == 2048);
    ck_assert(done_decode(&record, &d));
    ck_assert_uint_eq(d.recipient, SPOOL_ALL_RECIPIENTS);
    ck_assert_uint_eq(d.outcome, SPOOL_BOUNCED);
    struct defer_record e;
    ck_assert(!defer_decode(&record, &e));
    at = span_from(at, record.length);
    ck_assert(record_check(at, SEAL, &record) && record.queue_id == 2049);
    ck_assert_uint_le(record.length, RECORD_SMALL_MAX);
    ck_assert(!done_decode(&record, &d));
    ck_assert(defer_decode(&record, &e));
    ck_assert_uint_eq(e.recipient, 9);
    ck_assert_uint_eq(e.attempts, 4);
    ck_assert_uint_eq(e.notices, 3);
    ck_assert_uint_eq(e.next_attempt, 77);
    ck_assert(span_eq(e.reason, defer.reason));
    batch_destroy(&b);
}
END_TEST

START_TEST(envelope_is_never_trusted)
{
    /* A sound record whose envelope was cut or prolonged at any place does not decode. */
    struct batch b;
    struct spool_ref ref;
    struct record record;
    struct spool_mail mail;
    static unsigned char bytes[SEGMENT_BEGIN + 4096];
    struct spool_recipient *list = calloc(LIMIT_RECIPIENTS_MAX, sizeof *list);
    ck_assert(batch_init(&b, LIMIT_SPOOL_BATCH));
    add_mail(&b, 5000, 3, SPAN_EMPTY, &ref);
    batch_freeze(&b, SEAL);
    struct span at = span_from(span_of(bytes, flatten(&b, bytes)), SEGMENT_BEGIN);
    ck_assert(record_check(at, SEAL, &record));
    ck_assert(mail_decode(&record, &mail, list));
    struct record other = record;
    for (size_t n = 0; n < record.envelope.n; n++) {
        other.envelope = span_head(record.envelope, n);
        ck_assert(!mail_decode(&other, &mail, list));
    }
    other.envelope = span_of(record.envelope.p, record.envelope.n + 1);
    ck_assert(!mail_decode(&other, &mail, list));
    other = record;
    other.body_size = 1;
    ck_assert(!mail_decode(&other, &mail, list));
    other = record;
    other.queue_id = 1023;
    ck_assert(!mail_decode(&other, &mail, list));
    other = record;
    other.kind = RECORD_DONE;
    ck_assert(!mail_decode(&other, &mail, list));
    free(list);
    batch_destroy(&b);
}
END_TEST

START_TEST(head_survives_one_copy)
{
    unsigned char bytes[SEGMENT_BEGIN];
    struct segment_head head = {.segment = 9, .seal = SEAL, .blank = true};
    struct segment_head got;
    head_write(bytes, &head);
    ck_assert(head_read(span_of(bytes, SEGMENT_HEAD), 9, &got));
    ck_assert_uint_eq(got.seal, SEAL);
    ck_assert(got.blank);
    ck_assert_uint_eq(head_version(span_of(bytes, SEGMENT_HEAD)), RECORD_VERSION);
    ck_assert(!head_read(span_of(bytes, SEGMENT_HEAD), 10, &got));
    bytes[20] ^= 1;
    ck_assert(head_read(span_of(bytes, SEGMENT_HEAD), 9, &got));
    ck_assert_uint_eq(got.seal, SEAL);
    ck_assert(!head_read(span_of(bytes, SEGMENT_COPY), 9, &got));
    bytes[SEGMENT_COPY + 50] ^= 4;
    ck_assert(!head_read(span_of(bytes, SEGMENT_HEAD), 9, &got));
    bytes[20] ^= 1;
    ck_assert(head_read(span_of(bytes, SEGMENT_HEAD), 9, &got));
    ck_assert(!head_read(SPAN_EMPTY, 9, &got));
}
END_TEST

START_TEST(opening_survives_one_copy)
{
    unsigned char bytes[SEGMENT_OPENING];
    struct segment_opening opening = {.previous_end = SEGMENT_BEGIN + 8, .last_queue_id = 4711};
    struct segment_opening got;
    opening_write(bytes, &opening, SEAL);
    ck_assert(opening_read(span_of(bytes, sizeof bytes), SEAL, &got));
    ck_assert_uint_eq(got.previous_end, SEGMENT_BEGIN + 8);
    ck_assert_uint_eq(got.last_queue_id, 4711);
    /* One of the file's life before is none. */
    ck_assert(!opening_read(span_of(bytes, sizeof bytes), SEAL + 1, &got));
    bytes[30] ^= 1;
    ck_assert(opening_read(span_of(bytes, sizeof bytes), SEAL, &got));
    bytes[SEGMENT_COPY + 30] ^= 1;
    ck_assert(!opening_read(span_of(bytes, sizeof bytes), SEAL, &got));
    opening.previous_end = SEGMENT_BEGIN - 8;
    opening_write(bytes, &opening, SEAL);
    ck_assert(!opening_read(span_of(bytes, sizeof bytes), SEAL, &got));
}
END_TEST

/* ---- batches ------------------------------------------------------------------------------ */

START_TEST(full_batch_says_so_and_leaves_room)
{
    struct batch b, next;
    struct spool_ref *refs = calloc(LIMIT_SPOOL_RECORDS, sizeof *refs);
    unsigned mails = 0, dones = 0;
    ck_assert(batch_init(&b, LIMIT_SPOOL_BATCH) && batch_init(&next, LIMIT_SPOOL_BATCH));
    /* Mails of one piece: the list of pieces is what ends first. */
    struct spool_recipient to = {.address = SPAN_LIT("a@example.ch")};
    struct iovec piece = {body_bytes, 5000};
    struct spool_mail mail = {.queue_id = 5000,
                              .body_size = 5000,
                              .recipient_count = 1,
                              .recipients = &to,
                              .body = &piece,
                              .body_count = 1};
    while (batch_add_mail(&b, &mail, &refs[mails], NULL))
        mails++;
    ck_assert_uint_gt(mails, 300);
    ck_assert_uint_le(b.iov_count, LIMIT_SPOOL_IOV);
    ck_assert_uint_eq(b.mail_count, mails);
    struct spool_ref unused = {0};
    ck_assert(!batch_add_mail(&b, &mail, &unused, NULL));
    struct done_record done = {.recipient = 0, .outcome = SPOOL_DELIVERED};
    while (batch_add_done(&b, 4096, &done, false))
        dones++;
    ck_assert_uint_ge(dones, LIMIT_SPOOL_RECORDS / 4);
    ck_assert_uint_le(b.staged, LIMIT_SPOOL_STAGING);
    ck_assert_uint_le(b.length, LIMIT_SPOOL_BATCH);
    ck_assert_uint_eq(b.item_count, LIMIT_SPOOL_RECORDS);
    /* Only the outcomes go over, and what does not fit is counted. */
    ck_assert_uint_eq(batch_carry(&next, &b), 0);
    ck_assert_uint_eq(next.item_count, dones);
    ck_assert_uint_eq(next.mail_count, 0);
    ck_assert(!next.sync);
    for (unsigned i = next.item_count; i < LIMIT_SPOOL_RECORDS - 10; i++)
        ck_assert(batch_add_done(&next, 4096, &done, false));
    ck_assert_uint_eq(batch_carry(&next, &b), dones - 10);
    batch_destroy(&b);
    batch_destroy(&next);
    free(refs);
}
END_TEST

START_TEST(largest_envelope_fits_an_empty_batch)
{
    struct batch b;
    struct spool_ref ref;
    static char text[LIMIT_ORCPT];
    memset(text, 'a', sizeof text);
    struct spool_recipient *list = calloc(LIMIT_RECIPIENTS_MAX, sizeof *list);
    for (unsigned i = 0; i < LIMIT_RECIPIENTS_MAX; i++)
        list[i] = (struct spool_recipient){.address = span_of(text, LIMIT_ADDRESS),
                                           .original = span_of(text, LIMIT_ADDRESS),
                                           .route = span_of(text, LIMIT_NAME),
                                           .rule = span_of(text, LIMIT_NAME),
                                           .orcpt = span_of(text, LIMIT_ORCPT)};
    struct iovec piece = {body_bytes, sizeof body_bytes};
    struct spool_mail mail = {.queue_id = 5000,
                              .sender = span_of(text, LIMIT_ADDRESS),
                              .body_size = sizeof body_bytes,
                              .recipient_count = LIMIT_RECIPIENTS_MAX,
                              .recipients = list,
                              .body = &piece,
                              .body_count = 1};
    ck_assert(batch_init(&b, LIMIT_SPOOL_BATCH));
    ck_assert(batch_add_mail(&b, &mail, &ref, NULL));
    ck_assert_uint_le(ref.length, RECORD_MAX);
    batch_freeze(&b, SEAL);
    unsigned char *bytes = malloc(SEGMENT_BEGIN + b.length);
    struct span at = span_from(span_of(bytes, flatten(&b, bytes)), SEGMENT_BEGIN);
    struct record record;
    struct spool_recipient *back = calloc(LIMIT_RECIPIENTS_MAX, sizeof *back);
    ck_assert(record_check(at, SEAL, &record));
    ck_assert(mail_decode(&record, &mail, back));
    ck_assert_uint_eq(mail.recipient_count, LIMIT_RECIPIENTS_MAX);
    ck_assert(!batch_add_mail(&b, &mail, &ref, NULL));
    free(back);
    free(bytes);
    free(list);
    batch_destroy(&b);
}
END_TEST

/* ---- scanning ----------------------------------------------------------------------------- */

#define SMALL_MAILS 5

/* Five mails and two small records; offsets[i] is where the i-th begins, offsets[7] the end. */
static size_t small_segment(unsigned char *bytes, size_t offsets[8])
{
    struct batch b;
    struct spool_ref refs[SMALL_MAILS];
    struct done_record done = {.recipient = 0, .outcome = SPOOL_DELIVERED};
    struct defer_record defer = {.recipient = 1, .attempts = 1, .reason = SPAN_LIT("later")};
    ck_assert(batch_init(&b, LIMIT_SPOOL_BATCH));
    for (unsigned i = 0; i < SMALL_MAILS; i++) {
        add_mail(&b, 5000 + i, 1 + i % 3, span_of("hello\r\nworld\r\n", 3 + 2 * i), &refs[i]);
        offsets[i] = SEGMENT_BEGIN + refs[i].offset;
    }
    offsets[5] = SEGMENT_BEGIN + b.length;
    ck_assert(batch_add_done(&b, 5001, &done, false));
    offsets[6] = SEGMENT_BEGIN + b.length;
    ck_assert(batch_add_defer(&b, 5002, &defer));
    offsets[7] = SEGMENT_BEGIN + b.length;
    batch_freeze(&b, SEAL);
    size_t n = flatten(&b, bytes);
    batch_destroy(&b);
    return n;
}

START_TEST(every_bit_flip_is_seen_and_costs_one_record)
{
    static unsigned char bytes[SEGMENT_BEGIN + 4096];
    size_t offsets[8];
    size_t n = small_segment(bytes, offsets);
    for (size_t bit = SEGMENT_BEGIN * 8; bit < n * 8; bit++) {
        struct span all = span_of(bytes, n);
        struct scan scan = scan_of(&all, SEAL);
        size_t offset, length, at = SEGMENT_BEGIN;
        unsigned sound = 0, bad = 0;
        struct record record;
        enum scan_found found;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        while ((found = scan_next(&scan, &offset, &length, &record)) != SCAN_END) {
            ck_assert_uint_eq(offset, at);
            at += length;
            if (found == SCAN_RECORD) {
                sound++;
            } else {
                bad++;
                ck_assert(offset <= bit / 8 && bit / 8 < offset + length);
                ck_assert_int_eq(found, bit / 8 >= offsets[6] ? SCAN_TAIL : SCAN_DAMAGE);
            }
        }
        ck_assert_uint_eq(at, n);
        ck_assert_uint_eq(sound, 6);
        ck_assert_uint_eq(bad, 1);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}
END_TEST

START_TEST(every_truncation_gives_the_complete_prefix)
{
    static unsigned char whole[SEGMENT_BEGIN + 4096], bytes[SEGMENT_BEGIN + 4096];
    size_t offsets[8];
    size_t n = small_segment(whole, offsets);
    for (size_t cut = SEGMENT_BEGIN; cut <= n; cut++)
        for (unsigned zeros = 0; zeros < 2; zeros++) {
            unsigned complete = 0, sound = 0;
            size_t offset, length;
            struct record record;
            enum scan_found found;
            memset(bytes, 0, sizeof bytes);
            memcpy(bytes, whole, cut);
            struct span all = span_of(bytes, zeros ? sizeof bytes : cut);
            struct scan scan = scan_of(&all, SEAL);
            while (complete < 7 && offsets[complete + 1] <= cut)
                complete++;
            while ((found = scan_next(&scan, &offset, &length, &record)) == SCAN_RECORD)
                sound++;
            ck_assert_uint_eq(sound, complete);
            bool traces = !scan_blank(span_of(whole + offsets[complete], cut - offsets[complete]));
            ck_assert_int_eq(found, traces ? SCAN_TAIL : SCAN_END);
            ck_assert_uint_eq(offset, offsets[complete]);
        }
}
END_TEST

START_TEST(exact_scan_takes_no_blank_rest)
{
    static unsigned char bytes[SEGMENT_BEGIN + 4096];
    size_t offsets[8], offset, length;
    size_t n = small_segment(bytes, offsets);
    struct record record;
    enum scan_found found;
    struct span all = span_of(bytes, n + 64);
    struct scan scan = scan_of(&all, SEAL);
    scan.exact = true;
    while ((found = scan_next(&scan, &offset, &length, &record)) == SCAN_RECORD)
        continue;
    ck_assert_int_eq(found, SCAN_TAIL);
    ck_assert_uint_eq(offset, n);
    ck_assert_uint_eq(length, 64);
    ck_assert_int_eq(scan_next(&scan, &offset, &length, &record), SCAN_END);
}
END_TEST

START_TEST(what_is_left_of_a_record_is_seen_in_a_used_file)
{
    /* Behind the records lies what the file held in its life before; the last record loses its
     * header, its middle or its END. */
    static unsigned char bytes[SEGMENT_BEGIN + 8192];
    size_t offsets[8], offset, length;
    struct record record;
    for (unsigned what = 0; what < 4; what++) {
        size_t n = small_segment(bytes, offsets);
        memset(bytes + n, 0xa5, sizeof bytes - n);
        if (what == 1)
            memset(bytes + offsets[6], 0xa5, RECORD_HEADER);
        if (what == 2)
            bytes[offsets[6] + RECORD_HEADER + 3] ^= 1;
        if (what == 3)
            memset(bytes + n - RECORD_END, 0xa5, RECORD_END);
        struct span all = span_of(bytes, sizeof bytes);
        struct scan scan = scan_of(&all, SEAL);
        enum scan_found found;
        scan.blank = false;
        while ((found = scan_next(&scan, &offset, &length, &record)) == SCAN_RECORD)
            continue;
        ck_assert_int_eq(found, what == 0 ? SCAN_END : SCAN_TAIL);
        ck_assert_uint_eq(offset, what == 0 ? n : offsets[6]);
    }
}
END_TEST

START_TEST(records_inside_of_a_mail_are_not_found)
{
    /* A mail carries a sound record of another seal; its own record is damaged. */
    static unsigned char inner[SEGMENT_BEGIN + 4096], bytes[SEGMENT_BEGIN + 16384];
    size_t offsets[8], offset, length;
    size_t n = small_segment(inner, offsets);
    struct batch b;
    struct spool_ref refs[2];
    struct record record;
    ck_assert(batch_init(&b, LIMIT_SPOOL_BATCH));
    add_mail(&b, 6000, 1, span_of(inner + SEGMENT_BEGIN, n - SEGMENT_BEGIN), &refs[0]);
    add_mail(&b, 6001, 1, SPAN_LIT("x"), &refs[1]);
    batch_freeze(&b, SEAL ^ 1);
    n = flatten(&b, bytes);
    bytes[SEGMENT_BEGIN] ^= 1;
    struct span all = span_of(bytes, n);
    struct scan scan = scan_of(&all, SEAL ^ 1);
    ck_assert_int_eq(scan_next(&scan, &offset, &length, &record), SCAN_DAMAGE);
    ck_assert_uint_eq(length, refs[0].length);
    ck_assert_int_eq(scan_next(&scan, &offset, &length, &record), SCAN_RECORD);
    ck_assert_uint_eq(record.queue_id, 6001);
    ck_assert_int_eq(scan_next(&scan, &offset, &length, &record), SCAN_END);
    batch_destroy(&b);
}
END_TEST

START_TEST(noise_is_never_a_record)
{
    static unsigned char bytes[SEGMENT_BEGIN + 65536];
    uint64_t x = 88172645463325252u;
    for (unsigned round = 0; round < 50; round++) {
        for (size_t i = SEGMENT_BEGIN; i < sizeof bytes; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            bytes[i] = (unsigned char)x;
        }
        /* Headers that promise much, at each 64th byte. */
        for (size_t i = SEGMENT_BEGIN; i + RECORD_HEADER <= sizeof bytes; i += 64) {
            struct record_header h = {.crc = (uint32_t)x,
                                      .magic = RECORD_MAGIC,
                                      .kind = RECORD_MAIL,
                                      .version = RECORD_VERSION,
                                      .seal = SEAL,
                                      .queue_id = 5000,
                                      .envelope = (uint32_t)(i * 7919) % 70000,
                                      .body = round % 2 ? UINT32_MAX - 100 : (uint32_t)i % 100};
            h.length = round % 3 ? record_length(h.envelope, h.body) : UINT32_MAX;
            memcpy(bytes + i, &h, sizeof h);
        }
        struct span all = span_of(bytes, sizeof bytes);
        struct scan scan = scan_of(&all, SEAL);
        size_t offset, length;
        struct record record;
        ck_assert_int_eq(scan_next(&scan, &offset, &length, &record), SCAN_TAIL);
        ck_assert_int_eq(scan_next(&scan, &offset, &length, &record), SCAN_END);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool_record");
    TCase *tc = tcase_create("spool_record");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, ids_ascend_whatever_the_clock_does);
    tcase_add_test(tc, id_text_is_one_to_one_and_sorts);
    tcase_add_test(tc, bad_id_texts);
    tcase_add_test(tc, crc_known_values);
    tcase_add_test(tc, crc_over_pieces);
    tcase_add_test(tc, mail_goes_round);
    tcase_add_test(tc, small_kinds_go_round);
    tcase_add_test(tc, envelope_is_never_trusted);
    tcase_add_test(tc, head_survives_one_copy);
    tcase_add_test(tc, opening_survives_one_copy);
    tcase_add_test(tc, what_is_left_of_a_record_is_seen_in_a_used_file);
    tcase_add_test(tc, full_batch_says_so_and_leaves_room);
    tcase_add_test(tc, largest_envelope_fits_an_empty_batch);
    tcase_add_test(tc, every_bit_flip_is_seen_and_costs_one_record);
    tcase_add_test(tc, every_truncation_gives_the_complete_prefix);
    tcase_add_test(tc, exact_scan_takes_no_blank_rest);
    tcase_add_test(tc, records_inside_of_a_mail_are_not_found);
    tcase_add_test(tc, noise_is_never_a_record);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
