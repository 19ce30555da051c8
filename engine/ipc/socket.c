/* Messages over SOCK_SEQPACKET: the effects of ipc. */
#include "engine/ipc/ipc.h"
#include "status.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a burst of requests needs; the kernel caps it at net.core.wmem_max. */
enum { SEND_BUFFER = 4 * 1024 * 1024 };

int ipc_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return -1;
    int size = SEND_BUFFER;
    for (int i = 0; i < 2; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
            (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return 0;
}

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * LIMIT_MESSAGE_FDS)];
};

enum ipc_status ipc_send(int fd, const struct ipc_message *m)
{
    unsigned char buffer[LIMIT_MESSAGE];
    size_t n = ipc_encode(m, buffer, sizeof buffer);
    BUG_ON(n == 0);
    struct iovec iov = {.iov_base = buffer, .iov_len = n};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control = {0};
    unsigned count = ipc_kind_descriptors(m->kind);
    if (count > 0) {
        h.msg_control = control.bytes;
        h.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(c), m->fds, sizeof(int) * count);
    }
    ssize_t r;
    do
        r = sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    if (r >= 0)
        return IPC_OK;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
        return IPC_AGAIN;
    return errno == EPIPE || errno == ECONNRESET ? IPC_CLOSED : IPC_FAILED;
}

/* Takes the descriptors out of a received header; returns how many there are. */
static unsigned take_descriptors(struct msghdr *h, int fds[LIMIT_MESSAGE_FDS])
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && count < LIMIT_MESSAGE_FDS; i++, count++)
            memcpy(&fds[count], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return count;
}

enum ipc_status ipc_receive(int fd, enum role from, enum role to, unsigned char *buffer,
                            struct ipc_message *m)
{
    struct iovec iov = {.iov_base = buffer, .iov_len = LIMIT_MESSAGE};
    union control control;
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t r;
    do
        r = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return IPC_AGAIN;
        return errno == ECONNRESET ? IPC_CLOSED : IPC_FAILED;
    }
    int fds[LIMIT_MESSAGE_FDS];
    unsigned count = take_descriptors(&h, fds);
    enum ipc_status status = r == 0 ? IPC_CLOSED : IPC_MALFORMED;
    if (r > 0 && !(h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        status = ipc_decode(span_of(buffer, (size_t)r), from, to, m);
    if (status == IPC_OK && count != ipc_kind_descriptors(m->kind))
        status = IPC_MALFORMED;
    for (unsigned i = 0; i < count; i++) {
        if (status == IPC_OK)
            m->fds[i] = fds[i];
        else
            (void)close(fds[i]);
    }
    return status;
}
