/* Buffers, and chains of them. */
#include "engine/pool/chunk.h"
#include "engine/pool/reserve.h"
#include "status.h"

int chunk_pool_init(struct chunk_pool *pool, uint32_t capacity)
{
    *pool = (struct chunk_pool){0};
    if (pool_init(&pool->chunks, sizeof(struct chunk), capacity) != 0)
        return -1;
    pool->memory = reserve_memory(LIMIT_CHUNK, capacity);
    if (pool->memory)
        return 0;
    pool_destroy(&pool->chunks);
    return -1;
}

void chunk_pool_destroy(struct chunk_pool *pool)
{
    release_memory(pool->memory, LIMIT_CHUNK, pool->chunks.capacity);
    pool_destroy(&pool->chunks);
    *pool = (struct chunk_pool){0};
}

uint32_t chunk_pool_free(const struct chunk_pool *pool)
{
    return pool->chunks.capacity - pool->chunks.used;
}

struct chunk *chunk_get(struct chunk_pool *pool)
{
    struct chunk *chunk = pool_get(&pool->chunks);
    if (chunk) {
        size_t index = pool_index(&pool->chunks, chunk);
        *chunk = (struct chunk){.data = pool->memory + index * LIMIT_CHUNK};
    }
    return chunk;
}

void chunk_put(struct chunk_pool *pool, struct chunk *chunk)
{
    BUG_ON(chunk->next != NULL);
    pool_put(&pool->chunks, chunk);
}

uint32_t chunk_index(const struct chunk_pool *pool, const struct chunk *chunk)
{
    return pool_index(&pool->chunks, chunk);
}

struct chunk *chunk_at(const struct chunk_pool *pool, uint32_t index)
{
    return pool_at(&pool->chunks, index);
}

static void link_last(struct chunk_chain *chain, struct chunk *chunk)
{
    if (chain->last)
        chain->last->next = chunk;
    else
        chain->first = chunk;
    chain->last = chunk;
    chain->count++;
}

unsigned char *chain_room(struct chunk_pool *pool, struct chunk_chain *chain, size_t *n)
{
    if (!chain->last || chain->last->end == LIMIT_CHUNK) {
        struct chunk *chunk = chunk_get(pool);
        if (!chunk)
            return NULL;
        link_last(chain, chunk);
    }
    *n = LIMIT_CHUNK - chain->last->end;
    return chain->last->data + chain->last->end;
}

void chain_wrote(struct chunk_chain *chain, size_t n)
{
    BUG_ON(!chain->last ? n > 0 : n > LIMIT_CHUNK - chain->last->end);
    if (n == 0)
        return;
    chain->last->end += (uint32_t)n;
    chain->length += n;
}

bool chain_append(struct chunk_pool *pool, struct chunk_chain *chain, struct span bytes)
{
    size_t room = chain->last ? LIMIT_CHUNK - chain->last->end : 0;
    size_t over = bytes.n > room ? bytes.n - room : 0;
    if (over / LIMIT_CHUNK + (over % LIMIT_CHUNK != 0) > chunk_pool_free(pool))
        return false;
    while (bytes.n > 0) {
        size_t n;
        unsigned char *p = chain_room(pool, chain, &n);
        BUG_ON(!p);
        struct span part = span_head(bytes, n);
        memcpy(p, part.p, part.n);
        chain_wrote(chain, part.n);
        bytes = span_from(bytes, part.n);
    }
    return true;
}

void chain_push(struct chunk_chain *chain, struct chunk *chunk)
{
    BUG_ON(chunk->next != NULL || chunk->end <= chunk->begin || chunk->end > LIMIT_CHUNK);
    link_last(chain, chunk);
    chain->length += chunk->end - chunk->begin;
}

struct chunk *chain_shift(struct chunk_chain *chain)
{
    struct chunk *chunk = chain->first;
    if (!chunk)
        return NULL;
    chain->first = chunk->next;
    if (!chain->first)
        chain->last = NULL;
    chain->count--;
    chain->length -= chunk->end - chunk->begin;
    chunk->next = NULL;
    return chunk;
}

void chain_steal(struct chunk_chain *to, struct chunk_chain *from)
{
    BUG_ON(to == from);
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->length += from->length;
    to->count += from->count;
    *from = (struct chunk_chain){0};
}

void chain_consume(struct chunk_pool *pool, struct chunk_chain *chain, size_t n)
{
    BUG_ON(n > chain->length);
    while (n > 0) {
        size_t filled = chain->first->end - chain->first->begin;
        if (n < filled) {
            chain->first->begin += (uint32_t)n;
            chain->length -= n;
            return;
        }
        chunk_put(pool, chain_shift(chain));
        n -= filled;
    }
}

size_t chain_iovecs(const struct chunk_chain *chain, size_t offset, struct iovec *out, size_t max)
{
    size_t n = 0;
    for (struct chunk *c = chain->first; c && n < max; c = c->next) {
        size_t filled = c->end - c->begin;
        if (offset >= filled) {
            offset -= filled;
            continue;
        }
        out[n++] =
            (struct iovec){.iov_base = c->data + c->begin + offset, .iov_len = filled - offset};
        offset = 0;
    }
    return n;
}

size_t chain_copy(const struct chunk_chain *chain, size_t offset, void *out, size_t n)
{
    size_t copied = 0;
    for (const struct chunk *c = chain->first; c && copied < n; c = c->next) {
        struct span piece = chunk_span(c);
        if (offset >= piece.n) {
            offset -= piece.n;
            continue;
        }
        piece = span_head(span_from(piece, offset), n - copied);
        memcpy((unsigned char *)out + copied, piece.p, piece.n);
        copied += piece.n;
        offset = 0;
    }
    return copied;
}

void chain_free(struct chunk_pool *pool, struct chunk_chain *chain)
{
    for (struct chunk *c; (c = chain_shift(chain)) != NULL;)
        chunk_put(pool, c);
}
