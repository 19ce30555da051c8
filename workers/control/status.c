/* "status": the daemon, its processes, its counters. */
#include "workers/control/control.h"
#include "process_state.h"
#include <time.h>

static void add_counters(json_t *object, const uint64_t values[COUNTER_COUNT])
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        /* JSON's integers are signed here; a worker that says more is cut. */
        (void)json_object_set_new(
            object, counter_descriptions[i].name,
            json_integer(values[i] > INT64_MAX ? INT64_MAX : (json_int_t)values[i]));
}

static void join(uint64_t *total, uint64_t value, enum counter_kind kind)
{
    if (kind != COUNTER_KIND_earliest)
        *total += value;
    else if (value != 0 && (*total == 0 || value < *total))
        *total = value;
}

static void counters_lines(const struct control *control, struct control_client *client)
{
    uint64_t totals[COUNTER_COUNT] = {0};
    for (unsigned w = 0; w < control->worker_count; w++) {
        const struct control_worker *worker = &control->workers[w];
        uint64_t values[COUNTER_COUNT];
        if (!worker->page)
            continue;
        counters_read(worker->page, values);
        json_t *own = json_object();
        add_counters(own, values);
        for (unsigned i = 0; i < COUNTER_COUNT; i++)
            join(&totals[i], values[i], counter_descriptions[i].kind);
        client_line(client, json_pack("{s:s, s:s, s:i, s:o}", "type", "worker", "flow",
                                      worker->flow, "worker", (int)worker->index, "counters", own));
    }
    json_t *all = json_object();
    add_counters(all, totals);
    client_line(client, json_pack("{s:s, s:o}", "type", "counters", "counters", all));
}

static void end(struct control *control, struct control_client *client)
{
    counters_lines(control, client);
    client_end(client, json_pack("{s:b}", "complete", !client->job.incomplete), NULL);
}

void status_begin(struct control *control, struct control_client *client, json_t *object)
{
    (void)object;
    struct ipc_message m = {.kind = MSG_roles_request};
    const char *why =
        control_ask(control, client, CONTROL_MASTER, &m, &m.roles_request.id, LIMIT_ADMIN_SECONDS);
    if (why)
        status_lost(control, client, CONTROL_MASTER, why);
}

/* Adds a line for each process; false when the list is malformed. */
static bool processes_lines(struct control_client *client, struct span roles)
{
    struct msg_reader r = {.in = roles};
    struct control_process p;
    while (roles_next(&r, &p))
        client_line(client, json_pack("{s:s, s:s, s:o, s:i, s:I, s:I, s:I, s:s}", "type", "process",
                                      "role", role_name(p.role), "flow", json_of_span(p.flow),
                                      "index", (int)p.index, "pid", (json_int_t)p.pid, "restarts",
                                      (json_int_t)p.restarts, "started", (json_int_t)p.started,
                                      "state", process_state_text(p.state)));
    return msg_get_end(&r);
}

void status_answer(struct control *control, struct control_client *client,
                   const struct ipc_message *m)
{
    time_t now = time(NULL);
    time_t started = (time_t)m->roles_result.started;
    client_line(client,
                json_pack("{s:s, s:s, s:I, s:I, s:I}", "type", "daemon", "version", MGID_VERSION,
                          "generation", (json_int_t)m->roles_result.generation, "started",
                          (json_int_t)started, "uptime",
                          (json_int_t)(now > started ? now - started : 0)));
    if (!processes_lines(client, m->roles_result.roles))
        request_unanswered(control, client, CONTROL_MASTER, "its list of processes is malformed");
    end(control, client);
}

void status_lost(struct control *control, struct control_client *client, int whom, const char *why)
{
    client_line(client, json_pack("{s:s, s:s, s:I}", "type", "daemon", "version", MGID_VERSION,
                                  "generation", (json_int_t)control->generation));
    request_unanswered(control, client, whom, why);
    end(control, client);
}
