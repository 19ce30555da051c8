/* The operator's side of the admin socket. */
#include "engine/admin/client.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_CAPACITY = 65536 };

int admin_connect(struct admin_client *client, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *client = (struct admin_client){.fd = -1};
    size_t n = strlen(path);
    if (n >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, n);
    client->buffer = malloc(FIRST_CAPACITY);
    client->capacity = FIRST_CAPACITY;
    if (client->buffer)
        client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd >= 0 &&
        connect(client->fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    int error = errno;
    admin_close(client);
    errno = error;
    return -1;
}

void admin_close(struct admin_client *client)
{
    if (client->fd >= 0)
        (void)close(client->fd);
    free(client->buffer);
    *client = (struct admin_client){.fd = -1};
}

static int send_all(int fd, struct span bytes)
{
    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes = span_from(bytes, (size_t)n);
    }
    return 0;
}

int admin_send(struct admin_client *client, struct span line)
{
    return send_all(client->fd, line) == 0 ? send_all(client->fd, SPAN_LIT("\n")) : -1;
}

/* Room for at least one more byte after `end`; false with errno. */
static bool make_room(struct admin_client *client)
{
    if (client->end < client->capacity)
        return true;
    if (client->begin > 0) {
        memmove(client->buffer, client->buffer + client->begin, client->end - client->begin);
        client->end -= client->begin;
        client->begin = 0;
        return true;
    }
    char *buffer = realloc(client->buffer, 2 * client->capacity);
    if (!buffer)
        return false;
    client->buffer = buffer;
    client->capacity *= 2;
    return true;
}

static enum admin_status receive_some(struct admin_client *client, unsigned seconds)
{
    struct pollfd readable = {.fd = client->fd, .events = POLLIN};
    if (!make_room(client))
        return ADMIN_FAILED;
    int ready;
    do
        ready = poll(&readable, 1, (int)(seconds * 1000));
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return ready == 0 ? ADMIN_TIMED_OUT : ADMIN_FAILED;
    ssize_t n;
    do
        n = recv(client->fd, client->buffer + client->end, client->capacity - client->end, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n == 0 || errno == ECONNRESET ? ADMIN_CLOSED : ADMIN_FAILED;
    client->end += (size_t)n;
    return ADMIN_LINE;
}

enum admin_status admin_receive(struct admin_client *client, unsigned seconds, struct span *line)
{
    size_t searched = 0;
    for (;;) {
        const char *from = client->buffer + client->begin;
        size_t n = client->end - client->begin;
        const char *newline = memchr(from + searched, '\n', n - searched);
        if (newline) {
            *line = span_of(from, (size_t)(newline - from));
            client->begin += line->n + 1;
            return ADMIN_LINE;
        }
        if (n > LIMIT_ADMIN_LINE)
            return ADMIN_TOO_LONG;
        searched = n;
        enum admin_status status = receive_some(client, seconds);
        if (status != ADMIN_LINE)
            return status;
    }
}
