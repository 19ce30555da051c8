/*
 * dsn: composing a delivery status notification (RFC 3464 in the frame of RFC 6522): a part for
 * people, message/delivery-status, and the original's header section. Pure.
 */
#ifndef MGID_MIME_DSN_H
#define MGID_MIME_DSN_H

#include "limits.h"
#include "span.h"

enum dsn_action { DSN_FAILED, DSN_DELAYED };

struct dsn_recipient {
    struct span address;  /* that we tried to deliver to (Final-Recipient) */
    struct span original; /* as the client gave it, when a rule changed it; else empty */
    enum dsn_action action;
    struct span status;       /* "5.1.1"; anything else of its shape is replaced by x.0.0 */
    struct span diagnostic;   /* the remote reply ("550 5.1.1 no such user") or our own reason */
    bool remote_reply;        /* diagnostic is an SMTP reply of `remote_mta` */
    struct span remote_mta;   /* host name, or empty */
    int64_t last_attempt;     /* seconds since 1970; 0: none was made */
    int64_t will_retry_until; /* delayed: seconds since 1970; 0: not said */
};

/* Spans may be hostile: line breaks and control characters in them become spaces, each byte that
 * is not ASCII "?" (the whole message is 7 bit), and each is shortened to its bound in limits.h:
 * addresses, domains, LIMIT_REASON for diagnostics, LIMIT_NAME for the queue id. */
struct dsn {
    struct span hostname; /* Reporting-MTA, and the domain of From and Message-ID */
    struct span queue_id; /* of the original */
    int64_t arrival;      /* of the original, seconds since 1970 */
    struct span sender;   /* the original's envelope sender: recipient of the DSN; never empty */
    int64_t now;
    uint64_t seed; /* makes boundary and Message-ID unique; unpredictable to senders */
    const struct dsn_recipient *recipients;
    unsigned recipient_count; /* 1 to LIMIT_DSN_RECIPIENTS; further ones are a bug */
    struct span headers;      /* the original's header section; returned up to LIMIT_DSN_HEADERS,
                               * whole lines only */
};

/* Output memory of the caller's; `overflow` sticks, and then nothing is written any more. */
struct dsn_output {
    unsigned char *p;
    size_t n;
    size_t capacity;
    bool overflow;
};

/*
 * Appends the whole message: CRLF lines of at most LIMIT_TEXT_LINE bytes, all 7 bit, not
 * dot-stuffed, without Received or Return-Path. To be sent with the empty sender "<>". False when
 * it does not fit; LIMIT_DSN always suffices.
 */
bool dsn_compose(const struct dsn *in, struct dsn_output *out);

#endif
