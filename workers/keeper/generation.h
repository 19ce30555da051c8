/*
 * generation: one compiled policy with the keys, chains and trust stores that it names.
 */
#ifndef MGID_KEEPER_GENERATION_H
#define MGID_KEEPER_GENERATION_H

#include "policy/policy.h"
#include "workers/keeper/cache.h"
#include "workers/keeper/pem.h"

/* Why something is not usable; "" when it is. */
struct generation_slot {
    struct identity identity;
    struct span passphrase; /* until the files come; ours, wiped */
    unsigned days;          /* the mark before its end that was logged last */
    char reason[LIMIT_REASON];
};

struct generation {
    uint32_t number;
    struct policy policy;
    bool mapped;
    struct generation_slot identities[LIMIT_POLICY_IDENTITIES];
    struct trust trusts[LIMIT_POLICY_TRUSTS];
    struct span crls[LIMIT_POLICY_TRUSTS]; /* until the trust store comes; ours */
    char trust_reasons[LIMIT_POLICY_TRUSTS][LIMIT_REASON];
    struct verify_demand *routes; /* by index of the route */
    struct verify_demand *peers;
    struct span *names;        /* of all demands */
    unsigned char demands[32]; /* digest of all that makes a verdict on a client, in messages.def */
    struct cache cache;
};

/* Takes the policy over, with its mapping when `mapped`. No memory is fatal. */
struct generation *generation_new(uint32_t number, const struct policy *policy, bool mapped);

/* All files have come: sets what depends on them together. */
void generation_complete(struct generation *g);

/* Wipes the keys, unmaps, frees. NULL is allowed. */
void generation_free(struct generation *g);

/* Files of an identity or a trust store, as bytes. An index that the policy does not have is
 * ignored. What came of them is logged, with names; a bad one leaves its place unusable. `now` in
 * seconds since 1970. */
void generation_identity(struct generation *g, uint32_t index, struct span certificates,
                         struct span key, uint64_t now);
void generation_trust(struct generation *g, uint32_t index, struct span certificates);

/* What the next files of that identity or trust store need; copied. */
void generation_passphrase(struct generation *g, uint32_t index, struct span passphrase);
void generation_crl(struct generation *g, uint32_t index, struct span lists);

/* Logs each identity that has come nearer to its end by one of the marks (30, 14, 7, 1 days, and
 * the end itself) since the last call. */
void generation_watch(struct generation *g, uint64_t now);

/* Logs identities whose names or subject are others than in the generation before: a peer may know
 * us by them. */
void generation_compare(const struct generation *g, const struct generation *before);

/* Is all there and in order? `strict`: an expired or not yet valid certificate is not. Writes what
 * is wrong, one a line, with the file's name, into report (LIMIT_REPORT bytes, NUL-terminated). */
bool generation_usable(const struct generation *g, bool strict, uint64_t now, char *report);

#endif
