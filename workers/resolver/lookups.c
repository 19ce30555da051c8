/* Look-ups in progress. */
#include "workers/resolver/lookups.h"
#include "status.h"
#include <stdlib.h>

enum { CLASS_IN = 1, SECURITY_BOGUS = 1, SECURITY_SECURE = 2 };

static uint32_t next_random(void *context)
{
    (void)context;
    return arc4random();
}

int lookups_init(struct lookups *all, struct loop *loop, struct ub_ctx *ctx,
                 void (*done)(struct lookup *lookup))
{
    *all =
        (struct lookups){.loop = loop, .ctx = ctx, .random = {.next = next_random}, .done = done};
    if (pool_init(&all->lookups, sizeof(struct lookup), LIMIT_LOOKUPS) != 0)
        return -1;
    return pool_init(&all->queries, sizeof(struct lookup_query), LIMIT_LOOKUP_QUERIES);
}

/* ---- queries ---------------------------------------------------------------------------- */

static void detach(struct lookup_query *query)
{
    if (query->previous != NULL)
        query->previous->next = query->next;
    else if (query->lookup != NULL)
        query->lookup->queries = query->next;
    if (query->next != NULL)
        query->next->previous = query->previous;
    query->lookup = NULL;
    query->next = query->previous = NULL;
}

static void attach(struct lookup_query *query, struct lookup *lookup)
{
    query->lookup = lookup;
    query->previous = NULL;
    query->next = lookup->queries;
    if (query->next != NULL)
        query->next->previous = query;
    lookup->queries = query;
}

static void ask_next(struct lookup *lookup);

/* libunbound's answer. May come from within ub_resolve_event, when the cache knows. */
static void answered(void *context, int rcode, void *packet, int length, int security, char *why,
                     int limited)
{
    struct lookup_query *query = context;
    struct lookup *lookup = query->lookup;
    struct answer_query what = query->what;
    (void)limited;
    if (lookup != NULL)
        detach(query);
    pool_put(&query->all->queries, query);
    if (lookup == NULL)
        return;
    struct answer *a = &lookup->answer;
    if (security == SECURITY_BOGUS || (rcode != 0 && why != NULL))
        answer_fail(a, &what, ANSWER_BOGUS, (uint8_t)rcode, why);
    else if (rcode != 0 || packet == NULL || length <= 0)
        answer_fail(a, &what, ANSWER_FAILED, rcode != 0 ? (uint8_t)rcode : WIRE_SERVFAIL, NULL);
    else
        answer_take(a, &what, span_of(packet, (size_t)length), security == SECURITY_SECURE,
                    &lookup->all->random);
    ask_next(lookup);
}

static void ask(struct lookup *lookup, const struct answer_query *what)
{
    struct lookups *all = lookup->all;
    struct lookup_query *query = pool_get(&all->queries);
    if (query == NULL) {
        answer_fail(&lookup->answer, what, ANSWER_BUSY, 0, NULL);
        return;
    }
    *query = (struct lookup_query){.all = all, .what = *what};
    attach(query, lookup);
    if (ub_resolve_event(all->ctx, what->name, what->type, CLASS_IN, query, answered, NULL) == 0)
        return;
    if (query->lookup != NULL)
        detach(query);
    pool_put(&all->queries, query);
    answer_fail(&lookup->answer, what, ANSWER_FAILED, WIRE_SERVFAIL, NULL);
}

static void finish(struct lookup *lookup)
{
    lookup->done = true;
    loop_remove(&lookup->timer);
    lookup->all->done(lookup);
}

/* Asks all that can be asked now; the answers that come at once are taken in the same loop, not
 * by a recursion as deep as the answer has queries. */
static void ask_next(struct lookup *lookup)
{
    struct answer_query what;
    if (lookup->asking)
        return;
    lookup->asking = true;
    while (!lookup->ended && answer_next_query(&lookup->answer, &what))
        ask(lookup, &what);
    lookup->asking = false;
    if (lookup->ended)
        pool_put(&lookup->all->lookups, lookup);
    else if (lookup->queries == NULL)
        finish(lookup);
}

/* ---- look-ups --------------------------------------------------------------------------- */

static void timed_out(int fd, short bits, void *context)
{
    struct lookup *lookup = context;
    (void)fd, (void)bits;
    while (lookup->queries != NULL) {
        answer_fail(&lookup->answer, &lookup->queries->what, ANSWER_TIME_OUT, 0, NULL);
        detach(lookup->queries);
    }
    finish(lookup);
}

struct lookup *lookup_begin(struct lookups *all, void *owner, uint64_t id, enum lookup_kind kind,
                            struct span name, uint16_t tlsa_port)
{
    struct lookup *lookup = pool_get(&all->lookups);
    if (lookup == NULL)
        return NULL;
    lookup->all = all;
    lookup->id = id;
    lookup->owner = owner;
    lookup->next = lookup->previous = NULL;
    lookup->queries = NULL;
    lookup->asking = lookup->ended = lookup->done = false;
    answer_begin(&lookup->answer, kind, name, tlsa_port);
    loop_event_init(all->loop, &lookup->timer, -1, 0, timed_out, lookup);
    return lookup;
}

void lookup_run(struct lookup *lookup)
{
    /* There is an event for each look-up (limits.h), and the clock runs before the first query. */
    BUG_ON(!loop_add(&lookup->timer, LIMIT_LOOKUP_SECONDS * UINT64_C(1000000)));
    ask_next(lookup);
}

void lookup_end(struct lookup *lookup)
{
    while (lookup->queries != NULL)
        detach(lookup->queries);
    loop_remove(&lookup->timer);
    lookup->ended = true;
    if (!lookup->asking) /* libunbound may answer one look-up while another one hands over */
        pool_put(&lookup->all->lookups, lookup);
}
