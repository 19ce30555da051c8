/*
 * fuzz: what the fuzzed targets share. A target is one file fuzz_NAME.c with
 * LLVMFuzzerTestOneInput, built for libFuzzer (`make fuzz`) and, with replay.c, as a program that
 * runs the corpus once
 * (`make test`).
 */
#ifndef MGID_FUZZ_H
#define MGID_FUZZ_H

#include "span.h"
#include <stdio.h>
#include <stdlib.h>

/* What must hold for every input. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of its own allocation, so that ASan sees a byte too many. Free it. */
static inline unsigned char *fuzz_copy(struct span s)
{
    unsigned char *p = malloc(s.n > 0 ? s.n : 1);
    FUZZ_CHECK(p != NULL);
    memcpy(p, s.p, s.n);
    return p;
}

/* Takes a byte off the front; 0 when there is none. */
static inline unsigned fuzz_byte(struct span *in)
{
    unsigned v = in->n > 0 ? in->p[0] : 0;
    *in = span_from(*in, 1);
    return v;
}

/* The length of the next piece of n bytes, by a seed: mostly small, so that every boundary is
 * met. Never 0 unless n is. */
static inline size_t fuzz_cut(uint32_t *seed, size_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    size_t wanted = (*seed >> 24) < 160 ? 1 + (*seed >> 16) % 7 : 1 + (*seed >> 8) % 300;
    return wanted < n ? wanted : n;
}

/* A growing record of what a run came to, for comparing two runs. */
struct fuzz_log {
    unsigned char *p;
    size_t n, capacity;
};

static inline void fuzz_log_put(struct fuzz_log *l, struct span s)
{
    if (l->n + s.n > l->capacity) {
        l->capacity = 2 * (l->n + s.n);
        l->p = realloc(l->p, l->capacity);
        FUZZ_CHECK(l->p != NULL);
    }
    if (s.n > 0)
        memcpy(l->p + l->n, s.p, s.n);
    l->n += s.n;
}

static inline void fuzz_log_number(struct fuzz_log *l, uint64_t v)
{
    fuzz_log_put(l, span_of(&v, sizeof v));
}

static inline bool fuzz_log_same(const struct fuzz_log *a, const struct fuzz_log *b)
{
    return span_eq(span_of(a->p, a->n), span_of(b->p, b->n));
}

#endif
