/* status, reload: the daemon's answers for people. */
#include "engine/counters/counters.h"
#include "workers/mgictl/command.h"
#include <stdio.h>
#include <time.h>

struct status {
    struct table processes;
    struct table counters;
};

static void show_daemon(json_t *object)
{
    char uptime[TEXT_LENGTH] = "?";
    char started[TEXT_LENGTH] = "?";
    if (json_object_get(object, "started")) {
        text_duration(remote_number(object, "uptime"), uptime);
        text_time(remote_number(object, "started"), started);
    }
    printf("mgid ");
    print_safe(remote_text(object, "version"));
    printf(", policy generation %" JSON_INTEGER_FORMAT ", up %s (since %s)\n\n",
           remote_number(object, "generation"), uptime, started);
}

static void show_process(struct table *table, json_t *object)
{
    char index[TEXT_LENGTH], pid[TEXT_LENGTH], restarts[TEXT_LENGTH], age[TEXT_LENGTH];
    text_number(remote_number(object, "index"), index);
    text_number(remote_number(object, "pid"), pid);
    text_number(remote_number(object, "restarts"), restarts);
    text_duration((json_int_t)time(NULL) - remote_number(object, "started"), age);
    table_row(table,
              (const char *const[]){remote_text(object, "role"), remote_text(object, "flow"), index,
                                    pid, remote_text(object, "state"), age, restarts});
}

static void show_counters(struct table *table, json_t *counters)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_description *d = &counter_descriptions[i];
        char value[TEXT_LENGTH];
        if (!json_object_get(counters, d->name))
            continue;
        text_number(remote_number(counters, d->name), value);
        table_row(table, (const char *const[]){d->name, value, d->help});
    }
}

static void show_status(void *context, json_t *object)
{
    struct status *status = context;
    const char *type = remote_text(object, "type");
    if (strcmp(type, "daemon") == 0)
        show_daemon(object);
    else if (strcmp(type, "process") == 0)
        show_process(&status->processes, object);
    else if (strcmp(type, "counters") == 0)
        show_counters(&status->counters, json_object_get(object, "counters"));
}

enum exit_status command_status(const struct command_line *line, const char *const *arguments)
{
    (void)arguments;
    static struct status status = {
        .processes = {.columns = 7,
                      .heads = {"ROLE", "FLOW", "WORKER", "PID", "STATE", "UP", "RESTARTS"},
                      .right = {[2] = true, [3] = true, [6] = true}},
        .counters = {.columns = 3, .heads = {"COUNTER", "VALUE", "MEANING"}, .right = {[1] = true}},
    };
    enum exit_status result = remote_ask(line, json_pack("{s:s}", "command", "status"),
                                         EXIT_UNAVAILABLE, show_status, &status, NULL);
    if (status.processes.rows > 0) {
        table_flush(&status.processes);
        printf("\n");
    }
    table_flush(&status.counters);
    return result;
}

static void show_report(void *context, json_t *object)
{
    (void)context;
    print_safe(remote_text(object, "text"));
    printf("\n");
}

enum exit_status command_reload(const struct command_line *line, const char *const *arguments)
{
    (void)arguments;
    json_t *end;
    enum exit_status result = remote_ask(line, json_pack("{s:s}", "command", "reload"), EXIT_DATA,
                                         show_report, NULL, &end);
    if (result == EXIT_OK && !line->json)
        printf("The policy is in force, generation %" JSON_INTEGER_FORMAT ".\n",
               remote_number(end, "generation"));
    json_decref(end);
    return result;
}
