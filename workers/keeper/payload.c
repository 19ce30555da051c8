/* The three shapes of what TLS signs, each checked to the last byte. */
#include "workers/keeper/payload.h"

/* ---- TLS 1.3 ---- */

enum { PADDING = 64, SHA256_BYTES = 32, SHA384_BYTES = 48 };

static bool all_spaces(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ')
            return false;
    return true;
}

/* Contexts hold the NUL that separates them from the hash. */
static bool tls13(struct span payload, struct span context, const char **why)
{
    struct span rest = span_from(payload, PADDING);
    if (!span_eq(span_head(rest, context.n), context)) {
        *why = "a TLS 1.3 payload of another context";
        return false;
    }
    size_t hash = rest.n - context.n;
    if (hash != SHA256_BYTES && hash != SHA384_BYTES) {
        *why = "a TLS 1.3 payload without a hash of 32 or 48 bytes";
        return false;
    }
    return true;
}

/* ---- TLS 1.2, server: two randoms and ECDHE parameters ---- */

struct group {
    unsigned number; /* RFC 8422 5.1.1 */
    size_t point;
    int first; /* what the point begins with; -1: anything */
};

static const struct group groups[] = {
    {29, 32, -1}, /* X25519 */
    {23, 65, 4},  /* P-256, uncompressed */
    {24, 97, 4},  /* P-384, uncompressed */
};

static bool tls12_server(struct span payload, const char **why)
{
    enum { RANDOMS = 64, CURVE_TYPE = 1, GROUP = 2, LENGTH = 1, NAMED_CURVE = 3 };
    struct span p = span_from(payload, RANDOMS);
    *why = "no ECDHE parameters after two randoms";
    if (p.n < CURVE_TYPE + GROUP + LENGTH || p.p[0] != NAMED_CURVE)
        return false;
    unsigned number = (unsigned)p.p[1] << 8 | p.p[2];
    size_t length = p.p[3];
    struct span point = span_from(p, CURVE_TYPE + GROUP + LENGTH);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        const struct group *g = &groups[i];
        if (g->number != number)
            continue;
        return length == g->point && point.n == length && (g->first < 0 || point.p[0] == g->first);
    }
    *why = "ECDHE parameters of a group that is not allowed";
    return false;
}

/* ---- TLS 1.2, client: the transcript up to its key exchange ---- */

struct step {
    unsigned char type;
    bool optional;
    size_t least;
};

/* RFC 5246 7.3, with a client certificate and ECDHE, as far as it is signed. */
static const struct step transcript[] = {
    {1, false, 2 + 32 + 1 + 2 + 2 + 1 + 1}, /* client_hello */
    {2, false, 2 + 32 + 1 + 2 + 1},         /* server_hello */
    {11, false, 3 + 3 + 1},                 /* certificate */
    {22, true, 1},                          /* certificate_status */
    {12, false, 4 + 32 + 4},                /* server_key_exchange */
    {13, false, 1 + 1 + 2 + 2 + 2},         /* certificate_request */
    {14, false, 0},                         /* server_hello_done */
    {11, false, 3 + 3 + 1},                 /* certificate */
    {16, false, 1 + 32},                    /* client_key_exchange */
};

/* The two hellos say which version the rest is of. */
static bool hello_of_tls12(struct span body)
{
    return body.n >= 2 && body.p[0] == 3 && body.p[1] == 3;
}

static bool tls12_client(struct span payload, const char **why)
{
    enum { HEADER = 4, COUNT = sizeof transcript / sizeof transcript[0] };
    struct span rest = payload;
    *why = "no TLS 1.2 handshake up to the client's key exchange";
    for (size_t i = 0; i < COUNT; i++) {
        const struct step *s = &transcript[i];
        if (rest.n < HEADER)
            return false;
        if (rest.p[0] != s->type) {
            if (s->optional)
                continue;
            return false;
        }
        size_t length = (size_t)rest.p[1] << 16 | (size_t)rest.p[2] << 8 | rest.p[3];
        rest = span_from(rest, HEADER);
        if (length > rest.n || length < s->least)
            return false;
        if (s->type <= 2 && !hello_of_tls12(rest))
            return false;
        rest = span_from(rest, length);
    }
    return rest.n == 0;
}

enum payload_kind payload_classify(unsigned purpose, struct span payload, const char **why)
{
    static const char server[] = "TLS 1.3, server CertificateVerify";
    static const char client[] = "TLS 1.3, client CertificateVerify";
    bool as_server = purpose == TLS_AS_SERVER;
    *why = "";
    if (!as_server && purpose != TLS_AS_CLIENT) {
        *why = "no purpose that signs";
        return PAYLOAD_FOREIGN;
    }
    /* The padding tells the versions apart: a TLS 1.2 payload with spaces for randoms would need
     * "T" for a curve type, or a handshake message of type 32. */
    bool good;
    enum payload_kind kind = PAYLOAD_TLS12;
    if (payload.n >= PADDING && all_spaces(span_head(payload, PADDING))) {
        kind = PAYLOAD_TLS13;
        good =
            tls13(payload,
                  as_server ? span_of(server, sizeof server) : span_of(client, sizeof client), why);
    } else if (as_server) {
        good = tls12_server(payload, why);
    } else {
        good = tls12_client(payload, why);
    }
    if (!good)
        return PAYLOAD_FOREIGN;
    *why = "";
    return kind;
}
