/*
 * smtp_parameters: what MAIL and RCPT say: the address, and the parameters of the extensions.
 */
#ifndef MGID_SMTP_PARAMETERS_H
#define MGID_SMTP_PARAMETERS_H

#include "engine/smtp/address.h"
#include "engine/smtp/command.h"

enum smtp_body { /* RFC 6152, RFC 3030; 7BIT also when nothing is said */
                 SMTP_BODY_7BIT,
                 SMTP_BODY_8BITMIME,
                 SMTP_BODY_BINARYMIME,
};

enum smtp_ret { SMTP_RET_UNSAID, SMTP_RET_FULL, SMTP_RET_HDRS }; /* RFC 3461 4.3 */

enum smtp_notify { /* RFC 3461 4.1, a set; NEVER stands alone; 0: nothing is said */
                   SMTP_NOTIFY_NEVER = 1 << 0,
                   SMTP_NOTIFY_SUCCESS = 1 << 1,
                   SMTP_NOTIFY_FAILURE = 1 << 2,
                   SMTP_NOTIFY_DELAY = 1 << 3,
};

/* Spans point into the line that was parsed. */
struct smtp_path {
    struct smtp_address address;
    uint64_t size;     /* MAIL: announced, 0 when not */
    struct span envid; /* MAIL: RFC 3461 4.4, checked xtext as given, at most LIMIT_ENVID */
    struct span orcpt; /* RCPT: RFC 3461 4.2, "type;xtext" as given, at most LIMIT_ORCPT */
    uint8_t body;      /* MAIL: enum smtp_body */
    uint8_t ret;       /* MAIL: enum smtp_ret */
    uint8_t notify;    /* RCPT: enum smtp_notify */
    bool utf8;         /* MAIL: SMTPUTF8 (RFC 6531) */
    bool require_tls;  /* MAIL: REQUIRETLS (RFC 8689) */
};

/* What the session allows. */
struct smtp_path_rules {
    bool parameters; /* EHLO was said */
    bool tls;        /* REQUIRETLS may be asked for */
    bool utf8;       /* RCPT: its MAIL said SMTPUTF8 */
    uint64_t max;    /* a larger SIZE is refused; 0: none is */
};

/* argument is what stands behind the verb, MAIL or RCPT. SMTP_OWN_NONE, or the refusal. */
enum smtp_own_reply smtp_path_arguments(enum smtp_verb verb, struct span argument,
                                        const struct smtp_path_rules *rules,
                                        struct smtp_path *path);

#endif
