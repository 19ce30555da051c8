/* Tickets with notes, keys that rotate, and what makes a full handshake of a resumption. */
#include "tests/unit/tls_pair.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdlib.h>

#define NOTE SPAN_LIT("verified: CN=client")

static struct tls_ticket_keys keys;
static bool usable;
static unsigned asked_usable;
static struct span asked_note;
static char note_seen[TLS_NOTE_MAX];
static struct ssl_session_st *session;

static bool is_usable(void *owner, struct span note)
{
    ck_assert_ptr_eq(owner, &keys);
    asked_usable++;
    memcpy(note_seen, note.p, note.n);
    asked_note = span_of(note_seen, note.n);
    return usable;
}

static bool keep(void *owner, struct tls_connection *conn, struct ssl_session_st *s)
{
    ck_assert_ptr_eq(owner, &session);
    ck_assert_ptr_eq(conn, &ends[CLIENT].conn);
    tls_session_free(session);
    session = s;
    return true;
}

static void use_tickets(struct tls_context *server)
{
    const struct tls_tickets tickets = {.keys = &keys, .usable = is_usable, .owner = &keys};
    tls_context_resume(server, &tickets);
}

static void set_key(unsigned i, unsigned char fill)
{
    memset(keys.key[i], fill, sizeof keys.key[i]);
}

static void set_up(uint16_t version, bool client_has)
{
    struct setting s = mutual_of(version);
    s.client_has = client_has;
    memset(&keys, 0, sizeof keys);
    keys.count = 1;
    set_key(0, 1);
    usable = true;
    asked_usable = 0;
    session = NULL;
    pair_set_up(&s);
    ends[SERVER].note = client_has ? NOTE : SPAN_EMPTY;
    use_tickets(ends[SERVER].context);
    tls_context_keep(ends[CLIENT].context, keep, &session);
    pair_again();
}

static void tear_down(void)
{
    tls_session_free(session);
    session = NULL;
    pair_tear_down();
}

/* A handshake and a few bytes both ways: a TLS 1.3 client gets its ticket with the data. */
static void talk(void)
{
    pair_shake();
    ck_assert_int_eq(ends[SERVER].last, TLS_DONE);
    ck_assert_int_eq(ends[CLIENT].last, TLS_DONE);
    pair_carry(&ends[SERVER], &ends[CLIENT], 100, 2000);
    pair_carry(&ends[CLIENT], &ends[SERVER], 100, 2000);
}

static void first(void)
{
    talk();
    ck_assert(!tls_resumed(&ends[SERVER].conn) && !tls_resumed(&ends[CLIENT].conn));
    ck_assert_ptr_nonnull(session);
    pair_again();
    ck_assert(tls_offer(&ends[CLIENT].conn, session, true));
}

static void expect_full(bool client_has)
{
    talk();
    ck_assert(!tls_resumed(&ends[SERVER].conn) && !tls_resumed(&ends[CLIENT].conn));
    ck_assert_uint_eq(ends[CLIENT].verdicts, 1);
    ck_assert_uint_eq(ends[SERVER].verdicts, client_has ? 1 : 0);
    ck_assert_uint_eq(ends[SERVER].signs, 1);
    ck_assert(span_eq(tls_note(&ends[SERVER].conn), ends[SERVER].note));
}

START_TEST(resumes_with_its_note)
{
    bool client_has = _i >= 2;
    set_up(versions[_i % 2], client_has);
    first();
    ck_assert_int_eq(tls_session_single_use(session), _i % 2 == 1);
    for (unsigned i = 0; i < 3; i++) { /* a resumed session's ticket carries it on */
        talk();
        ck_assert(tls_resumed(&ends[SERVER].conn) && tls_resumed(&ends[CLIENT].conn));
        ck_assert_uint_eq(ends[SERVER].verdicts + ends[CLIENT].verdicts, 0);
        ck_assert_uint_eq(ends[SERVER].signs + ends[CLIENT].signs, 0);
        ck_assert(span_eq(tls_note(&ends[SERVER].conn), ends[SERVER].note));
        struct tls_description d = tls_describe(&ends[SERVER].conn);
        ck_assert(d.resumed && d.asked && d.presented == client_has);
        d = tls_describe(&ends[CLIENT].conn);
        ck_assert(d.resumed && d.asked && d.presented == client_has);
        pair_again();
        ck_assert(tls_offer(&ends[CLIENT].conn, session, true));
    }
    ck_assert_uint_eq(asked_usable, client_has ? 3 : 0);
    if (client_has)
        ck_assert(span_eq(asked_note, NOTE));
    tear_down();
}
END_TEST

