/* What the keeper takes for the payload of a TLS handshake, and all that it must not. */
#include "workers/keeper/payload.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdlib.h>

static unsigned char bytes[4096];

static struct span tls13(const char *context, size_t hash)
{
    size_t n = strlen(context) + 1;
    memset(bytes, ' ', 64);
    memcpy(bytes + 64, context, n);
    memset(bytes + 64 + n, 0xab, hash);
    return span_of(bytes, 64 + n + hash);
}

#define SERVER "TLS 1.3, server CertificateVerify"
#define CLIENT "TLS 1.3, client CertificateVerify"

static enum payload_kind kind_of(unsigned purpose, struct span payload)
{
    const char *why = NULL;
    enum payload_kind kind = payload_classify(purpose, payload, &why);
    ck_assert_ptr_nonnull(why);
    ck_assert((kind == PAYLOAD_FOREIGN) == (why[0] != '\0'));
    return kind;
}

START_TEST(tls13_payloads)
{
    ck_assert_int_eq(kind_of(TLS_AS_SERVER, tls13(SERVER, 32)), PAYLOAD_TLS13);
    ck_assert_int_eq(kind_of(TLS_AS_SERVER, tls13(SERVER, 48)), PAYLOAD_TLS13);
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, tls13(CLIENT, 32)), PAYLOAD_TLS13);
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, tls13(CLIENT, 48)), PAYLOAD_TLS13);
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, tls13(SERVER, 32)), PAYLOAD_FOREIGN);
    ck_assert_int_eq(kind_of(TLS_AS_SERVER, tls13(CLIENT, 32)), PAYLOAD_FOREIGN);
    ck_assert_int_eq(kind_of(TLS_PEER_SERVER, tls13(SERVER, 32)), PAYLOAD_FOREIGN);
    ck_assert_int_eq(kind_of(0, tls13(SERVER, 32)), PAYLOAD_FOREIGN);
    ck_assert_int_eq(kind_of(300, tls13(SERVER, 32)), PAYLOAD_FOREIGN);
}
END_TEST

START_TEST(tls13_lengths)
{
    for (size_t hash = 0; hash <= 80; hash++) {
        enum payload_kind want = hash == 32 || hash == 48 ? PAYLOAD_TLS13 : PAYLOAD_FOREIGN;
        ck_assert_int_eq(kind_of(TLS_AS_SERVER, tls13(SERVER, hash)), want);
    }
    struct span whole = tls13(SERVER, 32);
    for (size_t n = 0; n < whole.n; n++)
        ck_assert_int_eq(kind_of(TLS_AS_SERVER, span_head(whole, n)), PAYLOAD_FOREIGN);
}
END_TEST

/* Any byte before the hash that differs is fatal; the hash may be anything. */
START_TEST(tls13_every_byte)
{
    struct span whole = tls13(CLIENT, 32);
    for (size_t i = 0; i < whole.n; i++) {
        bytes[i] ^= 1;
        enum payload_kind want = i < 64 + sizeof CLIENT ? PAYLOAD_FOREIGN : PAYLOAD_TLS13;
        ck_assert_msg(kind_of(TLS_AS_CLIENT, whole) == want, "byte %zu", i);
        bytes[i] ^= 1;
    }
}
END_TEST

static struct span tls12_server(unsigned char type, unsigned group, unsigned char length,
                                unsigned char first, size_t point)
{
    memset(bytes, 0x5a, 64);
    bytes[64] = type;
    bytes[65] = (unsigned char)(group >> 8);
    bytes[66] = (unsigned char)group;
    bytes[67] = length;
    memset(bytes + 68, 0x77, point);
    bytes[68] = first;
    return span_of(bytes, 68 + point);
}

START_TEST(tls12_server_payloads)
{
    static const struct {
        unsigned char type;
        unsigned group;
        unsigned char length, first;
        size_t point;
        bool good;
    } cases[] = {
        {3, 29, 32, 0, 32, true},      {3, 23, 65, 4, 65, true},  {3, 24, 97, 4, 97, true},
        {3, 29, 32, 0, 33, false},     {3, 29, 32, 0, 31, false}, {3, 29, 33, 0, 33, false},
        {3, 23, 65, 3, 65, false},     {3, 23, 33, 2, 33, false}, {3, 23, 65, 4, 66, false},
        {3, 24, 65, 4, 65, false},     {1, 29, 32, 0, 32, false}, {2, 23, 65, 4, 65, false},
        {3, 25, 133, 4, 133, false},   {3, 30, 56, 0, 56, false}, {3, 22, 65, 4, 65, false},
        {3, 0x1d00, 32, 0, 32, false}, {0, 29, 32, 0, 32, false}, {3, 23, 0, 4, 65, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span p = tls12_server(cases[i].type, cases[i].group, cases[i].length, cases[i].first,
                                     cases[i].point);
        ck_assert_msg((kind_of(TLS_AS_SERVER, p) == PAYLOAD_TLS12) == cases[i].good, "case %zu", i);
        ck_assert_int_eq(kind_of(TLS_AS_CLIENT, p), PAYLOAD_FOREIGN);
    }
    struct span good = tls12_server(3, 29, 32, 0, 32);
    for (size_t n = 0; n < good.n; n++)
        ck_assert_int_eq(kind_of(TLS_AS_SERVER, span_head(good, n)), PAYLOAD_FOREIGN);
    /* Spaces for randoms do not make a TLS 1.2 payload pass for one of TLS 1.3, nor the reverse. */
    memset(bytes, ' ', 64);
    ck_assert_int_eq(kind_of(TLS_AS_SERVER, good), PAYLOAD_FOREIGN);
}
END_TEST

struct message {
    unsigned char type;
    size_t n;
};

static const struct message handshake[] = {{1, 200}, {2, 80}, {11, 900}, {12, 110},
                                           {13, 40}, {14, 0}, {11, 700}, {16, 33}};
enum { MESSAGES = sizeof handshake / sizeof handshake[0] };

static struct span put_messages(const struct message *m, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        bytes[at] = m[i].type;
        bytes[at + 1] = 0;
        bytes[at + 2] = (unsigned char)(m[i].n >> 8);
        bytes[at + 3] = (unsigned char)m[i].n;
        memset(bytes + at + 4, 3, m[i].n);
        at += 4 + m[i].n;
    }
    return span_of(bytes, at);
}

