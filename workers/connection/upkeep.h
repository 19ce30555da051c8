/*
 * upkeep: what the spool wants done beside the commits: segments made ahead and freed, files of
 * large mails removed. Whatever may wait for the disk goes through the ring, one thing at a time.
 */
#ifndef MGID_UPKEEP_H
#define MGID_UPKEEP_H

#include "engine/ring/ring.h"

struct worker;

/* Begins the next thing, when there is one and none is under way. Once a turn. */
void upkeep_turn(struct worker *w);

void upkeep_done(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe);

#endif
