/* A policy's text from a descriptor or a file: the effects beside the compiler. */
#include "policy/compile.h"
#include "policy/compile_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int policy_text_read(int fd, unsigned char **text, size_t *n)
{
    size_t capacity = 65536;
    *text = compile_allocate(capacity);
    *n = 0;
    for (;;) {
        ssize_t got = read(fd, *text + *n, capacity - *n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        *n += (size_t)got;
        if (got == 0 || *n > LIMIT_POLICY_TEXT)
            return 0;
        if (*n < capacity)
            continue;
        capacity *= 2;
        unsigned char *grown = realloc(*text, capacity);
        if (grown == NULL)
            return ENOMEM;
        *text = grown;
    }
}

bool policy_compile_file(const char *path, struct policy_compilation *out, int *read_error)
{
    unsigned char *text = NULL;
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *read_error = fd < 0 ? errno : policy_text_read(fd, &text, &n);
    if (fd >= 0)
        (void)close(fd);
    if (*read_error == 0) {
        bool ok = policy_compile(span_of(text, n), out);
        free(text);
        return ok;
    }
    free(text);
    *out = (struct policy_compilation){
        .errors = 1, .count = 1, .diagnostics = compile_allocate(sizeof *out->diagnostics)};
    out->diagnostics[0] = (struct policy_diagnostic){.severity = POLICY_ERROR};
    (void)snprintf(out->diagnostics[0].what, LIMIT_REASON, "can't be read: %s",
                   strerror(*read_error));
    return false;
}
