/*
 * Paths and addresses: a cursor that moves over the text, one function a rule of the grammar.
 */
#include "engine/smtp/address.h"
#include "engine/mime/utf8.h"
#include <arpa/inet.h>
#include <idn2.h>

static bool letter_or_digit(unsigned char c)
{
    unsigned char lower = ascii_lower(c);
    return ascii_digit(c) || (lower >= 'a' && lower <= 'z');
}

/* atext of RFC 5322 3.2.3, ASCII. */
static bool atext(unsigned char c)
{
    return letter_or_digit(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Of a byte: what RFC 6531 adds are bytes from 0x80; text_valid looks at them together. */
static bool printable(unsigned char c)
{
    return c >= 0x20 && c != 0x7f;
}

/* UTF-8 without control characters of the upper half (U+0080 to U+009F). */
static bool text_valid(struct span s)
{
    for (size_t i = 0; i + 1 < s.n; i++)
        if (s.p[i] == 0xc2 && s.p[i + 1] < 0xa0)
            return false;
    return utf8_valid(s);
}

bool smtp_domain_valid(struct span s)
{
    size_t label = 0;

    if (s.n > 0 && s.p[s.n - 1] == '.')
        s.n--;
    if (s.n == 0 || s.n > LIMIT_DOMAIN)
        return false;
    for (size_t i = 0; i <= s.n; i++) {
        if (i == s.n || s.p[i] == '.') {
            if (label == 0 || label > 63 || s.p[i - 1] == '-' || s.p[i - label] == '-')
                return false;
            label = 0;
        } else if (letter_or_digit(s.p[i]) || s.p[i] == '-' || s.p[i] == '_') {
            label++;
        } else {
            return false;
        }
    }
    return true;
}

/* An internationalised domain in A-labels; out has LIMIT_DOMAIN bytes. Returns its length, 0 when
 * it is none. */
static size_t a_labels(struct span s, unsigned char *out)
{
    char text[4 * LIMIT_DOMAIN];
    char *ascii = NULL;
    size_t n = 0;

    if (s.n >= sizeof text || memchr(s.p, 0, s.n) != NULL || !text_valid(s))
        return 0;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    if (idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK &&
        smtp_domain_valid(span_str(ascii))) {
        n = strlen(ascii);
        n -= ascii[n - 1] == '.';
        memcpy(out, ascii, n);
    }
    idn2_free(ascii);
    return n;
}

/* The inside of an address literal: an IPv4 address, or "IPv6:" and an IPv6 address. */
static bool literal_valid(struct span s)
{
    static const struct span tag = SPAN_LIT("IPv6:");
    unsigned char address[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];
    bool six = span_istarts(s, tag);

    if (six)
        s = span_from(s, tag.n);
    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, 0, s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    return inet_pton(six ? AF_INET6 : AF_INET, text, address) == 1;
}

static bool domain_byte(unsigned char c)
{
    return letter_or_digit(c) || c == '-' || c == '_' || c == '.' || c >= 0x80;
}

/* The run of bytes at *in that a domain may consist of, or a whole address literal. */
static bool take_domain(struct span *in, struct span *domain)
{
    size_t n = 0;
    bool valid;

    if (in->n > 0 && in->p[0] == '[') {
        const unsigned char *end = memchr(in->p, ']', in->n);
        if (end == NULL)
            return false;
        n = (size_t)(end - in->p) + 1;
        valid = literal_valid(span_of(in->p + 1, n - 2));
    } else {
        unsigned char ascii[LIMIT_DOMAIN];
        while (n < in->n && domain_byte(in->p[n]))
            n++;
        valid = !span_ascii(span_head(*in, n)) ? a_labels(span_head(*in, n), ascii) > 0
                                               : smtp_domain_valid(span_head(*in, n));
    }
    *domain = span_head(*in, n);
    *in = span_from(*in, n);
    return valid;
}

static bool take_local(struct span *in, struct span *local)
{
    size_t n = 0;

    if (in->n > 0 && in->p[0] == '"') {
        for (n = 1; n < in->n && in->p[n] != '"'; n++) {
            if (in->p[n] == '\\')
                n++;
            if (n == in->n || !printable(in->p[n]))
                return false;
        }
        if (n == in->n)
            return false;
        n++;
    } else {
        while (n < in->n && (atext(in->p[n]) || in->p[n] == '.' || in->p[n] >= 0x80))
            n++;
        if (n == 0)
            return false;
    }
    if (!text_valid(span_head(*in, n)))
        return false;
    *local = span_head(*in, n);
    *in = span_from(*in, n);
    return true;
}

/* "@a,@b:" before a mailbox: checked, and forgotten. */
static bool skip_source_route(struct span *in)
{
    struct span hop;

    while (in->n > 0 && in->p[0] == '@') {
        *in = span_from(*in, 1);
        if (!take_domain(in, &hop) || in->n == 0)
            return false;
        if (in->p[0] == ':') {
            *in = span_from(*in, 1);
            return true;
        }
        if (in->p[0] != ',')
            return false;
        *in = span_from(*in, 1);
        if (in->n == 0 || in->p[0] != '@')
            return false;
    }
    return true;
}

/* Both as given and with its domain in A-labels, in which it may have to be sent on. */
static bool fits(const struct smtp_address *a)
{
    unsigned char ascii[LIMIT_DOMAIN];

    if (a->whole.n > LIMIT_ADDRESS)
        return false;
    return span_ascii(a->domain) || a->local.n + 1 + a_labels(a->domain, ascii) <= LIMIT_ADDRESS;
}

static enum smtp_address_status take_mailbox(struct span *in, struct smtp_address *a)
{
    const unsigned char *start = in->p;

    *a = (struct smtp_address){.kind = SMTP_ADDRESS_MAILBOX, .domain = SPAN_EMPTY};
    if (!take_local(in, &a->local))
        return SMTP_ADDRESS_SYNTAX;
    if (in->n == 0 || in->p[0] != '@') {
        a->whole = a->local;
        if (!span_ieq(a->local, SPAN_LIT("postmaster")))
            return SMTP_ADDRESS_NO_DOMAIN;
        a->kind = SMTP_ADDRESS_POSTMASTER;
        return SMTP_ADDRESS_OK;
    }
    *in = span_from(*in, 1);
    if (!take_domain(in, &a->domain))
        return a->domain.n > LIMIT_DOMAIN ? SMTP_ADDRESS_TOO_LONG : SMTP_ADDRESS_SYNTAX;
    a->whole = span_of(start, (size_t)(in->p - start));
    a->utf8 = !span_ascii(a->whole);
    return fits(a) ? SMTP_ADDRESS_OK : SMTP_ADDRESS_TOO_LONG;
}

enum smtp_address_status smtp_path_parse(struct span *in, struct smtp_address *a)
{
    enum smtp_address_status status;

    if (in->n == 0 || in->p[0] != '<')
        return SMTP_ADDRESS_SYNTAX;
    *in = span_from(*in, 1);
    if (in->n > 0 && in->p[0] == '>') {
        *in = span_from(*in, 1);
        *a = (struct smtp_address){SPAN_EMPTY, SPAN_EMPTY, SPAN_EMPTY, SMTP_ADDRESS_NULL, false};
        return SMTP_ADDRESS_OK;
    }
    if (!skip_source_route(in))
        return SMTP_ADDRESS_SYNTAX;
    status = take_mailbox(in, a);
    /* A local part alone, or a whole address, is only that when the bracket follows. */
    if (status == SMTP_ADDRESS_OK || status == SMTP_ADDRESS_NO_DOMAIN) {
        if (in->n == 0 || in->p[0] != '>')
            return SMTP_ADDRESS_SYNTAX;
        *in = span_from(*in, 1);
    }
    return status;
}

enum smtp_address_status smtp_address_parse(struct span text, struct smtp_address *a)
{
    enum smtp_address_status status;

    if (text.n == 0) {
        *a = (struct smtp_address){SPAN_EMPTY, SPAN_EMPTY, SPAN_EMPTY, SMTP_ADDRESS_NULL, false};
        return SMTP_ADDRESS_OK;
    }
    status = take_mailbox(&text, a);
    if ((status == SMTP_ADDRESS_OK || status == SMTP_ADDRESS_NO_DOMAIN) && text.n > 0)
        return SMTP_ADDRESS_SYNTAX;
    return status;
}

size_t smtp_domain_canonical(struct span s, unsigned char *out)
{
    if (!span_ascii(s))
        return a_labels(s, out);
    if (s.n > 0 && s.p[s.n - 1] == '.')
        s.n--;
    for (size_t i = 0; i < s.n; i++)
        out[i] = ascii_lower(s.p[i]);
    return s.n;
}

struct span smtp_address_ascii_domain(struct span address, unsigned char *out)
{
    struct smtp_address a;

    if (span_ascii(address) || smtp_address_parse(address, &a) != SMTP_ADDRESS_OK ||
        span_ascii(a.domain))
        return address;
    memcpy(out, a.local.p, a.local.n);
    out[a.local.n] = '@';
    return span_of(out, a.local.n + 1 + a_labels(a.domain, out + a.local.n + 1));
}

/* The content of a local part without quoting, quoted again only where that is needed. */
static size_t local_canonical(struct span local, unsigned char *out)
{
    bool quoted = local.n >= 2 && local.p[0] == '"';
    bool plain = true;
    size_t n = 0;

    if (!quoted) {
        memcpy(out, local.p, local.n);
        return local.n;
    }
    local = span_of(local.p + 1, local.n - 2);
    out[n++] = '"';
    for (size_t i = 0; i < local.n; i++) {
        unsigned char c = local.p[i];
        if (c == '\\' && i + 1 < local.n)
            c = local.p[++i];
        if (c == '"' || c == '\\')
            out[n++] = '\\';
        plain = plain && (atext(c) || c == '.' || c >= 0x80);
        out[n++] = c;
    }
    if (plain && n > 1) {
        memmove(out, out + 1, n - 1);
        return n - 1;
    }
    out[n++] = '"';
    return n;
}

size_t smtp_address_canonical(const struct smtp_address *a, unsigned char *out)
{
    size_t n;

    if (a->kind == SMTP_ADDRESS_NULL)
        return 0;
    n = local_canonical(a->local, out);
    if (span_ieq(span_of(out, n), SPAN_LIT("postmaster")))
        memcpy(out, "postmaster", n);
    if (a->kind == SMTP_ADDRESS_MAILBOX) {
        out[n++] = '@';
        n += smtp_domain_canonical(a->domain, out + n);
    }
    return n;
}

struct span smtp_address_compared(struct span address, unsigned char *out)
{
    bool plain = span_ascii(address) && (address.n == 0 || address.p[0] != '"');
    struct smtp_address a;

    if (plain || smtp_address_parse(address, &a) != SMTP_ADDRESS_OK)
        return address;
    return span_of(out, smtp_address_canonical(&a, out));
}

bool smtp_address_equal(const struct smtp_address *a, const struct smtp_address *b)
{
    unsigned char left[SMTP_ADDRESS_CANONICAL];
    unsigned char right[SMTP_ADDRESS_CANONICAL];

    return span_eq(span_of(left, smtp_address_canonical(a, left)),
                   span_of(right, smtp_address_canonical(b, right)));
}
