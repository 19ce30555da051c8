/* Putting records together, without copying a body. */
#include "engine/spool/batch.h"
#include "engine/spool/crc32c.h"
#include "status.h"
#include <stdlib.h>

/* Items that mails leave to deliveries and deferrals. */
#define ITEMS_RESERVE (LIMIT_SPOOL_RECORDS / 4)

bool batch_init(struct batch *b, uint32_t capacity)
{
    if (capacity > LIMIT_SPOOL_BATCH)
        capacity = LIMIT_SPOOL_BATCH;
    *b = (struct batch){.staging = malloc(LIMIT_SPOOL_STAGING),
                        .items = calloc(LIMIT_SPOOL_RECORDS, sizeof *b->items),
                        .mails = calloc(LIMIT_SPOOL_RECORDS, sizeof(struct spool_ref *)),
                        .first = calloc(LIMIT_SPOOL_IOV, sizeof *b->first),
                        .capacity = capacity,
                        .reserve = capacity / 8 < LIMIT_SPOOL_RESERVE ? capacity / 8
                                                                      : LIMIT_SPOOL_RESERVE};
    b->iov = b->first ? b->first + 1 : NULL;
    return b->staging && b->items && b->mails && b->first;
}

void batch_destroy(struct batch *b)
{
    free(b->staging);
    free(b->items);
    free(b->mails);
    free(b->first);
    *b = (struct batch){0};
}

void batch_clear(struct batch *b)
{
    b->staged = 0;
    b->item_count = 0;
    b->mail_count = 0;
    b->iov_count = 0;
    b->length = 0;
    b->sync = false;
    b->large = false;
}

/* Appends a piece; one that begins where the last one ends makes that one longer. */
static void add_piece(struct batch *b, void *p, size_t n)
{
    if (n == 0)
        return;
    if (b->iov_count > 0) {
        struct iovec *last = &b->iov[b->iov_count - 1];
        if ((unsigned char *)last->iov_base + last->iov_len == p) {
            last->iov_len += n;
            return;
        }
    }
    BUG_ON(b->iov_count == LIMIT_SPOOL_IOV - 1);
    b->iov[b->iov_count++] = (struct iovec){.iov_base = p, .iov_len = n};
}

static void add_staged(struct batch *b, uint32_t n)
{
    BUG_ON(n > LIMIT_SPOOL_STAGING - b->staged);
    add_piece(b, b->staging + b->staged, n);
    b->staged += n;
}

static bool within(struct span s, size_t max)
{
    return s.n <= max;
}

static void check_mail(const struct spool_mail *m)
{
    BUG_ON(m->queue_id == 0 || m->recipient_count == 0);
    BUG_ON(m->recipient_count > LIMIT_RECIPIENTS_MAX || m->body_count > LIMIT_SPOOL_PIECES);
    BUG_ON(!within(m->sender, LIMIT_ADDRESS) || !within(m->helo, LIMIT_DOMAIN) ||
           !within(m->client, LIMIT_REASON) || !within(m->tls, LIMIT_REASON) ||
           !within(m->envid, LIMIT_ENVID) || !within(m->edits, LIMIT_EDIT_LIST));
    BUG_ON(m->large ? m->body_count > 0 : m->body_size > LIMIT_INLINE_MAIL);
    for (unsigned i = 0; i < m->recipient_count; i++) {
        const struct spool_recipient *r = &m->recipients[i];
        BUG_ON(!within(r->address, LIMIT_ADDRESS) || !within(r->original, LIMIT_ADDRESS) ||
               !within(r->orcpt, LIMIT_ORCPT) || !within(r->route, LIMIT_NAME) ||
               !within(r->rule, LIMIT_NAME));
    }
}

static uint16_t count_left(const struct spool_mail *m)
{
    uint16_t left = 0;
    for (unsigned i = 0; i < m->recipient_count; i++)
        left = (uint16_t)(left + !m->recipients[i].finished);
    return left;
}

/* Body pieces and trailer behind the envelope; returns the body's CRC. */
static uint32_t add_body(struct batch *b, const struct spool_mail *mail, uint32_t envelope)
{
    uint64_t sum = 0;
    uint32_t crc = 0;
    for (unsigned i = 0; i < mail->body_count; i++) {
        const struct iovec *piece = &mail->body[i];
        sum += piece->iov_len;
        BUG_ON(sum > mail->body_size);
        crc = crc32c(crc, span_of(piece->iov_base, piece->iov_len));
        add_piece(b, piece->iov_base, piece->iov_len);
    }
    BUG_ON(!mail->large && sum != mail->body_size);
    add_staged(b, record_trailer(envelope, (uint32_t)sum, b->staging + b->staged));
    return crc;
}

bool batch_add_mail(struct batch *b, const struct spool_mail *mail, struct spool_ref *ref,
                    struct spool_ref *replaces)
{
    check_mail(mail);
    if (b->item_count >= LIMIT_SPOOL_RECORDS - ITEMS_RESERVE ||
        b->iov_count + mail->body_count + 2 > LIMIT_SPOOL_IOV - 2)
        return false;
    uint32_t body = mail->large ? 0 : (uint32_t)mail->body_size;
    struct msg_writer w = {.p = b->staging + b->staged + RECORD_HEADER};
    /* What is left over is for the trailer (16) and for other kinds. */
    uint32_t taken = b->staged + RECORD_HEADER + 16 + LIMIT_SPOOL_RESERVE;
    if (taken > LIMIT_SPOOL_STAGING)
        return false;
    w.capacity = LIMIT_SPOOL_STAGING - taken;
    mail_encode(&w, mail);
    uint32_t envelope = (uint32_t)w.n;
    if (w.overflow || b->length + record_length(envelope, body) > b->capacity - b->reserve)
        return false;
    BUG_ON(envelope > LIMIT_SPOOL_ENVELOPE);

