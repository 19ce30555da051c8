/* A question to the daemon, and its answer line by line. */
#include "engine/admin/client.h"
#include "workers/mgictl/command.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The daemon keeps a client informed within its own bounds; more than that is a hang. */
enum { PATIENCE = LIMIT_ADMIN_RELOAD_SECONDS + LIMIT_ADMIN_SECONDS };

const char *remote_text(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

json_int_t remote_number(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static enum exit_status cannot_connect(const char *path)
{
    int error = errno;
    if (error == EACCES || error == EPERM) {
        fprintf(stderr,
                "mgictl: %s: %s. Only root and the user that mgid runs as may ask: try sudo.\n",
                path, strerror(error));
        return EXIT_NOPERM;
    }
    if (error == ENAMETOOLONG) {
        fprintf(stderr, "mgictl: %s: too long for a socket's path.\n", path);
        return EXIT_USAGE;
    }
    fprintf(stderr,
            "mgictl: mgid does not answer at %s (%s): is it running? systemctl status mgid\n"
            "Another socket is named with --socket PATH (in the policy it is /control/socket).\n",
            path, strerror(error));
    return EXIT_UNAVAILABLE;
}

/* Somebody of the daemon did not answer: the rest of the answer goes on. */
static void tell_unanswered(json_t *object)
{
    fprintf(stderr, "mgictl: the %s process", remote_text(object, "role"));
    if (json_object_get(object, "flow"))
        fprintf(stderr, " %" JSON_INTEGER_FORMAT " of flow %s", remote_number(object, "worker"),
                remote_text(object, "flow"));
    fprintf(stderr, " did not answer: %s. See the log and mgictl status.\n",
            remote_text(object, "error"));
}

static enum exit_status last_line(json_t *object, enum exit_status refused, bool incomplete)
{
    if (!json_is_true(json_object_get(object, "ok"))) {
        fprintf(stderr, "mgictl: %s.\n", remote_text(object, "error"));
        return incomplete ? EXIT_TEMPFAIL : refused;
    }
    return incomplete ? EXIT_TEMPFAIL : EXIT_OK;
}

static enum exit_status broken_off(enum admin_status status)
{
    fprintf(stderr, "mgictl: mgid's answer broke off (%s). Try again; see the log.\n",
            status == ADMIN_TIMED_OUT ? "nothing came for too long"
            : status == ADMIN_FAILED  ? strerror(errno)
            : status == ADMIN_CLOSED  ? "connection closed"
                                      : "a malformed line");
    return EXIT_TEMPFAIL;
}

struct answer {
    const struct command_line *line;
    enum exit_status refused;
    void (*show)(void *context, json_t *object);
    void *context;
    json_t **end;
};

static enum exit_status read_answer(struct admin_client *client, const struct answer *a)
{
    bool incomplete = false;
    for (;;) {
        struct span text;
        enum admin_status status = admin_receive(client, PATIENCE, &text);
        if (status != ADMIN_LINE)
            return broken_off(status);
        json_t *object = json_loadb((const char *)text.p, text.n, 0, NULL);
        if (!json_is_object(object)) {
            json_decref(object);
            return broken_off(ADMIN_TOO_LONG);
        }
        bool last = json_is_true(json_object_get(object, "end"));
        bool unanswered = strcmp(remote_text(object, "type"), "unanswered") == 0;
        if (a->line->json)
            printf("%.*s\n", (int)text.n, (const char *)text.p);
        else if (!last && !unanswered)
            a->show(a->context, object);
        if (unanswered) {
            incomplete = true;
            tell_unanswered(object);
        }
        if (last) {
            enum exit_status result = last_line(object, a->refused, incomplete);
            *a->end = object;
            return result;
        }
        json_decref(object);
    }
}

enum exit_status remote_ask(const struct command_line *line, json_t *request,
                            enum exit_status refused, void (*show)(void *context, json_t *object),
                            void *context, json_t **end)
{
    struct admin_client client;
    json_t *last = NULL;
    struct answer answer = {line, refused, show, context, &last};
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (!text) {
        fprintf(stderr, "mgictl: no memory.\n");
        return EXIT_OSERR;
    }
    enum exit_status status;
    if (admin_connect(&client, line->socket) != 0) {
        status = cannot_connect(line->socket);
    } else {
        /* A daemon that refuses says why and closes before it reads: what it said counts. */
        if (admin_send(&client, span_str(text)) != 0 && errno != EPIPE && errno != ECONNRESET)
            status = broken_off(ADMIN_FAILED);
        else
            status = read_answer(&client, &answer);
        admin_close(&client);
    }
    free(text);
    if (end)
        *end = last;
    else
        json_decref(last);
    return status;
}
