/*
 * smtp_out: the caller's bounded buffer that the two machines write whole replies and commands to.
 *
 * The caller owns the memory, sends p[0..n), and then takes away what it sent (n = 0, or the rest
 * moved to the front). A machine writes to it only when LIMIT_SMTP_OUT bytes are free, so that
 * nothing is ever written in part; a capacity of a few KiB lets a pipelined group's replies leave
 * in one packet.
 */
#ifndef MGID_SMTP_OUT_H
#define MGID_SMTP_OUT_H

#include "limits.h"
#include "span.h"

struct smtp_out {
    unsigned char *p;
    size_t n;
    size_t capacity;
};

/* There is room for one more reply or command. */
static inline bool smtp_out_room(const struct smtp_out *out)
{
    return out->capacity - out->n >= LIMIT_SMTP_OUT;
}

/* Appends. The bytes must fit: it is a bug of the caller when they do not. */
void smtp_out_put(struct smtp_out *out, struct span s);
void smtp_out_number(struct smtp_out *out, uint64_t v);

/* "CODE[-| ]ENHANCED TEXT CRLF". enhanced may be NULL (greeting, EHLO, 354). Text is made safe:
 * bytes that are not printable ASCII become '?', and it is cut so that the line has at most 512
 * bytes with its CRLF (RFC 5321 4.5.3.1.5). */
void smtp_out_reply(struct smtp_out *out, unsigned code, const char *enhanced, struct span text,
                    bool more);

#endif
