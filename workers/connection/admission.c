/* The policy's limits, applied to connections, sessions and transactions. */
#include "workers/connection/admission.h"
#include "workers/connection/session.h"
#include "workers/connection/worker.h"

static const struct policy_limits *limits_of(const struct session *s)
{
    return &s->generation->settings.limits;
}

static struct guard_limits guard_limits(const struct policy_limits *l)
{
    return (struct guard_limits){
        .client_connections = l->client_connections,
        .network_connections = l->network_connections,
        .per_minute = {[GUARD_CONNECTIONS] = l->connections_per_minute,
                       [GUARD_MAILS] = l->mails_per_minute,
                       [GUARD_RECIPIENTS] = l->recipients_per_minute},
        .network4 = l->ipv4_network,
        .network6 = l->ipv6_network,
    };
}

const char *admission_connection(struct worker *w, const struct policy_address *client,
                                 uint64_t peers, struct guard_place *place)
{
    static const struct {
        const char *text;
        enum counter counter;
    } refusals[GUARD_VERDICTS] = {
        [GUARD_CLIENT_FULL] = {"Too many connections from your address",
                               COUNTER_limit_client_connections},
        [GUARD_NETWORK_FULL] = {"Too many connections from your network",
                                COUNTER_limit_network_connections},
        [GUARD_CLIENT_FAST] = {"Too many connections in a minute, try again later",
                               COUNTER_limit_connection_rate},
    };
    const struct generation *g = w->generations.current;
    *place = (struct guard_place){.client = 0};
    if (policy_trusts(&g->policy, peers))
        return NULL;
    struct guard_limits limits = guard_limits(&g->settings.limits);
    enum guard_verdict verdict =
        guard_enter(&w->guard, &limits, client->family, client->bytes, w->now, place);
    if (verdict != GUARD_WELCOME)
        counter_add(w->counters, refusals[verdict].counter, 1);
    return refusals[verdict].text;
}

void admission_peers(struct worker *w, struct session *s)
{
    s->trusted = policy_trusts(&s->generation->policy, s->peers);
    if (s->trusted)
        guard_leave(&w->guard, &s->place);
    s->smtp.config = generation_smtp(s->generation, s->trusted);
}

static void too_many(struct worker *w, struct transaction_reply *reply, enum counter counter,
                     unsigned code, const char *text)
{
    counter_add(w->counters, counter, 1);
    refuse(reply, code, code == 421 ? "4.7.0" : "4.7.1", text);
}

bool admission_mail(struct worker *w, const struct session *s, struct transaction_reply *reply)
{
    const struct policy_limits *l = limits_of(s);
    struct guard_limits limits = guard_limits(l);
    if (s->trusted)
        return true;
    if (l->mails_per_session != 0 && s->smtp.mails >= l->mails_per_session)
        too_many(w, reply, COUNTER_limit_session, 421, "Too many mails in one session");
    else if (!guard_charge(&w->guard, &limits, s->place, GUARD_MAILS, w->now))
        too_many(w, reply, COUNTER_limit_mail_rate, 450,
                 "Too many mails in a minute, try again later");
    else
        return true;
    return false;
}

bool admission_recipient(struct worker *w, const struct session *s, struct transaction_reply *reply)
{
    struct guard_limits limits = guard_limits(limits_of(s));
    if (s->trusted || guard_charge(&w->guard, &limits, s->place, GUARD_RECIPIENTS, w->now))
        return true;
    too_many(w, reply, COUNTER_limit_recipient_rate, 450,
             "Too many recipients in a minute, try again later");
    return false;
}

const char *admission_overdue(struct worker *w, const struct session *s)
{
    static const char *const texts[] = {
        [TRANSFER_SLOW] = "Message comes too slowly",
        [TRANSFER_LONG] = "Message takes too long",
    };
    const struct policy_limits *l = limits_of(s);
    if (!s->transaction || s->trusted)
        return NULL;
    enum transfer_verdict verdict =
        transfer_judge(&s->transaction->transfer, w->now, l->bytes_per_second, l->mail_time);
    if (verdict == TRANSFER_GOOD)
        return NULL;
    counter_add(w->counters, COUNTER_limit_slow, 1);
    return texts[verdict];
}

void admission_end(struct worker *w, struct session *s)
{
    guard_leave(&w->guard, &s->place);
}
