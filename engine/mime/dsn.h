/*
 * dsn: composing a delivery status notification (RFC 3464 and 6533 in the frame of RFC 6522): a
 * part for people in the languages of the policy, the status for programs, and the original, whole
 * or its header section. Pure.
 *
 *     dsn.c          the frame        dsn_text.c    for people (the words: dsn_text.def)
 *     dsn_report.c   for programs     dsn_original.c
 */
#ifndef MGID_MIME_DSN_H
#define MGID_MIME_DSN_H

#include "language.h"
#include "limits.h"
#include "span.h"

/* DSN_ACTION(NAME, "action" of RFC 3464 2.3.3): RELAYED: the next hop gives no notifications. */
#define DSN_ACTIONS(DSN_ACTION)                                                                    \
    DSN_ACTION(FAILED, "failed")                                                                   \
    DSN_ACTION(DELAYED, "delayed")                                                                 \
    DSN_ACTION(RELAYED, "relayed")                                                                 \
    DSN_ACTION(DELIVERED, "delivered")

enum dsn_action {
#define DSN_ACTION(NAME, text) DSN_##NAME,
    DSN_ACTIONS(DSN_ACTION)
#undef DSN_ACTION
        DSN_ACTION_COUNT
};

struct dsn_recipient {
    struct span address;  /* that we tried to deliver to (Final-Recipient) */
    struct span original; /* as the client gave it, when a rule changed it; else empty */
    struct span orcpt;    /* ORCPT's value (RFC 3461 4.2), or empty */
    enum dsn_action action;
    struct span status;       /* "5.1.1"; what does not fit the action is replaced by x.0.0 */
    bool expired;             /* failed: the time was over; status is the last attempt's */
    struct span diagnostic;   /* the remote reply ("550 5.1.1 no such user") or our own reason */
    bool remote_reply;        /* diagnostic is an SMTP reply of `remote_mta` */
    struct span remote_mta;   /* host name, or empty */
    int64_t last_attempt;     /* seconds since 1970; 0: none was made */
    int64_t will_retry_until; /* delayed: seconds since 1970; 0: not said */
};

/* Spans may be hostile: what can't stand in its place becomes "?" or a space, and each is shortened
 * to its bound in limits.h: addresses, domains, LIMIT_REASON for diagnostics, LIMIT_NAME for the
 * queue id, LIMIT_ENVID. */
struct dsn {
    struct span hostname; /* Reporting-MTA, and the domain of Message-ID */
    struct span from;     /* the address in From */
    struct span queue_id; /* of the original */
    struct span envid;    /* ENVID's value (RFC 3461 4.4), or empty */
    int64_t arrival;      /* of the original, seconds since 1970 */
    struct span sender;   /* the original's envelope sender: recipient of the DSN; never empty */
    int64_t now;
    uint64_t seed;            /* makes boundary and Message-ID unique; unpredictable to senders */
    const uint8_t *languages; /* enum language, 1 to LANGUAGE_COUNT of them */
    unsigned language_count;
    bool utf8; /* the original came with SMTPUTF8 (RFC 6531), so its sender understands it */
    const struct dsn_recipient *recipients;
    unsigned recipient_count; /* 1 to LIMIT_DSN_RECIPIENTS; further ones are a bug */
    struct span content;      /* the original, or as much as there is of it */
    bool whole; /* content is all of it, and is returned (RET=FULL) when it is no longer than
                 * LIMIT_DSN_CONTENT and its lines can travel; else its header section is: whole
                 * lines of the first LIMIT_DSN_HEADERS bytes */
};

/* Output memory of the caller's; `overflow` sticks, and then nothing is written any more. */
struct dsn_output {
    unsigned char *p;
    size_t n;
    size_t capacity;
    bool overflow;
    bool eight_bit; /* to be sent as BODY=8BITMIME: the original's content is */
    bool utf8;      /* to be sent with SMTPUTF8: addresses or headers call for it */
};

/*
 * Appends the whole message: CRLF lines of at most LIMIT_TEXT_LINE bytes, 7 bit unless *out says
 * more, not dot-stuffed, without Received or Return-Path. To be sent with the empty sender "<>".
 * False when it does not fit; LIMIT_DSN always suffices.
 */
bool dsn_compose(const struct dsn *in, struct dsn_output *out);

#endif
