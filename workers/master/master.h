/*
 * master: mgid's first process. It opens, binds, forks and restarts; it parses nothing that comes
 * from outside but the compiled image, which policy_open checks.
 *
 * One struct master holds all of its state; main.c owns it. Files of this folder, one subject each:
 * options, privileges (what root's rights shrink to), signals, children (start, end, restart),
 * topology (who has a channel to whom), loop (waiting and messages), compile (the compiler's run),
 * restart (the pure part of children), spawn, generation (files that a policy names), spool
 * (directories and lock), listeners (sockets), reload (from a policy's text to running roles),
 * stop, roles (the answer to roles_request).
 */
#ifndef MGID_MASTER_H
#define MGID_MASTER_H

#include "engine/ipc/ipc.h"
#include "policy/policy.h"
#include "process_state.h"
#include <sys/socket.h>
#include <sys/types.h>

/* ---- command line -----------------------------------------------------------------------------
 */

struct options {
    const char *policy;       /* path */
    char libexec[LIMIT_PATH]; /* directory of the roles' programs */
    bool check;               /* -t: compile and check, then exit */
    bool debug;               /* -d: system calls are logged, not denied */
};

/* Exits for -h, -V and mistakes. */
void options_parse(struct options *o, int argc, char **argv);

/* ---- processes --------------------------------------------------------------------------------
 */

/* A process that runs, or is to run again. */
struct process {
    bool used;
    enum role role;
    char flow[LIMIT_NAME + 1]; /* connection: its flow, else "" */
    uint16_t index;            /* connection: which of the flow's workers */
    bool drain_only;           /* connection: serves nobody, empties a shard that is left over */
    bool replace;              /* what it was started with no longer holds: drain, start anew */
    bool counters_known;       /* connection: control has its page of counters */
    enum process_state state;
    pid_t pid;         /* 0 when there is none */
    int channel;       /* -1 when there is none */
    int counters[2];   /* connection: for the worker, for control; kept over restarts */
    uint64_t bearings; /* what it was started with, see process_bearings */
    uint32_t restarts;
    uint32_t failures;     /* quick deaths in a row */
    uint64_t started;      /* monotonic milliseconds */
    uint64_t started_wall; /* seconds since 1970 */
    uint64_t restart_at;   /* PROCESS_WAITING */
    uint64_t kill_at;      /* draining: end of patience; 0 for none */
};

/* A channel between two processes (indexes of master.processes). An end whose process is not there
 * waits here, and with it whatever the other one has already sent. */
struct wire {
    bool used;
    unsigned process[2];
    int waiting[2];
};

/* ---- what a policy stands for -----------------------------------------------------------------
 */

/* A compiled policy and the files that it names, held open so that a role that is restarted gets
 * what its generation was checked with. */
struct generation {
    uint32_t number; /* 0: none yet */
    int image;
    struct policy policy;
    unsigned identities;
    unsigned trusts;
    int identity_files[LIMIT_POLICY_IDENTITIES][2]; /* certificate, key */
    int passphrase_files[LIMIT_POLICY_IDENTITIES]; /* -1: none */
    int trust_files[LIMIT_POLICY_TRUSTS];
    int crl_files[LIMIT_POLICY_TRUSTS]; /* -1: none */
    uint64_t stamp;                     /* of the files, when they were opened */
};

/* A listening socket. Each worker has its own of an address (SO_REUSEPORT), and the master keeps
 * it over the worker's restarts, so that connections wait instead of being refused. */
struct listening {
    int fd;
    char flow[LIMIT_NAME + 1];
    uint16_t worker;
    struct policy_address address;
    uint16_t port;
    uint32_t opened; /* generation that opened it */
    uint32_t wanted; /* last generation that wanted it */
};

enum reload_step {
    RELOAD_IDLE,
    RELOAD_COMPILING, /* the compiler runs */
    RELOAD_CHECKING,  /* the keeper looks at keys and certificates */
};

struct reload {
    enum reload_step step;
    bool again;          /* asked for once more meanwhile */
    bool asked;          /* by control: it waits for the result */
    uint64_t id;         /* of control's request */
    uint64_t give_up_at; /* monotonic milliseconds */
    uint64_t begun;
    uint32_t last;          /* the last number that a generation was given */
    int text;               /* the policy's file, while the compiler runs; else -1 */
    struct generation next; /* while the keeper checks it; not used at the start */
    int control;            /* the admin socket of a new path; -1 when it stays */
};

