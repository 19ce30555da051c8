/*
 * Whole handshakes in memory: both ends are engine/tls, a pump carries the bytes, and what the
 * keeper would answer is made by the keeper's own functions.
 */
#include "engine/tls/internal.h"
#include "engine/tls/tls.h"
#include "tests/unit/certs.h"
#include "workers/keeper/payload.h"
#include "workers/keeper/signer.h"
#include <check.h>
#include <malloc.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <stdio.h>
#include <stdlib.h>

enum { SERVER, CLIENT, BOTH };

struct end {
    struct tls_connection conn;
    struct tls_context *context;
    struct cert cert;
    enum tls_result last;
    bool refuse;       /* the verdict */
    bool no_signature; /* the keeper says no */
    unsigned signs, verdicts;
    unsigned char in[65536]; /* on its way to this end */
    size_t in_n;
};

static struct end ends[BOTH];
static unsigned char chain_bytes[LIMIT_CHAIN];
static size_t step_bytes;   /* fed at once */
static size_t output_bytes; /* room for output */

static struct span chain_of(const struct cert *cert)
{
    struct msg_writer w = {.p = chain_bytes, .capacity = sizeof chain_bytes};
    cert_put(&w, cert);
    ck_assert(!w.overflow);
    return span_of(w.p, w.n);
}

struct setting {
    enum cert_key server_key;
    enum cert_key client_key;
    bool client_has;
    enum tls_ask ask;
    uint16_t version;
};

static void limit_version(struct end *end, uint16_t version)
{
    if (version != 0)
        ck_assert(SSL_CTX_set_max_proto_version(end->context->ssl, version) == 1);
}

static void set_up(const struct setting *s)
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

static void tear_down(void)
{
    for (int i = 0; i < BOTH; i++) {
        tls_wipe(&ends[i].conn);
        tls_wipe(&ends[i].conn);
        tls_context_free(ends[i].context);
        cert_free(&ends[i].cert);
    }
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
    tls_supply_verdict(&end->conn, !end->refuse);
}

/* Moves what end wrote to its peer. */
static bool deliver(struct end *end, struct end *peer)
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
static bool turn(struct end *end, struct end *peer)
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
    bool moved = deliver(end, peer) || end->in_n < before || end->last == TLS_WANT_SIGN ||
                 end->last == TLS_WANT_VERIFY;
    tls_feed(&end->conn, SPAN_EMPTY);
    return moved || end->last == TLS_DONE || end->last == TLS_FAILED;
}

static void shake(void)
{
    ends[SERVER].last = ends[CLIENT].last = TLS_WANT_READ;
    bool moved = true;
    while (moved) {
        moved = turn(&ends[CLIENT], &ends[SERVER]);
        moved = turn(&ends[SERVER], &ends[CLIENT]) || moved;
    }
}

static void read_all(struct end *end, unsigned char *to, size_t *n)
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
static void carry(struct end *from, struct end *to, size_t n, size_t room)
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
        (void)deliver(from, to);
        read_all(to, got, &got_n);
        ck_assert_int_eq(to->last, TLS_WANT_READ);
    }
    ck_assert_uint_eq(got_n, n);
    ck_assert_int_eq(memcmp(sent, got, n), 0);
}

/* ---- the matrix ---- */

static const enum cert_key keys[] = {CERT_P256, CERT_RSA2048, CERT_P384, CERT_ED25519};
static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

