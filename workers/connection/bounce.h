/*
 * bounce: telling the sender that recipients failed for good (RFC 3464). The notification is a mail
 * of its own; the failed recipients are done only when it is on stable storage. A mail with the
 * null sender causes none (RFC 5321 4.5.5).
 */
#ifndef MGID_BOUNCE_H
#define MGID_BOUNCE_H

#include <stdbool.h>

struct delivery;
struct mail;
struct worker;

/* The delivery is BOUNCING. Tries again by its timer when there is no memory or disk. May end the
 * delivery at once. */
void bounce_begin(struct worker *w, struct delivery *d);

/* The notification's commit. */
void bounce_committed(struct worker *w, struct mail *notice, bool ok);

#endif
