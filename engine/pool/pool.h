/*
 * pool: objects of one size, their memory laid out at start. Get and put are O(1) and no system
 * calls. A slot that was never used takes no memory (MAP_NORESERVE, and the free list is kept
 * beside the objects); the slot put back last is got first, so that the working set stays small.
 *
 * Each slot has a generation, which changes with every get and put: what arrives late (a
 * completion of the ring, a reply of another role) names index and generation, and finds the
 * object only while it is the same one.
 */
#ifndef MGID_POOL_H
#define MGID_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POOL_ALIGNMENT = 64 }; /* a cache line */

/* The fields are pool's own; `capacity` and `used` may be read. */
struct pool {
    unsigned char *memory;
    uint32_t *free;        /* a stack of indices put back */
    uint32_t *generations; /* odd: in use */
    size_t stride;
    uint32_t capacity;
    uint32_t used;
    uint32_t free_count;
    uint32_t fresh; /* slots from here on were never used */
};

/* Room for `capacity` (at least 1) objects of `size` (at least 1) bytes, aligned to
 * POOL_ALIGNMENT. Returns 0, or -1 with errno (ENOMEM, also for a product that overflows). */
int pool_init(struct pool *pool, size_t size, uint32_t capacity);

/* Gives all memory back; objects in use become invalid. */
void pool_destroy(struct pool *pool);

/* An object, or NULL when all are in use. Its bytes are 0 at a slot's first use, later what the
 * last user left. It is the caller's until pool_put. */
void *pool_get(struct pool *pool);

/* Takes an object back. Anything but an object that is in use is a bug. */
void pool_put(struct pool *pool, void *object);

/* The slot of an object of this pool; below `capacity`. Any other pointer is a bug. */
uint32_t pool_index(const struct pool *pool, const void *object);

/* The generation of a slot at this moment; odd while it is in use. Starts at 0, wraps at 2^32. */
uint32_t pool_generation(const struct pool *pool, uint32_t index);

/* The object in a slot, or NULL when the slot is free or there is no such slot. */
void *pool_at(const struct pool *pool, uint32_t index);

/* The object in a slot, or NULL unless it is in use and still of that generation. */
void *pool_find(const struct pool *pool, uint32_t index, uint32_t generation);

#endif
