/* Shared texts: a hash table of counted strings. */
#include "engine/pool/texts.h"
#include "engine/pool/reserve.h"
#include "status.h"
#include <stdlib.h>

struct text {
    char *p;
    uint32_t n;
    uint32_t hash;
    uint32_t users;
    uint32_t next; /* in its bucket, or in the free list */
};

int texts_init(struct texts *t, uint32_t capacity, size_t bytes, uint64_t seed)
{
    uint32_t buckets = 1;
    BUG_ON(capacity == 0 || capacity >= UINT32_MAX / 2);
    while (buckets < capacity)
        buckets *= 2;
    *t = (struct texts){
        .capacity = capacity, .mask = buckets - 1, .fresh = 1, .bytes_max = bytes, .seed = seed};
    t->list = reserve_memory(sizeof *t->list, capacity + 1);
    t->buckets = reserve_memory(sizeof *t->buckets, buckets);
    if (t->list && t->buckets)
        return 0;
    texts_destroy(t);
    return -1;
}

void texts_destroy(struct texts *t)
{
    for (uint32_t i = 1; t->list && i < t->fresh; i++)
        free(t->list[i].p);
    release_memory(t->list, sizeof *t->list, t->capacity + 1);
    release_memory(t->buckets, sizeof *t->buckets, t->mask + 1);
    *t = (struct texts){0};
}

static uint32_t hash_of(const struct texts *t, struct span text)
{
    uint64_t h = t->seed;
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ text.p[i]) * UINT64_C(0x100000001b3);
    h ^= h >> 29;
    h *= UINT64_C(0xbf58476d1ce4e5b9) ^ (t->seed << 1);
    return (uint32_t)(h >> 32);
}

/* A place for a text; 0 when there is none. */
static uint32_t take_place(struct texts *t)
{
    uint32_t number = t->free;
    if (number != 0) {
        t->free = t->list[number].next;
        return number;
    }
    return t->fresh <= t->capacity ? t->fresh++ : 0;
}

static void give_place(struct texts *t, uint32_t number)
{
    t->list[number] = (struct text){.next = t->free};
    t->free = number;
}

uint32_t texts_hold(struct texts *t, struct span text)
{
    if (text.n == 0)
        return 0;
    uint32_t hash = hash_of(t, text);
    uint32_t *bucket = &t->buckets[hash & t->mask];
    for (uint32_t i = *bucket; i != 0; i = t->list[i].next) {
        struct text *one = &t->list[i];
        if (one->hash == hash && span_eq(span_of(one->p, one->n), text))
            return texts_hold_again(t, i);
    }
    if (text.n > t->bytes_max - t->bytes)
        return 0;
    uint32_t number = take_place(t);
    if (number == 0)
        return 0;
    char *p = malloc(text.n);
    if (!p) {
        give_place(t, number);
        return 0;
    }
    memcpy(p, text.p, text.n);
    t->list[number] =
        (struct text){.p = p, .n = (uint32_t)text.n, .hash = hash, .users = 1, .next = *bucket};
    t->bytes += text.n;
    *bucket = number;
    return number;
}

uint32_t texts_hold_again(struct texts *t, uint32_t number)
{
    if (number == 0)
        return 0;
    BUG_ON(number >= t->fresh || t->list[number].users == 0);
    t->list[number].users++;
    return number;
}

void texts_release(struct texts *t, uint32_t number)
{
    if (number == 0)
        return;
    struct text *one = &t->list[number];
    BUG_ON(number >= t->fresh || one->users == 0);
    if (--one->users > 0)
        return;
    uint32_t *place = &t->buckets[one->hash & t->mask];
    while (*place != number)
        place = &t->list[*place].next;
    *place = one->next;
    t->bytes -= one->n;
    free(one->p);
    give_place(t, number);
}

struct span texts_span(const struct texts *t, uint32_t number)
{
    if (number == 0)
        return SPAN_EMPTY;
    BUG_ON(number >= t->fresh || t->list[number].users == 0);
    return span_of(t->list[number].p, t->list[number].n);
}
