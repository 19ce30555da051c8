/* A client and a server of engine/tls, and what is between them. */
#include "tests/unit/tls_pair.h"
#include "workers/keeper/payload.h"
#include "workers/keeper/signer.h"
#include <check.h>
#include <stdlib.h>

const uint16_t versions[2] = {TLS1_2_VERSION, TLS1_3_VERSION};

const struct setting mutual = {
    .server_key = CERT_P256, .client_key = CERT_P256, .client_has = true, .ask = TLS_ASK};

struct setting mutual_of(uint16_t version)
{
    struct setting s = mutual;
    s.version = version;
    return s;
}

struct end ends[BOTH];
static unsigned char chain_bytes[LIMIT_CHAIN];
size_t step_bytes;   /* fed at once */
size_t output_bytes; /* room for output */

static struct span chain_of(const struct cert *cert)
{
    struct msg_writer w = {.p = chain_bytes, .capacity = sizeof chain_bytes};
    cert_put(&w, cert);
    ck_assert(!w.overflow);
    return span_of(w.p, w.n);
}

static void limit_version(struct end *end, uint16_t version)
{
    if (version != 0)
        ck_assert(SSL_CTX_set_max_proto_version(end->context->ssl, version) == 1);
}

void pair_set_up(const struct setting *s)
{
    char error[LIMIT_REASON] = "";
    memset(ends, 0, sizeof ends);
    step_bytes = 16384;
    output_bytes = 16384 + 512;
    ends[SERVER].cert = cert_make(&(struct cert_spec){.cn = "server", .key = s->server_key}, NULL);
    ends[CLIENT].cert = cert_make(&(struct cert_spec){.cn = "client", .key = s->client_key}, NULL);
    ends[SERVER].context = tls_context_server(chain_of(&ends[SERVER].cert), s->ask, error);
    ck_assert_msg(ends[SERVER].context != NULL, "%s", error);
    struct span chain = s->client_has ? chain_of(&ends[CLIENT].cert) : SPAN_EMPTY;
    ends[CLIENT].context = tls_context_client(chain, error);
    ck_assert_msg(ends[CLIENT].context != NULL, "%s", error);
    limit_version(&ends[SERVER], s->version);
    ck_assert(tls_start_server(&ends[SERVER].conn, ends[SERVER].context));
    ck_assert(tls_start_client(&ends[CLIENT].conn, ends[CLIENT].context, "im.post.ch"));
}

void pair_tear_down(void)
{
    for (int i = 0; i < BOTH; i++) {
        tls_wipe(&ends[i].conn);
        tls_wipe(&ends[i].conn);
        tls_context_free(ends[i].context);
        cert_free(&ends[i].cert);
    }
}

void pair_again(void)
{
    for (int i = 0; i < BOTH; i++) {
        tls_wipe(&ends[i].conn);
        ends[i].in_n = 0;
        ends[i].signs = ends[i].verdicts = 0;
    }
    ck_assert(tls_start_server(&ends[SERVER].conn, ends[SERVER].context));
    ck_assert(tls_start_client(&ends[CLIENT].conn, ends[CLIENT].context, "im.post.ch"));
}

static void answer_sign(struct end *end)
{
    unsigned char signature[LIMIT_SIGNATURE];
    size_t n = 0;
    const char *why = NULL;
    struct tls_sign_wanted wanted = tls_sign_wanted(&end->conn);
    end->signs++;
    ck_assert(tls_handshake(&end->conn) == TLS_WANT_SIGN); /* no answer yet */
    enum payload_kind kind = payload_classify(wanted.purpose, wanted.payload, &why);
    ck_assert_msg(kind != PAYLOAD_FOREIGN, "%s", why);
    if (!end->no_signature)
        ck_assert_int_eq(
            signer_sign(end->cert.key, kind, wanted.algorithm, wanted.payload, signature, &n),
            SIGNER_DONE);
    tls_supply_signature(&end->conn, span_of(signature, n));
}

