/*
 * role: how every role's process begins. The master executes it with one descriptor besides
 * stdin, stdout and stderr: its channel to the master, ROLE_MASTER_FD. All else comes as
 * messages, ended by `start`:
 *
 *     int main(int argc, char **argv) {
 *         static struct role_start start;
 *         role_acquire(ROLE_KEEPER, argc, argv, &start);    acquire
 *         ... open what must be opened with the master's rights, map, allocate ...
 *         role_seal(&start, &request);                      drop privileges, close the sandbox
 *         ... serve ...
 *     }
 *
 * role_seal ends by telling the master `started`.
 */
#ifndef MGID_ROLE_H
#define MGID_ROLE_H

#include "engine/ipc/ipc.h"
#include "engine/sandbox/sandbox.h"

enum { ROLE_MASTER_FD = 3 };

/* A descriptor that came with a message, and what the message said of it. */
struct role_item {
    enum msg_kind kind; /* peer, counters, listener, identity_files, trust_file, policy_text */
    int fds[LIMIT_MESSAGE_FDS];
    enum role role; /* peer, counters: whose */
    uint16_t index; /* peer, counters: which; listener, identity_files, trust_file: its number */
    uint32_t generation;            /* identity_files, trust_file */
    char text[LIMIT_ROLE_TEXT + 1]; /* peer, counters: flow; listener: address; policy_text: path */
};

struct role_start {
    enum role role;
    int master; /* ROLE_MASTER_FD */
    uint32_t uid;
    bool privileged; /* started by root: uid is to be taken and chroot to be done */
    bool debug;      /* the master's -d: system calls are logged, not denied */
    bool required;   /* the policy's "sandbox": "require" */
    int log;         /* descriptor that log lines go to; 2 until the master said otherwise */
    int image;       /* descriptor of the policy image, or -1 (the compiler) */
    uint32_t generation;
    int shard; /* connection: its directory, or -1 */
    uint16_t shard_index;
    uint16_t flow_index;
    bool drain_only;
    char flow[LIMIT_NAME + 1];
    unsigned count;
    struct role_item items[LIMIT_ROLE_ITEMS];
};

/* Receives until `start`. A message that the role does not expect, a second image, too many
 * items, or the master's end is fatal; `drain` ends the process with 0. Ignores SIGPIPE, SIGINT,
 * SIGHUP, SIGTERM and SIGUSR1 (the master forwards what matters as messages; a service manager
 * that signals the whole group must not cut a drain short). Names the process for top and the log;
 * the name that ps shows is the argv[0] that the master gave. `log_file` is done here. */
void role_acquire(enum role role, int argc, char **argv, struct role_start *start);

/* Takes the sandbox steps (see sandbox.h) with start's uid; role, uid, privileged, channel and
 * log_only of the request are set from start, and the master's channel and the log's descriptor are
 * kept; every other descriptor that is open must have been named with sandbox_keep. Sends
 * `started`. Does not return on failure. */
void role_seal(const struct role_start *start, struct sandbox_request *request);

#endif