START_TEST(handshakes)
{
    struct setting s = {.server_key = keys[_i % 4], .client_key = keys[(_i / 4) % 4]};
    s.version = versions[(_i / 16) % 2];
    for (int mode = 0; mode < 4; mode++) {
        s.ask = mode & 1 ? TLS_ASK : TLS_ASK_NOTHING;
        s.client_has = (mode & 2) != 0;
        set_up(&s);
        shake();
        for (int i = 0; i < BOTH; i++) {
            const struct end *e = &ends[i];
            struct tls_description d = tls_describe(&e->conn);
            ck_assert_msg(e->last == TLS_DONE, "end %d: %s", i, tls_error(&e->conn));
            ck_assert_str_eq(tls_error(&e->conn), "");
            ck_assert_str_eq(d.version, s.version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
            ck_assert_str_eq(d.group, "X25519");
            ck_assert(strncmp(d.cipher, "TLS_", 4) == 0);
            ck_assert(d.asked == (s.ask == TLS_ASK));
            ck_assert(d.presented == (mode == 3));
        }
        ck_assert_uint_eq(ends[SERVER].signs, 1);
        ck_assert_uint_eq(ends[SERVER].verdicts, mode == 3);
        ck_assert_uint_eq(ends[CLIENT].signs, mode == 3);
        ck_assert_uint_eq(ends[CLIENT].verdicts, 1);
        ck_assert_str_eq(SSL_get_servername(ends[SERVER].conn.ssl, TLSEXT_NAMETYPE_host_name),
                         "im.post.ch");
        carry(&ends[CLIENT], &ends[SERVER], 20000, 20000);
        carry(&ends[SERVER], &ends[CLIENT], 20000, 20000);
        tear_down();
    }
}
END_TEST

static const struct setting mutual = {
    .server_key = CERT_P256, .client_key = CERT_P256, .client_has = true, .ask = TLS_ASK};

static struct setting mutual_of(uint16_t version)
{
    struct setting s = mutual;
    s.version = version;
    return s;
}

START_TEST(byte_by_byte)
{
    static const size_t steps[][2] = {{1, 20000}, {7, 100}, {16384, 1}, {1, 1}, {3, 13}};
    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            struct setting s = mutual_of(versions[v]);
            set_up(&s);
            step_bytes = steps[i][0];
            output_bytes = steps[i][1];
            shake();
            ck_assert_msg(ends[SERVER].last == TLS_DONE, "%s", tls_error(&ends[SERVER].conn));
            ck_assert_msg(ends[CLIENT].last == TLS_DONE, "%s", tls_error(&ends[CLIENT].conn));
            carry(&ends[CLIENT], &ends[SERVER], 5000, 700);
            tear_down();
        }
    }
}
END_TEST

START_TEST(data_through_small_buffers)
{
    static const size_t rooms[] = {30, 31, 64, 512, 1053, 4096, 16384, 16413, 20000};
    for (size_t v = 0; v < 2; v++) {
        struct setting s = mutual_of(versions[v]);
        set_up(&s);
        shake();
        for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
            carry(&ends[CLIENT], &ends[SERVER], rooms[i] < 512 ? 300 : 100000, rooms[i]);
            carry(&ends[SERVER], &ends[CLIENT], rooms[i] < 512 ? 300 : 100000, rooms[i]);
        }
        unsigned char out[64];
        size_t n = 9;
        tls_set_output(&ends[CLIENT].conn, out, TLS_RECORD_OVERHEAD);
        ck_assert_int_eq(tls_write(&ends[CLIENT].conn, SPAN_LIT("x"), &n), TLS_WANT_WRITE);
        ck_assert_uint_eq(n, 0);
        tls_set_output(&ends[CLIENT].conn, out, sizeof out);
        ck_assert_int_eq(tls_write(&ends[CLIENT].conn, SPAN_EMPTY, &n), TLS_DONE);
        tear_down();
    }
}
END_TEST

/* ---- ends that do not agree ---- */

START_TEST(client_refuses_server)
{
    for (size_t v = 0; v < 2; v++) {
        struct setting s = mutual_of(versions[v]);
        set_up(&s);
        ends[CLIENT].refuse = true;
        shake();
        ck_assert_int_eq(ends[CLIENT].last, TLS_FAILED);
        ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        ck_assert_str_eq(tls_error(&ends[CLIENT].conn), "CERTIFICATE_VERIFY_FAILED");
        ck_assert_str_eq(tls_error(&ends[SERVER].conn),
                         "the peer sent the alert \"bad certificate\"");
        ck_assert_int_eq(tls_handshake(&ends[CLIENT].conn), TLS_FAILED);
        ck_assert_uint_eq(ends[CLIENT].signs, 0);
        tear_down();
    }
}
END_TEST

START_TEST(server_refuses_client)
{
    struct setting s = mutual_of(TLS1_2_VERSION);
    set_up(&s);
    ends[SERVER].refuse = true;
    shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
    ck_assert_int_eq(ends[CLIENT].last, TLS_FAILED);
    tear_down();
}
END_TEST

START_TEST(keeper_does_not_sign)
{
    for (size_t v = 0; v < 2; v++) {
        for (int who = 0; who < BOTH; who++) {
            struct setting s = mutual_of(versions[v]);
            set_up(&s);
            ends[who].no_signature = true;
            shake();
            ck_assert_int_eq(ends[who].last, TLS_FAILED);
            ck_assert(tls_error(&ends[who].conn)[0] != '\0');
            ck_assert(ends[!who].last != TLS_DONE || who == CLIENT);
            tear_down();
        }
    }
}
END_TEST

