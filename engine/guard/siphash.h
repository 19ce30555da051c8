/*
 * siphash: SipHash-2-4 (Aumasson and Bernstein, 2012), a hash with a secret key: who does not know
 * it can't find inputs that fall together. Pure.
 */
#ifndef MGID_SIPHASH_H
#define MGID_SIPHASH_H

#include "span.h"

enum { SIPHASH_KEY = 16 };

uint64_t siphash(const unsigned char key[SIPHASH_KEY], struct span bytes);

#endif
