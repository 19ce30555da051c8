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
#define LIMIT_ENVID 100         /* RFC 3461 5.4, as its xtext */
#define LIMIT_ORCPT 500         /* RFC 3461 5.4, type and xtext */
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
#define LIMIT_LOOKUP 32768       /* the answer to a name */
#define LIMIT_QUEUE_PAGE 61440
#define LIMIT_CONTENT 49152  /* a piece of a mail's content */
#define LIMIT_QUEUE_IDS 200 /* named in one request */

/* ---- processes -------------------------------------------------------------------------- */
#define LIMIT_FLOWS 16
#define LIMIT_WORKERS_PER_FLOW 64
#define LIMIT_LISTENERS 64      /* of all flows */
#define LIMIT_DESCRIPTORS 65536 /* RLIMIT_NOFILE of a connection worker */

#define LIMIT_ROLE_ITEMS 384       /* descriptors that a role is handed at start */
#define LIMIT_ROLE_TEXT LIMIT_PATH /* the text beside such a descriptor */
#define LIMIT_SANDBOX_DIRECTORIES 4
#define LIMIT_SANDBOX_DESCRIPTORS (2 * LIMIT_ROLE_ITEMS)
#define LIMIT_ROLE_DESCRIPTORS 1024 /* RLIMIT_NOFILE of a role that asks for none */
#define LIMIT_CONNECT_PORTS 64     /* distinct ports of the policy's routes */

/* ---- message headers -------------------------------------------------------------------- */
#define LIMIT_HEADERS 262144      /* bytes of a header section; more is refused */
#define LIMIT_HEADER_FIELDS 2000  /* fields of a header section */
#define LIMIT_HEADER_WANTS 24     /* field names that are looked for in one mail */
#define LIMIT_POLICY_FIELDS 16    /* of them, distinct ones that a policy's rules compare */
#define LIMIT_HEADER_CAPTURE 4096 /* of one field's value (all of them together when joined) */
#define LIMIT_HEADER_BUFFER (4 * LIMIT_HEADER_CAPTURE) /* of all captured values of a message */
#define LIMIT_HEADER_DECODED (3 * LIMIT_HEADER_CAPTURE) /* a byte becomes at most U+FFFD */

/* ---- changes to headers ----------------------------------------------------------------- */
#define LIMIT_RULE_EDITS 16     /* of one rule */
#define LIMIT_EDITS 18          /* with the fields that complete a mail (flow's "complete") */
#define LIMIT_EDIT_VALUE 512    /* bytes that a field is set to */
#define LIMIT_SUBJECT_PREFIX 64 /* bytes: a few tags */
#define LIMIT_RULE_EDIT_TEXT 2048
#define LIMIT_EDIT_TEXT (LIMIT_RULE_EDIT_TEXT + LIMIT_DOMAIN + 128) /* and those two fields */
#define LIMIT_VARIANTS 32       /* distinct headers of one mail, in one envelope */
#define LIMIT_EDIT_LIST (LIMIT_VARIANTS * (LIMIT_EDIT_TEXT + 5))
/* What changes add to a section: folds where lines got longer, and values as encoded words. */
#define LIMIT_EDIT_GROWTH (LIMIT_HEADERS / 16 + 32768)

/* ---- names ------------------------------------------------------------------------------ */
#define LIMIT_LOOKUPS 4096          /* under way in the resolver; more are answered "try again" */
#define LIMIT_CHANNEL_LOOKUPS 1024  /* of one worker: it can't keep the others from asking */
#define LIMIT_LOOKUP_QUERIES 8192   /* of all look-ups; what is over fails as "too many" */
#define LIMIT_RESOLVER_SOCKETS 1024 /* to name servers; further queries wait for a free one */
#define LIMIT_RESOLVER_EVENTS 32768 /* descriptors and timers, libunbound's own included */
#define LIMIT_LOOKUP_SECONDS 20     /* a look-up as a whole, however many queries it takes */
#define LIMIT_LOOKUP_TTL 3600       /* seconds that an answer may be kept */
#define LIMIT_MX 16                 /* hosts of an MX set, best first; further ones are left out */
#define LIMIT_HOST_ADDRESSES 16     /* of one host, both families together */
#define LIMIT_TLSA 1024             /* bytes of a host's TLSA records, encoded; others are left out */
#define LIMIT_NAME_SERVERS 8

