/*
 * tls_ticket.h: keys of session tickets, which the keeper makes for each flow and hands to the
 * flow's workers (ticket_keys in messages.def).
 */
#ifndef MGID_TLS_TICKET_H
#define MGID_TLS_TICKET_H

enum {
    TLS_TICKET_KEY = 48, /* a name of 16 bytes, a key of 32 */
    TLS_TICKET_KEYS = 3, /* the one in use, and those that tickets may still be sealed with */
};

/* The first seals, all open. */
struct tls_ticket_keys {
    unsigned count; /* 0: no tickets are given */
    unsigned char key[TLS_TICKET_KEYS][TLS_TICKET_KEY];
};

#endif
