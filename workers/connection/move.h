/*
 * move: a queued mail is written to the current segment once more, and the old record let go only
 * when the new one is on disk: with another envelope for some recipients (redirect), or as it is,
 * so that an old segment can be freed. While it moves nothing else happens to it.
 */
#ifndef MGID_MOVE_H
#define MGID_MOVE_H

#include <stdbool.h>

struct mail;
struct spool_recipient;
struct worker;

/* The mail is in memory and nothing of it is under way. Recipients with `redirect` set go to
 * m->target: a route's name, or an address when it has an @. False: its content can't be had. */
bool move_begin(struct worker *w, struct mail *m);

/* What is stored of a recipient that goes elsewhere. */
void move_describe(const struct mail *m, struct spool_recipient *r);

/* The new record is in the batch: what was said of its recipients follows it. */
void move_deferrals(struct worker *w, struct mail *m);

/* The commit's end. */
void move_committed(struct worker *w, struct mail *m, bool ok);

/* Once a turn while the node is emptied by a route: sends mails there that go by another. Bounded.
 */
void move_away(struct worker *w);

/* Once a turn: moves mails on that hold back more segments than they should. Bounded. */
void move_on(struct worker *w);

#endif
