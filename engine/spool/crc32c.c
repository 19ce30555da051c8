/* CRC-32C: SSE4.2, the ARMv8 CRC extension, or four bits at a time from a table. */
#include "engine/spool/crc32c.h"

uint32_t crc32c_portable(uint32_t crc, struct span bytes)
{
    /* The remainder of each half byte for the reflected polynomial 0x82f63b78. */
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    crc = ~crc;
    for (size_t i = 0; i < bytes.n; i++) {
        crc ^= bytes.p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_hardware(uint32_t crc, struct span bytes)
{
    uint64_t c = ~crc;
    while (bytes.n >= 8) {
        uint64_t word;
        memcpy(&word, bytes.p, 8);
        c = _mm_crc32_u64(c, word);
        bytes = span_from(bytes, 8);
    }
    uint32_t rest = (uint32_t)c;
    for (size_t i = 0; i < bytes.n; i++)
        rest = _mm_crc32_u8(rest, bytes.p[i]);
    return ~rest;
}

static bool have_hardware(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__)

#include <arm_acle.h>
#include <sys/auxv.h>

__attribute__((target("+crc"))) static uint32_t crc32c_hardware(uint32_t crc, struct span bytes)
{
    uint32_t c = ~crc;
    while (bytes.n >= 8) {
        uint64_t word;
        memcpy(&word, bytes.p, 8);
        c = __crc32cd(c, word);
        bytes = span_from(bytes, 8);
    }
    for (size_t i = 0; i < bytes.n; i++)
        c = __crc32cb(c, bytes.p[i]);
    return ~c;
}

static bool have_hardware(void)
{
    return (getauxval(AT_HWCAP) & 1ul << 7) != 0; /* HWCAP_CRC32 */
}

#else

static uint32_t crc32c_hardware(uint32_t crc, struct span bytes)
{
    return crc32c_portable(crc, bytes);
}

static bool have_hardware(void)
{
    return false;
}

#endif

uint32_t crc32c(uint32_t crc, struct span bytes)
{
    return have_hardware() ? crc32c_hardware(crc, bytes) : crc32c_portable(crc, bytes);
}
