/* queue list, show, hold, release, retry, bounce, delete, redirect. */
#include "queue_action.h"
#include "workers/mgictl/command.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- the request ------------------------------------------------------------------------ */

static void set_text(json_t *request, const char *key, const char *value)
{
    if (value)
        (void)json_object_set_new(request, key, json_string(value));
}

static void set_number(json_t *request, const char *key, uint64_t value)
{
    if (value > 0)
        (void)json_object_set_new(request, key, json_integer((json_int_t)value));
}

json_t *queue_request(const struct command_line *line, const char *command, const char *const *ids)
{
    json_t *request = json_pack("{s:s}", "command", command);
    set_number(request, "limit", line->limit);
    set_text(request, "sender", line->sender);
    set_text(request, "recipient", line->recipient);
    set_text(request, "route", line->route);
    set_text(request, "reason", line->reason);
    set_text(request, "flow", line->flow);
    set_number(request, "older", line->older);
    set_number(request, "younger", line->younger);
    set_number(request, "larger", line->larger);
    set_number(request, "smaller", line->smaller);
    set_text(request, "to", line->to);
    if (line->dry_run)
        (void)json_object_set_new(request, "dry_run", json_true());
    if (!ids[0])
        return request;
    json_t *list = json_array();
    for (size_t i = 0; ids[i]; i++)
        (void)json_array_append_new(list, json_string(ids[i]));
    (void)json_object_set_new(request, "ids", list);
    return request;
}

static bool filtered(const struct command_line *line, const char *const *ids)
{
    return ids[0] || line->sender || line->recipient || line->route || line->reason || line->flow ||
           line->older > 0 || line->younger > 0 || line->larger > 0 || line->smaller > 0;
}

/* ---- list, show ------------------------------------------------------------------------- */

static void show_mail(void *context, json_t *object)
{
    struct table *table = context;
    char age[TEXT_LENGTH], size[TEXT_LENGTH];
    json_int_t now = (json_int_t)time(NULL);
    json_t *recipients = json_object_get(object, "recipients");
    const char *sender = remote_text(object, "sender");
    text_duration(now - remote_number(object, "arrival_time"), age);
    text_size(remote_number(object, "message_size"), size);
    size_t i;
    json_t *recipient;
    json_array_foreach(recipients, i, recipient)
    {
        char attempts[TEXT_LENGTH], next[TEXT_LENGTH] = "now";
        text_number(remote_number(recipient, "attempts"), attempts);
        if (strcmp(remote_text(recipient, "state"), "hold") == 0)
            (void)snprintf(next, sizeof next, "held");
        else if (remote_number(recipient, "next_attempt") > now)
            text_duration(remote_number(recipient, "next_attempt") - now, next);
        table_row(table, (const char *const[]){
                             remote_text(object, "queue_id"), age, size,
                             remote_text(object, "flow"), sender[0] ? sender : "<>",
                             remote_text(recipient, "address"), remote_text(recipient, "route"),
                             attempts, next, remote_text(recipient, "delay_reason")});
    }
}

enum exit_status queue_unread(json_t *end, enum exit_status result)
{
    json_int_t n = remote_number(end, "busy");
    if (n == 0)
        return result;
    fprintf(stderr,
            "mgictl: %" JSON_INTEGER_FORMAT " mail%s can't be read from the spool: see the log for "
            "\"stored mail unreadable\".\n",
            n, n == 1 ? "" : "s");
    return result == EXIT_OK ? EXIT_TEMPFAIL : result;
}

enum exit_status command_queue_list(const struct command_line *line, const char *const *arguments)
{
    static struct table table = {.columns = 10,
                                 .heads = {"QUEUE ID", "AGE", "SIZE", "FLOW", "SENDER", "RECIPIENT",
                                           "ROUTE", "TRIES", "NEXT IN", "REASON"},
                                 .right = {[2] = true, [7] = true}};
    json_t *end;
    enum exit_status result = remote_ask(line, queue_request(line, "queue-list", arguments),
                                         EXIT_UNAVAILABLE, show_mail, &table, &end);
    table_flush(&table);
    if (end && !line->json) {
        json_int_t mails = remote_number(end, "mails");
        if (mails == 0)
            printf(filtered(line, arguments) ? "No mail in the queue is that.\n"
                                             : "The queue is empty.\n");
        else
            printf("%s%" JSON_INTEGER_FORMAT " mail%s%s\n", table.begun ? "\n" : "", mails,
                   mails == 1 ? "" : "s",
                   json_is_true(json_object_get(end, "more")) ? "; there may be more" : "");
    }
    result = queue_unread(end, result);
    json_decref(end);
    return result;
}

