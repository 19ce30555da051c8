/*
 * process_state.h: what the master says of a process in roles_result (messages.def).
 */
#ifndef MGID_PROCESS_STATE_H
#define MGID_PROCESS_STATE_H

/* X(NAME, text). */
#define PROCESS_STATES(X)                                                                          \
    X(STARTING, "starting") /* forked, has not said `started` yet */                               \
    X(SERVING, "serving")                                                                          \
    X(DRAINING, "draining") /* finishes what is open, then exits */                                \
    X(WAITING, "waiting")   /* ended; will be started again after its pause */

enum process_state {
#define X(NAME, text) PROCESS_##NAME,
    PROCESS_STATES(X)
#undef X
        PROCESS_STATE_COUNT
};

/* "unknown" for a number that is no state. */
static inline const char *process_state_text(unsigned state)
{
    static const char *const texts[] = {
#define X(NAME, text) text,
        PROCESS_STATES(X)
#undef X
    };
    return state < PROCESS_STATE_COUNT ? texts[state] : "unknown";
}

#endif