/* ---- policy ----------------------------------------------------------------------------- */
#define LIMIT_POLICY_TEXT (64u << 20)   /* bytes of JSON */
#define LIMIT_POLICY_IMAGE (1u << 30)   /* bytes of a compiled image */
#define LIMIT_POLICY_BYTES (256u << 20) /* of all strings of an image */
#define LIMIT_POLICY_DEPTH 16           /* conditions within conditions */
#define LIMIT_POLICY_IDENTITIES 64      /* bits of a mask */
#define LIMIT_POLICY_PEERS 64           /* bits of a mask */
#define LIMIT_POLICY_TRUSTS 32
#define LIMIT_POLICY_ROUTES 1024
#define LIMIT_POLICY_RULES (1u << 20)    /* of all flows */
#define LIMIT_POLICY_NODES (1u << 22)    /* conditions of all rules */
#define LIMIT_POLICY_PATTERNS (1u << 22) /* of all rules and flows */
#define LIMIT_POLICY_TEXTS (1u << 20)    /* that subjects are compared with */
#define LIMIT_POLICY_NETWORKS (1u << 20)
#define LIMIT_POLICY_STRINGS (1u << 17) /* certificate names of all demands */
#define LIMIT_POLICY_HOSTS (1u << 16)   /* of all routes */
#define LIMIT_POLICY_NEEDLE 256         /* bytes of a text that a subject is compared with */
#define LIMIT_POLICY_REPLY 450          /* "550 5.7.1 text", fits a reply line (RFC 5321 4.5.3.1.5) */
#define LIMIT_POLICY_POINTER 256        /* a JSON pointer in a diagnostic */
#define LIMIT_DIAGNOSTICS 64            /* told of one policy; more are counted */
#define LIMIT_WORKERS 128               /* connection workers of all flows */
#define LIMIT_UNIX_PATH 107             /* of a sockaddr_un */

/* What the policy may set: smallest, default, largest. */
#define LIMIT_MESSAGE_SIZE_MIN (64ull << 10) /* RFC 5321 4.5.3.1.7 */
#define LIMIT_MESSAGE_SIZE_DEFAULT (64ull << 20)
#define LIMIT_MESSAGE_SIZE_MAX (1ull << 30)
#define LIMIT_MEMORY_MIN (1ull << 20)
#define LIMIT_MEMORY_DEFAULT (64ull << 20)
#define LIMIT_MEMORY_MAX (16ull << 30)
#define LIMIT_SESSIONS_DEFAULT 1024
#define LIMIT_SESSIONS_MAX 20000
#define LIMIT_RECIPIENTS_MIN 100 /* RFC 5321 4.5.3.1.8 */
#define LIMIT_RECIPIENTS_DEFAULT 1000
#define LIMIT_RECIPIENTS_MAX 10000
#define LIMIT_RATE_MAX 60000 /* a minute; a thousandth of a second each */
#define LIMIT_RETRY_FIRST_DEFAULT 60 /* seconds, as all of these */
#define LIMIT_RETRY_MAX_DEFAULT 3600
#define LIMIT_RETRY_MAX (7 * 86400)
#define LIMIT_LIFETIME_DEFAULT (5 * 86400)
#define LIMIT_LIFETIME_MAX (30 * 86400)
#define LIMIT_DELAY_NOTICES 8          /* times at which a sender hears that a mail waits */
#define LIMIT_DELAY_DEFAULT (4 * 3600) /* the first, when the policy says nothing */
#define LIMIT_GREETING_DELAY_MAX 30 /* a client waits 5 minutes, RFC 5321 4.5.3.2.1; people do not */
#define LIMIT_UID_BASE_DEFAULT 52000
#define LIMIT_ROUTE_CONNECTIONS_DEFAULT 20 /* to one destination of a route, from one worker */
#define LIMIT_ROUTE_CONNECTIONS_MAX 1000
#define LIMIT_ROUTE_RATE_MAX 1000000 /* mails a minute */
#define LIMIT_UID_BASE_MAX 2000000000

