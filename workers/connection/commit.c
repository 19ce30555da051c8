/* The group commit: gathering, the write and sync in flight, and who is told. */
#include "workers/connection/commit.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/connection/bounce.h"
#include "workers/connection/move.h"
#include "workers/connection/queue_internal.h"
#include "workers/connection/transaction.h"
#include "workers/connection/worker.h"

_Static_assert(LIMIT_INLINE_MAIL / LIMIT_CHUNK + 2 <= LIMIT_SPOOL_PIECES, "a body's chunks fit");

static void settled(struct worker *w, struct mail *m, bool ok)
{
    if (m->moving)
        move_committed(w, m, ok);
    else if (m->transaction)
        transaction_committed(w, m->transaction, ok);
    else
        bounce_committed(w, m, ok);
}

/* ---- gathering -------------------------------------------------------------------------- */

static void describe_recipients(const struct mail *m, struct spool_recipient *out)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        out[i] = (struct spool_recipient){
            .address = mail_span(m, r->address),
            .original = mail_span(m, r->original),
            .route = mail_span(m, r->route),
            .rule = mail_span(m, r->rule),
            .orcpt = mail_span(m, r->orcpt),
            .expires = (uint64_t)r->expires,
            .notify = r->notify,
            .priority = r->priority,
            .variant = r->variant,
            .finished = recipient_finished(r),
        };
        if (r->redirect)
            move_describe(m, &out[i]);
    }
}

/* Into the batch; false when it is full. */
static bool append(struct worker *w, struct mail *m)
{
    /* Not from the heap: a mail must not fail here, while its session is told that it waits. */
    static struct spool_recipient list[LIMIT_RECIPIENTS_MAX];
    struct iovec pieces[LIMIT_SPOOL_PIECES];
    BUG_ON(m->recipient_count > LIMIT_RECIPIENTS_MAX);
    describe_recipients(m, list);
    bool large = m->flags & MAIL_LARGE;
    struct spool_mail stored = {
        .queue_id = m->id,
        .arrival = (uint64_t)m->arrival,
        .expires = (uint64_t)m->expires,
        .flags = m->flags,
        .body_flags = m->flags,
        .sender = mail_span(m, m->sender),
        .helo = mail_span(m, m->helo),
        .client = mail_span(m, m->client),
        .tls = mail_span(m, m->tls),
        .envid = mail_span(m, m->envid),
        .edits = mail_span(m, m->edits),
        .body_size = m->size,
        .body_crc = m->body_crc,
        .held = m->entry->held,
        .large = large,
        .recipient_count = (uint16_t)m->recipient_count,
        .recipients = list,
        .body = pieces,
        .body_count =
            large ? 0 : (unsigned)chain_iovecs(&m->content, 0, pieces, LIMIT_SPOOL_PIECES),
    };
    struct spool_ref *replaces = m->moving ? &m->old : NULL;
    if (spool_append_mail(w->spool, &stored, &m->ref, replaces) != SPOOL_OK)
        return false;
    if (m->moving)
        move_deferrals(w, m);
    return true;
}

static void wait_for_room(struct commit *c, struct mail *m)
{
    m->next_waiting = NULL;
    if (c->waiting)
        c->waiting_last->next_waiting = m;
    else
        c->waiting = m;
    c->waiting_last = m;
}

void commit_add(struct worker *w, struct mail *m)
{
    struct commit *c = &w->commit;
    if (c->waiting || !append(w, m))
        wait_for_room(c, m);
}

static void append_waiting(struct worker *w)
{
    struct commit *c = &w->commit;
    while (c->waiting && append(w, c->waiting))
        c->waiting = c->waiting->next_waiting;
}

/* ---- the batch -------------------------------------------------------------------------- */

static struct mail *mail_of_ref(struct spool_ref *ref)
{
    return (struct mail *)(void *)((char *)ref - offsetof(struct mail, ref));
}

/* The mails of a batch are copied out first: who is told may start the next one. */
static void tell_all(struct worker *w, const struct spool_io *io, bool ok)
{
    struct mail *mails[LIMIT_SPOOL_RECORDS];
    unsigned n = io->mail_count;
    BUG_ON(n > LIMIT_SPOOL_RECORDS);
    for (unsigned i = 0; i < n; i++)
        mails[i] = mail_of_ref(io->mails[i]);
    for (unsigned i = 0; i < n; i++) {
        settled(w, mails[i], ok);
        CRASH_POINT(BATCH_TOLD);
    }
}