/* Of the files that the running generation names. */
struct watch {
    uint64_t at;    /* of the next look, monotonic milliseconds */
    uint64_t seen;  /* generation_stamp of the last look */
    uint64_t tried; /* … that was put to the test last, whatever came of it */
};

enum stop_step { STOP_NOT, STOP_WORKERS, STOP_OTHERS };

/* What a text is collected in that the operator gets to see (LIMIT_REPORT). */
struct report {
    size_t n;
    char text[LIMIT_REPORT + 1];
};

struct master {
    struct options options;
    bool privileged; /* root */
    bool up;         /* the first generation was found usable: all roles are started */
    bool serving;    /* all of them were there once */
    int signals;     /* signalfd */
    int spool_lock;  /* held as long as this process lives; -1 before */
    int spool;       /* directory */
    int control;     /* listening admin socket; -1 before */
    int log;         /* of the policy's log_file; -1: stderr */
    uint64_t started_wall;
    struct generation generation; /* the running one */
    struct reload reload;
    struct watch watch;
    struct report report; /* of the reload that is under way */
    enum stop_step stop;
    bool emptying; /* mgictl drain: ends when its workers have nothing left */
    char empty_to[LIMIT_NAME + 1];
    enum exit_status exit_status;
    bool done;
    struct process processes[LIMIT_PROCESSES];
    struct wire wires[LIMIT_WIRES];
    struct listening listening[LIMIT_LISTENING];
    unsigned listening_count;
    unsigned char buffer[LIMIT_MESSAGE];
};

uint64_t now_ms(void);

/* ---- privileges, signals ----------------------------------------------------------------------
 */

/* no_new_privs; as root, only the capabilities that the table gives a reason for. */
void privileges_reduce(bool root);

/* Blocks the signals that the master handles; returns a descriptor to read them from. */
int signals_open(void);
/* In a new process before it executes: nothing blocked, nothing ignored. */
void signals_reset(void);
void signals_read(struct master *m);

/* ---- children ---------------------------------------------------------------------------------
 */

/* The process of that role (and flow and index); NULL when there is none. */
struct process *process_find(struct master *m, enum role role, const char *flow, unsigned index);
/* A new entry, not running and not due; NULL when there are too many. */
struct process *process_add(struct master *m, enum role role, const char *flow, unsigned index);
void process_remove(struct master *m, struct process *p);

/* Forks and executes the role and hands it all that the running generation gives it. When that
 * fails it is logged, and tried again as after a death. */
void process_start(struct master *m, struct process *p);

/* Sends; a role that has gone or leaves its channel full is killed, to be started anew. */
void process_send(struct master *m, struct process *p, const struct ipc_message *message);

/* Tells the process to finish within the time and then end. */
void process_drain(struct master *m, struct process *p, unsigned milliseconds);
void process_kill(struct process *p);

/* Takes the exit status of every child that has ended, and decides on what follows. */
void children_reap(struct master *m);
/* Asks the loop for what is left in the channel of a process that ended. */
void loop_receive(struct master *m, struct process *p);
/* Restarts what is due, kills what is over its time; *next becomes the earliest time of what is
 * still to come. */
void children_tick(struct master *m, uint64_t now, uint64_t *next);

/* The pause before a role is started again, in milliseconds, when it lived that long. Pure. */
unsigned restart_pause(uint32_t *failures, uint64_t lived);

/* A number that changes when a process must be restarted because of a new policy. Pure. */
uint64_t process_bearings(const struct policy *policy, const struct process *p);

/* ---- topology ---------------------------------------------------------------------------------
 */

/* Hands p its end of every channel that topology.def gives it, and the other ends to the processes
 * that run. */
void topology_connect(struct master *m, struct process *p);
/* p will not come back: its channels go. */
void topology_forget(struct master *m, const struct process *p);

/* ---- generations ------------------------------------------------------------------------------
 */

void generation_clear(struct generation *g);
/* Maps the image (taking the descriptor) and opens the files that it names. False with text in
 * report. g is cleared then. */
