/* A mail's memory: envelope and content. */
#include "workers/connection/mail.h"
#include "engine/mime/edit.h"
#include "status.h"
#include "workers/connection/worker.h"
#include <errno.h>
#include <stdlib.h>

struct mail *mail_attach(struct worker *w, struct entry *e)
{
    struct mail *m = pool_get(&w->queue.mails);
    if (!m)
        return NULL;
    memset(m, 0, offsetof(struct mail, few));
    m->entry = e;
    m->budget = &w->queue.budget;
    m->recipients = m->few;
    m->recipient_capacity = MAIL_FEW_RECIPIENTS;
    m->text = m->short_text;
    m->text_capacity = sizeof m->short_text;
    e->mail = m;
    return m;
}

void mail_detach(struct worker *w, struct mail *m)
{
    BUG_ON(m->holders > 0 || m->idle);
    chain_free(&w->chunks, &m->content);
    if (m->recipients != m->few) {
        m->budget->used -= m->recipient_capacity * sizeof *m->recipients;
        free(m->recipients);
    }
    if (m->text != m->short_text) {
        m->budget->used -= m->text_capacity;
        free(m->text);
    }
    m->entry->mail = NULL;
    pool_put(&w->queue.mails, m);
}

struct mail *mail_new(struct worker *w)
{
    struct entry *e = pool_get(&w->queue.entries);
    if (!e)
        return NULL;
    memset(e, 0, sizeof *e);
    struct mail *m = mail_attach(w, e);
    if (!m)
        pool_put(&w->queue.entries, e);
    return m;
}

void mail_free(struct worker *w, struct mail *m)
{
    struct entry *e = m->entry;
    BUG_ON(e->queued);
    mail_detach(w, m);
    pool_put(&w->queue.entries, e);
}

/* Moves an array that lies in the mail, or grows one that does not. */
static void *grow(struct mail *m, void *old, const void *inside, size_t had, size_t used,
                  size_t wanted)
{
    struct mail_budget *b = m->budget;
    size_t more = old == inside ? wanted : wanted - had;
    if (b->used >= b->limit)
        return NULL;
    void *p = old == inside ? malloc(wanted) : realloc(old, wanted);
    if (!p)
        return NULL;
    b->used += more;
    if (old == inside)
        memcpy(p, old, used);
    return p;
}

bool mail_put(struct mail *m, struct span bytes, struct mail_text *out)
{
    if (bytes.n > LIMIT_MAIL_TEXT - m->text_used)
        return false;
    uint32_t needed = m->text_used + (uint32_t)bytes.n;
    if (needed > m->text_capacity) {
        uint32_t capacity = 2 * needed < LIMIT_MAIL_TEXT ? 2 * needed : LIMIT_MAIL_TEXT;
        char *p = grow(m, m->text, m->short_text, m->text_capacity, m->text_used, capacity);
        if (!p)
            return false;
        m->text = p;
        m->text_capacity = capacity;
    }
    if (bytes.n > 0)
        memcpy(m->text + m->text_used, bytes.p, bytes.n);
    *out = (struct mail_text){.offset = m->text_used, .length = (uint32_t)bytes.n};
    m->text_used = needed;
    return true;
}

bool mail_variant(struct mail *m, struct span edits, uint8_t *number)
{
    static unsigned char list[LIMIT_EDIT_LIST]; /* mail_put can't copy from the mail's own text */
    struct text t = {.p = list, .capacity = sizeof list};
    unsigned n = 0;
    *number = 0;
    if (edits.n == 0)
        return true;
    struct span all = mail_span(m, m->edits);
    for (struct span one; (one = edits_variant(all, n + 1)).n > 0; n++)
        if (span_eq(one, edits)) {
            *number = (uint8_t)(n + 1);
            return true;
        }
    if (n == LIMIT_VARIANTS)
        return false;
    text_put(&t, all);
    edits_add_variant(&t, edits);
    *number = (uint8_t)(n + 1);
    return !t.overflow && mail_put(m, span_of(list, t.n), &m->edits);
}

struct recipient *mail_add_recipient(struct mail *m)
{
    if (m->recipient_count == m->recipient_capacity) {
        uint32_t capacity = 2 * m->recipient_capacity;
        size_t used = m->recipient_count * sizeof *m->recipients;
        struct recipient *p = grow(m, m->recipients, m->few, used, used, capacity * sizeof *p);
        if (!p)
            return NULL;
        m->recipients = p;
        m->recipient_capacity = capacity;
    }
    struct recipient *r = &m->recipients[m->recipient_count++];
    memset(r, 0, sizeof *r);
    return r;
}

void mail_log(const struct mail *m, enum log_level level, const char *event)
{
    char id[QUEUE_ID_TEXT + 1];
    queue_id_format(m->id, id);
    log_begin(level, event);
    log_text("id", id);
}

int mail_load(struct worker *w, struct mail *m)
{
    struct spool_mail stored;
    if (m->content.length > 0 || (m->flags & MAIL_LARGE))
        return 0;
    if (worker_short_of_memory(w))
        return -ENOBUFS;
    enum spool_status status = spool_load(w->spool, &m->ref, &stored);
    if (status != SPOOL_OK)
        return status == SPOOL_CORRUPT ? -EBADMSG : -EIO;
    for (unsigned i = 0; i < stored.body_count; i++) {
        if (!chain_append(&w->chunks, &m->content,
                          span_of(stored.body[i].iov_base, stored.body[i].iov_len))) {
            chain_free(&w->chunks, &m->content);
            return -ENOBUFS;
        }
    }
    return 0;
}

int mail_piece(struct worker *w, struct mail *m, uint64_t offset, struct span *piece)
{
    struct iovec iov;
    *piece = SPAN_EMPTY;
    if (offset >= m->size)
        return 0;
    if (m->flags & MAIL_LARGE) {
        ssize_t n = spool_read(w->spool, &m->ref, offset, w->read_buffer, sizeof w->read_buffer);
        if (n < 0)
            return (int)n;
        *piece = span_of(w->read_buffer, (size_t)n);
        return n == 0 ? -EIO : 0;
    }
    if (chain_iovecs(&m->content, offset, &iov, 1) == 0)
        return -EIO;
    *piece = span_of(iov.iov_base, iov.iov_len);
    return 0;
}
