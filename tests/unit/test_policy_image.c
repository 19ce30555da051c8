/* Images that lie: refused, or harmless in all that can be asked of them. */
#include "policy/format.h"
#include "tests/unit/policy_rig.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A copy of its own, so that a read outside is seen by the sanitizer. */
struct copy {
    unsigned char *p;
    size_t n;
};

static struct copy copy_image(const struct built *b)
{
    struct copy c = {.p = malloc(b->compilation.image_size), .n = b->compilation.image_size};
    ck_assert_ptr_nonnull(c.p);
    memcpy(c.p, b->compilation.image, c.n);
    return c;
}

static void repair(struct copy c)
{
    uint64_t sum = format_checksum(span_of(c.p, c.n));
    memcpy(c.p + offsetof(struct rec_header, checksum), &sum, sizeof sum);
}

static size_t touched; /* so that no read is optimised away */

static void touch(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        touched += s.p[i];
}

static void touch_demand(const struct policy *p, struct policy_demand d)
{
    touch(d.organization);
    for (uint32_t i = 0; i < d.names.count; i++)
        touch(policy_string(p, d.names, i));
    if (d.trust != POLICY_NONE)
        touch(policy_trust(p, d.trust).file);
}

static void touch_routes_and_peers(const struct policy *p)
{
    for (uint32_t i = 0; i < policy_count(p, POLICY_ROUTES); i++) {
        struct policy_route r = policy_route(p, i);
        touch(r.name);
        touch(r.mx);
        touch_demand(p, r.tls);
        for (uint32_t k = 0; k < r.hosts.count; k++)
            touch(policy_route_host(p, i, k).name);
        if (r.identity != POLICY_NONE)
            touch(policy_identity(p, r.identity).key);
    }
    for (uint32_t i = 0; i < policy_count(p, POLICY_PEERS); i++) {
        touch(policy_peer(p, i).name);
        touch_demand(p, policy_peer(p, i).tls);
    }
}

static void touch_flow(const struct policy *p, uint32_t flow, const struct policy_facts *f)
{
    const struct policy_trace walk = {.step = ignore_step};
    struct policy_flow v = policy_flow(p, flow);
    touch(v.name);
    for (uint32_t i = 0; i < v.listeners.count; i++)
        touch(policy_listener(p, v.listeners.first + i).text);
    for (uint32_t i = 0; i < v.rules.count; i++) {
        struct policy_rule r = policy_rule(p, v.rules.first + i);
        touch(r.name);
        touch(r.reply);
        if (r.action == POLICY_ACT_ROUTE)
            touch(policy_route(p, r.route).name);
    }
    if (v.bounce_route != POLICY_NONE)
        touch(policy_route(p, v.bounce_route).name);
    touched += policy_recipient_allowed(p, flow, f->recipient);
    touched += policy_identity_allowed(p, flow, 0, TLS_AS_CLIENT);
    struct policy_decision d = policy_decide(p, flow, f, NULL);
    touch(d.reply);
    d = policy_decide(p, flow, f, &walk);
    touch(d.reply);
}

/* Everything that a role can ask of an image that was opened. */
static void touch_all(const struct policy *p)
{
    struct span from = SPAN_LIT("im.post.ch");
    struct policy_facts f = envelope("a@hr.example.ch", "x@b.incamail.ch");
    struct policy_settings s = policy_settings(p);
    touch(s.hostname);
    touch(s.spool);
    touch(s.control_socket);
    touch(s.log_file);
    touch_routes_and_peers(p);
    f.peers = policy_peers_met(p, &f.client, ~(uint64_t)0);
    for (uint32_t i = 0; i < policy_count(p, POLICY_PORTS); i++)
        touched += policy_port(p, i);
    for (uint32_t i = 0; i < policy_count(p, POLICY_SERVERS); i++)
        touch(policy_server(p, i).text);
    for (int headers = 0; headers < 2; headers++) {
        f.have_headers = headers == 1;
        f.subject = SPAN_LIT("Re: <im> now!");
        f.from_domains = &from;
        f.from_domain_count = 1;
        for (uint32_t i = 0; i < policy_count(p, POLICY_FLOWS); i++)
            touch_flow(p, i, &f);
    }
}

