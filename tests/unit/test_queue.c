/*
 * The queue's state against a model. Mails come, clients take and settle deliveries, the operator
 * interferes, batches are full or fail, memory is short, time passes, the process ends in good
 * order or not: at random. The model only knows what became of each recipient. Real are the queue,
 * the group commit and the spool; played are clients, destinations, notifications and the ring.
 */
#include "engine/log/log.h"
#include "tests/unit/random.h"
#include "tests/unit/suite.h"
#include "workers/connection/bounce.h"
#include "workers/connection/operate.h"
#include "workers/connection/queue_internal.h"
#include "workers/connection/transaction.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>
enum { ROUTES = 4, MAILS = 400, RECIPIENTS = 5, CLIENTS = 6, LIFETIME = 4000 };

enum fate { WAITS, DELIVERED, FAILED, DELETED };

struct model_recipient {
    enum fate fate;
    unsigned route;    /* when waiting */
    unsigned redirect; /* to that route plus 1; 0: none under way */
};

struct model_mail {
    uint64_t id;
    bool stored;
    bool held;
    unsigned count;
    struct model_recipient r[RECIPIENTS];
    unsigned body; /* bytes */
};

static struct worker worker, *const w = &worker;
static struct generation generation;
static struct counters_page counters;
static struct destination destinations[ROUTES];
static struct model_mail model[MAILS];
static unsigned mail_count;            /* of them */
static struct mail *committing[MAILS]; /* by the model's number; a transaction is its place here */
static struct delivery *active[CLIENTS];
static struct delivery *bounces[MAILS]; /* notifications on their way */
static struct mail *delays[MAILS];      /* the same, of delay */
static unsigned bounce_count, delay_count;
static bool short_of_memory, write_fails;
static char path[64];
static ssize_t written;
#define UNUSED __attribute__((unused))
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

/* ---- what is played --------------------------------------------------------------------- */

bool worker_short_of_memory(const struct worker *worker_ UNUSED)
{
    return short_of_memory;
}

struct destination *destination_for(struct worker *worker_ UNUSED, struct span route,
                                    struct span address UNUSED)
{
    MUST(route.n == 2 && route.p[0] == 'r');
    return &destinations[route.p[1] - '0'];
}

#define NOTHING(function)                                                                          \
    void function(struct worker *worker_, struct destination *d)                                   \
    {                                                                                              \
        (void)worker_;                                                                             \
        (void)d;                                                                                   \
    }
NOTHING(destination_rest)
NOTHING(destination_wake)
NOTHING(destination_retry)

void destination_run_next(struct worker *worker_ UNUSED)
{
}

uint32_t policy_find_route(const struct policy *p, struct span name)
{
    (void)p;
    (void)name;
    ck_abort(); /* only while the node is emptied */
}

struct pace_limits destination_limits(const struct worker *worker_, const struct destination *d)
{
    (void)worker_;
    (void)d;
    return (struct pace_limits){.connections = 20, .pause_first = 30, .pause_max = 900};
}

void ring_write(struct ring *r UNUSED, struct ring_tag tag UNUSED, int fd, const struct iovec *iov,
                unsigned count, uint64_t offset, bool linked UNUSED)
{
    written = write_fails ? -ENOSPC : pwritev(fd, iov, (int)count, (off_t)offset);
}

void ring_sync(struct ring *r UNUSED, struct ring_tag tag UNUSED, int fd UNUSED)
{
}

/* A process that ends gives its memory back; here it is played. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static struct model_mail *model_of(uint64_t id)
{
    for (unsigned i = 0; i < mail_count; i++)
        if (model[i].id == id)
            return &model[i];
    ck_abort_msg("a mail that nobody has sent");
}

/* The notification is stored: the delivery's recipients are done with. */
static void reported(struct delivery *d)
{
    struct mail *m = d->mail;
    struct model_mail *mm = model_of(m->id);
    d->bouncing = false;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].delivery != d)
            continue;
        MUST(mm->r[i].fate == WAITS);
        mm->r[i].fate = FAILED;
        m->recipients[i].outcome = OUTCOME_REPORTED;
    }
    queue_bounced(w, d);
}

