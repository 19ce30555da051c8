/*
 * record: what a segment holds, byte for byte. Pure; a record that comes from disk is hostile.
 *
 * A record begins at a multiple of 8 and is: header, envelope (the fields of its kind), body (of an
 * inline mail), zero bytes up to a multiple of 8, END. Numbers are little-endian. Its `seal` is a
 * random number of its segment, in the header and, turned around, as END: bytes left from another
 * life of the file never verify, nor do records that someone wrote into a mail to have them found
 * when recovery searches behind damage; and what is left of a damaged record is known by it.
 *
 * One CRC covers the envelope and, last, the header: so it can be computed as the record is put
 * together, and the header, which names the segment, be completed when the batch is frozen. The
 * body has a CRC of its own, in the header: where a segment is known to be whole, its envelopes can
 * be read without its bodies.
 */
#ifndef MGID_SPOOL_RECORD_H
#define MGID_SPOOL_RECORD_H

#include "engine/ipc/ipc.h"
#include "engine/spool/spool.h"

#define RECORD_MAGIC 0x4473474du /* "MGsD" */
#define RECORD_VERSION 5
#define RECORD_ALIGN 8u
#define RECORD_HEADER 48u
#define RECORD_END 8u
#define RECORD_MAX (RECORD_HEADER + LIMIT_SPOOL_ENVELOPE + LIMIT_INLINE_MAIL + 64u)
/* The largest record that is no mail: a deferral. */
#define RECORD_SMALL_MAX (RECORD_HEADER + 32u + LIMIT_REASON + RECORD_ALIGN + RECORD_END)

/* The head, written when a segment is made, and the opening, written before its first record, are
 * there twice, so that one bad block does not make a segment unreadable. */
#define SEGMENT_COPY 4096u
#define SEGMENT_HEAD (2 * SEGMENT_COPY)
#define SEGMENT_OPENING (2 * SEGMENT_COPY)
#define SEGMENT_BEGIN (SEGMENT_HEAD + SEGMENT_OPENING) /* of the first record behind them */

enum record_kind {
    RECORD_HEAD = 1, /* which segment it is */
    RECORD_MAIL = 2,
    RECORD_DONE = 3,
    RECORD_DEFER = 4,
    RECORD_HOLD = 5,
    RECORD_OPENING = 6, /* what was before the segment */
};

struct record_header {
    uint32_t crc;
    uint32_t magic;
    uint32_t length; /* of the record, END included */
    uint16_t kind;
    uint16_t version;
    uint64_t seal;
    uint64_t queue_id; /* 0 in a head or opening */
    uint32_t envelope; /* bytes */
    uint32_t body;     /* bytes */
    uint32_t body_crc;
    uint32_t zero;
};

_Static_assert(sizeof(struct record_header) == RECORD_HEADER, "no padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the disk's order is the machine's");

/* A record that verified; the spans point into the bytes it was found in. record_check_envelope
 * leaves `body` empty. */
struct record {
    enum record_kind kind;
    uint32_t length;
    uint64_t seal;
    uint64_t queue_id;
    struct span envelope;
    uint32_t body_size;
    struct span body;
};

struct segment_head {
    uint64_t segment;
    uint64_t seal;
    bool blank; /* all behind it was zero when it was made: the file had no life before */
};

struct segment_opening {
    uint64_t previous_end;  /* where the records of the segment before end; 0: there is none */
    bool previous_whole;    /* all in it up to there is sound: bodies need not be checked again */
    uint64_t last_queue_id; /* given out when the segment was opened */
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

/* Writes what lies between body and the next record: zero bytes, and room for END, which is the
 * last 8. At most 16 bytes; returns how many. */
uint32_t record_trailer(uint32_t envelope, uint32_t body, unsigned char out[16]);

/* Writes all of the header but seal and CRCs. */
void record_prepare(unsigned char *header, enum record_kind kind, uint64_t queue_id,
                    uint32_t envelope, uint32_t body);

/* Completes header and END. */
void record_seal(unsigned char *header, unsigned char *end, uint64_t seal, uint32_t envelope_crc,
                 uint32_t body_crc);

/* A whole record (without body) with its trailer around the envelope that lies behind its header;
 * *crc is for record_seal; END lies at its end. Returns the record's length. */
uint32_t record_close(unsigned char *header, enum record_kind kind, uint64_t queue_id,
                      uint32_t envelope, uint32_t *crc);

/* The fields of a kind. */
void mail_encode(struct msg_writer *w, const struct spool_mail *mail);
void done_encode(struct msg_writer *w, const struct done_record *done);
void defer_encode(struct msg_writer *w, const struct defer_record *defer);
void hold_encode(struct msg_writer *w, bool held);

/* Write both copies: SEGMENT_HEAD and SEGMENT_OPENING bytes. */
void head_write(unsigned char *out, const struct segment_head *head);
void opening_write(unsigned char *out, const struct segment_opening *opening, uint64_t seal);

/* ---- reading ---------------------------------------------------------------------------- */

/* True when bytes begin with a sound record of that seal, all of it. */
bool record_check(struct span bytes, uint64_t seal, struct record *record);
/* The same of header and envelope only. */
bool record_check_envelope(struct span bytes, uint64_t seal, struct record *record);
/* The length that the header at p (RECORD_HEADER bytes) claims of header and envelope, or of all;
 * 0 when it is no header of that seal. */
uint32_t record_claims(const unsigned char *p, uint64_t seal, bool envelope_only);

/* recipients: room for LIMIT_RECIPIENTS_MAX. Spans point into the record. mail has no body pieces.
 * False when a field is missing, over its bound or at odds with another; so the next three. */
bool mail_decode(const struct record *record, struct spool_mail *mail,
                 struct spool_recipient *recipients);
bool done_decode(const struct record *record, struct done_record *done);
bool defer_decode(const struct record *record, struct defer_record *defer);
bool hold_decode(const struct record *record, bool *held);

/* From the SEGMENT_HEAD and SEGMENT_OPENING bytes of a segment. False: neither copy is sound. */
bool head_read(struct span bytes, uint64_t segment, struct segment_head *head);
bool opening_read(struct span bytes, uint64_t seal, struct segment_opening *opening);
/* The version that a head of any format names; 0 when it is none. */
unsigned head_version(struct span bytes);

/* ---- scanning --------------------------------------------------------------------------- */

enum scan_found {
    SCAN_RECORD,
    SCAN_DAMAGE, /* no sound record here; one follows */
    SCAN_TAIL,   /* no sound record from here on, but traces of some: `length` up to the last */
    SCAN_END,
};

/* A segment on its way to be read. Pure but for `view`. */
struct scan {
    /* At least n bytes (at most RECORD_MAX) from the offset on, fewer only at the limit; valid
     * until the next call. */
    struct span (*view)(void *context, size_t offset, size_t n);
    void *context;
    uint64_t seal;
    size_t limit;   /* where records end at the latest */
    bool exact;     /* they end there: an empty rest is damage */
    bool blank;     /* behind the last record all was zero: anything else is a trace */
    bool envelopes; /* bodies are neither read nor checked */
    size_t at;      /* first SEGMENT_BEGIN */
};

/* The next piece: offset, length, and for SCAN_RECORD the record. The pieces follow each other
 * without a gap. Takes time linear in the bytes. */
enum scan_found scan_next(struct scan *scan, size_t *offset, size_t *length, struct record *record);

/* Only zero bytes? */
bool scan_blank(struct span bytes);

#endif
