/*
 * What a shard is after the power failed at any moment: a run of random acts on a disk in memory;
 * before each operation of the spool's on it, states that a failure there can leave are recovered
 * and compared with what was promised.
 *
 *     unit_spool_power [FIRST-SEED COUNT]     a long form, for `make crash`
 */
#include "tests/unit/spool_power.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEDS 2 /* of each kind; more by the long form */
#ifdef __SANITIZE_ADDRESS__
/* Every state lays out a shard's memory anew, which costs twenty times as much here: 260 acts took
 * over a minute a seed, and the whole more than the five that a test may take. */
#define ACTS 60
#else
#define ACTS 260
#endif

static void run(uint64_t seed, enum power_faults faults)
{
    struct power *p = power_new(seed, faults);
    for (unsigned i = 0; i < ACTS; i++)
        power_act(p);
    power_end(p);
}

START_TEST(power_fails)
{
    run((uint64_t)_i + 1, POWER_NO_FAULTS);
}
END_TEST

START_TEST(power_fails_on_a_bad_disk)
{
    run((uint64_t)_i + 1001, POWER_SYNC_FAULTS);
}
END_TEST

START_TEST(power_fails_on_a_full_disk)
{
    run((uint64_t)_i + 2001, POWER_FULL);
}
END_TEST

static int long_form(uint64_t first, uint64_t count)
{
    for (uint64_t seed = first; seed < first + count; seed++)
        run(seed, (enum power_faults)(seed % 3));
    struct power_count c = power_counted();
    printf("%llu runs: %llu mails accepted, %llu states replayed, %llu mails found again in them, "
           "0 lost\n",
           (unsigned long long)count, (unsigned long long)c.accepted, (unsigned long long)c.states,
           (unsigned long long)c.found);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return long_form(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
    Suite *suite = suite_create("spool_power");
    TCase *tc = tcase_create("spool_power");
    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, power_fails, 0, SEEDS);
    tcase_add_loop_test(tc, power_fails_on_a_bad_disk, 0, SEEDS);
    tcase_add_loop_test(tc, power_fails_on_a_full_disk, 0, SEEDS);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