void bounce_begin(struct worker *worker_, struct delivery *d)
{
    (void)worker_;
    MUST(d->state == DELIVERY_BOUNCING && d->mail && d->pinned && !d->bouncing);
    switch (random_below(3)) {
    case 0:
        reported(d);
        break;
    case 1:
        d->bouncing = true;
        bounces[bounce_count++] = d;
        break;
    default:
        MUST(timer_arm(&w->timers, &d->timer, w->now + 10000000));
    }
}

void bounce_delayed(struct worker *worker_, struct mail *m)
{
    (void)worker_;
    if (m->delay_notice || delay_count == MAILS || random_below(3) > 0)
        return;
    m->delay_notice = true;
    mail_hold(w, m);
    delays[delay_count++] = m;
}

static void finish_delay(void)
{
    if (delay_count == 0)
        return;
    unsigned i = (unsigned)random_below(delay_count);
    struct mail *m = delays[i];
    delays[i] = delays[--delay_count];
    m->delay_notice = false;
    for (uint32_t k = 0; k < m->recipient_count; k++)
        if (m->recipients[k].delivery)
            (void)recipient_note_deferral(w, m, k);
    mail_let_go(w, m);
}

#define NEVER(name, ...)                                                                           \
    void name(struct worker *worker_, struct mail *m __VA_ARGS__)                                  \
    {                                                                                              \
        (void)worker_;                                                                             \
        (void)m;                                                                                   \
        ck_abort();                                                                                \
    }
NEVER(bounce_committed, , bool ok __attribute__((unused)))
NEVER(import_queued)

void transaction_committed(struct worker *worker_, struct transaction *t, bool ok)
{
    (void)worker_;
    unsigned i = (unsigned)((struct mail **)(void *)t - committing);
    struct mail *m = committing[i];
    committing[i] = NULL;
    m->transaction = NULL;
    model[i].stored = ok;
    if (ok) {
        queue_take(w, m);
    } else {
        model[i].id = 0; /* may be given again */
        mail_free(w, m);
    }
}

/* ---- the process: start and end --------------------------------------------------------- */

static void recovered(void *context, const struct spool_recovered *found)
{
    (void)context;
    struct model_mail *mm = model_of(found->mail.queue_id);
    MUST(found->mail.recipient_count == mm->count);
    mm->stored = true;
    mm->held = found->mail.held;
    for (unsigned i = 0; i < mm->count; i++) {
        struct model_recipient *r = &mm->r[i];
        unsigned route = found->mail.recipients[i].route.p[1] - (unsigned)'0';
        MUST(r->fate != WAITS || !found->states[i].finished);
        MUST(route == r->route || route + 1 == r->redirect);
        r->route = route;
        r->redirect = 0;
        if (!found->states[i].finished)
            r->fate = WAITS; /* its outcome did not reach the disk: comes a second time */
    }
    queue_recovered(w, found);
}

static void begin(void)
{
    struct spool_config config = {.context = NULL, .recovered = recovered};
    int error;
    memset(&w->commit, 0, sizeof w->commit);
    memset(&w->queue, 0, sizeof w->queue);
    memset(destinations, 0, sizeof destinations);
    memset(&counters.values, 0, sizeof counters.values);
    MUST(chunk_pool_init(&w->chunks, 2000) == 0);
    MUST(queue_init(w, 64u << 20) == 0);
    MUST(timer_heap_init(&w->timers, LIMIT_QUEUE_DELIVERIES) == 0);
    w->shard = open(path, O_RDONLY | O_DIRECTORY);
    MUST(spool_open(&w->spool, w->shard, &config, &error) == SPOOL_OK);
    MUST(spool_recover(w->spool) == SPOOL_OK);
}

