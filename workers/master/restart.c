/* When a role that died is started again, and when a running one must be. Pure. */
#include "workers/master/master.h"

unsigned restart_pause(uint32_t *failures, uint64_t lived)
{
    if (lived >= RESTART_CALM)
        *failures = 0;
    unsigned pause = 0;
    if (*failures > 0) {
        pause = RESTART_PAUSE_FIRST;
        for (uint32_t i = 1; i < *failures && pause < RESTART_PAUSE_MAX; i++)
            pause *= 2;
    }
    if (lived < RESTART_QUICK && *failures < UINT32_MAX)
        ++*failures;
    return pause < RESTART_PAUSE_MAX ? pause : RESTART_PAUSE_MAX;
}

/* FNV-1a over whatever the bearings consist of. */
static void mix(uint64_t *h, const void *p, size_t n)
{
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++)
        *h = (*h ^ bytes[i]) * UINT64_C(0x100000001b3);
}

static void mix_number(uint64_t *h, uint64_t v)
{
    mix(h, &v, sizeof v);
}

static void mix_span(uint64_t *h, struct span s)
{
    mix_number(h, s.n);
    mix(h, s.p, s.n);
}

static void mix_endpoint(uint64_t *h, const struct policy_endpoint *e)
{
    mix_number(h, e->address.family);
    mix(h, e->address.bytes, e->address.family == 4 ? 4 : 16);
    mix_number(h, e->port);
}

/* A worker lays out its memory at its start, and its sandbox knows the ports; its uid and its place
 * in the image come from the flow's index. */
static void mix_worker(uint64_t *h, const struct policy *policy, const struct process *p)
{
    struct policy_settings settings = policy_settings(policy);
    uint32_t index = policy_find_flow(policy, span_str(p->flow));
    mix_number(h, index);
    mix_number(h, p->drain_only);
    mix_number(h, settings.memory);
    mix_number(h, settings.sessions);
    mix_number(h, settings.message_size);
    for (uint32_t i = 0; i < policy_count(policy, POLICY_PORTS); i++)
        mix_number(h, policy_port(policy, i));
    if (index == POLICY_NONE)
        return;
    struct policy_range listeners = policy_flow(policy, index).listeners;
    for (uint32_t i = 0; i < listeners.count; i++) {
        struct policy_endpoint e = policy_listener(policy, listeners.first + i);
        mix_number(h, listeners.first + i);
        mix_endpoint(h, &e);
    }
}

uint64_t process_bearings(const struct policy *policy, const struct process *p)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    struct policy_settings settings = policy_settings(policy);
    mix_number(&h, settings.sandbox_required);
    switch (p->role) {
    case ROLE_CONNECTION:
        mix_worker(&h, policy, p);
        break;
    case ROLE_RESOLVER:
        mix_number(&h, settings.dnssec);
        mix_span(&h, settings.trust_anchor);
        for (uint32_t i = 0; i < policy_count(policy, POLICY_SERVERS); i++) {
            struct policy_endpoint e = policy_server(policy, i);
            mix_endpoint(&h, &e);
        }
        break;
    case ROLE_CONTROL:
        mix_span(&h, settings.control_socket);
        mix_endpoint(&h, &settings.metrics);
        break;
    default:
        break;
    }
    return h;
}