START_TEST(test_cut_images)
{
    struct built b;
    char reason[LIMIT_REASON];
    struct policy p;
    build(&b, rig_both_flows);
    for (size_t n = 0; n < b.compilation.image_size; n++) {
        struct copy c = copy_image(&b);
        unsigned char *cut = malloc(n + 1);
        ck_assert_ptr_nonnull(cut);
        memcpy(cut, c.p, n);
        ck_assert(!policy_open(&p, span_of(cut, n), reason));
        if (n >= sizeof(struct rec_header)) {
            uint64_t size = n;
            memcpy(cut + offsetof(struct rec_header, size), &size, sizeof size);
            repair((struct copy){.p = cut, .n = n});
            ck_assert(!policy_open(&p, span_of(cut, n), reason));
        }
        free(cut);
        free(c.p);
    }
    /* One byte too many, and a wrong alignment. */
    unsigned char *more = calloc(1, b.compilation.image_size + 8);
    ck_assert_ptr_nonnull(more);
    memcpy(more, b.compilation.image, b.compilation.image_size);
    ck_assert(!policy_open(&p, span_of(more, b.compilation.image_size + 1), reason));
    memmove(more + 1, more, b.compilation.image_size);
    ck_assert(!policy_open(&p, span_of(more + 1, b.compilation.image_size), reason));
    free(more);
    unbuild(&b);
}
END_TEST

START_TEST(test_flipped_bytes)
{
    static const unsigned char flips[] = {0x01, 0x80, 0xff, 0x10};
    struct built b;
    char reason[LIMIT_REASON];
    struct policy p;
    size_t opened = 0;
    size_t refused = 0;
    build(&b, rig_both_flows);
    struct copy c = copy_image(&b);
    for (size_t i = 0; i < c.n; i++)
        for (size_t k = 0; k < sizeof flips; k++) {
            c.p[i] ^= flips[k];
            ck_assert_msg(!policy_open(&p, span_of(c.p, c.n), reason), "byte %zu unseen", i);
            repair(c);
            if (policy_open(&p, span_of(c.p, c.n), reason)) {
                touch_all(&p);
                opened++;
            } else {
                ck_assert_uint_gt(strlen(reason), 0);
                refused++;
            }
            memcpy(c.p, b.compilation.image, c.n);
        }
    ck_assert_uint_gt(opened, 100);
    ck_assert_uint_gt(refused, 1000);
    free(c.p);
    unbuild(&b);
}
END_TEST

/* Numbers that break arithmetic, at every aligned place. */
START_TEST(test_forged_numbers)
{
    static const uint32_t numbers[] = {0,  1,          2,          3,          15,        16,
                                       64, 0x7fffffff, 0xffffffff, 0xfffffffe, 0x80000000};
    struct built b;
    char reason[LIMIT_REASON];
    struct policy p;
    build(&b, rig_both_flows);
    struct copy c = copy_image(&b);
    for (size_t i = 0; i + 4 <= c.n; i += 4)
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
            memcpy(c.p + i, &numbers[k], 4);
            repair(c);
            if (policy_open(&p, span_of(c.p, c.n), reason))
                touch_all(&p);
            memcpy(c.p, b.compilation.image, c.n);
        }
    /* And several at once. */
    srandom(11);
    for (int round = 0; round < 20000; round++) {
        for (long k = random() % 4; k >= 0; k--) {
            size_t i = sizeof(struct rec_header) +
                       (size_t)random() % (c.n - sizeof(struct rec_header) - 4);
            uint32_t n = random() % 2 == 0
                             ? (uint32_t)random() % 64
                             : numbers[(size_t)random() % (sizeof numbers / sizeof numbers[0])];
            memcpy(c.p + i / 4 * 4, &n, 4);
        }
        repair(c);
        if (policy_open(&p, span_of(c.p, c.n), reason))
            touch_all(&p);
        memcpy(c.p, b.compilation.image, c.n);
    }
    free(c.p);
    unbuild(&b);
}
END_TEST

static uint32_t table_offset(const struct copy *c, enum policy_table table)
{
    struct rec_header h;
    memcpy(&h, c->p, sizeof h);
    return h.tables[table].offset;
}

