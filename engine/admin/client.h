/*
 * admin client: the operator's side of the admin socket. Sends a line, takes lines, with a
 * time-out on each; what the lines mean is the caller's affair.
 */
#ifndef MGID_ADMIN_CLIENT_H
#define MGID_ADMIN_CLIENT_H

#include "limits.h"
#include "span.h"

struct admin_client {
    int fd;
    char *buffer;
    size_t capacity;
    size_t begin; /* bytes begin..end of buffer were received and not yet handed out */
    size_t end;
};

/* Connects to the Unix socket at path. Returns 0, or -1 with errno (ENAMETOOLONG: the path does
 * not fit a socket address). */
int admin_connect(struct admin_client *client, const char *path);

/* Closes and frees; does nothing to a client that is all zero but for fd -1. */
void admin_close(struct admin_client *client);

/* Sends the line and a newline, which line does not hold. Returns 0, or -1 with errno. */
int admin_send(struct admin_client *client, struct span line);

enum admin_status {
    ADMIN_LINE,
    ADMIN_CLOSED,    /* the other side closed the connection, perhaps within a line */
    ADMIN_TIMED_OUT, /* nothing came for so many seconds */
    ADMIN_TOO_LONG,  /* a line over LIMIT_ADMIN_LINE */
    ADMIN_FAILED,    /* errno tells */
};

/* Takes the next line, without its newline; *line is valid until the next call. */
enum admin_status admin_receive(struct admin_client *client, unsigned seconds, struct span *line);

#endif