static void end(void)
{
    struct queue *q = &w->queue;
    spool_close(w->spool);
    close(w->shard);
    timer_heap_destroy(&w->timers);
    chunk_pool_destroy(&w->chunks);
    pool_destroy(&q->entries);
    pool_destroy(&q->mails);
    pool_destroy(&q->deliveries);
    pool_destroy(&q->destinations);
    order_destroy(&q->order);
    texts_destroy(&q->texts);
    memset(active, 0, sizeof active);
    bounce_count = 0;
    delay_count = 0;
    for (unsigned i = 0; i < mail_count; i++) {
        if (committing[i])
            model[i].id = 0;
        committing[i] = NULL;
    }
}

/* ---- acts ------------------------------------------------------------------------------- */

static void body_of(const struct model_mail *mm, char *out)
{
    for (unsigned i = 0; i < mm->body; i++)
        out[i] = (char)('a' + (mm->id / 1024 + i) % 26);
}

static void accept_mail(void)
{
    char body[4096], text[64];
    if (mail_count == MAILS)
        return;
    struct model_mail *mm = &model[mail_count];
    struct mail *m = mail_new(w);
    MUST(m != NULL);
    *mm = (struct model_mail){.id = spool_queue_id(w->spool, (uint64_t)w->wall),
                              .count = 1 + (unsigned)random_below(RECIPIENTS),
                              .body = (unsigned)random_below(sizeof body)};
    m->id = mm->id;
    m->arrival = w->wall;
    m->expires = w->wall / 1000000 + LIFETIME;
    m->size = mm->body;
    body_of(mm, body);
    MUST(mail_put(m, SPAN_LIT("from@example.ch"), &m->sender));
    MUST(chain_append(&w->chunks, &m->content, span_of(body, mm->body)));
    for (unsigned i = 0; i < mm->count; i++) {
        struct recipient *r = mail_add_recipient(m);
        mm->r[i].route = (unsigned)random_below(ROUTES);
        (void)snprintf(text, sizeof text, "to%u@example.org", i);
        MUST(mail_put(m, span_str(text), &r->address));
        (void)snprintf(text, sizeof text, "r%u", mm->r[i].route);
        MUST(mail_put(m, span_str(text), &r->route));
        if (random_below(3) == 0)
            r->expires = w->wall / 1000000 + (int64_t)random_below(2 * LIFETIME);
        r->priority = (uint8_t)random_below(3);
    }
    committing[mail_count] = m;
    m->transaction = (struct transaction *)(void *)&committing[mail_count];
    mail_count++;
    commit_add(w, m);
}

static void take(void)
{
    char body[4096], found[4096];
    unsigned c = (unsigned)random_below(CLIENTS);
    struct destination *dest = &destinations[random_below(ROUTES)];
    if (active[c] || dest->ready.count == 0)
        return;
    struct delivery *d = ready_shift(&dest->ready);
    if (!queue_begin(w, d))
        return;
    MUST(d->state == DELIVERY_ACTIVE && d->destination == dest && d->mail && !d->entry->held);
    struct mail *m = d->mail;
    struct model_mail *mm = model_of(m->id);
    unsigned n = 0;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].delivery != d)
            continue;
        MUST(mm->r[i].fate == WAITS && &destinations[mm->r[i].route] == dest);
        m->recipients[i].outcome = OUTCOME_NONE;
        n++;
    }
    MUST(n > 0 && n == d->recipients);
    MUST(mail_load(w, m) == 0 && m->content.length == mm->body);
    body_of(mm, body);
    (void)chain_copy(&m->content, 0, found, sizeof found);
    MUST(memcmp(body, found, mm->body) == 0);
    d->attempted = true;
    active[c] = d;
}

