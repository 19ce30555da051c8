/*
 * timer: deadlines in a 4-ary heap. The timer lies in its owner's structure; the heap holds
 * pointers beside their deadlines, so that sifting touches the array and not the owners. Arm,
 * re-arm and cancel are O(log n), the next deadline O(1). Pure: the caller brings the time,
 * microseconds of a clock that never goes back.
 */
#ifndef MGID_TIMER_H
#define MGID_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

/* All zero is a timer that is not armed. It must not move or go away while it is armed. */
struct timer {
    uint32_t position; /* place in the heap plus 1; 0: not armed */
    uint32_t kind;     /* the owner's: says what it lies in, where several kinds share a heap */
};

/* The structure of `type` whose member `member` is *timer. */
#define timer_owner(timer, type, member) ((type *)(void *)((char *)(timer)-offsetof(type, member)))

struct timer_entry {
    uint64_t deadline;
    struct timer *timer;
};

struct timer_heap {
    struct timer_entry *entries;
    uint32_t n;
    uint32_t capacity;
};

/* Room for `capacity` (at least 1) armed timers, laid out as a pool's memory is. Returns 0, or -1
 * with errno. */
int timer_heap_init(struct timer_heap *heap, uint32_t capacity);
void timer_heap_destroy(struct timer_heap *heap);

/* Arms the timer, or moves the deadline of an armed one. False, and nothing done, when the
 * timer is not armed and the heap is full. TIMER_NEVER is a deadline like any other. */
bool timer_arm(struct timer_heap *heap, struct timer *timer, uint64_t deadline);

/* Does nothing to a timer that is not armed. */
void timer_cancel(struct timer_heap *heap, struct timer *timer);

static inline bool timer_armed(const struct timer *timer)
{
    return timer->position != 0;
}

/* The deadline of an armed timer; a bug otherwise. */
uint64_t timer_deadline(const struct timer_heap *heap, const struct timer *timer);

/* The earliest deadline, TIMER_NEVER when no timer is armed. */
static inline uint64_t timer_next(const struct timer_heap *heap)
{
    return heap->n > 0 ? heap->entries[0].deadline : TIMER_NEVER;
}

/* Disarms and returns the timer with the earliest deadline when that is at or before `now`;
 * NULL when none is due. The order of equal deadlines is not defined. A caller that re-arms
 * in the past while it drains bounds its own loop. */
struct timer *timer_expired(struct timer_heap *heap, uint64_t now);

#endif
