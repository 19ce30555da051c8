/*
 * content: the text after DATA, byte by byte, up to the line with the single dot (RFC 5321
 * 4.1.1.4, 4.5.2). Pure. Only CRLF ends a line here; a CR or LF that stands alone is content,
 * and a fault that the session answers with a refusal.
 */
#ifndef MGISIM_CONTENT_H
#define MGISIM_CONTENT_H

#include "span.h"

enum content_state {
    CONTENT_LINE_START,
    CONTENT_LINE,
    CONTENT_CR,     /* a CR inside a line, already given out */
    CONTENT_DOT,    /* a dot at the start of a line, withheld */
    CONTENT_DOT_CR, /* and a CR after it, withheld */
    CONTENT_END
};

struct content {
    enum content_state state;
    uint64_t size;  /* bytes given out */
    size_t longest; /* line, CRLF included */
    size_t line;    /* bytes of the line under way */
    bool bare_cr;
    bool bare_lf;
    bool eight_bit;
};

/* Takes bytes of `in` until the end of the text, and writes the text without its stuffed dots
 * to out, which has room for in.n + 2 bytes. Returns how many bytes of `in` were taken; *out_n
 * is how many were written. After the end c->state is CONTENT_END and nothing more is taken. */
size_t content_take(struct content *c, struct span in, unsigned char *out, size_t *out_n);

#endif
