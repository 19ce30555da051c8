/*
 * sandbox: from the master's rights to the few that a role needs, in one function.
 *
 * The steps and the reason for their order are a table in sandbox.c; sandbox_enter takes them
 * in turn and ends the process when one fails. What a step may allow comes from the role
 * (syscalls.def) and from the request (directories, ports, descriptors), never from elsewhere.
 */
#ifndef MGID_SANDBOX_H
#define MGID_SANDBOX_H

#include "limits.h"
#include "roles.h"
#include "span.h"

/* A directory that stays reachable, by descriptor; files below it may be read, or also made,
 * written and removed. */
struct sandbox_directory {
    int fd;
    bool writable;
};

struct sandbox_request {
    enum role role;
    uint32_t uid; /* also the gid */
    bool privileged;
    /* The directory that becomes "/" when privileged; -1 for an empty one. */
    int root;
    struct sandbox_directory directories[LIMIT_SANDBOX_DIRECTORIES];
    unsigned directory_count;
    /* TCP ports that may be connected to; none means no TCP connect at all. */
    uint16_t connect_ports[LIMIT_CONNECT_PORTS];
    unsigned connect_port_count;
    bool connect_any_port; /* more ports than the table holds: no port rule, said in the log */
    /* Every descriptor that stays open besides 0, 1, 2; any other is a bug and fatal. */
    int descriptors[LIMIT_SANDBOX_DESCRIPTORS];
    unsigned descriptor_count;
    uint64_t max_descriptors; /* RLIMIT_NOFILE; 0 for LIMIT_ROLE_DESCRIPTORS */
    /* Set by role_seal. The channel to the master, looked at once more when the process is bound
     * to the master's life; -1 for none. It stays open (and need not be in the list). */
    int channel;
    /* System calls that the filter does not allow are logged by the kernel, not punished. For
     * finding out what a new line of syscalls.def must allow, never for service. */
    bool log_only;
    /* Whatever the kernel can't give of Landlock is fatal, instead of a word in the log. */
    bool required;
};

/* What the kernel could not give, for the log line "sandbox" and for the operator. */
struct sandbox_result {
    uint32_t uid;
    int landlock_abi;         /* 0: none */
    bool tcp_rules;           /* ports restricted (ABI 4) */
    bool scopes;              /* signals and abstract sockets (ABI 6) */
    uint64_t max_descriptors; /* what RLIMIT_NOFILE became; the hard limit may have been lower */
};

/* Adds a descriptor to the request's list; a full list is a bug. */
void sandbox_keep(struct sandbox_request *request, int fd);

/* Takes the steps and logs the line "sandbox". Never returns on failure (fatal_env names the step).
 * A listed descriptor that is not open is as fatal as an open one that is not listed. */
void sandbox_enter(const struct sandbox_request *request, struct sandbox_result *result);

#endif
