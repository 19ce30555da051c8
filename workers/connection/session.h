/*
 * session: an inbound SMTP session: the pure server machine joined to its stream, to the policy
 * and to the mail that is being received.
 */
#ifndef MGID_SESSION_H
#define MGID_SESSION_H

#include "engine/guard/guard.h"
#include "engine/smtp/server.h"
#include "policy/policy.h"
#include "workers/connection/stream.h"

struct generation;
struct transaction;
struct worker;

struct session {
    struct stream *stream;
    struct generation *generation; /* whose settings govern; held */
    struct transaction *transaction;
    struct smtp_server smtp;
    struct policy_address client;
    uint64_t peers;           /* of the policy, that this client is */
    struct guard_place place; /* where it counts */
    bool trusted;             /* the limits of clients do not hold for it */
    bool committing;          /* the answer to the end of data waits for the disk */
    bool stale; /* the client's certificate was judged by a policy whose peers have changed */
    char client_text[LIMIT_CLIENT_TEXT];
    uint8_t greeting_delay; /* seconds, of its listener */
    uint16_t header_used;   /* of a PROXY header that comes in parts: bytes in smtp's line */
    uint16_t helo_length;
    unsigned char helo[LIMIT_DOMAIN];
};

/* What a stream of a session calls, from the greeting on. */
extern const struct stream_owner session_owner;

/* The client is known and let in: 220, at once or after so many seconds, in which it has to be
 * silent. May end the session. */
void session_welcome(struct worker *w, struct session *s, uint32_t seconds);

/* The end: 421 with that enhanced code and text. */
void session_close(struct worker *w, struct session *s, const char *enhanced, const char *text);

/* The end, without a word. */
void session_drop(struct worker *w, struct session *s, const char *why);

/* The memory of a partial line, when it holds none. */
void session_take_line_back(struct worker *w, struct session *s);

/* The mail is on stable storage (or not: then nothing of it is kept). */
void session_committed(struct worker *w, struct session *s, bool ok, uint64_t id);

/* One line each, NUL-terminated, for a session in TLS: the verdict on the client's certificate;
 * version, cipher and verdict. */
void session_certificate_text(const struct session *s, char *out, size_t capacity);
void session_tls_text(const struct session *s, char *out, size_t capacity);

/* Sessions between two mails take the current policy. */
void session_policy_changed(struct worker *w);

/* 421 to those that are between two mails. */
void session_drain(struct worker *w);

#endif
