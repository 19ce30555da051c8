/* The pace of a message. */
#include "engine/guard/transfer.h"

static const uint64_t second = 1000000;

static void next_window(struct transfer *p, uint64_t now)
{
    p->window = now;
    p->bytes = 0;
    p->held = false;
}

void transfer_begin(struct transfer *p, uint64_t now)
{
    p->begun = now;
    next_window(p, now);
}

void transfer_take(struct transfer *p, size_t bytes, bool held)
{
    p->bytes += bytes;
    p->held = p->held || held;
}

enum transfer_verdict transfer_judge(struct transfer *p, uint64_t now, uint32_t bytes_per_second,
                                     uint32_t seconds)
{
    uint64_t elapsed = (now - p->window) / second;
    if (p->begun == 0)
        return TRANSFER_GOOD;
    if (now - p->begun > seconds * second)
        return TRANSFER_LONG;
    if (elapsed < LIMIT_TRANSFER_SECONDS)
        return TRANSFER_GOOD;
    bool slow = !p->held && p->bytes < bytes_per_second * elapsed;
    next_window(p, now);
    return slow ? TRANSFER_SLOW : TRANSFER_GOOD;
}
