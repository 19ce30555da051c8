/* Data over TLS: through buffers of any size, damaged, ended; and what a connection costs. */
#include "tests/unit/tls_pair.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(data_through_small_buffers)
{
    static const size_t rooms[] = {30, 31, 64, 512, 1053, 4096, 16384, 16413, 20000};
    for (size_t v = 0; v < 2; v++) {
        struct setting s = mutual_of(versions[v]);
        pair_set_up(&s);
        pair_shake();
        for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
            pair_carry(&ends[CLIENT], &ends[SERVER], rooms[i] < 512 ? 300 : 100000, rooms[i]);
            pair_carry(&ends[SERVER], &ends[CLIENT], rooms[i] < 512 ? 300 : 100000, rooms[i]);
        }
        unsigned char out[64];
        size_t n = 9;
        tls_set_output(&ends[CLIENT].conn, out, TLS_RECORD_OVERHEAD);
        ck_assert_int_eq(tls_write(&ends[CLIENT].conn, SPAN_LIT("x"), &n), TLS_WANT_WRITE);
        ck_assert_uint_eq(n, 0);
        tls_set_output(&ends[CLIENT].conn, out, sizeof out);
        ck_assert_int_eq(tls_write(&ends[CLIENT].conn, SPAN_EMPTY, &n), TLS_DONE);
        pair_tear_down();
    }
}
END_TEST

/* The peer asks for new keys: our answer goes out before the next record, and may fill the
 * output, so that a record is begun and not ended. */
START_TEST(key_update)
{
    for (size_t room = TLS_RECORD_OVERHEAD + 1; room < 200; room++) {
        unsigned char out[256], got[256];
        static const char text[] = "250 2.0.0 queued as something with a rather long name\r\n";
        struct setting s = mutual_of(TLS1_3_VERSION);
        size_t n = 0, got_n = 0, at = 0;
        bool first = true;
        pair_set_up(&s);
        pair_shake();
        ck_assert(SSL_key_update(ends[CLIENT].conn.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
        tls_set_output(&ends[CLIENT].conn, out, sizeof out);
        ck_assert_int_eq(tls_write(&ends[CLIENT].conn, SPAN_LIT("DATA\r\n"), &n), TLS_DONE);
        (void)pair_deliver(&ends[CLIENT], &ends[SERVER]);
        pair_read_all(&ends[SERVER], got, &got_n);
        ck_assert_uint_eq(got_n, 6);
        got_n = 0;
        while (at < sizeof text) {
            /* Less room the next time: a record that was begun keeps its length. */
            tls_set_output(&ends[SERVER].conn, out, first ? room : TLS_RECORD_OVERHEAD + 1);
            first = false;
            enum tls_result r =
                tls_write(&ends[SERVER].conn, span_of(text + at, sizeof text - at), &n);
            ck_assert_msg(r == TLS_DONE || r == TLS_WANT_WRITE, "room %zu: %s", room,
                          tls_error(&ends[SERVER].conn));
            at += n;
            ck_assert(pair_deliver(&ends[SERVER], &ends[CLIENT]));
            pair_read_all(&ends[CLIENT], got, &got_n);
        }
        ck_assert_uint_eq(got_n, sizeof text);
        ck_assert_int_eq(memcmp(got, text, sizeof text), 0);
        pair_tear_down();
    }
}
END_TEST

START_TEST(damaged_data)
{
    unsigned char out[256], got[256];
    size_t n = 0;
    pair_set_up(&mutual);
    pair_shake();
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
    pair_tear_down();
}
END_TEST

START_TEST(closing)
{
    for (size_t v = 0; v < 2; v++) {
        unsigned char out[256], got[64];
        size_t n = 0;
        struct setting s = mutual_of(versions[v]);
        pair_set_up(&s);
        pair_shake();
        tls_set_output(&ends[CLIENT].conn, out, sizeof out);
        ck_assert_int_eq(tls_write(&ends[CLIENT].conn, SPAN_LIT("QUIT\r\n"), &n), TLS_DONE);
        ck_assert_int_eq(tls_shutdown(&ends[CLIENT].conn), TLS_DONE);
        (void)pair_deliver(&ends[CLIENT], &ends[SERVER]);
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
        pair_tear_down();
    }
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
        pair_set_up(&s);
        tls_wipe(&ends[SERVER].conn);
        tls_wipe(&ends[CLIENT].conn);
        size_t none = allocated;
        ck_assert(tls_start_server(&ends[SERVER].conn, ends[SERVER].context));
        ck_assert(tls_start_client(&ends[CLIENT].conn, ends[CLIENT].context, "im.post.ch"));
        ck_assert(allocated > none);
        pair_shake();
        pair_carry(&ends[CLIENT], &ends[SERVER], 30000, 20000);
        pair_carry(&ends[SERVER], &ends[CLIENT], 30000, 20000);
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
        pair_tear_down();
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls data");
    TCase *t = tcase_create("data");
    tls_prepare();
    tcase_set_timeout(t, 60);
    tcase_add_test(t, data_through_small_buffers);
    tcase_add_test(t, key_update);
    tcase_add_test(t, damaged_data);
    tcase_add_test(t, closing);
    tcase_add_test(t, idle_cost);
    suite_add_tcase(s, t);
    return suite_run(s);
}
