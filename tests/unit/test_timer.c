/* The timer heap against a list that is searched from end to end. */
#include "engine/pool/timer.h"
#include "tests/unit/random.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct owner {
    char before[13];
    struct timer timer;
    uint64_t deadline; /* what the heap should hold */
};

START_TEST(expires_in_order)
{
    static const uint64_t deadlines[] = {50, 10, 40, 10, 30, 0, TIMER_NEVER, 20};
    enum { COUNT = sizeof deadlines / sizeof deadlines[0] };
    struct timer_heap heap;
    struct owner owners[COUNT] = {0};
    ck_assert_int_eq(timer_heap_init(&heap, COUNT), 0);
    ck_assert_uint_eq(timer_next(&heap), TIMER_NEVER);
    ck_assert_ptr_null(timer_expired(&heap, TIMER_NEVER));
    for (unsigned i = 0; i < COUNT; i++) {
        owners[i].deadline = deadlines[i];
        ck_assert(timer_arm(&heap, &owners[i].timer, deadlines[i]));
        ck_assert_uint_eq(timer_deadline(&heap, &owners[i].timer), deadlines[i]);
    }
    ck_assert_uint_eq(timer_next(&heap), 0);
    uint64_t last = 0;
    for (unsigned i = 0; i < COUNT - 1; i++) {
        ck_assert_ptr_nonnull(heap.entries);
        struct timer *timer = timer_expired(&heap, 50);
        ck_assert_ptr_nonnull(timer);
        ck_assert(!timer_armed(timer));
        struct owner *owner = timer_owner(timer, struct owner, timer);
        ck_assert_uint_ge(owner->deadline, last);
        last = owner->deadline;
    }
    ck_assert_ptr_null(timer_expired(&heap, TIMER_NEVER - 1));
    ck_assert_ptr_eq(timer_expired(&heap, TIMER_NEVER), &owners[6].timer);
    timer_heap_destroy(&heap);
}
END_TEST

START_TEST(due_at_its_time_not_before)
{
    struct timer_heap heap;
    struct timer timer = {0};
    ck_assert_int_eq(timer_heap_init(&heap, 1), 0);
    ck_assert(timer_arm(&heap, &timer, 1000));
    ck_assert_ptr_null(timer_expired(&heap, 999));
    ck_assert(timer_armed(&timer));
    ck_assert(timer_arm(&heap, &timer, 2000));
    ck_assert_ptr_null(timer_expired(&heap, 1999));
    ck_assert_ptr_eq(timer_expired(&heap, 2000), &timer);
    ck_assert_ptr_null(timer_expired(&heap, 2000));
    timer_heap_destroy(&heap);
}
END_TEST

START_TEST(full_heap_refuses_but_rearms)
{
    struct timer_heap heap;
    struct timer timers[3] = {0};
    ck_assert_int_eq(timer_heap_init(&heap, 2), 0);
    ck_assert(timer_arm(&heap, &timers[0], 1));
    ck_assert(timer_arm(&heap, &timers[1], 2));
    ck_assert(!timer_arm(&heap, &timers[2], 0));
    ck_assert(!timer_armed(&timers[2]));
    ck_assert(timer_arm(&heap, &timers[0], 5));
    ck_assert_uint_eq(timer_next(&heap), 2);
    timer_cancel(&heap, &timers[2]);
    timer_cancel(&heap, &timers[1]);
    timer_cancel(&heap, &timers[1]);
    ck_assert(timer_arm(&heap, &timers[2], 0));
    ck_assert_uint_eq(timer_next(&heap), 0);
    timer_heap_destroy(&heap);
}
END_TEST

/* Every entry points to a timer that knows its place, no child before its parent. */
static void heap_is_sound(const struct timer_heap *heap)
{
    for (uint32_t i = 0; i < heap->n; i++) {
        ck_assert_uint_eq(heap->entries[i].timer->position, i + 1);
        if (i > 0)
            ck_assert_uint_le(heap->entries[(i - 1) / 4].deadline, heap->entries[i].deadline);
    }
}

static uint64_t least_deadline(const struct owner *owners, unsigned count)
{
    uint64_t least = TIMER_NEVER;
    for (unsigned i = 0; i < count; i++)
        if (timer_armed(&owners[i].timer) && owners[i].deadline < least)
            least = owners[i].deadline;
    return least;
}

START_TEST(random_acts_agree_with_a_list)
{
    enum { COUNT = 150, CAPACITY = 120 };
    static struct owner owners[COUNT];
    struct timer_heap heap;
    uint64_t now = 0;
    unsigned armed = 0;
    /* Few different deadlines in some runs, so that equal ones are common. */
    uint64_t spread = _i % 2 ? 8 : 1000000;
    random_state = 0x2545f4914f6cdd1du + (uint64_t)_i;
    memset(owners, 0, sizeof owners);
    ck_assert_int_eq(timer_heap_init(&heap, CAPACITY), 0);
    for (int act = 0; act < 30000; act++) {
        struct owner *owner = &owners[random_below(COUNT)];
        bool was_armed = timer_armed(&owner->timer);
        uint64_t kind = random_below(8);
        if (kind < 4) {
            uint64_t deadline = now + random_below(spread);
            bool done = timer_arm(&heap, &owner->timer, deadline);
            ck_assert(done == (was_armed || armed < CAPACITY));
            if (done) {
                owner->deadline = deadline;
                armed += !was_armed;
            }
        } else if (kind < 5) {
            timer_cancel(&heap, &owner->timer);
            armed -= was_armed;
        } else {
            now += random_below(spread / 4 + 1);
            uint64_t least = least_deadline(owners, COUNT);
            struct timer *timer = timer_expired(&heap, now);
            ck_assert((timer != NULL) == (armed > 0 && least <= now));
            if (timer) {
                ck_assert_uint_eq(timer_owner(timer, struct owner, timer)->deadline, least);
                ck_assert(!timer_armed(timer));
                armed--;
            }
        }
        ck_assert_uint_eq(heap.n, armed);
        ck_assert_uint_eq(timer_next(&heap), least_deadline(owners, COUNT));
        if (act % 16 == 0)
            heap_is_sound(&heap);
    }
    timer_heap_destroy(&heap);
}
END_TEST

START_TEST(timer_of_another_heap_is_a_bug)
{
    struct timer_heap a, b;
    struct timer timer = {0};
    struct timer other = {0};
    ck_assert_int_eq(timer_heap_init(&a, 2), 0);
    ck_assert_int_eq(timer_heap_init(&b, 2), 0);
    ck_assert(timer_arm(&a, &timer, 1));
    ck_assert(timer_arm(&b, &other, 1));
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    timer_cancel(&b, &timer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timer");
    TCase *tc = tcase_create("heap");
    tcase_add_test(tc, expires_in_order);
    tcase_add_test(tc, due_at_its_time_not_before);
    tcase_add_test(tc, full_heap_refuses_but_rearms);
    tcase_add_loop_test(tc, random_acts_agree_with_a_list, 0, 6);
    tcase_add_test_raise_signal(tc, timer_of_another_heap_is_a_bug, SIGABRT);
    tcase_set_timeout(tc, 30);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
