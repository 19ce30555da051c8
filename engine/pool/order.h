/*
 * order: a set of 64-bit keys, each with a 32-bit value, that can be walked in ascending order
 * from any key on. Memory is laid out at start as a pool's is: about 12 bytes a key where keys
 * come ascending, at most four times that. Every call is O(log n) plus moving at most a leaf's
 * keys and, now and then, the list of leaves. Pure.
 */
#ifndef MGID_ORDER_H
#define MGID_ORDER_H

#include "engine/pool/pool.h"

/* The fields are order's own; `n`, the number of keys, may be read. */
struct order {
    struct pool leaves;
    struct order_leaf **list; /* ascending */
    uint32_t count;
    uint32_t n;
    uint32_t capacity;
};

/* Room for `capacity` keys. Returns 0, or -1 with errno. */
int order_init(struct order *o, uint32_t capacity);
void order_destroy(struct order *o);

/* Adds a key that is not there (a bug otherwise). False: as many as there is room for. */
bool order_add(struct order *o, uint64_t key, uint32_t value);

/* Takes a key out; false when it is not there. */
bool order_remove(struct order *o, uint64_t key);

/* False when it is not there. */
bool order_find(const struct order *o, uint64_t key, uint32_t *value);

/* The least key above `after`; false when there is none. */
bool order_next(const struct order *o, uint64_t after, uint64_t *key, uint32_t *value);

#endif
