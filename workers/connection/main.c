/* connection: SMTP sessions of one flow, in and out, and their spool shard. */
#include "engine/log/log.h"
#include "engine/sandbox/probe.h"
#include "status.h"
#include "workers/connection/client.h"
#include "workers/connection/session.h"
#include "workers/connection/transaction.h"
#include "workers/connection/worker.h"
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

static void must(int result, const char *what)
{
    if (result != 0)
        fatal_env(EXIT_OSERR, errno, "no memory for %s", what);
}

/* Everything that a worker will ever use, laid out before it serves. */
/* The key keeps it secret which addresses fall together in the table. */
static int guard_begin(struct worker *w, uint32_t sessions)
{
    unsigned char key[SIPHASH_KEY];
    if (getrandom(key, sizeof key, 0) != sizeof key)
        return -1;
    return guard_init(&w->guard, sessions, key);
}

static void lay_out(struct worker *w, const struct policy_settings *s)
{
    uint32_t streams = s->sessions + LIMIT_CLIENTS;
    must(pool_init(&w->streams, sizeof(struct stream), streams), "streams");
    must(pool_init(&w->stream_tls, sizeof(struct stream_tls), streams), "TLS");
    must(pool_init(&w->sessions, sizeof(struct session), s->sessions), "sessions");
    must(pool_init(&w->transactions, sizeof(struct transaction), 2 * s->sessions), "transactions");
    must(pool_init(&w->lines, sizeof(struct smtp_line), s->sessions), "command lines");
    must(pool_init(&w->clients, sizeof(struct client), LIMIT_CLIENTS), "clients");
    must(guard_begin(w, s->sessions), "accounts of clients");
    must(chunk_pool_init(&w->chunks, (uint32_t)(s->memory / LIMIT_CHUNK)), "buffers");
    must(queue_init(w, s->memory), "the queue");
    must(timer_heap_init(&w->timers, streams + LIMIT_QUEUE_DELIVERIES + LIMIT_DESTINATIONS + 1),
         "timers");
}

static void make_ring(struct worker *w)
{
    const struct ring_config config = {
        .entries = LIMIT_RING_ENTRIES,
        .completions = LIMIT_RING_COMPLETIONS,
        .receive_count = LIMIT_RECEIVE_BUFFERS,
        .receive_size = LIMIT_RECEIVE_BUFFER,
        .message_count = LIMIT_MESSAGE_BUFFERS,
        .message_size = LIMIT_MESSAGE,
    };
    const char *step;
    int error = ring_create(&w->ring, &config, &step);
    if (error < 0)
        fatal_env(EXIT_OSERR, -error, "io_uring: %s", step);
}

/* The listeners and the page of counters; the links take their own. */
static void take_items(struct worker *w, const struct role_start *start)
{
    for (unsigned i = 0; i < start->count; i++) {
        const struct role_item *item = &start->items[i];
        if (item->kind == MSG_listener && w->listener_count < LIMIT_LISTENERS) {
            w->listeners[w->listener_count++] =
                (struct listener){.fd = item->fds[0], .number = item->index};
        } else if (item->kind == MSG_counters) {
            w->counters = counters_map(item->fds[0], true);
            (void)close(item->fds[0]);
        }
    }
    if (!w->counters)
        fatal_env(EXIT_OSERR, errno, "no page of counters");
}

static void seal(struct worker *w, const struct role_start *start)
{
    struct sandbox_request request = {.root = w->shard, .max_descriptors = LIMIT_DESCRIPTORS};
    const struct policy *p = &w->generations.slots[0].policy;
    uint32_t ports = policy_count(p, POLICY_PORTS);
    request.connect_any_port = ports > LIMIT_CONNECT_PORTS;
    for (uint32_t i = 0; i < ports && !request.connect_any_port; i++)
        request.connect_ports[request.connect_port_count++] = policy_port(p, i);
    request.directories[request.directory_count++] =
        (struct sandbox_directory){.fd = w->shard, .writable = true};
    sandbox_keep(&request, start->master);
    sandbox_keep(&request, w->shard);
    sandbox_keep(&request, w->ring.uring.ring_fd);
    for (unsigned i = 0; i < LINK_COUNT; i++)
        if (w->links.link[i].fd >= 0)
            sandbox_keep(&request, w->links.link[i].fd);
    for (unsigned i = 0; i < w->listener_count; i++)
        sandbox_keep(&request, w->listeners[i].fd);
    sandbox_probe_ring(&w->ring.uring);
    role_seal(start, &request);
}

int main(int argc, char **argv)
{
    static struct role_start start;
    static struct worker worker;
    struct worker *w = &worker;
    role_acquire(ROLE_CONNECTION, argc, argv, &start);
    log_identify(ROLE_CONNECTION, span_str(start.flow), start.shard_index);
    memcpy(w->flow, start.flow, sizeof w->flow);
    w->shard = start.shard;
    w->shard_index = start.shard_index;
    w->drain_only = start.drain_only;
    worker_read_clocks(w);
    tls_prepare();
    take_items(w, &start);
    links_begin(w, &start);
    struct generation *first = &w->generations.slots[0];
    if (!generation_add(w, start.image, start.generation) || !first->used)
        fatal_env(EXIT_CONFIG, 0, "no usable policy for flow %s", start.flow);
    lay_out(w, &first->settings);
    make_ring(w);
    seal(w, &start);
    log_set_buffered(true);
    worker_run(w);
    log_line(LOG_INFO, "ended", "drained");
    log_flush();
    if (!w->commit.in_flight) /* else the time to drain is over: the kernel has the batch */
        spool_close(w->spool);
    return EXIT_OK;
}
