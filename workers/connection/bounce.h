/*
 * bounce: telling senders what became of their mail (RFC 3464, RFC 3461 5.2): recipients failed for
 * good, wait long, or went to a next hop that tells nothing. A notification is a mail of its own,
 * made in the turn in which the outcome became known; the recipients that it names are done only
 * when it is on stable storage. A mail with the null sender causes none (RFC 5321 4.5.5), but one
 * to the postmaster where the policy wants that.
 */
#ifndef MGID_BOUNCE_H
#define MGID_BOUNCE_H

#include <stdbool.h>

struct delivery;
struct mail;
struct worker;

/* The delivery is BOUNCING; its recipients' outcomes are FAILED or RELAYED. Tries again by its
 * timer when there is no memory or disk. May end the delivery at once. */
void bounce_begin(struct worker *w, struct delivery *d);

/* Recipients of the mail were deferred: tells the sender when one of the policy's times is over,
 * once each. Does nothing while such a notification is on its way to the disk. */
void bounce_delayed(struct worker *w, struct mail *m);

/* The notification's commit. */
void bounce_committed(struct worker *w, struct mail *notice, bool ok);

#endif
