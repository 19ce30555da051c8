/*
 * random: chance for tests that can be played again: the same seed, the same numbers.
 */
#ifndef MGID_TESTS_UNIT_RANDOM_H
#define MGID_TESTS_UNIT_RANDOM_H

#include <stdint.h>

/* Never 0. */
static uint64_t random_state = 88172645463325252u;

/* xorshift64. */
static inline uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* 0 to n - 1. */
static inline uint64_t random_below(uint64_t n)
{
    return (random_bits() >> 11) % n;
}

/* The same for small numbers. */
static inline uint32_t random_small(uint32_t n)
{
    return (uint32_t)(random_bits() >> 32) % n;
}

#endif
