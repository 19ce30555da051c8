/* "reload": the master compiles the policy anew; its report is the answer. */
#include "workers/control/control.h"

void reload_begin(struct control *control, struct control_client *client, json_t *object)
{
    (void)object;
    struct ipc_message m = {.kind = MSG_reload_request};
    const char *why = control_ask(control, client, CONTROL_MASTER, &m, &m.reload_request.id,
                                  LIMIT_ADMIN_RELOAD_SECONDS);
    if (why)
        reload_lost(control, client, CONTROL_MASTER, why);
}

void reload_answer(struct control *control, struct control_client *client,
                   const struct ipc_message *m)
{
    (void)control;
    struct span rest = m->reload_result.report;
    while (rest.n > 0) {
        const unsigned char *newline = memchr(rest.p, '\n', rest.n);
        struct span line = span_head(rest, newline ? (size_t)(newline - rest.p) : rest.n);
        rest = span_from(rest, line.n + 1);
        if (line.n > 0)
            client_line(client,
                        json_pack("{s:s, s:o}", "type", "report", "text", json_of_span(line)));
    }
    json_t *end = json_pack("{s:I}", "generation", (json_int_t)m->reload_result.generation);
    client_end(client, end,
               m->reload_result.ok ? NULL
                                   : "the policy was refused; the one before stays in force");
}

void reload_lost(struct control *control, struct control_client *client, int whom, const char *why)
{
    request_unanswered(control, client, whom, why);
    client_end(client, NULL, "no answer to the reload; the log tells how it went");
}
