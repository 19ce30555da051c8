/* What clients take of a worker: the counts against a model, rates, and floods. */
#include "engine/guard/guard.h"
#include "engine/guard/transfer.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdlib.h>

static const unsigned char key[SIPHASH_KEY] = "0123456789abcde";
static const uint64_t second = 1000000;
static struct guard guard;
static struct guard_limits limits;

static void set_up(void)
{
    ck_assert_int_eq(guard_init(&guard, 100, key), 0);
    limits = (struct guard_limits){.network4 = 24, .network6 = 56};
}

static void tear_down(void)
{
    guard_destroy(&guard);
}

static enum guard_verdict enter4(uint32_t address, uint64_t now, struct guard_place *place)
{
    unsigned char bytes[4] = {(unsigned char)(address >> 24), (unsigned char)(address >> 16),
                              (unsigned char)(address >> 8), (unsigned char)address};
    return guard_enter(&guard, &limits, 4, bytes, now, place);
}

/* 2001:db8::, with these bytes of it set. */
static enum guard_verdict enter6(unsigned char byte6, unsigned char byte7, unsigned char byte15,
                                 struct guard_place *place)
{
    const unsigned char bytes[16] = {0x20, 1, 0x0d, 0xb8, [6] = byte6, [7] = byte7, [15] = byte15};
    return guard_enter(&guard, &limits, 6, bytes, second, place);
}

/* From the paper's appendix A, and the first of its authors' test vectors. */
START_TEST(hash_is_siphash)
{
    unsigned char k[SIPHASH_KEY], message[15];
    for (unsigned i = 0; i < sizeof k; i++)
        k[i] = (unsigned char)i;
    memcpy(message, k, sizeof message);
    ck_assert_uint_eq(siphash(k, span_of(message, 15)), UINT64_C(0xa129ca6149be45e5));
    ck_assert_uint_eq(siphash(k, SPAN_EMPTY), UINT64_C(0x726fdb47dd0e0e31));
    ck_assert_uint_eq(siphash(k, span_of(message, 8)), UINT64_C(0x93f5f5799a932462));
}
END_TEST

START_TEST(connections_at_once)
{
    struct guard_place p[8], extra;
    limits.client_connections = 2;
    limits.network_connections = 3;
    ck_assert_int_eq(enter4(0x0a000001, 0, &p[0]), GUARD_WELCOME);
    ck_assert_int_eq(enter4(0x0a000001, 0, &p[1]), GUARD_WELCOME);
    ck_assert_int_eq(enter4(0x0a000001, 0, &extra), GUARD_CLIENT_FULL);
    guard_leave(&guard, &extra); /* is nowhere: nothing happens */
    ck_assert_int_eq(enter4(0x0a000002, 0, &p[2]), GUARD_WELCOME);
    ck_assert_int_eq(enter4(0x0a000003, 0, &extra), GUARD_NETWORK_FULL);
    ck_assert_int_eq(enter4(0x0a000103, 0, &p[3]), GUARD_WELCOME); /* another network */
    guard_leave(&guard, &p[0]);
    guard_leave(&guard, &p[0]); /* once is enough */
    ck_assert_int_eq(enter4(0x0a000001, 0, &p[0]), GUARD_WELCOME);
    ck_assert_int_eq(enter4(0x0a000001, 0, &extra), GUARD_NETWORK_FULL);
    for (unsigned i = 0; i < 4; i++)
        guard_leave(&guard, &p[i]);
    ck_assert_int_eq(enter4(0x0a000003, 0, &p[0]), GUARD_WELCOME);
}
END_TEST

START_TEST(ipv6_by_link_and_network)
{
    struct guard_place p[4], extra;
    limits.client_connections = 2;
    limits.network_connections = 3;
    ck_assert_int_eq(enter6(1, 0, 1, &p[0]), GUARD_WELCOME);
    ck_assert_int_eq(enter6(1, 0, 2, &p[1]), GUARD_WELCOME);
    ck_assert_int_eq(enter6(1, 0, 3, &extra), GUARD_CLIENT_FULL); /* the same link */
    ck_assert_int_eq(enter6(1, 7, 3, &p[2]), GUARD_WELCOME);      /* another of the network */
    ck_assert_int_eq(enter6(1, 8, 3, &extra), GUARD_NETWORK_FULL);
    ck_assert_int_eq(enter6(2, 0, 3, &p[3]), GUARD_WELCOME);
    /* ::1 of IPv6 and 0.0.0.1 are not the same, nor are prefixes of different length. */
    unsigned char zero[16] = {0};
    limits.network_connections = 1;
    ck_assert_int_eq(guard_enter(&guard, &limits, 6, zero, 0, &extra), GUARD_WELCOME);
    ck_assert_int_eq(guard_enter(&guard, &limits, 4, zero, 0, &extra), GUARD_WELCOME);
    ck_assert_int_eq(guard_enter(&guard, &limits, 0, NULL, 0, &extra), GUARD_WELCOME);
    ck_assert_int_eq(guard_enter(&guard, &limits, 0, NULL, 0, &extra), GUARD_NETWORK_FULL);
}
END_TEST

