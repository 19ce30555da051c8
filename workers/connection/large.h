/*
 * large: the content of a mail over LIMIT_INLINE_MAIL on its way to a file of its own. What comes
 * in is gathered in the mail's chunks and written in pieces through the ring, at most one under
 * way; a client that is faster than the disk is made to wait.
 */
#ifndef MGID_LARGE_H
#define MGID_LARGE_H

#include "engine/pool/chunk.h"
#include "engine/ring/ring.h"

struct transaction;
struct worker;

struct large {
    bool active;  /* there is a file */
    bool writing; /* a write or the sync is under way */
    bool waiting; /* the session is paused until the disk has caught up */
    bool finishing;
    bool failed;
    bool aborted; /* the transaction ends when the operation under way has */
    int fd;
    uint32_t crc;
    uint64_t offset;
    struct chunk_chain flight; /* what the write under way takes */
    struct iovec iov[LIMIT_LARGE_CHUNKS];
};

/* Begins the file with what the mail has so far. False: it can't be made. */
bool large_begin(struct worker *w, struct transaction *t);

/* After bytes were added to the mail's content. False: make the client wait. */
bool large_push(struct worker *w, struct transaction *t);

/* No more content comes: writes the rest, syncs, then calls transaction_stored. */
void large_finish(struct worker *w, struct transaction *t);

/* Frees the chunks, closes and removes the file. False: an operation is under way, and
 * transaction_abort is called again when it has ended. */
bool large_abort(struct worker *w, struct transaction *t);

void large_written(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe);
void large_synced(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe);

#endif
