/*
 * conn: a buffered connection, in clear or in TLS. On a non-blocking descriptor the functions
 * say CONN_AGAIN when the kernel has nothing or takes nothing; on a blocking one they wait.
 */
#ifndef MGISIM_CONN_H
#define MGISIM_CONN_H

#include "span.h"
#include <openssl/ssl.h>

enum {
    CONN_IN = 32768,  /* the largest piece read at a time */
    CONN_OUT = 65536, /* replies that wait for the peer to read */
};

enum conn_status { CONN_OK, CONN_AGAIN, CONN_CLOSED, CONN_FAILED };

struct conn {
    int fd;
    SSL *ssl;         /* NULL in clear */
    bool wants_write; /* CONN_AGAIN, because the kernel's send buffer is full */
    size_t in_n;
    size_t out_n;
    unsigned char in[CONN_IN];
    unsigned char out[CONN_OUT];
};

/* Reads once, behind what is in `in` already. CONN_OK: there is something new. */
enum conn_status conn_fill(struct conn *c);
/* Forgets the first n bytes of `in`. */
void conn_drop(struct conn *c, size_t n);

/* Appends to `out`; false when it is full: the peer reads nothing. */
bool conn_put(struct conn *c, struct span bytes);
/* Writes `out` away as far as the kernel takes it. */
enum conn_status conn_flush(struct conn *c);

/* The handshake, as far as it goes. Neither buffer is touched. */
enum conn_status conn_handshake(struct conn *c);

/* Says good-bye in TLS, closes the descriptor, frees the TLS connection. */
void conn_close(struct conn *c);

#endif
