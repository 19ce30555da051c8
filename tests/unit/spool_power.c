#include "tests/unit/spool_power.h"
#include "engine/spool/file.h"
#include <stdio.h>
#include <stdlib.h>

#define MAILS 1024
#define RECIPIENTS 3
#define SEGMENT (96u << 10)
#define INLINE_MAX 5000
#define LARGE_MAX 9000
#define NOW 1700000000000000u

enum promise {
    NEVER,    /* of a number that was not given out, or only gathered */
    FLYING,   /* may be found */
    ACCEPTED, /* must be found while a recipient is without an outcome */
    REFUSED,  /* must not be found */
    DOUBTFUL, /* refused, but the next segment could not be made: may be found */
    GONE,     /* was not there after a restart: must not come back */
};

/* Of a record that is no mail: when its writing has begun it may count, when it was synced it must.
 */
enum weight { UNSAID, GATHERED, STARTED, WRITTEN, SYNCED };

struct said {
    enum weight weight;
    int file; /* the segment's descriptor */
};

struct recipient {
    struct said done;
    uint32_t attempts;        /* the last that was given to the spool */
    uint32_t attempts_synced; /* at least so many are known to it */
    struct said deferred;
};

struct mail {
    enum promise promise;
    struct spool_ref ref, moved; /* moved: on its way to another segment */
    bool moving, move_failed;
    bool large;
    uint32_t size;
    unsigned recipients;
    struct recipient to[RECIPIENTS];
    bool held, held_synced, held_certain; /* certain: nothing was said since */
    struct said hold;
};

struct power {
    uint64_t seed, first_seed;
    enum power_faults faults;
    struct disk *disk;
    struct spool *s;
    struct mail mails[MAILS];
    uint64_t ids[MAILS];
    unsigned count;
    bool checking;    /* a state is being recovered: no further ones */
    uint64_t trouble; /* system calls that failed, as events said */
};

static struct power_count counted;

struct power_count power_counted(void)
{
    return counted;
}

static uint64_t rnd(struct power *p, uint64_t below)
{
    uint64_t x = p->seed;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    p->seed = x;
    return (x >> 11) % below;
}

/* ---- what is expected --------------------------------------------------------------------- */

static void broken(const struct power *p, const char *what, unsigned mail)
{
    fprintf(stderr, "spool_power: seed %llu faults %d operation %llu: %s, mail %u\n",
            (unsigned long long)p->first_seed, (int)p->faults,
            (unsigned long long)disk_operations(p->disk), what, mail);
    abort();
}

static void fill_body(uint64_t id, unsigned char *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = (unsigned char)((id >> 10) * 31 + i * 7 + (i >> 8) * 3);
}

struct check {
    struct power *p;
    bool found[MAILS];
    struct spool_recovered last[MAILS];
    struct spool_recipient_state states[MAILS][RECIPIENTS];
    unsigned bad[SPOOL_EVENT_COUNT];
    uint64_t damaged; /* the newest segment with damage: an unfinished batch's is none */
    const char *wrong;
    unsigned wrong_mail;
};

static int index_of(const struct power *p, uint64_t id)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->ids[i] == id)
            return (int)i;
    return -1;
}

static void on_recovered(void *context, const struct spool_recovered *f)
{
    struct check *c = context;
    int i = index_of(c->p, f->ref.queue_id);
    if (i < 0 || c->found[i]) {
        c->wrong = i < 0 ? "a mail that nobody sent" : "a mail twice";
        return;
    }
    c->found[i] = true;
    c->last[i] = *f;
    for (unsigned k = 0; k < f->mail.recipient_count && k < RECIPIENTS; k++)
        c->states[i][k] = f->states[k];
    if (f->mail.recipient_count != c->p->mails[i].recipients || f->body_missing) {
        c->wrong = f->body_missing ? "a large body is gone" : "other recipients";
        c->wrong_mail = (unsigned)i;
    }
}

