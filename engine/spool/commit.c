/* The group commit: the plan of a batch, and what comes of its results. */
#include "engine/spool/internal.h"
#include "crash_point.h"
#include "status.h"
#include <errno.h>

static struct batch *other(struct spool *s, struct batch *b)
{
    return b == &s->batches[0] ? &s->batches[1] : &s->batches[0];
}

static void describe(const struct batch *b, struct spool_io *io)
{
    *io = (struct spool_io){.directory = -1,
                            .fd = -1,
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

/* A segment with room for the batch. */
static enum spool_status ready_segment(struct spool *s, const struct batch *b)
{
    struct segment *g = segment_last(s);
    if (!s->appendable || b->length > s->segment_size - g->end)
        return segment_roll(s);
    return SPOOL_OK;
}

/* Where the batch goes. The first one of a segment brings its opening, and is synced. Towards the
 * segment's end all are, so that nothing is left to sync when it is left. */
static void place(struct spool *s, struct batch *b, struct spool_io *io)
{
    struct segment *g = segment_last(s);
    batch_freeze(b, g->seal);
    b->sync |= s->unopened || s->segment_size - g->end - b->length < s->segment_size / 8;
    io->fd = g->fd;
    io->offset = g->end;
    io->sync = b->sync;
    if (b->large)
        io->directory = s->directory;
    s->flying_opening = s->unopened;
    if (s->unopened) {
        *b->first = (struct iovec){.iov_base = s->opening, .iov_len = sizeof s->opening};
        io->offset = SEGMENT_HEAD;
        io->iov = b->first;
        io->iov_count++;
        io->length += sizeof s->opening;
    }
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
    place(s, b, io);
    s->flying = b;
    CRASH_POINT(BATCH_PLANNED);
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
            large_doom(s, item->finished_large);
        if (!item->mail)
            continue;
        item->ref->offset += base;
        item->ref->body_offset += base;
        if (item->replaces && !moved(s, item))
            continue;
        item->ref->segment = g->sequence;
        g->live++;
        s->live++;
        s->live_bytes += item->ref->length;
    }
    g->end = base + b->length;
    if (b->sync)
        g->synced = g->end;
    s->unopened = false;
}

/* The segment's end is where this batch began, and the next one's opening says so at once: then a
 * recovery can't take for stored what was answered with 4xx. When the next one can't be made now,
 * it is when the next batch starts. */
static enum spool_status failed(struct spool *s, const struct batch *b, int error, bool in_sync)
{
    struct segment *g = segment_last(s);
    /* What was written before and not synced may have been lost with this. */
    if (in_sync)
        g->end = g->synced;
    s->error = error;
    spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_BATCH_FAILED,
                                       .segment = g->sequence,
                                       .offset = g->end,
                                       .length = b->length,
                                       .error = error});
    s->appendable = false;
    g->suspect = true;
    if (s->flying_opening)
        segment_unroll(s);
    if (segment_roll(s) == SPOOL_OK)
        (void)segment_settle_opening(s);
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
        return failed(s, b, (int)-written, false);
    if ((size_t)written != b->length + (s->flying_opening ? sizeof s->opening : 0))
        return failed(s, b, ENOSPC, false);
    if (b->sync && synced != 0)
        return failed(s, b, -synced, true);
    CRASH_POINT(BATCH_SYNCED);
    stored(s, segment_last(s), b);
    CRASH_POINT(BATCH_STORED);
    return SPOOL_OK;
}
