/* Quoted-printable and base64. */
#include "engine/mime/encode.h"
#include "base64.h"

enum { COLUMNS = 76 };

/* ---- quoted-printable -------------------------------------------------------------------- */

static void put_soft(struct encoder *e, struct span token, struct text *out)
{
    if (e->column + token.n >= COLUMNS) { /* the "=" has to fit, too */
        text_put(out, SPAN_LIT("=\r\n"));
        e->column = 0;
    }
    text_put(out, token);
    e->column = (uint8_t)(e->column + token.n);
}

static void put_hex(struct encoder *e, unsigned char byte, struct text *out)
{
    static const char digits[] = "0123456789ABCDEF";
    const char token[3] = {'=', digits[byte >> 4], digits[byte & 15]};

    put_soft(e, span_of(token, sizeof token), out);
}

/* White space at a line's end has to be encoded; elsewhere it stays. */
static void let_go(struct encoder *e, bool at_end, struct text *out)
{
    if (e->held == 0)
        return;
    e->held = 0;
    if (at_end)
        put_hex(e, e->group[0], out);
    else
        put_soft(e, span_of(e->group, 1), out);
}

static void quote(struct encoder *e, struct span bytes, struct text *out)
{
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char byte = bytes.p[i];

        let_go(e, false, out);
        if (byte == ' ' || byte == '\t') {
            e->group[0] = byte;
            e->held = 1;
        } else if (byte > ' ' && byte < 0x7f && byte != '=') {
            put_soft(e, span_of(&byte, 1), out);
        } else {
            put_hex(e, byte, out);
        }
    }
}

/* ---- base64 ------------------------------------------------------------------------------ */

static void put_group(struct encoder *e, struct text *out)
{
    char token[4];

    (void)base64_encode(span_of(e->group, e->held), token);
    text_put(out, span_of(token, sizeof token));
    e->held = 0;
    e->column = (uint8_t)(e->column + sizeof token);
    if (e->column == COLUMNS) {
        text_put(out, SPAN_LIT("\r\n"));
        e->column = 0;
    }
}

static void gather(struct encoder *e, struct span bytes, struct text *out)
{
    for (size_t i = 0; i < bytes.n; i++) {
        e->group[e->held++] = bytes.p[i];
        if (e->held == 3)
            put_group(e, out);
    }
}

/* ---- either ------------------------------------------------------------------------------ */

void encode_bytes(struct encoder *e, struct span bytes, struct text *out)
{
    if (e->base64)
        gather(e, bytes, out);
    else
        quote(e, bytes, out);
}

void encode_break(struct encoder *e, struct text *out)
{
    if (e->base64) {
        gather(e, SPAN_LIT("\r\n"), out);
        return;
    }
    let_go(e, true, out);
    text_put(out, SPAN_LIT("\r\n"));
    e->column = 0;
}

void encode_end(struct encoder *e, struct text *out)
{
    if (!e->base64) {
        let_go(e, true, out);
        return;
    }
    if (e->held > 0)
        put_group(e, out);
    if (e->column > 0)
        text_put(out, SPAN_LIT("\r\n"));
    e->column = 0;
}
