/* The ring against the real kernel: what it may do, and what it refuses. */
#include "engine/ring/ring.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KIND_A = 7, KIND_B = 8, SIZE = 4096 };

static struct ring ring;
static int pair[2];

static void setup(void)
{
    const struct ring_config config = {.entries = 8,
                                       .completions = 64,
                                       .receive_count = 4,
                                       .receive_size = SIZE,
                                       .message_count = 2,
                                       .message_size = 65536};
    const char *step = "";
    int e = ring_create(&ring, &config, &step);
    ck_assert_msg(e == 0, "%s: %s", step, strerror(-e));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static void teardown(void)
{
    (void)close(pair[0]);
    (void)close(pair[1]);
    io_uring_queue_exit(&ring.uring);
}

static struct ring_tag tag(uint8_t kind, uint32_t index)
{
    return (struct ring_tag){.kind = kind, .generation = 3, .index = index};
}

/* The next completion, valid until the one after it; fails the test when none comes within a
 * second. */
static const struct io_uring_cqe *next(void)
{
    static struct io_uring_cqe copy;
    struct io_uring_cqe *cqe;
    for (int i = 0; i < 10; i++) {
        if (ring_peek(&ring, &cqe, 1) == 1) {
            copy = *cqe;
            ring_seen(&ring, 1);
            return &copy;
        }
        ck_assert_int_eq(ring_wait(&ring, 100000), 0);
    }
    ck_abort_msg("no completion");
}

START_TEST(tags_pack_and_unpack)
{
    struct ring_tag t = {.kind = 255, .generation = 0x81abcdef, .index = UINT32_MAX};
    struct ring_tag u = ring_tag_unpack(ring_tag_pack(t));
    ck_assert_uint_eq(u.kind, 255);
    ck_assert_uint_eq(u.generation, 0x81abcdef & RING_GENERATION_MASK);
    ck_assert_uint_eq(u.index, UINT32_MAX);
}
END_TEST

/* Operations that are not in ring_ops.def, and flags that are not allowed. */
START_TEST(forbidden_operations)
{
    static const uint8_t operations[] = {
        IORING_OP_NOP,       IORING_OP_OPENAT,  IORING_OP_CLOSE,  IORING_OP_UNLINKAT,
        IORING_OP_SEND,      IORING_OP_SENDMSG, IORING_OP_SOCKET, IORING_OP_RECVMSG,
        IORING_OP_MKDIRAT,   IORING_OP_READ,    IORING_OP_SPLICE, IORING_OP_STATX,
        IORING_OP_EPOLL_CTL,
    };
    for (size_t i = 0; i < sizeof operations; i++) {
        struct io_uring_sqe *sqe = ring_sqe(&ring);
        memset(sqe, 0, sizeof *sqe);
        sqe->opcode = operations[i];
        sqe->fd = pair[0];
        sqe->user_data = ring_tag_pack(tag(KIND_A, (uint32_t)i));
        const struct io_uring_cqe *cqe = next();
        ck_assert_uint_eq(ring_tag_unpack(cqe->user_data).index, i);
        ck_assert_msg(cqe->res == -EACCES, "operation %u gave %d", operations[i], cqe->res);
    }
}
END_TEST

START_TEST(forbidden_flags)
{
    static const unsigned flags[] = {IOSQE_FIXED_FILE, IOSQE_IO_DRAIN, IOSQE_ASYNC};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        ring_send(&ring, tag(KIND_A, 1), pair[0], "x", 1);
        struct io_uring_sqe *sqe =
            &ring.uring.sq.sqes[(ring.uring.sq.sqe_tail - 1) & *ring.uring.sq.kring_mask];
        sqe->flags = (uint8_t)flags[i];
        ck_assert_int_eq(next()->res, -EACCES);
    }
}
END_TEST

START_TEST(registering_is_closed)
{
    int fds[1] = {pair[0]};
    ck_assert_int_eq(io_uring_register_files(&ring.uring, fds, 1), -EACCES);
    ck_assert_int_eq(io_uring_register_personality(&ring.uring), -EACCES);
}
END_TEST

