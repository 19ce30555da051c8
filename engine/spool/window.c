/* Reading a segment's file through a window. */
#include "engine/spool/internal.h"
#include "status.h"

#define BLOCK 4096u

/* Blocks that the disk does not give are zero: they will not verify, but others will. */
static void read_blocks(struct window *w, unsigned char *out, size_t n, size_t offset)
{
    int error = 0;
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t part = n - i < BLOCK ? n - i : BLOCK;
        int e = read_exactly(w->fd, out + i, part, offset + i);
        if (e != 0) {
            memset(out + i, 0, part);
            error = -e;
        }
    }
    if (error != 0)
        (void)spool_system_failed(w->spool, "pread", error);
    w->failed |= error != 0;
}

static void fill(struct window *w, size_t wanted)
{
    size_t from = w->at + w->n, there = from < w->size ? w->size - from : 0;
    size_t n = wanted < there ? wanted : there;
    if (n > 0 && read_exactly(w->fd, w->buffer + w->n, n, from) != 0)
        read_blocks(w, w->buffer + w->n, n, from);
    memset(w->buffer + w->n + n, 0, wanted - n);
    w->n += wanted;
}

struct span window_view(void *context, size_t offset, size_t n)
{
    struct window *w = context;
    BUG_ON(n > RECORD_MAX || offset > w->limit);
    if (n > w->limit - offset)
        n = w->limit - offset;
    size_t skip = offset - w->at;
    if (offset < w->at || skip >= w->n) {
        w->at = offset;
        w->n = 0;
        skip = 0;
    }
    if (w->n - skip < n) {
        memmove(w->buffer, w->buffer + skip, w->n - skip);
        w->at += skip;
        w->n -= skip;
        skip = 0;
        size_t wanted = n - w->n < WINDOW_STEP ? WINDOW_STEP : n - w->n;
        if (wanted > w->limit - w->at - w->n)
            wanted = w->limit - w->at - w->n;
        fill(w, wanted);
    }
    return span_of(w->buffer + skip, w->n - skip);
}
