/* Opening, sending, closing of streams, and the completions of their operations. */
#include "workers/connection/stream.h"
#include "status.h"
#include "workers/connection/stream_input.h"
#include "workers/connection/worker.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

_Static_assert(LIMIT_STREAM_OUT >= LIMIT_CHUNK, "a whole chunk can wait to be sent");

static struct ring_tag tag(const struct stream *s, enum completion_kind kind)
{
    return worker_tag(kind, s->index, s->generation);
}

static struct stream *stream_new(struct worker *w, int fd, const struct stream_owner *owner,
                                 void *context)
{
    struct stream *s = pool_get(&w->streams);
    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    s->fd = fd;
    s->owner = owner;
    s->context = context;
    s->index = pool_index(&w->streams, s);
    s->generation = pool_generation(&w->streams, s->index);
    s->timer.kind = TIMER_STREAM;
    s->deadline = TIMER_NEVER;
    return s;
}

void stream_receive(struct worker *w, struct stream *s)
{
    if (s->receiving || s->ended || s->closing || s->connecting ||
        s->pending.length >= LIMIT_STREAM_PENDING)
        return;
    s->receiving = true;
    ring_receive(&w->ring, tag(s, COMPLETION_RECEIVE), s->fd, &w->ring.receive);
}

struct stream *stream_accept(struct worker *w, int fd, const struct stream_owner *owner,
                             void *context)
{
    struct stream *s = stream_new(w, fd, owner, context);
    if (s)
        stream_receive(w, s);
    return s;
}

struct stream *stream_connect(struct worker *w, const union stream_address *to,
                              const struct stream_owner *owner, void *context)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return NULL;
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct stream *s = stream_new(w, fd, owner, context);
    if (!s) {
        (void)close(fd);
        errno = ENOBUFS;
        return NULL;
    }
    s->address = *to;
    s->connecting = true;
    ring_connect(&w->ring, tag(s, COMPLETION_CONNECT), fd, &s->address.any,
                 to->any.sa_family == AF_INET ? sizeof s->address.v4 : sizeof s->address.v6);
    return s;
}

/* ---- sending ---------------------------------------------------------------------------- */

size_t stream_room(const struct stream *s)
{
    size_t used = s->out.length;
    if (s->tls) /* a record's overhead, for every piece that is written */
        used += TLS_OUTPUT_MIN;
    return used < LIMIT_STREAM_OUT ? LIMIT_STREAM_OUT - used : 0;
}

bool stream_write(struct worker *w, struct stream *s, struct span bytes)
{
    s->notify = true;
    if (!s->tls)
        return chain_append(&w->chunks, &s->out, bytes);
    return stream_encrypt(w, s, bytes);
}

void stream_flush(struct worker *w, struct stream *s)
{
    if (s->sending || s->closing || s->connecting || s->out.length == 0)
        return;
    struct span piece = chunk_span(s->out.first);
    s->sending = true;
    ring_send(&w->ring, tag(s, COMPLETION_SEND), s->fd, piece.p, piece.n);
}

void stream_sent(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe)
{
    struct stream *s = pool_at(&w->streams, index);
    (void)generation;
    BUG_ON(!s || !s->sending);
    s->sending = false;
    if (s->closing)
        return;
    if (cqe->res < 0) {
        stream_fail(w, s, -cqe->res);
        return;
    }
    chain_consume(&w->chunks, &s->out, (size_t)cqe->res);
    if (s->out.length > 0) {
        stream_flush(w, s);
        return;
    }
    stream_drained(w, s);
}

/* ---- the end ---------------------------------------------------------------------------- */

/* Nothing is left to be sent, or it will never be. */
static void said_all(struct worker *w, struct stream *s)
{
    if (s->last_words)
        w->last_words--;
    s->last_words = false;
}

void stream_close(struct worker *w, struct stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    said_all(w, s);
    s->owner = NULL;
    s->next_closing = w->closing;
    w->closing = s;
    timer_cancel(&w->timers, &s->timer);
    if (s->receiving || s->sending || s->connecting) {
        s->cancelling++;
        ring_cancel(&w->ring, tag(s, COMPLETION_CANCEL), s->fd);
    }
}

/* Streams whose operations have all completed are given back; the others stay on the list. */
void stream_reap(struct worker *w)
{
    struct stream **link = &w->closing;
    while (*link) {
        struct stream *s = *link;
        if (s->receiving || s->sending || s->connecting || s->cancelling) {
            link = &s->next_closing;
            continue;
        }
        *link = s->next_closing;
        chain_free(&w->chunks, &s->out);
        chain_free(&w->chunks, &s->pending);
        if (s->plain)
            chunk_put(&w->chunks, s->plain);
        if (s->tls) {
            tls_wipe(&s->tls->connection);
            pool_put(&w->stream_tls, s->tls);
        }
        (void)close(s->fd);
        pool_put(&w->streams, s);
    }
}