START_TEST(required_client_certificate)
{
    for (size_t v = 0; v < 2; v++) {
        struct setting s = mutual_of(versions[v]);
        s.ask = TLS_ASK_REQUIRE;
        set_up(&s);
        shake();
        ck_assert_int_eq(ends[SERVER].last, TLS_DONE);
        tear_down();
        s.client_has = false;
        set_up(&s);
        shake();
        ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        ck_assert_str_eq(tls_error(&ends[SERVER].conn), "PEER_DID_NOT_RETURN_A_CERTIFICATE");
        tear_down();
    }
}
END_TEST

/* The client's certificate is shown, but another key signs: no verdict may be had from it. */
START_TEST(stolen_certificate)
{
    for (size_t v = 0; v < 2; v++) {
        struct setting s = mutual_of(versions[v]);
        set_up(&s);
        struct cert other = cert_make(&(struct cert_spec){.cn = "thief"}, NULL);
        EVP_PKEY *own = ends[CLIENT].cert.key;
        ends[CLIENT].cert.key = other.key;
        shake();
        ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        ck_assert_str_eq(tls_error(&ends[SERVER].conn), "BAD_SIGNATURE");
        ends[CLIENT].cert.key = own;
        cert_free(&other);
        tear_down();
    }
}
END_TEST

START_TEST(old_and_weak)
{
    struct setting s = mutual_of(0);
    static const char *const weak[] = {"AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA",
                                       "ECDHE-ECDSA-AES128-SHA"};
    static const uint16_t sha1[] = {SSL_SIGN_RSA_PKCS1_SHA1, SSL_SIGN_ECDSA_SHA1};
    s.server_key = CERT_RSA2048;
    set_up(&s);
    SSL *client = ends[CLIENT].conn.ssl;
    ck_assert(SSL_set_min_proto_version(client, TLS1_VERSION) == 1);
    ck_assert(SSL_set_max_proto_version(client, TLS1_1_VERSION) == 1);
    ck_assert(SSL_set_strict_cipher_list(client, "ECDHE-RSA-AES128-SHA") == 1);
    shake();
    ck_assert_msg(ends[SERVER].last == TLS_FAILED, "%s", tls_error(&ends[CLIENT].conn));
    tear_down();
    for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++) {
        set_up(&s);
        client = ends[CLIENT].conn.ssl;
        ck_assert(SSL_set_max_proto_version(client, TLS1_2_VERSION) == 1);
        ck_assert(SSL_set_strict_cipher_list(client, weak[i]) == 1);
        shake();
        ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        tear_down();
    }
    set_up(&s);
    client = ends[CLIENT].conn.ssl;
    ck_assert(SSL_set_max_proto_version(client, TLS1_2_VERSION) == 1);
    ck_assert(SSL_set_verify_algorithm_prefs(client, sha1, 2) == 1);
    shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
    tear_down();
}
END_TEST

START_TEST(other_groups)
{
    static const struct {
        int nid;
        const char *name;
    } groups[] = {{NID_X9_62_prime256v1, "P-256"}, {NID_secp384r1, "P-384"}};
    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < 2; i++) {
            struct setting s = mutual_of(versions[v]);
            s.server_key = CERT_RSA2048; /* its curve would have to be offered, too */
            set_up(&s);
            ck_assert(SSL_set1_curves(ends[CLIENT].conn.ssl, &groups[i].nid, 1) == 1);
            shake();
            ck_assert_msg(ends[SERVER].last == TLS_DONE, "%zu %zu: %s, %s", v, i,
                          tls_error(&ends[SERVER].conn), tls_error(&ends[CLIENT].conn));
            ck_assert_str_eq(tls_describe(&ends[SERVER].conn).group, groups[i].name);
            tear_down();
        }
    }
}
END_TEST

/* ---- hostile peers ---- */

START_TEST(garbage)
{
    static const char *const texts[] = {"EHLO evil.example\r\n", "\x16\x03\x01\xff\xff garbage",
                                        "\x16\x03\x01\x00\x00", "\x17\x03\x03\x00\x05hello",
                                        "\x15\x03\x01\x00\x02\x02\x28"};
    static const size_t lengths[] = {19, 13, 5, 10, 7};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        set_up(&mutual);
        memcpy(ends[SERVER].in, texts[i], lengths[i]);
        ends[SERVER].in_n = lengths[i];
        ends[SERVER].last = TLS_WANT_READ;
        while (turn(&ends[SERVER], &ends[CLIENT]))
            ;
        if (i == 2) /* an empty record is passed over, a number of times */
            ck_assert(ends[SERVER].last == TLS_WANT_READ || ends[SERVER].last == TLS_FAILED);
        else
            ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        tear_down();
    }
}
END_TEST