static void on_event(void *context, const struct spool_event *e)
{
    struct check *c = context;
    c->bad[e->kind]++;
    if (e->kind == SPOOL_EVENT_CORRUPT && e->segment > c->damaged)
        c->damaged = e->segment;
}

static bool whole_done(const struct mail *m, enum weight weight)
{
    for (unsigned i = 0; i < m->recipients; i++)
        if (m->to[i].done.weight < weight)
            return false;
    return true;
}

static const char *check_presence(const struct mail *m, bool found)
{
    switch (m->promise) {
    case NEVER:
    case GONE:
    case REFUSED:
        return found ? "a mail that must not be there" : NULL;
    case FLYING:
    case DOUBTFUL:
        return NULL;
    case ACCEPTED:
        if (found)
            return whole_done(m, SYNCED) ? "a mail that is finished" : NULL;
        return whole_done(m, GATHERED) ? NULL : "an accepted mail is lost";
    }
    return NULL;
}

static const char *check_states(const struct mail *m, const struct spool_recovered *f,
                                const struct spool_recipient_state *states)
{
    for (unsigned i = 0; i < m->recipients; i++) {
        const struct recipient *r = &m->to[i];
        if (states[i].finished && r->done.weight < STARTED)
            return "an outcome that nobody gave";
        if (!states[i].finished && r->done.weight == SYNCED)
            return "an outcome is lost";
        if (states[i].finished)
            continue;
        if (states[i].attempts > r->attempts || states[i].attempts < r->attempts_synced)
            return "attempts are wrong";
    }
    if (m->held_certain && f->mail.held != m->held_synced)
        return "a hold is wrong";
    return NULL;
}

static const char *check_body(struct spool *s, const struct mail *m, uint64_t id,
                              struct spool_ref *ref)
{
    static unsigned char wanted[LARGE_MAX], got[LARGE_MAX];
    struct spool_mail mail;
    if (spool_load(s, ref, &mail) != SPOOL_OK)
        return "a mail can't be read";
    fill_body(id, wanted, m->size);
    if (mail.body_size != m->size || spool_read(s, ref, 0, got, m->size) != (ssize_t)m->size)
        return "a body has another length";
    if (memcmp(wanted, got, m->size) != 0)
        return "a body is not what was sent";
    return NULL;
}

static const char *check_all(struct check *c, struct spool *s)
{
    struct power *p = c->p;
    static const enum spool_event_kind never[] = {SPOOL_EVENT_UNREADABLE, SPOOL_EVENT_GAP,
                                                  SPOOL_EVENT_STRAY_DONE, SPOOL_EVENT_SYSTEM,
                                                  SPOOL_EVENT_VERSION};
    for (unsigned i = 0; i < sizeof never / sizeof never[0]; i++)
        if (c->bad[never[i]] > 0)
            return spool_event_text(never[i]);
    for (unsigned i = 0; i < p->count && !c->wrong; i++) {
        const struct mail *m = &p->mails[i];
        c->wrong_mail = i;
        c->wrong = check_presence(m, c->found[i]);
        if (c->wrong || !c->found[i])
            continue;
        if (p->faults == POWER_NO_FAULTS && c->damaged != 0 && c->last[i].ref.segment > c->damaged)
            c->wrong = "damage in a segment that was left";
        counted.found++;
        if (!c->wrong)
            c->wrong = check_states(m, &c->last[i], c->states[i]);
        if (!c->wrong)
            c->wrong = check_body(s, m, p->ids[i], &c->last[i].ref);
    }
    return c->wrong;
}

/* Recovers what is on the disk and compares; the spool when `keep`. */
static struct spool *recover(struct power *p, struct disk *disk, struct check *c, bool keep)
{
    struct spool *s;
    struct spool_config config = {.shard = 3,
                                  .segment_size = SEGMENT,
                                  .context = c,
                                  .event = on_event,
                                  .recovered = on_recovered};
    int error = 0;
    *c = (struct check){.p = p};
    disk_use(disk);
    if (spool_open(&s, DISK_DIRECTORY, &config, &error) != SPOOL_OK || spool_recover(s) != SPOOL_OK)
        broken(p, "recovery fails", 0);
    counted.states++;
    const char *wrong = check_all(c, s);
    if (wrong)
        broken(p, wrong, c->wrong_mail);
    if (keep)
        return s;
    spool_close(s);
    return NULL;
}

