/*
 * chunk: buffers of LIMIT_CHUNK bytes, page aligned, and chains of them.
 *
 * Memory that was touched once stays: nothing is given back to the system while serving, so no
 * madvise on the hot path and none in the sandbox. The bound is capacity * LIMIT_CHUNK; as the
 * buffer put back last is got first, what is in use stays near the high-water mark of traffic.
 * What describes a buffer lies beside the buffers, not in them: a kernel or a peer that writes
 * into a buffer can't reach a pointer, and all LIMIT_CHUNK bytes are payload.
 *
 * A chain owns its chunks; it is a value that may be moved (chain_steal), never copied.
 */
#ifndef MGID_CHUNK_H
#define MGID_CHUNK_H

#include "engine/pool/pool.h"
#include "limits.h"
#include "span.h"
#include <sys/uio.h>

/* Bytes begin..end of data are filled; begin <= end <= LIMIT_CHUNK. */
struct chunk {
    struct chunk *next;
    unsigned char *data; /* LIMIT_CHUNK bytes, fixed */
    uint32_t begin;
    uint32_t end;
};

struct chunk_pool {
    struct pool chunks; /* of struct chunk */
    unsigned char *memory;
};

/* Returns 0, or -1 with errno. capacity is at least 1. */
int chunk_pool_init(struct chunk_pool *pool, uint32_t capacity);
void chunk_pool_destroy(struct chunk_pool *pool);

/* Buffers that are not in use. */
uint32_t chunk_pool_free(const struct chunk_pool *pool);

/* The memory of all buffers, one after the other by index: for registering with a ring. */
static inline struct iovec chunk_pool_memory(const struct chunk_pool *pool)
{
    return (struct iovec){.iov_base = pool->memory,
                          .iov_len = (size_t)pool->chunks.capacity * LIMIT_CHUNK};
}

/* An empty chunk in no chain, or NULL when all are in use. The bytes are what the last user left.
 */
struct chunk *chunk_get(struct chunk_pool *pool);

/* Takes back a chunk that is in no chain. */
void chunk_put(struct chunk_pool *pool, struct chunk *chunk);

/* Its number, as a ring's buffer id; chunk_at gives the chunk back, NULL when it is free. */
uint32_t chunk_index(const struct chunk_pool *pool, const struct chunk *chunk);
struct chunk *chunk_at(const struct chunk_pool *pool, uint32_t index);

/* What is filled; valid until the chunk is written, consumed or put back. */
static inline struct span chunk_span(const struct chunk *chunk)
{
    return span_of(chunk->data + chunk->begin, chunk->end - chunk->begin);
}

/* All zero is an empty chain. A chunk of a chain may be empty where chain_room took it and nothing
 * was written to it. */
struct chunk_chain {
    struct chunk *first;
    struct chunk *last;
    size_t length; /* bytes */
    uint32_t count;
};

/* Copies bytes to the end of the chain. False, and the chain unchanged, when too few chunks are
 * free. The bytes may not lie in the chain. */
bool chain_append(struct chunk_pool *pool, struct chunk_chain *chain, struct span bytes);

/* The room after the last byte, at least one byte and *n long, with a new chunk when the last
 * one is full; NULL when none is free. What was written there counts after chain_wrote. */
unsigned char *chain_room(struct chunk_pool *pool, struct chunk_chain *chain, size_t *n);

/* The first n bytes of the room are filled; n at most what chain_room gave last. */
void chain_wrote(struct chunk_chain *chain, size_t n);

/* Adds a chunk that is in no chain, with what is filled in it; the chain owns it from now on. An
 * empty chunk is a bug. */
void chain_push(struct chunk_chain *chain, struct chunk *chunk);

/* Takes the first chunk out, NULL when the chain is empty; it is the caller's. */
struct chunk *chain_shift(struct chunk_chain *chain);

/* Moves all of `from` to the end of `to`; from is empty afterwards. They are not the same. */
void chain_steal(struct chunk_chain *to, struct chunk_chain *from);

/* Drops the first n bytes (at most the chain's length) and frees the chunks they filled. */
void chain_consume(struct chunk_pool *pool, struct chunk_chain *chain, size_t n);

/* The bytes from `offset` on as at most `max` pieces, in order; returns how many. They are valid
 * as long as the chain is not changed other than by adding at its end. */
size_t chain_iovecs(const struct chunk_chain *chain, size_t offset, struct iovec *out, size_t max);

/* Copies at most n bytes from `offset` on to out; returns how many there were. */
size_t chain_copy(const struct chunk_chain *chain, size_t offset, void *out, size_t n);

/* Gives all chunks back; the chain is empty. */
void chain_free(struct chunk_pool *pool, struct chunk_chain *chain);

/* Iterates over the pieces: for (c = chain->first; c; c = c->next) chunk_span(c). */

#endif
