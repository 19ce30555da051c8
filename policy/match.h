/*
 * match: one value against the items of one condition. Private to policy/; allocates nothing.
 */
#ifndef MGID_POLICY_MATCH_H
#define MGID_POLICY_MATCH_H

#include "policy/policy.h"

/* An address in its parts, for any number of comparisons. The domain is without trailing dot;
 * both are empty for the null sender, the domain is for a name without "@". */
struct match_address {
    struct span local;
    struct span domain;
    bool null_sender;
};

struct match_address match_split(struct span address);

/* Does the name end in a dot and domain, with at least one byte before the dot? */
bool match_below(struct span name, struct span domain);

/* Does one of the patterns match? */
bool match_patterns(const struct policy *p, struct policy_range patterns,
                    const struct match_address *address);

/* Is the address in one of the networks? */
bool match_networks(const struct policy *p, struct policy_range networks,
                    const struct policy_address *address);

/* Does one of the texts stand in value, in the way that the condition says (one of
 * POLICY_IF_SUBJECT_*)? *matched is then where. Linear in value's length for each text. */
bool match_texts(const struct policy *p, struct policy_range texts, enum policy_condition how,
                 bool case_sensitive, struct span value, struct span *matched);

#endif
