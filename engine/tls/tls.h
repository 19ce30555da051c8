/*
 * tls: TLS 1.2 and 1.3 without descriptors and without private keys.
 *
 * Bytes go in by tls_feed and come out in a buffer of the caller's (tls_set_output); whoever
 * owns the socket moves them. Where the handshake needs a private key it stops with
 * TLS_WANT_SIGN, where it needs a verdict on the peer's certificates with TLS_WANT_VERIFY; both
 * are answered whenever the answer comes, and the handshake is called again. No X.509 is
 * parsed here beyond the public key of a leaf.
 *
 * A step, whichever call it was, ends with an enum tls_result. After every one of them,
 * TLS_FAILED and TLS_CLOSED included, what is in the output buffer is to be sent (an alert,
 * the last flight). A usual turn of the caller:
 *
 *     tls_set_output(c, out, sizeof out);      room for what this turn makes
 *     tls_feed(c, received);                   what came
 *     r = tls_handshake(c);                    or tls_read until TLS_WANT_READ
 *     send(out, tls_output(c));
 *     keep span_from(received, received.n - tls_unread(c))   when not all of it was taken
 *
 * TLS 1.2: ECDHE with AES-GCM or ChaCha20-Poly1305 only, unless a server's owner says otherwise.
 * Groups X25519, P-256, P-384. No SHA-1, no renegotiation, no compression, no early data. Sessions
 * are resumed only where the owner says so, see below.
 *
 * One thread. Memory comes from malloc; a connection after its handshake costs what
 * TLS_IDLE_BYTES says, and at most one incomplete record (17 KiB) more while one is under way.
 */
#ifndef MGID_TLS_H
#define MGID_TLS_H

#include "keeper_status.h"
#include "limits.h"
#include "span.h"
#include "tls_ticket.h"

struct msg_writer;
struct ssl_session_st;
struct ssl_st;
struct tls_connection;
struct tls_context;

enum tls_result {
    TLS_DONE,        /* the handshake is complete; the bytes were read, written */
    TLS_WANT_READ,   /* all input was taken: feed more */
    TLS_WANT_WRITE,  /* the output buffer is full: send it, set it again, call again */
    TLS_WANT_SIGN,   /* see tls_sign_wanted; then tls_supply_signature and tls_handshake */
    TLS_WANT_VERIFY, /* see tls_peer_chain; then tls_supply_verdict and tls_handshake */
    TLS_CLOSED,      /* the peer sent close_notify: no more will come */
    TLS_FAILED,      /* see tls_error; only tls_output, tls_describe and tls_wipe are left */
};

/* "done", "want read", … for logs. */
const char *tls_result_name(enum tls_result result);

/* Once at start, before the sandbox closes: seeds the random generator and lets the library
 * look at the processor. Ends the process when that fails. */
void tls_prepare(void);

/* ---- contexts --------------------------------------------------------------------------- */

enum tls_ask {
    TLS_ASK_NOTHING, /* no client certificate is asked for */
    TLS_ASK,         /* asked; a client without one is served all the same */
    TLS_ASK_REQUIRE, /* asked; without one the handshake fails */
};

/* A server's context: `chain` as chain_result carries it (a list of F_SPAN-encoded DER, leaf
 * first). NULL when the chain is malformed, empty, too long or its leaf's key of a kind that TLS
 * can't use; `error` (LIMIT_REASON bytes) then says why. The chain is copied. */
struct tls_context *tls_context_server(struct span chain, enum tls_ask ask, char *error);

/* A client's context; an empty chain means that we have no certificate to present. */
struct tls_context *tls_context_client(struct span chain, char *error);

/* Bits of the groups that a server takes. */
enum tls_group { TLS_X25519 = 1, TLS_P256 = 2, TLS_P384 = 4 };

/* Limits a server to those groups (0: all), and takes CBC suites of TLS 1.2 too when `legacy`. */
bool tls_context_negotiate(struct tls_context *context, unsigned groups, bool legacy);

/* A server with several certificates: called with the name that a client asks for (RFC 6066 3);
 * returns whose chain is shown, and a number for it that tls_chosen gives back. NULL: the context's
 * own. The contexts are borrowed; one must live as long as handshakes that chose it. */
