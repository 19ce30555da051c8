/*
 * rules: the policy's decision on each recipient of a transaction, at RCPT where the envelope
 * settles it, else when the mail is there; and what of it goes into the mail.
 */
#ifndef MGID_RULES_H
#define MGID_RULES_H

#include <stdbool.h>

struct recipient;
struct transaction;
struct transaction_reply;

/* Decides on a recipient that was just added, or leaves it for the end of data. False: refused,
 * *reply says why, and the caller takes it out again. */
bool rules_at_rcpt(struct transaction *t, struct recipient *r, struct transaction_reply *reply);

/* Decides on the others, and takes out those that rules throw away. False: nothing is left to be
 * delivered, and *reply is the answer to the end of data (see transaction_end). */
bool rules_at_end(struct transaction *t, struct transaction_reply *reply);

#endif
