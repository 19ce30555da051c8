/* Entries: their mails in memory, parked, and read back. */
#include "engine/log/log.h"
#include "status.h"
#include "workers/connection/queue_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- where it is ------------------------------------------------------------------------ */

static struct spool_ref parked_ref(const struct entry *e)
{
    return (struct spool_ref){.segment = e->segment,
                              .queue_id = e->id,
                              .body_size = e->size,
                              .offset = e->offset,
                              .length = e->length,
                              .recipients = e->recipients,
                              .left = e->left,
                              .large = e->large};
}

struct spool_ref entry_ref(const struct entry *e)
{
    if (!e->mail)
        return parked_ref(e);
    return e->mail->moving ? e->mail->old : e->mail->ref;
}

void entry_keep_ref(struct entry *e, const struct spool_ref *ref)
{
    BUG_ON(ref->segment > UINT32_MAX || ref->body_size > UINT32_MAX);
    e->segment = (uint32_t)ref->segment;
    e->offset = ref->offset;
    e->length = ref->length;
    e->size = (uint32_t)ref->body_size;
    e->recipients = ref->recipients;
    e->left = ref->left;
    e->large = ref->large;
}

/* ---- words ------------------------------------------------------------------------------ */

uint32_t *entry_words(struct worker *w, struct entry *e)
{
    if (e->recipients <= ENTRY_FEW)
        return e->words.few;
    if (!e->words.many) {
        e->words.many = calloc(e->recipients, sizeof *e->words.many);
        if (e->words.many) /* takes the place of an envelope, so no limit */
            w->queue.budget.used += e->recipients * sizeof *e->words.many;
    }
    return e->words.many;
}

static void free_words(struct worker *w, struct entry *e)
{
    uint32_t *words = e->recipients <= ENTRY_FEW ? e->words.few : e->words.many;
    for (unsigned i = 0; words && i < e->recipients; i++)
        texts_release(&w->queue.texts, words[i] & WORD_TEXT);
    if (e->recipients > ENTRY_FEW && e->words.many) {
        free(e->words.many);
        w->queue.budget.used -= e->recipients * sizeof *e->words.many;
    }
    memset(&e->words, 0, sizeof e->words);
}

uint32_t word_make(struct worker *w, struct span status, struct span relay, struct span reply)
{
    char text[16 + LIMIT_RELAY_TEXT + LIMIT_REASON];
    if (reply.n == 0)
        return 0;
    int n = snprintf(text, sizeof text, "%.*s\n%.*s\n%.*s", (int)status.n, status.p, (int)relay.n,
                     relay.p, (int)reply.n, reply.p);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    uint32_t number = texts_hold(&w->queue.texts, span_of(text, length));
    if (number == 0)
        number = texts_hold(&w->queue.texts,
                            SPAN_LIT("4.0.0\n\nsee the log: too many different reasons to keep"));
    return number;
}

/* Up to the newline, which is taken too. */
static struct span next_part(struct span *rest)
{
    const unsigned char *newline = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;
    struct span part = span_head(*rest, newline ? (size_t)(newline - rest->p) : rest->n);
    *rest = span_from(*rest, part.n + 1);
    return part;
}

void word_read(const struct worker *w, uint32_t word, struct word_text *out)
{
    struct span rest = texts_span(&w->queue.texts, word & WORD_TEXT);
    out->status = next_part(&rest);
    out->relay = next_part(&rest);
    out->reply = rest;
}

static uint32_t word_of(struct worker *w, struct mail *m, const struct recipient *r)
{
    if (recipient_finished(r))
        return WORD_FINISHED;
    uint32_t word =
        word_make(w, span_str(r->status), mail_span(m, r->relay), mail_span(m, r->reply));
    word |= word_notices(r->notices);
    if (r->remote)
        word |= WORD_REMOTE;
    if (r->delivery && r->delivery->state == DELIVERY_BOUNCING)
        word |= WORD_FAILED;
    if (r->outcome == OUTCOME_RELAYED || r->outcome == OUTCOME_CONFIRMED)
        word |= WORD_RELAYED;
    return word;
}

