/*
 * Messages: every kind there and back, and whatever may be wrong with one. All kinds come from
 * messages.def, so that a new one is tested when it is written down.
 */
#include "engine/ipc/ipc.h"
#include "tests/unit/random.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define M_MASTER ROLE_BIT(ROLE_MASTER)
#define M_COMPILER ROLE_BIT(ROLE_COMPILER)
#define M_CONNECTION ROLE_BIT(ROLE_CONNECTION)
#define M_KEEPER ROLE_BIT(ROLE_KEEPER)
#define M_RESOLVER ROLE_BIT(ROLE_RESOLVER)
#define M_CONTROL ROLE_BIT(ROLE_CONTROL)
#define M_ANY_ROLE (M_COMPILER | M_CONNECTION | M_KEEPER | M_RESOLVER | M_CONTROL)

enum { HEADER = 8, LENGTH_AT = 4 };

static unsigned char noise[LIMIT_MESSAGE + 1]; /* what spans point into */
static unsigned char packet[2 * LIMIT_MESSAGE];

static void seed(uint64_t n)
{
    random_state = 0x9e3779b97f4a7c15u ^ (n + 1);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)random_bits();
}

/* ---- what messages.def says of a kind, and messages with values ------------------------- */

static const struct {
    unsigned senders;
    unsigned receivers;
    unsigned descriptors;
} kinds[MSG_KIND_COUNT] = {
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    [MSG_##name] = {senders, receivers, descriptors},
#include "messages.def"
#undef MESSAGE
};

enum span_choice { SPANS_SHORT, SPANS_FULL, SPANS_ANY };

static struct span some_span(enum span_choice choice, size_t max)
{
    size_t n = choice == SPANS_FULL ? max : random_bits() % (max + 1);
    return span_of(noise + random_bits() % 16, choice == SPANS_SHORT && n > 40 ? 40 : n);
}

/* Fills the fields of m, whose kind is set. */
static void fill(struct ipc_message *m, enum span_choice choice)
{
    switch (m->kind) {
#define F_U8(field) v->field = (uint8_t)random_bits();
#define F_U16(field) v->field = (uint16_t)random_bits();
#define F_U32(field) v->field = (uint32_t)random_bits();
#define F_U64(field) v->field = random_bits();
#define F_SPAN(field, max) v->field = some_span(choice, max);
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    case MSG_##name: {                                                                             \
        struct msg_##name *v = &m->name;                                                           \
        fields break;                                                                              \
    }
#include "messages.def"
#undef MESSAGE
#undef F_U8
#undef F_U16
#undef F_U32
#undef F_U64
#undef F_SPAN
    case MSG_NONE:
    case MSG_KIND_COUNT:
        ck_abort_msg("no kind");
    }
}

static void same(const struct ipc_message *x, const struct ipc_message *y)
{
    ck_assert_int_eq(x->kind, y->kind);
    switch (x->kind) {
#define F_U8(field) ck_assert_uint_eq(a->field, b->field);
#define F_U16(field) ck_assert_uint_eq(a->field, b->field);
#define F_U32(field) ck_assert_uint_eq(a->field, b->field);
#define F_U64(field) ck_assert_uint_eq(a->field, b->field);
#define F_SPAN(field, max) ck_assert(span_eq(a->field, b->field));
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    case MSG_##name: {                                                                             \
        const struct msg_##name *a = &x->name;                                                     \
        const struct msg_##name *b = &y->name;                                                     \
        fields break;                                                                              \
    }
#include "messages.def"
#undef MESSAGE
#undef F_U8
#undef F_U16
#undef F_U32
#undef F_U64
#undef F_SPAN
    case MSG_NONE:
    case MSG_KIND_COUNT:
        ck_abort_msg("no kind");
    }
}

