/* Sorted leaves in a sorted list: a tree of two levels. */
#include "engine/pool/order.h"
#include "engine/pool/reserve.h"
#include "status.h"
#include <string.h>

enum {
    LEAF = 256,
    /* Two leaves side by side hold more than MERGE keys together, so that on average one holds at
     * least half of that. */
    MERGE = LEAF / 2,
};

struct order_leaf {
    uint32_t n;
    uint32_t values[LEAF];
    uint64_t keys[LEAF];
};

int order_init(struct order *o, uint32_t capacity)
{
    BUG_ON(capacity == 0);
    uint32_t leaves = capacity / (MERGE / 2) + 2;
    *o = (struct order){.capacity = capacity};
    o->list = reserve_memory(sizeof *o->list, leaves);
    if (!o->list)
        return -1;
    return pool_init(&o->leaves, sizeof(struct order_leaf), leaves);
}

void order_destroy(struct order *o)
{
    release_memory(o->list, sizeof *o->list, o->leaves.capacity);
    pool_destroy(&o->leaves);
    *o = (struct order){0};
}

/* The leaf that the key is in, if it is anywhere: the last one that begins at or before it. */
static uint32_t leaf_of(const struct order *o, uint64_t key)
{
    uint32_t low = 0, high = o->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (o->list[middle]->keys[0] <= key)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* How many keys of the leaf are below the key. */
static uint32_t place_in(const struct order_leaf *leaf, uint64_t key)
{
    uint32_t low = 0, high = leaf->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (leaf->keys[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct order_leaf *insert_leaf(struct order *o, uint32_t at)
{
    struct order_leaf *leaf = pool_get(&o->leaves);
    BUG_ON(!leaf); /* MERGE says how many there can be */
    leaf->n = 0;
    memmove(o->list + at + 1, o->list + at, (o->count - at) * sizeof(struct order_leaf *));
    o->list[at] = leaf;
    o->count++;
    return leaf;
}

static void remove_leaf(struct order *o, uint32_t at)
{
    pool_put(&o->leaves, o->list[at]);
    o->count--;
    memmove(o->list + at, o->list + at + 1, (o->count - at) * sizeof(struct order_leaf *));
}

static void insert_at(struct order_leaf *leaf, uint32_t at, uint64_t key, uint32_t value)
{
    memmove(leaf->keys + at + 1, leaf->keys + at, (leaf->n - at) * sizeof *leaf->keys);
    memmove(leaf->values + at + 1, leaf->values + at, (leaf->n - at) * sizeof *leaf->values);
    leaf->keys[at] = key;
    leaf->values[at] = value;
    leaf->n++;
}

/* Appends keys from..from+n of the one to the other. */
static void move_keys(struct order_leaf *to, const struct order_leaf *from, uint32_t first)
{
    uint32_t n = from->n - first;
    memcpy(to->keys + to->n, from->keys + first, n * sizeof *to->keys);
    memcpy(to->values + to->n, from->values + first, n * sizeof *to->values);
    to->n += n;
}

bool order_add(struct order *o, uint64_t key, uint32_t value)
{
    if (o->n == o->capacity)
        return false;
    if (o->count == 0)
        (void)insert_leaf(o, 0);
    uint32_t at = leaf_of(o, key);
    struct order_leaf *leaf = o->list[at];
    uint32_t place = place_in(leaf, key);
    BUG_ON(place < leaf->n && leaf->keys[place] == key);
    if (leaf->n == LEAF && place == LEAF && at + 1 == o->count) {
        /* Ascending keys fill leaf after leaf. */
        leaf = insert_leaf(o, at + 1);
        place = 0;
    } else if (leaf->n == LEAF) {
        struct order_leaf *right = insert_leaf(o, at + 1);
        move_keys(right, leaf, LEAF / 2);
        leaf->n = LEAF / 2;
        if (place > LEAF / 2) {
            place -= LEAF / 2;
            leaf = right;
        }
    }
    insert_at(leaf, place, key, value);
    o->n++;
    return true;
}

/* Joins the leaf with its right neighbour when both are nearly empty. */
static void join(struct order *o, uint32_t at)
{
    if (at + 1 >= o->count || o->list[at]->n + o->list[at + 1]->n > MERGE)
        return;
    move_keys(o->list[at], o->list[at + 1], 0);
    remove_leaf(o, at + 1);
}

bool order_remove(struct order *o, uint64_t key)
{
    if (o->count == 0)
        return false;
    uint32_t at = leaf_of(o, key);
    struct order_leaf *leaf = o->list[at];
    uint32_t place = place_in(leaf, key);
    if (place == leaf->n || leaf->keys[place] != key)
        return false;
    leaf->n--;
    o->n--;
    memmove(leaf->keys + place, leaf->keys + place + 1, (leaf->n - place) * sizeof *leaf->keys);
    memmove(leaf->values + place, leaf->values + place + 1,
            (leaf->n - place) * sizeof *leaf->values);
    if (leaf->n == 0) {
        remove_leaf(o, at);
        if (at > 0) /* those at both sides are neighbours now */
            join(o, at - 1);
        return true;
    }
    join(o, at);
    if (at > 0)
        join(o, at - 1);
    return true;
}

bool order_find(const struct order *o, uint64_t key, uint32_t *value)
{
    if (o->count == 0)
        return false;
    const struct order_leaf *leaf = o->list[leaf_of(o, key)];
    uint32_t place = place_in(leaf, key);
    if (place == leaf->n || leaf->keys[place] != key)
        return false;
    *value = leaf->values[place];
    return true;
}

bool order_next(const struct order *o, uint64_t after, uint64_t *key, uint32_t *value)
{
    if (o->count == 0 || after == UINT64_MAX)
        return false;
    uint32_t at = leaf_of(o, after + 1);
    uint32_t place = place_in(o->list[at], after + 1);
    if (place == o->list[at]->n) {
        at++;
        place = 0;
    }
    if (at == o->count)
        return false;
    *key = o->list[at]->keys[place];
    *value = o->list[at]->values[place];
    return true;
}
