/*
 * control: the operator's door. Local clients connect to a Unix socket and send requests, one JSON
 * object a line; each answer is a number of JSON lines, the last with "end":true and "ok".
 *
 * Nothing here waits for anybody: a slow client, a worker that hangs and a busy master each
 * hold up only the client that asked, and that one only for a bounded time. One page of the
 * queue and one batch of an answer are held a client, however long the queue is.
 */
#ifndef MGID_CONTROL_H
#define MGID_CONTROL_H

#include "engine/counters/counters.h"
#include "engine/ipc/ipc.h"
#include "limits.h"
#include "span.h"
#include <jansson.h>
#include <sys/types.h>

/* A connection worker as the master named it: flow and index stay over a restart. */
struct control_worker {
    char flow[LIMIT_NAME + 1];
    uint16_t index;
    int fd;                     /* -1: no channel */
    bool dropped;               /* the policy has it no more, and the process has ended */
    struct counters_page *page; /* or NULL */
    unsigned starts;            /* channels to it that there have been */
};

/* Who an answer is awaited from: the index of a worker, or one of these. */
enum { CONTROL_NOBODY = -1, CONTROL_MASTER = -2 };

struct control_request;
struct MHD_Daemon;

/* What a client asked, while it is being answered. */
struct control_job {
    const struct control_request *request; /* NULL: nothing is asked */
    int awaited;                           /* worker, CONTROL_MASTER or CONTROL_NOBODY */
    uint64_t id;                           /* of the message that is to be answered */
    uint64_t deadline;                     /* of that answer */
    bool incomplete;                       /* somebody did not answer */
    /* queue-list and the like */
    unsigned worker;           /* whose mails are listed now */
    uint64_t after;            /* the last queue id that it sent */
    uint64_t left;             /* mails that may still be listed */
    uint64_t mails;            /* listed so far */
    bool more;                 /* there are mails that were not listed */
    bool page_more;            /* the worker has more than this page */
    struct control_walk *walk; /* of the queue's requests, else NULL */
    /* suspend, resume */
    char route[LIMIT_NAME + 1];
};

struct control_client {
    int fd; /* -1: free */
    uid_t uid;
    pid_t pid;
    uint64_t deadline; /* of the next request, or of taking the answer */
    bool stalled;      /* takes nothing since `deadline` was set */
    bool closing;      /* closed when `out` was sent */
    size_t in_n;
    char in[LIMIT_ADMIN_REQUEST];
    char *out;
    size_t out_n;
    size_t out_sent;
    size_t out_capacity;
    struct control_job job;
};

struct control {
    int master;
    int listener;               /* -1: none */
    struct MHD_Daemon *metrics; /* NULL: not served */
    uid_t owner;                /* may ask, besides root */
    uint32_t generation;
    uint64_t now;       /* microseconds, monotonic; set once a turn of the loop */
    uint64_t last_id;   /* of messages sent */
    uint64_t accept_at; /* no accept before */
    bool draining;
    uint64_t drain_until;
    unsigned worker_count;
    struct control_worker workers[LIMIT_ADMIN_WORKERS];
    struct control_client clients[LIMIT_ADMIN_CLIENTS];
};

/* ---- loop.c ----------------------------------------------------------------------------- */

uint64_t control_clock(void);
/* Microseconds since 1970. */
uint64_t control_wall(void);

/* Until drained. */
void control_serve(struct control *control);

/* ---- channel.c -------------------------------------------------------------------------- */

/* A descriptor that the master sent, at start or later; owned by control from now on. */
void control_take_channel(struct control *control, struct span flow, unsigned index, int fd);
void control_take_counters(struct control *control, struct span flow, unsigned index, int fd);
/* -1: none any more. */
void control_take_listener(struct control *control, int fd);

/* Reads all that the master, or a worker, sent. */
void control_master_readable(struct control *control);
void control_worker_readable(struct control *control, unsigned worker);

/* Sends m to a worker or to CONTROL_MASTER and has the client await the answer, which carries the
 * id that *id (a field of m) is set to. Why it could not be sent, or NULL. */