typedef struct tls_context *tls_choose_function(void *owner, struct span name, uint16_t *number);
void tls_context_choose(struct tls_context *context, tls_choose_function *choose, void *owner);

/* Connections that were started from it live on. NULL is allowed. */
void tls_context_free(struct tls_context *context);

/* ---- resumption (RFC 8446 4.6.1, RFC 5077) ---------------------------------------------- */

enum { TLS_NOTE_MAX = 1024 };

/* A server's tickets. `keys` is borrowed and read at every handshake: change it in place. A ticket
 * carries the note that tls_set_note gave to its connection; `usable` says whether one with that
 * note (not empty) may still be resumed, else there is a full handshake. */
struct tls_tickets {
    const struct tls_ticket_keys *keys;
    bool (*usable)(void *owner, struct span note);
    void *owner;
};

/* Before the first connection of the context. */
void tls_context_resume(struct tls_context *context, const struct tls_tickets *tickets);

/* A client's sessions: called (from a handshake or a read) with one that can be resumed. True: the
 * session is now the callee's, to be freed by tls_session_free. */
typedef bool tls_keep_function(void *owner, struct tls_connection *conn,
                               struct ssl_session_st *session);
void tls_context_keep(struct tls_context *context, tls_keep_function *keep, void *owner);

/* RFC 8446 C.4: a TLS 1.3 ticket is offered once. */
bool tls_session_single_use(const struct ssl_session_st *session);
void tls_session_free(struct ssl_session_st *session);

/* ---- a connection ----------------------------------------------------------------------- */

/* The caller's memory; must not move between start and wipe. The fields are this module's. */
struct tls_connection {
    struct ssl_st *ssl;          /* NULL: not started */
    struct tls_context *context; /* one reference */
    struct span input;
    unsigned char *output;
    size_t output_n;
    size_t output_capacity;
    unsigned char *pending; /* the payload to be signed, then the signature */
    size_t pending_n;
    size_t retry_n; /* bytes of a tls_write that is to be repeated */
    unsigned char *note;
    uint16_t note_n;
    bool note_opened; /* it came in a ticket */
    uint16_t algorithm;
    uint8_t sign_state;
    uint8_t verify_state;
    uint16_t peer_alert; /* + 1; 0: none came */
    uint16_t chosen;
    bool client;
    bool has_chain;
    bool asked;
    bool asked_before; /* in the session that is offered */
    bool failed;
    char error[120];
};

/* conn is taken as uninitialised memory. False when there is no memory (conn then is as after
 * tls_wipe). The server's certificate request follows the context. */
bool tls_start_server(struct tls_connection *conn, struct tls_context *context);

/* `sni` is the name to ask for; NULL, an address or a name that is no host name sends none. */
bool tls_start_client(struct tls_connection *conn, struct tls_context *context, const char *sni);

/* Offers to resume a session (not taken over) before the first tls_handshake. `asked`: the server
 * had asked for our certificate then. The peer is not verified again: whoever offers answers for
 * the verdict. False: not resumable. */
bool tls_offer(struct tls_connection *conn, struct ssl_session_st *session, bool asked);

/* Server: what this connection's tickets are to carry, at most TLS_NOTE_MAX bytes, copied. Called
 * between TLS_WANT_VERIFY and the handshake that follows. */
void tls_set_note(struct tls_connection *conn, struct span note);

/* The number of the context that the client's wish led to, or none. */
enum { TLS_NOT_CHOSEN = UINT16_MAX };
static inline uint16_t tls_chosen(const struct tls_connection *conn)
{
    return conn->chosen;
}

/* After TLS_DONE of the handshake: was a session resumed? */
bool tls_resumed(const struct tls_connection *conn);

/* The connection's note, set or (resumed) brought by the ticket; empty when there is none. */
struct span tls_note(const struct tls_connection *conn);

/* Frees what the connection holds and wipes it. May be called twice. */
void tls_wipe(struct tls_connection *conn);

/* ---- transport -------------------------------------------------------------------------- */

/* Attaches received bytes, in the place of what was attached before. They are borrowed: valid
 * until tls_unread is 0 or tls_feed is called again. Calls below consume from the front. */
void tls_feed(struct tls_connection *conn, struct span received);

