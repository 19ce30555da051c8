/*
 * What a closed sandbox denies, tried: each case forks a process that closes its sandbox as a role
 * would and then attempts one act. Every case runs as an ordinary user and, when the tests run as
 * root, with root's rights given up in the sandbox (privileged).
 */
#include "engine/sandbox/sandbox.h"
#include "engine/log/log.h"
#include "status.h"
#include "tests/unit/suite.h"
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TEST_UID = 61234, TEST_DESCRIPTORS = 100 };
enum { DONE = 0, NOT_DONE = 1 }; /* how the child ends when the act did not kill it */
enum { KILLED = 256 + SIGSYS, ABORTED = 256 + SIGABRT };

/* What a case is given. `outside` is a descriptor that is open but not listed when asked for. */
struct scene {
    enum role role;
    bool privileged;
    int directory;   /* writable to the role */
    int listener;    /* of another process */
    uint16_t port;   /* of the listener */
    pid_t bystander; /* a process of the same uid */
    struct sandbox_request request;
    struct sandbox_result result;
};

static char directory_path[64];

/* Returns DONE when the system call succeeded, NOT_DONE when it was refused as it should be with
 * EACCES or EPERM (or ENOENT: chroot), and the errno plus 2 otherwise. */
static int refused(long r)
{
    if (r >= 0)
        return DONE;
    if (errno == EACCES || errno == EPERM || errno == ENOENT)
        return NOT_DONE;
    return 2 + (errno & 0x3f);
}

/* ---- acts ------------------------------------------------------------------------------------ */

static int act_nothing(struct scene *s)
{
    return s->result.max_descriptors == TEST_DESCRIPTORS ? DONE : NOT_DONE;
}

static int act_log(struct scene *s)
{
    (void)s;
    log_line(LOG_DEBUG, "test", "a line after the sandbox: %d", 1);
    struct timespec t;
    char *p = malloc(300000);
    if (p == NULL || clock_gettime(CLOCK_REALTIME, &t) != 0)
        return NOT_DONE;
    p[299999] = 1;
    p = realloc(p, 3000000);
    free(p);
    time_t now = time(NULL);
    struct tm tm;
    return gmtime_r(&now, &tm) != NULL ? DONE : NOT_DONE;
}

static int act_open_passwd(struct scene *s)
{
    (void)s;
    return refused(openat(AT_FDCWD, "/etc/passwd", O_RDONLY));
}

static int act_open_above(struct scene *s)
{
    return refused(openat(s->directory, "../../etc/passwd", O_RDONLY));
}

