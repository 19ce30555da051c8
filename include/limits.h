/*
 * limits.h: every bound of mgid in one place, and how they hang together. A limit that an
 * operator may move has its default and its ceiling here; the policy sets it in between.
 */
#ifndef MGID_LIMITS_H
#define MGID_LIMITS_H

/* ---- names and texts -------------------------------------------------------------------- */
#define LIMIT_NAME 64       /* a flow, route, rule, identity … of the policy */
#define LIMIT_DOMAIN 255    /* RFC 5321 4.5.3.1.2 */
#define LIMIT_LOCAL_PART 64 /* RFC 5321 4.5.3.1.1 */
#define LIMIT_ADDRESS (LIMIT_LOCAL_PART + 1 + LIMIT_DOMAIN)
#define LIMIT_ADDRESS_TEXT 128 /* a socket address as text */
#define LIMIT_PATH 4096
#define LIMIT_REASON 512 /* an explanation for people, on one line */

#define LIMIT_LOG_LINE 8192
#define LIMIT_LOG_BUFFER 65536

/* ---- messages between roles ------------------------------------------------------------- */
#define LIMIT_MESSAGE 65536 /* a whole message, header included */
#define LIMIT_MESSAGE_FDS 2
#define LIMIT_REPORT 32768       /* diagnostics of a policy or a reload */
#define LIMIT_CHAIN 49152        /* a certificate chain, DER */
#define LIMIT_SIGN_PAYLOAD 61440 /* TLS 1.2 signs the whole transcript on the client's side */
#define LIMIT_SIGNATURE 1024     /* RSA-8192 */
#define LIMIT_LOOKUP 16384       /* the answer to a name */
#define LIMIT_QUEUE_PAGE 61440

/* ---- processes -------------------------------------------------------------------------- */
#define LIMIT_FLOWS 16
#define LIMIT_WORKERS_PER_FLOW 64
#define LIMIT_LISTENERS 64      /* of all flows */
#define LIMIT_DESCRIPTORS 65536 /* RLIMIT_NOFILE of a connection worker */

#define LIMIT_ROLE_ITEMS 256       /* descriptors that a role is handed at start */
#define LIMIT_ROLE_TEXT LIMIT_PATH /* the text beside such a descriptor */
#define LIMIT_SANDBOX_DIRECTORIES 4
#define LIMIT_SANDBOX_DESCRIPTORS (2 * LIMIT_ROLE_ITEMS)
#define LIMIT_ROLE_DESCRIPTORS 1024 /* RLIMIT_NOFILE of a role that asks for none */
#define LIMIT_CONNECT_PORTS 64     /* distinct ports of the policy's routes */

/* ---- message headers -------------------------------------------------------------------- */
#define LIMIT_HEADERS 262144      /* bytes of a header section; more is refused */
#define LIMIT_HEADER_FIELDS 2000  /* fields of a header section */
#define LIMIT_HEADER_WANTS 16     /* distinct field names that one policy can ask for */
#define LIMIT_HEADER_CAPTURE 4096 /* of one field's value (all of them together when joined) */
#define LIMIT_HEADER_BUFFER (4 * LIMIT_HEADER_CAPTURE) /* of all captured values of a message */
#define LIMIT_HEADER_DECODED (3 * LIMIT_HEADER_CAPTURE) /* a byte becomes at most U+FFFD */

/* ---- names ------------------------------------------------------------------------------ */
#define LIMIT_LOOKUPS 4096          /* under way in the resolver; more are answered "try again" */
#define LIMIT_LOOKUP_SECONDS 20     /* a look-up as a whole, however many queries it takes */
#define LIMIT_LOOKUP_TTL 3600       /* seconds that an answer may be kept */
#define LIMIT_MX 16                 /* hosts of an MX set, best first; further ones are left out */
#define LIMIT_HOST_ADDRESSES 16     /* of one host, both families together */
#define LIMIT_NAME_SERVERS 8

/* ---- mails of our own ------------------------------------------------------------------- */
#define LIMIT_TEXT_LINE 998         /* RFC 5322 2.1.1, without CRLF */
#define LIMIT_RECEIVED 2048         /* a Received field */
#define LIMIT_DSN_RECIPIENTS 100    /* reported in one notification */
#define LIMIT_DSN_HEADERS 32768     /* of the original's header section, returned */
#define LIMIT_DSN 262144            /* a whole notification */

/* ---- memory of a worker -------------------------------------------------------------- */
#define LIMIT_COUNTER_PAGE 4096 /* shared between a connection worker and control */
#define LIMIT_CHUNK 16384       /* a buffer of the chunk pool */

_Static_assert(LIMIT_SIGN_PAYLOAD + 64 < LIMIT_MESSAGE, "a sign request fits a message");
_Static_assert(LIMIT_CHAIN + LIMIT_DOMAIN + 64 < LIMIT_MESSAGE, "a chain fits a message");
_Static_assert(LIMIT_REPORT + 64 < LIMIT_MESSAGE, "a report fits a message");
_Static_assert(LIMIT_QUEUE_PAGE + 64 < LIMIT_MESSAGE, "a page of the queue fits a message");
_Static_assert(LIMIT_LOOKUP + LIMIT_REASON + 64 < LIMIT_MESSAGE, "an answer fits a message");
_Static_assert(LIMIT_MX * (2 + 1 + 4 + LIMIT_DOMAIN + 1 + LIMIT_HOST_ADDRESSES * (1 + 4 + 16)) <
                   LIMIT_LOOKUP,
               "the largest answer fits its field");
_Static_assert(LIMIT_HEADER_CAPTURE <= LIMIT_HEADER_BUFFER, "one value fits the buffer");
_Static_assert(LIMIT_DSN_RECIPIENTS * (3 * LIMIT_ADDRESS + 2 * LIMIT_REASON) + LIMIT_DSN_HEADERS <
                   LIMIT_DSN,
               "a notification of all recipients fits");

#endif