/* A prefix as long as the client's: one account for both, counted once. */
START_TEST(network_of_one)
{
    struct guard_place p[3];
    limits.network4 = 32;
    limits.client_connections = limits.network_connections = 2;
    ck_assert_int_eq(enter4(7, 0, &p[0]), GUARD_WELCOME);
    ck_assert_int_eq(enter4(7, 0, &p[1]), GUARD_WELCOME);
    ck_assert_int_eq(enter4(7, 0, &p[2]), GUARD_NETWORK_FULL);
    guard_leave(&guard, &p[0]);
    ck_assert_int_eq(enter4(7, 0, &p[2]), GUARD_WELCOME);
    guard_leave(&guard, &p[1]);
    guard_leave(&guard, &p[2]);
}
END_TEST

START_TEST(rates)
{
    struct guard_place p[16], extra;
    uint64_t now = 5 * second;
    limits.per_minute[GUARD_CONNECTIONS] = 6;
    for (unsigned i = 0; i < 6; i++)
        ck_assert_int_eq(enter4(9, now, &p[i]), GUARD_WELCOME);
    ck_assert_int_eq(enter4(9, now, &extra), GUARD_CLIENT_FAST);
    ck_assert_int_eq(enter4(9, now + 10 * second - 1, &extra), GUARD_CLIENT_FAST);
    ck_assert_int_eq(enter4(9, now + 10 * second, &extra), GUARD_WELCOME);
    ck_assert_int_eq(enter4(9, now + 10 * second, &extra), GUARD_CLIENT_FAST);
    ck_assert_int_eq(enter4(10, now, &extra), GUARD_WELCOME); /* another client */
    /* Mails, of all the client's connections together, each kind for itself. */
    limits.per_minute[GUARD_MAILS] = 2;
    limits.per_minute[GUARD_RECIPIENTS] = 1;
    ck_assert(guard_charge(&guard, &limits, p[0], GUARD_MAILS, now));
    ck_assert(guard_charge(&guard, &limits, p[1], GUARD_MAILS, now));
    ck_assert(!guard_charge(&guard, &limits, p[2], GUARD_MAILS, now));
    ck_assert(guard_charge(&guard, &limits, p[2], GUARD_RECIPIENTS, now));
    ck_assert(!guard_charge(&guard, &limits, p[3], GUARD_RECIPIENTS, now));
    ck_assert(guard_charge(&guard, &limits, (struct guard_place){0}, GUARD_RECIPIENTS, now));
    ck_assert(guard_charge(&guard, &limits, p[2], GUARD_MAILS, now + 30 * second));
    /* The debt outlives the connections. */
    for (unsigned i = 0; i < 6; i++)
        guard_leave(&guard, &p[i]);
    ck_assert_int_eq(enter4(9, now + 10 * second, &extra), GUARD_CLIENT_FAST);
    ck_assert_int_eq(enter4(9, now + 120 * second, &extra), GUARD_WELCOME);
    limits.per_minute[GUARD_CONNECTIONS] = LIMIT_RATE_MAX;
    for (unsigned i = 0; i < LIMIT_RATE_MAX; i++) {
        ck_assert_int_eq(enter4(11, now, &extra), GUARD_WELCOME);
        guard_leave(&guard, &extra);
    }
    ck_assert_int_eq(enter4(11, now, &extra), GUARD_CLIENT_FAST);
}
END_TEST

/* More addresses than there are accounts: those that are connected stay known, the others are
 * forgotten by age. */
