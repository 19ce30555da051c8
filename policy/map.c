/* An image out of a sealed memfd: the one effect of the policy's readers. */
#include "policy/policy.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool refuse(char *reason, const char *what)
{
    (void)snprintf(reason, LIMIT_REASON, "policy image: %s", what);
    return false;
}

static bool refuse_errno(char *reason, const char *call)
{
    (void)snprintf(reason, LIMIT_REASON, "policy image: %s: %s", call, strerror(errno));
    return false;
}

static bool map(struct policy *p, int fd, char *reason,
                bool (*opens)(struct policy *p, struct span image, char *reason))
{
    const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    *p = (struct policy){.image = SPAN_EMPTY};
    int have = fcntl(fd, F_GET_SEALS);
    if (have < 0)
        return refuse_errno(reason, "its descriptor can't be sealed");
    if ((have & seals) != seals)
        return refuse(reason, "its descriptor is not sealed");
    struct stat st;
    if (fstat(fd, &st) < 0)
        return refuse_errno(reason, "fstat");
    if (st.st_size <= 0 || (uint64_t)st.st_size > LIMIT_POLICY_IMAGE)
        return refuse(reason, "it has a wrong length");
    size_t n = (size_t)st.st_size;
    void *at = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return refuse_errno(reason, "mmap");
    if (opens(p, span_of(at, n), reason))
        return true;
    (void)munmap(at, n);
    return false;
}

bool policy_map(struct policy *p, int fd, char *reason)
{
    return map(p, fd, reason, policy_open);
}

bool policy_map_checked(struct policy *p, int fd, char *reason)
{
    return map(p, fd, reason, policy_open_checked);
}

void policy_unmap(struct policy *p)
{
    if (p->image.n > 0)
        (void)munmap((void *)(uintptr_t)p->image.p, p->image.n);
    *p = (struct policy){.image = SPAN_EMPTY};
}
