/* Domains, addresses, ports, networks: as the policy writes them, to what the image holds. */
#include "policy/compile_internal.h"
#include <arpa/inet.h>
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- domains ---------------------------------------------------------------------------- */

/* Why a lower-case ASCII name is no domain (RFC 1035 2.3.1, and "_", which hosts do have), or
 * NULL. */
static const char *domain_fault(struct span s)
{
    if (s.n == 0)
        return "it is empty";
    if (s.n > LIMIT_DOMAIN - 2) /* 255 with the root's and the first length byte */
        return "it is longer than 253 bytes";
    size_t label = 0;
    for (size_t i = 0; i <= s.n; i++) {
        if (i == s.n || s.p[i] == '.') {
            if (label == 0)
                return "a label is empty";
            if (label > 63)
                return "a label is longer than 63 bytes";
            if (s.p[i - 1] == '-' || s.p[i - label] == '-')
                return "a label begins or ends with \"-\"";
            label = 0;
            continue;
        }
        unsigned char ch = s.p[i];
        if (!(ch >= 'a' && ch <= 'z') && !ascii_digit(ch) && ch != '-' && ch != '_')
            return "it has a character that no domain has";
        label++;
    }
    return NULL;
}

/* The forms of an internationalised name (RFC 5890): to A-labels, and from there to U-labels, so
 * that both are normal forms. False when it has none. */
static bool both_forms(const char *name, char ascii[DOMAIN_TEXT], char unicode[DOMAIN_TEXT])
{
    char *a = NULL;
    char *u = NULL;
    bool ok = idn2_to_ascii_8z(name, &a, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK &&
              strlen(a) < DOMAIN_TEXT;
    if (ok) {
        memcpy(ascii, a, strlen(a) + 1);
        if (idn2_to_unicode_8z8z(a, &u, 0) == IDN2_OK && strlen(u) < DOMAIN_TEXT &&
            strcmp(u, a) != 0)
            memcpy(unicode, u, strlen(u) + 1);
    }
    idn2_free(a);
    idn2_free(u);
    return ok;
}

bool name_domain(struct compiler *c, const struct place *at, struct span s, char ascii[DOMAIN_TEXT],
                 char unicode[DOMAIN_TEXT])
{
    const char *fault = NULL;
    char lower[DOMAIN_TEXT];
    size_t n = s.n > 1 && s.p[s.n - 1] == '.' ? s.n - 1 : s.n;
    unicode[0] = '\0';
    if (n >= DOMAIN_TEXT) {
        fault = "it is too long";
    } else {
        bool international = false;
        for (size_t i = 0; i < n; i++) {
            lower[i] = (char)ascii_lower(s.p[i]);
            international = international || s.p[i] >= 0x80;
        }
        lower[n] = '\0';
        if (!international && strstr(lower, "xn--") == NULL)
            memcpy(ascii, lower, n + 1);
        else if (!both_forms(lower, ascii, unicode))
            fault = "it is no valid internationalised name";
    }
    if (fault == NULL)
        fault = domain_fault(span_str(ascii));
    if (fault == NULL)
        return true;
    compile_remedy(compile_error(c, at, "\"%.*s\" is not a domain: %s", (int)(s.n < 64 ? s.n : 64),
                                 (const char *)s.p, fault),
                   "write it like example.ch");
    return false;
}

/* ---- addresses and ports ---------------------------------------------------------------- */

unsigned name_address(struct span s, unsigned char out[16])
{
    char text[INET6_ADDRSTRLEN];
    memset(out, 0, 16);
    if (s.n == 0 || s.n >= sizeof text)
        return 0;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, out) == 1)
        return 4;
    return inet_pton(AF_INET6, text, out) == 1 ? 6 : 0;
}

/* A decimal number of at most `max`, without leading zeros. */
static bool parse_number(struct span s, uint32_t max, uint32_t *out)
{
    uint32_t n = 0;
    if (s.n == 0 || s.n > 5 || (s.n > 1 && s.p[0] == '0'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_digit(s.p[i]))
            return false;
        n = n * 10 + (uint32_t)(s.p[i] - '0');
    }
    *out = n;
    return n <= max;
}

static size_t find_last(struct span s, unsigned char ch)
{
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == ch)
            return i - 1;
    return s.n;
}

/* Splits "HOST:PORT", "[V6]:PORT", "HOST", "[V6]". Returns what is wrong, or NULL. */
static const char *split_endpoint(struct span s, struct span *host, struct span *port,
                                  bool *brackets)
{
    *brackets = s.n > 0 && s.p[0] == '[';
    size_t end = *brackets ? find_last(s, ']') : s.n;
    if (*brackets && end == s.n)
        return "the closing bracket is missing";
    struct span rest = *brackets ? span_from(s, end + 1) : s;
    size_t colon = find_last(rest, ':');
    if (*brackets) {
        *host = span_of(s.p + 1, end - 1);
        if (rest.n > 0 && colon != 0)
            return "only a port may follow the bracket";
    } else {
        *host = span_head(s, colon);
        if (memchr(host->p, ':', host->n) != NULL)
            return "an IPv6 address must stand in brackets";
    }
    *port = colon < rest.n ? span_from(rest, colon + 1) : SPAN_EMPTY;
    return colon < rest.n && port->n == 0 ? "the port is missing behind the colon" : NULL;
}

