/* Changed headers in place of stored ones. */
#include "workers/connection/variant.h"
#include "engine/mime/edit.h"
#include "workers/connection/worker.h"
#include <errno.h>

/* A section as large as one may be, and the fields that we put on top of it. */
enum { SECTION = LIMIT_HEADERS + 4 * LIMIT_RECEIVED };

static unsigned char section[SECTION];
static unsigned char changed[SECTION + LIMIT_EDIT_GROWTH];

void variant_free(struct worker *w, struct variant *v)
{
    chain_free(&w->chunks, &v->head);
    *v = (struct variant){0};
}

/* The begin of the stored mail into `section`; bytes, or -errno. */
static ssize_t read_begin(struct worker *w, struct mail *m)
{
    size_t n = 0;
    if (!(m->flags & MAIL_LARGE))
        return (ssize_t)chain_copy(&m->content, 0, section, sizeof section);
    while (n < sizeof section) {
        ssize_t got = spool_read(w->spool, &m->ref, n, section + n, sizeof section - n);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

int variant_make(struct worker *w, struct mail *m, unsigned number, struct variant *v)
{
    if (number == v->number)
        return 0;
    variant_free(w, v);
    if (number == 0)
        return 0;
    struct span edits = edits_variant(mail_span(m, m->edits), number);
    ssize_t got = read_begin(w, m);
    if (got < 0)
        return (int)got;
    size_t n = edit_section(span_of(section, (size_t)got));
    if (n == 0 && (uint64_t)got == m->size) /* a mail without a body */
        n = (size_t)got;
    size_t length = edits_apply(edits, span_of(section, n), changed, sizeof changed);
    uint32_t crc = m->flags & MAIL_LARGE ? spool_crc(0, span_of(section, n)) : 0;
    bool whole = n == m->size && (m->flags & MAIL_LARGE);
    /* Without a section's end where one was found when the mail came, it is not that mail. */
    if (edits.n == 0 || n == 0 || length == 0 || (whole && crc != m->body_crc))
        return -EBADMSG;
    if (!chain_append(&w->chunks, &v->head, span_of(changed, length)))
        return -ENOBUFS;
    v->number = number;
    v->skipped = n;
    v->crc = crc;
    return 0;
}

uint64_t variant_size(const struct variant *v, const struct mail *m)
{
    return m->size - v->skipped + v->head.length;
}

int variant_piece(struct worker *w, const struct variant *v, struct mail *m, uint64_t offset,
                  struct span *piece, bool *stored)
{
    struct iovec iov;
    *stored = offset >= v->head.length;
    if (*stored)
        return mail_piece(w, m, offset - v->head.length + v->skipped, piece);
    if (chain_iovecs(&v->head, (size_t)offset, &iov, 1) == 0)
        return -EIO;
    *piece = span_of(iov.iov_base, iov.iov_len);
    return 0;
}