/* ---- mails of our own ------------------------------------------------------------------- */
#define LIMIT_TEXT_LINE 998         /* RFC 5322 2.1.1, without CRLF */
#define LIMIT_RECEIVED 2048         /* a Received field */
#define LIMIT_DSN_RECIPIENTS 16     /* reported in one notification */
#define LIMIT_DSN_SHOWN 128         /* of an address, host or subject in its part for people */
#define LIMIT_DSN_REPLY 256         /* of a server's reply there */
#define LIMIT_DSN_CONTENT 65536     /* the largest mail that a notification returns whole */
#define LIMIT_DSN_HEADERS 32768     /* of the original's header section, returned */
#define LIMIT_DSN 262144            /* a whole notification */

/* ---- the spool -------------------------------------------------------------------------- */
#define LIMIT_SEGMENT (64u << 20)       /* bytes of a segment file */
#ifndef LIMIT_SEGMENT_USED /* `make crash` goes through many small ones */
#define LIMIT_SEGMENT_USED LIMIT_SEGMENT
#endif
#define LIMIT_SPOOL_SEGMENTS 2048       /* of one shard */
#define LIMIT_SPOOL_HELD 16             /* segments behind an old one before its mails move on */
#define LIMIT_INLINE_MAIL (256u << 10)  /* a larger body gets a file of its own */
#define LIMIT_SPOOL_PIECES 64           /* of one body */
#define LIMIT_SPOOL_ENVELOPE (16u << 20) /* encoded */
#define LIMIT_SPOOL_BATCH (24u << 20)   /* bytes of one group commit */
#define LIMIT_SPOOL_STAGING (LIMIT_SPOOL_ENVELOPE + (1u << 20)) /* all but bodies of a batch */
#define LIMIT_SPOOL_RESERVE (256u << 10) /* of it, for deliveries and deferrals */
#define LIMIT_SPOOL_RECORDS 4096        /* of one batch */
#define LIMIT_SPOOL_IOV 1024            /* IOV_MAX */
#define LIMIT_SPOOL_OPEN 16             /* large mails' files kept open for reading */
#define LIMIT_SPOOL_DOOMED 64           /* large mails' files that wait to be removed, one at a time */
#define LIMIT_SPOOL_QUARANTINE 64       /* files that recovery sets aside; more is only logged */

/* ---- memory of a worker -------------------------------------------------------------- */
#define LIMIT_COUNTER_PAGE 4096 /* shared between a connection worker and control */
#define LIMIT_CHUNK 16384       /* a buffer of the chunk pool */

/* ---- TLS and certificates --------------------------------------------------------------- */
#define LIMIT_CHAIN_COUNT 10         /* certificates of a chain, ours or a peer's */
#define LIMIT_CERTIFICATE_FILE 65536 /* bytes of a chain's or key's file */
#define LIMIT_TRUST_FILE 4194304     /* bytes of a trust store's file */
#define LIMIT_TRUST_COUNT 2000       /* certificates of a trust store */
#define LIMIT_CRL_FILE 16777216      /* bytes of a file of revocation lists */
#define LIMIT_CRL_COUNT 256          /* of a trust store */
#define LIMIT_IDENTITY_NAMES 8192    /* bytes of an identity's DNS names; what is over can't be asked for */
#define LIMIT_VERDICTS 64            /* on peers, remembered for each generation … */
#define LIMIT_VERDICT_SECONDS 60     /* … for so long */
#define LIMIT_TICKET_SECONDS 7200    /* that a session may be resumed, and its verdict be trusted */
#define LIMIT_TICKET_ROTATION 3600   /* seconds that a key seals tickets */
#define LIMIT_TLS_SESSIONS 512       /* of servers, kept by a worker to be resumed */

/* ---- SMTP (engine/smtp) ----------------------------------------------------------------- */
#define LIMIT_SMTP_COMMAND 2048      /* a command line with CRLF: RFC 5321 says 512, extensions add */
#define LIMIT_SMTP_OUT 1024          /* room that one reply or command needs at most */
#define LIMIT_SMTP_AHEAD 32768       /* a chunk that goes with its envelope, before any answer: half of
                                        LIMIT_STREAM_OUT, and little to have sent in vain */
