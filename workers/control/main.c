/* control: start. */
#include "engine/sandbox/role.h"
#include "workers/control/control.h"
#include "workers/control/metrics.h"
#include <unistd.h>

static void take_item(struct control *control, const struct role_item *item,
                      struct sandbox_request *request)
{
    struct span text = span_str(item->text);
    if (item->kind == MSG_listener && item->index == LISTENER_METRICS)
        metrics_begin(control, item->fds[0], request);
    else if (item->kind == MSG_listener)
        control_take_listener(control, item->fds[0]);
    else if (item->kind == MSG_peer && item->role == ROLE_CONNECTION)
        control_take_channel(control, text, item->index, item->fds[0]);
    else if (item->kind == MSG_counters && item->role == ROLE_CONNECTION)
        control_take_counters(control, text, item->index, item->fds[0]);
    else
        fatal_env(EXIT_SOFTWARE, 0, "control has no use for %s of %s", ipc_kind_name(item->kind),
                  role_name(item->role));
}

int main(int argc, char **argv)
{
    static struct role_start start;
    static struct sandbox_request request = {.root = -1};
    static struct control control;
    /* The master runs as this user until the privileges are dropped. */
    control.owner = getuid();
    role_acquire(ROLE_CONTROL, argc, argv, &start);
    /* Reads /dev/urandom, which is out of reach afterwards. */
    json_object_seed(0);
    control.master = start.master;
    control.listener = -1;
    control.generation = start.generation;
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++)
        control.clients[i].fd = -1;
    for (unsigned i = 0; i < start.count; i++)
        take_item(&control, &start.items[i], &request);
    if (control.listener < 0)
        fatal_env(EXIT_SOFTWARE, 0, "control was given no admin socket");
    if (start.image >= 0)
        (void)close(start.image);
    sandbox_keep(&request, control.listener);
    for (unsigned i = 0; i < control.worker_count; i++)
        if (control.workers[i].fd >= 0)
            sandbox_keep(&request, control.workers[i].fd);
    request.max_descriptors =
        LIMIT_ADMIN_WORKERS + LIMIT_ADMIN_CLIENTS + LIMIT_METRICS_CLIENTS + 32;
    role_seal(&start, &request);
    control_serve(&control);
    return EXIT_OK;
}