START_TEST(receives_into_provided_buffers)
{
    ring_receive(&ring, tag(KIND_A, 5), pair[0], &ring.receive);
    for (int round = 0; round < 20; round++) { /* more rounds than there are buffers */
        ck_assert_int_eq(write(pair[1], "hello", 5), 5);
        const struct io_uring_cqe *cqe = next();
        ck_assert_int_eq(cqe->res, 5);
        ck_assert_uint_eq(ring_tag_unpack(cqe->user_data).kind, KIND_A);
        ck_assert(cqe->flags & IORING_CQE_F_MORE);
        ck_assert_mem_eq(ring_buffer(&ring.receive, cqe), "hello", 5);
        ring_buffer_return(&ring.receive, cqe);
        ring_buffers_publish(&ring.receive);
    }
    ring_cancel_one(&ring, tag(KIND_B, 0), tag(KIND_A, 5));
    bool receive_ended = false;
    bool cancel_answered = false;
    for (int i = 0; i < 2; i++) { /* in either order */
        const struct io_uring_cqe *cqe = next();
        if (ring_tag_unpack(cqe->user_data).kind == KIND_B)
            cancel_answered = true;
        else
            receive_ended = cqe->res == -ECANCELED;
    }
    ck_assert(receive_ended && cancel_answered);
}
END_TEST

START_TEST(without_buffers_says_so_and_loses_nothing)
{
    ring_receive(&ring, tag(KIND_A, 0), pair[0], &ring.receive);
    struct io_uring_cqe held[4];
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(write(pair[1], "x", 1), 1);
        held[i] = *next();
        ck_assert_int_eq(held[i].res, 1);
    }
    ck_assert_int_eq(write(pair[1], "y", 1), 1);
    ck_assert_int_eq(next()->res, -ENOBUFS);
    ring_buffer_return(&ring.receive, &held[0]);
    ring_buffers_publish(&ring.receive);
    ring_receive(&ring, tag(KIND_A, 0), pair[0], &ring.receive);
    const struct io_uring_cqe *cqe = next();
    ck_assert_int_eq(cqe->res, 1);
    ck_assert_int_eq(*ring_buffer(&ring.receive, cqe), 'y');
}
END_TEST

/* The sync follows the write, and does not happen after a write that failed. */
START_TEST(write_then_sync)
{
    char first[] = "one ", second[] = "two";
    char name[] = "/tmp/mgid-ring.XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(name), 0);
    struct iovec iov[2] = {{.iov_base = first, .iov_len = 4}, {.iov_base = second, .iov_len = 3}};
    ring_write(&ring, tag(KIND_A, 0), fd, iov, 2, 10, true);
    ring_sync(&ring, tag(KIND_B, 0), fd);
    const struct io_uring_cqe *cqe = next();
    ck_assert_uint_eq(ring_tag_unpack(cqe->user_data).kind, KIND_A);
    ck_assert_int_eq(cqe->res, 7);
    cqe = next();
    ck_assert_uint_eq(ring_tag_unpack(cqe->user_data).kind, KIND_B);
    ck_assert_int_eq(cqe->res, 0);
    char text[8] = "";
    ck_assert_int_eq(pread(fd, text, 7, 10), 7);
    ck_assert_str_eq(text, "one two");
    int read_only = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ring_write(&ring, tag(KIND_A, 0), read_only, iov, 2, 0, true);
    ring_sync(&ring, tag(KIND_B, 0), read_only);
    ck_assert_int_eq(next()->res, -EBADF);
    ck_assert_int_eq(next()->res, -ECANCELED);
    (void)close(read_only);
    (void)close(fd);
}
END_TEST

START_TEST(time_out_of_a_wait)
{
    struct timespec a, b;
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &a), 0);
    ck_assert_int_eq(ring_wait(&ring, 20000), 0);
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &b), 0);
    int64_t us = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
    ck_assert_int_ge(us, 20000);
    ck_assert_int_eq(ring_wait(&ring, 0), 0); /* does not wait */
}
END_TEST

/* More submissions than there are entries: handed over in between. */
START_TEST(more_than_the_entries)
{
    for (uint32_t i = 0; i < 40; i++)
        ring_send(&ring, tag(KIND_A, i), pair[0], "z", 1);
    for (uint32_t i = 0; i < 40; i++) {
        const struct io_uring_cqe *cqe = next();
        ck_assert_int_eq(cqe->res, 1);
        ck_assert_uint_eq(ring_tag_unpack(cqe->user_data).index, i);
    }
    char text[64];
    ck_assert_int_eq(read(pair[1], text, sizeof text), 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *c = tcase_create("ring");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, tags_pack_and_unpack);
    tcase_add_test(c, forbidden_operations);
    tcase_add_test(c, forbidden_flags);
    tcase_add_test(c, registering_is_closed);
    tcase_add_test(c, receives_into_provided_buffers);
    tcase_add_test(c, without_buffers_says_so_and_loses_nothing);
    tcase_add_test(c, write_then_sync);
    tcase_add_test(c, time_out_of_a_wait);
    tcase_add_test(c, more_than_the_entries);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
