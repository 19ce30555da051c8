/*
 * No TCP Fast Open. libunbound opens each TCP connection by sendmsg with MSG_FASTOPEN and has no
 * option against it. That would connect past Landlock's port rules, so the sandbox punishes it, and
 * a name server could end this process by a truncated answer. This function stands before the C
 * library's for the whole program; libunbound takes EOPNOTSUPP for "connect the usual way".
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (flags & MSG_FASTOPEN) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return syscall(SYS_sendmsg, fd, message, flags);
}