static void show_field(const char *name, const char *value)
{
    if (!value[0])
        return;
    printf("  %-14s", name);
    print_safe(value);
    printf("\n");
}

static void show_moment(const char *name, json_int_t seconds)
{
    char text[TEXT_LENGTH];
    if (seconds <= 0)
        return;
    text_time(seconds, text);
    show_field(name, text);
}

static void show_all(void *context, json_t *object)
{
    char text[TEXT_LENGTH];
    size_t i;
    json_t *r;
    (void)context;
    print_safe(remote_text(object, "queue_id"));
    printf("\n");
    const char *sender = remote_text(object, "sender");
    show_field("sender", sender[0] ? sender : "<>");
    show_moment("arrived", remote_number(object, "arrival_time"));
    text_size(remote_number(object, "message_size"), text);
    show_field("size", text);
    show_field("flow", remote_text(object, "flow"));
    show_field("from client", remote_text(object, "client"));
    show_field("its name", remote_text(object, "helo"));
    show_field("TLS", remote_text(object, "tls"));
    show_field("ENVID", remote_text(object, "envid"));
    json_array_foreach(json_object_get(object, "recipients"), i, r)
    {
        printf("\n");
        show_field("recipient", remote_text(r, "address"));
        show_field("given as", remote_text(r, "original"));
        show_field("ORCPT", remote_text(r, "orcpt"));
        show_field("rule", remote_text(r, "rule"));
        show_field("route", remote_text(r, "route"));
        show_field("state", remote_text(r, "state"));
        show_field("priority", remote_text(r, "priority"));
        text_number(remote_number(r, "attempts"), text);
        show_field("attempts", text);
        show_moment("next attempt", remote_number(r, "next_attempt"));
        show_moment("expires", remote_number(r, "expires"));
        show_field("reason", remote_text(r, "delay_reason"));
    }
}

enum exit_status command_queue_show(const struct command_line *line, const char *const *arguments)
{
    json_t *end;
    enum exit_status result = remote_ask(line, queue_request(line, "queue-list", arguments),
                                         EXIT_UNAVAILABLE, show_all, NULL, &end);
    result = queue_unread(end, result);
    if (result == EXIT_OK && remote_number(end, "mails") == 0) {
        fprintf(stderr, "mgictl: there is no mail %s in the queue (any more).\n", arguments[0]);
        result = EXIT_NOINPUT;
    }
    json_decref(end);
    return result;
}

/* ---- what changes the queue ------------------------------------------------------------- */

