/*
 * batch: records on their way to one write. Headers, envelopes and trailers are put together in the
 * staging memory; bodies are only pointed to. Which segment it goes to is decided when it is
 * frozen. Pure.
 */
#ifndef MGID_SPOOL_BATCH_H
#define MGID_SPOOL_BATCH_H

#include "engine/spool/record.h"

struct batch_item {
    uint32_t header; /* offset in staging */
    uint32_t end;    /* offset of END in staging */
    uint32_t crc;    /* of the envelope */
    uint32_t body_crc;
    bool mail; /* then ref is not NULL, else ref and replaces are */
    struct spool_ref *ref;
    struct spool_ref *replaces;
    uint64_t finished_large; /* the mail whose file goes when this is on disk; 0: none */
};

struct batch {
    unsigned char *staging;   /* LIMIT_SPOOL_STAGING */
    struct batch_item *items; /* LIMIT_SPOOL_RECORDS */
    struct spool_ref **mails; /* LIMIT_SPOOL_RECORDS */
    struct iovec *first;      /* LIMIT_SPOOL_IOV: one for the segment's opening, then iov */
    struct iovec *iov;
    uint32_t capacity; /* bytes of all records at most */
    uint32_t reserve;  /* of them, that mails leave to other records */
    uint32_t staged;
    unsigned item_count;
    unsigned mail_count;
    unsigned iov_count;
    uint32_t length; /* of all records */
    bool sync;
    bool large; /* a mail's body is in a file of its own */
};

/* For at most `capacity` bytes of records (and LIMIT_SPOOL_BATCH). Returns false when there is no
 * memory; batch_destroy is right in any case. */
bool batch_init(struct batch *b, uint32_t capacity);
void batch_destroy(struct batch *b);
void batch_clear(struct batch *b);

/* False when it does not fit. ref is filled but for segment; its offsets count from the beginning
 * of the batch. Leaves room for deliveries and deferrals. */
bool batch_add_mail(struct batch *b, const struct spool_mail *mail, struct spool_ref *ref,
                    struct spool_ref *replaces);
bool batch_add_done(struct batch *b, uint64_t queue_id, const struct done_record *done,
                    bool finishes_large);
bool batch_add_defer(struct batch *b, uint64_t queue_id, const struct defer_record *defer);
bool batch_add_hold(struct batch *b, uint64_t queue_id, bool held);

/* Completes all records. */
void batch_freeze(struct batch *b, uint64_t seal);

/* Adds from's deliveries and deferrals to b, but for those that b has a newer one of; returns how
 * many did not fit. */
unsigned batch_carry(struct batch *b, const struct batch *from);

#endif