#define LIMIT_SMTP_REPLY_OUT 512     /* a reply line of ours, RFC 5321 4.5.3.1.5 */
#define LIMIT_SMTP_REPLY_LINE 2048   /* a reply line of a server */
#define LIMIT_SMTP_REPLY_LINES 128   /* lines of a server's reply */
#define LIMIT_SMTP_REPLY_TEXT 512    /* what is kept of a server's reply */
#define LIMIT_SMTP_TEXT_LINE 998     /* a line of a message without CRLF, RFC 5322 2.1.1 */
#define LIMIT_PROXY_HEADER 2048      /* a balancer's, with its TLVs; HAProxy's have some hundred */
#define LIMIT_SMTP_IDLE_COMMANDS 200 /* commands of a session without a mail taken */

/* Seconds that a client waits for (RFC 5321 4.5.3.2). */
#define TIMEOUT_SMTP_GREETING 300
#define TIMEOUT_SMTP_EHLO 300
#define TIMEOUT_SMTP_STARTTLS 120
#define TIMEOUT_SMTP_MAIL 300
#define TIMEOUT_SMTP_RCPT 300
#define TIMEOUT_SMTP_DATA 120      /* the 354 */
#define TIMEOUT_SMTP_BLOCK 180     /* each piece of the message to leave */
#define TIMEOUT_SMTP_DATA_END 600  /* the reply to the message */
#define TIMEOUT_SMTP_RSET 60
#define TIMEOUT_SMTP_QUIT 10       /* nothing hangs on that answer */
#define TIMEOUT_PROXY_HEADER 10     /* that a balancer may take for its first bytes */
#define TIMEOUT_SMTP_SERVER 300    /* that a server waits for a command or a piece of the message */

/* ---- the operator ----------------------------------------------------------------------- */
#define LIMIT_ADMIN_CLIENTS 16
#define LIMIT_ADMIN_WORKERS (LIMIT_FLOWS * LIMIT_WORKERS_PER_FLOW)
#define LIMIT_ADMIN_REQUEST 524288     /* a line of a request: the envelope of an import */
#define LIMIT_ADMIN_LINE 1048576       /* a line of an answer */
#define LIMIT_ADMIN_BATCH 65536        /* an answer is continued when less than that waits */
#define LIMIT_ADMIN_OUT (4 * LIMIT_ADMIN_LINE) /* of an answer that waits for its client */
#define LIMIT_ADMIN_PAGE 200           /* mails asked of a worker at once */
#define LIMIT_ADMIN_IDLE_STEPS 100000  /* of a walk, that come to nothing one after the other */
#define LIMIT_ADMIN_SECONDS 5          /* for a role's answer, and for a client to take its own */
#define LIMIT_ADMIN_RELOAD_SECONDS 120 /* for the answer to a reload */
#define LIMIT_METRICS_CLIENTS 16       /* connections that ask for metrics or health */
#define LIMIT_METRICS_SECONDS 10       /* that such a connection may be silent */
#define LIMIT_METRICS_MEMORY 16384     /* for what one asks */
#define LIMIT_ADMIN_IDLE_SECONDS 60    /* for a client's next request */

/* ---- master ----------------------------------------------------------------------------- */
#define LIMIT_PROCESSES (LIMIT_WORKERS + 4) /* workers, keeper, resolver, control, compiler */
#define LIMIT_WIRES (3 * LIMIT_WORKERS)     /* channels between roles, see topology.def */
#define LIMIT_LISTENING 4096                /* listening sockets: a worker has its own of an address */
#define LIMIT_LISTEN_TRIES 20               /* for an address that is in use, at the start */
#define LIMIT_LISTEN_PAUSE_MS 100
#define LIMIT_BACKLOG 1024                  /* connections that wait to be accepted */
#define LIMIT_SHARD_FILES (1u << 22)        /* looked at when a shard changes its owner */

