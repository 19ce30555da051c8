/* "suspend" and "resume": a route, in every worker. */
#include "workers/control/control.h"

static void ask_next(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    struct ipc_message m = {.kind = MSG_route_request};
    m.route_request = (struct msg_route_request){
        .change = 1,
        .suspend = strcmp(job->request->command, "suspend") == 0,
        .route = span_str(job->route),
    };
    const char *why = control_ask(control, client, (int)job->worker, &m, &m.route_request.id,
                                  LIMIT_ADMIN_SECONDS);
    if (why) {
        request_unanswered(control, client, (int)job->worker, why);
        job->worker++;
    }
}

void route_begin(struct control *control, struct control_client *client, json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "route"));
    size_t n = name ? strlen(name) : 0;
    (void)control;
    if (n == 0 || n > LIMIT_NAME) {
        client_end(client, NULL, "\"route\" must name a route");
        return;
    }
    memcpy(client->job.route, name, n + 1);
}

void route_answer(struct control *control, struct control_client *client,
                  const struct ipc_message *m)
{
    struct control_job *job = &client->job;
    const struct control_worker *worker = &control->workers[job->worker];
    json_t *names = json_array();
    struct span rest = m->route_result.suspended;
    while (rest.n > 0) {
        const unsigned char *newline = memchr(rest.p, '\n', rest.n);
        struct span name = span_head(rest, newline ? (size_t)(newline - rest.p) : rest.n);
        (void)json_array_append_new(names, json_of_span(name));
        rest = span_from(rest, name.n + 1);
    }
    if (m->route_result.refused.n > 0) {
        char why[LIMIT_REASON + 1];
        request_unanswered(control, client, (int)job->worker,
                           refusal_text(m->route_result.refused, why));
    }
    client_line(client, json_pack("{s:s, s:s, s:i, s:o}", "type", "routes", "flow", worker->flow,
                                  "worker", (int)worker->index, "suspended", names));
    job->worker++;
}

void route_lost(struct control *control, struct control_client *client, int whom, const char *why)
{
    request_unanswered(control, client, whom, why);
    client->job.worker++;
}

void route_proceed(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    while (job->awaited == CONTROL_NOBODY && job->worker < control->worker_count) {
        if (control->workers[job->worker].dropped)
            job->worker++;
        else
            ask_next(control, client);
    }
    if (job->awaited == CONTROL_NOBODY)
        client_end(client, json_pack("{s:b}", "complete", !job->incomplete), NULL);
}
