/* Encoding, decoding and the permit check of messages, all expanded from messages.def. */
#include "engine/ipc/ipc.h"

#define M_MASTER ROLE_BIT(ROLE_MASTER)
#define M_COMPILER ROLE_BIT(ROLE_COMPILER)
#define M_CONNECTION ROLE_BIT(ROLE_CONNECTION)
#define M_KEEPER ROLE_BIT(ROLE_KEEPER)
#define M_RESOLVER ROLE_BIT(ROLE_RESOLVER)
#define M_CONTROL ROLE_BIT(ROLE_CONTROL)
#define M_ANY_ROLE (M_COMPILER | M_CONNECTION | M_KEEPER | M_RESOLVER | M_CONTROL)

struct permit {
    const char *name;
    unsigned senders;
    unsigned receivers;
    unsigned descriptors;
};

static const struct permit permits[MSG_KIND_COUNT] = {
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    [MSG_##name] = {#name, senders, receivers, descriptors},
#include "messages.def"
#undef MESSAGE
};

#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    _Static_assert((descriptors) <= LIMIT_MESSAGE_FDS, #name);
#include "messages.def"
#undef MESSAGE

struct header {
    uint16_t kind;
    uint16_t zero;
    uint32_t length; /* of the whole packet */
};

const char *role_name(unsigned role)
{
    static const char *const names[ROLE_COUNT] = {
#define ROLE(NAME, name, uid_offset, summary) [ROLE_##NAME] = #name,
#include "roles.def"
#undef ROLE
    };
    return role < ROLE_COUNT ? names[role] : "unknown";
}

const char *ipc_kind_name(enum msg_kind kind)
{
    return (unsigned)kind < MSG_KIND_COUNT && permits[kind].name ? permits[kind].name : "unknown";
}

unsigned ipc_kind_descriptors(enum msg_kind kind)
{
    return (unsigned)kind < MSG_KIND_COUNT ? permits[kind].descriptors : 0;
}

const char *ipc_status_text(enum ipc_status status)
{
    static const char *const texts[] = {
        [IPC_OK] = "ok",
        [IPC_AGAIN] = "would block",
        [IPC_CLOSED] = "closed by the peer",
        [IPC_NOT_PERMITTED] = "a message of a kind that this role may not send here",
        [IPC_MALFORMED] = "a malformed message",
        [IPC_FAILED] = "the system refused",
    };
    return texts[status];
}

#define F_U8(field) msg_put_u8(w, v->field);
#define F_U16(field) msg_put_u16(w, v->field);
#define F_U32(field) msg_put_u32(w, v->field);
#define F_U64(field) msg_put_u64(w, v->field);
#define F_SPAN(field, max)                                                                         \
    if (v->field.n > (max))                                                                        \
        w->overflow = true;                                                                        \
    msg_put_span(w, v->field);
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    static void encode_##name(struct msg_writer *w, const struct msg_##name *v)                    \
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

#define F_U8(field) v->field = msg_get_u8(r);
#define F_U16(field) v->field = msg_get_u16(r);
#define F_U32(field) v->field = msg_get_u32(r);
#define F_U64(field) v->field = msg_get_u64(r);
#define F_SPAN(field, max) v->field = msg_get_span(r, max);
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    static void decode_##name(struct msg_reader *r, struct msg_##name *v)                          \
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

size_t ipc_encode(const struct ipc_message *m, unsigned char *buffer, size_t capacity)
{
    if (capacity > LIMIT_MESSAGE)
        capacity = LIMIT_MESSAGE;
    if (capacity < sizeof(struct header))
        return 0;
    struct msg_writer w = {.p = buffer, .n = sizeof(struct header), .capacity = capacity};
    switch (m->kind) {
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    case MSG_##name:                                                                               \
        encode_##name(&w, &m->name);                                                               \
        break;
#include "messages.def"
#undef MESSAGE
    case MSG_NONE:
    case MSG_KIND_COUNT:
        return 0;
    }
    if (w.overflow)
        return 0;
    struct header h = {.kind = (uint16_t)m->kind, .length = (uint32_t)w.n};
    memcpy(buffer, &h, sizeof h);
    return w.n;
}

enum ipc_status ipc_decode(struct span packet, enum role from, enum role to, struct ipc_message *m)
{
    struct header h;
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < LIMIT_MESSAGE_FDS; i++)
        m->fds[i] = -1;
    if (packet.n < sizeof h || packet.n > LIMIT_MESSAGE)
        return IPC_MALFORMED;
    memcpy(&h, packet.p, sizeof h);
    if (h.zero != 0 || h.length != packet.n || h.kind == MSG_NONE || h.kind >= MSG_KIND_COUNT)
        return IPC_MALFORMED;
    if (!(permits[h.kind].senders & ROLE_BIT(from)) || !(permits[h.kind].receivers & ROLE_BIT(to)))
        return IPC_NOT_PERMITTED;
    struct msg_reader r = {.in = span_from(packet, sizeof h)};
    m->kind = (enum msg_kind)h.kind;
    switch (m->kind) {
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    case MSG_##name:                                                                               \
        decode_##name(&r, &m->name);                                                               \
        break;
#include "messages.def"
#undef MESSAGE
    case MSG_NONE:
    case MSG_KIND_COUNT:
        break;
    }
    return msg_get_end(&r) ? IPC_OK : IPC_MALFORMED;
}
