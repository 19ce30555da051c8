/*
 * stream_input.h: what stream.c and stream_input.c share; nobody else includes it.
 */
#ifndef MGID_STREAM_INPUT_H
#define MGID_STREAM_INPUT_H

#include "workers/connection/stream.h"

/* Received bytes: handed on, or kept when the owner can't take them now. */
void stream_take(struct worker *w, struct stream *s, struct span received);

/* Works off what was kept, as far as the owner takes it; then tells the end, if it has come. */
void stream_pump(struct worker *w, struct stream *s);

/* The same after a pause or a wait of the handshake, and receives again. */
void stream_go_on(struct worker *w, struct stream *s);

bool stream_encrypt(struct worker *w, struct stream *s, struct span plain);
void stream_send_close_notify(struct worker *w, struct stream *s);

void stream_fail(struct worker *w, struct stream *s, int error);
void stream_drained(struct worker *w, struct stream *s);
/* Arms the receive, unless it is armed, makes no sense any more, or enough is kept. */
void stream_receive(struct worker *w, struct stream *s);
void stream_stop_receiving(struct worker *w, struct stream *s);

#endif
