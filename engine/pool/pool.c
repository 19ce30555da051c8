/* Objects of one size in memory laid out at start. */
#include "engine/pool/pool.h"
#include "engine/pool/reserve.h"
#include "status.h"
#include <errno.h>

int pool_init(struct pool *pool, size_t size, uint32_t capacity)
{
    *pool = (struct pool){.capacity = capacity};
    BUG_ON(size == 0 || capacity == 0);
    if (size > SIZE_MAX - (POOL_ALIGNMENT - 1)) {
        errno = ENOMEM;
        return -1;
    }
    pool->stride = (size + POOL_ALIGNMENT - 1) / POOL_ALIGNMENT * POOL_ALIGNMENT;
    pool->memory = reserve_memory(pool->stride, capacity);
    pool->free = reserve_memory(sizeof *pool->free, capacity);
    pool->generations = reserve_memory(sizeof *pool->generations, capacity);
    if (pool->memory && pool->free && pool->generations)
        return 0;
    int error = errno;
    pool_destroy(pool);
    errno = error;
    return -1;
}

void pool_destroy(struct pool *pool)
{
    release_memory(pool->memory, pool->stride, pool->capacity);
    release_memory(pool->free, sizeof *pool->free, pool->capacity);
    release_memory(pool->generations, sizeof *pool->generations, pool->capacity);
    *pool = (struct pool){0};
}

static bool in_use(const struct pool *pool, uint32_t index)
{
    return index < pool->capacity && (pool->generations[index] & 1) != 0;
}

void *pool_get(struct pool *pool)
{
    uint32_t index;
    if (pool->free_count > 0)
        index = pool->free[--pool->free_count];
    else if (pool->fresh < pool->capacity)
        index = pool->fresh++;
    else
        return NULL;
    pool->generations[index]++;
    pool->used++;
    return pool->memory + pool->stride * index;
}

void pool_put(struct pool *pool, void *object)
{
    uint32_t index = pool_index(pool, object);
    BUG_ON(!in_use(pool, index));
    pool->generations[index]++;
    pool->free[pool->free_count++] = index;
    pool->used--;
}

uint32_t pool_index(const struct pool *pool, const void *object)
{
    /* As numbers: two pointers into different memory may not be compared. */
    uintptr_t offset = (uintptr_t)object - (uintptr_t)pool->memory;
    BUG_ON(offset % pool->stride != 0 || offset / pool->stride >= pool->capacity);
    return (uint32_t)(offset / pool->stride);
}

uint32_t pool_generation(const struct pool *pool, uint32_t index)
{
    BUG_ON(index >= pool->capacity);
    return pool->generations[index];
}

void *pool_at(const struct pool *pool, uint32_t index)
{
    return in_use(pool, index) ? pool->memory + pool->stride * index : NULL;
}

void *pool_find(const struct pool *pool, uint32_t index, uint32_t generation)
{
    return in_use(pool, index) && pool->generations[index] == generation
               ? pool->memory + pool->stride * index
               : NULL;
}
