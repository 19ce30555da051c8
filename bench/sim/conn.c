#include "bench/sim/conn.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static enum conn_status status_of(struct conn *c, ssize_t result)
{
    c->wants_write = false;
    if (result > 0)
        return CONN_OK;
    if (c->ssl == NULL) {
        if (result == 0)
            return CONN_CLOSED;
        return errno == EAGAIN || errno == EINTR ? CONN_AGAIN : CONN_FAILED;
    }
    switch (SSL_get_error(c->ssl, (int)result)) {
    case SSL_ERROR_WANT_READ:
        return CONN_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        c->wants_write = true;
        return CONN_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return CONN_CLOSED;
    default:
        return CONN_FAILED;
    }
}

enum conn_status conn_fill(struct conn *c)
{
    size_t room = sizeof(c->in) - c->in_n;
    ssize_t n;

    if (room == 0)
        return CONN_AGAIN;
    if (c->ssl != NULL)
        n = SSL_read(c->ssl, c->in + c->in_n, (int)room);
    else
        n = recv(c->fd, c->in + c->in_n, room, 0);
    enum conn_status status = status_of(c, n);
    if (status == CONN_OK)
        c->in_n += (size_t)n;
    return status;
}

void conn_drop(struct conn *c, size_t n)
{
    memmove(c->in, c->in + n, c->in_n - n);
    c->in_n -= n;
}

bool conn_put(struct conn *c, struct span bytes)
{
    if (bytes.n > sizeof(c->out) - c->out_n)
        return false;
    memcpy(c->out + c->out_n, bytes.p, bytes.n);
    c->out_n += bytes.n;
    return true;
}

enum conn_status conn_flush(struct conn *c)
{
    while (c->out_n > 0) {
        ssize_t n;
        if (c->ssl != NULL)
            n = SSL_write(c->ssl, c->out, (int)c->out_n);
        else
            n = send(c->fd, c->out, c->out_n, MSG_NOSIGNAL);
        enum conn_status status = status_of(c, n);
        if (status == CONN_AGAIN && c->ssl == NULL)
            c->wants_write = true;
        if (status != CONN_OK)
            return status;
        memmove(c->out, c->out + n, c->out_n - (size_t)n);
        c->out_n -= (size_t)n;
    }
    return CONN_OK;
}

enum conn_status conn_handshake(struct conn *c)
{
    return status_of(c, SSL_do_handshake(c->ssl));
}

void conn_close(struct conn *c)
{
    if (c->ssl != NULL) {
        if (!SSL_in_init(c->ssl))
            SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    close(c->fd);
    c->ssl = NULL;
    c->fd = -1;
}
