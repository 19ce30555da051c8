/*
 * steps.h: the two steps of sandbox_enter that have a file of their own. Not for others.
 */
#ifndef MGID_SANDBOX_STEPS_H
#define MGID_SANDBOX_STEPS_H

#include "engine/sandbox/sandbox.h"

/* Both return 0, or -1 with errno. */

/* Files, TCP ports, signals and abstract sockets, as far as the kernel's ABI goes. */
int sandbox_landlock(const struct sandbox_request *request, struct sandbox_result *result);

/* The system calls of syscalls.def; any other kills the process (SIGSYS). */
int sandbox_filter(const struct sandbox_request *request, struct sandbox_result *result);

#endif
