/* Requests in, answers out. */
#include "workers/resolver/channels.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include <errno.h>
#include <unistd.h>

enum { READS_A_TURN = 16 }; /* requests of one channel, before others have their turn */

/* ---- closing ---------------------------------------------------------------------------- */

static void forget(struct channel *channel, struct lookup *lookup)
{
    if (lookup->previous != NULL)
        lookup->previous->next = lookup->next;
    else
        channel->lookups = lookup->next;
    if (lookup->next != NULL)
        lookup->next->previous = lookup->previous;
    channel->lookup_count--;
    channel->unsent -= lookup->done;
    lookup_end(lookup);
}

static void close_channel(struct channel *channel, enum log_level level, const char *why)
{
    log_begin(level, "channel closed");
    log_text("peer", role_name(ROLE_CONNECTION));
    log_text("peer_flow", channel->flow);
    log_number("peer_worker", channel->index);
    log_text("why", why);
    log_number("lookups", channel->lookup_count);
    log_end();
    while (channel->lookups != NULL)
        forget(channel, channel->lookups);
    loop_remove(&channel->event);
    (void)close(channel->fd);
    channel->fd = -1;
    channel->refusal = false;
}

/* ---- answers ---------------------------------------------------------------------------- */

static enum ipc_status send_refusal(struct channel *channel)
{
    struct ipc_message m = {.kind = MSG_lookup_result,
                            .lookup_result = {.id = channel->refused,
                                              .status = LOOKUP_TRY_AGAIN,
                                              .reason = SPAN_LIT("too many look-ups under way"),
                                              .hosts = SPAN_EMPTY}};
    return ipc_send(channel->fd, &m);
}

static enum ipc_status send_answer(struct channel *channel, const struct lookup *lookup)
{
    struct answer_result *result = &channel->all->result;
    answer_write(&lookup->answer, result);
    struct ipc_message m = {
        .kind = MSG_lookup_result,
        .lookup_result = {.id = lookup->id,
                          .status = (uint8_t)result->status,
                          .secure = result->secure,
                          .ttl = result->ttl,
                          .reason = span_head(span_str(result->reason), LIMIT_REASON),
                          .hosts = span_of(result->hosts, result->hosts_length)}};
    return ipc_send(channel->fd, &m);
}

/* While answers wait the channel is watched for room, else for requests. False: it was closed. */
static bool watch(struct channel *channel)
{
    bool owing = channel->unsent > 0 || channel->refusal;
    short bits = (short)(UB_EV_PERSIST | (owing ? UB_EV_WRITE : UB_EV_READ));
    if (channel->event.bits == bits || loop_change(&channel->event, bits))
        return true;
    close_channel(channel, LOG_ERROR, "the event loop is full");
    return false;
}

/* Sends what is complete. False: the channel was closed. */
static bool send_all(struct channel *channel)
{
    enum ipc_status status = IPC_OK;
    if (channel->refusal && (status = send_refusal(channel)) == IPC_OK)
        channel->refusal = false;
    struct lookup *next;
    for (struct lookup *l = channel->lookups; l != NULL && status == IPC_OK; l = next) {
        next = l->next;
        if (l->done && (status = send_answer(channel, l)) == IPC_OK)
            forget(channel, l);
    }
    if (status == IPC_OK || status == IPC_AGAIN)
        return watch(channel);
    close_channel(channel, status == IPC_CLOSED ? LOG_INFO : LOG_ERROR, ipc_status_text(status));
    return false;
}

/* Only one answer is new, and older ones wait only when there was no room. */
static void lookup_done(struct lookup *lookup)
{
    struct channel *channel = lookup->owner;
    enum ipc_status status = IPC_AGAIN;
    channel->unsent++;
    if (channel->unsent == 1 && !channel->refusal)
        status = send_answer(channel, lookup);
    if (status == IPC_OK)
        forget(channel, lookup);
    else if (status == IPC_AGAIN)
        (void)watch(channel);
    else
        close_channel(channel, status == IPC_CLOSED ? LOG_INFO : LOG_ERROR,
                      ipc_status_text(status));
}

/* ---- requests --------------------------------------------------------------------------- */

