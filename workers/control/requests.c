/* Requests: read, checked, handed to who serves them; and answers handed back. */
#include "workers/control/control.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include <stdio.h>
#include <stdlib.h>

static const struct control_request requests[] = {
#define REQUEST(command, keys, function, proceed)                                                  \
    {command, keys, function##_begin, function##_answer, function##_lost, proceed},
#include "workers/control/requests.def"
#undef REQUEST
};

enum { REQUEST_COUNT = sizeof requests / sizeof requests[0] };

json_t *json_of_span(struct span text)
{
    json_t *string = json_stringn((const char *)text.p, text.n);
    if (string || text.n > LIMIT_MESSAGE)
        return string;
    /* Not UTF-8: the log's escaping knows what to do with that. */
    size_t capacity = 6 * text.n + 2;
    char *quoted = malloc(capacity);
    if (!quoted)
        return NULL;
    quoted[0] = '"';
    size_t n = 1 + log_escape(text, quoted + 1, capacity - 2);
    quoted[n++] = '"';
    string = json_loadb(quoted, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    free(quoted);
    return string;
}

static const struct control_request *find(const char *command)
{
    for (size_t i = 0; i < REQUEST_COUNT; i++)
        if (strcmp(requests[i].command, command) == 0)
            return &requests[i];
    return NULL;
}

/* ---- keys ------------------------------------------------------------------------------- */

static bool is_positive(json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) > 0;
}

static bool is_text(json_t *value)
{
    return json_is_string(value) && json_string_length(value) > 0 &&
           strlen(json_string_value(value)) == json_string_length(value);
}

static bool is_flag(json_t *value)
{
    return json_is_boolean(value);
}

static bool is_object(json_t *value)
{
    return json_is_object(value);
}

static bool is_list(json_t *value)
{
    return json_is_array(value);
}

static const struct {
    const char *key;
    bool (*is)(json_t *value);
    const char *kind;
} keys[] = {
    {"limit", is_positive, "a positive integer"},
    {"older", is_positive, "a positive integer"},
    {"younger", is_positive, "a positive integer"},
    {"larger", is_positive, "a positive integer"},
    {"smaller", is_positive, "a positive integer"},
    {"sender", is_text, "a text"},
    {"recipient", is_text, "a text"},
    {"route", is_text, "a text"},
    {"reason", is_text, "a text"},
    {"flow", is_text, "a text"},
    {"to", is_text, "a text"},
    {"ids", is_list, "a list"},
    {"mail", is_object, "an object"},
    {"worker", is_positive, "a positive integer"},
    {"number", is_positive, "a positive integer"},
    {"data", is_text, "a text"},
    {"dry_run", is_flag, "true or false"},
};

static bool takes(const struct control_request *request, const char *key)
{
    char word[64];
    int n = snprintf(word, sizeof word, " %s ", key);
    return n > 0 && (size_t)n < sizeof word && strstr(request->keys, word) != NULL;
}

/* Every key is one of the request's and its value of the right kind; else says why. */
static bool check_keys(const struct control_request *request, json_t *object, char *why,
                       size_t capacity)
{
    const char *key;
    json_t *member;
    json_object_foreach(object, key, member)
    {
        if (strcmp(key, "command") == 0)
            continue;
        if (!takes(request, key)) {
            (void)snprintf(why, capacity, "\"%s\" takes no \"%.64s\"", request->command, key);
            return false;
        }
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            if (strcmp(keys[i].key, key) != 0 || keys[i].is(member))
                continue;
            (void)snprintf(why, capacity, "\"%s\" must be %s", key, keys[i].kind);
            return false;
        }
    }
    return true;
}

void request_begin(struct control *control, struct control_client *client, struct span line)
{
    CRASH_POINT(CONTROL_ASKED);
    char why[LIMIT_REASON];
    json_error_t error;
    json_t *object = json_loadb((const char *)line.p, line.n, JSON_REJECT_DUPLICATES, &error);
    json_t *command = json_object_get(object, "command");
    if (!object || !json_is_string(command)) {
        (void)snprintf(why, sizeof why,
                       "a request is an object such as {\"command\":\"status\"}%s%s",
                       object ? "" : ": ", object ? "" : error.text);
        client_end(client, NULL, why);
        json_decref(object);
        return;
    }
    const struct control_request *request = find(json_string_value(command));
    if (!request) {
        (void)snprintf(why, sizeof why, "there is no command \"%.64s\"",
                       json_string_value(command));
        client_end(client, NULL, why);
    } else if (!check_keys(request, object, why, sizeof why)) {
        client_end(client, NULL, why);
    } else {
        log_begin(request->begin == import_data_begin ? LOG_DEBUG : LOG_INFO, "admin request");
        log_text("command", request->command);
        log_number("uid", client->uid);
        log_number("client_pid", client->pid);
        log_end();
        client->job = (struct control_job){.request = request, .awaited = CONTROL_NOBODY};
        request->begin(control, client, object);
    }
    json_decref(object);
}

void request_answer(struct control *control, int whom, uint64_t id, const struct ipc_message *m)
{
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd < 0 || client->job.awaited != whom || client->job.id != id)
            continue;
        client->job.awaited = CONTROL_NOBODY;
        client->job.request->answer(control, client, m);
        return;
    }
    /* Nobody waits any more: the client has gone, or the answer came too late. */
}

void request_peer_lost(struct control *control, int whom, const char *why)
{
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd < 0 || client->job.awaited != whom)
            continue;
        client->job.awaited = CONTROL_NOBODY;
        client->job.request->lost(control, client, whom, why);
    }
}

void request_unanswered(struct control *control, struct control_client *client, int whom,
                        const char *why)
{
    client->job.incomplete = true;
    if (whom == CONTROL_MASTER) {
        client_line(client, json_pack("{s:s, s:s, s:s}", "type", "unanswered", "role", "master",
                                      "error", why));
        return;
    }
    const struct control_worker *worker = &control->workers[whom];
    client_line(client,
                json_pack("{s:s, s:s, s:s, s:i, s:s}", "type", "unanswered", "role", "connection",
                          "flow", worker->flow, "worker", (int)worker->index, "error", why));
}