/* The verdict no longer holds: the certificate is asked for and verified anew. */
START_TEST(unusable_note)
{
    set_up(versions[_i], true);
    first();
    usable = false;
    ends[SERVER].note = SPAN_LIT("another verdict");
    expect_full(true);
    tear_down();
}
END_TEST

/* The opened ticket's note is nothing when the client goes on without its certificate. */
START_TEST(note_of_a_ticket_that_is_not_resumed)
{
    set_up(versions[_i], true);
    first();
    usable = false;
    tls_context_free(ends[CLIENT].context);
    char error[LIMIT_REASON];
    ends[CLIENT].context = tls_context_client(SPAN_EMPTY, error);
    tls_context_keep(ends[CLIENT].context, keep, &session);
    ends[SERVER].note = SPAN_EMPTY;
    pair_again();
    ck_assert(tls_offer(&ends[CLIENT].conn, session, true));
    expect_full(false);
    tear_down();
}
END_TEST

START_TEST(rotation)
{
    set_up(versions[_i], true);
    first();
    memcpy(keys.key[1], keys.key[0], TLS_TICKET_KEY);
    set_key(0, 2);
    keys.count = 2;
    talk();
    ck_assert(tls_resumed(&ends[SERVER].conn));
    pair_again();
    ck_assert(tls_offer(&ends[CLIENT].conn, session, true));
    keys.count = 1; /* TLS 1.3 has given a new ticket, under the new key */
    if (_i == 1) {
        talk();
        ck_assert(tls_resumed(&ends[SERVER].conn));
        pair_again();
        ck_assert(tls_offer(&ends[CLIENT].conn, session, true));
    }
    set_key(0, 3); /* another flow's, or made after a worker's death */
    expect_full(true);
    tear_down();
}
END_TEST

/* The right name, another key: forged or damaged. */
START_TEST(foreign_ticket)
{
    set_up(versions[_i], true);
    first();
    keys.key[0][TLS_TICKET_KEY - 1] ^= 1;
    expect_full(true);
    ck_assert_uint_eq(asked_usable, 0);
    tear_down();
}
END_TEST

START_TEST(no_keys_no_tickets)
{
    set_up(versions[_i], true);
    keys.count = 0;
    pair_again();
    talk();
    ck_assert_ptr_null(session);
    tear_down();
}
END_TEST

/* What was made where nobody asked for a certificate is not resumed where one is asked for. */
START_TEST(session_of_another_demand)
{
    char error[LIMIT_REASON];
    static unsigned char bytes[LIMIT_CHAIN];
    struct msg_writer w = {.p = bytes, .capacity = sizeof bytes};
    set_up(versions[_i], true);
    cert_put(&w, &ends[SERVER].cert);
    struct tls_context *asks = ends[SERVER].context;
    ends[SERVER].context = tls_context_server(span_of(w.p, w.n), TLS_ASK_NOTHING, error);
    use_tickets(ends[SERVER].context);
    pair_again();
    talk();
    ck_assert_ptr_nonnull(session);
    tls_context_free(ends[SERVER].context);
    ends[SERVER].context = asks;
    pair_again();
    ck_assert(tls_offer(&ends[CLIENT].conn, session, false));
    expect_full(true);
    tear_down();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls resumption");
    TCase *t = tcase_create("resumption");
    tls_prepare();
    tcase_add_loop_test(t, resumes_with_its_note, 0, 4);
    tcase_add_loop_test(t, unusable_note, 0, 2);
    tcase_add_loop_test(t, note_of_a_ticket_that_is_not_resumed, 0, 2);
    tcase_add_loop_test(t, rotation, 0, 2);
    tcase_add_loop_test(t, foreign_ticket, 0, 2);
    tcase_add_loop_test(t, no_keys_no_tickets, 0, 2);
    tcase_add_loop_test(t, session_of_another_demand, 0, 2);
    suite_add_tcase(s, t);
    return suite_run(s);
}
