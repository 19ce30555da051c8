/* Channels to keeper, resolver and control: sending with a backlog, receiving by the ring. */
#include "workers/connection/links.h"
#include "engine/log/log.h"
#include "keeper_status.h"
#include "lookup.h"
#include "status.h"
#include "workers/connection/admin.h"
#include "workers/connection/destination.h"
#include "workers/connection/resume.h"
#include "workers/connection/worker.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const enum role link_roles[LINK_COUNT] = {
    [LINK_KEEPER] = ROLE_KEEPER,
    [LINK_RESOLVER] = ROLE_RESOLVER,
    [LINK_CONTROL] = ROLE_CONTROL,
};

static uint64_t stream_id(const struct stream *s)
{
    return (uint64_t)s->generation << 32 | s->index;
}

static struct stream *stream_by_id(struct worker *w, uint64_t id)
{
    return pool_find(&w->streams, (uint32_t)id, (uint32_t)(id >> 32));
}

/* ---- sending ---------------------------------------------------------------------------- */

static bool send_packet(struct link *l, const unsigned char *p, size_t n)
{
    ssize_t r;
    do
        r = send(l->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r >= 0 || (errno != EAGAIN && errno != ENOBUFS); /* a dead peer tells by its end */
}

/* False when the role is not there or the backlog is full: the asker gets no answer. */
static bool link_send(struct worker *w, enum link_number number, const struct ipc_message *m)
{
    struct link *l = &w->links.link[number];
    unsigned char packet[LIMIT_MESSAGE];
    if (l->fd < 0)
        return false;
    size_t n = ipc_encode(m, packet, sizeof packet);
    BUG_ON(n == 0);
    if (l->backlog_count == 0 && send_packet(l, packet, n))
        return true;
    if (l->backlog_count == LIMIT_LINK_BACKLOG)
        return false;
    struct backlog_entry *e =
        &l->backlog[(l->backlog_first + l->backlog_count) % LIMIT_LINK_BACKLOG];
    e->packet = malloc(n);
    if (!e->packet)
        return false;
    memcpy(e->packet, packet, n);
    e->n = n;
    l->backlog_count++;
    return true;
}

static void backlog_drop_first(struct link *l)
{
    free(l->backlog[l->backlog_first].packet);
    l->backlog_first = (l->backlog_first + 1) % LIMIT_LINK_BACKLOG;
    l->backlog_count--;
}

void links_flush(struct worker *w)
{
    for (unsigned i = 0; i < LINK_COUNT; i++) {
        struct link *l = &w->links.link[i];
        while (l->backlog_count > 0 && l->fd >= 0) {
            struct backlog_entry *e = &l->backlog[l->backlog_first];
            if (!send_packet(l, e->packet, e->n))
                break;
            backlog_drop_first(l);
        }
    }
}

/* ---- requests --------------------------------------------------------------------------- */

void keeper_ask_chain(struct worker *w, uint64_t id, uint32_t generation, uint16_t identity)
{
    struct ipc_message m = {.kind = MSG_chain_request};
    m.chain_request =
        (struct msg_chain_request){.id = id, .generation = generation, .identity = identity};
    (void)link_send(w, LINK_KEEPER, &m); /* without a keeper it is asked again with the next */
}

void keeper_ask_signature(struct worker *w, struct stream *s)
{
    struct tls_sign_wanted wanted = tls_sign_wanted(&s->tls->connection);
    struct ipc_message m = {.kind = MSG_sign_request};
    m.sign_request = (struct msg_sign_request){
        .id = stream_id(s),
        .generation = s->tls->generation,
        .identity = tls_chosen(&s->tls->connection) != TLS_NOT_CHOSEN
                        ? tls_chosen(&s->tls->connection)
                        : s->tls->identity,
        .purpose = (uint8_t)wanted.purpose,
        .algorithm = wanted.algorithm,
        .payload = wanted.payload,
    };
    counter_add(w->counters, COUNTER_keeper_signs, 1);
    if (wanted.payload.n > LIMIT_SIGN_PAYLOAD || !link_send(w, LINK_KEEPER, &m))
        stream_signature(w, s, SPAN_EMPTY);
}

void keeper_ask_verdict(struct worker *w, struct stream *s)
{
    unsigned char chain[LIMIT_CHAIN];
    struct msg_writer list = {.p = chain, .capacity = sizeof chain};
    tls_peer_chain(&s->tls->connection, &list);
    struct ipc_message m = {.kind = MSG_verify_request};
    m.verify_request = (struct msg_verify_request){
        .id = stream_id(s),
        .generation = s->tls->generation,
        .purpose = s->tls->connection.client ? TLS_PEER_SERVER : TLS_PEER_CLIENT,
        .subject = s->tls->subject,
        .host = span_str(s->tls->host),
        .chain = span_of(chain, list.n),
        .base = s->tls->tlsa ? span_str(s->tls->tlsa->base) : SPAN_EMPTY,
        .tlsa = s->tls->tlsa ? span_of(s->tls->tlsa->records, s->tls->tlsa->n) : SPAN_EMPTY,
    };
    counter_add(w->counters, COUNTER_keeper_verifies, 1);
    if (list.overflow || !link_send(w, LINK_KEEPER, &m))
        stream_verdict(w, s, NULL, false);
}

bool resolver_ask(struct worker *w, uint64_t id, uint8_t kind, struct span name, uint16_t tlsa_port)
{
    struct ipc_message m = {.kind = MSG_lookup_request};
    m.lookup_request =
        (struct msg_lookup_request){.id = id, .kind = kind, .name = name, .tlsa_port = tlsa_port};
    counter_add(w->counters, COUNTER_lookups, 1);
    return link_send(w, LINK_RESOLVER, &m);
}

void link_answer_control(struct worker *w, const struct ipc_message *m)
{
    (void)link_send(w, LINK_CONTROL, m); /* control waits only so long */
}

/* ---- answers ---------------------------------------------------------------------------- */

static void copy_text(char out[LIMIT_VERDICT_TEXT], struct span text)
{
    text = span_head(text, LIMIT_VERDICT_TEXT - 1);
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
}

static void take_verdict(struct worker *w, const struct msg_verify_result *r)
{
    struct stream *s = stream_by_id(w, r->id);
    if (!s || !s->tls)
        return;
    struct stream_verdict v = {.answered = r->status == KEEPER_OK,
                               .verified = r->status == KEEPER_OK && r->verified == 1,
                               .peers = r->status == KEEPER_OK ? r->peers : 0,
                               .given = (uint64_t)w->wall / 1000000,
                               .not_after = r->not_after};
    copy_text(v.reason, r->reason);
    copy_text(v.subject, r->subject);
    copy_text(v.organization, r->organization);
    if (r->sha256.n == sizeof v.sha256)
        memcpy(v.sha256, r->sha256.p, sizeof v.sha256);
    /* A client's certificate is judged by the rules; a server's only where the route demands it. */
    stream_verdict(w, s, &v, v.answered && (v.verified || !s->tls->must_verify));
}

static void dispatch(struct worker *w, const struct ipc_message *m)
{
    struct stream *s;
    switch (m->kind) {
    case MSG_chain_result:
        generation_chain(w, &m->chain_result);
        break;
    case MSG_ticket_keys:
        resume_keys(w, m->ticket_keys.keys);
        break;
    case MSG_sign_result:
        s = stream_by_id(w, m->sign_result.id);
        if (s)
            stream_signature(
                w, s, m->sign_result.status == KEEPER_OK ? m->sign_result.signature : SPAN_EMPTY);
        break;
    case MSG_verify_result:
        take_verdict(w, &m->verify_result);
        break;
    case MSG_lookup_result:
        destination_found(w, &m->lookup_result);
        break;
    case MSG_queue_request:
        admin_queue(w, &m->queue_request);
        break;
    case MSG_content_request:
        export_content(w, &m->content_request);
        break;
    case MSG_import_begin:
        import_begin(w, &m->import_begin);
        break;
    case MSG_import_data:
        import_data(w, &m->import_data);
        break;
    case MSG_import_end:
        import_end(w, &m->import_end);
        break;
    case MSG_route_request:
        suspend_request(w, &m->route_request);
        break;
    default:
        BUG_ON(true); /* the permit table lets nothing else through */
    }
}

/* ---- the channel's life ----------------------------------------------------------------- */

static void arm(struct worker *w, unsigned number)
{
    struct link *l = &w->links.link[number];
    if (l->fd < 0 || l->armed)
        return;
    l->armed = true;
    ring_receive(&w->ring, worker_tag(COMPLETION_LINK, number, l->generation), l->fd,
                 &w->ring.message);
}

/* Nobody who waits for that role gets an answer. */
static void tell_waiting(struct worker *w, unsigned number)
{
    if (number == LINK_RESOLVER) {
        destination_resolver_gone(w);
        return;
    }
    for (uint32_t i = 0; number == LINK_KEEPER && i < w->streams.fresh; i++) {
        struct stream *s = pool_at(&w->streams, i);
        if (!s || s->closing || !s->tls)
            continue;
        if (s->tls->wait == STREAM_WAIT_SIGNATURE)
            stream_signature(w, s, SPAN_EMPTY);
        else if (s->tls->wait == STREAM_WAIT_VERDICT)
            stream_verdict(w, s, NULL, false);
    }
}

static void close_link(struct worker *w, unsigned number)
{
    struct link *l = &w->links.link[number];
    while (l->backlog_count > 0)
        backlog_drop_first(l);
    if (l->fd < 0)
        return;
    if (l->armed) /* its last completion comes with the old generation and is dropped */
        ring_cancel_one(&w->ring, worker_tag(COMPLETION_NONE, 0, 0),
                        worker_tag(COMPLETION_LINK, number, l->generation));
    (void)close(l->fd);
    l->fd = -1;
    l->armed = false;
    l->generation++;
    tell_waiting(w, number);
}

void link_received(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe)
{
    struct link *l = &w->links.link[index];
    bool stale = generation != (l->generation & RING_GENERATION_MASK);
    if (!stale && !(cqe->flags & IORING_CQE_F_MORE))
        l->armed = false;
    if (cqe->res > 0) {
        struct ipc_message m;
        struct span packet = span_of(ring_buffer(&w->ring.message, cqe), (size_t)cqe->res);
        enum ipc_status status =
            stale ? IPC_CLOSED : ipc_decode(packet, link_roles[index], ROLE_CONNECTION, &m);
        if (status == IPC_OK && ipc_kind_descriptors(m.kind) == 0)
            dispatch(w, &m);
        ring_buffer_return(&w->ring.message, cqe);
        ring_buffers_publish(&w->ring.message);
        if (stale)
            return;
        if (status != IPC_OK) {
            log_line(LOG_ERROR, "channel closed", "%s sent %s", role_name(link_roles[index]),
                     ipc_status_text(status));
            close_link(w, index);
        }
    } else if (!stale && cqe->res != -ENOBUFS && !(cqe->flags & IORING_CQE_F_MORE)) {
        close_link(w, index);
    }
    arm(w, index);
}

static void take_peer(struct worker *w, const struct msg_peer *peer, int fd)
{
    for (unsigned i = 0; i < LINK_COUNT; i++) {
        if (link_roles[i] != (enum role)peer->role)
            continue;
        close_link(w, i);
        w->links.link[i].fd = fd;
        arm(w, i);
        if (i == LINK_KEEPER)
            generation_ask_chains(w);
        return;
    }
    (void)close(fd);
}

static void from_master(struct worker *w, struct ipc_message *m)
{
    switch (m->kind) {
    case MSG_peer:
        take_peer(w, &m->peer, m->fds[0]);
        break;
    case MSG_image:
        if (generation_add(w, m->fds[0], m->image.generation))
            generation_ask_chains(w);
        break;
    case MSG_log_file:
        log_set_fd(m->fds[0]);
        break;
    case MSG_drain:
        worker_drain(w, m->drain.milliseconds);
        break;
    case MSG_empty:
        worker_empty(w, m->empty.route);
        break;
    default:
        log_line(LOG_ERROR, "message ignored", "%s is not expected while serving",
                 ipc_kind_name(m->kind));
        for (unsigned i = 0; i < LIMIT_MESSAGE_FDS; i++)
            if (m->fds[i] >= 0)
                (void)close(m->fds[i]);
        break;
    }
}

void master_received(struct worker *w, uint32_t index, uint32_t generation,
                     struct io_uring_cqe *cqe)
{
    (void)index;
    (void)generation;
    if (!(cqe->flags & IORING_CQE_F_MORE))
        w->links.master_armed = false;
    for (;;) {
        struct ipc_message m;
        enum ipc_status status =
            ipc_receive(w->links.master, ROLE_MASTER, ROLE_CONNECTION, w->links.buffer, &m);
        if (status == IPC_AGAIN)
            break;
        if (status != IPC_OK)
            fatal_env(EXIT_UNAVAILABLE, 0, "the master's channel: %s", ipc_status_text(status));
        from_master(w, &m);
    }
    links_serve(w);
}

void links_begin(struct worker *w, const struct role_start *start)
{
    w->links.master = start->master;
    for (unsigned i = 0; i < LINK_COUNT; i++)
        w->links.link[i].fd = -1;
    for (unsigned n = 0; n < start->count; n++) {
        const struct role_item *item = &start->items[n];
        for (unsigned i = 0; item->kind == MSG_peer && i < LINK_COUNT; i++)
            if (link_roles[i] == item->role)
                w->links.link[i].fd = item->fds[0];
    }
}

void links_serve(struct worker *w)
{
    for (unsigned i = 0; i < LINK_COUNT; i++)
        arm(w, i);
    if (w->links.master_armed)
        return;
    w->links.master_armed = true;
    ring_poll(&w->ring, worker_tag(COMPLETION_MASTER, 0, 0), w->links.master);
}
