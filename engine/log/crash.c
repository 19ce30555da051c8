/* Points at which a process kills itself, in builds for `make crash` only. */
#include "crash_point.h"

#ifdef MGID_CRASH_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VARIABLE "MGID_CRASH_PAGE"

/* The harness's file: a row a point. */
struct row {
    _Atomic uint32_t armed;  /* the how many-th process to pass dies; 0: none */
    _Atomic uint32_t passed; /* how often it was passed */
    _Atomic uint32_t killed; /* how many died */
    uint32_t zero;
};

extern char **environ;
static struct row *rows;

char *crash_environment(void)
{
    for (char **e = environ; *e; e++)
        if (strncmp(*e, VARIABLE "=", sizeof VARIABLE) == 0)
            return *e;
    return NULL;
}

/* Before the process has closed anything behind itself. */
__attribute__((constructor)) static void map_page(void)
{
    const char *path = getenv(VARIABLE);
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p =
        mmap(NULL, CRASH_POINT_COUNT * sizeof *rows, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    rows = p == MAP_FAILED ? NULL : p;
}

void crash_point(enum crash_point point)
{
    if (!rows)
        return;
    struct row *r = &rows[point];
    atomic_fetch_add(&r->passed, 1);
    uint32_t left = atomic_load(&r->armed);
    while (left > 0 && !atomic_compare_exchange_weak(&r->armed, &left, left - 1))
        continue;
    if (left != 1)
        return;
    atomic_fetch_add(&r->killed, 1);
    (void)syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        continue;
}

#endif
