/*
 * trace: dates and Received fields (RFC 5322 3.3 and 3.6.7, RFC 5321 4.4). Pure.
 */
#ifndef MGID_MIME_TRACE_H
#define MGID_MIME_TRACE_H

#include "limits.h"
#include "span.h"

enum { TRACE_DATE = 32 }; /* "Tue, 24 Nov 2026 13:49:17 +0000" and NUL */

/* Seconds since 1970 as an RFC 5322 date in UTC. Outside of the years 1970 to 9999 the nearest
 * end is written. out always ends with NUL; returns the length without it. */
size_t trace_date(int64_t seconds, char out[TRACE_DATE]);

/* "2026-11-24 13:49" in UTC, for people of any language; else as trace_date. */
size_t trace_short_date(int64_t seconds, char out[TRACE_DATE]);

/* What a Received field says. Spans may be hostile: each is reduced to what its place allows,
 * and shortened to its bound. Empty means "leave out", except where noted. */
struct trace_received {
    struct span helo;   /* the client's HELO or EHLO argument; empty: the client's literal */
    struct span client; /* the client's address as text ("192.0.2.1", "2001:db8::1"), no port */
    struct span host;   /* our own name; must be set */
    struct span id;     /* queue id */
    bool extended;      /* EHLO: "ESMTP", "ESMTPS" with tls_version; else "SMTP" */
    bool utf8;          /* and SMTPUTF8: "UTF8SMTP", "UTF8SMTPS" (RFC 6531 4.3) */
    struct span tls_version; /* "TLSv1.3"; empty: in clear */
    struct span tls_cipher;
    struct span certificate; /* verdict on the client's certificate, for a comment */
    struct span recipient;   /* ASCII, when the mail has exactly one, else empty */
    int64_t time;            /* seconds since 1970 */
};

/*
 * Writes the field, folded at 78 columns where it can be, with its final CRLF. Returns the
 * length, 0 when it does not fit; LIMIT_RECEIVED always suffices.
 *
 *     Received: from HELO ([192.0.2.1])
 *         by HOST (mgid) with ESMTPS id ID
 *         (TLSv1.3 CIPHER; client certificate VERDICT)
 *         for <RECIPIENT>; Tue, 24 Nov 2026 13:49:17 +0000
 */
size_t trace_received(const struct trace_received *in, unsigned char *out, size_t capacity);

#endif
