/* The group commit: the plan of a batch, and what comes of its results. */
#include "engine/spool/internal.h"
#include "status.h"
#include <errno.h>
#include <unistd.h>

static struct batch *other(struct spool *s, struct batch *b)
{
    return b == &s->batches[0] ? &s->batches[1] : &s->batches[0];
}

static void describe(const struct batch *b, struct spool_io *io)
{
    *io = (struct spool_io){.fd = -1,
                            .iov = b->iov,
                            .iov_count = b->iov_count,
                            .length = b->length,
                            .sync = b->sync,
                            .mails = b->mails,
                            .mail_count = b->mail_count};
}

/* Deliveries and deferrals of a batch that came to nothing are tried again. */
static void carry(struct spool *s, const struct batch *from)
{
    unsigned lost = batch_carry(s->gathering, from);
    if (lost > 0)
        spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_DROPPED, .length = lost});
}

/* A segment with room for the batch, and the names of the large files that it refers to. */
static enum spool_status ready_segment(struct spool *s, const struct batch *b)
{
    struct segment *g = segment_last(s);
    if (!s->appendable || b->length > LIMIT_SEGMENT - g->end) {
        enum spool_status status = segment_roll(s);
        if (status != SPOOL_OK)
            return status;
    }
    if (b->large && fsync(s->directory) != 0)
        return spool_system_failed(s, "fsync directory", errno);
    return SPOOL_OK;
}

enum spool_status spool_batch_start(struct spool *s, struct spool_io *io)
{
    struct batch *b = s->gathering;
    BUG_ON(s->flying || !s->recovered);
    describe(b, io);
    if (b->item_count == 0)
        return SPOOL_IDLE;
    s->gathering = other(s, b);
    batch_clear(s->gathering);
    enum spool_status status = ready_segment(s, b);
    if (status != SPOOL_OK) {
        carry(s, b);
        return status;
    }
    struct segment *g = segment_last(s);
    batch_freeze(b, g->seal);
    io->fd = g->fd;
    io->offset = g->end;
    s->flying = b;
    return SPOOL_OK;
}

/* Outcomes that came while the mail was on its way lie behind it in the log. False when it was
 * finished by them. */
static bool moved(struct spool *s, const struct batch_item *item)
{
    if (!spool_stored(item->replaces))
        return false;
    item->ref->left = item->replaces->left;
    segment_release(s, item->replaces);
    return true;
}

/* From now on its mails count. */
static void stored(struct spool *s, struct segment *g, const struct batch *b)
{
    uint32_t base = g->end;
    for (unsigned i = 0; i < b->item_count; i++) {
        const struct batch_item *item = &b->items[i];
        if (item->finished_large)
            large_remove(s, item->finished_large);
        if (!item->mail)
            continue;
        item->ref->offset += base;
        item->ref->body_offset += base;
        if (item->replaces && !moved(s, item))
            continue;
        item->ref->segment = g->sequence;
        g->live++;
        s->live++;
    }
    g->end = base + b->length;
    if (b->sync)
        g->synced = g->end;
}

/* The segment's end is where this batch began, and the next one's head says so at once: then a
 * recovery can't take for stored what was answered with 4xx. When the next one can't be made now,
 * it is when the next batch starts. */
static enum spool_status failed(struct spool *s, const struct batch *b, int error)
{
    struct segment *g = segment_last(s);
    s->error = error;
    spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_BATCH_FAILED,
                                       .segment = g->sequence,
                                       .offset = g->end,
                                       .length = b->length,
                                       .error = error});
    s->appendable = false;
    (void)segment_roll(s);
    s->error = error;
    carry(s, b);
    return error == ENOSPC || error == EDQUOT ? SPOOL_FULL : SPOOL_FAILED;
}

enum spool_status spool_batch_finish(struct spool *s, ssize_t written, int synced)
{
    struct batch *b = s->flying;
    BUG_ON(!b);
    s->flying = NULL;
    if (written < 0)
        return failed(s, b, (int)-written);
    if ((size_t)written != b->length)
        return failed(s, b, ENOSPC);
    if (b->sync && synced != 0)
        return failed(s, b, -synced);
    stored(s, segment_last(s), b);
    return SPOOL_OK;
}