static void refused(struct worker *w, enum spool_status status)
{
    struct commit *c = &w->commit;
    counter_add(w->counters, COUNTER_commit_failures, 1);
    log_begin(LOG_ERROR, "commit failed");
    log_text("reason", spool_status_text(status));
    log_text("error", strerror(spool_error(w->spool)));
    log_number("mails", c->io.mail_count);
    log_end();
    if (status == SPOOL_FULL)
        w->spool_full = true;
    c->refused_until = w->now + LIMIT_SPOOL_PAUSE_MICROSECONDS;
}

void commit_turn(struct worker *w)
{
    struct commit *c = &w->commit;
    if (c->in_flight || w->now < c->refused_until)
        return;
    w->spool_full = false;
    append_waiting(w);
    struct spool_gathered g = spool_gathered(w->spool);
    if (g.records == 0)
        return;
    if (c->records_since == 0)
        c->records_since = w->now;
    if (g.mails == 0 && w->now - c->records_since < LIMIT_RECORD_DELAY_MICROSECONDS &&
        g.records < LIMIT_SPOOL_RECORDS / 2 && !w->draining)
        return;
    enum spool_status status = spool_batch_start(w->spool, &c->io);
    if (status == SPOOL_IDLE)
        return;
    if (status != SPOOL_OK) {
        refused(w, status);
        tell_all(w, &c->io, false);
        return;
    }
    c->in_flight = true;
    c->write_done = false;
    c->named = 0;
    c->synced = 0;
    c->records_since = 0;
    c->started = w->now;
    counter_add(w->counters, COUNTER_batch_records, g.records);
    if (c->io.directory >= 0)
        ring_sync_all(&w->ring, worker_tag(COMPLETION_BATCH_NAMES, 0, 0), c->io.directory, 3);
    ring_write(&w->ring, worker_tag(COMPLETION_BATCH_WRITE, 0, 0), c->io.fd, c->io.iov,
               c->io.iov_count, c->io.offset, c->io.sync);
    if (c->io.sync)
        ring_sync(&w->ring, worker_tag(COMPLETION_BATCH_SYNC, 0, 0), c->io.fd);
    CRASH_POINT(BATCH_GIVEN);
    append_waiting(w);
}

static void finish(struct worker *w)
{
    struct commit *c = &w->commit;
    c->in_flight = false;
    ssize_t written = c->named < 0 ? c->named : c->written;
    enum spool_status status = spool_batch_finish(w->spool, written, c->synced);
    if (status == SPOOL_OK) {
        counter_add(w->counters, COUNTER_batches_committed, 1);
        counter_add(w->counters, COUNTER_sync_microseconds, w->now - c->started);
        if (c->io.sync) {
            histogram_observe(w->counters, HISTOGRAM_commit_seconds, w->now - c->started);
            histogram_observe(w->counters, HISTOGRAM_commit_mails, c->io.mail_count);
        }
    } else {
        refused(w, status);
    }
    tell_all(w, &c->io, status == SPOOL_OK);
    queue_retry_records(w);
}

void commit_named(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe)
{
    (void)index;
    (void)generation;
    w->commit.named = cqe->res; /* linked: the write ends after it, -ECANCELED when it failed */
}

void commit_written(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe)
{
    struct commit *c = &w->commit;
    (void)index;
    (void)generation;
    c->written = cqe->res;
    CRASH_POINT(BATCH_WRITTEN);
    c->write_done = true;
    if (!c->io.sync)
        finish(w);
}

void commit_synced(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe)
{
    struct commit *c = &w->commit;
    (void)index;
    (void)generation;
    BUG_ON(!c->write_done); /* linked: the sync completes after the write */
    c->synced = cqe->res;
    finish(w);
}

uint64_t commit_next(const struct worker *w)
{
    const struct commit *c = &w->commit;
    if (c->in_flight)
        return UINT64_MAX;
    struct spool_gathered g = spool_gathered(w->spool);
    if (w->now < c->refused_until)
        return g.records > 0 || c->waiting ? c->refused_until : UINT64_MAX;
    if (g.mails > 0 || c->waiting)
        return w->now;
    return g.records > 0 ? c->records_since + LIMIT_RECORD_DELAY_MICROSECONDS : UINT64_MAX;
}

bool commit_idle(const struct worker *w)
{
    return !w->commit.in_flight && !w->commit.waiting && spool_gathered(w->spool).records == 0;
}