/* ---- in memory, wanted or not ----------------------------------------------------------- */

static void idle_push(struct queue *q, struct mail *m)
{
    m->idle = true;
    m->idle_next = NULL;
    m->idle_previous = q->idle_last;
    if (q->idle_last)
        q->idle_last->idle_next = m;
    else
        q->idle = m;
    q->idle_last = m;
}

static void idle_remove(struct queue *q, struct mail *m)
{
    if (!m->idle)
        return;
    if (m->idle_previous)
        m->idle_previous->idle_next = m->idle_next;
    else
        q->idle = m->idle_next;
    if (m->idle_next)
        m->idle_next->idle_previous = m->idle_previous;
    else
        q->idle_last = m->idle_previous;
    m->idle = false;
}

/* All failed recipients are one delivery's: a parked mail knows no more of them. */
static void join_bouncing(struct worker *w, struct mail *m)
{
    struct delivery *first = entry_bouncing(w, m->entry);
    for (uint32_t i = 0; first && i < m->recipient_count; i++) {
        struct delivery *d = m->recipients[i].delivery;
        if (!d || d == first || d->state != DELIVERY_BOUNCING)
            continue;
        m->recipients[i].delivery = first;
        first->recipients++;
        if (--d->recipients == 0)
            delivery_free(w, d);
    }
}

/* False: no memory to remember it by; it stays. */
static bool park(struct worker *w, struct mail *m)
{
    struct entry *e = m->entry;
    BUG_ON(m->holders > 0 || !spool_stored(&m->ref));
    uint32_t *words = entry_words(w, e);
    if (!words)
        return false;
    join_bouncing(w, m);
    for (uint32_t i = 0; i < m->recipient_count; i++)
        words[i] = word_of(w, m, &m->recipients[i]);
    w->queue.stored += m->ref.length;
    w->queue.stored -= e->length; /* they differ when it was moved */
    entry_keep_ref(e, &m->ref);
    e->body_missing = m->body_missing;
    for (struct delivery *d = e->deliveries; d; d = delivery_sibling(w, d))
        d->mail = NULL;
    idle_remove(&w->queue, m);
    mail_detach(w, m);
    return true;
}

void entry_end(struct worker *w, struct entry *e)
{
    BUG_ON(e->deliveries != NULL);
    if (e->mail) {
        idle_remove(&w->queue, e->mail);
        BUG_ON(e->mail->open > 0);
        mail_detach(w, e->mail);
    }
    free_words(w, e);
    w->queue.stored -= e->length;
    BUG_ON(!order_remove(&w->queue.order, e->id));
    counter_sub(w->counters, COUNTER_queue_mails, 1);
    pool_put(&w->queue.entries, e);
}

void mail_hold(struct worker *w, struct mail *m)
{
    idle_remove(&w->queue, m);
    m->holders++;
}

static bool wanted(const struct worker *w, const struct entry *e)
{
    const struct delivery *d = e->deliveries;
    while (d && d->state != DELIVERY_READY)
        d = delivery_sibling(w, d);
    return d != NULL;
}

void mail_let_go(struct worker *w, struct mail *m)
{
    struct entry *e = m->entry;
    BUG_ON(m->holders == 0);
    if (--m->holders > 0)
        return;
    if (!e->deliveries)
        entry_end(w, e);
    else if (wanted(w, e) || !park(w, m))
        idle_push(&w->queue, m);
}

void entry_resort(struct worker *w, struct entry *e)
{
    e->unsorted = true;
    for (struct delivery *d = e->deliveries; d; d = delivery_sibling(w, d)) {
        if (delivery_under_way(d) || d->state == DELIVERY_BOUNCING)
            continue;
        delivery_leave_line(d);
        d->next_attempt = 0;
        delivery_arm(w, d);
    }
    mail_let_go(w, e->mail);
}

