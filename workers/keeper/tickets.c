/* Ticket keys of flows: making, rotating. */
#include "workers/keeper/tickets.h"
#include "status.h"
#include <openssl/mem.h>
#include <openssl/rand.h>

_Static_assert(LIMIT_TICKET_ROTATION *(TLS_TICKET_KEYS - 1) >= LIMIT_TICKET_SECONDS,
               "a key opens as long as a ticket is good");

static void make_first(struct tickets *t, struct ticket_flow *f, uint64_t now)
{
    if (RAND_bytes(f->keys.key[0], TLS_TICKET_KEY) != 1)
        fatal_env(EXIT_OSERR, 0, "no random bytes from the system");
    f->made = now;
    f->version = ++t->versions;
}

static void make_all(struct tickets *t, struct ticket_flow *f, uint64_t now)
{
    OPENSSL_cleanse(&f->keys, sizeof f->keys);
    f->keys.count = 1;
    make_first(t, f, now);
}

static void rotate(struct tickets *t, struct ticket_flow *f, uint64_t now)
{
    memmove(f->keys.key[1], f->keys.key[0], (TLS_TICKET_KEYS - 1) * TLS_TICKET_KEY);
    if (f->keys.count < TLS_TICKET_KEYS)
        f->keys.count++;
    make_first(t, f, now);
}

static struct ticket_flow *place_of(struct tickets *t, struct span flow)
{
    struct ticket_flow *oldest = &t->flows[0];
    for (unsigned i = 0; i < LIMIT_FLOWS; i++) {
        struct ticket_flow *f = &t->flows[i];
        if (f->flow[0] != '\0' && span_eq(span_str(f->flow), flow))
            return f;
        if (f->made < oldest->made)
            oldest = f;
    }
    *oldest = (struct ticket_flow){.keys.count = 0};
    flow = span_head(flow, LIMIT_NAME);
    memcpy(oldest->flow, flow.p, flow.n);
    return oldest;
}

const struct ticket_flow *tickets_of(struct tickets *t, struct span flow, uint64_t now)
{
    struct ticket_flow *f = place_of(t, flow);
    /* After a long sleep, or when the clock was set back, nothing says how old a key is. */
    if (f->keys.count == 0 || now < f->made || now - f->made > LIMIT_TICKET_SECONDS)
        make_all(t, f, now);
    else if (now - f->made >= LIMIT_TICKET_ROTATION)
        rotate(t, f, now);
    return f;
}

void tickets_renew(struct tickets *t, struct span flow, uint64_t now)
{
    make_all(t, place_of(t, flow), now);
}

void tickets_free(struct tickets *t)
{
    OPENSSL_cleanse(t, sizeof *t);
}
