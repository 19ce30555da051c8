/*
 * tlsa: TLSA records (RFC 6698) as the resolver hands them over and the keeper matches them: a list
 * of F_U8 usage, F_U8 selector, F_U8 matching type, F_SPAN data.
 */
#ifndef MGID_TLSA_H
#define MGID_TLSA_H

#include "engine/ipc/ipc.h"

enum tlsa_usage { TLSA_PKIX_TA, TLSA_PKIX_EE, TLSA_DANE_TA, TLSA_DANE_EE };
enum tlsa_selector { TLSA_CERTIFICATE, TLSA_KEY };
enum tlsa_matching { TLSA_FULL, TLSA_SHA256, TLSA_SHA512 };

struct tlsa {
    uint8_t usage;
    uint8_t selector;
    uint8_t matching;
    struct span data;
};

/* Takes the next record; false at the end, and (r->bad) at what is malformed. */
static inline bool tlsa_next(struct msg_reader *r, struct tlsa *t)
{
    if (r->bad || r->in.n == 0)
        return false;
    t->usage = msg_get_u8(r);
    t->selector = msg_get_u8(r);
    t->matching = msg_get_u8(r);
    t->data = msg_get_span(r, LIMIT_TLSA);
    return !r->bad;
}

static inline void tlsa_put(struct msg_writer *w, const struct tlsa *t)
{
    msg_put_u8(w, t->usage);
    msg_put_u8(w, t->selector);
    msg_put_u8(w, t->matching);
    msg_put_span(w, t->data);
}

/* RFC 7672 3.1: for SMTP the usages that go by public CAs are unusable, as is what nobody knows. */
static inline bool tlsa_usable(const struct tlsa *t)
{
    if ((t->usage != TLSA_DANE_TA && t->usage != TLSA_DANE_EE) || t->selector > TLSA_KEY)
        return false;
    switch (t->matching) {
    case TLSA_FULL:
        return t->data.n > 0;
    case TLSA_SHA256:
        return t->data.n == 32;
    case TLSA_SHA512:
        return t->data.n == 64;
    default:
        return false;
    }
}

/* Is there a usable one in the list? */
static inline bool tlsa_any_usable(struct span list)
{
    struct msg_reader r = {.in = list};
    struct tlsa t;
    while (tlsa_next(&r, &t))
        if (tlsa_usable(&t))
            return true;
    return false;
}

#endif
