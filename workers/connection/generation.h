/*
 * generation: the compiled policies that the worker knows, and the TLS contexts of each.
 *
 * A new image becomes the current one only when the keeper has given the certificate chains of
 * every identity that the flow uses; until then, and when it never does, the old one serves. A
 * transaction keeps the generation that it began with; one without users and not current is
 * unmapped.
 */
#ifndef MGID_GENERATION_H
#define MGID_GENERATION_H

#include "engine/ipc/ipc.h"
#include "engine/smtp/client.h"
#include "engine/smtp/server.h"
#include "engine/tls/tls.h"
#include "policy/policy.h"

struct worker;

struct generation {
    struct worker *worker;
    bool used;
    bool ready; /* all chains have come */
    uint32_t number;
    uint32_t users;
    uint32_t flow; /* index of the worker's flow in this policy */
    struct policy policy;
    struct policy_settings settings;
    struct policy_flow flow_settings;
    struct tls_context *server; /* of the flow's first identity; NULL: no STARTTLS offered */
    struct tls_context *servers[LIMIT_POLICY_IDENTITIES];
    struct span names[LIMIT_POLICY_IDENTITIES]; /* of servers: F_SPANs; ours */
    struct tls_context *plain_client;           /* no certificate to present */
    struct tls_context *clients[LIMIT_POLICY_IDENTITIES];
    uint64_t not_after;                /* the first end of the flow's certificates */
    unsigned char demands[32];         /* on peers' certificates: chain_result in messages.def */
    uint64_t wanted;                   /* identities whose chain has not come yet */
    struct smtp_server_config smtp[2]; /* of other clients, of trusted ones */
};

struct generations {
    struct generation slots[LIMIT_GENERATIONS];
    struct generation *current; /* NULL until the first is ready */
};

/* Takes a policy image (closes fd). A bad one is logged and changes nothing. False only then. */
bool generation_add(struct worker *w, int fd, uint32_t number);

/* Asks the keeper for the chains that are missing: after generation_add, and after the keeper
 * was restarted. A generation that misses none becomes the current one. */
void generation_ask_chains(struct worker *w);
void generation_chain(struct worker *w, const struct msg_chain_result *r);

/* The settings of a client's SMTP machine. */
const struct smtp_server_config *generation_smtp(const struct generation *g, bool trusted);

struct generation *generation_hold(struct generation *g);
void generation_release(struct worker *w, struct generation *g);

/* Do both demand the same of clients' certificates, peer by peer? Else what a certificate has met
 * in one says nothing about the other: only the keeper could tell. */
bool generation_same_demands(const struct generation *a, const struct generation *b);

/* The one of that number; NULL when it is gone. */
struct generation *generation_find(struct worker *w, uint32_t number);

#endif
