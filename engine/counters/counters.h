/*
 * counters: a page of shared memory a connection worker, in a memfd of LIMIT_COUNTER_PAGE bytes.
 *
 * The worker maps it writable and is its only writer, so that a relaxed load and store counts
 * without a locked instruction. Control maps it read-only and may see a value a moment late, but
 * never half of one. What the page says is the worker's word: a reader uses the values as
 * numbers to show and for nothing else.
 */
#ifndef MGID_COUNTERS_H
#define MGID_COUNTERS_H

#include "limits.h"
#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum counter {
#define COUNTER(name, kind, help) COUNTER_##name,
#include "engine/counters/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

enum counter_kind { COUNTER_KIND_counter, COUNTER_KIND_gauge, COUNTER_KIND_earliest };

struct counter_description {
    const char *name;
    const char *help;
    enum counter_kind kind;
};

/* Indexed by enum counter. */
extern const struct counter_description counter_descriptions[COUNTER_COUNT];

enum histogram {
#define HISTOGRAM(name, ...) HISTOGRAM_##name,
#include "engine/counters/histograms.def"
#undef HISTOGRAM
    HISTOGRAM_COUNT
};

enum { HISTOGRAM_BOUNDS = 10 };

struct histogram_description {
    const char *name;
    uint64_t scale;
    const char *help;
    uint64_t bounds[HISTOGRAM_BOUNDS]; /* ascending; 0: no further one */
};

/* Indexed by enum histogram. */
extern const struct histogram_description histogram_descriptions[HISTOGRAM_COUNT];

/* What was observed: how often up to each bound (and above that before it), and above the last. */
struct histogram_values {
    _Atomic uint64_t buckets[HISTOGRAM_BOUNDS + 1];
    _Atomic uint64_t sum;
};

/* "mgidcntr" read as a number, and the layout's version: a page of another build is refused. */
#define COUNTERS_MAGIC UINT64_C(0x72746e636469676d)
#define COUNTERS_VERSION 2

struct counters_page {
    uint64_t magic;
    uint32_t version;
    uint16_t count;            /* COUNTER_COUNT of the build that made it */
    uint16_t histograms_count; /* HISTOGRAM_COUNT likewise */
    _Atomic uint64_t values[COUNTER_COUNT];
    struct histogram_values histograms[HISTOGRAM_COUNT];
};
static_assert(sizeof(struct counters_page) <= LIMIT_COUNTER_PAGE, "the counters fit their page");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "another process reads the values");

/* Makes a page, its header written and its counters 0, sealed against a change of size (so that
 * no holder can take the memory from under another). fds[0] is for the worker, fds[1] is for
 * reading only. Both are close-on-exec. Returns 0, or -1 with errno. */
int counters_create(int fds[2]);

/* Maps a page that counters_create made; the descriptor may be closed afterwards. Mapped
 * writable, all gauges are set to 0: a worker that starts holds nothing yet. NULL with errno;
 * EINVAL when the descriptor is not such a page. */
struct counters_page *counters_map(int fd, bool writable);

void counters_unmap(struct counters_page *page);

/* The values at this moment; each is whole, together they are of nearly one time. */
void counters_read(const struct counters_page *page, uint64_t values[COUNTER_COUNT]);

static inline uint64_t counter_value(const struct counters_page *page, enum counter c)
{
    return atomic_load_explicit(&page->values[c], memory_order_relaxed);
}

static inline void counter_set(struct counters_page *page, enum counter c, uint64_t value)
{
    atomic_store_explicit(&page->values[c], value, memory_order_relaxed);
}

static inline void counter_add(struct counters_page *page, enum counter c, uint64_t n)
{
    counter_set(page, c, counter_value(page, c) + n);
}

/* For gauges. */
static inline void counter_sub(struct counters_page *page, enum counter c, uint64_t n)
{
    counter_set(page, c, counter_value(page, c) - n);
}

/* Counts the value, as the histogram is observed in. */
static inline void histogram_observe(struct counters_page *page, enum histogram h, uint64_t value)
{
    struct histogram_values *v = &page->histograms[h];
    const uint64_t *bounds = histogram_descriptions[h].bounds;
    unsigned i = 0;
    while (i < HISTOGRAM_BOUNDS && bounds[i] > 0 && value > bounds[i])
        i++;
    i = i < HISTOGRAM_BOUNDS && bounds[i] > 0 ? i : HISTOGRAM_BOUNDS;
    uint64_t n = atomic_load_explicit(&v->buckets[i], memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&v->sum, memory_order_relaxed);
    atomic_store_explicit(&v->buckets[i], n + 1, memory_order_relaxed);
    atomic_store_explicit(&v->sum, sum + value, memory_order_relaxed);
}

#endif
