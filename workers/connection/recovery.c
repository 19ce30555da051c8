/* Opening the shard, and what its events say to the operator. */
#include "workers/connection/recovery.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/connection/worker.h"
#include <poll.h>

static void on_event(void *context, const struct spool_event *e)
{
    (void)context;
    bool routine = e->kind == SPOOL_EVENT_FREED || e->kind == SPOOL_EVENT_LARGE_DISCARDED;
    log_begin(routine ? LOG_DEBUG : LOG_WARNING, "spool");
    log_text("text", spool_event_text(e->kind));
    if (e->segment != 0)
        log_number("segment", (int64_t)e->segment);
    if (e->length != 0) {
        log_number("offset", (int64_t)e->offset);
        log_number("length", (int64_t)e->length);
    }
    if (e->queue_id != 0) {
        char id[QUEUE_ID_TEXT + 1];
        queue_id_format(e->queue_id, id);
        log_text("id", id);
    }
    if (e->name.n > 0)
        log_span("name", e->name);
    if (e->error != 0)
        log_text("error", strerror(e->error));
    log_end();
}

static void on_recovered(void *context, const struct spool_recovered *found)
{
    queue_recovered(context, found);
}

void recovery_run(struct worker *w)
{
    struct spool_config config = {.shard = w->shard_index,
                                  .segment_size = LIMIT_SEGMENT_USED,
                                  .context = w,
                                  .event = on_event,
                                  .recovered = on_recovered};
    uint64_t give_up = w->now + LIMIT_SPOOL_BUSY_SECONDS * UINT64_C(1000000);
    enum spool_status status;
    int error = 0;
    while ((status = spool_open(&w->spool, w->shard, &config, &error)) == SPOOL_BUSY &&
           w->now < give_up) {
        (void)poll(NULL, 0, 100);
        worker_read_clocks(w);
    }
    if (status != SPOOL_OK)
        fatal_env(status == SPOOL_BUSY ? EXIT_TEMPFAIL : EXIT_IOERR, error, "spool: %s",
                  spool_status_text(status));
    uint64_t began = w->now;
    status = spool_recover(w->spool);
    CRASH_POINT(RECOVERED);
    if (status != SPOOL_OK)
        fatal_env(EXIT_IOERR, spool_error(w->spool), "recovery: %s", spool_status_text(status));
    worker_read_clocks(w);
    log_begin(LOG_INFO, "recovered");
    log_number("mails", w->queue.entries.used);
    log_seconds("seconds", (int64_t)(w->now - began));
    log_end();
}
