/*
 * transfer: does a message come fast enough? Measured over windows of LIMIT_TRANSFER_SECONDS, so
 * that a pause of the network is forgiven and a trickle is not. Pure.
 */
#ifndef MGID_TRANSFER_H
#define MGID_TRANSFER_H

#include "limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transfer {
    uint64_t begun;  /* microseconds; 0: not yet */
    uint64_t window; /* when it began … */
    uint64_t bytes;  /* … and what has come in it */
    bool held;       /* … but we held it up, so that it tells nothing of the sender */
};

enum transfer_verdict { TRANSFER_GOOD, TRANSFER_SLOW, TRANSFER_LONG };

/* At `now`, not 0. */
void transfer_begin(struct transfer *p, uint64_t now);

/* So much has come; `held`: what is behind it has to wait for us. */
void transfer_take(struct transfer *p, size_t bytes, bool held);

/* To be asked when something comes, before it is taken. TRANSFER_SLOW: less than `bytes_per_second`
 * (0: any will do) since the window began, which is over; TRANSFER_LONG: longer than `seconds` in
 * all. */
enum transfer_verdict transfer_judge(struct transfer *p, uint64_t now, uint32_t bytes_per_second,
                                     uint32_t seconds);

#endif
