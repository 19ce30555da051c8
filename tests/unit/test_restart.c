/* The master's pure parts: pauses between restarts, and what a worker hangs on. */
#include "workers/master/master.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdlib.h>

START_TEST(first_restart_is_at_once)
{
    uint32_t failures = 0;
    ck_assert_uint_eq(restart_pause(&failures, 5), 0);
    ck_assert_uint_eq(failures, 1);
}
END_TEST

START_TEST(pauses_double_up_to_the_longest)
{
    uint32_t failures = 0;
    static const unsigned expected[] = {0,    100,   200,   400,   800,   1600, 3200,
                                        6400, 12800, 25600, 30000, 30000, 30000};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        ck_assert_uint_eq(restart_pause(&failures, RESTART_QUICK - 1), expected[i]);
    failures = UINT32_MAX;
    ck_assert_uint_eq(restart_pause(&failures, 0), RESTART_PAUSE_MAX);
    ck_assert_uint_eq(failures, UINT32_MAX);
}
END_TEST

START_TEST(a_longer_life_does_not_double)
{
    uint32_t failures = 3;
    ck_assert_uint_eq(restart_pause(&failures, RESTART_QUICK), 400);
    ck_assert_uint_eq(restart_pause(&failures, RESTART_CALM - 1), 400);
    ck_assert_uint_eq(failures, 3);
}
END_TEST

START_TEST(a_calm_minute_resets)
{
    uint32_t failures = 9;
    ck_assert_uint_eq(restart_pause(&failures, RESTART_CALM), 0);
    ck_assert_uint_eq(failures, 0);
    ck_assert_uint_eq(restart_pause(&failures, 0), 0);
    ck_assert_uint_eq(restart_pause(&failures, 0), RESTART_PAUSE_FIRST);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("restart");
    TCase *t = tcase_create("pause");
    tcase_add_test(t, first_restart_is_at_once);
    tcase_add_test(t, pauses_double_up_to_the_longest);
    tcase_add_test(t, a_longer_life_does_not_double);
    tcase_add_test(t, a_calm_minute_resets);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