/* ---- a failure at any moment -------------------------------------------------------------- */

struct nested {
    struct power *p;
    unsigned at;
    struct disk *left;
};

static void fail_in_recovery(void *context)
{
    struct nested *n = context;
    if (n->at-- == 0 && !n->left)
        n->left = disk_crash(disk_used(), DISK_KEEPS_SOME, n->p->seed);
}

static void try_state(struct power *p, enum disk_loss loss, uint64_t seed)
{
    static struct check c;
    struct disk *left = disk_crash(p->disk, loss, seed);
    struct nested n = {.p = p, .at = (unsigned)(seed % 5)};
    if (seed % 7 == 0)
        disk_watch(left, fail_in_recovery, &n);
    (void)recover(p, left, &c, false);
    disk_free(left);
    if (n.left) {
        (void)recover(p, n.left, &c, false);
        disk_free(n.left);
    }
}

static void fail_here(void *context)
{
    struct power *p = context;
    if (p->checking)
        return;
    p->checking = true;
    try_state(p, DISK_KEEPS_ALL, p->seed);
    try_state(p, DISK_KEEPS_NONE, p->seed);
    try_state(p, DISK_KEEPS_NAMES, p->seed);
    try_state(p, DISK_KEEPS_CONTENT, p->seed);
    for (unsigned i = 0; i < 4; i++)
        try_state(p, DISK_KEEPS_SOME, p->seed + i * 7919 + disk_operations(p->disk));
    disk_use(p->disk);
    p->checking = false;
}

/* ---- acts --------------------------------------------------------------------------------- */

static void note_event(void *context, const struct spool_event *e)
{
    struct power *p = context;
    if (e->kind == SPOOL_EVENT_SYSTEM)
        p->trouble++;
}

static void ignore_mail(void *context, const struct spool_recovered *found)
{
    (void)context;
    (void)found;
}

static void open_spool(struct power *p)
{
    struct spool_config config = {.shard = 3,
                                  .segment_size = SEGMENT,
                                  .context = p,
                                  .event = note_event,
                                  .recovered = ignore_mail};
    int error = 0;
    disk_use(p->disk);
    if (spool_open(&p->s, DISK_DIRECTORY, &config, &error) != SPOOL_OK ||
        spool_recover(p->s) != SPOOL_OK)
        broken(p, "recovery fails", 0);
}

struct power *power_new(uint64_t seed, enum power_faults faults)
{
    struct power *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->seed = p->first_seed = seed;
    for (unsigned i = 0; i < 9; i++)
        (void)rnd(p, 2);
    p->seed += 0x9e3779b97f4a7c15u;
    p->faults = faults;
    p->disk = disk_new();
    open_spool(p);
    disk_watch(p->disk, fail_here, p);
    return p;
}

void power_end(struct power *p)
{
    disk_watch(p->disk, NULL, NULL);
    disk_use(p->disk);
    spool_close(p->s);
    disk_free(p->disk);
    free(p);
}

static bool write_large(struct power *p, uint64_t id, const unsigned char *body, uint32_t n)
{
    enum spool_status status;
    int fd = spool_large_create(p->s, id, &status);
    if (fd < 0)
        return false;
    bool ok = file_write(fd, span_of(body, n / 2), 0) == (ssize_t)(n / 2) &&
              file_write(fd, span_of(body + n / 2, n - n / 2), n / 2) == (ssize_t)(n - n / 2) &&
              file_sync(fd) == 0;
    file_close(fd);
    if (!ok)
        spool_large_discard(p->s, id);
    return ok;
}

