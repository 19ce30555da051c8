/*
 * tls_pair: two ends of engine/tls in one process, a pump that carries their bytes, and the answers
 * that the keeper would give, made by the keeper's own functions.
 */
#ifndef MGID_TEST_TLS_PAIR_H
#define MGID_TEST_TLS_PAIR_H

#include "engine/tls/internal.h"
#include "engine/tls/tls.h"
#include "tests/unit/certs.h"

enum { SERVER, CLIENT, BOTH };

struct end {
    struct tls_connection conn;
    struct tls_context *context;
    struct cert cert;
    enum tls_result last;
    bool refuse;       /* the verdict */
    bool no_signature; /* the keeper says no */
    struct span note;  /* the server's, set with the verdict */
    unsigned signs, verdicts;
    unsigned char in[65536]; /* on its way to this end */
    size_t in_n;
};

struct setting {
    enum cert_key server_key;
    enum cert_key client_key;
    bool client_has;
    enum tls_ask ask;
    uint16_t version;
};

extern struct end ends[BOTH];
extern size_t step_bytes;   /* fed at once */
extern size_t output_bytes; /* room for output during the handshake */

extern const uint16_t versions[2]; /* TLS 1.2, TLS 1.3 */
extern const struct setting mutual;
struct setting mutual_of(uint16_t version);

void pair_set_up(const struct setting *s);
void pair_tear_down(void);

/* New connections of the same contexts; nothing is on its way. */
void pair_again(void);

/* Handshakes as far as it goes; the outcome is in ends[].last. */
void pair_shake(void);

/* One call of the handshake with at most step_bytes of input. True when anything moved. */
bool pair_turn(struct end *end, struct end *peer);

/* Moves what end wrote to its peer; true when that was something. */
bool pair_deliver(struct end *end, struct end *peer);

/* Reads all that has come, to to + *n. */
void pair_read_all(struct end *end, unsigned char *to, size_t *n);

/* n bytes from one end to the other, through an output buffer of the given room. */
void pair_carry(struct end *from, struct end *to, size_t n, size_t room);

#endif
