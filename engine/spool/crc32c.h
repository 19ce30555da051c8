/*
 * crc32c: CRC-32C (Castagnoli, as in RFC 3720 B.4), by the processor's instruction where it has
 * one. The value over several pieces is had by handing on the value so far; it begins with 0. Pure.
 */
#ifndef MGID_CRC32C_H
#define MGID_CRC32C_H

#include "span.h"

uint32_t crc32c(uint32_t crc, struct span bytes);

/* The same without the processor's help, for machines without it and for comparing. */
uint32_t crc32c_portable(uint32_t crc, struct span bytes);

#endif
