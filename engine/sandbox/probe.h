/*
 * probe: the place where a test build tries, inside a real role whose sandbox is closed, what must
 * not be possible (tests/sandbox). In every other build all of it is nothing.
 */
#ifndef MGID_SANDBOX_PROBE_H
#define MGID_SANDBOX_PROBE_H

#ifdef MGID_SANDBOX_PROBE
struct io_uring;
struct role_start;

/* Before the sandbox closes: learns which act to try, and what is open. */
void sandbox_probe_prepare(const struct role_start *start);
/* The worker's one ring, restricted and enabled. */
void sandbox_probe_ring(struct io_uring *ring);
/* After it closed: tries the act and logs what came of it, if that is still possible. */
void sandbox_probe_act(void);
#else
#define sandbox_probe_prepare(start) ((void)(start))
#define sandbox_probe_ring(ring) ((void)(ring))
#define sandbox_probe_act() ((void)0)
#endif

#endif
