/* The library's view of the transport: it reads what was fed and writes where the caller said. */
#include "engine/tls/internal.h"
#include <openssl/bio.h>

static int transport_read(BIO *bio, char *out, int n)
{
    struct tls_connection *conn = bio->ptr;
    BIO_clear_retry_flags(bio);
    if (n <= 0)
        return 0;
    if (conn->input.n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    struct span part = span_head(conn->input, (size_t)n);
    memcpy(out, part.p, part.n);
    conn->input = span_from(conn->input, part.n);
    return (int)part.n;
}

static int transport_write(BIO *bio, const char *in, int n)
{
    struct tls_connection *conn = bio->ptr;
    BIO_clear_retry_flags(bio);
    if (n <= 0)
        return 0;
    size_t room = conn->output_capacity - conn->output_n;
    if (room == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    struct span part = span_head(span_of(in, (size_t)n), room);
    memcpy(conn->output + conn->output_n, part.p, part.n);
    conn->output_n += part.n;
    return (int)part.n;
}

/* The library flushes after each flight; there is nothing behind us that could be flushed. */
static long transport_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static const BIO_METHOD transport_method = {
    .type = BIO_TYPE_SOURCE_SINK,
    .name = "mgid transport",
    .bwrite = transport_write,
    .bread = transport_read,
    .ctrl = transport_control,
};

BIO *tls_transport_new(struct tls_connection *conn)
{
    BIO *bio = BIO_new(&transport_method);
    if (bio != NULL) {
        bio->ptr = conn;
        bio->init = 1;
    }
    return bio;
}

void tls_feed(struct tls_connection *conn, struct span received)
{
    conn->input = received;
}

size_t tls_unread(const struct tls_connection *conn)
{
    return conn->input.n;
}

void tls_set_output(struct tls_connection *conn, unsigned char *buffer, size_t capacity)
{
    conn->output = buffer;
    conn->output_n = 0;
    conn->output_capacity = capacity;
}

struct span tls_output(const struct tls_connection *conn)
{
    return conn->output_n == 0 ? SPAN_EMPTY : span_of(conn->output, conn->output_n);
}
