/*
 * proxy: the header that a balancer puts before a client's bytes (PROXY protocol, versions 1 and
 * 2), so that the client's own address is known. Pure: bytes in, decision out.
 */
#ifndef MGID_PROXY_H
#define MGID_PROXY_H

#include "limits.h"
#include "span.h"

enum proxy_result {
    PROXY_MORE, /* a header so far; at most LIMIT_PROXY_HEADER bytes are ever needed */
    PROXY_DONE,
    PROXY_BAD, /* no header, or a broken one: the connection is of no use */
};

enum proxy_origin {
    PROXY_CLIENT,  /* client and client_port are the client's */
    PROXY_LOCAL,   /* the balancer speaks for itself (LOCAL): a health check */
    PROXY_UNKNOWN, /* a client whose address the balancer can't tell (UNKNOWN, UNSPEC, UNIX) */
};

struct proxy_header {
    size_t length; /* bytes of the header; what follows is the client's */
    enum proxy_origin origin;
    uint8_t family;           /* 4 or 6, or 0 unless origin is PROXY_CLIENT */
    unsigned char client[16]; /* network order; the first 4 for IPv4 */
    uint16_t client_port;
};

/*
 * Looks for a header at the front of bytes, which begin with the connection's first one. The same
 * bytes, and more of them, may be given again after PROXY_MORE. On PROXY_DONE *out is set, on
 * PROXY_BAD *fault says why, in static memory.
 *
 * Version 1: "PROXY TCP4|TCP6|UNKNOWN …" CRLF, at most 107 bytes, one space between its parts;
 * behind UNKNOWN anything up to the CRLF. Version 2: the commands LOCAL (its block is skipped) and
 * PROXY; datagram and unassigned families are refused; TLVs must fit, are skipped, and a CRC32C
 * among them must be right and stand once.
 */
enum proxy_result proxy_parse(struct span bytes, struct proxy_header *out, const char **fault);

#endif
