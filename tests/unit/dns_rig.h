/*
 * dns_rig: DNS responses written piece by piece, and an answer of the resolver that is asked and
 * told.
 */
#ifndef MGID_TEST_DNS_RIG_H
#define MGID_TEST_DNS_RIG_H

#include "tlsa.h"
#include "workers/resolver/answer.h"

struct packet {
    unsigned char p[65536];
    size_t n;
};

/* The response that is being written. */
extern struct packet packet;

void put(const void *p, size_t n);
void put_u16(unsigned v);
void put_name(const char *name);
void begin_packet(const char *name, enum wire_type type, unsigned rcode);
/* section: 6 for the answer's, 8 for the authority's place in the header. */
void put_record(size_t section, const char *owner, enum wire_type type, uint32_t ttl,
                const void *data, size_t n);
void put_named(const char *owner, enum wire_type type, uint32_t ttl, unsigned preference,
               const char *target);
void put_v4(const char *owner, uint32_t ttl, unsigned char last);
void put_v6(const char *owner, uint32_t ttl, unsigned char last);
struct span whole(void);

extern struct answer answer;
extern struct answer_result result;
extern const struct answer_random random_source;
extern uint32_t dns_chance; /* its state */

/* Responders write a packet, or set `failure`. */
extern enum answer_state failure;
extern uint8_t failure_rcode;
extern bool secure;
extern const char *why;
extern uint16_t tlsa_port; /* asked with each look-up; 0: none */

void answer_run(enum lookup_kind kind, const char *name,
                void (*respond)(const struct answer_query *));

#endif
