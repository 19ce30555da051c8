/*
 * client: an outbound SMTP connection: the pure client machine joined to its stream, and to the
 * deliveries of one destination, one after the other while they last.
 */
#ifndef MGID_CLIENT_H
#define MGID_CLIENT_H

#include "engine/smtp/client.h"
#include "engine/smtp/data.h"
#include "workers/connection/destination.h"
#include "workers/connection/variant.h"

struct generation;
struct stream;
struct worker;

struct client {
    struct stream *stream;
    struct destination *destination;
    struct generation *generation; /* held */
    uint32_t route;                /* in that generation */
    bool starting;                 /* has had no delivery yet */
    bool idle;
    bool sending;   /* the body is on its way */
    bool responded; /* something was answered in this transaction */
    struct client *next_idle;
    struct delivery *delivery;
    uint64_t began; /* microseconds, monotonic: of the attempt under way */
    struct smtp_client smtp;
    struct smtp_client_config config;
    struct smtp_envelope envelope;
    bool converts;          /* the delivery's body goes to this server in 7 bits */
    uint32_t recipient_max; /* of a transaction; less when the server has taken less */
    uint32_t batch;         /* recipients of the transaction under way */
    struct smtp_recipient recipients[LIMIT_CLIENT_RECIPIENTS];
    uint32_t indexes[LIMIT_CLIENT_RECIPIENTS]; /* of the mail's recipients */
    bool postponed[LIMIT_CLIENT_RECIPIENTS];   /* to the next transaction */
    const char *text;                          /* the mail's, that the envelope points into */
    uint64_t offset;                           /* of the body, sent so far */
    unsigned char last[2];                     /* its last bytes */
    struct variant variant;                    /* of the mail, that is sent */
    uint32_t crc;
    struct smtp_stuffer stuffer;
    struct seven_bit *converter; /* NULL, or what the body goes through: on the heap, ours */
    struct candidate candidate;
    bool tls_unmet;               /* the route's demand of TLS was not met */
    struct stream_tlsa tlsa;      /* n 0: none */
    char relay[LIMIT_RELAY_TEXT]; /* "host[address]:port" */
};

/* Opens a connection to the destination's best candidate. False when it could not even begin. */
bool client_open(struct worker *w, struct destination *d);

/* An idle client takes the next ready delivery of its destination. */
void client_next_mail(struct worker *w, struct client *c);

/* Closes idle connections, for draining. */
void client_drain(struct worker *w);

#endif