/* What the compiler would never make, one by one, each refused for its own reason. */
START_TEST(test_forged_trees)
{
    struct built b;
    char reason[LIMIT_REASON];
    struct policy p;
    build(&b, rig_both_flows);
    struct copy c = copy_image(&b);
    struct rec_node *nodes = (struct rec_node *)(void *)(c.p + table_offset(&c, POLICY_NODES));
    struct rec_rule *rules = (struct rec_rule *)(void *)(c.p + table_offset(&c, POLICY_RULES));
    struct rec_flow *flows = (struct rec_flow *)(void *)(c.p + table_offset(&c, POLICY_FLOWS));
    uint32_t *candidates = (uint32_t *)(void *)(c.p + table_offset(&c, POLICY_CANDIDATES));
    struct rec_rule last = rules[2];

#define REFUSED(change, expected)                                                                  \
    do {                                                                                           \
        change;                                                                                    \
        repair(c);                                                                                 \
        ck_assert_msg(!policy_open(&p, span_of(c.p, c.n), reason), #change);                       \
        ck_assert_msg(strstr(reason, expected) != NULL, "%s: %s", #change, reason);                \
        memcpy(c.p, b.compilation.image, c.n);                                                     \
    } while (0)
    REFUSED(nodes[1].size = 0, "a number is out of range");
    REFUSED(nodes[1].size++, "a condition leaves its parent");
    REFUSED(nodes[1].size--, "a condition leaves its parent");
    REFUSED(nodes[1].condition = POLICY_IF_NOT, "a negation of more than one");
    REFUSED(nodes[1].condition = POLICY_CONDITION_COUNT, "an unknown condition");
    REFUSED(nodes[0].items.count += 1, "a range overlaps another");
    REFUSED(rules[1].nodes.first--, "do not follow");
    REFUSED(rules[2].nodes = ((struct policy_range){last.nodes.first, 1}), "rule");
    REFUSED(flows[0].rules.count--, "its last rule has a condition");
    REFUSED(flows[0].client_identities = 1, "its client identities");
    REFUSED(flows[0].slots.count = 3, "not a power of two");
    REFUSED(flows[0].accept_from = 8, "peers that are not there");
    REFUSED(candidates[flows[0].always.first] = 5, "a rule out of place");
    REFUSED(flows[0].always.count--, "leaves out the last rule");
    REFUSED(flows[1].workers = 127, "a number is out of range");
    REFUSED(rules[1].reply.length = 5, "a string has a wrong length");
    REFUSED(rules[0].route = 3, "an index leaves its table");
    REFUSED(c.p[table_offset(&c, POLICY_BYTES)] = '\n', "a control character");
#undef REFUSED
    free(c.p);
    unbuild(&b);
}
END_TEST

START_TEST(test_map)
{
    struct built b;
    char reason[LIMIT_REASON];
    struct policy p;
    build(&b, rig_both_flows);
    int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, b.compilation.image, b.compilation.image_size),
                     (ssize_t)b.compilation.image_size);
    ck_assert(!policy_map(&p, fd, reason));
    ck_assert_ptr_nonnull(strstr(reason, "not sealed"));
    ck_assert(!policy_map_checked(&p, fd, reason));
    ck_assert_ptr_nonnull(strstr(reason, "not sealed"));
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
    ck_assert(!policy_map(&p, fd, reason)); /* could be sealed further, so not the compiler's */
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
    ck_assert_msg(policy_map(&p, fd, reason), "%s", reason);
    int checked = dup(fd);
    ck_assert_int_eq(close(fd), 0);
    touch_all(&p);
    policy_unmap(&p);
    policy_unmap(&p); /* harmless */
    ck_assert_msg(policy_map_checked(&p, checked, reason), "%s", reason);
    ck_assert_int_eq(close(checked), 0);
    touch_all(&p);
    policy_unmap(&p);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert(!policy_map(&p, fd, reason));
    ck_assert_int_eq(close(fd), 0);
    ck_assert(!policy_map(&p, -1, reason));
    unbuild(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy_image");
    TCase *tc = tcase_create("policy_image");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_cut_images);
    tcase_add_test(tc, test_flipped_bytes);
    tcase_add_test(tc, test_forged_numbers);
    tcase_add_test(tc, test_forged_trees);
    tcase_add_test(tc, test_map);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