static void settle_one(void)
{
    struct delivery **place = &active[random_below(CLIENTS)];
    struct delivery *d = *place;
    if (!d)
        return;
    *place = NULL;
    if (random_below(8) == 0) {
        queue_put_back(w, d);
        return;
    }
    struct mail *m = d->mail;
    struct model_mail *mm = model_of(m->id);
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        uint64_t outcome = random_below(5);
        if (r->delivery != d || outcome == 0)
            continue;
        if (outcome < 3) {
            recipient_note(m, r, outcome == 1 ? OUTCOME_FAILED : OUTCOME_DEFERRED, "4.2.2",
                           SPAN_LIT("452 full"), SPAN_LIT("mx.example.org"), true);
            continue;
        }
        r->outcome = OUTCOME_DELIVERED;
        mm->r[i].fate = DELIVERED;
    }
    queue_attempted(w, d, SPAN_LIT("cut off"));
}

static void finish_bounce(void)
{
    if (bounce_count == 0)
        return;
    unsigned i = (unsigned)random_below(bounce_count);
    struct delivery *d = bounces[i];
    bounces[i] = bounces[--bounce_count];
    if (random_below(4) > 0) {
        reported(d);
        return;
    }
    d->bouncing = false; /* it could not be stored */
    MUST(timer_arm(&w->timers, &d->timer, w->now + 10000000));
}

static void pass_time(uint64_t seconds)
{
    struct timer *t;
    uint64_t step = 1 + random_below(seconds * 1000000);
    w->now += step;
    w->wall += (int64_t)step;
    for (int n = 0; n < 2000 && (t = timer_expired(&w->timers, w->now)); n++)
        queue_timer(w, t);
}

/* The batch in flight ends. */
static void complete(void)
{
    struct io_uring_cqe cqe = {.res = 0};
    if (!w->commit.in_flight)
        return;
    bool sync = w->commit.io.sync;
    cqe.res = (int)written;
    commit_written(w, 0, 0, &cqe);
    cqe.res = written < 0 ? -ECANCELED : 0;
    if (sync)
        commit_synced(w, 0, 0, &cqe);
}

static void turn(void)
{
    write_fails = random_below(20) == 0;
    queue_turn(w);
    commit_turn(w);
}

static void operate_on(enum queue_action action)
{
    bool meant[RECIPIENTS];
    char target[] = "r0";
    uint64_t id;
    uint32_t number;
    if (mail_count == 0 ||
        !order_next(&w->queue.order, model[random_below(mail_count)].id, &id, &number))
        return;
    struct entry *e = pool_at(&w->queue.entries, number);
    struct model_mail *mm = model_of(id);
    struct operation o = {
        .action = action, .target = span_of(target, 2), .matched = meant, .all = true};
    bool under_way[RECIPIENTS] = {false};
    target[1] = (char)('0' + random_below(ROUTES));
    bool moving = action != QUEUE_RETRY && e->mail && e->mail->moving;
    for (unsigned i = 0; i < mm->count; i++) {
        const struct recipient *r = e->mail ? &e->mail->recipients[i] : NULL;
        meant[i] = random_below(3) > 0;
        o.all &= meant[i];
        under_way[i] = r && !recipient_finished(r) && r->delivery &&
                       (delivery_under_way(r->delivery) || r->outcome == OUTCOME_FAILED ||
                        r->delivery->state == DELIVERY_BOUNCING);
    }
    enum fate before[RECIPIENTS];
    for (unsigned i = 0; i < mm->count; i++)
        before[i] = mm->r[i].fate;
    enum operated result = queue_operate(w, e, &o);
    /* Not passed over: it is come back to. */
    MUST(!moving || result == OPERATED_LATER || result == OPERATED_NOTHING);
    if (action == QUEUE_HOLD || action == QUEUE_RELEASE)
        mm->held = result == OPERATED ? action == QUEUE_HOLD : mm->held;
    for (unsigned i = 0; i < mm->count; i++) {
        if (!meant[i] || before[i] != WAITS || result == OPERATED_LATER)
            continue;
        if (action == QUEUE_REDIRECT && result == OPERATED && !under_way[i])
            mm->r[i].redirect = (unsigned)(target[1] - '0') + 1;
        /* Deletion takes what is not under way, also what waits for its notification. */
        if (action == QUEUE_DELETE) {
            struct entry *now = order_find(&w->queue.order, id, &number)
                                    ? pool_at(&w->queue.entries, number)
                                    : NULL;
            bool left = now && now->mail && !recipient_finished(&now->mail->recipients[i]);
            if (now && !now->mail)
                left = !(entry_words(w, now)[i] & WORD_FINISHED);
            if (!left)
                mm->r[i].fate = DELETED;
            else
                MUST(under_way[i] || result == OPERATED_BUSY);
        }
    }
}

