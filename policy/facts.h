/*
 * facts: what rules are told of a mail, out of its header section. Pure; shared by the worker and
 * by `mgictl policy explain`, so that both decide on the same. An archive of its own
 * (policy-facts), as the other readers of a policy need no header.
 */
#ifndef MGID_POLICY_FACTS_H
#define MGID_POLICY_FACTS_H

#include "engine/mime/header.h"
#include "policy/policy.h"

/* The first two wants of a scan; what else the caller looks for comes behind them. */
enum { FACTS_SUBJECT, FACTS_FROM, FACTS_WANTS };

/* Sets the first two wants. */
void facts_begin(struct header_want wants[FACTS_WANTS]);

/* The wants of a policy's fields (policy_field), by number. */
struct facts_fields {
    uint8_t want[LIMIT_POLICY_FIELDS];
};

/* Adds the fields that rules compare behind the `count` wants that are there (together they must be
 * at most LIMIT_HEADER_WANTS); one that is among them already is then captured too. Returns the
 * number of wants. */
unsigned facts_add_fields(const struct policy *p, struct header_want *wants, unsigned count,
                          struct facts_fields *fields);

/* A mail's facts, decoded. Large; the spans of policy_facts point into it. */
struct facts {
    unsigned char text[3 * LIMIT_HEADER_BUFFER + LIMIT_HEADER_DECODED];
    unsigned char domains[LIMIT_AUTHORS][LIMIT_DOMAIN];
    struct span subject;
    struct span fields[LIMIT_POLICY_FIELDS];
    struct span from_domains[LIMIT_AUTHORS];
    uint32_t from_domain_count;
};

enum facts_fault {
    FACTS_OK,
    FACTS_CUT,     /* what rules look at was not captured whole: a tag could stand out of sight */
    FACTS_AUTHORS, /* more than LIMIT_AUTHORS author addresses */
};

/* Out of a scan that has ended, with a buffer of at most LIMIT_HEADER_BUFFER. */
enum facts_fault facts_read(const struct policy *p, const struct header_scanner *s,
                            const struct facts_fields *fields, struct facts *out);

/* The reply to a mail with that fault. */
const char *facts_fault_reply(enum facts_fault fault);

/* Into *f: have_headers, and all that comes of the header. */
void facts_tell(const struct facts *facts, struct policy_facts *f);

#endif