static void linger(struct worker *w, struct stream *s)
{
    s->lingering = true;
    (void)shutdown(s->fd, SHUT_WR);
    if (s->ended) {
        stream_close(w, s);
        return;
    }
    stream_deadline(w, s, LIMIT_LINGER_MICROSECONDS);
    stream_receive(w, s);
}

void stream_finish(struct worker *w, struct stream *s, bool want_linger)
{
    if (s->closing || s->finished)
        return;
    s->finished = true;
    s->owner = NULL;
    s->paused = false;
    if (s->tls && !s->tls->handshaking && !s->tls->broken)
        stream_send_close_notify(w, s);
    chain_free(&w->chunks, &s->pending);
    if (s->out.length == 0) {
        if (want_linger)
            linger(w, s);
        else
            stream_close(w, s);
        return;
    }
    s->linger_after = want_linger;
    s->last_words = true;
    w->last_words++;
    stream_deadline(w, s, LIMIT_LINGER_MICROSECONDS);
    stream_flush(w, s);
}

void stream_drained(struct worker *w, struct stream *s)
{
    if (s->finished) {
        said_all(w, s);
        if (s->linger_after)
            linger(w, s);
        else
            stream_close(w, s);
        return;
    }
    if (s->tls && s->tls->handshaking) {
        stream_go_on(w, s);
        return;
    }
    if (s->notify && s->owner) {
        s->notify = false;
        s->owner->drained(w, s);
    }
}

void stream_fail(struct worker *w, struct stream *s, int error)
{
    if (s->error[0] == '\0')
        (void)snprintf(s->error, sizeof s->error, "%s", strerror(error));
    s->ended = true;
    s->end = STREAM_END_FAILED;
    if (!s->owner)
        stream_close(w, s);
    else
        s->owner->ended(w, s, STREAM_END_FAILED);
}

/* ---- other completions ------------------------------------------------------------------ */

void stream_connect_done(struct worker *w, uint32_t index, uint32_t generation,
                         struct io_uring_cqe *cqe)
{
    struct stream *s = pool_at(&w->streams, index);
    (void)generation;
    BUG_ON(!s || !s->connecting);
    s->connecting = false;
    if (s->closing)
        return;
    if (cqe->res == 0)
        stream_receive(w, s);
    s->owner->connected(w, s, -cqe->res);
}

void stream_cancelled(struct worker *w, uint32_t index, uint32_t generation,
                      struct io_uring_cqe *cqe)
{
    struct stream *s = pool_at(&w->streams, index);
    (void)generation;
    (void)cqe; /* how many were cancelled: each tells by a completion of its own */
    BUG_ON(!s || s->cancelling == 0);
    s->cancelling--;
    if (!s->closing && !s->paused)
        stream_receive(w, s);
}

void stream_stop_receiving(struct worker *w, struct stream *s)
{
    if (!s->receiving || s->cancelling)
        return;
    s->cancelling++;
    ring_cancel_one(&w->ring, tag(s, COMPLETION_CANCEL), tag(s, COMPLETION_RECEIVE));
}

void stream_received(struct worker *w, uint32_t index, uint32_t generation,
                     struct io_uring_cqe *cqe)
{
    struct stream *s = pool_at(&w->streams, index);
    (void)generation;
    BUG_ON(!s || !s->receiving);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        s->receiving = false;
    if (cqe->res > 0) {
        const unsigned char *p = ring_buffer(&w->ring.receive, cqe);
        if (!s->closing && !s->finished)
            stream_take(w, s, span_of(p, (size_t)cqe->res));
        ring_buffer_return(&w->ring.receive, cqe);
        ring_buffers_publish(&w->ring.receive);
    } else if (!s->closing && cqe->res != -ENOBUFS && cqe->res != -ECANCELED) {
        s->ended = true;
        s->end = cqe->res == 0 ? STREAM_END_PEER : STREAM_END_FAILED;
        if (cqe->res < 0)
            (void)snprintf(s->error, sizeof s->error, "%s", strerror(-cqe->res));
        if (!s->finished)
            stream_pump(w, s);
        else if (s->lingering || s->end == STREAM_END_FAILED)
            stream_close(w, s);
    }
    if (!s->paused && !s->cancelling)
        stream_receive(w, s);
}

/* ---- deadlines -------------------------------------------------------------------------- */

/* Moving a deadline back costs nothing: the timer is left where it is, and looks when it fires. */
void stream_deadline(struct worker *w, struct stream *s, uint64_t microseconds)
{
    s->deadline = w->now + microseconds;
    if (timer_armed(&s->timer) && timer_deadline(&w->timers, &s->timer) <= s->deadline)
        return;
    BUG_ON(!timer_arm(&w->timers, &s->timer, s->deadline));
}

void stream_timer(struct worker *w, struct timer *t)
{
    struct stream *s = timer_owner(t, struct stream, timer);
    if (s->deadline > w->now) {
        BUG_ON(!timer_arm(&w->timers, t, s->deadline));
        return;
    }
    if (s->owner)
        s->owner->expired(w, s);
    else
        stream_close(w, s);
}
