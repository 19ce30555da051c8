/* The domains of the mailboxes in a From or Sender value (RFC 5322 3.4, obsolete forms included).
 */
#include "engine/mime/header.h"

struct cursor {
    struct span s;
    size_t i;
};

static bool at_end(const struct cursor *c)
{
    return c->i >= c->s.n;
}

static unsigned char here(const struct cursor *c)
{
    return c->s.p[c->i];
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* A comment that is not closed reaches to the end. */
static void skip_comment(struct cursor *c)
{
    unsigned depth = 0;
    while (!at_end(c)) {
        unsigned char byte = here(c);
        c->i++;
        if (byte == '\\')
            c->i++;
        else if (byte == '(')
            depth++;
        else if (byte == ')' && --depth == 0)
            return;
    }
}

static void skip_quoted(struct cursor *c)
{
    c->i++;
    while (!at_end(c)) {
        unsigned char byte = here(c);
        c->i++;
        if (byte == '\\')
            c->i++;
        else if (byte == '"')
            return;
    }
}

static void skip_blank(struct cursor *c)
{
    while (!at_end(c)) {
        if (is_space(here(c)))
            c->i++;
        else if (here(c) == '(')
            skip_comment(c);
        else
            return;
    }
}

static bool ends_domain(unsigned char c)
{
    return c == '>' || c == ',' || c == ';' || c == '<' || c == '@' || c == '"' || c == ':';
}

/* A literal up to its bracket, without white space. False when it is not closed. */
static bool read_literal(struct cursor *c, unsigned char *out, size_t *n)
{
    for (; !at_end(c); c->i++) {
        unsigned char byte = here(c);
        if (!is_space(byte)) {
            if (*n == LIMIT_DOMAIN)
                return false;
            out[(*n)++] = ascii_lower(byte);
        }
        if (byte == ']') {
            c->i++;
            return true;
        }
    }
    return false;
}

/* After the "@". White space and comments may stand around dots only: "a@b.ch c" ends after
 * "ch". Returns the length, 0 when it is no usable domain; the cursor is after it either way. */
static size_t read_domain(struct cursor *c, unsigned char out[LIMIT_DOMAIN])
{
    size_t n = 0;
    skip_blank(c);
    if (!at_end(c) && here(c) == '[')
        return read_literal(c, out, &n) && n > 2 ? n : 0;
    bool fits = true, spaced = false;
    while (!at_end(c) && !ends_domain(here(c))) {
        unsigned char byte = here(c);
        if (spaced && byte != '.' && n > 0 && out[n - 1] != '.')
            break;
        if (n < LIMIT_DOMAIN)
            out[n++] = ascii_lower(byte);
        else
            fits = false;
        c->i++;
        size_t before = c->i;
        skip_blank(c);
        spaced = c->i != before;
    }
    if (n > 0 && out[n - 1] == '.')
        n--;
    return fits ? n : 0;
}

/* Within "<…>", the cursor after the "<": a source route is passed over ("@a,@b:"), the last "@"
 * decides, as a client that shows "a@b@c" takes the end for the host. */
static size_t read_angle(struct cursor *c, unsigned char out[LIMIT_DOMAIN])
{
    size_t n = 0;
    while (!at_end(c) && here(c) != '>') {
        unsigned char byte = here(c);
        if (byte == '"') {
            skip_quoted(c);
        } else if (byte == '(') {
            skip_comment(c);
        } else if (byte == '@') {
            c->i++;
            n = read_domain(c, out);
        } else {
            c->i++;
            if (byte == ':') /* what came before was the route */
                n = 0;
        }
    }
    if (!at_end(c))
        c->i++;
    return n;
}

/* The next mailbox of one value. An angle form ends it, even where no comma follows: what a client
 * may take for the author is reported, rather one domain too many. */
static bool next_mailbox(struct cursor *c, unsigned char out[LIMIT_DOMAIN], size_t *length)
{
    bool any = false, end = false;
    *length = 0;
    while (!at_end(c) && !end) {
        unsigned char byte = here(c);
        any = any || !(is_space(byte) || byte == ',' || byte == ';' || byte == '(');
        if (byte == '"') {
            skip_quoted(c);
        } else if (byte == '(') {
            skip_comment(c);
        } else if (byte == '<') {
            c->i++;
            *length = read_angle(c, out);
            end = true;
        } else if (byte == '@') {
            c->i++;
            *length = read_domain(c, out);
        } else {
            c->i++;
            end = any && (byte == ',' || byte == ';');
            if (byte == ':') { /* what was before it named a group */
                *length = 0;
                any = false;
            }
        }
    }
    return any;
}

bool header_next_domain(struct span *rest, unsigned char out[LIMIT_DOMAIN], size_t *length)
{
    *length = 0;
    while (rest->n > 0) {
        const unsigned char *newline = memchr(rest->p, '\n', rest->n);
        size_t line = newline != NULL ? (size_t)(newline - rest->p) : rest->n;
        struct cursor c = {.s = span_head(*rest, line)};
        bool any = next_mailbox(&c, out, length);
        /* A backslash at the end may have led one too far. Joined values are apart: what one
         * leaves open does not reach into the next. */
        *rest = span_from(*rest, c.i < line ? c.i : line + (newline != NULL));
        if (any)
            return true;
    }
    return false;
}

size_t header_mailbox_domain(struct span value, unsigned char out[LIMIT_DOMAIN])
{
    size_t length = 0;
    while (length == 0 && header_next_domain(&value, out, &length))
        ;
    return length;
}