/* Milliseconds. */
#define TIMEOUT_DRAIN 10000         /* that a worker has to finish what is open */
#define TIMEOUT_STOP 2000           /* that the other roles have to end */
#define TIMEOUT_RELOAD 60000        /* compile, and the keeper's verdict */
#define WATCH_INTERVAL 2000         /* between two looks at the files of certificates */
#define TIMEOUT_SEND 1000           /* that a role may leave its channel full */
#define RESTART_QUICK 10000         /* dead within: the next pause is twice as long */
#define RESTART_CALM 60000          /* lived for: the next restart is at once */
#define RESTART_PAUSE_FIRST 100
#ifndef RESTART_PAUSE_MAX /* `make crash` has no time to wait */
#define RESTART_PAUSE_MAX 30000
#endif

/* ---- the connection worker -------------------------------------------------------------- */
#define LIMIT_RING_ENTRIES 4096
#define LIMIT_RING_COMPLETIONS 32768
#define LIMIT_RECEIVE_BUFFERS 512     /* provided to the kernel, of LIMIT_RECEIVE_BUFFER bytes */
#define LIMIT_RECEIVE_BUFFER 8192
#define LIMIT_MESSAGE_BUFFERS 8       /* the same for other roles' messages */
#define LIMIT_LINK_BACKLOG 4096       /* messages that a role's socket has no room for */
#define LIMIT_GENERATIONS 8           /* policies in use at once by open transactions */
#define LIMIT_STREAM_OUT 65536        /* bytes that wait to be sent on a connection */
#define LIMIT_STREAM_PENDING 16384    /* bytes received while the owner is paused, then no more */
#define LIMIT_VERDICT_TEXT 160        /* what is kept of a certificate's subject or a reason */
#define LIMIT_CLIENT_TEXT 48          /* an address as text */
#define LIMIT_RELAY_TEXT 320          /* "host[address]:port" */
#define LIMIT_TRANSFER_SECONDS 60         /* over which the pace of a message is judged */
#define LIMIT_GUARD_SPARE 4096        /* clients and networks remembered without a connection */
#define LIMIT_SESSION_COMMANDS 100000 /* of a session */
#define LIMIT_SESSION_ERRORS 20       /* refused commands, then 421 */
#define LIMIT_RECEIVED_FIELDS 100     /* more is a loop (RFC 5321 6.3: normally at least 100) */
#define LIMIT_OWN_RECEIVED 3          /* times that a mail may have been here already */
#define LIMIT_AUTHORS 16              /* From values that rules look at */
#define LIMIT_MAIL_TEXT (8u << 20)    /* envelope and replies of a mail in memory */
#define LIMIT_LARGE_CHUNKS 8          /* of one write to a large mail's file */
#define LIMIT_MEMORY_SHARE 8          /* a share of 1/8 of the chunks is kept from new mail */
#define LIMIT_QUEUE_MAILS (1u << 20)  /* of a worker; more needs but this number and the next */
#define LIMIT_QUEUE_DELIVERIES (1u << 21)
#define LIMIT_LIVE_MAILS (1u << 16)   /* with their envelope in memory; about 1 KB each */
#define LIMIT_LIVE_SHARE 4            /* a share of 1/4 of them is kept from those that nobody wants */
#define LIMIT_ENVELOPES_MIN (24ull << 20) /* bytes of long envelopes: the largest fits twice */
#define LIMIT_TEXTS (1u << 16)        /* reasons why mails wait, each kept once … */
#define LIMIT_TEXTS_BYTES (16u << 20) /* … of so many bytes; further ones are in log and spool only */
#define LIMIT_TURN_TIMERS 1024        /* that fire in one turn */
#define LIMIT_TURN_DESTINATIONS 64    /* that go on in one turn */
#define LIMIT_TURN_FAILED 32          /* deliveries of one destination that fail in one turn */
#define LIMIT_TURN_PARKED 256         /* mails whose memory is given back in one turn */
#define LIMIT_PUT_OFF_SECONDS 10      /* what could not be done for want of memory */
#define LIMIT_LIMBO_SECONDS 60        /* until a destination is asked for again */
#define LIMIT_DAMAGED_SECONDS 3600    /* until a record that did not verify is read again */
#define LIMIT_IMPORT_MICROSECONDS 60000000 /* for the next piece of a mail that is imported */
#define LIMIT_SUSPENDED 64            /* routes that the operator holds back */
#define LIMIT_ADMIN_UNITS 4096        /* of work, in one step of the operator's walk: a mail looked at */
#define LIMIT_ADMIN_READ 16           /* what a mail read from the spool counts for */
#define LIMIT_TURN_LOOKED_AT 256      /* mails, for those to be moved on */
#define LIMIT_TURN_MOVED 8
#define LIMIT_DESTINATIONS (1u << 16)
#define LIMIT_DESTINATION_BUCKETS (1u << 14)
#define LIMIT_CANDIDATES 32           /* addresses of a destination */
#define LIMIT_DESTINATION_STEPS 64    /* of one destination in one turn */
#define LIMIT_CLIENTS 4096            /* outbound connections of a worker */
#define LIMIT_CLIENT_RECIPIENTS 100   /* of one transaction (RFC 5321 4.5.3.1.8) */
#define LIMIT_CONNECTION_MAILS 500    /* over one outbound connection */
#define LIMIT_CONNECT_MICROSECONDS 30000000
#define LIMIT_CONNECT_IPV6_MICROSECONDS 2000000  /* where an IPv4 address can be tried instead */
#define LIMIT_HANDSHAKE_MICROSECONDS 60000000
#define LIMIT_IDLE_MICROSECONDS 5000000          /* a kept connection without a mail */
#define LIMIT_LINGER_MICROSECONDS 5000000        /* for the peer to read a last reply */
#define LIMIT_DESTINATION_PAUSE_SECONDS 30       /* a dead host is let alone, and a destination first */
#define LIMIT_DESTINATION_PAUSE_MAX 900          /* a dead destination, in the end */
#define LIMIT_DESTINATION_REST_MICROSECONDS 60000000
#define LIMIT_KNOWN_MICROSECONDS 300000000       /* addresses are asked anew after that */
#define LIMIT_LOOKUP_TTL_MIN 5                   /* seconds */
#define LIMIT_RECORD_DELAY_MICROSECONDS 50000    /* a delivery's record waits for company */
#define LIMIT_SPOOL_PAUSE_MICROSECONDS 1000000   /* after the disk has refused */
#define LIMIT_SPOOL_FREE (128u << 20)            /* bytes; below, no new mail */
#define LIMIT_SPOOL_INODES 256
#define LIMIT_SPOOL_BUSY_SECONDS 10              /* a predecessor may still be ending */
#define LIMIT_BOUNCE_RETRY_MICROSECONDS 10000000
#define LIMIT_ACCEPT_PAUSE_MICROSECONDS 100000
#define LIMIT_REFUSAL_LOG_MICROSECONDS 1000000   /* between two lines about refused connections */
#define LIMIT_HOUSEKEEPING_MICROSECONDS 1000000
#define MAIL_FEW_RECIPIENTS 2
#define MAIL_SHORT_TEXT 384

