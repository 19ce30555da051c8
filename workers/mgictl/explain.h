/*
 * explain: what a policy does with a mail, told step by step. The facts are made and the rules are
 * tried by the code that the daemon runs.
 */
#ifndef MGID_EXPLAIN_H
#define MGID_EXPLAIN_H

#include "policy/compile.h"
#include "policy/facts.h"
#include "policy/policy.h"
#include "status.h"
#include <jansson.h>

/* A mail and its envelope, as the command line gives them. */
struct explained {
    const struct policy *policy;
    uint32_t flow;
    const char *sender;
    struct policy_address client;
    uint64_t peers;
    unsigned tls_version;
    bool tls_verified;
    bool mail; /* there is one: else rules are tried as at RCPT */
    uint64_t size;
    enum facts_fault fault;
    struct facts facts; /* valid with `mail` and FACTS_OK */
};

/* The mail, in pieces; lines may end with LF alone. One at a time: e is whose mail is read. */
void explain_begin(struct explained *e);
void explain_feed(struct explained *e, struct span piece);
void explain_end(struct explained *e);
/* The mail in the file at path. Returns 0 or an errno. */
int explain_read(struct explained *e, const char *path);

/* Of the mail read last: the raw values of From, and of To and Cc, joined (header_next_value). */
struct span explain_from(void);
struct span explain_to(void);

/* Who sends, by names of the policy; NULL is none of them. False: `wrong` (LIMIT_REASON
 * bytes) says why. */
bool explain_envelope(struct explained *e, const char *flow, const char *client, const char *peer,
                      char *wrong);

/* Compiles and opens the policy at path; c is to be freed with policy_compilation_free. Says what
 * is wrong. */
enum exit_status explain_open(const char *path, struct policy_compilation *c, struct policy *p);

/* What becomes of one recipient, as an object: "recipient", "outcome" ("route", "reject", "defer",
 * "discard", "needs the mail", "refused"), and what belongs to it. */
json_t *explain_recipient(const struct explained *e, const char *recipient);

/* The same for people. */
void explain_print(json_t *recipient);

#endif