/* Makes the nth span of the message one byte too long; false when it has no nth span. */
static bool overfill(struct ipc_message *m, unsigned nth)
{
    unsigned span = 0;
    switch (m->kind) {
#define F_U8(field)
#define F_U16(field)
#define F_U32(field)
#define F_U64(field)
#define F_SPAN(field, max)                                                                         \
    if (span++ == nth) {                                                                           \
        v->field = span_of(noise, (size_t)(max) + 1);                                              \
        return true;                                                                               \
    }
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    case MSG_##name: {                                                                             \
        struct msg_##name *v = &m->name;                                                           \
        (void)v;                                                                                   \
        fields break;                                                                              \
    }
#include "messages.def"
#undef MESSAGE
#undef F_SPAN
    case MSG_NONE:
    case MSG_KIND_COUNT:
        break;
    }
    return nth < span;
}

/* Writes the fields as ipc_encode does, but with no regard for bounds. */
static size_t encode_unchecked(const struct ipc_message *m, unsigned char *out, size_t capacity)
{
    struct msg_writer writer = {.p = out, .n = HEADER, .capacity = capacity};
    struct msg_writer *w = &writer;
    switch (m->kind) {
#undef F_U8
#undef F_U16
#undef F_U32
#undef F_U64
#define F_U8(field) msg_put_u8(w, v->field);
#define F_U16(field) msg_put_u16(w, v->field);
#define F_U32(field) msg_put_u32(w, v->field);
#define F_U64(field) msg_put_u64(w, v->field);
#define F_SPAN(field, max) msg_put_span(w, v->field);
#define MESSAGE(name, senders, receivers, descriptors, fields)                                     \
    case MSG_##name: {                                                                             \
        const struct msg_##name *v = &m->name;                                                     \
        fields break;                                                                              \
    }
#include "messages.def"
#undef MESSAGE
    case MSG_NONE:
    case MSG_KIND_COUNT:
        break;
    }
    ck_assert(!w->overflow);
    uint16_t head[2] = {(uint16_t)m->kind, 0};
    uint32_t length = (uint32_t)w->n;
    memcpy(out, head, sizeof head);
    memcpy(out + LENGTH_AT, &length, sizeof length);
    return w->n;
}

static void set_length(uint32_t length)
{
    memcpy(packet + LENGTH_AT, &length, sizeof length);
}

static enum role first_role(unsigned mask)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        if (mask & ROLE_BIT(role))
            return role;
    ck_abort_msg("nobody may");
}

static enum ipc_status decode(size_t n, struct ipc_message *m, enum msg_kind kind)
{
    return ipc_decode(span_of(packet, n), first_role(kinds[kind].senders),
                      first_role(kinds[kind].receivers), m);
}

static struct ipc_message message_of(unsigned kind)
{
    return (struct ipc_message){.kind = (enum msg_kind)kind};
}

/* ---- tests of encoding ------------------------------------------------------------------ */

START_TEST(every_kind_there_and_back)
{
    struct ipc_message m = message_of((unsigned)_i), back;
    for (uint64_t round = 0; round < 60; round++) {
        seed(round);
        fill(&m, round == 0 ? SPANS_FULL : round % 2 ? SPANS_SHORT : SPANS_ANY);
        memset(&back, 0xee, sizeof back);
        size_t n = ipc_encode(&m, packet, sizeof packet);
        ck_assert_msg(n > 0, "%s does not fit a message", ipc_kind_name(m.kind));
        ck_assert_uint_le(n, LIMIT_MESSAGE);
        ck_assert_int_eq(decode(n, &back, m.kind), IPC_OK);
        same(&m, &back);
        for (unsigned i = 0; i < LIMIT_MESSAGE_FDS; i++)
            ck_assert_int_eq(back.fds[i], -1);
    }
}
END_TEST

