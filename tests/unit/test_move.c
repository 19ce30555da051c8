/* When mails are moved on to the current segment, and which: the rest of the queue is played. */
#include "engine/log/log.h"
#include "tests/unit/suite.h"
#include "workers/connection/move.h"
#include "workers/connection/operate.h"
#include "workers/connection/queue_internal.h"
#include <check.h>
#include <stdlib.h>

enum { MAILS = 10, OLD = 3, LENGTH = 1000 };

static struct worker worker, *const w = &worker;
static struct mail mails[MAILS];
static bool under_way[MAILS];
static uint64_t pressed; /* the segment that is too old; 0: none is */
static unsigned begun;   /* moves */

/* ---- what is played --------------------------------------------------------------------- */

static unsigned number_of(const struct entry *e)
{
    return pool_index(&w->queue.entries, e);
}

uint64_t spool_pressed(const struct spool *s)
{
    (void)s;
    return pressed;
}

struct spool_ref entry_ref(const struct entry *e)
{
    return (struct spool_ref){.segment = e->segment, .length = e->length};
}

bool entry_under_way(const struct worker *worker_, const struct entry *e)
{
    (void)worker_;
    return under_way[number_of(e)];
}

int entry_load(struct worker *worker_, struct entry *e)
{
    (void)worker_;
    e->mail = &mails[number_of(e)];
    e->mail->entry = e;
    return 0;
}

int mail_load(struct worker *worker_, struct mail *m)
{
    (void)worker_;
    (void)m;
    return 0;
}

void mail_hold(struct worker *worker_, struct mail *m)
{
    (void)worker_;
    m->holders++;
}

void mail_let_go(struct worker *worker_, struct mail *m)
{
    (void)worker_;
    m->holders--;
}

void commit_add(struct worker *worker_, struct mail *m)
{
    (void)worker_;
    ck_assert(m->moving && m->holders > 0);
    under_way[number_of(m->entry)] = true;
    begun++;
}

/* For what this test does not do: redirects, emptying the node. */
#define NEVER(result, name, ...)                                                                   \
    result name(__VA_ARGS__)                                                                       \
    {                                                                                              \
        ck_abort_msg("%s", #name);                                                                 \
    }
#define UNUSED __attribute__((unused))
NEVER(void, mail_log, const struct mail *m UNUSED, enum log_level l UNUSED, const char *e UNUSED)
NEVER(void, entry_resort, struct worker *a UNUSED, struct entry *e UNUSED)
NEVER(bool, recipient_note_deferral, struct worker *a UNUSED, struct mail *m UNUSED,
      uint32_t i UNUSED)
NEVER(struct delivery *, delivery_sibling, const struct worker *a UNUSED,
      const struct delivery *d UNUSED)
NEVER(enum operated, queue_operate, struct worker *a UNUSED, struct entry *e UNUSED,
      const struct operation *o UNUSED)
NEVER(uint32_t, policy_find_route, const struct policy *p UNUSED, struct span name UNUSED)

/* ---- tests ------------------------------------------------------------------------------ */

/* Ten mails, three of them in segment 1, all others later; the spool is one that is worth it. */
static void setup(void)
{
    memset(w, 0, sizeof *w);
    memset(mails, 0, sizeof mails);
    memset(under_way, 0, sizeof under_way);
    begun = 0;
    pressed = 1;
    ck_assert_int_eq(pool_init(&w->queue.entries, sizeof(struct entry), MAILS), 0);
    ck_assert_int_eq(order_init(&w->queue.order, MAILS), 0);
    for (unsigned i = 0; i < MAILS; i++) {
        struct entry *e = pool_get(&w->queue.entries);
        memset(e, 0, sizeof *e);
        e->segment = i < OLD ? 1 : 2 + i;
        e->length = LENGTH;
        ck_assert(order_add(&w->queue.order, 100 + i, number_of(e)));
    }
    w->queue.stored = (uint64_t)MAILS * LENGTH;
    w->spool_segments = 2 * LIMIT_SPOOL_HELD;
}

static void teardown(void)
{
    order_destroy(&w->queue.order);
    pool_destroy(&w->queue.entries);
}

START_TEST(those_of_the_old_segment_move)
{
    move_on(w);
    ck_assert_uint_eq(begun, OLD);
    for (unsigned i = 0; i < MAILS; i++)
        ck_assert(mails[i].moving == (i < OLD));
    move_on(w);
    ck_assert_uint_eq(begun, OLD); /* once */
}
END_TEST

START_TEST(nothing_moves_without_need_or_room)
{
    pressed = 0;
    move_on(w);
    pressed = 1;
    w->draining = true;
    move_on(w);
    w->draining = false;
    w->commit.waiting = &mails[0];
    move_on(w);
    w->commit.waiting = NULL;
    ck_assert_uint_eq(begun, 0);
    for (unsigned i = 0; i < MAILS; i++)
        under_way[i] = true;
    move_on(w);
    ck_assert_uint_eq(begun, 0);
}
END_TEST

/* Segments, and bytes of mails that are still queued, up to which moving frees enough: half of what
 * the segments hold, less what they may hold anyway. */
static const struct {
    unsigned segments;
    uint64_t most;
} worth[] = {
    {LIMIT_SPOOL_HELD + 2, (uint64_t)LIMIT_SEGMENT - 1},
    {LIMIT_SPOOL_HELD + 3, (uint64_t)LIMIT_SEGMENT * 3 / 2 - 1},
    {2 * LIMIT_SPOOL_HELD, (uint64_t)LIMIT_SEGMENT *LIMIT_SPOOL_HELD / 2 - 1},
    {LIMIT_SPOOL_SEGMENTS,
     (uint64_t)LIMIT_SEGMENT *(LIMIT_SPOOL_SEGMENTS - LIMIT_SPOOL_HELD) / 2 - 1},
};

START_TEST(a_spool_full_of_waiting_mails_is_left_alone)
{
    w->spool_segments = worth[_i].segments;
    w->queue.stored = (uint64_t)w->spool_segments * LIMIT_SEGMENT;
    move_on(w);
    ck_assert_uint_eq(begun, 0);
    w->queue.stored = worth[_i].most + 1;
    move_on(w);
    ck_assert_uint_eq(begun, 0);
    w->queue.stored = worth[_i].most;
    move_on(w);
    ck_assert_uint_eq(begun, OLD);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("move");
    TCase *tc = tcase_create("move");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, those_of_the_old_segment_move);
    tcase_add_test(tc, nothing_moves_without_need_or_room);
    tcase_add_loop_test(tc, a_spool_full_of_waiting_mails_is_left_alone, 0,
                        sizeof worth / sizeof *worth);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
