/* The table of steps, and the steps that are short. */
#include "engine/sandbox/sandbox.h"
#include "engine/log/log.h"
#include "engine/sandbox/steps.h"
#include "status.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
/* The leak check forks and traces at exit: what the filter is there to deny. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

void sandbox_keep(struct sandbox_request *request, int fd)
{
    BUG_ON(fd < 0 || request->descriptor_count >= LIMIT_SANDBOX_DESCRIPTORS);
    request->descriptors[request->descriptor_count++] = fd;
}

/* glibc opens /etc/localtime when a time is first broken down, even in UTC. */
static int step_libc(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)request, (void)result;
    tzset();
    return 0;
}

static bool is_kept(const struct sandbox_request *request, int fd)
{
    if (fd <= STDERR_FILENO || fd == request->channel)
        return true;
    for (unsigned i = 0; i < request->descriptor_count; i++)
        if (request->descriptors[i] == fd)
            return true;
    return false;
}

static int step_descriptors(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)result;
    for (unsigned i = 0; i < request->descriptor_count; i++)
        if (fcntl(request->descriptors[i], F_GETFD) < 0)
            fatal_env(EXIT_SOFTWARE, errno, "sandbox: descriptor %d is to be kept, but is not open",
                      request->descriptors[i]);
    DIR *open_now = opendir("/proc/self/fd");
    if (open_now == NULL)
        return -1;
    errno = 0;
    for (const struct dirent *e; (e = readdir(open_now)) != NULL;) {
        int fd = atoi(e->d_name);
        char target[256];
        if (e->d_name[0] == '.' || fd == dirfd(open_now) || is_kept(request, fd))
            continue;
        ssize_t n = readlinkat(dirfd(open_now), e->d_name, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = '\0';
        fatal_env(EXIT_SOFTWARE, 0, "sandbox: descriptor %d (%s) is open and nobody asked for it",
                  fd, target);
    }
    int error = errno;
    (void)closedir(open_now);
    errno = error;
    return error == 0 ? 0 : -1;
}

static int step_session(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)request, (void)result;
    (void)umask(077);
    return setsid() < 0 && errno != EPERM ? -1 : 0; /* EPERM: it leads one already */
}

static int step_limits(const struct sandbox_request *request, struct sandbox_result *result)
{
    /* RLIMIT_NPROC stays: io_uring's worker threads count against it, and the filter denies
     * clone. RLIMIT_FSIZE stays: a segment's size is the spool's affair. */
    const struct rlimit none = {0, 0};
    struct rlimit files;
    if (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_MSGQUEUE, &none) != 0 ||
        getrlimit(RLIMIT_NOFILE, &files) != 0)
        return -1;
    rlim_t want = request->max_descriptors ? request->max_descriptors : LIMIT_ROLE_DESCRIPTORS;
    rlim_t hard = files.rlim_max;
    files = (struct rlimit){want, want};
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
        if (errno != EPERM)
            return -1;
        files = (struct rlimit){hard, hard};
        if (setrlimit(RLIMIT_NOFILE, &files) != 0)
            return -1;
    }
    result->max_descriptors = files.rlim_cur;
    return 0;
}

/* A directory without a name, which nothing can be made in. */
static int empty_directory(void)
{
    char run[] = "/run/mgid-empty.XXXXXX";
    char tmp[] = "/tmp/mgid-empty.XXXXXX";
    char *path = mkdtemp(run);
    if (path == NULL)
        path = mkdtemp(tmp);
    if (path == NULL)
        return -1;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rmdir(path) != 0 && fd >= 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int step_root(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)result;
    if (!request->privileged)
        return chdir("/");
    int fd = request->root >= 0 ? request->root : empty_directory();
    if (fd < 0)
        return -1;
    int r = fchdir(fd) == 0 && chroot(".") == 0 ? 0 : -1;
    int error = errno;
    if (fd != request->root)
        (void)close(fd);
    errno = error;
    return r;
}

static int step_bounding(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)result;
    if (!request->privileged)
        return 0;
    for (unsigned long capability = 0;; capability++) {
        int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (held < 0)
            return errno == EINVAL && capability > 0 ? 0 : -1; /* past the last one */
        if (held > 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return -1;
    }
}

static int step_ids(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)result;
    if (!request->privileged)
        return 0;
    if (setgroups(0, NULL) != 0 || setresgid(request->uid, request->uid, request->uid) != 0)
        return -1;
    return setresuid(request->uid, request->uid, request->uid);
}

static int step_capabilities(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)request, (void)result;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_capset, &header, none);
}

static int step_no_new_privileges(const struct sandbox_request *request,
                                  struct sandbox_result *result)
{
    (void)request, (void)result;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Tries to take everything back. Success of any of these is the failure of the step. */
static int step_no_return(const struct sandbox_request *request, struct sandbox_result *result)
{
    uid_t uid[3];
    gid_t gid[3];
    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if (uid[i] == 0 || uid[i] != uid[0] || gid[i] != gid[0] ||
            (request->privileged && (uid[i] != request->uid || gid[i] != request->uid)))
            fatal_env(EXIT_SOFTWARE, 0, "sandbox: a role must not run as uid %u:%u", uid[i],
                      gid[i]);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, held) != 0)
        return -1;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        if ((held[i].effective | held[i].permitted | held[i].inheritable) != 0)
            fatal_env(EXIT_SOFTWARE, 0, "sandbox: a capability was left");
    if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0 || setgroups(0, NULL) == 0 ||
        prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        fatal_env(EXIT_SOFTWARE, 0, "sandbox: privileges could be regained");
    result->uid = uid[0];
    return 0;
}

