/* The way of received bytes: in clear straight to the owner, in TLS through the engine. */
#include "workers/connection/stream_input.h"
#include "status.h"
#include "workers/connection/resume.h"
#include "workers/connection/worker.h"
#include <errno.h>
#include <stdio.h>

_Static_assert(LIMIT_CHUNK >= TLS_RECORD_MAX, "a decrypted record fits a chunk");

/* May bytes be handed to the owner (or the handshake) at this moment? */
static bool takes_input(const struct stream *s)
{
    return !s->closing && !s->finished && !s->paused && !(s->tls && s->tls->wait);
}

/* ---- TLS output ------------------------------------------------------------------------- */

/* Room for what the engine writes: the rest of the last chunk, or a chunk of its own when that
 * is too small to be of use. The result is put at the end of `out` by output_end. */
struct output {
    struct chunk *fresh;
    unsigned char *p;
    size_t n;
};

static bool output_begin(struct worker *w, struct stream *s, struct output *o)
{
    o->fresh = NULL;
    o->n = 0;
    if (s->out.last && LIMIT_CHUNK - s->out.last->end >= TLS_OUTPUT_MIN)
        o->p = chain_room(&w->chunks, &s->out, &o->n);
    if (o->n == 0) {
        o->fresh = chunk_get(&w->chunks);
        if (!o->fresh)
            return false;
        o->p = o->fresh->data;
        o->n = LIMIT_CHUNK;
    }
    tls_set_output(&s->tls->connection, o->p, o->n);
    return true;
}

static void output_end(struct worker *w, struct stream *s, struct output *o)
{
    size_t n = tls_output(&s->tls->connection).n;
    tls_set_output(&s->tls->connection, NULL, 0);
    if (!o->fresh) {
        chain_wrote(&s->out, n);
        return;
    }
    if (n == 0) {
        chunk_put(&w->chunks, o->fresh);
        return;
    }
    o->fresh->begin = 0;
    o->fresh->end = (uint32_t)n;
    chain_push(&s->out, o->fresh);
}

bool stream_encrypt(struct worker *w, struct stream *s, struct span plain)
{
    while (plain.n > 0) {
        struct output o;
        size_t n = 0;
        if (!output_begin(w, s, &o))
            return false;
        enum tls_result r = tls_write(&s->tls->connection, plain, &n);
        output_end(w, s, &o);
        plain = span_from(plain, n);
        if (r != TLS_DONE && r != TLS_WANT_WRITE)
            return false;
    }
    return true;
}

void stream_send_close_notify(struct worker *w, struct stream *s)
{
    struct output o;
    if (!output_begin(w, s, &o))
        return;
    (void)tls_shutdown(&s->tls->connection);
    output_end(w, s, &o);
}

/* ---- TLS input -------------------------------------------------------------------------- */

static void tls_broke(struct worker *w, struct stream *s)
{
    s->tls->broken = true;
    (void)snprintf(s->error, sizeof s->error, "%s", tls_error(&s->tls->connection));
    stream_flush(w, s); /* the alert */
    if (s->tls->handshaking) {
        s->tls->handshaking = false;
        s->owner->secured(w, s, false);
        return;
    }
    s->ended = true;
    s->end = STREAM_END_FAILED;
}

/* One step of the handshake over what was fed. True when more input may be worked on. */
static bool handshake(struct worker *w, struct stream *s)
{
    struct output o;
    if (s->out.length >= LIMIT_STREAM_OUT)
        return false;
    if (!output_begin(w, s, &o)) {
        stream_fail(w, s, ENOBUFS);
        return false;
    }
    enum tls_result r = tls_handshake(&s->tls->connection);
    output_end(w, s, &o);
    stream_flush(w, s);
    switch (r) {
    case TLS_DONE:
        s->tls->handshaking = false;
        BUG_ON(!resume_secured(s));
        s->owner->secured(w, s, true);
        return true;
    case TLS_WANT_SIGN:
        s->tls->wait = STREAM_WAIT_SIGNATURE;
        keeper_ask_signature(w, s);
        return false;
    case TLS_WANT_VERIFY:
        s->tls->wait = STREAM_WAIT_VERDICT;
        keeper_ask_verdict(w, s);
        return false;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return false;
    case TLS_CLOSED:
    case TLS_FAILED:
        break;
    }
    tls_broke(w, s);
    return false;
}

