/* The worker's turn: completions, timers, commit; and its housekeeping. */
#include "workers/connection/worker.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/connection/client.h"
#include "workers/connection/destination.h"
#include "workers/connection/large.h"
#include "workers/connection/listen.h"
#include "workers/connection/recovery.h"
#include "workers/connection/session.h"
#include "workers/connection/upkeep.h"
#include <time.h>

bool worker_short_of_memory(const struct worker *w)
{
    return chunk_pool_free(&w->chunks) < w->chunks.chunks.capacity / LIMIT_MEMORY_SHARE;
}

static uint64_t clock_microseconds(clockid_t clock)
{
    struct timespec t;
    BUG_ON(clock_gettime(clock, &t) != 0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void worker_read_clocks(struct worker *w)
{
    w->now = clock_microseconds(CLOCK_MONOTONIC);
    w->wall = (int64_t)clock_microseconds(CLOCK_REALTIME);
}

/* The watermarks of the disk. */
static void look_at_disk(struct worker *w)
{
    struct spool_usage usage;
    if (spool_usage(w->spool, &usage) != SPOOL_OK)
        return;
    bool low = usage.free_bytes < LIMIT_SPOOL_FREE || usage.free_inodes < LIMIT_SPOOL_INODES;
    if (low != w->spool_low) {
        log_begin(low ? LOG_ERROR : LOG_NOTICE, low ? "spool low" : "spool has room again");
        log_number("free_bytes", (int64_t)usage.free_bytes);
        log_number("free_inodes", usage.free_inodes > INT64_MAX ? -1 : (int64_t)usage.free_inodes);
        log_end();
    }
    w->spool_low = low;
    w->spool_segments = usage.segments;
    w->spool_room = low ? 0 : usage.free_bytes - LIMIT_SPOOL_FREE;
}

void worker_policy_changed(struct worker *w)
{
    if (w->serving) {
        session_policy_changed(w);
        return;
    }
    w->serving = true;
    suspend_read(w);
    recovery_run(w);
    look_at_disk(w);
    listen_arm(w);
    log_begin(LOG_INFO, "serving");
    log_number("listeners", w->listener_count);
    log_end();
}

void worker_drain(struct worker *w, uint32_t milliseconds)
{
    if (w->draining)
        return;
    w->draining = true;
    w->drain_until = w->now + milliseconds * UINT64_C(1000);
    log_begin(LOG_INFO, "draining");
    log_number("sessions", w->sessions_open);
    log_number("milliseconds", milliseconds);
    log_end();
    listen_stop(w);
    client_drain(w);
    import_tick(w);
}

void worker_empty(struct worker *w, struct span route)
{
    log_begin(LOG_INFO, "emptying");
    log_span("to", route);
    log_number("mails", w->queue.order.n);
    log_end();
    w->emptying = true;
    w->drain_only = true;
    memcpy(w->empty_to, route.p, route.n);
    w->empty_to[route.n] = '\0';
    listen_stop(w);
    import_tick(w);
}

static bool drained(const struct worker *w)
{
    if (w->drain_only && w->serving && w->queue.entries.used == 0 && commit_idle(w) &&
        w->sessions_open == 0 && w->last_words == 0)
        return true;
    return w->draining && ((w->sessions_open == 0 && w->last_words == 0 && w->clients.used == 0 &&
                            commit_idle(w) && w->transactions.used == 0) ||
                           w->now >= w->drain_until);
}

/* Age of the oldest mail, in seconds: ids begin with the time. */
static uint64_t oldest_seconds(const struct worker *w)
{
    uint64_t id;
    uint32_t entry;
    if (!order_next(&w->queue.order, 0, &id, &entry))
        return 0;
    int64_t age = w->wall - (int64_t)queue_id_microseconds(id);
    return age > 0 ? (uint64_t)age / 1000000 : 0;
}

/* Once a second: what need not be exact to the moment. */
static void housekeeping(struct worker *w)
{
    BUG_ON(!timer_arm(&w->timers, &w->housekeeping, w->now + LIMIT_HOUSEKEEPING_MICROSECONDS));
    if (w->accept_again != 0 && w->now >= w->accept_again) {
        w->accept_again = 0;
        listen_arm(w);
    }
    if (w->clients_short) {
        w->clients_short = false;
        destination_wake_starved(w);
    }
    counter_set(w->counters, COUNTER_queue_oldest_seconds, oldest_seconds(w));
    counter_set(w->counters, COUNTER_pool_buffers_free, chunk_pool_free(&w->chunks));
    if (!w->serving)
        return;
    queue_retry_records(w);
    import_tick(w);
    look_at_disk(w);
}

static void run_timers(struct worker *w)
{
    struct timer *t;
    /* What is left is due at once in the next turn. */
    for (unsigned n = 0; n < LIMIT_TURN_TIMERS && (t = timer_expired(&w->timers, w->now)) != NULL;
         n++) {
        switch ((enum timer_kind)t->kind) {
        case TIMER_STREAM:
            stream_timer(w, t);
            break;
        case TIMER_DELIVERY:
            queue_timer(w, t);
            break;
        case TIMER_DESTINATION:
            destination_timer(w, t);
            break;
        case TIMER_WORKER:
            housekeeping(w);
            break;
        }
    }
}

typedef void completion_function(struct worker *w, uint32_t index, uint32_t generation,
                                 struct io_uring_cqe *cqe);

static void complete(struct worker *w, struct io_uring_cqe *cqe)
{
    static completion_function *const functions[COMPLETION_KIND_COUNT] = {
#define COMPLETION(KIND, function) [COMPLETION_##KIND] = function,
#include "workers/connection/completions.def"
#undef COMPLETION
    };
    struct ring_tag tag = ring_tag_unpack(cqe->user_data);
    BUG_ON(tag.kind >= COMPLETION_KIND_COUNT);
    if (functions[tag.kind])
        functions[tag.kind](w, tag.index, tag.generation, cqe);
}

static uint64_t wait_time(const struct worker *w)
{
    if (queue_busy(&w->queue))
        return 0;
    uint64_t until = timer_next(&w->timers);
    uint64_t commit = w->serving ? commit_next(w) : UINT64_MAX;
    if (commit < until)
        until = commit;
    if (w->draining && w->drain_until < until)
        until = w->drain_until;
    if (until == UINT64_MAX)
        return UINT64_MAX;
    return until > w->now ? until - w->now : 0;
}

void worker_run(struct worker *w)
{
    struct io_uring_cqe *cqes[256];
    w->housekeeping.kind = TIMER_WORKER;
    housekeeping(w);
    links_serve(w);
    generation_ask_chains(w);
    while (!drained(w)) {
        int error = ring_wait(&w->ring, wait_time(w));
        if (error < 0)
            fatal_env(EXIT_SOFTWARE, -error, "io_uring_enter");
        worker_read_clocks(w);
        unsigned n = ring_peek(&w->ring, cqes, sizeof cqes / sizeof cqes[0]);
        for (unsigned i = 0; i < n; i++)
            complete(w, cqes[i]);
        ring_seen(&w->ring, n);
        run_timers(w);
        if (w->draining || w->emptying)
            session_drain(w);
        if (w->serving) {
            queue_turn(w);
            commit_turn(w);
            upkeep_turn(w);
        }
        links_flush(w);
        stream_reap(w);
        log_flush();
    }
}
