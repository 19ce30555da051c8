/*
 * stream: one TCP connection of the worker, in clear or in TLS, client or server.
 *
 * The one place that arms socket I/O. Its owner (an inbound session or an outbound client) is
 * pure decision: it is given received bytes, appends bytes to be sent, and says when it can take
 * no more. At most LIMIT_STREAM_OUT bytes wait to be sent; while the owner is paused, reception
 * stops after LIMIT_STREAM_PENDING bytes: a peer that floods is held back by TCP, not by memory.
 *
 * A stream that was closed lives on until its last completion has come, without an owner.
 */
#ifndef MGID_STREAM_H
#define MGID_STREAM_H

#include "engine/pool/chunk.h"
#include "engine/pool/timer.h"
#include "engine/tls/tls.h"
#include <netinet/in.h>

struct io_uring_cqe;
struct worker;
struct stream;

union stream_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

enum stream_end {
    STREAM_END_PEER,   /* the peer closed, in order */
    STREAM_END_FAILED, /* reset, time-out of the kernel, or TLS broken off: see stream->error */
};

/* What an owner does. Every function may close the stream. */
struct stream_owner {
    /* Consumes from the front of *in. What it leaves it gets again after stream_resume: it leaves
     * something only when it paused the stream. After stream_resume it is called even if nothing is
     * there: what it was about to do when it paused may need no more input. */
    void (*input)(struct worker *w, struct stream *s, struct span *in);
    /* All output has gone to the kernel. */
    void (*drained)(struct worker *w, struct stream *s);
    /* An outbound connection is established (error 0) or not (errno). */
    void (*connected)(struct worker *w, struct stream *s, int error);
    /* The TLS handshake is complete, or failed (stream->error says why). */
    void (*secured)(struct worker *w, struct stream *s, bool ok);
    /* No more input will come. The owner closes the stream. */
    void (*ended)(struct worker *w, struct stream *s, enum stream_end end);
    /* The deadline has passed. */
    void (*expired)(struct worker *w, struct stream *s);
};

/* What is known of the peer's certificate, from the keeper. */
struct stream_verdict {
    bool answered; /* the keeper has verified a chain */
    bool verified;
    uint64_t peers;     /* client certificates: the policy's peers that it meets */
    uint64_t given;     /* when; seconds since 1970 */
    uint64_t not_after; /* of the certificate */
    char reason[LIMIT_VERDICT_TEXT];
    char subject[LIMIT_VERDICT_TEXT];
    char organization[LIMIT_VERDICT_TEXT];
    unsigned char sha256[32];
};

enum { RESUME_KEY = 32 };

enum stream_wait { STREAM_WAIT_NONE, STREAM_WAIT_SIGNATURE, STREAM_WAIT_VERDICT };

/* Usable TLSA records of a host, and the name that they belong to. */
struct stream_tlsa {
    uint16_t n;
    char base[LIMIT_DOMAIN + 1];
    unsigned char records[LIMIT_TLSA];
};

struct stream_tls {
    struct tls_connection connection;
    struct stream_verdict verdict;
    enum stream_wait wait;
    bool handshaking;
    bool broken;
    bool must_verify;    /* client: without a verified verdict the handshake fails */
    bool offered;        /* client: a session, and `verdict` is that session's */
    uint32_t generation; /* of the policy that the handshake began with */
    uint16_t subject;    /* flow (server) or route (client): whose demand governs */
    uint16_t identity;   /* whose key signs */
    const struct stream_tlsa
        *tlsa; /* client: what the server is verified by, the owner's; NULL: none */
    unsigned char resume_key[RESUME_KEY]; /* client: what its sessions are kept by */
    char host[LIMIT_DOMAIN + 1];
};

struct stream {
    const struct stream_owner *owner; /* NULL: closed */
    void *context;                    /* the owner's */
    int fd;
    uint32_t index;
    uint32_t generation;
    bool receiving, sending, connecting; /* operations under way */
    unsigned cancelling;                 /* cancellations under way: of the receive, of all */
    bool paused;                         /* the owner takes no input */
    bool finished;                       /* close when all output is sent */
    bool linger_after;                   /* finished: half-close when all is sent */
    bool last_words;                     /* finished, and output is still to be sent */
    bool lingering;                      /* half-closed, waits for the peer */
    bool ended;                          /* no more input will come; told or to be told */
    bool closing;                        /* on the worker's list of streams to be freed */
    bool notify;                         /* tell the owner when drained */
    enum stream_end end;
    uint64_t deadline; /* the timer fires at or before it */
    struct timer timer;
    struct chunk_chain out;     /* what is to be sent */
    struct chunk_chain pending; /* what was received and not taken, as it came */
    struct chunk *plain;        /* TLS: what was decrypted and not taken */
    struct stream_tls *tls;     /* NULL: in clear */
    struct stream *next_closing;
    union stream_address address; /* connecting: where to */
    char error[LIMIT_VERDICT_TEXT];
};

/* A stream on a connected socket, receiving. NULL when there is no slot (fd stays the caller's). */
struct stream *stream_accept(struct worker *w, int fd, const struct stream_owner *owner,
                             void *context);

/* Begins to connect; `connected` tells the end. NULL when there is no slot or socket (errno). */
struct stream *stream_connect(struct worker *w, const union stream_address *to,
                              const struct stream_owner *owner, void *context);

/* Bytes that can be appended now; at least 0. */
size_t stream_room(const struct stream *s);

/* Appends bytes to be sent (encrypted in a TLS stream), at most stream_room. Sent by
 * stream_flush. False when there is no memory: the stream then is of no use any more. */
bool stream_write(struct worker *w, struct stream *s, struct span bytes);
void stream_flush(struct worker *w, struct stream *s);

void stream_pause(struct stream *s);
/* Gives the owner what was kept, and receives again. */
void stream_resume(struct worker *w, struct stream *s);

/* Microseconds from now; the latest call counts. */
void stream_deadline(struct worker *w, struct stream *s, uint64_t microseconds);

/* Starts TLS on the stream: handshakes, then calls `secured`. What was received and not taken
 * must have been dealt with before. False: no memory. */
bool stream_start_tls(struct worker *w, struct stream *s, struct tls_context *context, bool server,
                      uint32_t generation, uint16_t subject, uint16_t identity, struct span host,
                      bool must_verify, const struct stream_tlsa *tlsa);

/* The keeper's answers. An empty signature and a NULL verdict are failures. */
void stream_signature(struct worker *w, struct stream *s, struct span signature);
void stream_verdict(struct worker *w, struct stream *s, const struct stream_verdict *verdict,
                    bool accept);

/* Closes after all output is sent; `linger` half-closes first and waits for the peer, so that a
 * last reply is not lost to a reset. The owner hears no more of it. */
void stream_finish(struct worker *w, struct stream *s, bool linger);

/* Closes at once; the owner hears no more of it. */
void stream_close(struct worker *w, struct stream *s);

/* Completions of the ring, and the end of a turn of the loop. */
void stream_received(struct worker *w, uint32_t index, uint32_t generation,
                     struct io_uring_cqe *cqe);
void stream_sent(struct worker *w, uint32_t index, uint32_t generation, struct io_uring_cqe *cqe);
void stream_connect_done(struct worker *w, uint32_t index, uint32_t generation,
                         struct io_uring_cqe *cqe);
void stream_cancelled(struct worker *w, uint32_t index, uint32_t generation,
                      struct io_uring_cqe *cqe);
void stream_timer(struct worker *w, struct timer *t);
void stream_reap(struct worker *w);

#endif
