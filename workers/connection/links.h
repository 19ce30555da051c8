/*
 * links: the worker's channels to the other roles.
 *
 * Requests carry an id that names the asking slot and its generation, so an answer that comes
 * after the asker has gone finds nobody. When a role dies, everybody who waits for it is told at
 * once that there is no answer (the mail is deferred, the session answered 4xx); the master
 * brings a new channel.
 */
#ifndef MGID_LINKS_H
#define MGID_LINKS_H

#include "engine/ipc/ipc.h"
#include "engine/ring/ring.h"

struct worker;
struct stream;
struct role_start;

enum link_number { LINK_KEEPER, LINK_RESOLVER, LINK_CONTROL, LINK_COUNT };

/* A packet that the socket had no room for. */
struct backlog_entry {
    unsigned char *packet; /* malloc'ed */
    size_t n;
};

struct link {
    int fd; /* -1: the role is not there */
    bool armed;
    uint32_t generation; /* of the channel: completions of an older one are dropped */
    struct backlog_entry backlog[LIMIT_LINK_BACKLOG];
    unsigned backlog_first, backlog_count;
};

struct links {
    struct link link[LINK_COUNT];
    /* The master's messages bring descriptors: polled, and taken by system call. */
    int master;
    bool master_armed;
    unsigned char buffer[LIMIT_MESSAGE];
};

/* Takes the channels of the start items. */
void links_begin(struct worker *w, const struct role_start *start);

/* Arms the receives. */
void links_serve(struct worker *w);

/* Sends what an earlier turn had no room for. */
void links_flush(struct worker *w);

/* ---- to the keeper ---------------------------------------------------------------------- */
void keeper_ask_chain(struct worker *w, uint64_t id, uint32_t generation, uint16_t identity);
void keeper_ask_signature(struct worker *w, struct stream *s);
void keeper_ask_verdict(struct worker *w, struct stream *s);

/* ---- to the resolver -------------------------------------------------------------------- */
/* False: the resolver is not there. The answer goes to destination_found by id. */
bool resolver_ask(struct worker *w, uint64_t id, uint8_t kind, struct span name,
                  uint16_t tlsa_port);

/* ---- to control ------------------------------------------------------------------------- */
void link_answer_control(struct worker *w, const struct ipc_message *m);

/* ---- completions ------------------------------------------------------------------------ */
void link_received(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe);
void master_received(struct worker *w, uint32_t index, uint32_t generation,
                     struct io_uring_cqe *cqe);

#endif
