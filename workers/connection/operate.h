/*
 * operate: what an operator does to one queued mail. Deliveries under way are left alone: what
 * they come to counts, and the operator is told that they were.
 */
#ifndef MGID_OPERATE_H
#define MGID_OPERATE_H

#include "queue_action.h"
#include "span.h"

struct entry;
struct worker;

enum operated {
    OPERATED,         /* done, or on its way to the disk */
    OPERATED_NOTHING, /* it is so already */
    OPERATED_BUSY,    /* (some of it) being delivered or bounced, or not readable now */
    OPERATED_LATER,   /* being moved, or the spool's batch is full: not all was done; come again */
};

struct operation {
    enum queue_action action; /* any but QUEUE_LIST */
    struct span target;       /* QUEUE_REDIRECT: a route's name, or an address (with an @) */
    bool all;                 /* every recipient without an outcome is meant; else … */
    const bool *matched;      /* … these, by their index */
};

/* The entry may be gone afterwards. */
enum operated queue_operate(struct worker *w, struct entry *e, const struct operation *o);

#endif
