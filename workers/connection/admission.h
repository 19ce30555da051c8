/*
 * admission: what the policy's limits allow a client: connections, mails, recipients, commands,
 * time. A trusted peer is exempt.
 */
#ifndef MGID_ADMISSION_H
#define MGID_ADMISSION_H

#include "engine/guard/guard.h"
#include "workers/connection/transaction.h"

struct policy_address;

/* A connection of a client that is those peers. NULL lets it in and counts it at *place (a trusted
 * one at none); else the text of the 421 to it. */
const char *admission_connection(struct worker *w, const struct policy_address *client,
                                 uint64_t peers, struct guard_place *place);

/* Who the session's client is has become clearer, or the policy has changed: sets `trusted` and the
 * settings of its SMTP machine. Who is trusted counts no more. */
void admission_peers(struct worker *w, struct session *s);

/* MAIL, RCPT: false with *reply set when it is one too many. */
bool admission_mail(struct worker *w, const struct session *s, struct transaction_reply *reply);
bool admission_recipient(struct worker *w, const struct session *s,
                         struct transaction_reply *reply);

/* The text of a 421 when the message under way takes too long or comes too slowly, else NULL. */
const char *admission_overdue(struct worker *w, const struct session *s);

/* The connection is over. */
void admission_end(struct worker *w, struct session *s);

#endif
