/* Mails by queue id: open addressing, linear probing, doubled when three quarters are used. */
#include "engine/spool/table.h"
#include <stdlib.h>

#define TABLE_FIRST 1024
/* A deleted place: no queue id (its time part is zero). */
#define TABLE_DELETED 1

static size_t place_of(const struct table *t, uint64_t queue_id)
{
    return (size_t)(queue_id * 0x9e3779b97f4a7c15u >> 16) & (t->size - 1);
}

void table_destroy(struct table *t)
{
    for (size_t i = 0; i < t->size; i++)
        if (t->slots[i].recipients > 1)
            free(t->slots[i].many);
    free(t->slots);
    *t = (struct table){0};
}

struct table_recipient *table_recipients(struct table_mail *m)
{
    return m->recipients > 1 ? m->many : &m->one;
}

struct table_mail *table_find(const struct table *t, uint64_t queue_id)
{
    if (t->size == 0 || queue_id <= TABLE_DELETED)
        return NULL;
    for (size_t i = place_of(t, queue_id);; i = (i + 1) & (t->size - 1)) {
        if (t->slots[i].queue_id == queue_id)
            return &t->slots[i];
        if (t->slots[i].queue_id == 0)
            return NULL;
    }
}

static struct table_mail *free_slot(struct table *t, uint64_t queue_id)
{
    size_t i = place_of(t, queue_id);
    while (t->slots[i].queue_id != 0)
        i = (i + 1) & (t->size - 1);
    t->used++;
    return &t->slots[i];
}

/* Makes room for one more; drops deleted places on the way. */
static bool make_room(struct table *t)
{
    if (t->size > 0 && t->used < t->size / 4 * 3)
        return true;
    size_t live = 0;
    for (size_t i = 0; i < t->size; i++)
        live += t->slots[i].queue_id > TABLE_DELETED;
    size_t size = t->size == 0 ? TABLE_FIRST : live < t->size / 2 ? t->size : 2 * t->size;
    struct table grown = {.slots = calloc(size, sizeof *grown.slots), .size = size};
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < t->size; i++)
        if (t->slots[i].queue_id > TABLE_DELETED)
            *free_slot(&grown, t->slots[i].queue_id) = t->slots[i];
    free(t->slots);
    *t = grown;
    return true;
}

static void delete (struct table_mail *m)
{
    if (m->recipients > 1)
        free(m->many);
    *m = (struct table_mail){.queue_id = TABLE_DELETED};
}

static void finish(struct table_mail *m, unsigned recipient)
{
    struct table_recipient *r = &table_recipients(m)[recipient];
    if (!r->finished) {
        r->finished = true;
        m->left--;
    }
}

/* NULL: no memory. */
static struct table_mail *new_mail(struct table *t, const struct spool_mail *mail)
{
    struct table_recipient *many = NULL;
    if (!make_room(t))
        return NULL;
    if (mail->recipient_count > 1 && !(many = calloc(mail->recipient_count, sizeof *many)))
        return NULL;
    struct table_mail *m = free_slot(t, mail->queue_id);
    *m = (struct table_mail){.queue_id = mail->queue_id,
                             .recipients = mail->recipient_count,
                             .left = mail->recipient_count};
    if (many)
        m->many = many;
    return m;
}

bool table_add(struct table *t, const struct spool_mail *mail, struct table_place place,
               uint32_t length)
{
    struct table_mail *m = table_find(t, mail->queue_id);
    if (m && m->recipients != mail->recipient_count) {
        delete (m);
        m = NULL;
    }
    if (!m && !(m = new_mail(t, mail)))
        return false;
    m->segment = place.segment;
    m->offset = place.offset;
    m->length = length;
    m->large = mail->large;
    m->held = mail->held;
    for (unsigned i = 0; i < mail->recipient_count; i++)
        if (mail->recipients[i].finished)
            finish(m, i);
    if (m->left == 0)
        delete (m);
    return true;
}

bool table_done(struct table *t, uint64_t queue_id, const struct done_record *done)
{
    struct table_mail *m = table_find(t, queue_id);
    if (!m)
        return true;
    if (done->recipient == SPOOL_ALL_RECIPIENTS) {
        delete (m);
        return true;
    }
    if (done->recipient >= m->recipients)
        return false;
    finish(m, done->recipient);
    if (m->left == 0)
        delete (m);
    return true;
}

void table_hold(struct table *t, uint64_t queue_id, bool held)
{
    struct table_mail *m = table_find(t, queue_id);
    if (m)
        m->held = held;
}

bool table_defer(struct table *t, uint64_t queue_id, const struct defer_record *defer,
                 struct table_place place)
{
    struct table_mail *m = table_find(t, queue_id);
    if (!m)
        return true;
    if (defer->recipient >= m->recipients)
        return false;
    struct table_recipient *r = &table_recipients(m)[defer->recipient];
    r->attempts = defer->attempts;
    r->notices = defer->notices;
    r->next_attempt = defer->next_attempt;
    r->segment = place.segment;
    r->offset = place.offset;
    r->deferred = true;
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct table_mail *x = *(struct table_mail *const *)a;
    const struct table_mail *y = *(struct table_mail *const *)b;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

struct table_mail **table_list(const struct table *t, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < t->size; i++)
        *count += t->slots[i].queue_id > TABLE_DELETED;
    if (*count == 0)
        return NULL;
    struct table_mail **list = calloc(*count, sizeof(struct table_mail *));
    if (!list)
        return NULL;
    size_t n = 0;
    for (size_t i = 0; i < t->size; i++)
        if (t->slots[i].queue_id > TABLE_DELETED)
            list[n++] = &t->slots[i];
    qsort(list, n, sizeof *list, by_place);
    return list;
}
