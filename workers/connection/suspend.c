/* The list of suspended routes: in memory, in its file, and in the destinations. */
#include "workers/connection/suspend.h"
#include "engine/log/log.h"
#include "workers/connection/queue_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define NAME_FILE "suspended"
#define NAME_NEW "suspended.new"

enum { FILE_MAX = LIMIT_SUSPENDED * (LIMIT_NAME + 1) };

static unsigned place_of(const struct suspended *s, const char *route)
{
    unsigned i = 0;
    while (i < s->count && strcmp(s->names[i], route) != 0)
        i++;
    return i;
}

bool suspend_has(const struct worker *w, const char *route)
{
    return place_of(&w->queue.suspended, route) < w->queue.suspended.count;
}

static void add(struct suspended *s, struct span name)
{
    if (name.n == 0 || name.n > LIMIT_NAME || s->count == LIMIT_SUSPENDED)
        return;
    memcpy(s->names[s->count], name.p, name.n);
    s->names[s->count][name.n] = '\0';
    s->count++;
}

void suspend_read(struct worker *w)
{
    char text[FILE_MAX];
    int fd = openat(w->shard, NAME_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text, 0) : -1;
    if (n < 0 && errno != ENOENT)
        log_line(LOG_ERROR, "suspended routes", "%s: none is suspended now", strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    struct span rest = span_of(text, n > 0 ? (size_t)n : 0);
    while (rest.n > 0) {
        const unsigned char *newline = memchr(rest.p, '\n', rest.n);
        struct span name = span_head(rest, newline ? (size_t)(newline - rest.p) : rest.n);
        add(&w->queue.suspended, name);
        rest = span_from(rest, name.n + 1);
    }
}

/* Whole or not at all: written beside, synced, renamed. 0 or errno. */
static int write_file(const struct worker *w, const struct suspended *s)
{
    char text[FILE_MAX];
    size_t n = 0;
    for (unsigned i = 0; i < s->count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\n", s->names[i]);
    int fd =
        openat(w->shard, NAME_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno;
    ssize_t written = pwrite(fd, text, n, 0);
    int error = written == (ssize_t)n ? 0 : written < 0 ? errno : ENOSPC;
    if (error == 0 && fdatasync(fd) != 0)
        error = errno;
    (void)close(fd);
    if (error == 0 && renameat(w->shard, NAME_NEW, w->shard, NAME_FILE) != 0)
        error = errno;
    if (error == 0 && fsync(w->shard) != 0)
        error = errno;
    return error;
}

static void tell_destinations(struct worker *w)
{
    for (uint32_t i = 0; i < w->queue.destinations.fresh; i++) {
        struct destination *d = pool_at(&w->queue.destinations, i);
        if (!d)
            continue;
        bool was = d->suspended;
        d->suspended = suspend_has(w, d->route);
        if (was && !d->suspended)
            destination_wake(w, d);
    }
}

/* Changes the list. Why not, or NULL. */
static const char *change(struct worker *w, const char *route, bool suspend)
{
    struct suspended s = w->queue.suspended;
    unsigned at = place_of(&s, route);
    if ((at < s.count) == suspend)
        return NULL;
    if (suspend && s.count == LIMIT_SUSPENDED)
        return "as many routes as can be are suspended";
    if (suspend) {
        add(&s, span_str(route));
    } else {
        s.count--;
        memmove(s.names[at], s.names[s.count], sizeof s.names[at]);
    }
    int error = write_file(w, &s);
    if (error != 0)
        return strerror(error);
    w->queue.suspended = s;
    log_line(LOG_NOTICE, suspend ? "route suspended" : "route resumed", "%s", route);
    tell_destinations(w);
    return NULL;
}

void suspend_request(struct worker *w, const struct msg_route_request *request)
{
    struct ipc_message m = {.kind = MSG_route_result};
    char name[LIMIT_NAME + 1];
    char list[FILE_MAX];
    size_t n = 0;
    const char *why = NULL;
    memcpy(name, request->route.p, request->route.n);
    name[request->route.n] = '\0';
    if (!w->serving)
        why = "the worker does not serve yet";
    else if ((!request->change || request->suspend) &&
             policy_find_route(&w->generations.current->policy, request->route) == POLICY_NONE)
        why = "the policy has no such route";
    else if (request->change)
        why = change(w, name, request->suspend);
    for (unsigned i = 0; i < w->queue.suspended.count; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s\n", w->queue.suspended.names[i]);
    m.route_result = (struct msg_route_result){.id = request->id,
                                               .refused = why ? span_str(why) : SPAN_EMPTY,
                                               .suspended = span_of(list, n)};
    link_answer_control(w, &m);
}
