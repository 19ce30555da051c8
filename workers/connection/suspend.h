/*
 * suspend: routes that the operator holds back. Their mail is accepted and waits; its time goes on.
 * The list is a file of the shard (`suspended`, a name a line), so that it outlives a restart.
 */
#ifndef MGID_SUSPEND_H
#define MGID_SUSPEND_H

#include "limits.h"
#include "span.h"

struct worker;
struct msg_route_request;

struct suspended {
    unsigned count;
    char names[LIMIT_SUSPENDED][LIMIT_NAME + 1];
};

/* At start, before mails are recovered. A file that can't be read is told and counts as none. */
void suspend_read(struct worker *w);

bool suspend_has(const struct worker *w, const char *route);

/* The operator's request; answers it. */
void suspend_request(struct worker *w, const struct msg_route_request *request);

#endif