/* ---- what must hold --------------------------------------------------------------------- */

static void check_delivery(const struct delivery *d)
{
    uint64_t latest = w->now + ((uint64_t)2 * LIFETIME + 5000) * 1000000;
    switch ((enum delivery_state)d->state) {
    case DELIVERY_READY:
        MUST(d->destination && !d->entry->held);
        MUST(timer_armed(&d->timer) && timer_deadline(&w->timers, &d->timer) <= latest);
        break;
    case DELIVERY_WAITING:
        MUST(d->destination && !d->pinned);
        MUST(timer_armed(&d->timer) && timer_deadline(&w->timers, &d->timer) <= latest);
        break;
    case DELIVERY_ACTIVE:
        MUST(d->mail && d->pinned && !timer_armed(&d->timer));
        break;
    case DELIVERY_RECORDING:
        MUST(d->mail && d->pinned && w->queue.unrecorded.count > 0);
        break;
    case DELIVERY_BOUNCING:
        MUST(d->bouncing ? d->mail && d->pinned : timer_armed(&d->timer));
        break;
    }
    MUST(d->recipients > 0 && entry_has(w, d->entry, d) && d->mail == d->entry->mail);
}

/* Redirects that were stored count in the model when nothing moves any more. */
static void follow_redirects(struct model_mail *mm, const struct entry *e)
{
    struct spool_ref ref = entry_ref(e);
    struct spool_mail stored;
    bool any = false;
    for (unsigned i = 0; i < mm->count; i++)
        any |= mm->r[i].redirect > 0;
    if (!any || (e->mail && e->mail->moving))
        return;
    MUST(spool_load_envelope(w->spool, &ref, &stored) == SPOOL_OK);
    for (unsigned i = 0; i < mm->count; i++) {
        if (mm->r[i].redirect == 0)
            continue;
        unsigned route = stored.recipients[i].route.p[1] - (unsigned)'0';
        MUST(route == mm->r[i].route || route + 1 == mm->r[i].redirect);
        mm->r[i].route = route;
        mm->r[i].redirect = 0;
    }
}