/* Each byte of a client's first flight in turn is damaged; none may do more than fail. */
START_TEST(damaged_hello)
{
    static unsigned char out[4096], hello[4096];
    set_up(&mutual);
    tls_set_output(&ends[CLIENT].conn, out, sizeof out);
    ck_assert_int_eq(tls_handshake(&ends[CLIENT].conn), TLS_WANT_READ);
    struct span sent = tls_output(&ends[CLIENT].conn);
    memcpy(hello, sent.p, sent.n);
    for (size_t i = 0; i < sent.n; i++) {
        hello[i] ^= (unsigned char)(1 + i % 255);
        struct tls_connection conn;
        ck_assert(tls_start_server(&conn, ends[SERVER].context));
        tls_set_output(&conn, out, sizeof out);
        tls_feed(&conn, span_of(hello, sent.n));
        enum tls_result r = tls_handshake(&conn);
        ck_assert(r != TLS_DONE && r != TLS_CLOSED);
        tls_wipe(&conn);
        hello[i] ^= (unsigned char)(1 + i % 255);
    }
    tear_down();
}
END_TEST

START_TEST(huge_chain)
{
    set_up(&mutual);
    struct cert big[3];
    CRYPTO_BUFFER *chain[3];
    for (size_t i = 0; i < 3; i++) {
        big[i] = cert_make(&(struct cert_spec){.cn = "big", .padding = 20000}, NULL);
        unsigned char *der = NULL;
        int n = i2d_X509(big[i].x509, &der);
        chain[i] = CRYPTO_BUFFER_new(der, (size_t)n, NULL);
        OPENSSL_free(der);
    }
    ck_assert(SSL_set_chain_and_key(ends[CLIENT].conn.ssl, chain, 3, NULL, &tls_key_method) == 1);
    cert_free(&ends[CLIENT].cert);
    ends[CLIENT].cert = big[0];
    shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
    ck_assert_uint_eq(ends[SERVER].verdicts, 0);
    cert_free(&big[1]);
    cert_free(&big[2]);
    for (size_t i = 0; i < 3; i++)
        CRYPTO_BUFFER_free(chain[i]);
    tear_down();
}
END_TEST

START_TEST(damaged_data)
{
    unsigned char out[256], got[256];
    size_t n = 0;
    set_up(&mutual);
    shake();
    tls_set_output(&ends[CLIENT].conn, out, sizeof out);
    ck_assert_int_eq(tls_write(&ends[CLIENT].conn, SPAN_LIT("MAIL FROM:<>"), &n), TLS_DONE);
    ck_assert_uint_eq(n, 12);
    out[8] ^= 1;
    tls_feed(&ends[SERVER].conn, tls_output(&ends[CLIENT].conn));
    ck_assert_int_eq(tls_read(&ends[SERVER].conn, got, sizeof got, &n), TLS_FAILED);
    ck_assert_uint_eq(n, 0);
    ck_assert(tls_error(&ends[SERVER].conn)[0] != '\0');
    ck_assert_int_eq(tls_read(&ends[SERVER].conn, got, sizeof got, &n), TLS_FAILED);
    ck_assert_int_eq(tls_write(&ends[SERVER].conn, SPAN_LIT("x"), &n), TLS_FAILED);
    tear_down();
}
END_TEST

/* ---- the end ---- */

