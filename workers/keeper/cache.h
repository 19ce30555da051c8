/*
 * cache: verdicts that were given a moment ago. The platform shows the same chain a hundred times a
 * minute, and checking it costs as much as our half of the handshake.
 *
 * A verdict depends on the generation (each has a cache of its own), on what was asked, which is
 * the key in full, and on the time: so an entry lives for LIMIT_VERDICT_SECONDS, and not past the
 * leaf's own end. Pure.
 */
#ifndef MGID_KEEPER_CACHE_H
#define MGID_KEEPER_CACHE_H

#include "workers/keeper/verify.h"

struct cache_key {
    unsigned char digest[32];
};

struct cache_entry {
    struct cache_key key;
    uint64_t from;  /* seconds since 1970 */
    uint64_t until; /* 0: empty */
    struct verdict verdict;
};

struct cache {
    struct cache_entry entries[LIMIT_VERDICTS];
};

struct msg_verify_request;
struct cache_key cache_key(const struct msg_verify_request *request);

/* NULL when there is none that is still good. Valid until the next cache_store. */
const struct verdict *cache_find(const struct cache *cache, const struct cache_key *key,
                                 uint64_t now);

/* Takes the place of whatever was where the key belongs. */
void cache_store(struct cache *cache, const struct cache_key *key, const struct verdict *verdict,
                 uint64_t now);

#endif
