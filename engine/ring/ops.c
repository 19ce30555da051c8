/* One function an operation: nobody else fills a submission entry. */
#include "engine/ring/ring.h"
#include <poll.h>
#include <sys/socket.h>

/* liburing 2.3's io_uring_prep_* functions clear user_data, so the tag is set after them. */
static void set_tag(struct io_uring_sqe *sqe, struct ring_tag tag)
{
    sqe->user_data = ring_tag_pack(tag);
}

void ring_accept(struct ring *r, struct ring_tag tag, int fd)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
    set_tag(sqe, tag);
}

void ring_receive(struct ring *r, struct ring_tag tag, int fd, const struct ring_buffers *b)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = b->group;
    set_tag(sqe, tag);
}

void ring_poll(struct ring *r, struct ring_tag tag, int fd)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    set_tag(sqe, tag);
}

void ring_send(struct ring *r, struct ring_tag tag, int fd, const void *p, size_t n)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_write(sqe, fd, p, (unsigned)n, 0);
    set_tag(sqe, tag);
}

void ring_connect(struct ring *r, struct ring_tag tag, int fd, const struct sockaddr *a,
                  socklen_t length)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_connect(sqe, fd, a, length);
    set_tag(sqe, tag);
}

void ring_write(struct ring *r, struct ring_tag tag, int fd, const struct iovec *iov,
                unsigned count, uint64_t offset, bool linked)
{
    ring_reserve(r, linked ? 2 : 1);
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_writev(sqe, fd, iov, count, offset);
    if (linked)
        sqe->flags |= IOSQE_IO_LINK;
    set_tag(sqe, tag);
}

void ring_sync(struct ring *r, struct ring_tag tag, int fd)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    set_tag(sqe, tag);
}

void ring_sync_all(struct ring *r, struct ring_tag tag, int fd, unsigned linked)
{
    ring_reserve(r, linked);
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_fsync(sqe, fd, 0);
    if (linked > 1)
        sqe->flags |= IOSQE_IO_LINK;
    set_tag(sqe, tag);
}

void ring_allocate(struct ring *r, struct ring_tag tag, int fd, int mode, uint64_t size)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_fallocate(sqe, fd, mode, 0, (off_t)size);
    set_tag(sqe, tag);
}

void ring_cancel(struct ring *r, struct ring_tag tag, int fd)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
    set_tag(sqe, tag);
}

void ring_cancel_one(struct ring *r, struct ring_tag tag, struct ring_tag victim)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    io_uring_prep_cancel64(sqe, ring_tag_pack(victim), 0);
    set_tag(sqe, tag);
}
