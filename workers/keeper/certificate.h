/*
 * certificate: what a certificate says, as text and numbers for people, logs and decisions.
 *
 * Texts are one line of UTF-8 with control bytes replaced, cut to LIMIT_REASON - 1 bytes: what a
 * stranger wrote into a certificate ends up in log lines and header fields.
 */
#ifndef MGID_KEEPER_CERTIFICATE_H
#define MGID_KEEPER_CERTIFICATE_H

#include "limits.h"
#include "span.h"
#include <openssl/base.h>
#include <openssl/x509.h>

/* Appends to a text of LIMIT_REASON bytes what fits, replacing control bytes. */
void text_add(char *text, struct span s);
void text_format(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Parses an encoded chain (a list of F_SPAN DER): 1 to LIMIT_CHAIN_COUNT certificates, each DER to
 * its last byte. NULL with *why (static) otherwise. The caller frees with sk_X509_pop_free. */
STACK_OF(X509) * certificate_chain(struct span chain, const char **why);

/* "CN=im.post.ch,O=Post CH AG,C=CH" (RFC 2253 order). */
void certificate_name(const X509_NAME *name, char *text);

/* The one organization (O) of the subject as UTF-8; "" when there is none. False when there are
 * several or it holds a NUL: it then proves nothing, and the text is for the log only. */
bool certificate_organization(const X509 *certificate, char *text);

/* The DNS names of the subject alternative names, comma separated; "" when there are none. */
void certificate_names(const X509 *certificate, char *text);

/* Calls `each` with every DNS name until it returns true; returns whether one did. */
bool certificate_any_name(const X509 *certificate, bool (*each)(struct span name, void *context),
                          void *context);

/* Is that IP address (4 or 16 bytes) among the subject alternative names? */
bool certificate_has_address(const X509 *certificate, struct span address);

/* Seconds since 1970; 0 for a time before that or a malformed one. */
uint64_t certificate_time(const ASN1_TIME *time);

/* "2026-01-02" (UTC) into text of at least 16 bytes. */
void certificate_date(uint64_t seconds, char *text);

void certificate_sha256(const X509 *certificate, unsigned char digest[32]);

/* Made by a hash that may still be used: SHA-256, SHA-384, SHA-512, or Ed25519? */
bool certificate_signature_strong(const X509 *certificate);

#endif
