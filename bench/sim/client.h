/*
 * client: one SMTP session as a client, waiting for each reply.
 */
#ifndef MGISIM_CLIENT_H
#define MGISIM_CLIENT_H

#include "bench/sim/peer.h"
#include "span.h"

enum { CLIENT_RECIPIENTS = 1000, CLIENT_TIMEOUT_S = 60 };

struct client_options {
    const char *server;
    const char *name; /* to find in the server's certificate, or NULL */
    const char *sender;
    const char *ehlo;
    const char *recipients[CLIENT_RECIPIENTS];
    unsigned recipient_count; /* 0: no mail, only the greeting and the handshake */
    size_t count;             /* how often the mail is sent */
    bool clear;
    struct peer_setup tls;
    FILE *transcript; /* the dialogue, for people; or NULL */
};

struct client_result {
    int status; /* exit status */
    size_t taken;
    unsigned refused; /* recipients */
    bool certificate_asked;
    struct peer_facts facts;
    const char *last_command; /* verb */
    char last_reply[1024];
    const char *failure; /* NULL when none */
};

/* Sends the mail (lines ended by CRLF). */
void client_run(const struct client_options *o, struct span mail, struct client_result *r);

#endif
