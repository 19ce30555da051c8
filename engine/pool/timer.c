/* A 4-ary heap of deadlines: half the levels of a binary one, and four children a cache line. */
#include "engine/pool/timer.h"
#include "engine/pool/reserve.h"
#include "status.h"

enum { ARITY = 4 };

int timer_heap_init(struct timer_heap *heap, uint32_t capacity)
{
    BUG_ON(capacity == 0);
    *heap = (struct timer_heap){.capacity = capacity};
    heap->entries = reserve_memory(sizeof *heap->entries, capacity);
    return heap->entries ? 0 : -1;
}

void timer_heap_destroy(struct timer_heap *heap)
{
    release_memory(heap->entries, sizeof *heap->entries, heap->capacity);
    *heap = (struct timer_heap){0};
}

static void place(struct timer_heap *heap, uint32_t at, struct timer_entry entry)
{
    heap->entries[at] = entry;
    entry.timer->position = at + 1;
}

static void sift_up(struct timer_heap *heap, uint32_t at, struct timer_entry entry)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (heap->entries[parent].deadline <= entry.deadline)
            break;
        place(heap, at, heap->entries[parent]);
        at = parent;
    }
    place(heap, at, entry);
}

static void sift_down(struct timer_heap *heap, uint32_t at, struct timer_entry entry)
{
    for (;;) {
        uint64_t first = (uint64_t)at * ARITY + 1;
        if (first >= heap->n)
            break;
        uint32_t least = (uint32_t)first;
        for (uint64_t child = first + 1; child < first + ARITY && child < heap->n; child++)
            if (heap->entries[child].deadline < heap->entries[least].deadline)
                least = (uint32_t)child;
        if (heap->entries[least].deadline >= entry.deadline)
            break;
        place(heap, at, heap->entries[least]);
        at = least;
    }
    place(heap, at, entry);
}

/* Puts entry where `at` is a hole, in whichever direction it belongs. */
static void fill(struct timer_heap *heap, uint32_t at, struct timer_entry entry)
{
    if (at > 0 && heap->entries[(at - 1) / ARITY].deadline > entry.deadline)
        sift_up(heap, at, entry);
    else
        sift_down(heap, at, entry);
}

static uint32_t position_of(const struct timer_heap *heap, const struct timer *timer)
{
    uint32_t at = timer->position - 1;
    BUG_ON(at >= heap->n || heap->entries[at].timer != timer);
    return at;
}

bool timer_arm(struct timer_heap *heap, struct timer *timer, uint64_t deadline)
{
    struct timer_entry entry = {.deadline = deadline, .timer = timer};
    if (timer_armed(timer)) {
        fill(heap, position_of(heap, timer), entry);
        return true;
    }
    if (heap->n == heap->capacity)
        return false;
    heap->n++;
    sift_up(heap, heap->n - 1, entry);
    return true;
}

void timer_cancel(struct timer_heap *heap, struct timer *timer)
{
    if (!timer_armed(timer))
        return;
    uint32_t at = position_of(heap, timer);
    timer->position = 0;
    heap->n--;
    if (at < heap->n)
        fill(heap, at, heap->entries[heap->n]);
}

uint64_t timer_deadline(const struct timer_heap *heap, const struct timer *timer)
{
    return heap->entries[position_of(heap, timer)].deadline;
}

struct timer *timer_expired(struct timer_heap *heap, uint64_t now)
{
    if (heap->n == 0 || heap->entries[0].deadline > now)
        return NULL;
    struct timer *timer = heap->entries[0].timer;
    timer_cancel(heap, timer);
    return timer;
}
