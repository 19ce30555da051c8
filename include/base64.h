/*
 * base64.h: bytes as text (RFC 4648 4). Header only. Pure.
 */
#ifndef MGID_BASE64_H
#define MGID_BASE64_H

#include "span.h"

#define BASE64_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/* Characters for n bytes. */
#define BASE64_LENGTH(n) (((n) + 2) / 3 * 4)

/* Writes BASE64_LENGTH(bytes.n) characters; no NUL. Returns how many. */
static inline size_t base64_encode(struct span bytes, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        uint32_t v = (uint32_t)bytes.p[i] << 16 | (left > 1 ? (uint32_t)bytes.p[i + 1] << 8 : 0) |
                     (left > 2 ? bytes.p[i + 2] : 0);
        out[n++] = BASE64_ALPHABET[v >> 18];
        out[n++] = BASE64_ALPHABET[v >> 12 & 63];
        out[n++] = left > 1 ? BASE64_ALPHABET[v >> 6 & 63] : '=';
        out[n++] = left > 2 ? BASE64_ALPHABET[v & 63] : '=';
    }
    return n;
}

/* Writes at most text.n / 4 * 3 bytes to out, which may be where the text is; *n of them. False
 * when text is not what base64_encode writes. */
static inline bool base64_decode(struct span text, unsigned char *out, size_t *n)
{
    *n = 0;
    if (text.n % 4 != 0)
        return false;
    for (size_t i = 0; i < text.n; i += 4) {
        uint32_t v = 0;
        unsigned pad = 0;
        for (unsigned k = 0; k < 4; k++) {
            unsigned char c = text.p[i + k];
            const char *digit = c ? strchr(BASE64_ALPHABET, c) : NULL;
            bool end = c == '=' && i + 4 == text.n && k >= 2;
            if (end ? false : (!digit || pad > 0))
                return false;
            pad += end;
            v = v << 6 | (end ? 0 : (uint32_t)(digit - BASE64_ALPHABET));
        }
        if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
            return false;
        for (unsigned k = 0; k < 3 - pad; k++)
            out[(*n)++] = (unsigned char)(v >> (16 - 8 * k));
    }
    return true;
}

#endif