/* How many of the fed bytes have not been consumed: the caller keeps so many from the end. */
size_t tls_unread(const struct tls_connection *conn);

/* Where the bytes to be sent go, from the buffer's start on; forgets what was in the buffer
 * before. The smallest useful capacity is TLS_OUTPUT_MIN; capacity 0 means no room. */
void tls_set_output(struct tls_connection *conn, unsigned char *buffer, size_t capacity);

/* What has been written into the buffer since tls_set_output. */
struct span tls_output(const struct tls_connection *conn);

/* The most that a record adds to its payload, and a buffer that lets every call make progress. */
enum { TLS_RECORD_OVERHEAD = 29, TLS_OUTPUT_MIN = 512, TLS_RECORD_MAX = 16384 };

/* An upper bound of what a connection without work under way costs beside struct tls_connection:
 * measured, with a small peer chain; a client keeps the chain that its server sent. */
enum { TLS_IDLE_BYTES = 8192 };

/* ---- handshake -------------------------------------------------------------------------- */

/* TLS_DONE, TLS_WANT_READ, _WRITE, _SIGN, _VERIFY or TLS_FAILED. With TLS_DONE there may be
 * output to send and input unread. Called without the answer that it waits for, it
 * returns the same want again. */
enum tls_result tls_handshake(struct tls_connection *conn);

/* After TLS_WANT_SIGN: what the keeper's sign_request takes. */
struct tls_sign_wanted {
    enum tls_purpose purpose; /* TLS_AS_SERVER or TLS_AS_CLIENT */
    uint16_t algorithm;       /* RFC 8446 4.2.3 SignatureScheme */
    struct span payload;      /* unhashed; valid until tls_supply_signature or tls_wipe */
};
struct tls_sign_wanted tls_sign_wanted(const struct tls_connection *conn);

/* The signature (copied), or an empty span when there is none: the handshake then fails. */
void tls_supply_signature(struct tls_connection *conn, struct span signature);

/* After TLS_WANT_VERIFY, and on a client also after the handshake: writes the peer's chain, leaf
 * first, as verify_request carries it. A chain that is longer than LIMIT_CHAIN has failed the
 * handshake before. Nothing is written when the peer presented none. */
void tls_peer_chain(const struct tls_connection *conn, struct msg_writer *w);

/* `accept`: go on (a server that only wants to know accepts whatever the verdict was: the peer has
 * proved possession of the key when the handshake completes, not before). */
void tls_supply_verdict(struct tls_connection *conn, bool accept);

/* ---- data ------------------------------------------------------------------------------- */

/* Decrypts up to capacity bytes, at most a record, into buffer. TLS_DONE: *n > 0 bytes are there,
 * call again for more. TLS_WANT_READ: all input taken and nothing left. Also TLS_WANT_WRITE,
 * TLS_CLOSED, TLS_FAILED. The end of the transport is the caller's to see: without TLS_CLOSED
 * before it the stream was cut. */
enum tls_result tls_read(struct tls_connection *conn, unsigned char *buffer, size_t capacity,
                         size_t *n);

/* Encrypts from the front of `plain` as much as the output has room for; *n says how much, and it
 * is TLS_DONE when that was at least one byte (or plain was empty), TLS_WANT_WRITE when there was
 * no room. After TLS_WANT_WRITE the next call starts with the same bytes (more may follow). */
enum tls_result tls_write(struct tls_connection *conn, struct span plain, size_t *n);

/* Sends our close_notify, and does not wait for the peer's. TLS_DONE or TLS_WANT_WRITE. */
enum tls_result tls_shutdown(struct tls_connection *conn);

/* ---- what to log ------------------------------------------------------------------------ */

/* Texts are static. What is not known yet is "". */
struct tls_description {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* the standard's name, "TLS_AES_128_GCM_SHA256" */
    const char *group;   /* "X25519" */
    bool asked;          /* a client certificate was asked for: by us, or by the server */
    bool presented;      /* and the client gave one; both: mutual */
    bool resumed;        /* what is said of certificates was so at the full handshake */
};
struct tls_description tls_describe(const struct tls_connection *conn);

/* Why it failed, on one line, with the peer's alert when there was one; "" when it has not. */
const char *tls_error(const struct tls_connection *conn);

#endif
