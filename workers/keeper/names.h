/*
 * names: does a DNS name of a certificate satisfy what was wanted? RFC 9525 6.3, with "*" only
 * as the whole left-most label. Letters without case, one trailing dot ignored. Pure.
 */
#ifndef MGID_KEEPER_NAMES_H
#define MGID_KEEPER_NAMES_H

#include "span.h"

/* Is it made as a DNS name of a certificate may be: labels of letters, digits, "-", "_", the first
 * label possibly "*" when two more follow? Others match nothing. */
bool names_well_formed(struct span presented);

/* `wanted` is a host name: equal, or covered by a presented wildcard, one level. Or a pattern
 * "*.x": the presented name (possibly itself a wildcard) is below x, at any depth. */
bool names_match(struct span presented, struct span wanted);

#endif
