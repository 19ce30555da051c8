/*
 * attempt: one delivery over one client connection, in one or more transactions.
 */
#ifndef MGID_ATTEMPT_H
#define MGID_ATTEMPT_H

#include <stdbool.h>

struct client;
struct delivery;
struct worker;

/* Loads the mail and begins the first transaction. False when that can't be: the delivery then was
 * dealt with, and the client has none. */
bool attempt_begin(struct worker *w, struct client *c, struct delivery *d);

/* Has the delivery recipients that no transaction of this attempt has named? */
bool attempt_continues(const struct client *c);
/* Begins the next transaction; false when it can't, and the outcome of all that are left says why.
 */
bool attempt_transaction(struct worker *w, struct client *c);

/* Before the machine goes on: the mail's text may have moved, as replies are noted in it, also by
 * other deliveries of the same mail; the envelope is pointed to where it is. */
void attempt_follow_text(struct client *c);

/* The client is going: gives back what the attempt holds. */
void attempt_over(struct client *c);

/* The machine's RCPT_RESULT; DELIVERED or FAILED. */
void attempt_recipient(struct client *c);
void attempt_settled(struct worker *w, struct client *c, bool delivered);

/* Sends as much of the body as there is room for; sets c->sending while there is more. False:
 * the stored content can't be read, and the connection must be given up. */
bool attempt_body(struct worker *w, struct client *c);

#endif
