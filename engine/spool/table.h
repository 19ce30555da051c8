/*
 * table: what recovery learns of mails while it goes through the records. Holds the mails that have
 * recipients without an outcome, by queue id. Pure but for memory.
 */
#ifndef MGID_SPOOL_TABLE_H
#define MGID_SPOOL_TABLE_H

#include "engine/spool/record.h"

/* Where the last deferral of a recipient is, so that its reason need not be held. */
struct table_recipient {
    bool finished;
    uint8_t notices;
    uint32_t attempts;
    uint64_t next_attempt;
    uint64_t segment; /* of the deferral; 0: none */
    uint32_t offset;
    uint32_t length;
};

struct table_mail {
    uint64_t queue_id; /* 0: a free place */
    uint64_t segment;
    uint32_t offset;
    uint32_t length;
    uint16_t recipients;
    uint16_t left;
    bool large;
    bool held;
    struct table_recipient *states;
};

struct table {
    struct table_mail *slots; /* a power of two of them */
    size_t size;
    size_t used; /* deleted ones included */
};

/* Where a record lies. */
struct table_place {
    uint64_t segment;
    uint32_t offset;
    uint32_t length;
};

void table_destroy(struct table *t);

/* A mail of a live table, or NULL. */
struct table_mail *table_find(const struct table *t, uint64_t queue_id);

/* A mail; one of the same queue id is moved: what was known of its recipients stays. False: no
 * memory. */
bool table_add(struct table *t, const struct spool_mail *mail, const struct table_place *place);

/* An outcome, a deferral. Of a mail that is not there (its segment was freed, or it is finished)
 * nothing happens. False: the mail has no such recipient. */
bool table_done(struct table *t, uint64_t queue_id, const struct done_record *done);
void table_hold(struct table *t, uint64_t queue_id, bool held);
bool table_defer(struct table *t, uint64_t queue_id, const struct defer_record *defer,
                 const struct table_place *place);

/* All mails in order of their place: *count pointers into the table, to be freed with free().
 * NULL with *count > 0: no memory. */
struct table_mail **table_list(const struct table *t, size_t *count);

#endif
