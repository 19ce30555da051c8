/* Keys of session tickets: their rotation, and when they are made anew. */
#include "workers/keeper/tickets.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(tickets_rotate)
{
    static struct tickets t;
    const uint64_t day = 1000000;
    unsigned char first[TLS_TICKET_KEY], second[TLS_TICKET_KEY];
    const struct ticket_flow *f = tickets_of(&t, SPAN_LIT("inbound"), day);
    ck_assert_uint_eq(f->keys.count, 1);
    memcpy(first, f->keys.key[0], sizeof first);
    uint32_t version = f->version;
    f = tickets_of(&t, SPAN_LIT("inbound"), day + LIMIT_TICKET_ROTATION - 1);
    ck_assert_uint_eq(f->version, version);
    f = tickets_of(&t, SPAN_LIT("inbound"), day + LIMIT_TICKET_ROTATION);
    ck_assert_uint_ne(f->version, version);
    ck_assert_uint_eq(f->keys.count, 2);
    ck_assert_int_eq(memcmp(f->keys.key[1], first, sizeof first), 0);
    memcpy(second, f->keys.key[0], sizeof second);
    f = tickets_of(&t, SPAN_LIT("inbound"), day + 2 * LIMIT_TICKET_ROTATION);
    f = tickets_of(&t, SPAN_LIT("inbound"), day + 3 * LIMIT_TICKET_ROTATION);
    ck_assert_uint_eq(f->keys.count, 3);
    ck_assert_int_eq(memcmp(f->keys.key[2], second, sizeof second), 0); /* the first has gone */
    f = tickets_of(&t, SPAN_LIT("inbound"), day);                       /* the clock was set back */
    ck_assert_uint_eq(f->keys.count, 1);
    f = tickets_of(&t, SPAN_LIT("inbound"), day + LIMIT_TICKET_SECONDS + 1); /* slept */
    ck_assert_uint_eq(f->keys.count, 1);
    memcpy(first, f->keys.key[0], sizeof first);
    for (unsigned i = 0; i < LIMIT_FLOWS; i++) { /* flows of policies that are gone */
        char name[8];
        (void)snprintf(name, sizeof name, "f%u", i);
        (void)tickets_of(&t, span_str(name), day + LIMIT_TICKET_SECONDS + 2 + i);
    }
    f = tickets_of(&t, SPAN_LIT("inbound"), day + LIMIT_TICKET_SECONDS + 2);
    ck_assert(memcmp(f->keys.key[0], first, sizeof first) != 0);
    tickets_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("keeper tickets");
    TCase *t = tcase_create("tickets");
    tcase_add_test(t, tickets_rotate);
    suite_add_tcase(s, t);
    return suite_run(s);
}