const char *control_ask(struct control *control, struct control_client *client, int whom,
                        struct ipc_message *m, uint64_t *id, unsigned seconds);

/* ---- client.c --------------------------------------------------------------------------- */

/* Takes new clients; refuses those that may not ask or are too many. */
void client_accept(struct control *control);

/* What poll is to look for. */
short client_events(const struct control_client *client);

/* When client_step is due at the latest, whatever poll says; UINT64_MAX: never. */
uint64_t client_due(const struct control_client *client);

/* Reads, works and writes, as far as it goes without waiting. */
void client_step(struct control *control, struct control_client *client, short revents);

void client_close(struct control_client *client);

/* Adds a line to the answer; takes the reference to object. NULL, as when memory has run out,
 * closes the client once the rest is sent. */
void client_line(struct control_client *client, json_t *object);

/* Adds the last line of the answer (the keys of `end`, a reference that is taken, or NULL) and ends
 * the job. error NULL: ok. */
void client_end(struct control_client *client, json_t *end, const char *error);

/* A role's refusal (at most LIMIT_REASON bytes, by messages.def) as text in out; out. */
const char *refusal_text(struct span refused, char out[LIMIT_REASON + 1]);

/* ---- roles.c ---------------------------------------------------------------------------- */

/* A process as the master's list tells of it. */
struct control_process {
    unsigned role;
    unsigned index;
    struct span flow; /* points into the list */
    uint32_t pid;
    uint32_t restarts;
    uint64_t started; /* seconds since 1970 */
    unsigned state;   /* enum process_state */
};

/* Takes the next process from the list in *r; false at its end, and when what follows is
 * malformed: then r->bad is set. */
bool roles_next(struct msg_reader *r, struct control_process *process);

/* Is the worker in the list? A malformed list excludes nobody. */
bool roles_have_worker(struct span roles, const struct control_worker *worker);

/* ---- requests.c ------------------------------------------------------------------------- */

struct control_request {
    const char *command;
    const char *keys; /* that it takes besides "command", each with a blank before and behind */
    /* Starts the answer; the values of the keys are of their kind. */
    void (*begin)(struct control *control, struct control_client *client, json_t *object);
    /* The awaited answer came. */
    void (*answer)(struct control *control, struct control_client *client,
                   const struct ipc_message *m);
    /* It will not come: whose, and why. */
    void (*lost)(struct control *control, struct control_client *client, int whom, const char *why);
    /* The client takes more lines; NULL where there is nothing to continue. */
    void (*proceed)(struct control *control, struct control_client *client);
};

/* Begins the request in a line, or answers what is wrong with it. */
void request_begin(struct control *control, struct control_client *client, struct span line);

/* Tells the jobs that await it. `whom` as in control_ask. */
void request_answer(struct control *control, int whom, uint64_t id, const struct ipc_message *m);
void request_peer_lost(struct control *control, int whom, const char *why);

/* {"type":"unanswered", who, "error":why}; marks the answer as incomplete. */
void request_unanswered(struct control *control, struct control_client *client, int whom,
                        const char *why);

#define REQUEST(command, keys, function, proceed)                                                  \
    void function##_begin(struct control *, struct control_client *, json_t *);                    \
    void function##_answer(struct control *, struct control_client *, const struct ipc_message *); \
    void function##_lost(struct control *, struct control_client *, int, const char *);
#include "workers/control/requests.def"
#undef REQUEST
void queue_proceed(struct control *, struct control_client *);
void route_proceed(struct control *, struct control_client *);
void drain_proceed(struct control *, struct control_client *);

/* What a job of the queue's keeps; NULL is one. */
void queue_free(struct control_walk *walk);

/* ---- page.c ----------------------------------------------------------------------------- */

/* Takes the next mail off a page; NULL when it is malformed or not above *last (then r->bad is
 * set), or memory is out. *last becomes its id. */
json_t *page_take_mail(const struct control_worker *worker, struct msg_reader *r, uint64_t *last);

/* A JSON string of any bytes: those that are not UTF-8 become U+FFFD. NULL without memory. */
json_t *json_of_span(struct span text);

#endif
