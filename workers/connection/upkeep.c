/* The spool's upkeep through the ring. */
#include "workers/connection/upkeep.h"
#include "workers/connection/worker.h"
#include <fcntl.h>

void upkeep_turn(struct worker *w)
{
    struct spool_upkeep op;
    struct ring_tag tag = worker_tag(COMPLETION_UPKEEP, 0, 0);
    if (!spool_maintain(w->spool, &op))
        return;
    switch (op.kind) {
    case SPOOL_UPKEEP_SYNC:
        ring_sync_all(&w->ring, tag, op.fd, 1);
        break;
    case SPOOL_UPKEEP_RESERVE:
        ring_allocate(&w->ring, tag, op.fd, 0, op.size);
        break;
    case SPOOL_UPKEEP_EMPTY:
        ring_allocate(&w->ring, tag, op.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op.size);
        break;
    }
}

void upkeep_done(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe)
{
    (void)index;
    (void)generation;
    spool_maintained(w->spool, cqe->res);
}
