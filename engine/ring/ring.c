/* Creating, restricting and enabling the ring; waiting; provided buffers. */
#include "engine/ring/ring.h"
#include "limits.h"
#include "status.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { GROUP_RECEIVE = 0, GROUP_MESSAGE = 1 };

static int restrict_ring(struct io_uring *u)
{
    struct io_uring_restriction list[] = {
#define RING_OP(name, why) {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_##name},
#include "engine/ring/ring_ops.def"
#undef RING_OP
        /* No fixed files, drain, async or personality: only links and buffer selection. */
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
         .sqe_flags = IOSQE_IO_LINK | IOSQE_BUFFER_SELECT},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_ENABLE_RINGS},
    };
    return io_uring_register_restrictions(u, list, sizeof list / sizeof list[0]);
}

/* Anonymous memory for the entries and the buffers, registered as one group. */
static int buffers_create(struct io_uring *u, struct ring_buffers *b, uint16_t group,
                          unsigned count, unsigned size)
{
    size_t entries = count * sizeof(struct io_uring_buf);
    void *ring = mmap(NULL, entries, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    void *memory = mmap(NULL, (size_t)count * size, PROT_READ | PROT_WRITE,
                        MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE, -1, 0);
    if (ring == MAP_FAILED || memory == MAP_FAILED)
        return -errno;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)ring, .ring_entries = count, .bgid = group};
    int r = io_uring_register_buf_ring(u, &reg, 0);
    if (r < 0)
        return r;
    *b = (struct ring_buffers){
        .ring = ring, .memory = memory, .count = count, .size = size, .group = group};
    io_uring_buf_ring_init(b->ring);
    for (unsigned i = 0; i < count; i++)
        io_uring_buf_ring_add(b->ring, b->memory + (size_t)i * size, size, (unsigned short)i,
                              io_uring_buf_ring_mask(count), (int)i);
    io_uring_buf_ring_advance(b->ring, (int)count);
    return 0;
}

int ring_create(struct ring *r, const struct ring_config *c, const char **step)
{
    memset(r, 0, sizeof *r);
    struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
                                         IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                                         IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL,
                                .cq_entries = c->completions};
    *step = "io_uring_setup (is kernel.io_uring_disabled set?)";
    int e = io_uring_queue_init_params(c->entries, &r->uring, &p);
    if (e < 0)
        return e;
    *step = "registering buffers for receiving";
    e = buffers_create(&r->uring, &r->receive, GROUP_RECEIVE, c->receive_count, c->receive_size);
    if (e < 0)
        return e;
    *step = "registering buffers for messages";
    e = buffers_create(&r->uring, &r->message, GROUP_MESSAGE, c->message_count, c->message_size);
    if (e < 0)
        return e;
    *step = "restricting the ring";
    e = restrict_ring(&r->uring);
    if (e < 0)
        return e;
    *step = "enabling the ring";
    e = io_uring_enable_rings(&r->uring);
    return e < 0 ? e : 0;
}

void ring_reserve(struct ring *r, unsigned count)
{
    while (io_uring_sq_space_left(&r->uring) < count) {
        int e = io_uring_submit(&r->uring);
        BUG_ON(e < 0 && e != -EBUSY && e != -EAGAIN && e != -EINTR);
    }
}

struct io_uring_sqe *ring_sqe(struct ring *r)
{
    ring_reserve(r, 1);
    return io_uring_get_sqe(&r->uring);
}

int ring_wait(struct ring *r, uint64_t microseconds)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec ts = {.tv_sec = (long long)(microseconds / 1000000),
                                   .tv_nsec = (long long)(microseconds % 1000000) * 1000};
    bool forever = microseconds == UINT64_MAX;
    /* Always for one completion, also when not to wait: else nothing is entered when nothing is to
     * be submitted, and task work that the kernel has deferred stays undone. */
    int e = io_uring_submit_and_wait_timeout(&r->uring, &cqe, 1, forever ? NULL : &ts, NULL);
    if (e >= 0 || e == -ETIME || e == -EINTR || e == -EAGAIN || e == -EBUSY)
        return 0;
    return e;
}

unsigned ring_peek(struct ring *r, struct io_uring_cqe **cqes, unsigned max)
{
    return io_uring_peek_batch_cqe(&r->uring, cqes, max);
}

void ring_seen(struct ring *r, unsigned count)
{
    io_uring_cq_advance(&r->uring, count);
}

static unsigned buffer_number(const struct ring_buffers *b, const struct io_uring_cqe *cqe)
{
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    BUG_ON(!(cqe->flags & IORING_CQE_F_BUFFER) || id >= b->count);
    return id;
}

const unsigned char *ring_buffer(const struct ring_buffers *b, const struct io_uring_cqe *cqe)
{
    return b->memory + (size_t)buffer_number(b, cqe) * b->size;
}

void ring_buffer_return(struct ring_buffers *b, const struct io_uring_cqe *cqe)
{
    unsigned id = buffer_number(b, cqe);
    io_uring_buf_ring_add(b->ring, b->memory + (size_t)id * b->size, b->size, (unsigned short)id,
                          io_uring_buf_ring_mask(b->count), (int)b->returned);
    b->returned++;
}

void ring_buffers_publish(struct ring_buffers *b)
{
    if (b->returned > 0)
        io_uring_buf_ring_advance(b->ring, (int)b->returned);
    b->returned = 0;
}
