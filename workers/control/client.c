/* A client of the admin socket: who it is, its bytes in and out, its time. */
#include "workers/control/control.h"
#include "engine/log/log.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SECOND = 1000000, ACCEPT_PAUSE = SECOND, FIRST_CAPACITY = 4096 };

static size_t pending(const struct control_client *client)
{
    return client->out_n - client->out_sent;
}

/* ---- arrival ---------------------------------------------------------------------------- */

static void refuse(int fd, const struct ucred *who, const char *why)
{
    char line[LIMIT_REASON];
    int n = snprintf(line, sizeof line, "{\"end\":true,\"ok\":false,\"error\":\"%s\"}\n", why);
    BUG_ON(n < 0 || (size_t)n >= sizeof line);
    /* A new socket's buffer takes a line; if not, the end of the connection has to do. */
    (void)send(fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)close(fd);
    log_begin(LOG_WARNING, "admin client refused");
    log_number("uid", (int64_t)who->uid);
    log_number("client_pid", who->pid);
    log_text("text", why);
    log_end();
}

static void take_client(struct control *control, int fd)
{
    struct ucred who = {.uid = (uid_t)-1};
    socklen_t n = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0 ||
        (who.uid != 0 && who.uid != control->owner)) {
        refuse(fd, &who, "only root and the user that mgid runs as may ask");
        return;
    }
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd >= 0)
            continue;
        *client = (struct control_client){.fd = fd, .uid = who.uid, .pid = who.pid};
        client->job.awaited = CONTROL_NOBODY;
        client->deadline = control->now + LIMIT_ADMIN_IDLE_SECONDS * (uint64_t)SECOND;
        return;
    }
    refuse(fd, &who, "too many clients at once, try again later");
}

void client_accept(struct control *control)
{
    for (unsigned i = 0; i < LIMIT_ADMIN_CLIENTS && control->listener >= 0; i++) {
        int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take_client(control, fd);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        /* No descriptor or memory: the client stays in the backlog, and poll would spin. */
        log_line(LOG_ERROR, "admin socket", "accept: %s", strerror(errno));
        control->accept_at = control->now + ACCEPT_PAUSE;
        return;
    }
}

/* ---- answers ---------------------------------------------------------------------------- */

static void end_job(struct control_client *client)
{
    queue_free(client->job.walk);
    client->job = (struct control_job){.awaited = CONTROL_NOBODY};
}

static void release_out(struct control_client *client)
{
    free(client->out);
    client->out = NULL;
    client->out_n = client->out_sent = client->out_capacity = 0;
}

void client_close(struct control_client *client)
{
    end_job(client);
    release_out(client);
    (void)close(client->fd);
    client->fd = -1;
}

static bool reserve(struct control_client *client, size_t n)
{
    if (n > LIMIT_ADMIN_OUT - client->out_n)
        return false;
    size_t capacity = client->out_capacity > 0 ? client->out_capacity : FIRST_CAPACITY;
    while (capacity < client->out_n + n)
        capacity *= 2;
    if (capacity == client->out_capacity)
        return true;
    char *out = realloc(client->out, capacity);
    if (!out)
        return false;
    client->out = out;
    client->out_capacity = capacity;
    return true;
}

void client_line(struct control_client *client, json_t *object)
{
    if (client->closing) {
        json_decref(object);
        return;
    }
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    size_t n = text ? strlen(text) : 0;
    if (text && reserve(client, n + 1)) {
        memcpy(client->out + client->out_n, text, n);
        client->out[client->out_n + n] = '\n';
        client->out_n += n + 1;
    } else {
        /* The missing last line tells the client that the answer is not whole. */
        log_line(LOG_ERROR, "admin answer", "no memory, or over its bound");
        client->closing = true;
    }
    free(text);
}

const char *refusal_text(struct span refused, char out[LIMIT_REASON + 1])
{
    BUG_ON(refused.n > LIMIT_REASON);
    memcpy(out, refused.p, refused.n);
    out[refused.n] = '\0';
    return out;
}

