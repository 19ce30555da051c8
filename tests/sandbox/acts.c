/* Acts on files, processes, memory and the network. */
#include "tests/sandbox/acts.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- files ------------------------------------------------------------------------------ */

int act_open_outside(const struct probe *p)
{
    (void)p;
    return openat(AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC);
}

int act_open_key(const struct probe *p)
{
    return openat(AT_FDCWD, p->key, O_RDONLY | O_CLOEXEC);
}

int act_open_other_shard(const struct probe *p)
{
    return openat(AT_FDCWD, p->other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int act_open_above(const struct probe *p)
{
    return openat(p->shard >= 0 ? p->shard : AT_FDCWD, "../../../../../../etc/passwd",
                  O_RDONLY | O_CLOEXEC);
}

int act_open_proc(const struct probe *p)
{
    (void)p;
    return openat(AT_FDCWD, "/proc/1/mem", O_RDWR | O_CLOEXEC);
}

int act_write_outside(const struct probe *p)
{
    (void)p;
    return openat(AT_FDCWD, "/tmp/mgid-probe", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

int act_make_directory(const struct probe *p)
{
    return mkdirat(p->shard, "probe", 0700);
}

int act_make_link(const struct probe *p)
{
    return symlinkat("/etc/passwd", p->shard, "probe");
}

int act_make_socket_file(const struct probe *p)
{
    return mknodat(p->shard, "probe", S_IFSOCK | 0600, 0);
}

int act_change_mode(const struct probe *p)
{
    (void)p;
    return fchmod(STDERR_FILENO, 0666);
}

/* ---- processes and memory --------------------------------------------------------------- */

int act_fork_process(const struct probe *p)
{
    (void)p;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return (int)pid;
}

int act_start_thread(const struct probe *p)
{
    (void)p;
    struct clone_args a = {.flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD};
    return (int)syscall(SYS_clone3, &a, (size_t)8); /* too small to work, large enough to be seen */
}

int act_execute(const struct probe *p)
{
    (void)p;
    char *const argv[] = {(char[]){"true"}, NULL};
    return execve("/bin/true", argv, argv + 1);
}

int act_trace_parent(const struct probe *p)
{
    (void)p;
    return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

int act_read_memory(const struct probe *p)
{
    (void)p;
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    return (int)process_vm_readv(getppid(), &here, 1, &there, 1, 0);
}

int act_take_descriptor(const struct probe *p)
{
    (void)p;
    return (int)syscall(SYS_pidfd_open, getppid(), 0);
}

int act_signal_parent(const struct probe *p)
{
    (void)p;
    return kill(getppid(), SIGTERM);
}

int act_map_executable(const struct probe *p)
{
    (void)p;
    void *m = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return m == MAP_FAILED ? -1 : 0;
}

int act_protect_executable(const struct probe *p)
{
    (void)p;
    void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(m, 4096, PROT_READ | PROT_EXEC);
}

int act_memory_file(const struct probe *p)
{
    (void)p;
    return memfd_create("probe", MFD_CLOEXEC);
}

int act_become_root(const struct probe *p)
{
    (void)p;
    return setresuid(0, 0, 0);
}

int act_change_root(const struct probe *p)
{
    (void)p;
    return chroot("/");
}

int act_new_namespace(const struct probe *p)
{
    (void)p;
    return unshare(CLONE_NEWUSER);
}

int act_mount_something(const struct probe *p)
{
    (void)p;
    return mount("none", "/", "tmpfs", 0, NULL);
}

int act_load_bpf(const struct probe *p)
{
    (void)p;
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof a);
}

int act_fault_handler(const struct probe *p)
{
    (void)p;
    return (int)syscall(SYS_userfaultfd, O_CLOEXEC);
}

int act_performance_events(const struct probe *p)
{
    (void)p;
    struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof a};
    return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

int act_kernel_keys(const struct probe *p)
{
    (void)p;
    return (int)syscall(SYS_keyctl, 0, -1, 0, 0, 0);
}

int act_other_architecture(const struct probe *p)
{
    (void)p;
    return (int)syscall(0x40000000 | 39); /* getpid of the x32 table */
}

/* ---- network ---------------------------------------------------------------------------- */

static struct sockaddr_in loopback(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* The socket that connection and resolver may make; where none may be made this is the end. */
static int tcp_socket(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int act_raw_socket(const struct probe *p)
{
    (void)p;
    return socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
}

int act_datagram_socket(const struct probe *p)
{
    (void)p;
    return socket(AF_INET, SOCK_DGRAM, 0);
}

int act_unix_socket(const struct probe *p)
{
    (void)p;
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

int act_multipath_socket(const struct probe *p)
{
    (void)p;
    return socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
}

int act_netlink_socket(const struct probe *p)
{
    (void)p;
    return socket(AF_NETLINK, SOCK_RAW, 0);
}

int act_vsock_socket(const struct probe *p)
{
    (void)p;
    return socket(AF_VSOCK, SOCK_STREAM, 0);
}

int act_connect_call(const struct probe *p)
{
    struct sockaddr_in a = loopback(p->port);
    return connect(tcp_socket(), (const struct sockaddr *)&a, sizeof a);
}

int act_fast_open_call(const struct probe *p)
{
    struct sockaddr_in a = loopback(p->port);
    return (int)sendto(tcp_socket(), "x", 1, MSG_FASTOPEN, (const struct sockaddr *)&a, sizeof a);
}

int act_bind_port(const struct probe *p)
{
    (void)p;
    struct sockaddr_in a = loopback(0);
    return bind(tcp_socket(), (const struct sockaddr *)&a, sizeof a);
}
