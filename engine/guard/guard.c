/* Accounts in chains of a hash table; those without a connection also in a list by age. */
#include "engine/guard/guard.h"
#include "engine/pool/reserve.h"
#include "status.h"
#include <errno.h>

enum { KEY_WORDS = 3, CLIENT_BITS4 = 32, CLIENT_BITS6 = 64 };

static const uint64_t minute = 60000000;

struct guard_account {
    uint64_t key[KEY_WORDS];          /* the prefix's bytes; family and length */
    uint64_t settled_at[GUARD_RATES]; /* when all is paid for */
    uint32_t open;                    /* connections */
    uint32_t next;                    /* in the chain */
    uint32_t older, newer;            /* without a connection: neighbours in age */
};

_Static_assert(sizeof(struct guard_account) == 64, "an account is a cache line");

/* ---- memory ----------------------------------------------------------------------------- */

int guard_init(struct guard *g, uint32_t connections, const unsigned char key[SIPHASH_KEY])
{
    BUG_ON(connections > (UINT32_MAX / 4 - LIMIT_GUARD_SPARE) / 2);
    *g = (struct guard){.capacity = 2 * connections + LIMIT_GUARD_SPARE, .fresh = 1};
    memcpy(g->key, key, sizeof g->key);
    g->bucket_count = 1;
    while (g->bucket_count < g->capacity)
        g->bucket_count *= 2;
    g->accounts = reserve_memory(sizeof *g->accounts, (size_t)g->capacity + 1);
    g->buckets = reserve_memory(sizeof *g->buckets, g->bucket_count);
    if (g->accounts && g->buckets)
        return 0;
    int error = errno;
    guard_destroy(g);
    errno = error;
    return -1;
}

void guard_destroy(struct guard *g)
{
    release_memory(g->accounts, sizeof *g->accounts, (size_t)g->capacity + 1);
    release_memory(g->buckets, sizeof *g->buckets, g->bucket_count);
    *g = (struct guard){.capacity = 0};
}

/* ---- by age ----------------------------------------------------------------------------- */

static struct guard_account *account(const struct guard *g, uint32_t n)
{
    BUG_ON(n == 0 || n >= g->fresh);
    return &g->accounts[n];
}

static void age_unlink(struct guard *g, uint32_t n)
{
    struct guard_account *a = account(g, n);
    *(a->older ? &account(g, a->older)->newer : &g->oldest) = a->newer;
    *(a->newer ? &account(g, a->newer)->older : &g->newest) = a->older;
    a->older = a->newer = 0;
}

static void age_append(struct guard *g, uint32_t n)
{
    struct guard_account *a = account(g, n);
    a->older = g->newest;
    a->newer = 0;
    *(g->newest ? &account(g, g->newest)->newer : &g->oldest) = n;
    g->newest = n;
}

/* ---- by key ----------------------------------------------------------------------------- */

static uint32_t *bucket(const struct guard *g, const uint64_t key[KEY_WORDS])
{
    uint64_t hash = siphash(g->key, span_of(key, KEY_WORDS * sizeof key[0]));
    return &g->buckets[hash & (g->bucket_count - 1)];
}

/* The first `bits` of an address, with its family and their number. */
static void make_key(uint64_t key[KEY_WORDS], uint8_t family, const unsigned char *address,
                     uint32_t bits)
{
    unsigned char bytes[16] = {0};
    size_t whole = bits / 8;
    if (family != 0) {
        memcpy(bytes, address, whole);
        if (bits % 8 != 0)
            bytes[whole] = (unsigned char)(address[whole] & 0xff00u >> bits % 8);
    }
    memcpy(key, bytes, sizeof bytes);
    key[2] = (uint64_t)family << 8 | bits;
}

static void forget(struct guard *g, uint32_t n)
{
    struct guard_account *a = account(g, n);
    uint32_t *link = bucket(g, a->key);
    while (*link != n)
        link = &account(g, *link)->next;
    *link = a->next;
    age_unlink(g, n);
}

/* A fresh account while there are any, else that which was used least lately. */
static uint32_t take(struct guard *g)
{
    if (g->fresh <= g->capacity)
        return g->fresh++;
    uint32_t n = g->oldest;
    BUG_ON(n == 0); /* LIMIT_GUARD_SPARE of them have no connection */
    forget(g, n);
    return n;
}

static uint32_t find_or_open(struct guard *g, uint8_t family, const unsigned char *address,
                             uint32_t bits)
{
    uint64_t key[KEY_WORDS];
    make_key(key, family, address, bits);
    uint32_t *first = bucket(g, key);
    for (uint32_t n = *first; n != 0; n = account(g, n)->next)
        if (memcmp(account(g, n)->key, key, sizeof key) == 0) {
            if (account(g, n)->open == 0) {
                age_unlink(g, n);
                age_append(g, n);
            }
            return n;
        }
    uint32_t n = take(g);
    struct guard_account *a = account(g, n);
    *a = (struct guard_account){.next = *first};
    memcpy(a->key, key, sizeof key);
    *first = n;
    age_append(g, n);
    return n;
}

/* ---- counting --------------------------------------------------------------------------- */

static bool pay(struct guard_account *a, enum guard_rate rate, uint32_t per_minute, uint64_t now)
{
    if (per_minute == 0)
        return true;
    uint64_t from = a->settled_at[rate] > now ? a->settled_at[rate] : now;
    uint64_t until = from + minute / per_minute;
    if (until > now + minute)
        return false;
    a->settled_at[rate] = until;
    return true;
}

static void connect_to(struct guard *g, uint32_t n)
{
    if (account(g, n)->open++ == 0)
        age_unlink(g, n);
}

static void disconnect_from(struct guard *g, uint32_t n)
{
    struct guard_account *a = account(g, n);
    BUG_ON(a->open == 0);
    if (--a->open == 0)
        age_append(g, n);
}

enum guard_verdict guard_enter(struct guard *g, const struct guard_limits *limits, uint8_t family,
                               const unsigned char *address, uint64_t now,
                               struct guard_place *place)
{
    bool v4 = family == 4;
    *place = (struct guard_place){.client = 0};
    uint32_t network = find_or_open(g, family, address, v4 ? limits->network4 : limits->network6);
    uint32_t client = find_or_open(g, family, address, v4 ? CLIENT_BITS4 : CLIENT_BITS6);
    if (limits->network_connections != 0 &&
        account(g, network)->open >= limits->network_connections)
        return GUARD_NETWORK_FULL;
    /* A network of one client is the same account. */
    if (limits->client_connections != 0 && account(g, client)->open >= limits->client_connections)
        return GUARD_CLIENT_FULL;
    if (!pay(account(g, client), GUARD_CONNECTIONS, limits->per_minute[GUARD_CONNECTIONS], now))
        return GUARD_CLIENT_FAST;
    connect_to(g, network);
    if (client != network)
        connect_to(g, client);
    *place = (struct guard_place){.client = client, .network = network};
    return GUARD_WELCOME;
}

void guard_leave(struct guard *g, struct guard_place *place)
{
    if (place->client == 0)
        return;
    disconnect_from(g, place->network);
    if (place->client != place->network)
        disconnect_from(g, place->client);
    *place = (struct guard_place){.client = 0};
}

bool guard_charge(struct guard *g, const struct guard_limits *limits, struct guard_place place,
                  enum guard_rate rate, uint64_t now)
{
    return place.client == 0 || pay(account(g, place.client), rate, limits->per_minute[rate], now);
}
