/* How hard a destination may be driven. */
#include "workers/connection/pace.h"

enum {
    SECOND = 1000000,
    MINUTE = 60 * SECOND,
    BURST = SECOND, /* that mails may be ahead of an even spread; one mail in any case */
};

void pace_begin(struct pace *p)
{
    *p = (struct pace){.allowed = PACE_FIRST};
}

bool pace_may_connect(const struct pace *p, const struct pace_limits *l, uint64_t now,
                      uint32_t connections)
{
    if (now < p->down_until)
        return false;
    uint32_t most = pace_broken(p) ? 1 : p->allowed < l->connections ? p->allowed : l->connections;
    return connections < most;
}

/* ---- rate ------------------------------------------------------------------------------- */

bool pace_may_send(const struct pace *p, const struct pace_limits *l, uint64_t now)
{
    return l->rate == 0 || p->next_mail <= now + BURST;
}

void pace_sent(struct pace *p, const struct pace_limits *l, uint64_t now)
{
    if (l->rate == 0)
        return;
    if (p->next_mail < now)
        p->next_mail = now;
    p->next_mail += MINUTE / l->rate;
}

/* ---- connections, breaker --------------------------------------------------------------- */

void pace_answered(struct pace *p)
{
    p->failures = 0;
    p->down_until = 0;
}

void pace_succeeded(struct pace *p, const struct pace_limits *l)
{
    pace_answered(p);
    if (p->allowed < l->connections)
        p->allowed++;
}

void pace_slowed(struct pace *p)
{
    p->allowed = p->allowed > 1 ? p->allowed / 2 : 1;
}

void pace_failed(struct pace *p, const struct pace_limits *l, uint64_t now, uint32_t chance)
{
    uint64_t pause = l->pause_first;
    for (uint32_t i = 0; i < p->failures && pause < l->pause_max; i++)
        pause *= 2;
    if (pause > l->pause_max)
        pause = l->pause_max;
    pause *= SECOND;
    /* Up to a quarter less, so that not all that failed together come back together. */
    pause -= (pause / 4) * (chance & 0xffff) / 0xffff;
    if (p->failures < UINT32_MAX)
        p->failures++;
    p->down_until = now + pause;
    pace_slowed(p);
}

uint64_t pace_not_before(const struct pace *p, const struct pace_limits *l, uint64_t now)
{
    uint64_t at = p->down_until;
    if (!pace_may_send(p, l, now) && p->next_mail - BURST > at)
        at = p->next_mail - BURST;
    return at > now ? at : 0;
}