/* Keeps what the owner left of a decrypted piece; there is never more than one. */
static void keep_plain(struct worker *w, struct stream *s, struct span rest)
{
    if (rest.n == 0 || s->closing || s->finished)
        return;
    BUG_ON(!s->paused || rest.n > LIMIT_CHUNK);
    if (!s->plain && !(s->plain = chunk_get(&w->chunks))) {
        stream_fail(w, s, ENOBUFS);
        return;
    }
    memmove(s->plain->data, rest.p, rest.n);
    s->plain->begin = 0;
    s->plain->end = (uint32_t)rest.n;
}

static void give_kept_plain(struct worker *w, struct stream *s)
{
    struct span rest = chunk_span(s->plain);
    s->owner->input(w, s, &rest);
    if (rest.n > 0 && !s->closing && !s->finished) {
        s->plain->begin = s->plain->end - (uint32_t)rest.n;
        return;
    }
    if (s->plain) {
        chunk_put(&w->chunks, s->plain);
        s->plain = NULL;
    }
}

/* One record's worth of plain text to the owner. True when there may be more. */
static bool decrypt(struct worker *w, struct stream *s)
{
    struct output o;
    size_t n = 0;
    if (!output_begin(w, s, &o)) {
        stream_fail(w, s, ENOBUFS);
        return false;
    }
    enum tls_result r = tls_read(&s->tls->connection, w->plain, sizeof w->plain, &n);
    output_end(w, s, &o);
    if (r == TLS_DONE) {
        struct span plain = span_of(w->plain, n);
        s->owner->input(w, s, &plain);
        keep_plain(w, s, plain);
        return true;
    }
    if (s->out.length > 0)
        stream_flush(w, s);
    if (r == TLS_CLOSED) {
        s->ended = true;
        s->end = STREAM_END_PEER;
    } else if (r == TLS_FAILED) {
        tls_broke(w, s);
    }
    return false;
}

/* Feeds one piece as it was received; returns how much of it was consumed. */
static size_t through_tls(struct worker *w, struct stream *s, struct span piece)
{
    struct tls_connection *c = &s->tls->connection;
    tls_feed(c, piece);
    bool more = true;
    while (more && takes_input(s) && !s->tls->broken)
        more = s->tls->handshaking ? handshake(w, s) : decrypt(w, s);
    size_t unread = tls_unread(c);
    tls_feed(c, SPAN_EMPTY);
    return piece.n - unread;
}

/* ---- both ------------------------------------------------------------------------------- */

static size_t hand_over(struct worker *w, struct stream *s, struct span piece)
{
    if (s->tls)
        return through_tls(w, s, piece);
    struct span rest = piece;
    s->owner->input(w, s, &rest);
    /* An owner that starts TLS in the middle of a piece has looked at the rest itself. */
    return piece.n - rest.n;
}

static void keep(struct worker *w, struct stream *s, struct span bytes)
{
    if (bytes.n == 0 || s->closing || s->finished)
        return;
    if (!chain_append(&w->chunks, &s->pending, bytes)) {
        stream_fail(w, s, ENOBUFS);
        return;
    }
    if (s->pending.length >= LIMIT_STREAM_PENDING)
        stream_stop_receiving(w, s);
}

void stream_take(struct worker *w, struct stream *s, struct span received)
{
    if (s->pending.length == 0 && !s->plain) {
        while (received.n > 0 && takes_input(s)) {
            size_t n = hand_over(w, s, received);
            received = span_from(received, n);
            if (n == 0)
                break;
        }
        keep(w, s, received);
        if (s->ended)
            stream_pump(w, s);
        return;
    }
    keep(w, s, received);
    stream_pump(w, s);
}