/* On a terminal one line that is written over. */
static void show_progress(void *context, json_t *object)
{
    bool *shown = context;
    if (strcmp(remote_text(object, "type"), "progress") != 0 || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r%" JSON_INTEGER_FORMAT " mails…", remote_number(object, "mails"));
    *shown = true;
}

static enum exit_status ask(const struct command_line *line, const char *command,
                            const char *const *ids, json_t **end)
{
    bool shown = false;
    enum exit_status result = remote_ask(line, queue_request(line, command, ids), EXIT_UNAVAILABLE,
                                         show_progress, &shown, end);
    if (shown)
        fprintf(stderr, "\r");
    return result;
}

static void print_counts(json_t *end, const char *verb)
{
    json_int_t mails = remote_number(end, "mails");
    json_int_t recipients = remote_number(end, "recipients");
    json_int_t busy = remote_number(end, "busy");
    printf("%" JSON_INTEGER_FORMAT " mail%s (%" JSON_INTEGER_FORMAT " recipient%s) %s.\n", mails,
           mails == 1 ? "" : "s", recipients, recipients == 1 ? "" : "s", verb);
    if (busy > 0)
        printf("%" JSON_INTEGER_FORMAT
               " not, or not wholly: being delivered at this moment, or not "
               "to be read (see the log). Do it again for what is left of them.\n",
               busy);
}

/* Says what it would be, and asks; only where a person sits. */
static bool confirmed(const struct command_line *line, const char *command, const char *verb,
                      const char *const *ids)
{
    struct command_line dry = *line;
    json_t *end = NULL;
    char answer[8];
    if (line->yes || line->dry_run || line->json || !isatty(STDIN_FILENO))
        return true;
    dry.dry_run = true;
    if (ask(&dry, command, ids, &end) == EXIT_OK) {
        char text[64];
        (void)snprintf(text, sizeof text, "would be %s", verb);
        print_counts(end, text);
    }
    json_decref(end);
    printf("Go on? [y/N] ");
    (void)fflush(stdout);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static enum exit_status operate(const struct command_line *line, enum queue_action action,
                                const char *const *ids)
{
    static const struct {
        const char *command, *done;
    } actions[] = {
#define X(NAME, command, done) [QUEUE_##NAME] = {"queue-" command, done},
        QUEUE_ACTIONS(X)
#undef X
    };
    bool grave = action == QUEUE_DELETE || action == QUEUE_BOUNCE || action == QUEUE_REDIRECT;
    json_t *end = NULL;
    if (!filtered(line, ids) && !line->all) {
        fprintf(stderr, "mgictl: which mails? Name queue ids, or a filter such as --route, or "
                        "--all for the whole queue.\n");
        return EXIT_USAGE;
    }
    if (grave && !confirmed(line, actions[action].command, actions[action].done, ids)) {
        printf("Nothing was done.\n");
        return EXIT_OK;
    }
    enum exit_status result = ask(line, actions[action].command, ids, &end);
    if (end && !line->json) {
        char verb[64];
        (void)snprintf(verb, sizeof verb, "%s%s", line->dry_run ? "would be " : "",
                       actions[action].done);
        print_counts(end, verb);
    }
    if (result == EXIT_OK && remote_number(end, "busy") > 0)
        result = EXIT_TEMPFAIL;
    json_decref(end);
    return result;
}

enum exit_status command_queue_hold(const struct command_line *line, const char *const *arguments)
{
    return operate(line, QUEUE_HOLD, arguments);
}

enum exit_status command_queue_release(const struct command_line *line,
                                       const char *const *arguments)
{
    return operate(line, QUEUE_RELEASE, arguments);
}

enum exit_status command_queue_retry(const struct command_line *line, const char *const *arguments)
{
    return operate(line, QUEUE_RETRY, arguments);
}

enum exit_status command_queue_bounce(const struct command_line *line, const char *const *arguments)
{
    return operate(line, QUEUE_BOUNCE, arguments);
}

enum exit_status command_queue_delete(const struct command_line *line, const char *const *arguments)
{
    return operate(line, QUEUE_DELETE, arguments);
}

enum exit_status command_queue_redirect(const struct command_line *line,
                                        const char *const *arguments)
{
    if (!line->to) {
        fprintf(stderr, "mgictl: where to? Give --to ROUTE or --to ADDRESS.\n");
        return EXIT_USAGE;
    }
    return operate(line, QUEUE_REDIRECT, arguments);
}

/* ---- routes ----------------------------------------------------------------------------- */

static void show_suspended(void *context, json_t *object)
{
    size_t i;
    json_t *name;
    (void)context;
    printf("%s %" JSON_INTEGER_FORMAT ": ", remote_text(object, "flow"),
           remote_number(object, "worker"));
    json_t *names = json_object_get(object, "suspended");
    json_array_foreach(names, i, name)
    {
        print_safe(json_string_value(name));
        printf(" ");
    }
    printf("%s\n", json_array_size(names) == 0 ? "no route is suspended" : "suspended");
}

static enum exit_status route(const struct command_line *line, const char *command,
                              const char *name)
{
    return remote_ask(line, json_pack("{s:s, s:s}", "command", command, "route", name),
                      EXIT_UNAVAILABLE, show_suspended, NULL, NULL);
}

enum exit_status command_suspend(const struct command_line *line, const char *const *arguments)
{
    return route(line, "suspend", arguments[0]);
}

enum exit_status command_resume(const struct command_line *line, const char *const *arguments)
{
    return route(line, "resume", arguments[0]);
}
