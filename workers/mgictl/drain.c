/* drain: the node is emptied, with the number of mails that are left as it goes. */
#include "engine/admin/client.h"
#include "workers/mgictl/command.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { GONE = -2, SILENT = -1 };

/* Mails left. GONE: nobody has the socket any more. SILENT: no answer this time. */
static json_int_t mails_left(const struct command_line *line)
{
    struct admin_client client;
    struct span text;
    json_int_t mails = SILENT;
    if (admin_connect(&client, line->socket) != 0)
        return errno == ECONNREFUSED || errno == ENOENT ? GONE : SILENT;
    if (admin_send(&client, SPAN_LIT("{\"command\":\"status\"}")) == 0)
        while (mails < 0 && admin_receive(&client, LIMIT_ADMIN_SECONDS, &text) == ADMIN_LINE) {
            json_t *object = json_loadb((const char *)text.p, text.n, 0, NULL);
            if (strcmp(remote_text(object, "type"), "counters") == 0)
                mails = remote_number(json_object_get(object, "counters"), "queue_mails");
            json_decref(object);
        }
    admin_close(&client);
    return mails;
}

static void show_nothing(void *context, json_t *object)
{
    (void)context;
    (void)object;
}

static void tell(const struct command_line *line, json_int_t mails, json_int_t before)
{
    if (line->json)
        printf("{\"type\":\"progress\",\"mails\":%" JSON_INTEGER_FORMAT "}\n", mails);
    else if (isatty(STDOUT_FILENO))
        printf("\r%" JSON_INTEGER_FORMAT " mails left   ", mails);
    else if (mails != before)
        printf("%" JSON_INTEGER_FORMAT " mails left\n", mails);
    (void)fflush(stdout);
}

enum exit_status command_drain(const struct command_line *line, const char *const *arguments)
{
    (void)arguments;
    json_t *request = json_pack("{s:s}", "command", "drain");
    if (line->to)
        (void)json_object_set_new(request, "to", json_string(line->to));
    enum exit_status result = remote_ask(line, request, EXIT_DATA, show_nothing, NULL, NULL);
    if (result != EXIT_OK)
        return result;
    json_int_t mails, before = SILENT;
    while ((mails = mails_left(line)) != GONE) {
        if (mails != SILENT)
            tell(line, mails, before);
        before = mails;
        (void)sleep(1);
    }
    if (!line->json)
        printf("%sNothing is left; mgid has ended.\n", isatty(STDOUT_FILENO) ? "\r" : "");
    return EXIT_OK;
}
