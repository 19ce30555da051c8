/*
 * crash_point: CRASH_POINT(NAME) kills the process with SIGKILL there, when the harness of `make
 * crash` has armed it (tests/crash). Only in a build with MGID_CRASH_POINTS; else it is nothing.
 */
#ifndef MGID_CRASH_POINT_H
#define MGID_CRASH_POINT_H

#ifdef MGID_CRASH_POINTS

enum crash_point {
#define CRASH_AT(NAME, what) CRASH_AT_##NAME,
#include "crash_points.def"
#undef CRASH_AT
    CRASH_POINT_COUNT
};

void crash_point(enum crash_point point);

/* "MGID_CRASH_PAGE=…" for the environment of a role, or NULL. */
char *crash_environment(void);

#define CRASH_POINT(NAME) crash_point(CRASH_AT_##NAME)

#else

#define CRASH_POINT(NAME) ((void)0)

#endif

#endif
