/* Records: header, CRC, END, and the small kinds. */
#include "engine/spool/record.h"
#include "engine/spool/crc32c.h"

#define CRC_SIZE sizeof(uint32_t)

/* END is the seal turned around: what is left of a record shows by it whose it was. */
static uint64_t end_of(uint64_t seal)
{
    return ~seal;
}

uint32_t record_trailer(uint32_t envelope, uint32_t body, unsigned char out[16])
{
    memset(out, 0, 16);
    return record_length(envelope, body) - RECORD_HEADER - envelope - body;
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

/* Goes on from the CRC of the envelope. */
static uint32_t header_crc(const unsigned char *header, uint32_t crc)
{
    return crc32c(crc, span_of(header + CRC_SIZE, RECORD_HEADER - CRC_SIZE));
}

void record_seal(unsigned char *header, unsigned char *end, uint64_t seal, uint32_t envelope_crc,
                 uint32_t body_crc)
{
    uint64_t marker = end_of(seal);
    memcpy(header + offsetof(struct record_header, seal), &seal, sizeof seal);
    memcpy(header + offsetof(struct record_header, body_crc), &body_crc, sizeof body_crc);
    uint32_t crc = header_crc(header, envelope_crc);
    memcpy(header, &crc, sizeof crc);
    memcpy(end, &marker, sizeof marker);
}

uint32_t record_close(unsigned char *header, enum record_kind kind, uint64_t queue_id,
                      uint32_t envelope, uint32_t *crc)
{
    unsigned char trailer[16];
    uint32_t n = record_trailer(envelope, 0, trailer);
    record_prepare(header, kind, queue_id, envelope, 0);
    memcpy(header + RECORD_HEADER + envelope, trailer, n);
    *crc = crc32c(0, span_of(header + RECORD_HEADER, envelope));
    return RECORD_HEADER + envelope + n;
}

static bool plausible(const struct record_header *h, uint64_t seal)
{
    return h->magic == RECORD_MAGIC && h->seal == seal && h->version == RECORD_VERSION &&
           h->zero == 0 && h->envelope <= LIMIT_SPOOL_ENVELOPE && h->body <= LIMIT_INLINE_MAIL &&
           h->length == record_length(h->envelope, h->body);
}

uint32_t record_claims(const unsigned char *p, uint64_t seal, bool envelope_only)
{
    struct record_header h;
    memcpy(&h, p, sizeof h);
    if (!plausible(&h, seal))
        return 0;
    return envelope_only ? RECORD_HEADER + h.envelope : h.length;
}

bool record_check_envelope(struct span bytes, uint64_t seal, struct record *record)
{
    struct record_header h;
    if (bytes.n < RECORD_HEADER)
        return false;
    memcpy(&h, bytes.p, sizeof h);
    if (!plausible(&h, seal) || h.envelope > bytes.n - RECORD_HEADER)
        return false;
    struct span envelope = span_of(bytes.p + RECORD_HEADER, h.envelope);
    if (header_crc(bytes.p, crc32c(0, envelope)) != h.crc)
        return false;
    *record = (struct record){.kind = h.kind,
                              .length = h.length,
                              .seal = h.seal,
                              .queue_id = h.queue_id,
                              .envelope = envelope,
                              .body_size = h.body,
                              .body = SPAN_EMPTY};
    return true;
}

bool record_check(struct span bytes, uint64_t seal, struct record *record)
{
    struct record_header h;
    uint64_t marker = end_of(seal);
    if (!record_check_envelope(bytes, seal, record) || record->length > bytes.n)
        return false;
    memcpy(&h, bytes.p, sizeof h);
    size_t used = RECORD_HEADER + h.envelope;
    record->body = span_of(bytes.p + used, h.body);
    used += h.body;
    return crc32c(0, record->body) == h.body_crc &&
           scan_blank(span_of(bytes.p + used, h.length - RECORD_END - used)) &&
           memcmp(bytes.p + h.length - RECORD_END, &marker, sizeof marker) == 0;
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

/* One record of no mail at the beginning of each of two blocks. */
static void write_copies(unsigned char *out, enum record_kind kind, uint64_t seal,
                         const struct msg_writer *fields)
{
    uint32_t crc;
    uint32_t n = record_close(out, kind, 0, (uint32_t)fields->n, &crc);
    record_seal(out, out + n - RECORD_END, seal, crc, 0);
    memcpy(out + SEGMENT_COPY, out, SEGMENT_COPY);
}

void head_write(unsigned char *out, const struct segment_head *head)
{
    struct msg_writer w = {.p = out + RECORD_HEADER, .capacity = SEGMENT_COPY / 2};
    memset(out, 0, SEGMENT_HEAD);
    msg_put_u64(&w, head->segment);
    msg_put_u8(&w, head->blank);
    write_copies(out, RECORD_HEAD, head->seal, &w);
}

void opening_write(unsigned char *out, const struct segment_opening *opening, uint64_t seal)
{
    struct msg_writer w = {.p = out + RECORD_HEADER, .capacity = SEGMENT_COPY / 2};
    memset(out, 0, SEGMENT_OPENING);
    msg_put_u64(&w, opening->previous_end);
    msg_put_u8(&w, opening->previous_whole);
    msg_put_u64(&w, opening->last_queue_id);
    write_copies(out, RECORD_OPENING, seal, &w);
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
    head->blank = msg_get_u8(&r) != 0;
    return msg_get_end(&r) && head->segment == segment;
}

bool head_read(struct span bytes, uint64_t segment, struct segment_head *head)
{
    return head_decode(span_head(bytes, SEGMENT_COPY), segment, head) ||
           head_decode(span_from(bytes, SEGMENT_COPY), segment, head);
}

static bool opening_decode(struct span bytes, uint64_t seal, struct segment_opening *opening)
{
    struct record record;
    if (!record_check(bytes, seal, &record) || record.kind != RECORD_OPENING)
        return false;
    struct msg_reader r = {.in = record.envelope};
    opening->previous_end = msg_get_u64(&r);
    opening->previous_whole = msg_get_u8(&r) == 1;
    opening->last_queue_id = msg_get_u64(&r);
    return msg_get_end(&r) && opening->previous_end <= LIMIT_SEGMENT &&
           (opening->previous_end == 0 || opening->previous_end >= SEGMENT_BEGIN);
}

bool opening_read(struct span bytes, uint64_t seal, struct segment_opening *opening)
{
    return opening_decode(span_head(bytes, SEGMENT_COPY), seal, opening) ||
           opening_decode(span_from(bytes, SEGMENT_COPY), seal, opening);
}

unsigned head_version(struct span bytes)
{
    for (size_t at = 0; at < SEGMENT_HEAD && at + RECORD_HEADER <= bytes.n; at += SEGMENT_COPY) {
        struct record_header h;
        memcpy(&h, bytes.p + at, sizeof h);
        if (h.magic == RECORD_MAGIC && h.kind == RECORD_HEAD)
            return h.version;
    }
    return 0;
}
