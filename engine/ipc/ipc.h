/*
 * ipc: typed messages between two roles over a SOCK_SEQPACKET socket pair.
 *
 * One message is one packet: a header (kind, length) and the fields of messages.def in order.
 * The decoder is sticky: after the first field that does not fit, all further reads give zero
 * and nothing is trusted; a message counts only when every field was there and no byte is left
 * over. Who may send what to whom is a table; the roles come from the channel, never from the
 * message. A receiver treats anything but IPC_OK as an attack or a bug of the other side: it
 * logs and closes the channel.
 */
#ifndef MGID_IPC_H
#define MGID_IPC_H

#include "limits.h"
#include "roles.h"
#include "span.h"
#include "status.h"
#include "tls_ticket.h"
#include <sys/types.h>

/* ---- writing and reading of fields ------------------------------------------------------ */

/* Writes into memory of the caller's; `overflow` sticks, and then nothing is written any more. */
struct msg_writer {
    unsigned char *p;
    size_t n;
    size_t capacity;
    bool overflow;
};

void msg_put_u8(struct msg_writer *w, uint8_t v);
void msg_put_u16(struct msg_writer *w, uint16_t v);
void msg_put_u32(struct msg_writer *w, uint32_t v);
void msg_put_u64(struct msg_writer *w, uint64_t v);
/* A 32-bit length and the bytes. */
void msg_put_span(struct msg_writer *w, struct span s);

/* Reads from `in`; spans that it returns point into the same memory. `bad` sticks. */
struct msg_reader {
    struct span in;
    bool bad;
};

uint8_t msg_get_u8(struct msg_reader *r);
uint16_t msg_get_u16(struct msg_reader *r);
uint32_t msg_get_u32(struct msg_reader *r);
uint64_t msg_get_u64(struct msg_reader *r);
/* A length above `max` is bad. */
struct span msg_get_span(struct msg_reader *r, size_t max);
/* True when everything was read, correctly, to the last byte. */
bool msg_get_end(const struct msg_reader *r);

/* ---- messages --------------------------------------------------------------------------- */

/* The field `listener` of the socket on which control serves metrics. */
#define LISTENER_METRICS UINT16_MAX

enum msg_kind {
    MSG_NONE, /* no message has kind 0 */
#define MESSAGE(name, senders, receivers, descriptors, fields) MSG_##name,
#include "messages.def"
#undef MESSAGE
    MSG_KIND_COUNT
};

#define F_U8(name) uint8_t name;
#define F_U16(name) uint16_t name;
#define F_U32(name) uint32_t name;
#define F_U64(name) uint64_t name;
#define F_SPAN(name, max) struct span name;
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    struct msg_##name {                                                                            \
        fields                                                                                     \
    };
#include "messages.def"
#undef MESSAGE
#undef F_U8
#undef F_U16
#undef F_U32
#undef F_U64
#undef F_SPAN

/* A decoded message. Spans point into the packet that it was decoded from. Descriptors belong
 * to the receiver from the moment ipc_receive returns IPC_OK. */
struct ipc_message {
    enum msg_kind kind;
    int fds[LIMIT_MESSAGE_FDS]; /* -1 where none */
    union {
#define MESSAGE(name, senders, receivers, descriptors, fields) struct msg_##name name;
#include "messages.def"
#undef MESSAGE
    };
};

enum ipc_status {
    IPC_OK,
    IPC_AGAIN,         /* nothing there, or no room to send: try later */
    IPC_CLOSED,        /* the peer has gone */
    IPC_NOT_PERMITTED, /* a kind that this sender may not send to this receiver */
    IPC_MALFORMED,     /* a field, a length or the number of descriptors is wrong */
    IPC_FAILED,        /* errno tells */
};

const char *ipc_status_text(enum ipc_status status);
const char *ipc_kind_name(enum msg_kind kind);

/* The number of descriptors that come with a message of that kind. */
unsigned ipc_kind_descriptors(enum msg_kind kind);

/* Encodes m (kind and fields) into buffer; returns the packet's length, or 0 when a field is
 * over its bound or the buffer too small. Pure. */
size_t ipc_encode(const struct ipc_message *m, unsigned char *buffer, size_t capacity);

/* Decodes a packet that `from` sent to `to`. Sets every field of *m; fds to -1. Pure. */
enum ipc_status ipc_decode(struct span packet, enum role from, enum role to, struct ipc_message *m);

/* ---- sockets ---------------------------------------------------------------------------- */

/* A connected pair, close-on-exec, non-blocking, with send buffers as large as the system
 * gives. Returns 0, or -1 with errno. */
int ipc_pair(int fds[2]);

/* Sends m with its descriptors (which stay the caller's). Never blocks, raises no SIGPIPE.
 * IPC_OK, IPC_AGAIN, IPC_CLOSED, IPC_FAILED. An over-long field is a bug of the caller. */
enum ipc_status ipc_send(int fd, const struct ipc_message *m);

/* Receives one message into buffer (LIMIT_MESSAGE bytes, which m's spans point into). With
 * anything but IPC_OK no descriptor is left open. Does not block on a non-blocking socket. */
enum ipc_status ipc_receive(int fd, enum role from, enum role to, unsigned char *buffer,
                            struct ipc_message *m);

#endif