START_TEST(flood)
{
    struct guard_place p[100], extra;
    limits.client_connections = 1;
    limits.per_minute[GUARD_CONNECTIONS] = 1;
    for (uint32_t i = 0; i < 100; i++)
        ck_assert_int_eq(enter4(0x0a000000 + (i << 8), second, &p[i]), GUARD_WELCOME);
    for (uint32_t i = 0; i < 20 * LIMIT_GUARD_SPARE; i++) {
        /* The clock stands still: nobody is forgiven, but those too long ago are forgotten. */
        ck_assert_int_eq(enter4(0x20000000 + i, second, &extra), GUARD_WELCOME);
        guard_leave(&guard, &extra);
        ck_assert_int_eq(enter4(0x20000000 + i, second, &extra), GUARD_CLIENT_FAST);
    }
    ck_assert_int_eq(enter4(0x20000000, second, &extra), GUARD_WELCOME);
    guard_leave(&guard, &extra);
    for (uint32_t i = 0; i < 100; i++)
        ck_assert_int_eq(enter4(0x0a000000 + (i << 8), second, &extra), GUARD_CLIENT_FULL);
    for (uint32_t i = 0; i < 100; i++)
        guard_leave(&guard, &p[i]);
    limits.per_minute[GUARD_CONNECTIONS] = 0;
    for (uint32_t i = 0; i < 100; i++)
        ck_assert_int_eq(enter4(0x0a000000 + (i << 8), second, &p[i]), GUARD_WELCOME);
}
END_TEST

/* Random comings and goings of few clients, against plain counting. */
START_TEST(model)
{
    enum { CLIENTS = 12, MOST = 100 };
    struct guard_place p[MOST];
    unsigned who[MOST], open = 0, client[CLIENTS] = {0}, network[2] = {0};
    limits.client_connections = 9;
    limits.network_connections = 40;
    srand(11);
    for (unsigned round = 0; round < 200000; round++) {
        if (open < MOST && rand() % 2 == 0) {
            unsigned c = (unsigned)rand() % CLIENTS;
            enum guard_verdict verdict =
                enter4(0xc0000200 + (c % 2 << 8) + c, round * second, &p[open]);
            enum guard_verdict wanted = network[c % 2] >= 40 ? GUARD_NETWORK_FULL
                                        : client[c] >= 9     ? GUARD_CLIENT_FULL
                                                             : GUARD_WELCOME;
            ck_assert_int_eq(verdict, wanted);
            if (verdict == GUARD_WELCOME) {
                who[open++] = c;
                client[c]++;
                network[c % 2]++;
            }
        } else if (open > 0) {
            unsigned i = (unsigned)rand() % open--;
            guard_leave(&guard, &p[i]);
            client[who[i]]--;
            network[who[i] % 2]--;
            p[i] = p[open];
            who[i] = who[open];
        }
    }
}
END_TEST

/* A window is judged when it is over and something comes; a message, by all its time. */
START_TEST(transfer)
{
    struct transfer p = {.begun = 0};
    uint64_t now = 7 * second;
    ck_assert_int_eq(transfer_judge(&p, now, 100, 5), TRANSFER_GOOD); /* none is under way */
    transfer_begin(&p, now);
    transfer_take(&p, 1, false);
    ck_assert_int_eq(transfer_judge(&p, now + 59 * second, 100, 500), TRANSFER_GOOD);
    transfer_take(&p, 5999, false);
    now += 60 * second;
    ck_assert_int_eq(transfer_judge(&p, now, 100, 500), TRANSFER_GOOD);
    transfer_take(&p, 5999, false); /* a new window: the old one does not help */
    now += 60 * second;
    ck_assert_int_eq(transfer_judge(&p, now, 100, 500), TRANSFER_SLOW);
    /* What we held up is not the sender's fault, in that window. */
    transfer_take(&p, 1, true);
    now += 60 * second;
    ck_assert_int_eq(transfer_judge(&p, now, 100, 500), TRANSFER_GOOD);
    transfer_take(&p, 1, false);
    now += 60 * second;
    ck_assert_int_eq(transfer_judge(&p, now, 100, 500), TRANSFER_SLOW);
    ck_assert_int_eq(transfer_judge(&p, now + 100 * second, 0, 500),
                     TRANSFER_GOOD); /* any pace will do */
    /* A window that ends late asks for as much more. */
    transfer_take(&p, 6000, false);
    ck_assert_int_eq(transfer_judge(&p, now + 200 * second, 100, 500), TRANSFER_SLOW);
    ck_assert_int_eq(transfer_judge(&p, 7 * second + 500 * second, 0, 500), TRANSFER_GOOD);
    ck_assert_int_eq(transfer_judge(&p, 8 * second + 500 * second, 0, 500), TRANSFER_LONG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guard");
    TCase *tests = tcase_create("guard");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, hash_is_siphash);
    tcase_add_test(tests, connections_at_once);
    tcase_add_test(tests, ipv6_by_link_and_network);
    tcase_add_test(tests, network_of_one);
    tcase_add_test(tests, rates);
    tcase_add_test(tests, flood);
    tcase_add_test(tests, model);
    tcase_add_test(tests, transfer);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
