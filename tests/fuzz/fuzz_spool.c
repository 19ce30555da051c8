/*
 * Segments as they may lie on the disk: records are planted with the right CRC (a fuzzer would
 * never find one), then read as recovery reads them. The pieces follow each other without a gap.
 */
#include "engine/spool/record.h"
#include "tests/fuzz/fuzz.h"

enum { SEAL = 0x5ea1, ROOM = 1 << 17 };

/* A record of the kind and envelope that the input says, sealed. */
static size_t plant(unsigned char *out, struct span *in)
{
    static unsigned char header[RECORD_HEADER + 4096 + 64];
    unsigned kind = fuzz_byte(in) % 7, declared = fuzz_byte(in);
    size_t n = fuzz_byte(in) * 4u;
    struct span envelope = span_head(*in, n);
    uint32_t crc;
    *in = span_from(*in, envelope.n);
    if (declared == 255) { /* raw bytes instead */
        memcpy(out, envelope.p, envelope.n);
        return envelope.n / RECORD_ALIGN * RECORD_ALIGN;
    }
    memset(header, 0, sizeof header);
    memcpy(header + RECORD_HEADER, envelope.p, envelope.n);
    uint32_t length =
        record_close(header, (enum record_kind)kind, 4096 + declared, (uint32_t)envelope.n, &crc);
    record_seal(header, header + length - RECORD_END, declared % 8 == 7 ? SEAL + 1 : SEAL, crc, 0);
    memcpy(out, header, length);
    return length;
}

static struct span view(void *context, size_t offset, size_t n)
{
    (void)n;
    return span_from(*(const struct span *)context, offset);
}

static void decode(const struct record *r)
{
    static struct spool_recipient recipients[LIMIT_RECIPIENTS_MAX];
    struct spool_mail mail;
    struct done_record done;
    struct defer_record defer;
    if (mail_decode(r, &mail, recipients))
        for (unsigned i = 0; i < mail.recipient_count; i++)
            FUZZ_CHECK(recipients[i].address.n <= LIMIT_ADDRESS);
    (void)done_decode(r, &done);
    if (defer_decode(r, &defer))
        FUZZ_CHECK(defer.reason.n <= LIMIT_REASON);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char room[ROOM];
    struct span in = span_of(data, size);
    struct segment_head head;
    struct segment_opening opening;
    size_t n = SEGMENT_BEGIN, next = SEGMENT_BEGIN, offset, length;
    struct record record;
    enum scan_found found;
    memset(room, 0, sizeof room);
    (void)head_read(span_of(data, size), 1, &head);
    (void)opening_read(span_of(data, size), SEAL, &opening);
    while (in.n > 3 && n < ROOM - 8192)
        n += plant(room + n, &in);
    unsigned char *copy = fuzz_copy(span_of(room, n));
    struct span all = span_of(copy, n);
    struct scan scan = {.view = view,
                        .context = &all,
                        .limit = n,
                        .seal = SEAL,
                        .blank = size % 2 == 0,
                        .at = SEGMENT_BEGIN};
    while ((found = scan_next(&scan, &offset, &length, &record)) != SCAN_END) {
        FUZZ_CHECK(offset == next && length > 0 && length <= n - offset);
        next = offset + length;
        if (found == SCAN_RECORD)
            decode(&record);
        if (found == SCAN_TAIL)
            break;
    }
    free(copy);
    return 0;
}