void stream_pump(struct worker *w, struct stream *s)
{
    if (s->plain && takes_input(s))
        give_kept_plain(w, s);
    while (s->pending.length > 0 && takes_input(s) && !s->plain) {
        struct span piece = chunk_span(s->pending.first);
        size_t n = hand_over(w, s, piece);
        if (s->closing || s->finished)
            return;
        chain_consume(&w->chunks, &s->pending, n);
        if (n == 0)
            break;
    }
    /* A handshake goes on without input: after a signature, a verdict, or room to write. */
    if (s->tls && s->tls->handshaking && s->pending.length == 0 && takes_input(s))
        (void)through_tls(w, s, SPAN_EMPTY);
    /* Records that the engine holds decrypted, after the owner had paused in their midst. */
    if (s->tls && !s->tls->handshaking && !s->tls->broken && s->pending.length == 0 && !s->plain &&
        takes_input(s))
        (void)through_tls(w, s, SPAN_EMPTY);
    bool all_taken = s->pending.length == 0 && !s->plain;
    if (s->ended && s->owner && takes_input(s) && (all_taken || s->tls))
        s->owner->ended(w, s, s->end);
}

void stream_pause(struct stream *s)
{
    s->paused = true;
}

void stream_go_on(struct worker *w, struct stream *s)
{
    stream_pump(w, s);
    if (!s->paused && !s->cancelling)
        stream_receive(w, s);
}

void stream_resume(struct worker *w, struct stream *s)
{
    if (!s->paused || s->closing || s->finished)
        return;
    s->paused = false;
    bool handshaking = s->tls && s->tls->handshaking;
    if (s->pending.length == 0 && !s->plain && !handshaking) {
        struct span nothing = SPAN_EMPTY;
        s->owner->input(w, s, &nothing);
        if (s->closing || s->finished)
            return;
    }
    stream_go_on(w, s);
}

/* ---- the handshake's beginning and the keeper's answers ---------------------------------- */

bool stream_start_tls(struct worker *w, struct stream *s, struct tls_context *context, bool server,
                      uint32_t generation, uint16_t subject, uint16_t identity, struct span host,
                      bool must_verify, const struct stream_tlsa *tlsa)
{
    struct stream_tls *t = pool_get(&w->stream_tls);
    if (!t)
        return false;
    memset(&t->verdict, 0, sizeof t->verdict);
    t->wait = STREAM_WAIT_NONE;
    t->broken = false;
    t->must_verify = must_verify;
    t->offered = false;
    t->tlsa = tlsa;
    t->handshaking = true;
    t->generation = generation;
    t->subject = subject;
    t->identity = identity;
    host = span_head(host, LIMIT_DOMAIN);
    memcpy(t->host, host.p, host.n);
    t->host[host.n] = '\0';
    if (!(server ? tls_start_server(&t->connection, context)
                 : tls_start_client(&t->connection, context, tlsa ? tlsa->base : t->host))) {
        pool_put(&w->stream_tls, t);
        return false;
    }
    s->tls = t;
    if (!server) {
        resume_offer(w, s);
        stream_pump(w, s);
    }
    return true;
}

void stream_signature(struct worker *w, struct stream *s, struct span signature)
{
    if (s->closing || !s->tls || s->tls->wait != STREAM_WAIT_SIGNATURE)
        return;
    s->tls->wait = STREAM_WAIT_NONE;
    tls_supply_signature(&s->tls->connection, signature);
    stream_go_on(w, s);
}

void stream_verdict(struct worker *w, struct stream *s, const struct stream_verdict *verdict,
                    bool accept)
{
    if (s->closing || !s->tls || s->tls->wait != STREAM_WAIT_VERDICT)
        return;
    s->tls->wait = STREAM_WAIT_NONE;
    s->tls->offered = false;
    s->tls->verdict = verdict ? *verdict : (struct stream_verdict){.answered = false};
    if (!s->tls->connection.client)
        resume_note(w, s);
    tls_supply_verdict(&s->tls->connection, accept);
    stream_go_on(w, s);
}
