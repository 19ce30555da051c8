/*
 * policy_rig: a policy with both directions, compiled and opened, for the tests of what reads it.
 */
#ifndef MGID_TESTS_POLICY_RIG_H
#define MGID_TESTS_POLICY_RIG_H

#include "policy/compile.h"
#include "policy/policy.h"

/* All of a policy up to its flows. Identities: server, client, bounces. Peers: platform (TLS),
 * exchange (addresses), both. Routes: first (client), second (bounces), rest. */
#define HEAD                                                                                       \
    "{\"version\":1,\"hostname\":\"mx1.example.ch\",\"spool\":\"/var/spool/mgid\","                \
    "\"identities\":{\"server\":{\"certificate\":\"/s.pem\",\"key\":\"/s.key\"},"                  \
    "\"client\":{\"certificate\":\"/c.pem\",\"key\":\"/c.key\"},"                                  \
    "\"bounces\":{\"certificate\":\"/b.pem\",\"key\":\"/b.key\"}},"                                \
    "\"trust\":{\"public\":{\"system\":true}},"                                                    \
    "\"peers\":{\"platform\":{\"tls\":{\"trust\":\"public\",\"names\":[\"*.incamail.com\","        \
    "\"im.post.ch\"],\"organization\":\"Post CH AG\"}},"                                           \
    "\"exchange\":{\"addresses\":[\"10.1.0.0/24\",\"2001:db8::/33\"]},"                            \
    "\"both\":{\"addresses\":\"192.0.2.1\",\"tls\":{\"trust\":\"public\"}}},"                      \
    "\"routes\":{\"first\":{\"mx\":\"im.post.ch\",\"tls\":{\"require\":true,"                      \
    "\"trust\":\"public\",\"identity\":\"client\"}},"                                              \
    "\"second\":{\"hosts\":[\"mail.example.ch:2525\",\"[2001:db8::5]\",\"192.0.2.9\"],"            \
    "\"tls\":{\"require\":true,\"trust\":\"public\",\"identity\":\"bounces\"}},"                   \
    "\"rest\":{\"mx\":\"recipient\",\"port\":2626}},"

/* A policy with one flow of two rules: the first has the condition. */
#define ONE_RULE(when)                                                                             \
    HEAD "\"flows\":{\"out\":{\"listen\":\"127.0.0.1:2500\",\"accept_from\":\"exchange\","         \
         "\"rules\":[{\"when\":" when ",\"route\":\"first\"},{\"route\":\"rest\"}]}}}"

/* Flows "out" and "in", with rules of every kind. */
extern const struct span rig_both_flows;

struct built {
    struct policy_compilation compilation;
    struct policy p;
};

/* Compiles and opens, or fails the test with the report. */
void build(struct built *b, struct span text);
/* ONE_RULE with a condition that is not a literal. */
void build_when(struct built *b, const char *when);
void unbuild(struct built *b);

/* "10.1.0.7" */
struct policy_address ip(const char *text);
/* The envelope's facts, from 10.1.0.7, before the headers. */
struct policy_facts envelope(const char *sender, const char *recipient);
/* A step of a trace that nobody looks at: makes policy_decide walk all rules. */
void ignore_step(void *context, const struct policy_step *s);

#endif
