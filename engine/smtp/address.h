/*
 * smtp_address: the paths of MAIL FROM and RCPT TO (RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3), and their
 * comparison.
 *
 * Taken: dot-strings, quoted strings, domains, address literals (IPv4 and IPv6), source routes
 * (checked and forgotten, RFC 5321 appendix F.2), the null path, and <postmaster>. More is taken
 * than the grammar allows where real addresses need it: dots anywhere in an unquoted local part,
 * '_' in a domain, one trailing dot of a domain, a local part over 64 bytes as long as the address
 * has at most LIMIT_ADDRESS bytes. Refused: control characters, and bytes from 0x80 that are not
 * UTF-8. Whether an internationalised address may be there (SMTPUTF8) is the caller's to say.
 */
#ifndef MGID_SMTP_ADDRESS_H
#define MGID_SMTP_ADDRESS_H

#include "limits.h"
#include "span.h"

enum smtp_address_kind {
    SMTP_ADDRESS_NULL,       /* <>: local and domain are empty */
    SMTP_ADDRESS_MAILBOX,    /* local@domain */
    SMTP_ADDRESS_POSTMASTER, /* <postmaster>, in any case: domain is empty */
};

/* Spans point into the text that was parsed. */
struct smtp_address {
    struct span whole;  /* local@domain as given: no brackets, no source route */
    struct span local;  /* as given, quotes kept */
    struct span domain; /* as given; an address literal with its brackets */
    enum smtp_address_kind kind;
    bool utf8; /* not ASCII: needs SMTPUTF8 (RFC 6531) */
};

enum smtp_address_status {
    SMTP_ADDRESS_OK,
    SMTP_ADDRESS_SYNTAX,
    SMTP_ADDRESS_NO_DOMAIN, /* a local part alone, and not postmaster */
    SMTP_ADDRESS_TOO_LONG,
};

/* Of an address that parsed, with its domain in A-labels (RFC 5890), too. */
#define SMTP_ADDRESS_CANONICAL LIMIT_ADDRESS

/* Parses "<…>" at the start of *in and moves *in behind the '>'. *in and *a are undefined unless
 * SMTP_ADDRESS_OK. */
enum smtp_address_status smtp_path_parse(struct span *in, struct smtp_address *a);

/* Parses all of text as local@domain, as a policy or a spool record has it: without brackets. The
 * empty text is the null address. */
enum smtp_address_status smtp_address_parse(struct span text, struct smtp_address *a);

/* True when s is an ASCII domain (not a literal) by the rules above. */
bool smtp_domain_valid(struct span s);

/* The form to compare by: quotes and backslashes that are not needed are dropped, the domain is in
 * lower case, in A-labels and without trailing dot, and so is a local part that says postmaster
 * (RFC 5321 4.5.1). Other local parts keep their case (2.4) and their bytes. Writes at most
 * SMTP_ADDRESS_CANONICAL bytes; returns the length. */
size_t smtp_address_canonical(const struct smtp_address *a, unsigned char *out);

/* Lower case, A-labels (RFC 5891, non-transitional), no trailing dot; returns the length. s is a
 * domain or literal that parsed; out has room for LIMIT_DOMAIN bytes. */
size_t smtp_domain_canonical(struct span s, unsigned char *out);

/* The address (or null address) with a domain that is ASCII, as rules, DNS and servers without
 * SMTPUTF8 need it: itself where it has one already or does not parse, else in out
 * (SMTP_ADDRESS_CANONICAL bytes). */
struct span smtp_address_ascii_domain(struct span address, unsigned char *out);

/* An address (or null address) as rules are to compare it: in canonical form, so that quotes that are
 * not needed hide nothing from them. Itself where that is the same but for case or where it does not
 * parse, else in out (SMTP_ADDRESS_CANONICAL bytes). */
struct span smtp_address_compared(struct span address, unsigned char *out);

/* Equal in canonical form. */
bool smtp_address_equal(const struct smtp_address *a, const struct smtp_address *b);

#endif