static const struct spool_recipient *recipients_of(const struct mail *m,
                                                   struct spool_recipient *out)
{
    static const char *const addresses[RECIPIENTS] = {"a@example.ch", "b@example.ch",
                                                      "c@example.ch"};
    for (unsigned i = 0; i < m->recipients; i++)
        out[i] = (struct spool_recipient){.address = span_str(addresses[i]),
                                          .route = SPAN_LIT("route"),
                                          .rule = SPAN_LIT("rule"),
                                          .finished = m->to[i].done.weight > UNSAID};
    return out;
}

/* Bodies must live until their batch has ended. */
static unsigned char bodies[64][LARGE_MAX];
static unsigned bodies_used;

static void new_mail(struct power *p)
{
    struct spool_recipient list[RECIPIENTS];
    if (p->count == MAILS || bodies_used == 64)
        return;
    struct mail *m = &p->mails[p->count];
    uint64_t id = spool_queue_id(p->s, NOW + p->count);
    *m = (struct mail){.large = rnd(p, 8) == 0, .recipients = 1 + (unsigned)rnd(p, RECIPIENTS)};
    m->size = (uint32_t)(m->large ? 1 + rnd(p, LARGE_MAX - 1) : rnd(p, INLINE_MAX));
    m->held_certain = true;
    p->ids[p->count++] = id;
    unsigned char *body = bodies[bodies_used++];
    fill_body(id, body, m->size);
    if (m->large && !write_large(p, id, body, m->size)) {
        m->promise = REFUSED;
        return;
    }
    struct iovec pieces[2] = {{body, m->size / 3}, {body + m->size / 3, m->size - m->size / 3}};
    struct spool_mail mail = {.queue_id = id,
                              .arrival = NOW,
                              .sender = SPAN_LIT("sender@example.ch"),
                              .body_size = m->size,
                              .body_crc = spool_crc(0, span_of(body, m->size)),
                              .large = m->large,
                              .recipient_count = (uint16_t)m->recipients,
                              .recipients = recipients_of(m, list),
                              .body = pieces,
                              .body_count = m->large ? 0 : 2};
    if (spool_append_mail(p->s, &mail, &m->ref, NULL) == SPOOL_OK)
        return;
    m->promise = REFUSED;
    if (m->large)
        spool_large_discard(p->s, id);
}

/* What was said goes from one weight to the next, by batches; those of a segment by a sync. */
static void weigh(struct power *p, enum weight from, enum weight to, int file)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct mail *m = &p->mails[i];
        for (unsigned k = 0; k <= 2 * m->recipients; k++) {
            struct recipient *r = &m->to[k / 2 < m->recipients ? k / 2 : 0];
            struct said *said = k == 2 * m->recipients ? &m->hold : k % 2 ? &r->deferred : &r->done;
            if (said->weight != from || (from == WRITTEN && said->file != file))
                continue;
            said->weight = to;
            said->file = file;
            if (to == SYNCED && said == &r->deferred)
                r->attempts_synced = r->attempts;
            if (to == SYNCED && said == &m->hold) {
                m->held_synced = m->held;
                m->held_certain = true;
            }
        }
    }
}

static struct mail *mail_of(struct power *p, const struct spool_ref *ref)
{
    for (unsigned i = 0; i < p->count; i++)
        if (&p->mails[i].ref == ref || &p->mails[i].moved == ref)
            return &p->mails[i];
    abort();
}

static void ended(struct power *p, struct mail *m, const struct spool_ref *ref, bool stored,
                  bool doubtful)
{
    if (ref == &m->moved) {
        m->moving = false;
        m->move_failed = !stored;
        if (stored)
            m->ref = m->moved;
        return;
    }
    m->promise = stored ? ACCEPTED : doubtful ? DOUBTFUL : REFUSED;
    counted.accepted += stored;
    if (!stored && m->large)
        spool_large_discard(p->s, p->ids[m - p->mails]);
}

static void settle_doubts(struct power *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->mails[i].promise == DOUBTFUL)
            p->mails[i].promise = REFUSED;
}

