/*
 * A role that lies: well-formed messages of every kind that it may send, with contents that make no
 * sense, thousands of them, on every channel that it has. The others must serve on.
 */
#include "engine/ipc/ipc.h"
#include "tests/sandbox/acts.h"
#include <poll.h>
#include <sys/socket.h>

enum { LIES = 3000, LARGE = 40000 };

static uint64_t state = 0x9e3779b97f4a7c15;

/* xorshift64: the same lies in every run. */
static uint64_t chance(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Small, large, or anything: the edges are where mistakes are. */
static uint64_t number(void)
{
    static const uint64_t edges[] = {0, 1, 2, 255, 256, 65535, 65536, UINT32_MAX, UINT64_MAX};
    uint64_t kind = chance() % 4;
    return kind == 0   ? edges[chance() % (sizeof edges / sizeof edges[0])]
           : kind == 1 ? chance()
                       : chance() % 8;
}

/* Bytes that look like DER, text or nothing in particular. */
static struct span bytes(size_t max)
{
    static unsigned char memory[LARGE];
    static const unsigned char starts[] = {0x30, 0x82, 0x02, 0x00, 'a', '.', ' ', 0xff};
    size_t wanted = chance() % 16 == 0 ? chance() % LARGE : chance() % 300;
    size_t n = wanted < max ? wanted : max;
    for (size_t i = 0; i < n; i++)
        memory[i] = chance() % 4 ? starts[chance() % sizeof starts] : (unsigned char)chance();
    return span_of(memory, n);
}

#define F_U8(name) m->name = (uint8_t)number();
#define F_U16(name) m->name = (uint16_t)number();
#define F_U32(name) m->name = (uint32_t)number();
#define F_U64(name) m->name = number();
#define F_SPAN(name, max) m->name = bytes(max);
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    static void make_##name(struct msg_##name *m)                                                  \
    {                                                                                              \
        fields                                                                                     \
    }
#include "messages.def"
#undef MESSAGE
#undef F_U8
#undef F_U16
#undef F_U32
#undef F_U64
#undef F_SPAN

static void make(struct ipc_message *m)
{
    switch (m->kind) {
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    case MSG_##name:                                                                               \
        make_##name(&m->name);                                                                     \
        break;
#include "messages.def"
#undef MESSAGE
    default:
        break;
    }
}

/* Reads what the other side answers, so that it does not wait for room. */
static void drain(int fd)
{
    unsigned char buffer[1024];
    while (recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
        continue;
}

static void lie_to(const struct probe *p, int fd, enum role peer)
{
    static unsigned char packet[LIMIT_MESSAGE];
    for (unsigned i = 0; i < LIES; i++) {
        struct ipc_message m = {.fds = {-1, -1}}, back;
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        m.kind = (enum msg_kind)(1 + chance() % (MSG_KIND_COUNT - 1));
        if (ipc_kind_descriptors(m.kind) > 0)
            continue;
        make(&m);
        size_t n = ipc_encode(&m, packet, sizeof packet);
        if (n == 0 || ipc_decode(span_of(packet, n), p->role, peer, &back) != IPC_OK)
            continue;
        drain(fd);
        if (poll(&room, 1, 1000) > 0 && send(fd, packet, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            return;
    }
}

int act_lie(const struct probe *p)
{
    for (unsigned i = 0; i < p->peers; i++)
        lie_to(p, p->peer[i], p->peer_role[i]);
    return 0;
}

int act_lie_to_master(const struct probe *p)
{
    lie_to(p, PROBE_MASTER, ROLE_MASTER);
    return probe_closed(PROBE_MASTER);
}
