/* Records: header, CRC, END, and the small kinds. */
#include "engine/spool/record.h"
#include "engine/spool/crc32c.h"

static const unsigned char end_marker[RECORD_END] = {'\n', 'E', 'N', 'D', '\n', 0x1a, 0xe5, 0x9c};

#define CRC_SIZE sizeof(uint32_t)

uint32_t record_trailer(uint32_t envelope, uint32_t body, unsigned char out[16])
{
    uint32_t n = record_length(envelope, body) - RECORD_HEADER - envelope - body;
    memset(out, 0, 16);
    memcpy(out + n - RECORD_END, end_marker, RECORD_END);
    return n;
}

void record_prepare(unsigned char *header, enum record_kind kind, uint64_t queue_id,
                    uint32_t envelope, uint32_t body)
{
    struct record_header h = {.magic = RECORD_MAGIC,
                              .length = record_length(envelope, body),
                              .kind = (uint16_t)kind,
                              .version = RECORD_VERSION,
                              .queue_id = queue_id,
                              .envelope = envelope,
                              .body = body};
    memcpy(header, &h, sizeof h);
}

/* Goes on from the CRC of what is behind the header. */
static uint32_t header_crc(const unsigned char *header, uint32_t crc)
{
    return crc32c(crc, span_of(header + CRC_SIZE, RECORD_HEADER - CRC_SIZE));
}

void record_seal(unsigned char *header, uint64_t seal, uint32_t crc)
{
    memcpy(header + offsetof(struct record_header, seal), &seal, sizeof seal);
    crc = header_crc(header, crc);
    memcpy(header, &crc, sizeof crc);
}

uint32_t record_close(unsigned char *header, enum record_kind kind, uint64_t queue_id,
                      uint32_t envelope, uint32_t *crc)
{
    unsigned char trailer[16];
    uint32_t n = record_trailer(envelope, 0, trailer);
    record_prepare(header, kind, queue_id, envelope, 0);
    memcpy(header + RECORD_HEADER + envelope, trailer, n);
    *crc = crc32c(0, span_of(header + RECORD_HEADER, envelope + n));
    return RECORD_HEADER + envelope + n;
}

bool record_check(struct span bytes, uint64_t seal, struct record *record)
{
    struct record_header h;
    if (bytes.n < RECORD_HEADER + RECORD_END)
        return false;
    memcpy(&h, bytes.p, sizeof h);
    if (h.magic != RECORD_MAGIC || h.seal != seal || h.version != RECORD_VERSION ||
        h.envelope > LIMIT_SPOOL_ENVELOPE || h.body > LIMIT_INLINE_MAIL ||
        h.length != record_length(h.envelope, h.body) || h.length > bytes.n)
        return false;
    uint32_t crc = crc32c(0, span_of(bytes.p + RECORD_HEADER, h.length - RECORD_HEADER));
    if (header_crc(bytes.p, crc) != h.crc ||
        memcmp(bytes.p + h.length - RECORD_END, end_marker, RECORD_END) != 0)
        return false;
    *record = (struct record){.kind = h.kind,
                              .length = h.length,
                              .seal = h.seal,
                              .queue_id = h.queue_id,
                              .envelope = span_of(bytes.p + RECORD_HEADER, h.envelope),
                              .body = span_of(bytes.p + RECORD_HEADER + h.envelope, h.body)};
    return true;
}

void done_encode(struct msg_writer *w, const struct done_record *done)
{
    msg_put_u16(w, done->recipient);
    msg_put_u8(w, done->outcome);
}

bool done_decode(const struct record *record, struct done_record *done)
{
    struct msg_reader r = {.in = record->envelope};
    done->recipient = msg_get_u16(&r);
    done->outcome = msg_get_u8(&r);
    return msg_get_end(&r) && record->kind == RECORD_DONE;
}

void defer_encode(struct msg_writer *w, const struct defer_record *defer)
{
    msg_put_u16(w, defer->recipient);
    msg_put_u32(w, defer->attempts);
    msg_put_u8(w, defer->notices);
    msg_put_u64(w, defer->next_attempt);
    msg_put_span(w, defer->reason);
}

bool defer_decode(const struct record *record, struct defer_record *defer)
{
    struct msg_reader r = {.in = record->envelope};
    defer->recipient = msg_get_u16(&r);
    defer->attempts = msg_get_u32(&r);
    defer->notices = msg_get_u8(&r);
    defer->next_attempt = msg_get_u64(&r);
    defer->reason = msg_get_span(&r, LIMIT_REASON);
    return msg_get_end(&r) && record->kind == RECORD_DEFER;
}

void hold_encode(struct msg_writer *w, bool held)
{
    msg_put_u8(w, held);
}

bool hold_decode(const struct record *record, bool *held)
{
    struct msg_reader r = {.in = record->envelope};
    uint8_t v = msg_get_u8(&r);
    *held = v != 0;
    return msg_get_end(&r) && v <= 1 && record->kind == RECORD_HOLD;
}

void head_write(unsigned char *out, const struct segment_head *head)
{
    struct msg_writer w = {.p = out + RECORD_HEADER, .capacity = SEGMENT_HEAD_COPY / 2};
    uint32_t crc;
    memset(out, 0, SEGMENT_BEGIN);
    msg_put_u64(&w, head->segment);
    msg_put_u64(&w, head->previous_end);
    msg_put_u64(&w, head->last_queue_id);
    record_close(out, RECORD_HEAD, 0, (uint32_t)w.n, &crc);
    record_seal(out, head->seal, crc);
    memcpy(out + SEGMENT_HEAD_COPY, out, SEGMENT_HEAD_COPY);
}

static bool head_decode(struct span bytes, uint64_t segment, struct segment_head *head)
{
    struct record record;
    if (bytes.n < RECORD_HEADER)
        return false;
    memcpy(&head->seal, bytes.p + offsetof(struct record_header, seal), sizeof head->seal);
    if (!record_check(bytes, head->seal, &record) || record.kind != RECORD_HEAD)
        return false;
    struct msg_reader r = {.in = record.envelope};
    head->segment = msg_get_u64(&r);
    head->previous_end = msg_get_u64(&r);
    head->last_queue_id = msg_get_u64(&r);
    return msg_get_end(&r) && head->segment == segment && head->previous_end <= LIMIT_SEGMENT &&
           (head->previous_end == 0 || head->previous_end >= SEGMENT_BEGIN);
}

bool head_read(struct span bytes, uint64_t segment, struct segment_head *head)
{
    return head_decode(span_head(bytes, SEGMENT_HEAD_COPY), segment, head) ||
           head_decode(span_from(bytes, SEGMENT_HEAD_COPY), segment, head);
}
