/*
 * recovery: the shard at start: taken, read, its mails queued.
 */
#ifndef MGID_RECOVERY_H
#define MGID_RECOVERY_H

struct worker;

/* Opens and recovers w->spool; ends the process when another one has the shard. */
void recovery_run(struct worker *w);

#endif
