/* The pace of a destination against a model that remembers everything that happened. */
#include "workers/connection/pace.h"
#include "tests/unit/random.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdlib.h>

enum { SECOND = 1000000 };

static const struct pace_limits usual = {
    .connections = 20, .rate = 0, .pause_first = 30, .pause_max = 900};

START_TEST(connections_grow_with_success_and_halve)
{
    struct pace p;
    pace_begin(&p);
    for (uint32_t n = 0; n < PACE_FIRST; n++)
        ck_assert(pace_may_connect(&p, &usual, 0, n));
    ck_assert(!pace_may_connect(&p, &usual, 0, PACE_FIRST));
    for (int i = 0; i < 100; i++)
        pace_succeeded(&p, &usual);
    ck_assert(pace_may_connect(&p, &usual, 0, 19));
    ck_assert(!pace_may_connect(&p, &usual, 0, 20));
    pace_slowed(&p);
    ck_assert(!pace_may_connect(&p, &usual, 0, 10));
    for (int i = 0; i < 10; i++)
        pace_slowed(&p);
    ck_assert(pace_may_connect(&p, &usual, 0, 0)); /* never none */
    ck_assert(!pace_may_connect(&p, &usual, 0, 1));
}
END_TEST

START_TEST(a_lower_limit_of_a_new_policy_holds_at_once)
{
    struct pace p;
    struct pace_limits low = usual;
    low.connections = 2;
    pace_begin(&p);
    for (int i = 0; i < 100; i++)
        pace_succeeded(&p, &usual);
    ck_assert(!pace_may_connect(&p, &low, 0, 2));
    ck_assert(pace_may_connect(&p, &low, 0, 1));
}
END_TEST

START_TEST(the_breaker_lets_one_connection_try)
{
    struct pace p;
    uint64_t now = 5 * SECOND;
    pace_begin(&p);
    pace_failed(&p, &usual, now, 0);
    ck_assert(pace_broken(&p));
    ck_assert_uint_eq(pace_not_before(&p, &usual, now), now + 30 * (uint64_t)SECOND);
    ck_assert(!pace_may_connect(&p, &usual, now + 29 * SECOND, 0));
    now += 30 * (uint64_t)SECOND;
    ck_assert(pace_may_connect(&p, &usual, now, 0));
    ck_assert(!pace_may_connect(&p, &usual, now, 1));
    pace_failed(&p, &usual, now, 0);
    ck_assert_uint_eq(pace_not_before(&p, &usual, now), now + 60 * (uint64_t)SECOND);
    for (int i = 0; i < 40; i++)
        pace_failed(&p, &usual, now, 0);
    ck_assert_uint_eq(pace_not_before(&p, &usual, now), now + 900 * (uint64_t)SECOND);
    pace_answered(&p);
    ck_assert(!pace_broken(&p));
    ck_assert(pace_may_connect(&p, &usual, now, 0));
    pace_failed(&p, &usual, now, UINT32_MAX); /* the shortest pause by chance */
    ck_assert_uint_ge(pace_not_before(&p, &usual, now), now + 22 * (uint64_t)SECOND);
}
END_TEST

/* Whatever happens: never more connections than allowed, never more mails in a minute than the rate
 * and one second's worth (and one), never anything while the breaker is open, and never stuck: when
 * something may not be, pace_not_before says until when, or a connection is open. */
START_TEST(random_acts_keep_the_promises)
{
    enum { MAILS = 2000 };
    static uint64_t sent[MAILS];
    unsigned n = 0;
    uint32_t open = 0;
    uint64_t now = 1 + random_below(1000 * (uint64_t)SECOND);
    struct pace p;
    random_state = 0x9e3779b97f4a7c15u + (uint64_t)_i * 77;
    struct pace_limits l = {.connections = 1 + (uint32_t)random_below(30),
                            .rate = (uint32_t)random_below(3) * 40,
                            .pause_first = 1 + (uint32_t)random_below(30),
                            .pause_max = 100};
    pace_begin(&p);
    while (n < MAILS) {
        uint64_t before = pace_not_before(&p, &l, now);
        switch (random_below(8)) {
        case 0:
        case 1:
            if (pace_may_connect(&p, &l, now, open)) {
                ck_assert(now >= p.down_until);
                open++;
            } else {
                ck_assert(open > 0 || before > now);
            }
            ck_assert_uint_le(open, l.connections);
            break;
        case 2:
        case 3:
            if (open > 0 && pace_may_send(&p, &l, now)) {
                pace_sent(&p, &l, now);
                sent[n++] = now;
                unsigned first = n - 1;
                while (first > 0 && sent[first - 1] + 60 * (uint64_t)SECOND > now)
                    first--;
                if (l.rate > 0)
                    ck_assert_uint_le(n - first, l.rate + l.rate / 60 + 2);
            } else if (open > 0) {
                ck_assert_uint_gt(before, now);
            }
            break;
        case 4:
            if (open > 0)
                pace_succeeded(&p, &l);
            break;
        case 5:
            if (open > 0 && random_below(4) == 0) {
                pace_slowed(&p);
                open--;
            }
            break;
        case 6:
            if (now >= p.down_until && random_below(20) == 0) {
                pace_failed(&p, &l, now, (uint32_t)random_below(UINT32_MAX));
                open = 0;
                uint64_t pause = pace_not_before(&p, &l, now) - now;
                ck_assert_uint_ge(pause, l.pause_first * (uint64_t)SECOND * 3 / 4);
                if (l.rate == 0)
                    ck_assert_uint_le(pause, l.pause_max * (uint64_t)SECOND);
            }
            break;
        default:
            now += random_below(2 * SECOND);
        }
        ck_assert_uint_ge(p.allowed, 1);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pace");
    TCase *tc = tcase_create("pace");
    tcase_add_test(tc, connections_grow_with_success_and_halve);
    tcase_add_test(tc, a_lower_limit_of_a_new_policy_holds_at_once);
    tcase_add_test(tc, the_breaker_lets_one_connection_try);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, random_acts_keep_the_promises, 0, 12);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
