/*
 * recipient_state.h: where a recipient of a queued mail stands (queue_result in messages.def).
 */
#ifndef MGID_RECIPIENT_STATE_H
#define MGID_RECIPIENT_STATE_H

/* X(NAME, text): text is what Postfix's `postqueue -j` calls the queue of such a mail. */
#define RECIPIENT_STATES(X)                                                                        \
    X(QUEUED, "incoming") /* waits for its first attempt */                                        \
    X(ACTIVE, "active")   /* an attempt is under way */                                            \
    X(DEFERRED, "deferred")                                                                        \
    X(HELD, "hold")           /* by the operator */                                                \
    X(DELIVERED, "delivered") /* final */                                                          \
    X(FAILED, "failed")       /* final: bounced, or needs no bounce */

enum recipient_state {
#define X(NAME, text) RECIPIENT_##NAME,
    RECIPIENT_STATES(X)
#undef X
        RECIPIENT_STATE_COUNT
};

/* "unknown" for a number that is no state. */
static inline const char *recipient_state_text(unsigned state)
{
    static const char *const texts[] = {
#define X(NAME, text) text,
        RECIPIENT_STATES(X)
#undef X
    };
    return state < RECIPIENT_STATE_COUNT ? texts[state] : "unknown";
}

#endif
