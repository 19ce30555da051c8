#include "engine/pool/reserve.h"
#include <errno.h>
#include <sys/mman.h>

void *reserve_memory(size_t size, size_t n)
{
    size_t bytes;
    if (__builtin_mul_overflow(size, n, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void release_memory(void *p, size_t size, size_t n)
{
    if (p)
        (void)munmap(p, size * n);
}