static void answer_verify(struct end *end, const struct end *peer)
{
    unsigned char got[LIMIT_CHAIN];
    struct msg_writer w = {.p = got, .capacity = sizeof got};
    tls_peer_chain(&end->conn, &w);
    end->verdicts++;
    ck_assert(!w.overflow && w.n > 0);
    if (peer->cert.x509 != NULL) {
        struct span want = chain_of(&peer->cert);
        ck_assert(span_eq(span_of(got, w.n), want));
    }
    ck_assert(tls_handshake(&end->conn) == TLS_WANT_VERIFY);
    if (end == &ends[SERVER])
        tls_set_note(&end->conn, end->note);
    tls_supply_verdict(&end->conn, !end->refuse);
}

/* Moves what end wrote to its peer. */
bool pair_deliver(struct end *end, struct end *peer)
{
    struct span out = tls_output(&end->conn);
    ck_assert(out.n <= sizeof peer->in - peer->in_n);
    if (out.n > 0)
        memcpy(peer->in + peer->in_n, out.p, out.n);
    peer->in_n += out.n;
    return out.n > 0;
}

static void keep_unread(struct end *end, size_t fed)
{
    size_t taken = fed - tls_unread(&end->conn);
    memmove(end->in, end->in + taken, end->in_n - taken);
    end->in_n -= taken;
}

/* One call of the handshake with at most step_bytes of input. True when anything moved. */
bool pair_turn(struct end *end, struct end *peer)
{
    static unsigned char out[32768];
    size_t fed = end->in_n < step_bytes ? end->in_n : step_bytes;
    if (end->last == TLS_DONE || end->last == TLS_FAILED)
        return false;
    tls_set_output(&end->conn, out, output_bytes);
    tls_feed(&end->conn, span_of(end->in, fed));
    end->last = tls_handshake(&end->conn);
    if (end->last == TLS_WANT_SIGN)
        answer_sign(end);
    else if (end->last == TLS_WANT_VERIFY)
        answer_verify(end, peer);
    size_t before = end->in_n;
    keep_unread(end, fed);
    bool moved = pair_deliver(end, peer) || end->in_n < before || end->last == TLS_WANT_SIGN ||
                 end->last == TLS_WANT_VERIFY;
    tls_feed(&end->conn, SPAN_EMPTY);
    return moved || end->last == TLS_DONE || end->last == TLS_FAILED;
}

void pair_shake(void)
{
    ends[SERVER].last = ends[CLIENT].last = TLS_WANT_READ;
    bool moved = true;
    while (moved) {
        moved = pair_turn(&ends[CLIENT], &ends[SERVER]);
        moved = pair_turn(&ends[SERVER], &ends[CLIENT]) || moved;
    }
}

void pair_read_all(struct end *end, unsigned char *to, size_t *n)
{
    size_t fed = end->in_n;
    size_t got = 0;
    tls_set_output(&end->conn, NULL, 0);
    tls_feed(&end->conn, span_of(end->in, fed));
    while ((end->last = tls_read(&end->conn, to + *n, 1000, &got)) == TLS_DONE) {
        ck_assert(got > 0);
        *n += got;
    }
    keep_unread(end, fed);
}

/* n bytes from one end to the other, through an output buffer of the given room. */
void pair_carry(struct end *from, struct end *to, size_t n, size_t room)
{
    static unsigned char sent[200000], got[200000], out[20000];
    size_t at = 0, got_n = 0, wrote = 0;
    ck_assert(n <= sizeof sent - 1000 && room <= sizeof out);
    for (size_t i = 0; i < n; i++)
        sent[i] = (unsigned char)(i * 7 + i / 256);
    while (at < n) {
        tls_set_output(&from->conn, out, room);
        enum tls_result r;
        do {
            r = tls_write(&from->conn, span_of(sent + at, n - at), &wrote);
            at += wrote;
        } while (r == TLS_DONE && at < n);
        ck_assert_msg(r == TLS_DONE || r == TLS_WANT_WRITE, "%s", tls_result_name(r));
        ck_assert(tls_output(&from->conn).n > 0);
        (void)pair_deliver(from, to);
        pair_read_all(to, got, &got_n);
        ck_assert_int_eq(to->last, TLS_WANT_READ);
    }
    ck_assert_uint_eq(got_n, n);
    ck_assert_int_eq(memcmp(sent, got, n), 0);
}
