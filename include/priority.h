/*
 * priority.h: how urgent a recipient's copy is (struct recipient, the stored envelope). A rule
 * says so; what is ready for the same destination goes out in that order.
 */
#ifndef MGID_PRIORITY_H
#define MGID_PRIORITY_H

#include <stddef.h>

/* X(NAME, word): the numbers are stored, so that they never change their meaning. */
#define PRIORITIES(X)                                                                              \
    X(NORMAL, "normal")                                                                            \
    X(HIGH, "high")                                                                                \
    X(LOW, "low")

enum priority {
#define X(NAME, word) PRIORITY_##NAME,
    PRIORITIES(X)
#undef X
        PRIORITY_COUNT
};

/* Its word, or NULL: no priority has that number. */
static inline const char *priority_word(unsigned priority)
{
    static const char *const words[] = {
#define X(NAME, word) word,
        PRIORITIES(X)
#undef X
    };
    return priority < PRIORITY_COUNT ? words[priority] : NULL;
}

#endif