static int act_make_file(struct scene *s)
{
    int fd = openat(s->directory, "segment", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return refused(fd);
    if (write(fd, "mail", 4) != 4 || ftruncate(fd, 2) != 0 || fdatasync(fd) != 0)
        return NOT_DONE;
    if (renameat(s->directory, "segment", s->directory, "done") != 0)
        return NOT_DONE;
    return unlinkat(s->directory, "done", 0) == 0 ? DONE : NOT_DONE;
}

static int act_make_directory(struct scene *s)
{
    return refused(mkdirat(s->directory, "d", 0700));
}

static int act_symlink(struct scene *s)
{
    return refused(symlinkat("/etc/passwd", s->directory, "link"));
}

static int act_execve(struct scene *s)
{
    (void)s;
    char *const argv[] = {(char[]){"true"}, NULL};
    return refused(execve("/bin/true", argv, argv + 1));
}

static int act_fork(struct scene *s)
{
    (void)s;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return refused(pid);
}

static int act_socket_udp(struct scene *s)
{
    (void)s;
    return refused(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int act_socket_mptcp(struct scene *s)
{
    (void)s;
    return refused(socket(AF_INET, SOCK_STREAM, 262));
}

static int act_socket_unix(struct scene *s)
{
    (void)s;
    return refused(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int act_socket_raw(struct scene *s)
{
    (void)s;
    return refused(socket(AF_INET6, SOCK_RAW, IPPROTO_TCP));
}

static int act_socket_tcp(struct scene *s)
{
    (void)s;
    int a = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int b = socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP);
    return a >= 0 && b >= 0 ? DONE : NOT_DONE;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    return connect(fd, (const struct sockaddr *)&to, sizeof to);
}

static int act_connect(struct scene *s)
{
    return refused(connect_to(s->port));
}

static int act_bind_tcp(struct scene *s)
{
    (void)s;
    const struct sockaddr_in any = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return refused(bind(fd, (const struct sockaddr *)&any, sizeof any));
}

static int act_bind_udp(struct scene *s)
{
    (void)s;
    const struct sockaddr_in any = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return bind(fd, (const struct sockaddr *)&any, sizeof any) == 0 ? DONE : NOT_DONE;
}

static int act_fast_open(struct scene *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(s->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return refused(sendto(fd, "x", 1, MSG_FASTOPEN, (const struct sockaddr *)&to, sizeof to));
}

static int act_ptrace(struct scene *s)
{
    return refused(ptrace(PTRACE_ATTACH, s->bystander, NULL, NULL));
}

static int act_kill(struct scene *s)
{
    return refused(kill(s->bystander, SIGTERM));
}

static int act_ring_setup(struct scene *s)
{
    (void)s;
    char params[256] = {0};
    return refused(syscall(SYS_io_uring_setup, 4, params));
}

static int act_map_executable(struct scene *s)
{
    (void)s;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return refused(p == MAP_FAILED ? -1 : 0);
}

static int act_make_executable(struct scene *s)
{
    (void)s;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return refused(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int act_chroot(struct scene *s)
{
    (void)s;
    return refused(chroot("."));
}

static int act_setuid(struct scene *s)
{
    (void)s;
    return refused(setresuid(0, 0, 0));
}

static int act_stat_path(struct scene *s)
{
    (void)s;
    struct stat st;
    return refused(fstatat(AT_FDCWD, "/etc/passwd", &st, 0));
}

static int act_fstat(struct scene *s)
{
    (void)s;
    struct stat st;
    return fstat(0, &st) == 0 ? DONE : NOT_DONE;
}

static int act_abort(struct scene *s)
{
    (void)s;
    abort();
}

static int act_memfd(struct scene *s)
{
    (void)s;
    int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return refused(fd);
    return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 ? DONE : NOT_DONE;
}

/* A call number of the x32 table, which a filter by number alone would mistake. */
static int act_x32(struct scene *s)
{
    (void)s;
    return refused(syscall(0x40000000 | SYS_getpid));
}

/* ---- cases ----------------------------------------------------------------------------------- */

enum { USER = 1, ROOT = 2, BOTH = 3 };

static const struct sandbox_case {
    const char *name;
    enum role role;
    int (*act)(struct scene *);
    int expected;
    int as;            /* USER, ROOT, BOTH */
    int abi;           /* the Landlock ABI that denies it; 0: seccomp or none needed */
    bool allowed_port; /* the listener's port is in the request */
    bool any_port;
} cases[] = {
    {"serves", ROLE_CONNECTION, act_nothing, DONE, BOTH, 0, false, false},
    {"compiler serves", ROLE_COMPILER, act_log, DONE, BOTH, 0, false, false},
    {"connection logs", ROLE_CONNECTION, act_log, DONE, BOTH, 0, false, false},
    {"keeper logs", ROLE_KEEPER, act_log, DONE, BOTH, 0, false, false},
    {"resolver logs", ROLE_RESOLVER, act_log, DONE, BOTH, 0, false, false},
    {"control logs", ROLE_CONTROL, act_log, DONE, BOTH, 0, false, false},
    {"fstat", ROLE_KEEPER, act_fstat, DONE, BOTH, 0, false, false},
    {"bug ends as abort", ROLE_CONNECTION, act_abort, ABORTED, BOTH, 0, false, false},
    {"file outside", ROLE_CONNECTION, act_open_passwd, NOT_DONE, BOTH, 1, false, false},
    {"file above", ROLE_CONNECTION, act_open_above, NOT_DONE, BOTH, 1, false, false},
    {"file in the shard", ROLE_CONNECTION, act_make_file, DONE, BOTH, 0, false, false},
    {"directory in the shard", ROLE_CONNECTION, act_make_directory, KILLED, BOTH, 0, false, false},
    {"link in the shard", ROLE_CONNECTION, act_symlink, KILLED, BOTH, 0, false, false},
    {"keeper opens", ROLE_KEEPER, act_open_passwd, KILLED, BOTH, 0, false, false},
    {"keeper: file in a directory", ROLE_KEEPER, act_make_file, KILLED, BOTH, 0, false, false},
    {"compiler opens", ROLE_COMPILER, act_open_passwd, KILLED, BOTH, 0, false, false},
    {"resolver opens", ROLE_RESOLVER, act_open_passwd, KILLED, BOTH, 0, false, false},
    {"control opens", ROLE_CONTROL, act_open_passwd, KILLED, BOTH, 0, false, false},
    {"stat of a path", ROLE_CONNECTION, act_stat_path, KILLED, BOTH, 0, false, false},
    {"execve", ROLE_CONNECTION, act_execve, KILLED, BOTH, 0, false, false},
    {"fork", ROLE_CONNECTION, act_fork, KILLED, BOTH, 0, false, false},
    {"keeper: fork", ROLE_KEEPER, act_fork, KILLED, BOTH, 0, false, false},
    {"udp", ROLE_CONNECTION, act_socket_udp, KILLED, BOTH, 0, false, false},
    {"mptcp", ROLE_CONNECTION, act_socket_mptcp, KILLED, BOTH, 0, false, false},
    {"unix socket", ROLE_CONNECTION, act_socket_unix, KILLED, BOTH, 0, false, false},
    {"raw socket", ROLE_CONNECTION, act_socket_raw, KILLED, BOTH, 0, false, false},
    {"tcp sockets", ROLE_CONNECTION, act_socket_tcp, DONE, BOTH, 0, false, false},
    {"keeper: tcp", ROLE_KEEPER, act_socket_tcp, KILLED, BOTH, 0, false, false},
    {"compiler: tcp", ROLE_COMPILER, act_socket_tcp, KILLED, BOTH, 0, false, false},
    {"control: tcp", ROLE_CONTROL, act_socket_tcp, KILLED, BOTH, 0, false, false},
    {"connect by system call", ROLE_CONNECTION, act_connect, KILLED, BOTH, 0, true, false},
    {"fast open", ROLE_CONNECTION, act_fast_open, KILLED, BOTH, 0, false, false},
    {"bind", ROLE_CONNECTION, act_bind_tcp, KILLED, BOTH, 0, false, false},
    {"resolver: port in the list", ROLE_RESOLVER, act_connect, DONE, BOTH, 0, true, false},
    {"resolver: port not in the list", ROLE_RESOLVER, act_connect, NOT_DONE, BOTH, 4, false, false},
    {"resolver: any port", ROLE_RESOLVER, act_connect, DONE, BOTH, 0, false, true},
    {"resolver: bind tcp", ROLE_RESOLVER, act_bind_tcp, NOT_DONE, BOTH, 4, false, false},
    {"resolver: bind tcp, any port", ROLE_RESOLVER, act_bind_tcp, NOT_DONE, BOTH, 4, false, true},
    {"resolver: bind udp", ROLE_RESOLVER, act_bind_udp, DONE, BOTH, 0, false, false},
    {"resolver: unix socket", ROLE_RESOLVER, act_socket_unix, KILLED, BOTH, 0, false, false},
    {"ptrace", ROLE_CONNECTION, act_ptrace, KILLED, BOTH, 0, false, false},
    {"kill", ROLE_CONNECTION, act_kill, KILLED, BOTH, 0, false, false},
    {"a second ring", ROLE_CONNECTION, act_ring_setup, KILLED, BOTH, 0, false, false},
    {"executable memory", ROLE_CONNECTION, act_map_executable, KILLED, BOTH, 0, false, false},
    {"made executable", ROLE_COMPILER, act_make_executable, KILLED, BOTH, 0, false, false},
    {"chroot", ROLE_CONNECTION, act_chroot, KILLED, BOTH, 0, false, false},
    {"setuid", ROLE_KEEPER, act_setuid, KILLED, BOTH, 0, false, false},
    {"image", ROLE_COMPILER, act_memfd, DONE, BOTH, 0, false, false},
    {"connection: memfd", ROLE_CONNECTION, act_memfd, KILLED, BOTH, 0, false, false},
    {"x32", ROLE_CONNECTION, act_x32, KILLED, BOTH, 0, false, false},
};

static int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u);
    return abi > 0 ? (int)abi : 0;
}

static void become_user(void)
{
    if (geteuid() == 0 &&
        (setgroups(0, NULL) != 0 || setresgid(TEST_UID, TEST_UID, TEST_UID) != 0 ||
         setresuid(TEST_UID, TEST_UID, TEST_UID) != 0))
        _exit(99);
}

static void set_scene(struct scene *s, enum role role, bool privileged)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    *s = (struct scene){.role = role, .privileged = privileged};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(s->listener, (const struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(s->listener, 4), 0);
    ck_assert_int_eq(getsockname(s->listener, (struct sockaddr *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    s->directory = open(directory_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(s->directory, 0);
    s->request = (struct sandbox_request){.role = role,
                                          .uid = TEST_UID,
                                          .privileged = privileged,
                                          .root = privileged ? s->directory : -1,
                                          .directories = {{s->directory, true}},
                                          .directory_count = 1,
                                          .max_descriptors = TEST_DESCRIPTORS,
                                          .channel = -1};
    sandbox_keep(&s->request, s->listener);
    sandbox_keep(&s->request, s->directory);
}

static void end_scene(const struct scene *s)
{
    ck_assert_int_eq(close(s->listener), 0);
    ck_assert_int_eq(close(s->directory), 0);
}

/* Descriptors of the test's own (Check's pipes and files) do not come along. */
static void close_others(const struct scene *s)
{
    for (int fd = 3; fd < 1024; fd++)
        if (fd != s->listener && fd != s->directory)
            (void)close(fd);
}

static int ending(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static pid_t start_bystander(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        become_user();
        (void)prctl(PR_SET_DUMPABLE, 1);
        for (;;)
            (void)pause();
    }
    return pid;
}

static int run(struct scene *s, int (*act)(struct scene *))
{
    s->bystander = start_bystander();
    pid_t pid = fork();
    if (pid == 0) {
        close_others(s);
        log_set_level(LOG_ERROR);
        if (!s->privileged)
            become_user();
        sandbox_enter(&s->request, &s->result);
        _exit(act(s));
    }
    int end = ending(pid);
    (void)kill(s->bystander, SIGKILL);
    (void)ending(s->bystander);
    return end;
}

/* More ports than can be listed is one of the parts that may be missing, on any kernel. */
START_TEST(whole_sandbox_required)
{
    struct scene s;
    for (int required = 0; required < 2; required++) {
        set_scene(&s, ROLE_CONNECTION, false);
        s.request.connect_any_port = true;
        s.request.required = required;
        ck_assert_int_eq(run(&s, act_nothing), required ? EXIT_CONFIG : DONE);
        end_scene(&s);
    }
    set_scene(&s, ROLE_CONNECTION, false);
    s.request.required = true;
    ck_assert_int_eq(run(&s, act_nothing), landlock_abi() >= 6 ? DONE : EXIT_CONFIG);
    end_scene(&s);
}
END_TEST

START_TEST(acts)
{
    const struct sandbox_case *c = &cases[_i / 2];
    bool privileged = _i % 2 == 1;
    struct scene s;
    if (!(c->as & (privileged ? ROOT : USER)) || (privileged && geteuid() != 0) ||
        landlock_abi() < c->abi)
        return;
    set_scene(&s, c->role, privileged);
    s.request.connect_any_port = c->any_port;
    if (c->allowed_port)
        s.request.connect_ports[s.request.connect_port_count++] = s.port;
    int end = run(&s, c->act);
    end_scene(&s);
    ck_assert_msg(end == c->expected, "%s%s: ended with %d instead of %d", c->name,
                  privileged ? " (privileged)" : "", end, c->expected);
}
END_TEST

/* ---- state after the steps ------------------------------------------------------------------- */

static int act_state(struct scene *s)
{
    struct rlimit core;
    uid_t r, e, saved;
    (void)s;
    /* Not allowed by the filter, so looked at in log-only mode. */
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
        return 10;
    if (getresuid(&r, &e, &saved) != 0 || r != TEST_UID || e != TEST_UID || saved != TEST_UID)
        return 11;
    if (getgid() != TEST_UID || getgroups(0, NULL) != 0)
        return 12;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 13;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 14;
    int signal_number = 0;
    if (prctl(PR_GET_PDEATHSIG, &signal_number) != 0 || signal_number != SIGKILL)
        return 15;
    if (s->privileged && prctl(PR_CAPBSET_READ, 0, 0, 0, 0) != 0)
        return 16;
    if (umask(0) != 077)
        return 17;
    return DONE;
}

START_TEST(state)
{
    struct scene s;
    bool privileged = _i == 1;
    if (privileged && geteuid() != 0)
        return;
    set_scene(&s, ROLE_KEEPER, privileged);
    s.request.log_only = true;
    int end = run(&s, act_state);
    end_scene(&s);
    /* As an ordinary user of a developer's machine the uid is the developer's. */
    ck_assert_msg(end == DONE || (geteuid() != 0 && end == 11), "state: %d", end);
}
END_TEST

/* Reach of the scopes: seccomp denies kill anyway, so they are looked at without it. */
START_TEST(signals_are_scoped)
{
    struct scene s;
    if (landlock_abi() < 6)
        return;
    set_scene(&s, ROLE_CONNECTION, false);
    s.request.log_only = true;
    int end = run(&s, act_kill);
    end_scene(&s);
    ck_assert_int_eq(end, NOT_DONE);
}
END_TEST

static int act_read_only(struct scene *s)
{
    int fd = openat(s->directory, ".", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return 20;
    return refused(openat(s->directory, "new", O_RDWR | O_CREAT, 0600));
}

START_TEST(directory_can_be_read_only)
{
    struct scene s;
    if (landlock_abi() < 1)
        return;
    set_scene(&s, ROLE_CONNECTION, false);
    s.request.directories[0].writable = false;
    int end = run(&s, act_read_only);
    end_scene(&s);
    ck_assert_int_eq(end, NOT_DONE);
}
END_TEST

static int act_root_is_empty(struct scene *s)
{
    (void)s;
    if (openat(AT_FDCWD, "/x", O_RDWR | O_CREAT, 0600) >= 0 || errno == EROFS)
        return 20;
    return refused(openat(AT_FDCWD, "/etc", O_RDONLY | O_DIRECTORY));
}

START_TEST(root_is_empty)
{
    struct scene s;
    if (geteuid() != 0)
        return;
    set_scene(&s, ROLE_CONNECTION, true);
    s.request.root = -1;
    int end = run(&s, act_root_is_empty);
    end_scene(&s);
    ck_assert_int_eq(end, NOT_DONE);
}
END_TEST

/* ---- what must not even start ---------------------------------------------------------------- */

START_TEST(stray_descriptor)
{
    struct scene s;
    set_scene(&s, ROLE_CONNECTION, false);
    s.request.descriptor_count = 1; /* the directory is open, but not listed any more */
    ck_assert_int_eq(run(&s, act_nothing), EXIT_SOFTWARE);
    end_scene(&s);
}
END_TEST

START_TEST(missing_descriptor)
{
    struct scene s;
    set_scene(&s, ROLE_CONNECTION, false);
    sandbox_keep(&s.request, 777);
    ck_assert_int_eq(run(&s, act_nothing), EXIT_SOFTWARE);
    end_scene(&s);
}
END_TEST

START_TEST(root_stays_root)
{
    struct scene s;
    if (geteuid() != 0)
        return;
    set_scene(&s, ROLE_CONNECTION, true);
    s.request.uid = 0;
    ck_assert_int_eq(run(&s, act_nothing), EXIT_SOFTWARE);
    end_scene(&s);
}
END_TEST

START_TEST(master_has_gone)
{
    struct scene s;
    int pair[2];
    set_scene(&s, ROLE_CONNECTION, false);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(dup2(pair[0], s.listener), s.listener);
    ck_assert_int_eq(close(pair[0]), 0);
    ck_assert_int_eq(close(pair[1]), 0);
    s.request.channel = s.listener;
    ck_assert_int_eq(run(&s, act_nothing), EXIT_UNAVAILABLE);
    end_scene(&s);
}
END_TEST

/* The kernel kills the role when its parent ends, however that ends. */
START_TEST(dies_with_its_master)
{
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    struct scene s;
    bool privileged = _i == 1;
    if (privileged && geteuid() != 0)
        return;
    set_scene(&s, ROLE_KEEPER, privileged);
    pid_t master = fork();
    if (master == 0) {
        if (fork() == 0) {
            int keep = dup2(pipe_fds[1], s.listener);
            close_others(&s);
            log_set_level(LOG_ERROR);
            if (!privileged)
                become_user();
            sandbox_enter(&s.request, &s.result);
            (void)!write(keep, "x", 1);
            for (;;)
                (void)poll(NULL, 0, -1);
        }
        (void)close(pipe_fds[1]);
        for (;;)
            (void)pause();
    }
    char c;
    ck_assert_int_eq(close(pipe_fds[1]), 0);
    ck_assert_int_eq(read(pipe_fds[0], &c, 1), 1);
    ck_assert_int_eq(kill(master, SIGKILL), 0);
    ck_assert_int_eq(ending(master), 256 + SIGKILL);
    struct pollfd p = {.fd = pipe_fds[0], .events = POLLIN};
    ck_assert_int_eq(poll(&p, 1, 5000), 1); /* its end of the pipe was closed */
    ck_assert_int_eq(read(pipe_fds[0], &c, 1), 0);
    ck_assert_int_eq(close(pipe_fds[0]), 0);
    end_scene(&s);
}
END_TEST

int main(void)
{
    (void)snprintf(directory_path, sizeof directory_path, "/tmp/mgid-sandbox.XXXXXX");
    if (mkdtemp(directory_path) == NULL)
        return EXIT_OSERR;
    if (geteuid() == 0 && chown(directory_path, TEST_UID, TEST_UID) != 0)
        return EXIT_OSERR;
    Suite *suite = suite_create("sandbox");
    TCase *t = tcase_create("acts");
    tcase_add_loop_test(t, acts, 0, 2 * (int)(sizeof cases / sizeof cases[0]));
    suite_add_tcase(suite, t);
    t = tcase_create("state");
    tcase_add_test(t, whole_sandbox_required);
    tcase_add_loop_test(t, state, 0, 2);
    tcase_add_test(t, signals_are_scoped);
    tcase_add_test(t, directory_can_be_read_only);
    tcase_add_test(t, root_is_empty);
    tcase_add_test(t, stray_descriptor);
    tcase_add_test(t, missing_descriptor);
    tcase_add_test(t, root_stays_root);
    tcase_add_test(t, master_has_gone);
    tcase_add_loop_test(t, dies_with_its_master, 0, 2);
    suite_add_tcase(suite, t);
    int status = suite_run(suite);
    (void)rmdir(directory_path);
    return status;
}
