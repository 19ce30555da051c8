/*
 * xtext: what a client says of a recipient in ORCPT and of itself in ENVID (RFC 3461 4, with the
 * addresses of RFC 6533 3). Pure; the client is a stranger.
 */
#ifndef MGID_MIME_XTEXT_H
#define MGID_MIME_XTEXT_H

#include "limits.h"
#include "span.h"

/* Decodes xtext ("a+2Bb" to "a+b") into out, which has room for s.n bytes. False when s is none: a
 * byte outside of "!" to "~", a bare "=", or a "+" without two capital hexadecimal digits. */
bool xtext_decode(struct span s, unsigned char *out, size_t *n);

/* ORCPT=type;address in its parts. */
struct orcpt {
    struct span type; /* as given: "rfc822", "utf-8" in either case, or another atom */
    bool utf8;        /* it is utf-8 */
    size_t n;
    unsigned char address[LIMIT_ORCPT]; /* decoded: xtext, and "\x{…}" of the type utf-8 */
};

/* Reads the parameter's value. A raw character of UTF-8 may stand in an address of the type utf-8
 * (utf-8-addr-unitext). False when it is malformed, or holds a control character. type points into
 * the value. */
bool orcpt_parse(struct span value, struct orcpt *out);

/* The form of an address of the type utf-8 that is ASCII (utf-8-addr-xtext): at most capacity
 * bytes of whole characters. s is valid UTF-8. Returns the length. */
size_t utf8_address_escape(struct span s, char *out, size_t capacity);

#endif
