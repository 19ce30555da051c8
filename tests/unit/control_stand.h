/*
 * control_stand: the control program as it is built, sandboxed, with the test as its master, its
 * workers and its clients. Failures are those of Check.
 */
#ifndef MGID_CONTROL_STAND_H
#define MGID_CONTROL_STAND_H

#include "engine/admin/client.h"
#include "engine/counters/counters.h"
#include "engine/ipc/ipc.h"
#include <jansson.h>

enum { WORKERS = 3, ROLE_UID = 61804 };

struct control_stand {
    char program[4096];
    char directory[32];
    char socket_path[64];
    pid_t pid;
    int master; /* the master's end of control's channel */
    int workers[WORKERS];
    struct counters_page *pages[WORKERS];
};

extern struct control_stand stand;
extern const char *const flows[WORKERS];
extern const uint16_t indexes[WORKERS];

/* Finds the program beside the test's own, argv[0]. */
void stand_program(const char *self);

/* Fixture: a control that serves; and its orderly end. */
void stand_start(void);
void stand_stop(void);

/* Waits until the program has ended; its wait status. */
int stand_wait_end(void);

/* From the master to control. */
void stand_send(struct ipc_message m);

/* Gives worker i, at first or anew: channel and counters. */
void stand_worker(unsigned i);

/* The next message, within 5 seconds, of LIMIT_MESSAGE bytes of buffer. */
void stand_receive(int fd, enum role from, enum role to, unsigned char *buffer,
                   struct ipc_message *m);

/* A client that has asked; request NULL: not yet. */
struct admin_client ask(const char *request);

/* The next line of the answer, the caller's to json_decref. */
json_t *next(struct admin_client *client);

/* Members that must be there. */
const char *text_of(json_t *object, const char *key);
json_int_t number_of(json_t *object, const char *key);

/* The next line is the last of an answer. */
void ends(struct admin_client *client, bool ok);

/* Control closes the connection, and so does this. */
void closed(struct admin_client *client);

#endif
