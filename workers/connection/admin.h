/*
 * admin: what the operator asks this worker through control.
 */
#ifndef MGID_ADMIN_H
#define MGID_ADMIN_H

#include "engine/ipc/ipc.h"

struct worker;

/* A page of the queue, by ascending id. */
void admin_queue(struct worker *w, const struct msg_queue_request *request);

#endif
