/* The page of counters: made, mapped, read. */
#include "engine/counters/counters.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const struct counter_description counter_descriptions[COUNTER_COUNT] = {
#define COUNTER(name, kind, help) [COUNTER_##name] = {#name, help, COUNTER_KIND_##kind},
#include "engine/counters/counters.def"
#undef COUNTER
};

const struct histogram_description histogram_descriptions[HISTOGRAM_COUNT] = {
#define HISTOGRAM(name, scale, help, ...) [HISTOGRAM_##name] = {#name, scale, help, {__VA_ARGS__}},
#include "engine/counters/histograms.def"
#undef HISTOGRAM
};

enum { SIZE_SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

static int prepare(int fd)
{
    const struct counters_page head = {.magic = COUNTERS_MAGIC,
                                       .version = COUNTERS_VERSION,
                                       .count = COUNTER_COUNT,
                                       .histograms_count = HISTOGRAM_COUNT};
    if (ftruncate(fd, LIMIT_COUNTER_PAGE) != 0)
        return -1;
    ssize_t n = pwrite(fd, &head, sizeof head, 0);
    if (n != (ssize_t)sizeof head) {
        if (n >= 0)
            errno = EIO;
        return -1;
    }
    return fcntl(fd, F_ADD_SEALS, SIZE_SEALS | F_SEAL_SEAL);
}

int counters_create(int fds[2])
{
    char path[64];
    int fd = memfd_create("mgid counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    /* A second open file, since the access mode belongs to it: the reader can't map to write. */
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = prepare(fd) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (reader < 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    fds[0] = fd;
    fds[1] = reader;
    return 0;
}

struct counters_page *counters_map(int fd, bool writable)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return NULL;
    /* Without the seals the other side could truncate it, and reading would raise SIGBUS. */
    int seals = fcntl(fd, F_GET_SEALS);
    if (st.st_size != LIMIT_COUNTER_PAGE || seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS) {
        errno = EINVAL;
        return NULL;
    }
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    struct counters_page *page = mmap(NULL, LIMIT_COUNTER_PAGE, protection, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (page->magic != COUNTERS_MAGIC || page->version != COUNTERS_VERSION ||
        page->count != COUNTER_COUNT || page->histograms_count != HISTOGRAM_COUNT) {
        counters_unmap(page);
        errno = EINVAL;
        return NULL;
    }
    if (writable)
        for (unsigned i = 0; i < COUNTER_COUNT; i++)
            if (counter_descriptions[i].kind != COUNTER_KIND_counter)
                counter_set(page, i, 0);
    return page;
}

void counters_unmap(struct counters_page *page)
{
    if (page)
        (void)munmap(page, LIMIT_COUNTER_PAGE);
}

void counters_read(const struct counters_page *page, uint64_t values[COUNTER_COUNT])
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        values[i] = counter_value(page, i);
}
