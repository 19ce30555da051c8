/*
 * smtp_offer: what a server's answer to EHLO offers (RFC 5321 4.1.1.1), as its client reads it.
 */
#ifndef MGID_SMTP_OFFER_H
#define MGID_SMTP_OFFER_H

#include "verbs.h"

struct smtp_offer {
    uint32_t extensions;      /* SMTP_EXTENSION_BIT set */
    uint64_t size_max;        /* SIZE (RFC 1870): of a message; 0: no maximum is named */
    uint32_t mail_max;        /* LIMITS MAILMAX (RFC 9422): transactions of a session; 0: any */
    uint32_t rcpt_max;        /* RCPTMAX: recipients of a transaction; 0: any */
    uint32_t rcpt_domain_max; /* RCPTDOMAINMAX: recipients' domains of a session; 0: any */
};

/* Takes a line of the answer that is not its first, without its code. What is not understood is
 * passed over: a keyword that we do not know, a parameter that is no number (RFC 9422 4: an unknown
 * or malformed limit is to be ignored). */
void smtp_offer_learn(struct smtp_offer *o, struct span line);

static inline bool smtp_offered(const struct smtp_offer *o, enum smtp_extension extension)
{
    return (o->extensions & SMTP_EXTENSION_BIT(extension)) != 0;
}

#endif
