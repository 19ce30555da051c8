/* Recent verdicts, found by a digest of everything that they depend on. */
#include "workers/keeper/cache.h"
#include "engine/ipc/ipc.h"
#include <openssl/sha.h>

struct cache_key cache_key(const struct msg_verify_request *r)
{
    struct cache_key key;
    SHA256_CTX ctx;
    /* Lengths first, so that no two questions are the same bytes. */
    const uint64_t header[] = {r->purpose, r->subject, r->host.n, r->chain.n, r->base.n, r->tlsa.n};
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, header, sizeof header);
    SHA256_Update(&ctx, r->host.p, r->host.n);
    SHA256_Update(&ctx, r->chain.p, r->chain.n);
    SHA256_Update(&ctx, r->base.p, r->base.n);
    SHA256_Update(&ctx, r->tlsa.p, r->tlsa.n);
    SHA256_Final(key.digest, &ctx);
    return key;
}

static size_t place(const struct cache_key *key)
{
    size_t n = 0;
    memcpy(&n, key->digest, sizeof n);
    return n % LIMIT_VERDICTS;
}

const struct verdict *cache_find(const struct cache *cache, const struct cache_key *key,
                                 uint64_t now)
{
    const struct cache_entry *entry = &cache->entries[place(key)];
    /* A clock that was set back must not keep an entry alive. */
    if (entry->until == 0 || now < entry->from || now >= entry->until)
        return NULL;
    return memcmp(&entry->key, key, sizeof *key) == 0 ? &entry->verdict : NULL;
}

void cache_store(struct cache *cache, const struct cache_key *key, const struct verdict *verdict,
                 uint64_t now)
{
    struct cache_entry *entry = &cache->entries[place(key)];
    entry->key = *key;
    entry->from = now;
    entry->until = now + LIMIT_VERDICT_SECONDS;
    if (verdict->not_after > now && verdict->not_after < entry->until)
        entry->until = verdict->not_after;
    entry->verdict = *verdict;
}
