/* The resolver's process: names for the connection workers, from libunbound, in one thread. */
#include "engine/log/log.h"
#include "engine/sandbox/role.h"
#include "workers/resolver/channels.h"
#include "workers/resolver/settings.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPARE_DESCRIPTORS = 64 }; /* standard ones, log, master, TCP to name servers */

static struct {
    struct role_start start;
    struct settings settings;
    struct loop loop;
    struct channels channels;
    struct loop_event master;
    struct loop_event drain;
    bool draining;
    unsigned char buffer[LIMIT_MESSAGE];
} self;

/* libunbound can't change servers under way: the master starts us anew with the new policy. The
 * workers ask again when their channel was replaced. */
static void take_image(int fd, uint32_t generation)
{
    struct settings settings;
    char reason[LIMIT_REASON];
    bool readable = settings_read(fd, &settings, reason);
    (void)close(fd);
    if (!readable)
        fatal_env(EXIT_SOFTWARE, 0, "policy of generation %u: %s", generation, reason);
    if (settings_equal(&settings, &self.settings))
        return;
    log_line(LOG_NOTICE, "restart", "generation %u has other name servers or another DNSSEC choice",
             generation);
    log_flush();
    exit(EXIT_TEMPFAIL);
}

static void drained(int fd, short bits, void *context)
{
    (void)fd, (void)bits, (void)context;
    log_flush();
    exit(EXIT_OK);
}

static void take_drain(uint32_t milliseconds)
{
    self.draining = true;
    if (!loop_add(&self.drain, milliseconds * UINT64_C(1000)) || milliseconds == 0)
        drained(-1, 0, NULL);
}

static void take(const struct ipc_message *m)
{
    switch (m->kind) {
    case MSG_peer:
        if (m->peer.role == ROLE_CONNECTION) {
            channels_put(&self.channels, m->fds[0], m->peer.index, m->peer.flow);
            return;
        }
        fatal_env(EXIT_SOFTWARE, 0, "a peer that never asks for names: %s",
                  role_name(m->peer.role));
    case MSG_image:
        take_image(m->fds[0], m->image.generation);
        return;
    case MSG_log_file:
        log_set_fd(m->fds[0]);
        return;
    case MSG_drain:
        take_drain(m->drain.milliseconds);
        return;
    default:
        fatal_env(EXIT_SOFTWARE, 0, "from the master: %s", ipc_kind_name(m->kind));
    }
}

static void from_master(int fd, short bits, void *context)
{
    struct ipc_message m;
    (void)bits, (void)context;
    enum ipc_status status = ipc_receive(fd, ROLE_MASTER, ROLE_RESOLVER, self.buffer, &m);
    if (status == IPC_OK)
        take(&m);
    else if (status == IPC_CLOSED)
        exit(EXIT_UNAVAILABLE);
    else if (status != IPC_AGAIN)
        fatal_env(EXIT_SOFTWARE, errno, "from the master: %s", ipc_status_text(status));
}

static void acquire(int argc, char **argv, struct sandbox_request *request)
{
    char reason[LIMIT_REASON];
    role_acquire(ROLE_RESOLVER, argc, argv, &self.start);
    if (self.start.image < 0)
        fatal_env(EXIT_SOFTWARE, 0, "start: no policy image");
    if (!settings_read(self.start.image, &self.settings, reason))
        fatal_env(EXIT_SOFTWARE, 0, "policy of generation %u: %s", self.start.generation, reason);
    (void)close(self.start.image);
    if (loop_init(&self.loop, LIMIT_RESOLVER_EVENTS) != 0)
        fatal_env(EXIT_OSERR, errno, "resolver: memory for events");
    channels_init(&self.channels, &self.loop, settings_context(&self.settings, &self.loop));
    for (unsigned i = 0; i < self.start.count; i++) {
        const struct role_item *item = &self.start.items[i];
        if (item->kind != MSG_peer || item->role != ROLE_CONNECTION)
            fatal_env(EXIT_SOFTWARE, 0, "start: %s is not for a resolver",
                      ipc_kind_name(item->kind));
        channels_put(&self.channels, item->fds[0], item->index, span_str(item->text));
    }
    for (unsigned i = 0; i < LIMIT_ROLE_ITEMS; i++)
        if (self.channels.slots[i].fd >= 0)
            sandbox_keep(request, self.channels.slots[i].fd);
    settings_ports(&self.settings, request);
    request->max_descriptors = LIMIT_RESOLVER_SOCKETS + LIMIT_ROLE_ITEMS + SPARE_DESCRIPTORS;
}

int main(int argc, char **argv)
{
    struct sandbox_request request = {.root = -1};
    acquire(argc, argv, &request);
    role_seal(&self.start, &request);
    loop_event_init(&self.loop, &self.drain, -1, 0, drained, NULL);
    loop_event_init(&self.loop, &self.master, self.start.master, UB_EV_READ | UB_EV_PERSIST,
                    from_master, NULL);
    BUG_ON(!loop_add(&self.master, 0));
    while (!self.draining || !channels_idle(&self.channels))
        loop_step(&self.loop);
    drained(-1, 0, NULL);
}