static void commit(struct power *p)
{
    struct spool_io io;
    uint64_t trouble = p->trouble;
    if (p->faults == POWER_SYNC_FAULTS && rnd(p, 6) == 0)
        disk_fail_syncs(p->disk, (unsigned)rnd(p, 3), 1 + (unsigned)rnd(p, 3));
    enum spool_status status = spool_batch_start(p->s, &io);
    if (status == SPOOL_IDLE)
        return;
    bool started = status == SPOOL_OK;
    if (started) {
        for (unsigned i = 0; i < io.mail_count; i++)
            if (mail_of(p, io.mails[i])->promise == NEVER)
                mail_of(p, io.mails[i])->promise = FLYING;
        weigh(p, GATHERED, STARTED, 0);
        ssize_t written = io.directory >= 0 ? file_sync(io.directory) : 0;
        if (written == 0)
            written = disk_write(&io);
        int synced = written == (ssize_t)io.length && io.sync ? file_sync(io.fd) : 0;
        /* Between the sync and the 250 all may end, too. */
        fail_here(p);
        status = spool_batch_finish(p->s, written, synced);
    }
    bool stored = status == SPOOL_OK, doubtful = started && p->trouble != trouble;
    if (started && !stored)
        doubtful = true;
    disk_fail_syncs(p->disk, 0, 0);
    for (unsigned i = 0; i < io.mail_count; i++)
        ended(p, mail_of(p, io.mails[i]), io.mails[i], stored, doubtful);
    bodies_used = 0;
    if (!started)
        return;
    if (!stored) {
        /* Carried to the next batch; yet their first writing may be found. */
        if (p->trouble == trouble)
            settle_doubts(p);
        return;
    }
    weigh(p, STARTED, WRITTEN, io.fd);
    if (io.sync) {
        weigh(p, WRITTEN, SYNCED, io.fd);
        settle_doubts(p);
    }
}

static struct mail *any_live(struct power *p)
{
    for (unsigned tries = 0; tries < 20 && p->count > 0; tries++) {
        struct mail *m = &p->mails[rnd(p, p->count)];
        if (m->promise == ACCEPTED && spool_stored(&m->ref))
            return m;
    }
    return NULL;
}

static void finish_one(struct power *p)
{
    struct mail *m = any_live(p);
    unsigned k = m ? (unsigned)rnd(p, m->recipients) : 0;
    if (!m || m->to[k].done.weight != UNSAID)
        return;
    m->to[k].done.weight = GATHERED;
    if (spool_append_done(p->s, &m->ref, (uint16_t)k, SPOOL_DELIVERED) != SPOOL_OK)
        m->to[k].done.weight = UNSAID;
}

static void defer_one(struct power *p)
{
    struct mail *m = any_live(p);
    unsigned k = m ? (unsigned)rnd(p, m->recipients) : 0;
    if (!m || m->to[k].done.weight != UNSAID)
        return;
    struct spool_deferral deferral = {.attempts = m->to[k].attempts + 1,
                                      .next_attempt = 1700000000,
                                      .reason = SPAN_LIT("450 later")};
    if (spool_append_defer(p->s, &m->ref, (uint16_t)k, &deferral) != SPOOL_OK)
        return;
    m->to[k].attempts++;
    m->to[k].deferred.weight = GATHERED;
}

static void hold_one(struct power *p)
{
    struct mail *m = any_live(p);
    if (!m || spool_append_hold(p->s, &m->ref, !m->held) != SPOOL_OK)
        return;
    m->held = !m->held;
    m->held_certain = false;
    m->hold.weight = GATHERED;
}

