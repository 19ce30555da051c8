/* Streaming a large mail's content to its file. */
#include "workers/connection/large.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include "status.h"
#include "workers/connection/session.h"
#include "workers/connection/transaction.h"
#include "workers/connection/worker.h"
#include <unistd.h>

_Static_assert(LIMIT_LARGE_CHUNKS *LIMIT_CHUNK <= LIMIT_INLINE_MAIL, "a write is at most that");

static struct ring_tag tag(const struct worker *w, const struct transaction *t,
                           enum completion_kind kind)
{
    uint32_t index = pool_index(&w->transactions, t);
    return worker_tag(kind, index, pool_generation(&w->transactions, index));
}

static void write_more(struct worker *w, struct transaction *t)
{
    struct large *l = &t->large;
    struct chunk_chain *content = &t->mail->content;
    bool enough = content->length >= LIMIT_LARGE_CHUNKS * LIMIT_CHUNK / 2;
    if (l->writing || l->failed || content->length == 0 || (!enough && !l->finishing))
        return;
    for (unsigned i = 0; i < LIMIT_LARGE_CHUNKS && content->first; i++)
        chain_push(&l->flight, chain_shift(content));
    unsigned n = (unsigned)chain_iovecs(&l->flight, 0, l->iov, LIMIT_LARGE_CHUNKS);
    for (unsigned i = 0; i < n; i++)
        l->crc = spool_crc(l->crc, span_of(l->iov[i].iov_base, l->iov[i].iov_len));
    l->writing = true;
    ring_write(&w->ring, tag(w, t, COMPLETION_LARGE_WRITE), l->fd, l->iov, n, l->offset, false);
}

bool large_begin(struct worker *w, struct transaction *t)
{
    enum spool_status status;
    int fd = spool_large_create(w->spool, t->mail->id, &status);
    if (fd < 0) {
        log_line(LOG_ERROR, "spool", "large mail: %s", spool_status_text(status));
        return false;
    }
    t->large = (struct large){.active = true, .fd = fd};
    t->mail->flags |= MAIL_LARGE;
    CRASH_POINT(LARGE_CREATED);
    write_more(w, t);
    return true;
}

bool large_push(struct worker *w, struct transaction *t)
{
    write_more(w, t);
    if (t->large.failed || t->mail->content.length < LIMIT_LARGE_CHUNKS * LIMIT_CHUNK)
        return true;
    t->large.waiting = true;
    return false;
}

static void sync_file(struct worker *w, struct transaction *t)
{
    t->large.writing = true;
    ring_sync(&w->ring, tag(w, t, COMPLETION_LARGE_SYNC), t->large.fd);
}

/* Goes on after a write, or where there is none to wait for. */
static void advance(struct worker *w, struct transaction *t)
{
    struct large *l = &t->large;
    if (l->failed) {
        t->no_space = true;
        chain_free(&w->chunks, &t->mail->content);
    }
    write_more(w, t);
    if (l->writing)
        return;
    if (l->finishing && l->failed)
        transaction_stored(w, t, false);
    else if (l->finishing)
        sync_file(w, t);
}

void large_finish(struct worker *w, struct transaction *t)
{
    t->large.finishing = true;
    if (!t->large.writing)
        advance(w, t);
}

static void close_file(struct large *l)
{
    (void)close(l->fd);
    l->fd = -1;
    l->active = false;
}

bool large_abort(struct worker *w, struct transaction *t)
{
    struct large *l = &t->large;
    if (!l->active)
        return true;
    if (l->writing) {
        l->aborted = true;
        return false;
    }
    chain_free(&w->chunks, &l->flight);
    close_file(l);
    spool_large_discard(w->spool, t->mail->id);
    return true;
}

void large_written(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe)
{
    struct transaction *t = pool_at(&w->transactions, index);
    (void)generation;
    BUG_ON(!t || !t->large.writing);
    struct large *l = &t->large;
    l->writing = false;
    CRASH_POINT(LARGE_WRITTEN);
    if (cqe->res < 0 || (size_t)cqe->res != l->flight.length) {
        log_line(LOG_ERROR, "spool", "large mail: %s",
                 cqe->res < 0 ? strerror(-cqe->res) : "short write");
        l->failed = true;
    }
    l->offset += l->flight.length;
    chain_free(&w->chunks, &l->flight);
    if (l->aborted) {
        transaction_abort(w, t);
        return;
    }
    advance(w, t);
    if (l->waiting && t->mail->content.length < LIMIT_LARGE_CHUNKS * LIMIT_CHUNK) {
        l->waiting = false;
        if (t->session)
            stream_resume(w, t->session->stream);
    }
}

void large_synced(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe)
{
    struct transaction *t = pool_at(&w->transactions, index);
    (void)generation;
    BUG_ON(!t || !t->large.writing);
    t->large.writing = false;
    CRASH_POINT(LARGE_SYNCED);
    if (t->large.aborted) {
        transaction_abort(w, t);
        return;
    }
    if (cqe->res < 0)
        log_line(LOG_ERROR, "spool", "large mail: sync: %s", strerror(-cqe->res));
    if (cqe->res >= 0) {
        close_file(&t->large);
        t->mail->body_crc = t->large.crc;
    }
    transaction_stored(w, t, cqe->res >= 0);
}
