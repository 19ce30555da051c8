#include "bench/sim/content.h"

/* Where the text goes, and what is counted on the way. */
static void give(struct content *c, unsigned char byte, unsigned char *out, size_t *n)
{
    out[(*n)++] = byte;
    c->size++;
    c->line++;
    if (c->line > c->longest)
        c->longest = c->line;
    if (byte >= 0x80)
        c->eight_bit = true;
}

/* A byte anywhere but after a CR or a withheld dot. */
static void plain(struct content *c, unsigned char byte, unsigned char *out, size_t *n)
{
    give(c, byte, out, n);
    if (byte == '\n')
        c->bare_lf = true;
    c->state = byte == '\r' ? CONTENT_CR : CONTENT_LINE;
}

static void after_cr(struct content *c, unsigned char byte, unsigned char *out, size_t *n)
{
    if (byte != '\n') {
        c->bare_cr = true;
        plain(c, byte, out, n);
        return;
    }
    give(c, byte, out, n);
    c->line = 0;
    c->state = CONTENT_LINE_START;
}

static void after_dot_cr(struct content *c, unsigned char byte, unsigned char *out, size_t *n)
{
    if (byte == '\n') {
        c->state = CONTENT_END;
        return;
    }
    c->bare_cr = true;
    give(c, '\r', out, n);
    plain(c, byte, out, n);
}

size_t content_take(struct content *c, struct span in, unsigned char *out, size_t *out_n)
{
    size_t taken = 0;

    *out_n = 0;
    while (taken < in.n && c->state != CONTENT_END) {
        unsigned char byte = in.p[taken++];
        switch (c->state) {
        case CONTENT_LINE_START:
            if (byte == '.')
                c->state = CONTENT_DOT;
            else
                plain(c, byte, out, out_n);
            break;
        case CONTENT_LINE:
            plain(c, byte, out, out_n);
            break;
        case CONTENT_CR:
            after_cr(c, byte, out, out_n);
            break;
        case CONTENT_DOT:
            if (byte == '\r')
                c->state = CONTENT_DOT_CR;
            else
                plain(c, byte, out, out_n);
            break;
        case CONTENT_DOT_CR:
            after_dot_cr(c, byte, out, out_n);
            break;
        case CONTENT_END:
            break;
        }
    }
    return taken;
}