bool generation_open(struct generation *g, uint32_t number, int image, struct report *report);
void generation_close(struct generation *g);
/* A number that changes when one of the files that it names is replaced, written, or goes. */
uint64_t generation_stamp(const struct generation *g);
/* Sends identity and trust files to the keeper. */
void generation_send_files(struct master *m, struct process *keeper, struct generation *g);

/* Opens a regular file for reading, without waiting for a pipe's writer. -1 with errno. */
int open_regular(const char *path);
/* A span of the image as a C string; false when it is too long or holds a NUL. */
bool copy_text(char *out, size_t capacity, struct span text);

void report_add(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_add_span(struct report *r, struct span text);

/* ---- spool ------------------------------------------------------------------------------------
 */

/* The lock, and the directories; at the first generation only. False with text in report; sets
 * m->exit_status to EXIT_TEMPFAIL when another mgid holds the spool. */
bool spool_open(struct master *m, const struct policy *policy, struct report *report);
/* Is there something left of a flow that the policy does not have? False with text in report. */
bool spool_check(struct master *m, const struct policy *policy, struct report *report);
/* The worker's shard, made and owned as it must be. -1 with the reason logged. */
int spool_shard(struct master *m, const struct process *p, uint32_t uid);
/* Adds a process with drain_only for every shard that is left over and not empty. */
void spool_leftovers(struct master *m);
/* Removes the shard's directory if it is empty. */
void spool_remove_shard(struct master *m, const struct process *p);

/* ---- listeners --------------------------------------------------------------------------------
 */

/* Opens what the generation wants and is not open yet. False with text in report; then
 * listeners_abort. */
bool listeners_prepare(struct master *m, const struct generation *g, struct report *report);
/* Closes those that only the generation of that number opened. */
void listeners_abort(struct master *m, uint32_t number);
/* Closes those that the generation of that number does not want. */
void listeners_commit(struct master *m, uint32_t number);
/* Those of every flow: no more mail. The metrics' stays. */
void listeners_close(struct master *m);
void listeners_send(struct master *m, struct process *worker);
/* To control: the socket of the metrics, when the policy has one. */
void listeners_send_metrics(struct master *m, struct process *control);

/* The admin socket: made, bound, listening. -1 with text in report. */
int control_listen(struct span path, struct report *report);
void control_unlink(const struct policy *policy);

/* ---- log file ---------------------------------------------------------------------------------
 */

/* Opens the policy's log file (anew) and tells every running role. A file that can't be opened is
 * logged, and the one before stays in use. */
void log_file_open(struct master *m, const struct policy *policy);

/* ---- reload, stop, status ---------------------------------------------------------------------
 */

/* From the policy's text; the first time this is the start. */
void reload_begin(struct master *m);
void reload_tick(struct master *m, uint64_t now, uint64_t *next);
/* Looks at the certificates' and trust stores' files; when they have changed, and rest, they are
 * put to the test and into service as by a reload, without the policy's text. */
void watch_tick(struct master *m, uint64_t now, uint64_t *next);
/* The running policy with its files opened anew. */
void reload_files(struct master *m);
/* A process ended; a reload may wait for it. */
void reload_lost(struct master *m, const struct process *p);
/* One worker after the other is drained and started anew, when a reload made that necessary. */
void reload_roll(struct master *m, uint64_t now, uint64_t *next);

/* Handlers of messages, see loop.c. */
void on_started(struct master *m, struct process *from, const struct ipc_message *message);
void on_compiled(struct master *m, struct process *from, const struct ipc_message *message);
void on_not_compiled(struct master *m, struct process *from, const struct ipc_message *message);
void on_generation_verdict(struct master *m, struct process *from,
                           const struct ipc_message *message);
void on_reload_request(struct master *m, struct process *from, const struct ipc_message *message);
void on_empty_request(struct master *m, struct process *from, const struct ipc_message *message);
/* To a worker, while the node is emptied: its part. */
void empty_tell(struct master *m, struct process *p);
void on_roles_request(struct master *m, struct process *from, const struct ipc_message *message);

/* First drains; asked again, kills. */
void stop_begin(struct master *m);
/* The start failed: everything is ended, and mgid exits with the status (or the one that is set).
 */
void stop_failed(struct master *m, enum exit_status status);
void stop_tick(struct master *m, uint64_t now, uint64_t *next);

/* Until m->done. */
void loop_run(struct master *m);

#endif
