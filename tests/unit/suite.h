/*
 * suite: how every Check program of tests/unit ends.
 */
#ifndef MGID_TESTS_UNIT_SUITE_H
#define MGID_TESTS_UNIT_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Runs the suite, which is freed with it; main's exit status. */
static inline int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
