/*
 * Runs in a role of a test build: tries one act behind the closed sandbox. Which one says the file
 * BUILD/probe: the role, the act, a TCP port that listens, a key's file, another shard.
 */
#include "engine/sandbox/probe.h"
#include "engine/log/log.h"
#include "engine/sandbox/role.h"
#include "tests/sandbox/acts.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct probe probe = {.shard = -1};

static const struct {
    const char *name;
    int (*try)(const struct probe *);
} acts[] = {
#define ACT(name, connection, keeper, resolver, control, compiler, what) {#name, act_##name},
#include "tests/sandbox/acts.def"
#undef ACT
};

void sandbox_probe_ring(struct io_uring *ring)
{
    probe.ring = ring;
}

/* The channels to other roles, and the connection worker's directory. */
static void find_descriptors(const struct role_start *start)
{
    probe.shard = start->shard;
    for (unsigned i = 0; i < start->count && probe.peers < PROBE_PEERS; i++) {
        if (start->items[i].kind != MSG_peer)
            continue;
        probe.peer_role[probe.peers] = start->items[i].role;
        probe.peer[probe.peers++] = start->items[i].fds[0];
    }
}

/* BUILD/libexec/mgid/ROLE is executed: BUILD/probe. */
static FILE *open_order(void)
{
    char path[4096], order[4128];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    for (int up = 0; up < 3; up++) {
        char *slash = strrchr(path, '/');
        if (!slash)
            return NULL;
        *slash = '\0';
    }
    (void)snprintf(order, sizeof order, "%s/probe", path);
    return fopen(order, "re");
}

void sandbox_probe_prepare(const struct role_start *start)
{
    char who[16] = "";
    FILE *f = open_order();
    if (!f)
        return;
    bool whole = fscanf(f, "%15s %63s %u %1023s %1023s", who, probe.act, &probe.port, probe.key,
                        probe.other) == 5;
    (void)fclose(f);
    if (!whole || strcmp(who, role_name(start->role)) != 0)
        probe.act[0] = '\0';
    probe.role = start->role;
    find_descriptors(start);
}

void sandbox_probe_act(void)
{
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (strcmp(acts[i].name, probe.act) != 0)
            continue;
        errno = 0;
        int r = acts[i].try(&probe);
        int error = errno;
        log_begin(LOG_NOTICE, "probe");
        log_text("act", probe.act);
        log_text("result", r == PROBE_CLOSED ? "closed" : r < 0 ? strerrorname_np(error) : "done");
        log_end();
        log_flush();
    }
}
