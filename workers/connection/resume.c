/* Tickets' notes, and the sessions of servers. */
#include "workers/connection/resume.h"
#include "status.h"
#include "workers/connection/worker.h"
#include <openssl/mem.h>
#include <openssl/sha.h>

_Static_assert(RESUME_KEY == SHA256_DIGEST_LENGTH, "a key is a digest");
_Static_assert(LIMIT_TLS_SESSIONS % RESUME_WAYS == 0, "whole sets");
_Static_assert(3 * (4 + LIMIT_VERDICT_TEXT) + 3 * 8 + 2 * (4 + 32) <= TLS_NOTE_MAX, "a note fits");

static uint64_t seconds(const struct worker *w)
{
    return w->wall > 0 ? (uint64_t)w->wall / 1000000 : 0;
}

static bool still_good(const struct stream_verdict *v, uint64_t now)
{
    return now >= v->given && now - v->given < LIMIT_TICKET_SECONDS &&
           (!v->verified || now < v->not_after);
}

void resume_keys(struct worker *w, struct span keys)
{
    struct tls_ticket_keys *to = &w->resume.keys;
    if (keys.n == 0 || keys.n % TLS_TICKET_KEY != 0)
        return;
    OPENSSL_cleanse(to, sizeof *to);
    memcpy(to->key, keys.p, keys.n);
    to->count = (unsigned)(keys.n / TLS_TICKET_KEY);
}

/* ---- notes of tickets ------------------------------------------------------------------- */

static size_t write_note(const struct generation *g, const struct stream_verdict *v,
                         unsigned char *out, size_t capacity)
{
    struct msg_writer w = {.p = out, .capacity = capacity};
    msg_put_span(&w, span_of(g->demands, sizeof g->demands));
    msg_put_u64(&w, v->given);
    msg_put_u64(&w, v->not_after);
    msg_put_u64(&w, v->peers);
    msg_put_span(&w, span_of(v->sha256, sizeof v->sha256));
    msg_put_span(&w, span_str(v->reason));
    msg_put_span(&w, span_str(v->subject));
    msg_put_span(&w, span_str(v->organization));
    BUG_ON(w.overflow);
    return w.n;
}

static void take_text(struct msg_reader *r, char out[LIMIT_VERDICT_TEXT])
{
    struct span text = msg_get_span(r, LIMIT_VERDICT_TEXT - 1);
    if (text.n > 0)
        memcpy(out, text.p, text.n);
    out[text.n] = '\0';
}

/* The note was sealed by a worker of this flow, and by this build. */
static struct span read_note(struct span note, struct stream_verdict *v)
{
    struct msg_reader r = {.in = note};
    struct span demands = msg_get_span(&r, sizeof((struct generation *)0)->demands);
    *v = (struct stream_verdict){.answered = true, .verified = true};
    v->given = msg_get_u64(&r);
    v->not_after = msg_get_u64(&r);
    v->peers = msg_get_u64(&r);
    struct span sha256 = msg_get_span(&r, sizeof v->sha256);
    if (sha256.n == sizeof v->sha256)
        memcpy(v->sha256, sha256.p, sha256.n);
    take_text(&r, v->reason);
    take_text(&r, v->subject);
    take_text(&r, v->organization);
    return msg_get_end(&r) ? demands : SPAN_EMPTY;
}

static bool usable(void *owner, struct span note)
{
    const struct generation *g = owner;
    struct stream_verdict v;
    struct span demands = read_note(note, &v);
    return span_eq(demands, span_of(g->demands, sizeof g->demands)) &&
           still_good(&v, seconds(g->worker));
}

void resume_server(struct generation *g, struct tls_context *context)
{
    const struct tls_tickets tickets = {
        .keys = &g->worker->resume.keys, .usable = usable, .owner = g};
    tls_context_resume(context, &tickets);
}

void resume_note(struct worker *w, struct stream *s)
{
    unsigned char note[TLS_NOTE_MAX];
    const struct stream_verdict *v = &s->tls->verdict;
    const struct generation *g = generation_find(w, s->tls->generation);
    if (!v->verified || !g)
        return;
    size_t n = write_note(g, v, note, sizeof note);
    tls_set_note(&s->tls->connection, span_of(note, n));
}