START_TEST(only_the_permitted_roles)
{
    struct ipc_message m = message_of((unsigned)_i), back;
    seed(1);
    fill(&m, SPANS_SHORT);
    size_t n = ipc_encode(&m, packet, sizeof packet);
    for (unsigned from = 0; from < ROLE_COUNT; from++)
        for (unsigned to = 0; to < ROLE_COUNT; to++) {
            bool permitted = (kinds[_i].senders & ROLE_BIT(from)) != 0 &&
                             (kinds[_i].receivers & ROLE_BIT(to)) != 0;
            ck_assert_int_eq(ipc_decode(span_of(packet, n), from, to, &back),
                             permitted ? IPC_OK : IPC_NOT_PERMITTED);
        }
    ck_assert_uint_eq(ipc_kind_descriptors(m.kind), kinds[_i].descriptors);
    ck_assert_uint_eq(kinds[_i].senders & kinds[_i].receivers, 0);
}
END_TEST

START_TEST(cut_off_anywhere_is_malformed)
{
    struct ipc_message m = message_of((unsigned)_i), back;
    seed(2);
    fill(&m, SPANS_SHORT);
    size_t n = ipc_encode(&m, packet, sizeof packet);
    for (size_t k = 0; k < n; k++) {
        set_length((uint32_t)n);
        ck_assert_int_eq(decode(k, &back, m.kind), IPC_MALFORMED);
        set_length((uint32_t)k);
        ck_assert_int_eq(decode(k, &back, m.kind), IPC_MALFORMED);
    }
}
END_TEST

START_TEST(trailing_byte_is_malformed)
{
    struct ipc_message m = message_of((unsigned)_i), back;
    seed(3);
    fill(&m, SPANS_SHORT);
    size_t n = ipc_encode(&m, packet, sizeof packet);
    packet[n] = 0;
    ck_assert_int_eq(decode(n + 1, &back, m.kind), IPC_MALFORMED);
    set_length((uint32_t)n + 1);
    ck_assert_int_eq(decode(n + 1, &back, m.kind), IPC_MALFORMED);
}
END_TEST

START_TEST(over_long_span_is_neither_written_nor_read)
{
    struct ipc_message m = message_of((unsigned)_i), back;
    seed(4);
    for (unsigned nth = 0;; nth++) {
        fill(&m, SPANS_SHORT);
        if (!overfill(&m, nth))
            break;
        ck_assert_uint_eq(ipc_encode(&m, packet, sizeof packet), 0);
        size_t n = encode_unchecked(&m, packet, sizeof packet);
        ck_assert_int_eq(decode(n, &back, m.kind), IPC_MALFORMED);
    }
    /* That the forged packets are wrong in nothing else: */
    fill(&m, SPANS_SHORT);
    size_t n = encode_unchecked(&m, packet, sizeof packet);
    ck_assert_int_eq(decode(n, &back, m.kind), IPC_OK);
    same(&m, &back);
}
END_TEST

START_TEST(small_buffers_are_never_overrun)
{
    struct ipc_message m = message_of((unsigned)_i);
    seed(5);
    fill(&m, SPANS_SHORT);
    size_t n = ipc_encode(&m, packet, sizeof packet);
    for (size_t capacity = 0; capacity <= n; capacity++) {
        /* Exactly so large, so that AddressSanitizer sees a byte too many. */
        unsigned char *buffer = malloc(capacity > 0 ? capacity : 1);
        ck_assert_ptr_nonnull(buffer);
        ck_assert_uint_eq(ipc_encode(&m, buffer, capacity), capacity == n ? n : 0);
        free(buffer);
    }
}
END_TEST