static void check(void)
{
    unsigned mails = 0, recipients = 0;
    for (uint32_t i = 0; i < w->queue.deliveries.fresh; i++) {
        const struct delivery *d = pool_at(&w->queue.deliveries, i);
        if (d)
            check_delivery(d);
    }
    for (unsigned i = 0; i < mail_count; i++) {
        uint32_t number;
        unsigned waits = 0;
        for (unsigned k = 0; k < model[i].count; k++)
            waits += model[i].stored && model[i].r[k].fate == WAITS;
        bool there = order_find(&w->queue.order, model[i].id, &number);
        MUST(there || waits == 0);
        if (there) {
            struct entry *e = pool_at(&w->queue.entries, number);
            MUST(e->id == model[i].id && e->queued && e->held == model[i].held);
            follow_redirects(&model[i], e);
            /* A notice of delay under way keeps it though all are done with. */
            mails += waits == 0 && e->mail && e->mail->delay_notice;
        }
        mails += waits > 0;
        recipients += waits;
    }
    MUST(counter_value(&counters, COUNTER_queue_mails) == w->queue.order.n);
    if (w->queue.unrecorded.count > 0)
        return;
    MUST(w->queue.order.n == mails);
    MUST(counter_value(&counters, COUNTER_queue_recipients) == recipients);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void start(void)
{
    int null = open("/dev/null", O_WRONLY);
    log_set_fd(null);
    (void)snprintf(path, sizeof path, "/tmp/mgid-queue.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
    memset(w, 0, sizeof *w);
    generation.settings.retry_first = 60;
    generation.settings.retry_max = 600;
    w->generations.current = &generation;
    w->counters = &counters;
    w->now = 1000000;
    w->wall = INT64_C(1700000000000000);
    w->serving = true;
    mail_count = 0;
    begin();
}

static void remove_all(void)
{
    char command[128];
    end();
    (void)snprintf(command, sizeof command, "rm -rf %s", path);
    ck_assert_int_eq(system(command), 0);
}

/* Until nothing is gathered, in flight or waiting for room. */
static void flush(void)
{
    for (int n = 0; n < 10000 && !(commit_idle(w) && w->queue.unrecorded.count == 0); n++) {
        write_fails = false;
        w->now += 1000000;
        w->wall += 1000000;
        commit_turn(w);
        complete();
        queue_retry_records(w);
    }
    MUST(commit_idle(w));
}

static void act(void)
{
    switch (random_below(16)) {
    case 0:
    case 1:
        accept_mail();
        break;
    case 2:
    case 3:
    case 4:
        take();
        break;
    case 5:
    case 6:
    case 7:
        settle_one();
        break;
    case 8:
        finish_bounce();
        finish_delay();
        break;
    case 9:
        pass_time(random_below(4) == 0 ? 700 : 20);
        break;
    case 10:
    case 11:
        turn();
        break;
    case 12:
        complete();
        break;
    case 13:
        short_of_memory = true;
        queue_turn(w);
        short_of_memory = false;
        break;
    default:
        operate_on((enum queue_action)(QUEUE_HOLD + random_below(QUEUE_ACTION_COUNT - QUEUE_HOLD)));
    }
}

START_TEST(random_acts_agree_with_the_model)
{
    random_state = 0x9e3779b97f4a7c15u + (uint64_t)_i * 1000003;
    start();
    for (int n = 0; n < 4000; n++) {
        act();
        check();
        if (random_below(400) > 0)
            continue;
        if (random_below(2) == 0)
            flush(); /* an orderly end; else what was gathered is lost */
        while (w->commit.in_flight)
            complete();
        end();
        begin();
        check();
    }
    /* Nobody delivers any more: all comes to its end by itself, what is held too. */
    for (unsigned c = 0; c < CLIENTS; c++) {
        if (active[c])
            queue_attempted(w, active[c], SPAN_LIT("cut off"));
        active[c] = NULL;
    }
    for (int n = 0; n < 3000 && w->queue.order.n > 0; n++) {
        pass_time(60);
        turn();
        complete();
        flush();
        while (bounce_count > 0)
            finish_bounce();
        while (delay_count > 0)
            finish_delay();
        check();
    }
    flush();
    MUST(w->queue.order.n == 0 && w->queue.deliveries.used == 0 && w->queue.entries.used == 0 &&
         w->queue.mails.used == 0 && w->queue.budget.used == 0 && w->queue.texts.bytes == 0);
    for (unsigned i = 0; i < mail_count; i++)
        for (unsigned k = 0; k < model[i].count; k++)
            MUST(!model[i].stored || model[i].r[k].fate != WAITS);
    remove_all();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tc = tcase_create("queue");
    tcase_set_timeout(tc, 120);
    /* QUEUE_SEEDS=500: more of them, for a night. */
    const char *seeds = getenv("QUEUE_SEEDS");
    tcase_add_loop_test(tc, random_acts_agree_with_the_model, 0, seeds ? atoi(seeds) : 4);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
