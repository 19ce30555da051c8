/*
 * record: what a segment holds, byte for byte. Pure; a record that comes from disk is hostile.
 *
 * A record begins at a multiple of 8 and is: header, envelope (the fields of its kind), body (of an
 * inline mail), zero bytes up to a multiple of 8, END. Numbers are little-endian. Its `seal` is a
 * random number of its segment: bytes left from another segment never verify, nor do records that
 * someone wrote into a mail to have them found when recovery searches behind damage.
 *
 * The CRC covers everything but itself, the header last: so it can be computed as the record is put
 * together, and the header, which names the segment, be completed when the batch is frozen.
 */
#ifndef MGID_SPOOL_RECORD_H
#define MGID_SPOOL_RECORD_H

#include "engine/ipc/ipc.h"
#include "engine/spool/spool.h"

#define RECORD_MAGIC 0x4473474du /* "MGsD" */
#define RECORD_VERSION 4
#define RECORD_ALIGN 8u
#define RECORD_HEADER 40u
#define RECORD_END 8u
#define RECORD_MAX (RECORD_HEADER + LIMIT_SPOOL_ENVELOPE + LIMIT_INLINE_MAIL + 64u)
/* The largest record that is no mail: a deferral. */
#define RECORD_SMALL_MAX (RECORD_HEADER + 32u + LIMIT_REASON + RECORD_ALIGN + RECORD_END)

/* The head is written twice, so that one bad block does not make a segment unreadable. */
#define SEGMENT_HEAD_COPY 4096u
#define SEGMENT_BEGIN (2 * SEGMENT_HEAD_COPY) /* of the first record behind the heads */

enum record_kind {
    RECORD_HEAD = 1, /* what the segment is */
    RECORD_MAIL = 2,
    RECORD_DONE = 3,
    RECORD_DEFER = 4,
    RECORD_HOLD = 5,
};

struct record_header {
    uint32_t crc;
    uint32_t magic;
    uint32_t length; /* of the record, END included */
    uint16_t kind;
    uint16_t version;
    uint64_t seal;
    uint64_t queue_id; /* 0 in a head */
    uint32_t envelope; /* bytes */
    uint32_t body;     /* bytes */
};

_Static_assert(sizeof(struct record_header) == RECORD_HEADER, "no padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the disk's order is the machine's");

/* A record that verified; the spans point into the bytes it was found in. */
struct record {
    enum record_kind kind;
    uint32_t length;
    uint64_t seal;
    uint64_t queue_id;
    struct span envelope;
    struct span body;
};

struct segment_head {
    uint64_t segment;
    uint64_t seal;
    uint64_t previous_end;  /* where the records of the segment before end; 0: there is none */
    uint64_t last_queue_id; /* given out when the segment was made */
};

struct done_record {
    uint16_t recipient;
    uint8_t outcome;
};

struct defer_record {
    uint16_t recipient;
    uint32_t attempts;
    uint8_t notices;
    uint64_t next_attempt;
    struct span reason;
};

/* The length of a record. */
static inline uint32_t record_length(uint32_t envelope, uint32_t body)
{
    uint32_t payload = envelope + body;
    return RECORD_HEADER + (payload + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN + RECORD_END;
}

/* ---- writing ---------------------------------------------------------------------------- */

/* What lies between body and the next record: zero bytes and END. At most 16 bytes; how many. */
uint32_t record_trailer(uint32_t envelope, uint32_t body, unsigned char out[16]);

/* Writes all of the header but seal and CRC. */
void record_prepare(unsigned char *header, enum record_kind kind, uint64_t queue_id,
                    uint32_t envelope, uint32_t body);

/* Completes the header. crc is that of everything behind it. */
void record_seal(unsigned char *header, uint64_t seal, uint32_t crc);

/* A whole record (without body) with its trailer around the envelope that lies behind its header;
 * *crc is for record_seal. Returns the record's length. */
uint32_t record_close(unsigned char *header, enum record_kind kind, uint64_t queue_id,
                      uint32_t envelope, uint32_t *crc);

/* The fields of a kind. */
void mail_encode(struct msg_writer *w, const struct spool_mail *mail);
void done_encode(struct msg_writer *w, const struct done_record *done);
void defer_encode(struct msg_writer *w, const struct defer_record *defer);
void hold_encode(struct msg_writer *w, bool held);

/* Writes both copies: SEGMENT_BEGIN bytes. */
void head_write(unsigned char *out, const struct segment_head *head);

/* ---- reading ---------------------------------------------------------------------------- */

/* True when bytes begin with a sound record of that seal. */
bool record_check(struct span bytes, uint64_t seal, struct record *record);

/* recipients: room for LIMIT_RECIPIENTS_MAX. Spans point into the record. mail has no body pieces.
 * False when a field is missing, over its bound or at odds with another; so the next three. */
bool mail_decode(const struct record *record, struct spool_mail *mail,
                 struct spool_recipient *recipients);
bool done_decode(const struct record *record, struct done_record *done);
bool defer_decode(const struct record *record, struct defer_record *defer);
bool hold_decode(const struct record *record, bool *held);

/* From the first SEGMENT_BEGIN bytes of a segment. False when neither copy is sound. */
bool head_read(struct span bytes, uint64_t segment, struct segment_head *head);

/* ---- scanning --------------------------------------------------------------------------- */

enum scan_found {
    SCAN_RECORD,
    SCAN_DAMAGE, /* no sound record here; one follows */
    SCAN_TAIL,   /* no sound record from here on, but not only zero bytes */
    SCAN_END,
};

struct scan {
    struct span bytes; /* of the segment, from its beginning to where records end at the latest */
    uint64_t seal;
    bool exact; /* bytes is full of records: an empty rest is damage too */
    size_t at;  /* first SEGMENT_BEGIN */
};

/* The next piece: offset, length, and for SCAN_RECORD the record. The pieces follow each other
 * without a gap. Takes time linear in the bytes. */
enum scan_found scan_next(struct scan *scan, size_t *offset, size_t *length, struct record *record);

/* Only zero bytes? */
bool scan_blank(struct span bytes);

#endif
