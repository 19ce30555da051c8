/*
 * texts: texts that many owners share, each kept once and counted. What a next hop says is said of
 * thousands of mails alike. Bounded in number and bytes; numbers are small and stay valid while
 * somebody holds them. Pure but for memory.
 */
#ifndef MGID_TEXTS_H
#define MGID_TEXTS_H

#include "span.h"

struct text;

/* All fields are texts' own. */
struct texts {
    struct text *list;
    uint32_t *buckets;
    uint32_t mask;
    uint32_t capacity;
    uint32_t fresh; /* from here on never used */
    uint32_t free;  /* 0: none; a list through `next` */
    size_t bytes;
    size_t bytes_max;
    uint64_t seed;
};

/* At most `capacity` texts (numbers 1 .. capacity) of `bytes` together. The seed keeps a peer from
 * choosing texts that fall into one bucket. Returns 0, or -1 with errno. */
int texts_init(struct texts *t, uint32_t capacity, size_t bytes, uint64_t seed);
void texts_destroy(struct texts *t);

/* Holds the text once more: its number, or 0 when it is empty or there is no room for another. */
uint32_t texts_hold(struct texts *t, struct span text);

/* Holds it once more by its number; 0 stays 0. */
uint32_t texts_hold_again(struct texts *t, uint32_t number);

/* Lets one hold go; of 0 nothing happens. */
void texts_release(struct texts *t, uint32_t number);

/* The text; empty for 0. Valid while it is held. */
struct span texts_span(const struct texts *t, uint32_t number);

#endif