void park_idle(struct worker *w)
{
    struct queue *q = &w->queue;
    uint32_t keep = q->mails.capacity - q->mails.capacity / LIMIT_LIVE_SHARE;
    for (unsigned n = 0; n < LIMIT_TURN_PARKED && q->idle; n++) {
        bool enough = !worker_short_of_memory(w) && q->mails.used <= keep &&
                      q->budget.used <= q->budget.limit / 2;
        if (enough || !park(w, q->idle))
            return;
    }
}

/* ---- back ------------------------------------------------------------------------------- */

static bool take_envelope(struct mail *m, const struct spool_mail *stored)
{
    if (!mail_put(m, stored->sender, &m->sender) || !mail_put(m, stored->client, &m->client) ||
        !mail_put(m, stored->helo, &m->helo) || !mail_put(m, stored->tls, &m->tls) ||
        !mail_put(m, stored->envid, &m->envid) || !mail_put(m, stored->edits, &m->edits))
        return false;
    for (unsigned i = 0; i < stored->recipient_count; i++) {
        const struct spool_recipient *from = &stored->recipients[i];
        struct recipient *r = mail_add_recipient(m);
        if (!r || !mail_put(m, from->address, &r->address) ||
            !mail_put(m, from->route, &r->route) || !mail_put(m, from->rule, &r->rule) ||
            !mail_put(m, from->original, &r->original) || !mail_put(m, from->orcpt, &r->orcpt))
            return false;
        r->expires = (int64_t)from->expires;
        r->notify = from->notify;
        r->priority = from->priority;
        r->variant = from->variant;
    }
    return true;
}

/* What the entry knows of its recipients. */
static bool take_words(struct worker *w, struct mail *m, const uint32_t *words)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        struct word_text text;
        r->state = RECIPIENT_DELIVERED; /* or failed: it is over */
        if (words[i] & WORD_FINISHED)
            continue;
        r->state = RECIPIENT_QUEUED;
        m->open++;
        word_read(w, words[i], &text);
        r->remote = (words[i] & WORD_REMOTE) != 0;
        r->notices = words[i] >> WORD_NOTICES_AT & WORD_NOTICES_MAX;
        r->outcome = words[i] & WORD_RELAYED ? OUTCOME_RELAYED : OUTCOME_NONE;
        (void)snprintf(r->status, sizeof r->status, "%.*s", (int)text.status.n, text.status.p);
        if (!mail_put(m, text.relay, &r->relay) || !mail_put(m, text.reply, &r->reply))
            return false;
    }
    return true;
}

/* Its deliveries as the policy of this moment has them. False: no memory, nothing has changed. */
static bool sort_anew(struct worker *w, struct entry *e, struct mail *m, const uint32_t *words)
{
    struct delivery *before = e->deliveries;
    bool ok = true;
    sorting_begin(w, e);
    for (uint32_t i = 0; i < m->recipient_count && ok; i++) {
        struct recipient *r = &m->recipients[i];
        if (recipient_finished(r))
            continue;
        struct span route = words[i] & WORD_FAILED ? SPAN_EMPTY : mail_span(m, r->route);
        r->delivery = sorting_delivery(w, e, route, mail_span(m, r->address));
        ok = r->delivery != NULL;
    }
    sorting_end(w, e);
    while (!ok && e->deliveries != before)
        delivery_free(w, e->deliveries);
    return ok;
}

/* The deliveries that nobody belongs to any more go; those that are new are due at once. */
static void count_anew(struct worker *w, struct entry *e, struct mail *m,
                       const struct delivery *before)
{
    unsigned attempts = 0;
    struct delivery *next;
    for (struct delivery *d = e->deliveries; d; d = delivery_sibling(w, d)) {
        d->mail = m;
        d->recipients = 0;
        d->expires = UINT32_MAX;
    }
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery)
            delivery_add(r->delivery, recipient_expires(m, r), r->priority);
    }
    for (const struct delivery *d = before; d; d = delivery_sibling(w, d))
        if (d->recipients == 0 && d->attempts > attempts)
            attempts = d->attempts;
    for (struct delivery *d = e->deliveries; d && d != before; d = delivery_sibling(w, d)) {
        d->attempts = attempts & DELIVERY_ATTEMPTS_MAX;
        delivery_arm(w, d);
    }
    for (struct delivery *d = e->deliveries; d; d = next) {
        next = delivery_sibling(w, d);
        if (d->recipients == 0)
            delivery_free(w, d);
    }
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery && r->delivery->attempts > 0)
            r->state = RECIPIENT_DEFERRED;
    }
}