START_TEST(tls12_client_payloads)
{
    struct span whole = put_messages(handshake, MESSAGES);
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, whole), PAYLOAD_TLS12);
    ck_assert_int_eq(kind_of(TLS_AS_SERVER, whole), PAYLOAD_FOREIGN);
    for (size_t n = 0; n < whole.n; n++)
        ck_assert_msg(kind_of(TLS_AS_CLIENT, span_head(whole, n)) == PAYLOAD_FOREIGN, "%zu", n);
    bytes[whole.n] = 0;
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, span_of(bytes, whole.n + 1)), PAYLOAD_FOREIGN);
    (void)put_messages(handshake, MESSAGES);
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, span_from(whole, 1)), PAYLOAD_FOREIGN);
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, span_from(whole, 204)), PAYLOAD_FOREIGN);
    bytes[1] = 0xff; /* a length far past the end */
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, whole), PAYLOAD_FOREIGN);
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, SPAN_EMPTY), PAYLOAD_FOREIGN);
}
END_TEST

/* Each message left out, doubled, or of another type: refused. */
START_TEST(tls12_client_order)
{
    struct message m[MESSAGES + 1];
    for (size_t i = 0; i < MESSAGES; i++) {
        memcpy(m, handshake, sizeof handshake);
        memmove(m + i, m + i + 1, (MESSAGES - i - 1) * sizeof m[0]);
        ck_assert_int_eq(kind_of(TLS_AS_CLIENT, put_messages(m, MESSAGES - 1)), PAYLOAD_FOREIGN);
        memcpy(m, handshake, sizeof handshake);
        memmove(m + i + 1, m + i, (MESSAGES - i) * sizeof m[0]);
        ck_assert_int_eq(kind_of(TLS_AS_CLIENT, put_messages(m, MESSAGES + 1)), PAYLOAD_FOREIGN);
        memcpy(m, handshake, sizeof handshake);
        m[i].type = 20;
        ck_assert_int_eq(kind_of(TLS_AS_CLIENT, put_messages(m, MESSAGES)), PAYLOAD_FOREIGN);
        memcpy(m, handshake, sizeof handshake);
        if (m[i].n == 0)
            continue;
        m[i].n = 0;
        ck_assert_int_eq(kind_of(TLS_AS_CLIENT, put_messages(m, MESSAGES)), PAYLOAD_FOREIGN);
    }
    memcpy(m, handshake, sizeof handshake); /* an OCSP response may stand after the certificate */
    memmove(m + 4, m + 3, (MESSAGES - 3) * sizeof m[0]);
    m[3] = (struct message){22, 50};
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, put_messages(m, MESSAGES + 1)), PAYLOAD_TLS12);
    struct span whole = put_messages(handshake, MESSAGES);
    bytes[4] = 2; /* a hello of another version */
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, whole), PAYLOAD_FOREIGN);
}
END_TEST

START_TEST(foreign_payloads)
{
    static const char jwt[] = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxMjM0In0";
    ck_assert_int_eq(kind_of(TLS_AS_SERVER, span_str(jwt)), PAYLOAD_FOREIGN);
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, span_str(jwt)), PAYLOAD_FOREIGN);
    memset(bytes, ' ', sizeof bytes);
    ck_assert_int_eq(kind_of(TLS_AS_SERVER, span_of(bytes, sizeof bytes)), PAYLOAD_FOREIGN);
    ck_assert_int_eq(kind_of(TLS_AS_CLIENT, span_of(bytes, 64)), PAYLOAD_FOREIGN);
    /* 64 spaces and a context that TLS does not have */
    ck_assert_int_eq(kind_of(TLS_AS_SERVER, tls13("TLS 1.4, server CertificateVerify", 32)),
                     PAYLOAD_FOREIGN);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("keeper payload");
    TCase *t = tcase_create("payload");
    tcase_add_test(t, tls13_payloads);
    tcase_add_test(t, tls13_lengths);
    tcase_add_test(t, tls13_every_byte);
    tcase_add_test(t, tls12_server_payloads);
    tcase_add_test(t, tls12_client_payloads);
    tcase_add_test(t, tls12_client_order);
    tcase_add_test(t, foreign_payloads);
    suite_add_tcase(s, t);
    return suite_run(s);
}
