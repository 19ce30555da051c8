/*
 * import: mails between nodes, through the operator's channel. What is exported is read from the
 * spool piece by piece; what is imported becomes a mail of this shard, with its envelope, route and
 * schedule, stored before it is said to be.
 */
#ifndef MGID_IMPORT_H
#define MGID_IMPORT_H

#include "engine/ipc/ipc.h"

struct mail;
struct transaction;
struct worker;

/* The mail that is being imported; one at a time. */
struct import {
    struct transaction *transaction; /* NULL: none */
    uint32_t number;                 /* of it: another one may have taken its place */
    uint64_t request;                /* that the commit answers */
    unsigned char last;              /* byte of the content: lines must end with CRLF */
    bool spoilt;                     /* they do not */
    uint64_t heard;                  /* microseconds, monotonic: of the last request */
    uint16_t count;
    struct import_recipient *schedule; /* count of them */
};

struct import_recipient {
    uint32_t attempts;
    uint64_t next_attempt; /* seconds since 1970 */
};

/* The operator's requests; each is answered. */
void export_content(struct worker *w, const struct msg_content_request *request);
void import_begin(struct worker *w, const struct msg_import_begin *request);
void import_data(struct worker *w, const struct msg_import_data *request);
void import_end(struct worker *w, const struct msg_import_end *request);

/* Once a second, and when the worker is to end: an import that nobody goes on with is dropped. */
void import_tick(struct worker *w);

/* The commit's end, before (and when stored, after) the mail is taken into the queue. */
void import_committed(struct worker *w, struct transaction *t, bool ok, uint64_t id);
void import_queued(struct worker *w, struct mail *m);

#endif
