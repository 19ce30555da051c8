/*
 * queue_action.h: what an operator can do to queued mails (queue_request in messages.def).
 */
#ifndef MGID_QUEUE_ACTION_H
#define MGID_QUEUE_ACTION_H

/* X(NAME, command, done): the admin socket's command is "queue-" and the word; `done` is what a
 * report says was done. */
#define QUEUE_ACTIONS(X)                                                                           \
    X(LIST, "list", "listed")                                                                      \
    X(HOLD, "hold", "held")            /* whole mails: they wait until they are released */        \
    X(RELEASE, "release", "released")  /* whole mails */                                           \
    X(RETRY, "retry", "tried now")     /* whole mails, and their destinations' breakers */         \
    X(BOUNCE, "bounce", "bounced")     /* recipients: a notification goes to the sender */         \
    X(DELETE, "delete", "deleted")     /* recipients: nobody is told */                            \
    X(REDIRECT, "redirect", "redirected") /* recipients: to another route, or another address */

enum queue_action {
#define X(NAME, command, done) QUEUE_##NAME,
    QUEUE_ACTIONS(X)
#undef X
        QUEUE_ACTION_COUNT
};

#endif
