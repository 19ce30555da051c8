/* Going through a segment: sound records, and what lies between them. */
#include "engine/spool/record.h"

#define STEP 65536u /* bytes looked at in one go where records are searched for */

bool scan_blank(struct span bytes)
{
    return bytes.n == 0 || (bytes.p[0] == 0 && memcmp(bytes.p, bytes.p + 1, bytes.n - 1) == 0);
}

/* Is there a sound record at the offset? Its header is looked at first: nobody outside knows the
 * seal, so that only what once was a record costs a CRC. */
static bool check(struct scan *scan, size_t at, struct record *record)
{
    if (scan->limit - at < RECORD_HEADER + RECORD_END)
        return false;
    struct span bytes = scan->view(scan->context, at, RECORD_HEADER);
    if (bytes.n < RECORD_HEADER)
        return false;
    uint32_t claimed = record_claims(bytes.p, scan->seal, scan->envelopes);
    if (claimed == 0 || record_claims(bytes.p, scan->seal, false) > scan->limit - at)
        return false;
    if (bytes.n < claimed)
        bytes = scan->view(scan->context, at, claimed);
    return scan->envelopes ? record_check_envelope(bytes, scan->seal, record)
                           : record_check(bytes, scan->seal, record);
}

/* Of eight bytes: a seal in a header, or an END. */
static bool trace(const unsigned char *p, uint64_t seal)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word == seal || word == ~seal;
}

/* The offset of the next sound record behind the one that did not verify; the limit when there is
 * none. *last is behind the last trace of a record that was met. */
static size_t find(struct scan *scan, size_t *last, struct record *record)
{
    size_t at = scan->at;
    const size_t in_header = offsetof(struct record_header, seal);
    while (at < scan->limit) {
        struct span bytes = scan->view(scan->context, at, STEP);
        size_t n = (bytes.n < STEP ? bytes.n : STEP) / RECORD_ALIGN * RECORD_ALIGN;
        if (n == 0) {
            if (scan->blank && !scan_blank(bytes))
                *last = scan->limit;
            break;
        }
        size_t suspect = n; /* a header whose seal lies here */
        for (size_t i = 0; i < n && suspect == n; i += RECORD_ALIGN) {
            uint64_t word;
            memcpy(&word, bytes.p + i, sizeof word);
            if (trace(bytes.p + i, scan->seal) || (scan->blank && word != 0))
                *last = at + i + RECORD_ALIGN;
            if (word == scan->seal)
                suspect = i;
        }
        if (suspect < n && at + suspect > scan->at + in_header &&
            check(scan, at + suspect - in_header, record))
            return at + suspect - in_header;
        at += suspect < n ? suspect + RECORD_ALIGN : n;
    }
    return scan->limit;
}

enum scan_found scan_next(struct scan *scan, size_t *offset, size_t *length, struct record *record)
{
    size_t at = scan->at, last = at;
    *offset = at;
    *length = 0;
    if (at >= scan->limit)
        return SCAN_END;
    if (check(scan, at, record)) {
        *length = record->length;
        scan->at += record->length;
        return SCAN_RECORD;
    }
    size_t next = find(scan, &last, record);
    scan->at = next;
    if (next < scan->limit || scan->exact) {
        *length = next - at;
        return next < scan->limit ? SCAN_DAMAGE : SCAN_TAIL;
    }
    *length = last - at;
    return last > at ? SCAN_TAIL : SCAN_END;
}
