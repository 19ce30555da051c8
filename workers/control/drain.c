/* "drain": empties the node. The route that the rest goes by is asked of a worker first. */
#include "workers/control/control.h"

void drain_begin(struct control *control, struct control_client *client, json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "to"));
    size_t n = name ? strlen(name) : 0;
    (void)control;
    if (n > LIMIT_NAME)
        client_end(client, NULL, "\"to\" must name a route");
    else if (n > 0)
        memcpy(client->job.route, name, n + 1);
}

static void refuse(struct control_client *client, struct span why)
{
    char text[LIMIT_REASON + 1];
    client_end(client, NULL, refusal_text(why, text));
}

void drain_answer(struct control *control, struct control_client *client,
                  const struct ipc_message *m)
{
    (void)control;
    if (m->kind == MSG_empty_result)
        client_end(client, NULL,
                   m->empty_result.ok ? NULL : "it is starting, reloading or stopping; ask again");
    else if (m->route_result.refused.n > 0)
        refuse(client, m->route_result.refused);
    else
        client->job.worker++;
}

void drain_lost(struct control *control, struct control_client *client, int whom, const char *why)
{
    request_unanswered(control, client, whom, why);
    client_end(client, NULL, "not drained");
}

void drain_proceed(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    struct ipc_message m = {.kind = MSG_route_request};
    struct span route = span_str(job->route);
    const char *why;
    int whom = CONTROL_MASTER;
    while (job->worker < control->worker_count && control->workers[job->worker].fd < 0)
        job->worker++;
    if (route.n > 0 && job->worker < control->worker_count) {
        whom = (int)job->worker;
        m.route_request = (struct msg_route_request){.route = route};
        why = control_ask(control, client, whom, &m, &m.route_request.id, LIMIT_ADMIN_SECONDS);
    } else {
        m.kind = MSG_empty_request;
        m.empty_request = (struct msg_empty_request){.route = route};
        why = control_ask(control, client, whom, &m, &m.empty_request.id, LIMIT_ADMIN_SECONDS);
    }
    if (why)
        drain_lost(control, client, whom, why);
}