/* ---- sessions of servers ---------------------------------------------------------------- */

static struct resume_entry *set_of(struct worker *w, const unsigned char *key)
{
    uint32_t n = 0;
    memcpy(&n, key, sizeof n);
    return &w->resume.entries[n % (LIMIT_TLS_SESSIONS / RESUME_WAYS) * RESUME_WAYS];
}

static void forget(struct resume_entry *e)
{
    tls_session_free(e->session);
    e->session = NULL;
}

static bool keep(void *owner, struct tls_connection *conn, struct ssl_session_st *session)
{
    struct worker *w = owner;
    const struct stream_tls *t =
        (const struct stream_tls *)(const void *)((const char *)conn -
                                                  offsetof(struct stream_tls, connection));
    struct resume_entry *set = set_of(w, t->resume_key), *place = NULL;
    if (!t->verdict.answered)
        return false;
    for (unsigned i = 0; i < RESUME_WAYS; i++) {
        bool same = set[i].session && memcmp(set[i].key, t->resume_key, RESUME_KEY) == 0;
        if (same && !tls_session_single_use(set[i].session)) { /* TLS 1.2: a newer one of its own */
            place = &set[i];
            break;
        }
        if (!set[i].session)
            place = &set[i];
    }
    if (!place)
        place = &set[w->resume.next_way++ % RESUME_WAYS];
    forget(place);
    *place = (struct resume_entry){
        .session = session, .asked = tls_describe(conn).asked, .verdict = t->verdict};
    memcpy(place->key, t->resume_key, RESUME_KEY);
    return true;
}

void resume_client(struct worker *w, struct tls_context *context)
{
    tls_context_keep(context, keep, w);
}

static void add(SHA256_CTX *ctx, const void *p, size_t n)
{
    const uint64_t length = n;
    SHA256_Update(ctx, &length, sizeof length);
    SHA256_Update(ctx, p, n);
}

static void make_key(const struct stream *s, struct stream_tls *t)
{
    SHA256_CTX ctx;
    const union stream_address *a = &s->address;
    in_port_t port = a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port;
    SHA256_Init(&ctx);
    add(&ctx, &t->generation, sizeof t->generation);
    add(&ctx, &t->subject, sizeof t->subject);
    add(&ctx, &port, sizeof port);
    add(&ctx, t->host, strlen(t->host));
    if (t->tlsa) { /* other records: whatever was verified by the old ones is void */
        add(&ctx, t->tlsa->base, strlen(t->tlsa->base));
        add(&ctx, t->tlsa->records, t->tlsa->n);
    }
    SHA256_Final(t->resume_key, &ctx);
}

void resume_offer(struct worker *w, struct stream *s)
{
    struct stream_tls *t = s->tls;
    make_key(s, t);
    struct resume_entry *set = set_of(w, t->resume_key);
    for (unsigned i = 0; i < RESUME_WAYS && !t->offered; i++) {
        struct resume_entry *e = &set[i];
        if (!e->session || memcmp(e->key, t->resume_key, RESUME_KEY) != 0)
            continue;
        bool good = still_good(&e->verdict, seconds(w)) && (e->verdict.verified || !t->must_verify);
        if (good && tls_offer(&t->connection, e->session, e->asked)) {
            t->offered = true;
            t->verdict = e->verdict;
        }
        if (!good || tls_session_single_use(e->session))
            forget(e);
    }
}

void resume_forget(struct worker *w, const struct stream *s)
{
    struct resume_entry *set = set_of(w, s->tls->resume_key);
    for (unsigned i = 0; i < RESUME_WAYS; i++)
        if (set[i].session && memcmp(set[i].key, s->tls->resume_key, RESUME_KEY) == 0)
            forget(&set[i]);
}

bool resume_secured(struct stream *s)
{
    struct stream_tls *t = s->tls;
    bool resumed = tls_resumed(&t->connection);
    if (t->connection.client)
        /* Not resumed: the keeper's verdict has taken the place of what was offered. */
        return resumed == t->offered && (t->verdict.verified || !t->must_verify);
    struct span note = resumed ? tls_note(&t->connection) : SPAN_EMPTY;
    if (note.n > 0)
        (void)read_note(note, &t->verdict);
    return true;
}
