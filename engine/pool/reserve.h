/*
 * reserve: address space for n objects, zeroed, page aligned, without memory behind it until it
 * is touched. Only at start: it needs mmap, which a sandboxed role may not have.
 */
#ifndef MGID_RESERVE_H
#define MGID_RESERVE_H

#include <stddef.h>

/* NULL with errno; ENOMEM when size * n overflows. size and n are at least 1. */
void *reserve_memory(size_t size, size_t n);

/* With the size and n that it was reserved with; p may be NULL. */
void release_memory(void *p, size_t size, size_t n);

#endif