START_TEST(closing)
{
    for (size_t v = 0; v < 2; v++) {
        unsigned char out[256], got[64];
        size_t n = 0;
        struct setting s = mutual_of(versions[v]);
        set_up(&s);
        shake();
        tls_set_output(&ends[CLIENT].conn, out, sizeof out);
        ck_assert_int_eq(tls_write(&ends[CLIENT].conn, SPAN_LIT("QUIT\r\n"), &n), TLS_DONE);
        ck_assert_int_eq(tls_shutdown(&ends[CLIENT].conn), TLS_DONE);
        (void)deliver(&ends[CLIENT], &ends[SERVER]);
        tls_feed(&ends[SERVER].conn, span_of(ends[SERVER].in, ends[SERVER].in_n));
        ck_assert_int_eq(tls_read(&ends[SERVER].conn, got, sizeof got, &n), TLS_DONE);
        ck_assert_uint_eq(n, 6);
        ck_assert_int_eq(tls_read(&ends[SERVER].conn, got, sizeof got, &n), TLS_CLOSED);
        ck_assert_int_eq(tls_read(&ends[SERVER].conn, got, sizeof got, &n), TLS_CLOSED);
        ck_assert_str_eq(tls_error(&ends[SERVER].conn), "");
        tls_set_output(&ends[SERVER].conn, out, 0);
        ck_assert_int_eq(tls_shutdown(&ends[SERVER].conn), TLS_WANT_WRITE);
        tls_set_output(&ends[SERVER].conn, out, sizeof out);
        ck_assert_int_eq(tls_shutdown(&ends[SERVER].conn), TLS_DONE);
        ck_assert(tls_output(&ends[SERVER].conn).n > 0);
        tear_down();
    }
}
END_TEST

/* A context may go while its connections live: a reload. */
START_TEST(context_goes_first)
{
    set_up(&mutual);
    tls_context_free(ends[SERVER].context);
    tls_context_free(ends[CLIENT].context);
    ends[SERVER].context = ends[CLIENT].context = NULL;
    shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_DONE);
    ck_assert_int_eq(ends[CLIENT].last, TLS_DONE);
    carry(&ends[CLIENT], &ends[SERVER], 1000, 2000);
    tear_down();
}
END_TEST

/* The library's allocations, counted: it calls these in the place of malloc when they are there. */
static size_t allocated;

void *OPENSSL_memory_alloc(size_t n);
void OPENSSL_memory_free(void *p);
size_t OPENSSL_memory_get_size(void *p);

void *OPENSSL_memory_alloc(size_t n)
{
    void *p = malloc(n);
    allocated += malloc_usable_size(p) + sizeof(size_t);
    return p;
}

void OPENSSL_memory_free(void *p)
{
    if (p != NULL)
        allocated -= malloc_usable_size(p) + sizeof(size_t);
    free(p);
}

size_t OPENSSL_memory_get_size(void *p)
{
    return malloc_usable_size(p);
}

START_TEST(idle_cost)
{
    for (size_t v = 0; v < 2; v++) {
        struct setting s = mutual_of(versions[v]);
        set_up(&s);
        tls_wipe(&ends[SERVER].conn);
        tls_wipe(&ends[CLIENT].conn);
        size_t none = allocated;
        ck_assert(tls_start_server(&ends[SERVER].conn, ends[SERVER].context));
        ck_assert(tls_start_client(&ends[CLIENT].conn, ends[CLIENT].context, "im.post.ch"));
        ck_assert(allocated > none);
        shake();
        carry(&ends[CLIENT], &ends[SERVER], 30000, 20000);
        carry(&ends[SERVER], &ends[CLIENT], 30000, 20000);
        size_t both = allocated - none;
        tls_wipe(&ends[SERVER].conn);
        size_t client = allocated - none;
        printf("idle, %s: server %zu bytes, client %zu bytes, and %zu of struct tls_connection\n",
               v == 0 ? "TLS 1.2" : "TLS 1.3", both - client, client,
               sizeof(struct tls_connection));
        ck_assert_uint_lt(both - client, TLS_IDLE_BYTES);
        ck_assert_uint_lt(client, TLS_IDLE_BYTES);
        tls_wipe(&ends[CLIENT].conn);
        ck_assert_uint_eq(allocated, none); /* nothing is left behind */
        tear_down();
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls");
    TCase *t = tcase_create("tls");
    tls_prepare();
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, handshakes, 0, 32);
    tcase_add_test(t, byte_by_byte);
    tcase_add_test(t, data_through_small_buffers);
    tcase_add_test(t, client_refuses_server);
    tcase_add_test(t, server_refuses_client);
    tcase_add_test(t, keeper_does_not_sign);
    tcase_add_test(t, required_client_certificate);
    tcase_add_test(t, stolen_certificate);
    tcase_add_test(t, old_and_weak);
    tcase_add_test(t, other_groups);
    tcase_add_test(t, garbage);
    tcase_add_test(t, damaged_hello);
    tcase_add_test(t, huge_chain);
    tcase_add_test(t, damaged_data);
    tcase_add_test(t, closing);
    tcase_add_test(t, context_goes_first);
    tcase_add_test(t, idle_cost);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
