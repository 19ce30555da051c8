/* The ordered set against a sorted array, and the shared texts against a list. */
#include "engine/pool/order.h"
#include "engine/pool/texts.h"
#include "tests/unit/random.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- order ------------------------------------------------------------------------------- */

enum { KEYS = 3000 };

struct model {
    bool there[KEYS];
    uint32_t value[KEYS];
    uint32_t n;
};

static void same_walk(const struct order *o, const struct model *m)
{
    uint64_t key = 0;
    uint32_t value;
    uint32_t seen = 0;
    uint64_t after = 0;
    while (order_next(o, after, &key, &value)) {
        for (uint64_t k = after + 1; k < key; k++)
            if (m->there[k])
                ck_abort_msg("%llu is missing", (unsigned long long)k);
        if (!m->there[key] || value != m->value[key])
            ck_abort_msg("%llu is wrong", (unsigned long long)key);
        after = key;
        seen++;
    }
    ck_assert_uint_eq(seen, m->n);
    ck_assert_uint_eq(o->n, m->n);
}

static void act(struct order *o, struct model *m, uint64_t key, bool add)
{
    uint32_t value;
    if (add && !m->there[key]) {
        m->value[key] = (uint32_t)random_below(UINT32_MAX);
        if (!order_add(o, key, m->value[key]))
            ck_abort_msg("no room");
        m->there[key] = true;
        m->n++;
    } else if (!add) {
        if (order_remove(o, key) != m->there[key])
            ck_abort_msg("removed wrongly");
        m->n -= m->there[key];
        m->there[key] = false;
    }
    bool found = order_find(o, key, &value);
    if (found != m->there[key] || (found && value != m->value[key]))
        ck_abort_msg("%llu is wrong", (unsigned long long)key);
}

/* Phases of mostly adding and mostly removing, so that leaves split and join. */
START_TEST(random_acts_agree_with_an_array)
{
    struct order o;
    static struct model m;
    random_state = 0x9e3779b97f4a7c15u + (uint64_t)_i;
    memset(&m, 0, sizeof m);
    ck_assert_int_eq(order_init(&o, KEYS), 0);
    for (int i = 0; i < 60000; i++) {
        bool growing = i / 6000 % 2 == 0;
        act(&o, &m, 1 + random_below(KEYS - 1), random_below(10) < (growing ? 8u : 2u));
        if (i % 500 == 0)
            same_walk(&o, &m);
    }
    for (uint64_t k = 1; k < KEYS; k++)
        act(&o, &m, k, false);
    ck_assert_uint_eq(o.count, 0);
    ck_assert_uint_eq(o.leaves.used, 0);
    order_destroy(&o);
}
END_TEST

/* A queue's life: ids come ascending, all but a few go again. Leaves stay well used. */
START_TEST(few_that_stay_of_many_that_pass)
{
    enum { PASS = 200000, STAY = 1000 };
    struct order o;
    ck_assert_int_eq(order_init(&o, STAY + 64), 0);
    for (uint64_t k = 1; k <= PASS; k++) {
        bool gone = k > 32 && (k - 32) % (PASS / STAY) != 0;
        if (!order_add(&o, k, (uint32_t)k) || (gone && !order_remove(&o, k - 32)))
            ck_abort();
    }
    ck_assert_uint_eq(o.n, STAY - 1 + 32);
    ck_assert_uint_le(o.count, o.n / 64 + 2);
    order_destroy(&o);
}
END_TEST

START_TEST(full_refuses)
{
    struct order o;
    uint32_t value;
    uint64_t key;
    ck_assert_int_eq(order_init(&o, 2), 0);
    ck_assert(!order_next(&o, 0, &key, &value));
    ck_assert(!order_remove(&o, 7));
    ck_assert(order_add(&o, 7, 1));
    ck_assert(order_add(&o, UINT64_MAX, 2));
    ck_assert(!order_add(&o, 8, 3));
    ck_assert(order_next(&o, 7, &key, &value));
    ck_assert_uint_eq(key, UINT64_MAX);
    ck_assert(!order_next(&o, UINT64_MAX, &key, &value));
    order_destroy(&o);
}
END_TEST

/* ---- texts ------------------------------------------------------------------------------- */

START_TEST(texts_are_kept_once_and_counted)
{
    enum { TEXTS = 40, CAPACITY = 25, BYTES = 300 };
    struct texts t;
    uint32_t number[TEXTS] = {0};
    uint32_t users[TEXTS] = {0};
    char text[TEXTS][32];
    size_t bytes = 0;
    uint32_t kept = 0;
    random_state = 0x2545f4914f6cdd1du + (uint64_t)_i;
    for (int i = 0; i < TEXTS; i++)
        (void)snprintf(text[i], sizeof text[i], "%d%.*s", i, i % 20, "xxxxxxxxxxxxxxxxxxxx");
    ck_assert_int_eq(texts_init(&t, CAPACITY, BYTES, random_state), 0);
    for (int act = 0; act < 20000; act++) {
        uint64_t i = random_below(TEXTS);
        size_t n = strlen(text[i]);
        if (random_below(2) == 0) {
            bool fits = users[i] > 0 || (kept < CAPACITY && bytes + n <= BYTES);
            uint32_t got = texts_hold(&t, span_str(text[i]));
            ck_assert((got != 0) == fits);
            if (got == 0)
                continue;
            ck_assert(users[i] == 0 || got == number[i]);
            kept += users[i] == 0;
            bytes += users[i] == 0 ? n : 0;
            number[i] = got;
            users[i]++;
        } else if (users[i] > 0) {
            texts_release(&t, number[i]);
            users[i]--;
            kept -= users[i] == 0;
            bytes -= users[i] == 0 ? n : 0;
        }
        ck_assert_uint_eq(t.bytes, bytes);
        for (int k = 0; k < TEXTS; k++)
            if (users[k] > 0 && !span_eq(texts_span(&t, number[k]), span_str(text[k])))
                ck_abort_msg("text %d is wrong", k);
    }
    texts_destroy(&t);
}
END_TEST

START_TEST(no_text_is_zero)
{
    struct texts t;
    ck_assert_int_eq(texts_init(&t, 4, 100, 1), 0);
    ck_assert_uint_eq(texts_hold(&t, SPAN_EMPTY), 0);
    ck_assert_uint_eq(texts_hold_again(&t, 0), 0);
    ck_assert_uint_eq(texts_span(&t, 0).n, 0);
    texts_release(&t, 0);
    texts_destroy(&t);
}
END_TEST

START_TEST(a_text_let_go_twice_is_a_bug)
{
    struct texts t;
    ck_assert_int_eq(texts_init(&t, 4, 100, 1), 0);
    uint32_t one = texts_hold(&t, SPAN_LIT("one"));
    texts_release(&t, one);
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    texts_release(&t, one);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("order");
    TCase *tc = tcase_create("order");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, random_acts_agree_with_an_array, 0, 4);
    tcase_add_test(tc, few_that_stay_of_many_that_pass);
    tcase_add_test(tc, full_refuses);
    suite_add_tcase(suite, tc);
    tc = tcase_create("texts");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, texts_are_kept_once_and_counted, 0, 4);
    tcase_add_test(tc, no_text_is_zero);
    tcase_add_test_raise_signal(tc, a_text_let_go_twice_is_a_bug, SIGABRT);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
