/*
 * Any role, as far as the master can tell: for tests of the master. The program's name says which
 * role it plays, and the file "behaviour" beside it (lines "ROLE WORD") how it behaves:
 *
 *   crash         ends with 1 as soon as it serves
 *   violate       makes a system call that no role makes
 *   stay          ignores `drain`
 *   unusable      the keeper finds every generation unusable
 *   silent        the compiler never answers
 *   babble        sends the master what only control may send
 *
 * It logs what it was handed and each message that it gets, with the event "fake".
 */
#include "engine/log/log.h"
#include "engine/sandbox/role.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct role_start start;
static struct sandbox_request request = {.root = -1};
static char behaviour[64];
static int peers[LIMIT_ROLE_ITEMS];
static unsigned peer_count;

static enum role find_role(void)
{
    char exe[LIMIT_PATH], line[128], role[64], word[64], path[LIMIT_PATH + 16];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n < 0)
        exit(EXIT_OSERR);
    exe[n] = '\0';
    char name[64];
    (void)snprintf(name, sizeof name, "%s", strrchr(exe, '/') + 1);
    (void)snprintf(path, sizeof path, "%s/behaviour", dirname(exe));
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "%63s %63s", role, word) == 2 && strcmp(role, name) == 0)
            (void)snprintf(behaviour, sizeof behaviour, "%s", word);
    if (f != NULL)
        (void)fclose(f);
    for (unsigned r = 0; r < ROLE_COUNT; r++)
        if (strcmp(role_name(r), name) == 0)
            return (enum role)r;
    exit(EXIT_USAGE);
}

static bool behaves(const char *word)
{
    return strcmp(behaviour, word) == 0;
}

static void send(const struct ipc_message *m)
{
    if (ipc_send(start.master, m) != IPC_OK)
        exit(EXIT_UNAVAILABLE);
}

static void log_message(const struct ipc_message *m)
{
    log_begin(LOG_INFO, "fake");
    log_text("got", ipc_kind_name(m->kind));
    if (m->kind == MSG_image)
        log_number("generation", m->image.generation);
    if (m->kind == MSG_peer) {
        log_text("peer", role_name(m->peer.role));
        log_span("peer_flow", m->peer.flow);
        log_number("peer_index", m->peer.index);
    }
    log_end();
}

static void take(const struct ipc_message *m)
{
    log_message(m);
    if (m->kind == MSG_drain && !behaves("stay"))
        exit(EXIT_OK);
    if (m->kind == MSG_log_file)
        log_set_fd(m->fds[0]);
    if (m->kind == MSG_generation_check)
        send(&(struct ipc_message){
            .kind = MSG_generation_verdict,
            .fds = {-1, -1},
            .generation_verdict = {.generation = m->generation_check.generation,
                                   .usable = !behaves("unusable"),
                                   .report =
                                       behaves("unusable") ? SPAN_LIT("a bad key") : SPAN_EMPTY}});
}

static void log_start(void)
{
    unsigned counts[MSG_KIND_COUNT] = {0};
    for (unsigned i = 0; i < start.count; i++)
        counts[start.items[i].kind]++;
    log_begin(LOG_INFO, "fake");
    log_text("got", "start");
    log_number("uid", start.uid);
    log_bool("privileged", start.privileged);
    log_number("generation", start.generation);
    log_bool("drain_only", start.drain_only);
    log_number("peers", counts[MSG_peer]);
    log_number("listeners", counts[MSG_listener]);
    log_number("counters", counts[MSG_counters]);
    log_number("identities", counts[MSG_identity_files]);
    log_number("trusts", counts[MSG_trust_file]);
    log_end();
}

static void keep_all(void)
{
    for (unsigned i = 0; i < start.count; i++)
        for (unsigned k = 0; k < ipc_kind_descriptors(start.items[i].kind); k++)
            sandbox_keep(&request, start.items[i].fds[k]);
    if (start.image >= 0)
        sandbox_keep(&request, start.image);
    if (start.shard >= 0) {
        sandbox_keep(&request, start.shard);
        request.root = start.shard;
        request.directories[request.directory_count++] =
            (struct sandbox_directory){start.shard, true};
    }
    for (unsigned i = 0; i < start.count; i++)
        if (start.items[i].kind == MSG_peer)
            peers[peer_count++] = start.items[i].fds[0];
}

/* A mail that waits, so that the shard is not empty; a worker that empties it has less to do. */
static void use_shard(void)
{
    if (start.shard < 0)
        return;
    int lock = openat(start.shard, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        fatal_env(EXIT_IOERR, errno, "lock");
    if (start.drain_only) {
        (void)unlinkat(start.shard, "mail", 0);
        exit(EXIT_OK);
    }
    int fd = openat(start.shard, "mail", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        fatal_env(EXIT_IOERR, errno, "shard");
    (void)close(fd);
}

int main(int argc, char **argv)
{
    static unsigned char buffer[LIMIT_MESSAGE];
    enum role role = find_role();
    role_acquire(role, argc, argv, &start);
    log_start();
    keep_all();
    role_seal(&start, &request);
    use_shard();
    if (role == ROLE_COMPILER && behaves("silent"))
        exit(EXIT_OK);
    if (behaves("crash"))
        exit(1);
    if (behaves("violate"))
        (void)fork();
    if (behaves("babble"))
        send(&(struct ipc_message){.kind = MSG_reload_request, .fds = {-1, -1}});
    for (;;) {
        struct ipc_message m;
        struct pollfd fds = {.fd = start.master, .events = POLLIN};
        (void)poll(&fds, 1, -1);
        enum ipc_status status = ipc_receive(start.master, ROLE_MASTER, role, buffer, &m);
        if (status == IPC_OK)
            take(&m);
        else if (status != IPC_AGAIN)
            exit(EXIT_UNAVAILABLE);
    }
}