void client_end(struct control_client *client, json_t *end, const char *error)
{
    json_t *line = json_pack("{s:b, s:b}", "end", 1, "ok", error == NULL);
    if (error)
        (void)json_object_set_new(line, "error", json_string(error));
    if (end)
        (void)json_object_update(line, end);
    json_decref(end);
    client_line(client, line);
    end_job(client);
}

/* ---- work ------------------------------------------------------------------------------- */

short client_events(const struct control_client *client)
{
    if (pending(client) > 0)
        return POLLOUT;
    return client->job.request ? 0 : POLLIN;
}

uint64_t client_due(const struct control_client *client)
{
    if (pending(client) == 0 && client->job.request)
        return client->job.awaited != CONTROL_NOBODY ? client->job.deadline : 0;
    return client->job.awaited != CONTROL_NOBODY && client->job.deadline < client->deadline
               ? client->job.deadline
               : client->deadline;
}

/* False: the client has gone. */
static bool flush(struct control *control, struct control_client *client)
{
    while (pending(client) > 0) {
        ssize_t n = send(client->fd, client->out + client->out_sent, pending(client),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            return false;
        if (n < 0) {
            if (!client->stalled)
                client->deadline = control->now + LIMIT_ADMIN_SECONDS * (uint64_t)SECOND;
            client->stalled = true;
            return true;
        }
        client->out_sent += (size_t)n;
        client->stalled = false;
        client->deadline = control->now + LIMIT_ADMIN_IDLE_SECONDS * (uint64_t)SECOND;
    }
    release_out(client);
    return true;
}

/* False: the client has gone, or is to go. */
static bool read_more(struct control_client *client)
{
    ssize_t n;
    do
        n = recv(client->fd, client->in + client->in_n, sizeof client->in - client->in_n,
                 MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK;
    client->in_n += (size_t)n;
    return n > 0;
}

/* Begins the next request that has come in whole; false when there is none. */
static bool next_request(struct control *control, struct control_client *client)
{
    const char *newline = memchr(client->in, '\n', client->in_n);
    if (!newline && client->in_n == sizeof client->in) {
        client_end(client, NULL, "the request is too long");
        client->closing = true;
        client->in_n = 0;
        return true;
    }
    if (!newline)
        return false;
    size_t n = (size_t)(newline - client->in);
    if (n > 0)
        request_begin(control, client, span_of(client->in, n));
    client->in_n -= n + 1;
    memmove(client->in, newline + 1, client->in_n);
    return true;
}

/* False: the client's time is over. */
static bool check_time(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    if (job->awaited != CONTROL_NOBODY && control->now >= job->deadline) {
        int whom = job->awaited;
        job->awaited = CONTROL_NOBODY;
        BUG_ON(!job->request);
        job->request->lost(control, client, whom, "no answer in time");
    }
    bool own_turn = pending(client) > 0 ? client->stalled : !job->request;
    return !own_turn || control->now < client->deadline;
}

void client_step(struct control *control, struct control_client *client, short revents)
{
    bool gone = (revents & (POLLHUP | POLLERR)) != 0;
    if (!client->job.request && pending(client) == 0) {
        if ((gone || (revents & POLLIN)) && !read_more(client)) {
            client_close(client);
            return;
        }
    } else if (gone) {
        client_close(client);
        return;
    }
    if (!check_time(control, client)) {
        client_close(client);
        return;
    }
    for (;;) {
        if (!flush(control, client) || (client->closing && pending(client) == 0)) {
            client_close(client);
            return;
        }
        if (pending(client) > 0)
            return;
        if (!client->job.request) {
            if (!next_request(control, client))
                return;
            continue;
        }
        if (client->job.awaited != CONTROL_NOBODY)
            return;
        client->job.request->proceed(control, client);
    }
}