static bool endpoint_error(struct compiler *c, const struct place *at, struct span s,
                           const char *fault, const char *example)
{
    compile_remedy(
        compile_error(c, at, "\"%.*s\": %s", (int)(s.n < 64 ? s.n : 64), (const char *)s.p, fault),
        "%s", example);
    return false;
}

/* An IPv4 address with a slip in it would else be taken for a name. */
static bool looks_numeric(struct span host)
{
    size_t dot = find_last(host, '.');
    struct span last = dot < host.n ? span_from(host, dot + 1) : host;
    for (size_t i = 0; i < last.n; i++)
        if (!ascii_digit(last.p[i]))
            return false;
    return true;
}

bool name_endpoint(struct compiler *c, const struct place *at, struct span s, bool names,
                   uint16_t default_port, struct rec_endpoint *out)
{
    const char *example = names
                              ? "write it like mail.example.ch:25, 192.0.2.1:25 or [2001:db8::1]:25"
                              : "write it like 0.0.0.0:25 or [::]:25";
    struct span host;
    struct span port;
    bool brackets;
    *out = (struct rec_endpoint){.port = default_port};
    const char *fault = split_endpoint(s, &host, &port, &brackets);
    if (fault != NULL)
        return endpoint_error(c, at, s, fault, example);
    if (port.n == 0 && default_port == 0)
        return endpoint_error(c, at, s, "the port is missing", example);
    if (port.n > 0 && (!parse_number(port, UINT16_MAX, &out->port) || out->port == 0))
        return endpoint_error(c, at, s, "the port is not 1 to 65535", example);
    out->family = name_address(host, out->address);
    if (brackets && out->family != 6)
        return endpoint_error(c, at, s, "no IPv6 address in the brackets", example);
    if (out->family == 0 && (!names || looks_numeric(host)))
        return endpoint_error(c, at, s, "not an IP address", example);
    if (!names) {
        out->text = compile_string(c, at, s);
        return true;
    }
    char ascii[DOMAIN_TEXT];
    char unicode[DOMAIN_TEXT];
    if (out->family != 0)
        out->text = compile_string(c, at, host);
    else if (name_domain(c, at, host, ascii, unicode))
        out->text = compile_string(c, at, span_str(ascii));
    else
        return false;
    return true;
}

bool name_server(struct compiler *c, const struct place *at, struct span s,
                 struct rec_endpoint *out)
{
    const char *example = "write it like 192.0.2.53, 127.0.0.1@5353 or 2001:db8::53@53";
    size_t sign = find_last(s, '@');
    *out = (struct rec_endpoint){.port = 53};
    out->family = name_address(span_head(s, sign), out->address);
    if (out->family == 0)
        return endpoint_error(c, at, s, "not an IP address", example);
    if (sign < s.n &&
        (!parse_number(span_from(s, sign + 1), UINT16_MAX, &out->port) || out->port == 0))
        return endpoint_error(c, at, s, "the port is not 1 to 65535", example);
    out->text = compile_string(c, at, s);
    return true;
}

/* Clears the bits behind the prefix; true when one was set. */
static bool clear_host_bits(struct rec_network *n)
{
    bool was_set = false;
    for (uint32_t i = 0; i < (n->family == 4 ? 4u : 16u); i++) {
        uint32_t kept = n->bits <= i * 8 ? 0 : n->bits - i * 8 >= 8 ? 8 : n->bits - i * 8;
        unsigned char mask = (unsigned char)(0xff00u >> kept);
        was_set = was_set || (n->address[i] & ~mask & 0xff) != 0;
        n->address[i] &= mask;
    }
    return was_set;
}

/* ::ffff:0:0/96 is IPv4 under another name, and clients of it are compared as IPv4. */
static void unmap_network(struct rec_network *n)
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    if (n->family != 6 || n->bits < 96 || memcmp(n->address, prefix, sizeof prefix) != 0)
        return;
    memmove(n->address, n->address + sizeof prefix, 4);
    memset(n->address + 4, 0, sizeof prefix);
    n->family = 4;
    n->bits -= 96;
}

bool name_network(struct compiler *c, const struct place *at, struct span s,
                  struct rec_network *out)
{
    const char *example = "write it like 192.0.2.1, 10.1.0.0/16 or 2001:db8::/32";
    size_t slash = find_last(s, '/');
    *out = (struct rec_network){0};
    out->family = name_address(span_head(s, slash), out->address);
    if (out->family == 0)
        return endpoint_error(c, at, s, "not an IP address or network", example);
    uint32_t most = out->family == 4 ? 32 : 128;
    out->bits = most;
    if (slash < s.n && !parse_number(span_from(s, slash + 1), most, &out->bits))
        return endpoint_error(c, at, s, "the prefix length is wrong", example);
    if (clear_host_bits(out)) {
        char text[INET6_ADDRSTRLEN] = "";
        (void)inet_ntop(out->family == 4 ? AF_INET : AF_INET6, out->address, text, sizeof text);
        compile_remedy(compile_error(c, at, "\"%.*s\": bits behind the prefix are set", (int)s.n,
                                     (const char *)s.p),
                       "write %s/%u for the network, or leave out /%u for the one address", text,
                       out->bits, out->bits);
        return false;
    }
    unmap_network(out);
    return true;
}
