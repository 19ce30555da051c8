/*
 * metrics: what Prometheus and an orchestrator ask over HTTP: /metrics, /healthz, /readyz.
 * libmicrohttpd speaks HTTP; it has no thread of its own and works in control's turn.
 *
 *     /metrics   every counter of every worker, also those that are 0
 *     /healthz   200: control answers
 *     /readyz    200: each worker of the policy is there, and mgid is not ending; else 503
 */
#ifndef MGID_METRICS_H
#define MGID_METRICS_H

struct control;
struct sandbox_request;

/* Serves the listening socket, which is its own from now on. Before the sandbox is closed: names
 * the descriptors to keep. */
void metrics_begin(struct control *control, int listener, struct sandbox_request *request);

/* What poll is to wait for, -1: nothing; and milliseconds until there is something to do without,
 * -1: nothing. */
int metrics_descriptor(const struct control *control);
int metrics_wait(const struct control *control);

/* Does what can be done without waiting. */
void metrics_run(struct control *control);

#endif
