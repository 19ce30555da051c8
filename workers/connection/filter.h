/*
 * filter: which queued mails and recipients an operator means. Pure.
 */
#ifndef MGID_FILTER_H
#define MGID_FILTER_H

#include "span.h"

/* Empty spans, and the whole range of numbers, mean all. */
struct filter {
    struct span sender;    /* pattern; "<>": the null sender */
    struct span recipient; /* pattern */
    struct span route;     /* name */
    struct span reason;    /* part of it, letters compared without case */
    uint64_t arrived_from; /* microseconds since 1970, both included */
    uint64_t arrived_to;
    uint64_t size_min; /* bytes of content, both included */
    uint64_t size_max;
};

/* A pattern has * for any run of characters; letters compare without case. With an @ it is for the
 * whole address, without for the domain. */
bool filter_address(struct span pattern, struct span address);

/* By what is known without the envelope. */
bool filter_entry(const struct filter *f, uint64_t arrival, uint64_t size);

bool filter_sender(const struct filter *f, struct span sender);

/* A recipient, its route, and why it waits. */
bool filter_recipient(const struct filter *f, struct span address, struct span route,
                      struct span reason);

/* Can filter_recipient be told without address and reason? */
static inline bool filter_by_route_alone(const struct filter *f)
{
    return f->sender.n == 0 && f->recipient.n == 0 && f->reason.n == 0;
}

#endif