static void start(struct channel *channel, const struct msg_lookup_request *request)
{
    struct lookup *lookup = NULL;
    if (channel->lookup_count < LIMIT_CHANNEL_LOOKUPS)
        lookup = lookup_begin(&channel->all->lookups, channel, request->id,
                              (enum lookup_kind)request->kind, request->name, request->tlsa_port);
    if (lookup == NULL) {
        channel->refusal = true;
        channel->refused = request->id;
        (void)send_all(channel);
        return;
    }
    lookup->next = channel->lookups;
    if (lookup->next != NULL)
        lookup->next->previous = lookup;
    channel->lookups = lookup;
    channel->lookup_count++;
    lookup_run(lookup);
}

/* False when there is nothing more to read now, or no channel any more. */
static bool receive(struct channel *channel)
{
    struct ipc_message m;
    enum ipc_status status =
        ipc_receive(channel->fd, ROLE_CONNECTION, ROLE_RESOLVER, channel->all->buffer, &m);
    if (status == IPC_AGAIN)
        return false;
    if (status == IPC_OK && m.kind == MSG_lookup_request &&
        (m.lookup_request.kind == LOOKUP_HOST || m.lookup_request.kind == LOOKUP_MX)) {
        CRASH_POINT(RESOLVER_ASKED);
        start(channel, &m.lookup_request);
        return channel->fd >= 0 && channel->unsent == 0 && !channel->refusal;
    }
    if (status == IPC_OK)
        close_channel(channel, LOG_ERROR, "a request of no known kind");
    else
        close_channel(channel, status == IPC_CLOSED ? LOG_INFO : LOG_ERROR,
                      ipc_status_text(status));
    return false;
}

static void happened(int fd, short bits, void *context)
{
    struct channel *channel = context;
    (void)fd;
    if ((bits & UB_EV_WRITE) && !send_all(channel))
        return;
    if (!(bits & UB_EV_READ))
        return;
    for (int i = 0; i < READS_A_TURN; i++)
        if (!receive(channel))
            return;
}

/* ---- the set ---------------------------------------------------------------------------- */

void channels_init(struct channels *all, struct loop *loop, struct ub_ctx *ctx)
{
    all->loop = loop;
    for (unsigned i = 0; i < LIMIT_ROLE_ITEMS; i++)
        all->slots[i].fd = -1;
    if (lookups_init(&all->lookups, loop, ctx, lookup_done) != 0)
        fatal_env(EXIT_OSERR, errno, "resolver: memory for %d look-ups", LIMIT_LOOKUPS);
}

/* The slot of that worker, else a free one, else NULL. */
static struct channel *find(struct channels *all, unsigned index, struct span flow)
{
    struct channel *free_one = NULL;
    for (unsigned i = 0; i < LIMIT_ROLE_ITEMS; i++) {
        struct channel *channel = &all->slots[i];
        if (channel->fd < 0)
            free_one = free_one != NULL ? free_one : channel;
        else if (channel->index == index && span_eq(span_str(channel->flow), flow))
            return channel;
    }
    return free_one;
}

void channels_put(struct channels *all, int fd, unsigned index, struct span flow)
{
    struct channel *channel = find(all, index, flow);
    if (channel == NULL || flow.n > LIMIT_NAME) {
        log_line(LOG_ERROR, "channel refused", "more than %d peers", LIMIT_ROLE_ITEMS);
        (void)close(fd);
        return;
    }
    if (channel->fd >= 0)
        close_channel(channel, LOG_INFO, "the worker was started anew");
    *channel = (struct channel){.all = all, .fd = fd, .index = (uint16_t)index};
    memcpy(channel->flow, flow.p, flow.n);
    loop_event_init(all->loop, &channel->event, fd, UB_EV_READ | UB_EV_PERSIST, happened, channel);
    if (!loop_add(&channel->event, 0))
        close_channel(channel, LOG_ERROR, "the event loop is full");
}

bool channels_idle(const struct channels *all)
{
    for (unsigned i = 0; i < LIMIT_ROLE_ITEMS; i++)
        if (all->slots[i].fd >= 0 && (all->slots[i].lookup_count > 0 || all->slots[i].refusal))
            return false;
    return true;
}
