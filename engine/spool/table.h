/*
 * table: what recovery learns of mails while it goes through the records. Holds the mails that have
 * recipients without an outcome, by queue id. Pure but for memory.
 */
#ifndef MGID_SPOOL_TABLE_H
#define MGID_SPOOL_TABLE_H

#include "engine/spool/record.h"

/* Where a record lies; segments by their place in the spool's list. */
struct table_place {
    uint32_t offset;
    uint16_t segment;
};

/* What is known of a recipient, and where its last deferral is, so that the reason need not be
 * held. */
struct table_recipient {
    uint64_t next_attempt;
    uint32_t attempts;
    uint32_t offset;
    uint16_t segment;
    uint8_t notices;
    bool finished;
    bool deferred;
};

struct table_mail {
    uint64_t queue_id; /* 0: a free place */
    uint32_t length;
    uint32_t offset;
    uint16_t segment;
    uint16_t recipients;
    uint16_t left;
    bool large;
    bool held;
    union {
        struct table_recipient one; /* of a mail with one recipient */
        struct table_recipient *many;
    };
};

struct table {
    struct table_mail *slots; /* a power of two of them */
    size_t size;
    size_t used; /* deleted ones included */
};

void table_destroy(struct table *t);

/* A mail of a live table, or NULL. */
struct table_mail *table_find(const struct table *t, uint64_t queue_id);

/* Its recipients. */
struct table_recipient *table_recipients(struct table_mail *m);

/* A mail; one of the same queue id is moved: what was known of its recipients stays. False: no
 * memory. */
bool table_add(struct table *t, const struct spool_mail *mail, struct table_place place,
               uint32_t length);

/* An outcome, a deferral, a hold. Of a mail that is not there (its segment was freed, or it is
 * finished) nothing happens. False: the mail has no such recipient. */
bool table_done(struct table *t, uint64_t queue_id, const struct done_record *done);
bool table_defer(struct table *t, uint64_t queue_id, const struct defer_record *defer,
                 struct table_place place);
void table_hold(struct table *t, uint64_t queue_id, bool held);

/* All mails in order of their place: *count pointers into the table, to be freed with free().
 * NULL with *count > 0: no memory. */
struct table_mail **table_list(const struct table *t, size_t *count);

#endif
