/*
 * commit: the group commit. Mails that are ready gather in the spool's batch; as soon as no batch
 * is in flight they are written and synced together, so that nobody waits when the disk is idle
 * and everybody shares one sync when it is not.
 */
#ifndef MGID_COMMIT_H
#define MGID_COMMIT_H

#include "engine/ring/ring.h"
#include "engine/spool/spool.h"

struct mail;
struct worker;

struct commit {
    struct spool_io io;
    bool in_flight;
    bool write_done;
    int named; /* of the directory's sync */
    ssize_t written;
    int synced;
    uint64_t started;       /* microseconds, of the batch in flight */
    uint64_t records_since; /* since when deliveries wait to be written; 0: none do */
    uint64_t refused_until; /* the disk has refused: mails are answered 452 until then */
    struct mail *waiting, *waiting_last; /* mails that the batch had no room for */
};

/* The mail's content is complete: stores it, then calls transaction_committed or, for a
 * notification, bounce_committed. */
void commit_add(struct worker *w, struct mail *m);

/* Starts the next batch when there is one to start. Once a turn. */
void commit_turn(struct worker *w);

/* When commit_turn must be called again at the latest: microseconds, UINT64_MAX for never. */
uint64_t commit_next(const struct worker *w);

/* Nothing is in flight, nothing waits. */
bool commit_idle(const struct worker *w);

void commit_named(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe);
void commit_written(struct worker *w, uint32_t index, uint32_t generation,
                    struct io_uring_cqe *cqe);
void commit_synced(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe);

#endif
