/* Contexts from chains good and bad, and the name that a client asks for. */
#include "engine/tls/tls.h"
#include "tests/unit/certs.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdlib.h>

START_TEST(bad_chains)
{
    char error[LIMIT_REASON];
    static unsigned char bytes[LIMIT_CHAIN];
    struct msg_writer w = {.p = bytes, .capacity = sizeof bytes};
    ck_assert(tls_context_server(SPAN_EMPTY, TLS_ASK, error) == NULL && error[0] != '\0');
    ck_assert(tls_context_server(SPAN_LIT("\x03"), TLS_ASK, error) == NULL);
    msg_put_span(&w, SPAN_LIT("no certificate"));
    ck_assert(tls_context_server(span_of(bytes, w.n), TLS_ASK, error) == NULL);
    ck_assert(tls_context_client(span_of(bytes, w.n), error) == NULL && error[0] != '\0');
    struct cert good = cert_make(&(struct cert_spec){.cn = "x"}, NULL);
    w.n = 0;
    for (size_t i = 0; i < LIMIT_CHAIN_COUNT; i++)
        cert_put(&w, &good);
    struct tls_context *c = tls_context_server(span_of(bytes, w.n), TLS_ASK, error);
    ck_assert(c != NULL);
    tls_context_free(c);
    ck_assert(tls_context_server(span_of(bytes, w.n - 1), TLS_ASK, error) == NULL);
    cert_put(&w, &good);
    ck_assert(tls_context_server(span_of(bytes, w.n), TLS_ASK, error) == NULL);
    cert_free(&good);
    tls_context_free(NULL);
}
END_TEST

START_TEST(names_to_ask_for)
{
    static const struct {
        const char *name;
        bool sent;
    } cases[] = {{"im.post.ch", true},  {"mx1", true},
                 {"a_b.example", true}, {"127.0.0.1", false},
                 {"::1", false},        {"[::1]", false},
                 {"", false},           {"im.post.ch.", false},
                 {"x y", false},        {"1.2.3.example", true},
                 {".x", false},         {"b\xc3\xbc.ch", false}};
    char error[LIMIT_REASON];
    struct tls_context *context = tls_context_client(SPAN_EMPTY, error);
    ck_assert_msg(context != NULL, "%s", error);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static unsigned char out[4096];
        struct tls_connection client;
        ck_assert(tls_start_client(&client, context, cases[i].name));
        tls_set_output(&client, out, sizeof out);
        ck_assert_int_eq(tls_handshake(&client), TLS_WANT_READ);
        struct span hello = tls_output(&client);
        bool found = cases[i].name[0] != '\0' &&
                     memmem(hello.p, hello.n, cases[i].name, strlen(cases[i].name)) != NULL;
        ck_assert_msg(found == cases[i].sent, "%s", cases[i].name);
        tls_wipe(&client);
    }
    tls_context_free(context);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls context");
    TCase *t = tcase_create("context");
    tls_prepare();
    tcase_add_test(t, bad_chains);
    tcase_add_test(t, names_to_ask_for);
    suite_add_tcase(s, t);
    return suite_run(s);
}