_Static_assert(LIMIT_SIGN_PAYLOAD + 64 < LIMIT_MESSAGE, "a sign request fits a message");
_Static_assert(LIMIT_CHAIN + 2 * LIMIT_DOMAIN + LIMIT_TLSA + 64 < LIMIT_MESSAGE,
               "a chain fits a message");
_Static_assert(LIMIT_CHAIN + LIMIT_IDENTITY_NAMES + 128 < LIMIT_MESSAGE, "with its names too");
_Static_assert(LIMIT_REPORT + 64 < LIMIT_MESSAGE, "a report fits a message");
_Static_assert(LIMIT_QUEUE_PAGE + 64 < LIMIT_MESSAGE, "a page of the queue fits a message");
_Static_assert(LIMIT_LOOKUP + LIMIT_REASON + 64 < LIMIT_MESSAGE, "an answer fits a message");
_Static_assert(LIMIT_MX * (2 + 1 + 4 + LIMIT_DOMAIN + 1 + LIMIT_HOST_ADDRESSES * (1 + 4 + 16) + 1 + 4 +
                           LIMIT_DOMAIN + 4 + LIMIT_TLSA) <
                   LIMIT_LOOKUP,
               "the largest answer fits its field");
_Static_assert(LIMIT_LOOKUPS + 2 * LIMIT_LOOKUP_QUERIES + LIMIT_RESOLVER_SOCKETS + LIMIT_ROLE_ITEMS <=
                   LIMIT_RESOLVER_EVENTS,
               "each look-up, query and descriptor has its event");