static int read_back(struct worker *w, struct entry *e, struct mail *m)
{
    struct spool_mail stored;
    uint32_t *words = entry_words(w, e);
    struct delivery *before = e->deliveries;
    m->ref = parked_ref(e);
    enum spool_status status = spool_load_record(w->spool, &m->ref, &stored);
    if (status != SPOOL_OK)
        return status == SPOOL_CORRUPT ? -EBADMSG : -EIO;
    m->id = e->id;
    m->arrival = (int64_t)stored.arrival;
    m->expires = (int64_t)stored.expires;
    m->flags = stored.body_flags;
    m->size = stored.body_size;
    m->body_crc = stored.body_crc;
    m->body_missing = e->body_missing;
    if (!words || !take_envelope(m, &stored) || !take_words(w, m, words))
        return -ENOBUFS;
    /* The content came with it: kept where there is room, else read again when it is sent. */
    for (unsigned i = 0; i < stored.body_count && !worker_short_of_memory(w); i++)
        (void)chain_append(&w->chunks, &m->content,
                           span_of(stored.body[i].iov_base, stored.body[i].iov_len));
    if (!sort_anew(w, e, m, words))
        return -ENOBUFS;
    count_anew(w, e, m, before);
    return 0;
}

int entry_load(struct worker *w, struct entry *e)
{
    if (e->mail)
        return 0;
    e->unsorted = false;
    struct mail *m = mail_attach(w, e);
    if (!m)
        return -ENOBUFS;
    int error = read_back(w, e, m);
    if (error != 0)
        mail_detach(w, m);
    else
        free_words(w, e);
    return error;
}

/* The record can't be read as it was written. It stays, and is looked at again now and then; when
 * its time is over there is nobody who could be told. */
static void damaged(struct worker *w, struct delivery *d)
{
    struct entry *e = d->entry;
    struct spool_ref ref = entry_ref(e);
    char id[QUEUE_ID_TEXT + 1];
    bool over = wall_seconds(w) >= d->expires;
    queue_id_format(e->id, id);
    log_begin(LOG_ERROR, over ? "lost" : "stored mail damaged");
    log_text("id", id);
    log_number("segment", (int64_t)e->segment);
    log_number("offset", (int64_t)e->offset);
    log_number("recipients", (int64_t)e->left);
    log_end();
    if (!over ||
        spool_append_done(w->spool, &ref, SPOOL_ALL_RECIPIENTS, SPOOL_EXPIRED) != SPOOL_OK) {
        delivery_put_off(w, d, LIMIT_DAMAGED_SECONDS);
        return;
    }
    counter_sub(w->counters, COUNTER_queue_recipients, e->left);
    while (e->deliveries)
        delivery_free(w, e->deliveries);
    entry_end(w, e);
}

bool delivery_load(struct worker *w, struct delivery *d)
{
    struct entry *e = d->entry;
    if (e->mail && e->unsorted && e->mail->holders == 0)
        (void)park(w, e->mail); /* to be read back as it is now */
    if (e->mail && (e->mail->moving || e->unsorted)) {
        delivery_put_off(w, d, 1);
        return false;
    }
    int error = entry_load(w, e);
    if (error == -EBADMSG) {
        damaged(w, d);
        return false;
    }
    if (error != 0) {
        delivery_put_off(w, d, LIMIT_PUT_OFF_SECONDS);
        return false;
    }
    mail_hold(w, e->mail);
    if (entry_has(w, e, d))
        return true;
    mail_let_go(w, e->mail);
    return false;
}
