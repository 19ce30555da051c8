/*
 * resume: TLS sessions that are resumed, with the verdict that they were given.
 *
 * A client's session travels in its ticket, with the verdict on its certificate as the ticket's
 * note. It is resumed while the verdict is positive, the certificate has not expired, the verdict
 * is younger than LIMIT_TICKET_SECONDS (a resumption does not renew it) and the policy demands the
 * same of peers, trust stores' contents included. Else there is a full handshake.
 *
 * A server's session is kept here, for the same generation, route, host and port only.
 */
#ifndef MGID_RESUME_H
#define MGID_RESUME_H

#include "workers/connection/stream.h"

struct generation;

enum { RESUME_WAYS = 8 };

/* A session of a server and what was found out when it was made. */
struct resume_entry {
    struct ssl_session_st *session; /* NULL: free */
    unsigned char key[RESUME_KEY];
    bool asked; /* for our certificate */
    struct stream_verdict verdict;
};

struct resume {
    struct tls_ticket_keys keys; /* of the flow, from the keeper */
    struct resume_entry entries[LIMIT_TLS_SESSIONS];
    unsigned next_way;
};

/* Takes the keeper's keys over. */
void resume_keys(struct worker *w, struct span keys);

/* Lets contexts of the generation resume. */
void resume_server(struct generation *g, struct tls_context *context);
void resume_client(struct worker *w, struct tls_context *context);

/* A connection to a server: names what its sessions are kept by, and offers one, if there is one.
 */
void resume_offer(struct worker *w, struct stream *s);

/* The offered session may be to blame for a failure: none of that server is offered again. */
void resume_forget(struct worker *w, const struct stream *s);

/* The verdict on a client, as the note of its tickets. Only a positive one is noted. */
void resume_note(struct worker *w, struct stream *s);

/* The handshake is complete. Where a session was resumed its verdict is the stream's. False: the
 * connection has no verdict that it must have. */
bool resume_secured(struct stream *s);

#endif
