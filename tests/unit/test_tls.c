/* Whole handshakes in memory: what is agreed on, and what is not. */
#include "tests/unit/tls_pair.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <stdlib.h>

/* ---- the matrix ---- */

static const enum cert_key keys[] = {CERT_P256, CERT_RSA2048, CERT_P384, CERT_ED25519};
START_TEST(handshakes)
{
    struct setting s = {.server_key = keys[_i % 4], .client_key = keys[(_i / 4) % 4]};
    s.version = versions[(_i / 16) % 2];
    for (int mode = 0; mode < 4; mode++) {
        s.ask = mode & 1 ? TLS_ASK : TLS_ASK_NOTHING;
        s.client_has = (mode & 2) != 0;
        pair_set_up(&s);
        pair_shake();
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
        pair_carry(&ends[CLIENT], &ends[SERVER], 20000, 20000);
        pair_carry(&ends[SERVER], &ends[CLIENT], 20000, 20000);
        pair_tear_down();
    }
}
END_TEST

START_TEST(byte_by_byte)
{
    static const size_t steps[][2] = {{1, 20000}, {7, 100}, {16384, 1}, {1, 1}, {3, 13}};
    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            struct setting s = mutual_of(versions[v]);
            pair_set_up(&s);
            step_bytes = steps[i][0];
            output_bytes = steps[i][1];
            pair_shake();
            ck_assert_msg(ends[SERVER].last == TLS_DONE, "%s", tls_error(&ends[SERVER].conn));
            ck_assert_msg(ends[CLIENT].last == TLS_DONE, "%s", tls_error(&ends[CLIENT].conn));
            pair_carry(&ends[CLIENT], &ends[SERVER], 5000, 700);
            pair_tear_down();
        }
    }
}
END_TEST

/* ---- ends that do not agree ---- */

START_TEST(client_refuses_server)
{
    for (size_t v = 0; v < 2; v++) {
        struct setting s = mutual_of(versions[v]);
        pair_set_up(&s);
        ends[CLIENT].refuse = true;
        pair_shake();
        ck_assert_int_eq(ends[CLIENT].last, TLS_FAILED);
        ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        ck_assert_str_eq(tls_error(&ends[CLIENT].conn), "CERTIFICATE_VERIFY_FAILED");
        ck_assert_str_eq(tls_error(&ends[SERVER].conn),
                         "the peer sent the alert \"bad certificate\"");
        ck_assert_int_eq(tls_handshake(&ends[CLIENT].conn), TLS_FAILED);
        ck_assert_uint_eq(ends[CLIENT].signs, 0);
        pair_tear_down();
    }
}
END_TEST

START_TEST(server_refuses_client)
{
    struct setting s = mutual_of(TLS1_2_VERSION);
    pair_set_up(&s);
    ends[SERVER].refuse = true;
    pair_shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
    ck_assert_int_eq(ends[CLIENT].last, TLS_FAILED);
    pair_tear_down();
}
END_TEST

START_TEST(keeper_does_not_sign)
{
    for (size_t v = 0; v < 2; v++) {
        for (int who = 0; who < BOTH; who++) {
            struct setting s = mutual_of(versions[v]);
            pair_set_up(&s);
            ends[who].no_signature = true;
            pair_shake();
            ck_assert_int_eq(ends[who].last, TLS_FAILED);
            ck_assert(tls_error(&ends[who].conn)[0] != '\0');
            ck_assert(ends[!who].last != TLS_DONE || who == CLIENT);
            pair_tear_down();
        }
    }
}
END_TEST

START_TEST(required_client_certificate)
{
    for (size_t v = 0; v < 2; v++) {
        struct setting s = mutual_of(versions[v]);
        s.ask = TLS_ASK_REQUIRE;
        pair_set_up(&s);
        pair_shake();
        ck_assert_int_eq(ends[SERVER].last, TLS_DONE);
        pair_tear_down();
        s.client_has = false;
        pair_set_up(&s);
        pair_shake();
        ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        ck_assert_str_eq(tls_error(&ends[SERVER].conn), "PEER_DID_NOT_RETURN_A_CERTIFICATE");
        pair_tear_down();
    }
}
END_TEST

