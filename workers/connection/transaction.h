/*
 * transaction: from MAIL to the answer to the end of data. Asks the policy, gathers the content
 * (small mail in chunks, large mail streamed to a file of its own), and hands the mail to the
 * commit.
 */
#ifndef MGID_TRANSACTION_H
#define MGID_TRANSACTION_H

#include "engine/guard/transfer.h"
#include "engine/mime/header.h"
#include "engine/smtp/parameters.h"
#include "policy/facts.h"
#include "workers/connection/large.h"

struct generation;
struct mail;
struct session;
struct worker;

/* Header fields that are looked at beside those of the rules. */
enum transaction_want {
    WANT_RECEIVED = FACTS_WANTS,
    WANT_TLS_REQUIRED,
    WANT_MESSAGE_ID,
    WANT_DATE,
    WANT_COUNT
};

struct transaction {
    struct session *session; /* NULL: the client has gone while the mail was being committed */
    struct generation *generation;
    struct mail *mail;
    struct chunk *header_buffer;
    struct header_scanner scanner;
    struct header_want wants[LIMIT_HEADER_WANTS];
    struct facts_fields rule_fields;
    uint32_t added;  /* bytes of fields that we put on top of the content */
    bool no_memory;  /* content was dropped: 452 at the end */
    bool no_space;   /* the spool's file could not be written */
    bool header_nul; /* in the header section: not even BINARYMIME allows that */
    bool scanning;
    bool imported;            /* by the operator: has no session (import.h) */
    struct transfer transfer; /* of the message */
    struct large large;
};

/* A refusal: code 0 is none. */
struct transaction_reply {
    unsigned code;
    const char *enhanced;
    char text[LIMIT_POLICY_REPLY + 1];
    char enhanced_text[12];
};

void refuse(struct transaction_reply *r, unsigned code, const char *enhanced, const char *text);
/* With a rule's reply, "550 5.7.1 text", whose form the compiler has checked. */
void refuse_by_rule(struct transaction_reply *r, struct span reply);

/* MAIL. NULL with *reply set when it can't be taken. */
struct transaction *transaction_begin(struct worker *w, struct session *s,
                                      struct transaction_reply *reply);
bool transaction_recipient(struct worker *w, struct transaction *t, const struct smtp_path *path,
                           struct transaction_reply *reply);
bool transaction_data(struct worker *w, struct transaction *t, struct transaction_reply *reply);
/* A chunk that is not the last (BDAT) has ended. False with *reply: the mail can't be taken. */
bool transaction_chunk(const struct transaction *t, unsigned defects,
                       struct transaction_reply *reply);
/* False: stop taking input until transaction_resumed (the file is behind). */
bool transaction_body(struct worker *w, struct transaction *t, struct span body);
/* True: the mail is on its way to the disk, and session_committed will tell. A reply of 250 with
 * false: rules threw it away for all recipients, which the client is not told. */
bool transaction_end(struct worker *w, struct transaction *t, unsigned defects,
                     struct transaction_reply *reply);

/* The text of the 250 to the end of data. */
void transaction_accept_text(uint64_t id, char *out, size_t capacity);

/* The content of a large mail is in its file (or is not): on to the commit. */
void transaction_stored(struct worker *w, struct transaction *t, bool ok);

/* Drops the transaction and its mail: RSET, or the client has gone before the end. */
void transaction_abort(struct worker *w, struct transaction *t);

/* The commit's end: takes the mail into the queue, or drops it. */
void transaction_committed(struct worker *w, struct transaction *t, bool ok);

#endif
