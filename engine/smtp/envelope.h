/*
 * smtp_envelope: a mail's envelope on its way to the next hop: what it asks of the server, and MAIL
 * and RCPT with the parameters that the server's extensions allow.
 */
#ifndef MGID_SMTP_ENVELOPE_H
#define MGID_SMTP_ENVELOPE_H

#include "offer.h"
#include "out.h"
#include "parameters.h"
#include "reply.h"

struct smtp_recipient {
    struct span address; /* local@domain */
    struct span orcpt;   /* "rfc822;…" as xtext, as it came; empty: none */
    uint8_t notify;      /* enum smtp_notify */
};

/* The caller's, with all that it points to. */
struct smtp_envelope {
    struct span sender;                      /* local@domain, empty for the null sender */
    const struct smtp_recipient *recipients; /* at least one */
    uint32_t count;
    uint64_t size;     /* bytes of the message as BDAT counts them; 0: unknown, then DATA it is */
    struct span envid; /* xtext, as it came; empty: none */
    enum smtp_body body;
    enum smtp_ret ret;
    bool utf8;        /* SMTPUTF8: an address or the header may have UTF-8 (RFC 6531) */
    bool require_tls; /* RFC 8689 */
};

/* What keeps the server from taking it, the gravest first. */
enum smtp_lack {
    SMTP_LACK_NOTHING,
#define LACK(NAME, code, subject, detail, text) SMTP_LACK_##NAME,
#include "lacks.def"
#undef LACK
};

/* verified: TLS is active and the peer is the one that it has to be. */
enum smtp_lack smtp_envelope_lack(const struct smtp_envelope *e, const struct smtp_offer *o,
                                  bool verified);

/* The refusal that we give ourselves for it. */
void smtp_lack_reply(enum smtp_lack lack, struct smtp_reply *r);

/* Its local part is not ASCII; a domain can be written in A-labels. */
bool smtp_address_needs_utf8(struct span address);

/* Every address is one by smtp_address_parse, and none needs UTF-8 unless utf8 is set: nothing that
 * ends a path or a line can get into a command by way of the spool or the policy. */
bool smtp_envelope_sendable(const struct smtp_envelope *e);

/* The commands, CRLF included: at most LIMIT_SMTP_OUT bytes. A parameter goes where the server
 * offers its extension; an ENVID or ORCPT that is not xtext is left out. */
void smtp_envelope_put_mail(const struct smtp_envelope *e, const struct smtp_offer *o,
                            struct smtp_out *out);
void smtp_envelope_put_rcpt(const struct smtp_envelope *e, uint32_t index,
                            const struct smtp_offer *o, struct smtp_out *out);

#endif