/* The client's certificate is shown, but another key signs: no verdict may be had from it. */
START_TEST(stolen_certificate)
{
    for (size_t v = 0; v < 2; v++) {
        struct setting s = mutual_of(versions[v]);
        pair_set_up(&s);
        struct cert other = cert_make(&(struct cert_spec){.cn = "thief"}, NULL);
        EVP_PKEY *own = ends[CLIENT].cert.key;
        ends[CLIENT].cert.key = other.key;
        pair_shake();
        ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        ck_assert_str_eq(tls_error(&ends[SERVER].conn), "BAD_SIGNATURE");
        ends[CLIENT].cert.key = own;
        cert_free(&other);
        pair_tear_down();
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
    pair_set_up(&s);
    SSL *client = ends[CLIENT].conn.ssl;
    ck_assert(SSL_set_min_proto_version(client, TLS1_VERSION) == 1);
    ck_assert(SSL_set_max_proto_version(client, TLS1_1_VERSION) == 1);
    ck_assert(SSL_set_strict_cipher_list(client, "ECDHE-RSA-AES128-SHA") == 1);
    pair_shake();
    ck_assert_msg(ends[SERVER].last == TLS_FAILED, "%s", tls_error(&ends[CLIENT].conn));
    pair_tear_down();
    for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++) {
        pair_set_up(&s);
        client = ends[CLIENT].conn.ssl;
        ck_assert(SSL_set_max_proto_version(client, TLS1_2_VERSION) == 1);
        ck_assert(SSL_set_strict_cipher_list(client, weak[i]) == 1);
        pair_shake();
        ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        pair_tear_down();
    }
    pair_set_up(&s);
    client = ends[CLIENT].conn.ssl;
    ck_assert(SSL_set_max_proto_version(client, TLS1_2_VERSION) == 1);
    ck_assert(SSL_set_verify_algorithm_prefs(client, sha1, 2) == 1);
    pair_shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
    pair_tear_down();
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
            pair_set_up(&s);
            ck_assert(SSL_set1_curves(ends[CLIENT].conn.ssl, &groups[i].nid, 1) == 1);
            pair_shake();
            ck_assert_msg(ends[SERVER].last == TLS_DONE, "%zu %zu: %s, %s", v, i,
                          tls_error(&ends[SERVER].conn), tls_error(&ends[CLIENT].conn));
            ck_assert_str_eq(tls_describe(&ends[SERVER].conn).group, groups[i].name);
            pair_tear_down();
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
        pair_set_up(&mutual);
        memcpy(ends[SERVER].in, texts[i], lengths[i]);
        ends[SERVER].in_n = lengths[i];
        ends[SERVER].last = TLS_WANT_READ;
        while (pair_turn(&ends[SERVER], &ends[CLIENT]))
            ;
        if (i == 2) /* an empty record is passed over, a number of times */
            ck_assert(ends[SERVER].last == TLS_WANT_READ || ends[SERVER].last == TLS_FAILED);
        else
            ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
        pair_tear_down();
    }
}
END_TEST

/* Each byte of a client's first flight in turn is damaged; none may do more than fail. */
START_TEST(damaged_hello)
{
    static unsigned char out[4096], hello[4096];
    pair_set_up(&mutual);
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
    pair_tear_down();
}
END_TEST

START_TEST(huge_chain)
{
    pair_set_up(&mutual);
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
    pair_shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
    ck_assert_uint_eq(ends[SERVER].verdicts, 0);
    cert_free(&big[1]);
    cert_free(&big[2]);
    for (size_t i = 0; i < 3; i++)
        CRYPTO_BUFFER_free(chain[i]);
    pair_tear_down();
}
END_TEST

/* So many certificates that the list as messages carry it is longer than the peer's own. */
START_TEST(chain_that_grows)
{
    enum { MORE = 90, TARGET = LIMIT_CHAIN - 40 };
    struct setting s = mutual_of(TLS1_2_VERSION);
    CRYPTO_BUFFER *chain[1 + MORE];
    static unsigned char zeros[4096];
    unsigned char *der = NULL;
    pair_set_up(&s);
    int n = i2d_X509(ends[CLIENT].cert.x509, &der);
    chain[0] = CRYPTO_BUFFER_new(der, (size_t)n, NULL);
    size_t left = TARGET - 3 - (3 + (size_t)n);
    for (size_t i = MORE; i > 0; i--) {
        size_t size = left / i - 3;
        chain[i] = CRYPTO_BUFFER_new(zeros, size, NULL);
        left -= size + 3;
    }
    ck_assert_uint_eq(left, 0);
    ck_assert(
        SSL_set_chain_and_key(ends[CLIENT].conn.ssl, chain, 1 + MORE, NULL, &tls_key_method) == 1);
    pair_shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_FAILED);
    ck_assert_str_eq(tls_error(&ends[SERVER].conn), "CERTIFICATE_VERIFY_FAILED");
    ck_assert_uint_eq(ends[SERVER].verdicts, 0);
    for (size_t i = 0; i <= MORE; i++)
        CRYPTO_BUFFER_free(chain[i]);
    OPENSSL_free(der);
    pair_tear_down();
}
END_TEST

/* A context may go while its connections live: a reload. */
START_TEST(context_goes_first)
{
    pair_set_up(&mutual);
    tls_context_free(ends[SERVER].context);
    tls_context_free(ends[CLIENT].context);
    ends[SERVER].context = ends[CLIENT].context = NULL;
    pair_shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_DONE);
    ck_assert_int_eq(ends[CLIENT].last, TLS_DONE);
    pair_carry(&ends[CLIENT], &ends[SERVER], 1000, 2000);
    pair_tear_down();
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
    tcase_add_test(t, chain_that_grows);
    tcase_add_test(t, context_goes_first);
    suite_add_tcase(s, t);
    return suite_run(s);
}
