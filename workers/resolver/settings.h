/*
 * settings: what the policy says of name servers, and a libunbound context made accordingly.
 */
#ifndef MGID_RESOLVER_SETTINGS_H
#define MGID_RESOLVER_SETTINGS_H

#include "engine/sandbox/sandbox.h"
#include "workers/resolver/loop.h"

struct settings_server {
    uint8_t family; /* 4 or 6 */
    uint8_t octets[16];
    uint16_t port;
};

/* All bytes are set, so that two can be compared as memory. */
struct settings {
    bool dnssec;
    char trust_anchor[LIMIT_PATH]; /* "": the root's */
    unsigned count;                /* 0: those of resolv.conf */
    struct settings_server servers[LIMIT_NAME_SERVERS];
};

/* Reads them from the policy image in fd. False with a line in reason (LIMIT_REASON bytes) when
 * it can't be opened. More than LIMIT_NAME_SERVERS servers: the first ones. */
bool settings_read(int fd, struct settings *s, char *reason);

bool settings_equal(const struct settings *a, const struct settings *b);

/* A context on the loop that has read and opened all that it ever needs from files. Fatal when
 * it can't be had. Opens no descriptor that stays. */
struct ub_ctx *settings_context(const struct settings *s, struct loop *loop);

/* The TCP ports that the context connects to. */
void settings_ports(const struct settings *s, struct sandbox_request *request);

#endif
