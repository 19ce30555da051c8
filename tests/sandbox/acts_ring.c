/* Acts on the ring and on the channels to other roles. */
#include "engine/ipc/ipc.h"
#include "tests/sandbox/acts.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the ring --------------------------------------------------------------------------- */

int act_second_ring(const struct probe *p)
{
    (void)p;
    struct io_uring_params params = {0};
    return (int)syscall(SYS_io_uring_setup, 8, &params);
}

int act_register_ring(const struct probe *p)
{
    int fd = p->ring ? p->ring->ring_fd : STDERR_FILENO;
    return (int)syscall(SYS_io_uring_register, fd, IORING_REGISTER_PERSONALITY, NULL, 0);
}

/* Submits what the last entry says and returns its result as a system call does. */
static int run(const struct probe *p)
{
    struct io_uring_cqe *cqe;
    int r = io_uring_submit_and_wait(p->ring, 1);
    if (r >= 0)
        r = io_uring_wait_cqe(p->ring, &cqe);
    if (r >= 0) {
        r = cqe->res;
        io_uring_cqe_seen(p->ring, cqe);
    }
    if (r >= 0)
        return r;
    errno = -r;
    return -1;
}

int act_ring_open(const struct probe *p)
{
    io_uring_prep_openat(io_uring_get_sqe(p->ring), AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
    return run(p);
}

int act_ring_socket(const struct probe *p)
{
    io_uring_prep_rw(45 /* IORING_OP_SOCKET */, io_uring_get_sqe(p->ring), AF_INET, NULL, 0,
                     SOCK_RAW);
    return run(p);
}

int act_ring_unlink(const struct probe *p)
{
    io_uring_prep_unlinkat(io_uring_get_sqe(p->ring), p->shard, "lock", 0);
    return run(p);
}

int act_ring_connect(const struct probe *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)p->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    io_uring_prep_connect(io_uring_get_sqe(p->ring), fd, (struct sockaddr *)&a, sizeof a);
    return run(p);
}

int act_ring_fast_open(const struct probe *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)p->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct io_uring_sqe *sqe = io_uring_get_sqe(p->ring);
    io_uring_prep_send(sqe, fd, "x", 1, MSG_FASTOPEN);
    sqe->addr2 = (uint64_t)(uintptr_t)&a;
    sqe->addr_len = sizeof a;
    return run(p);
}

int act_ring_send_message(const struct probe *p)
{
    struct msghdr m = {0};
    io_uring_prep_sendmsg(io_uring_get_sqe(p->ring), PROBE_MASTER, &m, 0);
    return run(p);
}

int act_ring_command(const struct probe *p)
{
    io_uring_prep_rw(IORING_OP_URING_CMD, io_uring_get_sqe(p->ring), STDERR_FILENO, NULL, 0, 0);
    return run(p);
}

int act_ring_splice(const struct probe *p)
{
    io_uring_prep_splice(io_uring_get_sqe(p->ring), p->shard, 0, STDERR_FILENO, -1, 1, 0);
    return run(p);
}

int act_ring_fixed_file(const struct probe *p)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(p->ring);
    io_uring_prep_fsync(sqe, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    return run(p);
}

int act_ring_personality(const struct probe *p)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(p->ring);
    io_uring_prep_fsync(sqe, p->shard, 0);
    sqe->personality = 1;
    int r = run(p);
    /* Registering one is what is denied: so none can be named. */
    if (r < 0 && errno == EINVAL)
        errno = EPERM;
    return r;
}

/* ---- the other roles -------------------------------------------------------------------- */

int probe_closed(int fd)
{
    enum { TRIES = 50, PAUSE_MS = 100 };
    unsigned char buffer[256];
    for (int i = 0; i < TRIES; i++) {
        struct pollfd f = {.fd = fd, .events = POLLIN};
        if (poll(&f, 1, PAUSE_MS) > 0 && recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) == 0)
            return PROBE_CLOSED;
    }
    return 0;
}

/* A well-formed message that only the master sends. */
static int send_foreign(int fd)
{
    struct ipc_message m = {.kind = MSG_drain, .fds = {-1, -1}};
    unsigned char packet[64];
    size_t n = ipc_encode(&m, packet, sizeof packet);
    return send(fd, packet, n, MSG_NOSIGNAL) == (ssize_t)n ? probe_closed(fd) : -1;
}

/* The header of a sign request, and lengths that lie. */
static int send_broken(int fd)
{
    unsigned char packet[64];
    struct ipc_message m = {.kind = MSG_started, .fds = {-1, -1}};
    size_t n = ipc_encode(&m, packet, sizeof packet);
    memset(packet + n, 0xff, sizeof packet - n);
    return send(fd, packet, sizeof packet, MSG_NOSIGNAL) > 0 ? probe_closed(fd) : -1;
}

int act_foreign_message(const struct probe *p)
{
    (void)p;
    return send_foreign(PROBE_MASTER);
}

int act_broken_message(const struct probe *p)
{
    (void)p;
    return send_broken(PROBE_MASTER);
}

int act_extra_descriptor(const struct probe *p)
{
    (void)p;
    struct ipc_message m = {.kind = MSG_started, .fds = {-1, -1}};
    unsigned char packet[64];
    union {
        struct cmsghdr header;
        unsigned char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {packet, ipc_encode(&m, packet, sizeof packet)};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    int fd = STDERR_FILENO;
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    *c = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(PROBE_MASTER, &h, MSG_NOSIGNAL) > 0 ? probe_closed(PROBE_MASTER) : -1;
}

static int all_close(const struct probe *p, int (*say)(int))
{
    for (unsigned i = 0; i < p->peers; i++)
        if (say(p->peer[i]) != PROBE_CLOSED)
            return 0;
    return p->peers > 0 ? PROBE_CLOSED : 0;
}

int act_foreign_message_to_peers(const struct probe *p)
{
    return all_close(p, send_foreign);
}

int act_broken_message_to_peers(const struct probe *p)
{
    return all_close(p, send_broken);
}
