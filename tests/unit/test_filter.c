/* Which mails an operator's filter means. */
#include "workers/connection/filter.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdlib.h>

static const struct {
    const char *pattern, *address;
    bool matches;
} addresses[] = {
    {"hans@example.ch", "hans@example.ch", true},
    {"hans@example.ch", "Hans@EXAMPLE.ch", true},
    {"hans@example.ch", "xhans@example.ch", false},
    {"example.ch", "hans@example.ch", true},
    {"example.ch", "hans@sub.example.ch", false},
    {"*.example.ch", "hans@sub.example.ch", true},
    {"*.example.ch", "hans@example.ch", false},
    {"*@example.ch", "hans@example.ch", true},
    {"h*s@*.ch", "hans@example.ch", true},
    {"h*t@*.ch", "hans@example.ch", false},
    {"*", "hans@example.ch", true},
    {"example.ch", "\"a@b\"@example.ch", true},
    {"**a**", "x@bab", true},
    {"a*", "x@", false},
    {"*@*@*", "hans@example.ch", false},
};

START_TEST(patterns_of_addresses)
{
    ck_assert_msg(filter_address(span_str(addresses[_i].pattern),
                                 span_str(addresses[_i].address)) == addresses[_i].matches,
                  "%s %s", addresses[_i].pattern, addresses[_i].address);
}
END_TEST

static struct filter everything(void)
{
    return (struct filter){.sender = SPAN_EMPTY,
                           .recipient = SPAN_EMPTY,
                           .route = SPAN_EMPTY,
                           .reason = SPAN_EMPTY,
                           .arrived_to = UINT64_MAX,
                           .size_max = UINT64_MAX};
}

START_TEST(all_that_is_given_must_hold)
{
    struct filter f = everything();
    ck_assert(filter_entry(&f, 0, 0));
    ck_assert(filter_sender(&f, SPAN_EMPTY));
    ck_assert(filter_recipient(&f, SPAN_LIT("a@b.ch"), SPAN_LIT("r"), SPAN_EMPTY));
    f.arrived_from = 10;
    f.arrived_to = 20;
    f.size_min = 5;
    f.size_max = 6;
    ck_assert(filter_entry(&f, 10, 5) && filter_entry(&f, 20, 6));
    ck_assert(!filter_entry(&f, 9, 5) && !filter_entry(&f, 21, 5));
    ck_assert(!filter_entry(&f, 10, 4) && !filter_entry(&f, 10, 7));
    f.sender = SPAN_LIT("<>");
    ck_assert(filter_sender(&f, SPAN_EMPTY));
    ck_assert(!filter_sender(&f, SPAN_LIT("a@b.ch")));
    f.sender = SPAN_LIT("b.ch");
    ck_assert(!filter_sender(&f, SPAN_EMPTY));
    ck_assert(filter_sender(&f, SPAN_LIT("a@b.ch")));
    f.route = SPAN_LIT("r");
    f.reason = SPAN_LIT("Full");
    ck_assert(
        filter_recipient(&f, SPAN_LIT("a@b.ch"), SPAN_LIT("r"), SPAN_LIT("452 mailbox full")));
    ck_assert(!filter_recipient(&f, SPAN_LIT("a@b.ch"), SPAN_LIT("r2"), SPAN_LIT("mailbox full")));
    ck_assert(!filter_recipient(&f, SPAN_LIT("a@b.ch"), SPAN_LIT("r"), SPAN_LIT("fu")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filter");
    TCase *tc = tcase_create("filter");
    tcase_add_loop_test(tc, patterns_of_addresses, 0, sizeof addresses / sizeof addresses[0]);
    tcase_add_test(tc, all_that_is_given_must_hold);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
