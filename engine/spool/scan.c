/* Going through the bytes of a segment: sound records, and what lies between them. */
#include "engine/spool/record.h"

bool scan_blank(struct span bytes)
{
    return bytes.n == 0 || (bytes.p[0] == 0 && memcmp(bytes.p, bytes.p + 1, bytes.n - 1) == 0);
}

/* Is a record of this seal likely to begin here? Cheap, as it is asked for every eighth byte. */
static bool likely(const unsigned char *p, uint64_t seal)
{
    uint32_t magic;
    uint64_t found;
    memcpy(&magic, p + offsetof(struct record_header, magic), sizeof magic);
    memcpy(&found, p + offsetof(struct record_header, seal), sizeof found);
    return magic == RECORD_MAGIC && found == seal;
}

/* The offset of the next sound record from `at` on; bytes.n when there is none. The CRC is
 * computed only behind a seal that matches, which nobody outside knows. */
static size_t find(const struct scan *scan, size_t at, struct record *record)
{
    for (; at + RECORD_HEADER + RECORD_END <= scan->bytes.n; at += RECORD_ALIGN)
        if (likely(scan->bytes.p + at, scan->seal) &&
            record_check(span_from(scan->bytes, at), scan->seal, record))
            return at;
    return scan->bytes.n;
}

enum scan_found scan_next(struct scan *scan, size_t *offset, size_t *length, struct record *record)
{
    struct span rest = span_from(scan->bytes, scan->at);
    *offset = scan->at;
    *length = 0;
    if (rest.n == 0)
        return SCAN_END;
    if (record_check(rest, scan->seal, record)) {
        *length = record->length;
        scan->at += record->length;
        return SCAN_RECORD;
    }
    size_t next = find(scan, scan->at + RECORD_ALIGN, record);
    *length = next - scan->at;
    scan->at = next;
    if (next < scan->bytes.n)
        return SCAN_DAMAGE;
    return !scan->exact && scan_blank(rest) ? SCAN_END : SCAN_TAIL;
}
