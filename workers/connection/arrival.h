/*
 * arrival: from the accepted connection to the greeting: who the client is, by its own address or
 * by what a balancer says of it, and whether it may come in.
 */
#ifndef MGID_ARRIVAL_H
#define MGID_ARRIVAL_H

struct worker;

/* Somebody has connected to w->listeners[listener]; takes fd. */
void arrival_begin(struct worker *w, unsigned listener, int fd);

#endif