START_TEST(noise_is_refused_or_stays_inside)
{
    struct ipc_message back;
    for (uint64_t round = 0; round < 20000; round++) {
        random_state = round * 0x9e3779b97f4a7c15u + 77;
        size_t n = HEADER + random_bits() % 120;
        unsigned kind = (unsigned)(random_bits() % (MSG_KIND_COUNT + 2));
        uint16_t head[2] = {(uint16_t)kind, 0};
        unsigned char *exact = malloc(n);
        ck_assert_ptr_nonnull(exact);
        for (size_t i = 0; i < n; i++)
            /* Many zeros: lengths that could be right. */
            exact[i] = random_bits() % 4 ? 0 : (unsigned char)(random_bits() % 16);
        uint32_t length = (uint32_t)n;
        memcpy(exact, head, sizeof head);
        memcpy(exact + LENGTH_AT, &length, sizeof length);
        bool is_kind = kind > MSG_NONE && kind < MSG_KIND_COUNT;
        enum role from = is_kind ? first_role(kinds[kind].senders) : ROLE_MASTER;
        enum role to = is_kind ? first_role(kinds[kind].receivers) : ROLE_KEEPER;
        enum ipc_status status = ipc_decode(span_of(exact, n), from, to, &back);
        ck_assert(status == IPC_OK || status == IPC_MALFORMED);
        if (status == IPC_OK)
            ck_assert_uint_eq(encode_unchecked(&back, packet, sizeof packet), n);
        free(exact);
    }
}
END_TEST

START_TEST(wrong_headers_are_malformed)
{
    struct ipc_message m = {.kind = MSG_drain, .drain = {.milliseconds = 5}}, back;
    size_t n = ipc_encode(&m, packet, sizeof packet);
    ck_assert_int_eq(decode(n, &back, m.kind), IPC_OK);
    for (size_t i = 0; i < HEADER; i++) {
        unsigned char before = packet[i];
        packet[i] = (unsigned char)(before + 100);
        ck_assert_int_eq(decode(n, &back, m.kind), IPC_MALFORMED);
        packet[i] = before;
    }
    packet[0] = MSG_NONE;
    ck_assert_int_eq(decode(n, &back, m.kind), IPC_MALFORMED);
    packet[0] = MSG_KIND_COUNT;
    ck_assert_int_eq(decode(n, &back, m.kind), IPC_MALFORMED);
    memset(packet, 0, sizeof packet);
    ck_assert_int_eq(decode(sizeof packet, &back, m.kind), IPC_MALFORMED);
    m.kind = MSG_NONE;
    ck_assert_uint_eq(ipc_encode(&m, packet, sizeof packet), 0);
}
END_TEST

START_TEST(reader_stays_bad)
{
    struct msg_reader r = {.in = SPAN_LIT("\x01\x02\x03")};
    ck_assert_uint_eq(msg_get_u8(&r), 1);
    ck_assert_uint_eq(msg_get_u32(&r), 0);
    ck_assert(r.bad);
    ck_assert_uint_eq(msg_get_u8(&r), 0);
    ck_assert_uint_eq(msg_get_u64(&r), 0);
    ck_assert_uint_eq(msg_get_span(&r, 100).n, 0);
    ck_assert(!msg_get_end(&r));
    struct msg_writer w = {.p = packet, .capacity = 3};
    msg_put_u16(&w, 7);
    msg_put_u16(&w, 7);
    msg_put_u8(&w, 7);
    ck_assert(w.overflow);
    ck_assert_uint_eq(w.n, 2);
}
END_TEST

START_TEST(names_of_what_does_not_exist)
{
    ck_assert_str_eq(role_name(ROLE_KEEPER), "keeper");
    ck_assert_str_eq(role_name(ROLE_COUNT), "unknown");
    ck_assert_str_eq(role_name(UINT32_MAX), "unknown");
    ck_assert_str_eq(ipc_kind_name(MSG_sign_request), "sign_request");
    ck_assert_str_eq(ipc_kind_name(MSG_NONE), "unknown");
    ck_assert_str_eq(ipc_kind_name(MSG_KIND_COUNT), "unknown");
    ck_assert_uint_eq(ipc_kind_descriptors(MSG_KIND_COUNT), 0);
    for (unsigned s = IPC_OK; s <= IPC_FAILED; s++)
        ck_assert_uint_gt(strlen(ipc_status_text(s)), 0);
}
END_TEST