_Static_assert(LIMIT_HEADER_CAPTURE <= LIMIT_HEADER_BUFFER, "one value fits the buffer");
/* A byte may become three; four languages say about 600 bytes of a recipient each. The part for
 * programs holds each address once or twice. */
_Static_assert(LIMIT_DSN_HEADERS <= LIMIT_DSN_CONTENT &&
                   LIMIT_DSN_RECIPIENTS * (4 * (3 * LIMIT_DSN_SHOWN + 700) +
                                           3 * (LIMIT_DSN_REPLY + 2 * LIMIT_DSN_SHOWN) +
                                           2 * LIMIT_TEXT_LINE + LIMIT_DOMAIN + LIMIT_REASON + 512) +
                           LIMIT_DSN_CONTENT + 16384 <
                       LIMIT_DSN,
               "a notification of all recipients fits, folded and explained");

_Static_assert(2 * LIMIT_POLICY_IDENTITIES + 2 * LIMIT_POLICY_TRUSTS + LIMIT_WORKERS + 16 <= LIMIT_ROLE_ITEMS,
               "all that the keeper is handed at start fits");
_Static_assert(LIMIT_FLOWS <= LIMIT_WORKERS && LIMIT_WORKERS_PER_FLOW <= LIMIT_WORKERS,
               "each flow has a worker, and one may have its most");
_Static_assert(LIMIT_POLICY_NEEDLE < 4096 && LIMIT_POLICY_REPLY + 2 <= 512,
               "a text fits the window that is searched, a reply its line");
_Static_assert(LIMIT_ADDRESS + LIMIT_ENVID + 160 < LIMIT_SMTP_OUT, "MAIL with its parameters fits");
_Static_assert(LIMIT_ADDRESS + LIMIT_ORCPT + 80 < LIMIT_SMTP_OUT, "RCPT with its parameters fits");
_Static_assert(2 * LIMIT_SMTP_AHEAD <= LIMIT_STREAM_OUT, "a chunk sent ahead and its envelope wait");
_Static_assert(2 * LIMIT_DOMAIN + 256 < LIMIT_SMTP_OUT, "the reply to EHLO fits");
_Static_assert(LIMIT_SMTP_REPLY_OUT <= LIMIT_SMTP_OUT, "a reply fits");

/* Worst case of a mail as JSON: each byte an escape of six, each recipient (55 bytes) its keys. */
_Static_assert(6 * LIMIT_QUEUE_PAGE + LIMIT_QUEUE_PAGE / 55 * 400 + 1024 < LIMIT_ADMIN_LINE,
               "any mail of a page fits a line");
_Static_assert(LIMIT_RECIPIENTS_MAX * (2 * LIMIT_ADDRESS + 2 * LIMIT_NAME + LIMIT_ORCPT + 40) +
                       2 * LIMIT_REASON + LIMIT_ADDRESS + LIMIT_DOMAIN + LIMIT_ENVID +
                       LIMIT_EDIT_LIST + 256 <=
                   LIMIT_SPOOL_ENVELOPE,
               "the largest envelope fits");
_Static_assert(LIMIT_RECIPIENTS_MAX < 65535, "a recipient's index fits, and one means all");
_Static_assert(LIMIT_SPOOL_ENVELOPE + LIMIT_INLINE_MAIL + 4096 <= LIMIT_SPOOL_BATCH,
               "the largest mail fits a batch");
_Static_assert(LIMIT_SPOOL_ENVELOPE + 4096 <= LIMIT_SPOOL_STAGING - LIMIT_SPOOL_RESERVE,
               "the largest envelope fits the staging memory");
_Static_assert(LIMIT_SPOOL_BATCH + 16384 <= LIMIT_SEGMENT, "a batch fits an empty segment");
_Static_assert(LIMIT_SPOOL_PIECES + 5 <= LIMIT_SPOOL_IOV, "a mail fits a batch's list");
_Static_assert(LIMIT_INLINE_MAIL / LIMIT_CHUNK + 8 <= LIMIT_SPOOL_PIECES,
               "an inline body in chunks, and the fields added to it");

#endif