    uint32_t header = b->staged;
    record_prepare(b->staging + header, RECORD_MAIL, mail->queue_id, envelope, body);
    add_staged(b, RECORD_HEADER + envelope);
    struct batch_item item = {.header = header, .mail = true, .ref = ref, .replaces = replaces};
    item.crc = crc32c(0, span_of(b->staging + header + RECORD_HEADER, envelope));
    item.body_crc = add_body(b, mail, envelope);
    item.end = b->staged - RECORD_END;
    b->items[b->item_count++] = item;
    b->mails[b->mail_count++] = ref;
    *ref = (struct spool_ref){.queue_id = mail->queue_id,
                              .body_size = mail->body_size,
                              .offset = b->length,
                              .length = record_length(envelope, body),
                              .body_offset = b->length + RECORD_HEADER + envelope,
                              .body_crc = mail->large ? mail->body_crc : 0,
                              .recipients = mail->recipient_count,
                              .left = count_left(mail),
                              .large = mail->large};
    BUG_ON(ref->left == 0);
    b->length += ref->length;
    b->sync = true;
    b->large |= mail->large;
    return true;
}

static bool small_fits(const struct batch *b, uint32_t n)
{
    return b->item_count < LIMIT_SPOOL_RECORDS && b->staged + n <= LIMIT_SPOOL_STAGING &&
           b->length + n <= b->capacity && b->iov_count < LIMIT_SPOOL_IOV - 1;
}

static void add_small(struct batch *b, enum record_kind kind, uint64_t queue_id, uint32_t envelope,
                      uint64_t finished_large)
{
    struct batch_item item = {.header = b->staged, .finished_large = finished_large};
    uint32_t n = record_close(b->staging + b->staged, kind, queue_id, envelope, &item.crc);
    add_staged(b, n);
    item.end = b->staged - RECORD_END;
    b->items[b->item_count++] = item;
    b->length += n;
    b->sync |= finished_large != 0;
}

bool batch_add_done(struct batch *b, uint64_t queue_id, const struct done_record *done,
                    bool finishes_large)
{
    if (!small_fits(b, RECORD_SMALL_MAX))
        return false;
    struct msg_writer w = {.p = b->staging + b->staged + RECORD_HEADER,
                           .capacity = RECORD_SMALL_MAX - RECORD_HEADER};
    done_encode(&w, done);
    add_small(b, RECORD_DONE, queue_id, (uint32_t)w.n, finishes_large ? queue_id : 0);
    return true;
}

bool batch_add_defer(struct batch *b, uint64_t queue_id, const struct defer_record *defer)
{
    if (!small_fits(b, RECORD_SMALL_MAX))
        return false;
    struct msg_writer w = {.p = b->staging + b->staged + RECORD_HEADER,
                           .capacity = RECORD_SMALL_MAX - RECORD_HEADER};
    defer_encode(&w, defer);
    BUG_ON(w.overflow);
    add_small(b, RECORD_DEFER, queue_id, (uint32_t)w.n, 0);
    return true;
}

bool batch_add_hold(struct batch *b, uint64_t queue_id, bool held)
{
    if (!small_fits(b, RECORD_SMALL_MAX))
        return false;
    struct msg_writer w = {.p = b->staging + b->staged + RECORD_HEADER,
                           .capacity = RECORD_SMALL_MAX - RECORD_HEADER};
    hold_encode(&w, held);
    add_small(b, RECORD_HOLD, queue_id, (uint32_t)w.n, 0);
    return true;
}

void batch_freeze(struct batch *b, uint64_t seal)
{
    for (unsigned i = 0; i < b->item_count; i++) {
        const struct batch_item *item = &b->items[i];
        record_seal(b->staging + item->header, b->staging + item->end, seal, item->crc,
                    item->body_crc);
    }
}

/* What a deferral or hold is about; a mail that moves brings its own. */
static bool same_subject(const unsigned char *older, const unsigned char *newer)
{
    struct record_header a, b;
    memcpy(&a, older, sizeof a);
    memcpy(&b, newer, sizeof b);
    if (a.queue_id != b.queue_id)
        return false;
    if (a.kind == RECORD_HOLD)
        return b.kind == RECORD_HOLD || b.kind == RECORD_MAIL;
    /* The recipient is the first field. */
    return a.kind == RECORD_DEFER && b.kind == RECORD_DEFER &&
           memcmp(older + RECORD_HEADER, newer + RECORD_HEADER, sizeof(uint16_t)) == 0;
}

static bool superseded(const struct batch *b, unsigned count, const unsigned char *record)
{
    for (unsigned i = 0; i < count; i++)
        if (same_subject(record, b->staging + b->items[i].header))
            return true;
    return false;
}

unsigned batch_carry(struct batch *b, const struct batch *from)
{
    unsigned lost = 0, newer = b->item_count;
    for (unsigned i = 0; i < from->item_count; i++) {
        const struct batch_item *item = &from->items[i];
        struct record_header h;
        if (item->mail || superseded(b, newer, from->staging + item->header))
            continue;
        memcpy(&h, from->staging + item->header, sizeof h);
        if (!small_fits(b, h.length)) {
            lost++;
            continue;
        }
        memcpy(b->staging + b->staged, from->staging + item->header, h.length);
        b->items[b->item_count] = *item;
        b->items[b->item_count].header = b->staged;
        add_staged(b, h.length);
        b->items[b->item_count++].end = b->staged - RECORD_END;
        b->length += h.length;
        b->sync |= item->finished_large != 0;
    }
    return lost;
}