static int step_not_dumpable(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)request, (void)result;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int step_parent(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)result;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return -1;
    struct pollfd channel = {.fd = request->channel};
    if (request->channel < 0)
        return 0;
    if (poll(&channel, 1, 0) < 0)
        return -1;
    if (channel.revents & (POLLHUP | POLLERR | POLLNVAL))
        fatal_env(EXIT_UNAVAILABLE, 0, "sandbox: the master has gone");
    return 0;
}

/* In this order. Each step needs what the next ones take away. */
static const struct {
    const char *name;
    const char *reason;
    int (*take)(const struct sandbox_request *, struct sandbox_result *);
} steps[] = {
    {"libc", "what the C library opens when first used, it opens now", step_libc},
    {"descriptors", "needs /proc: an open file that nobody asked for outlives every other step",
     step_descriptors},
    {"session", "no terminal, no signals of its group; what is made is the owner's alone",
     step_session},
    {"limits", "a hard limit can be raised only with privilege: no core file holds mail or keys",
     step_limits},
    {"root", "needs CAP_SYS_CHROOT: no path leads to anything but the role's own directory",
     step_root},
    {"bounding set", "needs CAP_SETPCAP: no capability can come back by an execve", step_bounding},
    {"ids", "needs CAP_SETUID: after this the kernel tells the role from the others", step_ids},
    {"capabilities", "the ids took root's; ambient ones and those of a user's session go here",
     step_capabilities},
    {"no new privileges", "set-user-id files do nothing; what Landlock and seccomp demand",
     step_no_new_privileges},
    {"no return", "the four steps before are tried for their effect", step_no_return},
    {"not dumpable", "after the ids, which reset it: no ptrace by the same uid, no core",
     step_not_dumpable},
    {"parent", "after the ids, which reset it: the role dies with its master", step_parent},
    {"landlock", "paths, TCP ports, signals: what seccomp can't tell apart", sandbox_landlock},
    {"seccomp", "last: it denies the system calls of all steps before", sandbox_filter},
};

/* What is weaker than it could be, as one text; "" when nothing is. True when a part of the sandbox
 * is among it. */
static bool list_missing(const struct sandbox_request *request, const struct sandbox_result *result,
                         char *text, size_t capacity)
{
    const struct {
        bool missing;
        const char *what;
    } parts[] = {
        {result->landlock_abi == 0, "Landlock: this kernel has none"},
        {request->connect_any_port, "TCP rules: the policy has more ports than can be listed"},
        {!request->connect_any_port && !result->tcp_rules,
         "TCP rules: this kernel's Landlock has none"},
        {!result->scopes, "scopes: this kernel's Landlock has none"},
        /* The last one: no part of the sandbox. */
        {request->max_descriptors > result->max_descriptors,
         "descriptors: the hard limit is lower than what was asked for"},
    };
    const size_t count = sizeof parts / sizeof parts[0];
    size_t n = 0;
    bool weaker = false;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (parts[i].missing && n < capacity)
            n += (size_t)snprintf(text + n, capacity - n, "%s%s", n > 0 ? "; " : "", parts[i].what);
        weaker |= parts[i].missing && i < count - 1;
    }
    return weaker;
}

static void report(const struct sandbox_request *request, const struct sandbox_result *result)
{
    char missing[LIMIT_REASON];
    if (list_missing(request, result, missing, sizeof missing) && request->required)
        fatal_env(EXIT_CONFIG, 0, "the policy says \"sandbox\": \"require\", and this is missing: %s",
                  missing);
    log_begin(request->log_only ? LOG_WARNING : LOG_INFO, "sandbox");
    log_number("uid", result->uid);
    log_bool("chroot", request->privileged);
    log_text("seccomp", request->log_only ? "log" : "kill");
    log_number("landlock_abi", result->landlock_abi);
    log_bool("tcp_rules", result->tcp_rules);
    log_bool("scopes", result->scopes);
    log_number("descriptors", (int64_t)result->max_descriptors);
    if (missing[0] != '\0')
        log_text("missing", missing);
    log_end();
}

void sandbox_enter(const struct sandbox_request *request, struct sandbox_result *result)
{
    BUG_ON(request->role == ROLE_MASTER || request->role >= ROLE_COUNT);
    BUG_ON(request->directory_count > LIMIT_SANDBOX_DIRECTORIES);
    BUG_ON(request->connect_port_count > LIMIT_CONNECT_PORTS);
    *result = (struct sandbox_result){0};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (steps[i].take(request, result) != 0)
            fatal_env(EXIT_OSERR, errno, "sandbox: step \"%s\" failed (%s)", steps[i].name,
                      steps[i].reason);
    report(request, result);
}