/* ---- tests over sockets ----------------------------------------------------------------- */

static int pair[2];
static unsigned char buffer[LIMIT_MESSAGE];

static void open_pair(void)
{
    ck_assert_int_eq(ipc_pair(pair), 0);
}

static void close_pair(void)
{
    close(pair[0]);
    if (pair[1] >= 0)
        close(pair[1]);
}

/* A packet as any process could send it, with descriptors as it likes. */
static void send_raw(const void *bytes, size_t n, const int *fds, unsigned count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 8)];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > 0) {
        h.msg_control = control.bytes;
        h.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
    }
    ck_assert_int_eq(sendmsg(pair[0], &h, 0), (ssize_t)n);
}

/* Sends so many descriptors, all of them the writing end of one pipe; expects the status, and that
 * nobody holds the pipe open afterwards. */
static void descriptors_are_closed(const void *bytes, size_t n, unsigned count,
                                   enum ipc_status expected)
{
    struct ipc_message m;
    int ends[2], fds[8];
    char byte;
    ck_assert_int_eq(pipe(ends), 0);
    for (unsigned i = 0; i < count; i++)
        fds[i] = ends[1];
    send_raw(bytes, n, fds, count);
    close(ends[1]);
    ck_assert_int_eq(ipc_receive(pair[1], ROLE_MASTER, ROLE_KEEPER, buffer, &m), expected);
    struct pollfd hung = {.fd = ends[0], .events = POLLIN};
    ck_assert_msg(poll(&hung, 1, 0) == 1, "a descriptor was left open");
    ck_assert_int_eq(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}

START_TEST(descriptors_come_with_their_message)
{
    struct ipc_message m = {.kind = MSG_identity_files, .identity_files = {3, 4}}, back;
    int ends[2];
    char byte = 'x';
    ck_assert_int_eq(pipe(ends), 0);
    m.fds[0] = ends[0];
    m.fds[1] = ends[1];
    ck_assert_int_eq(ipc_send(pair[0], &m), IPC_OK);
    ck_assert_int_eq(ipc_receive(pair[1], ROLE_MASTER, ROLE_KEEPER, buffer, &back), IPC_OK);
    same(&m, &back);
    ck_assert_int_ne(back.fds[0], ends[0]);
    ck_assert_int_eq(fcntl(back.fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(write(back.fds[1], &byte, 1), 1);
    byte = 0;
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 'x');
    for (unsigned i = 0; i < 2; i++) {
        close(ends[i]);
        close(back.fds[i]);
    }
}
END_TEST

START_TEST(wrong_number_of_descriptors_closes_them)
{
    struct ipc_message two = {.kind = MSG_identity_files}, one = {.kind = MSG_image},
                       none = {.kind = MSG_drain}, back;
    size_t n = ipc_encode(&two, packet, sizeof packet);
    descriptors_are_closed(packet, n, 1, IPC_MALFORMED);
    descriptors_are_closed(packet, n, 3, IPC_MALFORMED);
    descriptors_are_closed(packet, n, 8, IPC_MALFORMED);
    descriptors_are_closed(packet, n - 1, 2, IPC_MALFORMED);
    send_raw(packet, n, NULL, 0);
    ck_assert_int_eq(ipc_receive(pair[1], ROLE_MASTER, ROLE_KEEPER, buffer, &back), IPC_MALFORMED);
    n = ipc_encode(&one, packet, sizeof packet);
    descriptors_are_closed(packet, n, 2, IPC_MALFORMED);
    n = ipc_encode(&none, packet, sizeof packet);
    descriptors_are_closed(packet, n, 1, IPC_MALFORMED);
    descriptors_are_closed((const unsigned char *)"", 0, 1, IPC_CLOSED);
    descriptors_are_closed(packet, n, 2, IPC_MALFORMED);
    descriptors_are_closed("junk", 4, 2, IPC_MALFORMED);
    struct ipc_message forbidden = {.kind = MSG_shard};
    n = ipc_encode(&forbidden, packet, sizeof packet);
    descriptors_are_closed(packet, n, 1, IPC_NOT_PERMITTED);
}
END_TEST

START_TEST(larger_packet_than_a_message_is_malformed)
{
    memset(packet, 0, sizeof packet);
    descriptors_are_closed(packet, LIMIT_MESSAGE + 1, 1, IPC_MALFORMED);
}
END_TEST

START_TEST(largest_message_passes)
{
    struct ipc_message m = {.kind = MSG_sign_request}, back;
    seed(6);
    fill(&m, SPANS_FULL);
    ck_assert_int_eq(ipc_send(pair[0], &m), IPC_OK);
    ck_assert_int_eq(ipc_receive(pair[1], ROLE_CONNECTION, ROLE_KEEPER, buffer, &back), IPC_OK);
    same(&m, &back);
}
END_TEST

START_TEST(empty_full_and_closed)
{
    struct ipc_message m = {.kind = MSG_drain}, back;
    ck_assert_int_eq(ipc_receive(pair[1], ROLE_MASTER, ROLE_KEEPER, buffer, &back), IPC_AGAIN);
    unsigned sent = 0;
    enum ipc_status status;
    while ((status = ipc_send(pair[0], &m)) == IPC_OK && sent < 1000000)
        sent++;
    ck_assert_int_eq(status, IPC_AGAIN);
    while (ipc_receive(pair[1], ROLE_MASTER, ROLE_KEEPER, buffer, &back) == IPC_OK)
        sent--;
    ck_assert_uint_eq(sent, 0);
    ck_assert_int_eq(ipc_send(pair[0], &m), IPC_OK);
    close(pair[0]);
    pair[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    /* What was sent before the end still counts. */
    ck_assert_int_eq(ipc_receive(pair[1], ROLE_MASTER, ROLE_KEEPER, buffer, &back), IPC_OK);
    ck_assert_int_eq(ipc_receive(pair[1], ROLE_MASTER, ROLE_KEEPER, buffer, &back), IPC_CLOSED);
    ck_assert_int_eq(ipc_send(pair[1], &m), IPC_CLOSED);
    ck_assert_int_eq(ipc_send(pair[0], &m), IPC_FAILED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ipc");
    TCase *tc = tcase_create("encoding");
    tcase_add_loop_test(tc, every_kind_there_and_back, 1, MSG_KIND_COUNT);
    tcase_add_loop_test(tc, only_the_permitted_roles, 1, MSG_KIND_COUNT);
    tcase_add_loop_test(tc, cut_off_anywhere_is_malformed, 1, MSG_KIND_COUNT);
    tcase_add_loop_test(tc, trailing_byte_is_malformed, 1, MSG_KIND_COUNT);
    tcase_add_loop_test(tc, over_long_span_is_neither_written_nor_read, 1, MSG_KIND_COUNT);
    tcase_add_loop_test(tc, small_buffers_are_never_overrun, 1, MSG_KIND_COUNT);
    tcase_add_test(tc, noise_is_refused_or_stays_inside);
    tcase_add_test(tc, wrong_headers_are_malformed);
    tcase_add_test(tc, reader_stays_bad);
    tcase_add_test(tc, names_of_what_does_not_exist);
    suite_add_tcase(suite, tc);
    tc = tcase_create("sockets");
    tcase_add_checked_fixture(tc, open_pair, close_pair);
    tcase_add_test(tc, descriptors_come_with_their_message);
    tcase_add_test(tc, wrong_number_of_descriptors_closes_them);
    tcase_add_test(tc, larger_packet_than_a_message_is_malformed);
    tcase_add_test(tc, largest_message_passes);
    tcase_add_test(tc, empty_full_and_closed);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