/* The oldest mail moves on, as compaction does it. */
static void move_one(struct power *p)
{
    struct mail *m = NULL;
    for (unsigned i = 0; i < p->count && !m; i++)
        if (p->mails[i].promise == ACCEPTED && spool_stored(&p->mails[i].ref) &&
            !p->mails[i].moving)
            m = &p->mails[i];
    struct spool_mail mail;
    struct spool_recipient list[RECIPIENTS];
    if (!m || bodies_used == 64)
        return;
    if (spool_load(p->s, &m->ref, &mail) != SPOOL_OK)
        broken(p, "a mail can't be read", (unsigned)(m - p->mails));
    unsigned char *body = bodies[bodies_used++];
    fill_body(p->ids[m - p->mails], body, m->size);
    struct iovec piece = {body, m->size};
    mail.recipients = recipients_of(m, list);
    mail.held = m->held;
    mail.body = &piece;
    mail.body_count = m->large ? 0 : 1;
    if (spool_append_mail(p->s, &mail, &m->moved, &m->ref) != SPOOL_OK)
        return;
    m->moving = true;
    for (unsigned i = 0; i < m->recipients; i++) {
        struct spool_deferral deferral = {.attempts = m->to[i].attempts, .reason = SPAN_EMPTY};
        if (m->to[i].attempts == 0 || m->to[i].done.weight != UNSAID)
            continue;
        m->to[i].attempts_synced = 0;
        if (spool_append_defer(p->s, &m->ref, (uint16_t)i, &deferral) == SPOOL_OK)
            m->to[i].deferred.weight = GATHERED;
    }
}

static void maintain(struct power *p)
{
    struct spool_upkeep op;
    for (unsigned n = 0; n < 3 && spool_maintain(p->s, &op); n++) {
        int result = 0;
        /* Batches go on while the ring has it. */
        if (rnd(p, 3) == 0)
            commit(p);
        switch (op.kind) {
        case SPOOL_UPKEEP_SYNC:
            result = file_sync(op.fd);
            break;
        case SPOOL_UPKEEP_RESERVE:
            result = file_reserve(op.fd, op.size);
            break;
        case SPOOL_UPKEEP_EMPTY:
            result = file_empty(op.fd, op.size);
            break;
        }
        spool_maintained(p->s, result);
    }
}

/* The power fails, and this time it is true: what is found is what there is. */
static void restart(struct power *p)
{
    static struct check c;
    struct disk *left =
        disk_crash(p->disk, rnd(p, 3) == 0 ? DISK_KEEPS_ALL : DISK_KEEPS_SOME, p->seed);
    disk_watch(p->disk, NULL, NULL);
    disk_use(p->disk);
    spool_close(p->s);
    disk_free(p->disk);
    p->disk = left;
    p->s = recover(p, left, &c, true);
    bodies_used = 0;
    for (unsigned i = 0; i < p->count; i++) {
        struct mail *m = &p->mails[i];
        bool moving = m->moving || m->move_failed;
        m->moving = false;
        m->promise = c.found[i] ? ACCEPTED : GONE;
        if (!c.found[i])
            continue;
        m->ref = c.last[i].ref;
        m->held = m->held_synced = c.last[i].mail.held;
        m->held_certain = true;
        m->hold = (struct said){0};
        for (unsigned k = 0; k < m->recipients; k++)
            m->to[k] = (struct recipient){
                .done.weight = c.states[i][k].finished ? SYNCED : UNSAID,
                .attempts = c.states[i][k].attempts,
                /* Of a move that was not finished the mail may be there without its deferrals:
                 * then they go with the old segment, and it is tried early. */
                .attempts_synced = moving ? 0 : c.states[i][k].attempts,
            };
    }
    /* Events go on to the run. */
    spool_close(p->s);
    open_spool(p);
    disk_watch(p->disk, fail_here, p);
}

void power_act(struct power *p)
{
    uint64_t act = rnd(p, 100);
    if (p->faults == POWER_FULL && rnd(p, 20) == 0)
        disk_set_room(p->disk, rnd(p, 2) ? UINT64_MAX : rnd(p, SEGMENT));
    if (act < 30)
        new_mail(p);
    else if (act < 50)
        commit(p);
    else if (act < 70)
        finish_one(p);
    else if (act < 77)
        defer_one(p);
    else if (act < 81)
        hold_one(p);
    else if (act < 86)
        move_one(p);
    else if (act < 98)
        maintain(p);
    else
        restart(p);
}
