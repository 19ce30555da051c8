/*
 * ring: the one io_uring of a connection worker.
 *
 * Created disabled, restricted to the operations of ring_ops.def and to no register operation
 * besides enabling, then enabled: what the kernel takes from this process is a short list, also
 * for code that an attacker brings. Single issuer, deferred task work: completions are made on
 * our thread, inside of ring_wait, and nowhere else.
 *
 * A completion is told apart by its tag: what kind of operation, which slot of which table, and
 * the slot's generation, so that a completion that arrives after its owner has gone (a cancelled
 * operation gives two, in either order) is recognised and dropped.
 */
#ifndef MGID_RING_H
#define MGID_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* kind: 8 bits, generation: 24 bits, index: 32 bits. */
struct ring_tag {
    uint8_t kind;
    uint32_t generation; /* the low 24 bits count */
    uint32_t index;
};

#define RING_GENERATION_MASK 0xffffffu

static inline uint64_t ring_tag_pack(struct ring_tag t)
{
    return (uint64_t)t.kind << 56 | (uint64_t)(t.generation & RING_GENERATION_MASK) << 32 | t.index;
}

static inline struct ring_tag ring_tag_unpack(uint64_t data)
{
    return (struct ring_tag){.kind = (uint8_t)(data >> 56),
                             .generation = (uint32_t)(data >> 32) & RING_GENERATION_MASK,
                             .index = (uint32_t)data};
}

/* Provided receive buffers: `count` (a power of two) of `size` bytes, one group. */
struct ring_buffers {
    struct io_uring_buf_ring *ring;
    unsigned char *memory;
    unsigned count;
    unsigned size;
    uint16_t group;
    unsigned returned; /* given back since the last publish */
};

struct ring {
    struct io_uring uring;
    struct ring_buffers receive; /* from clients and peers: many, small */
    struct ring_buffers message; /* from other roles: few, of LIMIT_MESSAGE */
};

struct ring_config {
    unsigned entries;
    unsigned completions;
    unsigned receive_count;
    unsigned receive_size;
    unsigned message_count;
    unsigned message_size;
};

/* Creates, restricts and enables; maps and registers both buffer groups. Before the sandbox
 * closes (it forbids io_uring_setup and io_uring_register). Returns 0 or -errno; *step then
 * names what the kernel refused. */
int ring_create(struct ring *r, const struct ring_config *config, const char **step);

/* A free submission entry; submits what is gathered when there is none. Never NULL. */
struct io_uring_sqe *ring_sqe(struct ring *r);

/* Submits what is gathered unless `count` entries are free: what is linked must be submitted in
 * one piece, or the kernel ends the chain at the piece's end. */
void ring_reserve(struct ring *r, unsigned count);

/* Submits what is gathered and waits until a completion is there or `microseconds` have passed
 * (0: does not wait; UINT64_MAX: no limit). Returns 0, or -errno of a failure that is a bug. */
int ring_wait(struct ring *r, uint64_t microseconds);

/* The completions that are there, at most `max`; ring_seen gives the slots back. */
unsigned ring_peek(struct ring *r, struct io_uring_cqe **cqes, unsigned max);
void ring_seen(struct ring *r, unsigned count);

/* The bytes of the provided buffer that a completion names; valid until given back. */
const unsigned char *ring_buffer(const struct ring_buffers *b, const struct io_uring_cqe *cqe);

/* Gives the buffer back to the kernel; it sees it after ring_buffers_publish. */
void ring_buffer_return(struct ring_buffers *b, const struct io_uring_cqe *cqe);
void ring_buffers_publish(struct ring_buffers *b);

/* ---- operations ------------------------------------------------------------------------- */
void ring_accept(struct ring *r, struct ring_tag tag, int fd); /* multishot */
/* Multishot, into buffers of the group. */
void ring_receive(struct ring *r, struct ring_tag tag, int fd, const struct ring_buffers *b);
/* Multishot: completes whenever fd becomes readable. */
void ring_poll(struct ring *r, struct ring_tag tag, int fd);
/* To a connection; may send less. The process ignores SIGPIPE. */
void ring_send(struct ring *r, struct ring_tag tag, int fd, const void *p, size_t n);
void ring_connect(struct ring *r, struct ring_tag tag, int fd, const struct sockaddr *a,
                  socklen_t length);
/* The write is linked to the sync that is asked for next when `linked`. */
void ring_write(struct ring *r, struct ring_tag tag, int fd, const struct iovec *iov,
                unsigned count, uint64_t offset, bool linked);
void ring_sync(struct ring *r, struct ring_tag tag, int fd); /* fdatasync */
/* fsync: a directory with its names. What is asked for next is linked to it when `linked` is the
 * number of operations of the chain, this one included; 1: none. */
void ring_sync_all(struct ring *r, struct ring_tag tag, int fd, unsigned linked);
/* fallocate from 0 on; mode as there. */
void ring_allocate(struct ring *r, struct ring_tag tag, int fd, int mode, uint64_t size);
/* Cancels every operation on fd; those give -ECANCELED, this one its own completion. */
void ring_cancel(struct ring *r, struct ring_tag tag, int fd);
/* Cancels the operation that was given the tag `victim`. */
void ring_cancel_one(struct ring *r, struct ring_tag tag, struct ring_tag victim);

#endif
