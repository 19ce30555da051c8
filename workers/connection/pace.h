/*
 * pace: how hard a destination may be driven. Pure: time (microseconds of a clock that does not go
 * back) and chance are the caller's.
 *
 *     connections  begin with PACE_FIRST, one more with each mail that was taken, up to the
 *                  policy's limit; half as many after a connection that broke or was refused
 *     rate         mails in any minute, evenly spread but for a burst of one second's worth
 *     breaker      after a failure of the destination as a whole nothing goes there for a pause
 *                  that doubles each time; then a single connection tries whether it is back
 */
#ifndef MGID_PACE_H
#define MGID_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum { PACE_FIRST = 3 };

/* The policy's, of the route. */
struct pace_limits {
    uint32_t connections; /* at least 1 */
    uint32_t rate;        /* mails a minute; 0: as they come */
    uint32_t pause_first; /* seconds, at least 1 */
    uint32_t pause_max;   /* at least pause_first */
};

struct pace {
    uint32_t allowed;    /* connections at this moment */
    uint32_t failures;   /* in a row, of the destination as a whole */
    uint64_t down_until; /* nothing before; 0: it is up */
    uint64_t next_mail;  /* when an evenly spread mail would be due */
};

void pace_begin(struct pace *p);

/* May another connection be opened beside so many? */
bool pace_may_connect(const struct pace *p, const struct pace_limits *l, uint64_t now,
                      uint32_t connections);

/* May a mail be begun? And: one was. */
bool pace_may_send(const struct pace *p, const struct pace_limits *l, uint64_t now);
void pace_sent(struct pace *p, const struct pace_limits *l, uint64_t now);

/* A mail was taken. / The next hop said something about a mail, if nothing good. */
void pace_succeeded(struct pace *p, const struct pace_limits *l);
void pace_answered(struct pace *p);

/* A connection broke or was refused, others may do. */
void pace_slowed(struct pace *p);

/* Nothing can be delivered there. chance: any number. */
void pace_failed(struct pace *p, const struct pace_limits *l, uint64_t now, uint32_t chance);

/* Not before that moment: the breaker is open, or the rate is used up; 0: now. */
uint64_t pace_not_before(const struct pace *p, const struct pace_limits *l, uint64_t now);

/* Is the breaker open, or waiting for the one connection that tries? */
static inline bool pace_broken(const struct pace *p)
{
    return p->down_until != 0;
}

#endif
