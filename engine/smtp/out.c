/*
 * Writing to the caller's buffer.
 */
#include "engine/smtp/out.h"
#include "status.h"

void smtp_out_put(struct smtp_out *out, struct span s)
{
    BUG_ON(out->n > out->capacity || s.n > out->capacity - out->n);
    if (s.n > 0)
        memcpy(out->p + out->n, s.p, s.n);
    out->n += s.n;
}

void smtp_out_number(struct smtp_out *out, uint64_t v)
{
    unsigned char digits[20];
    size_t first = sizeof digits;

    do {
        digits[--first] = (unsigned char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    smtp_out_put(out, span_of(digits + first, sizeof digits - first));
}

void smtp_out_reply(struct smtp_out *out, unsigned code, const char *enhanced, struct span text,
                    bool more)
{
    size_t start = out->n;

    BUG_ON(code < 200 || code > 599 || !smtp_out_room(out));
    smtp_out_number(out, code);
    smtp_out_put(out, more ? SPAN_LIT("-") : SPAN_LIT(" "));
    if (enhanced != NULL) {
        smtp_out_put(out, span_str(enhanced));
        smtp_out_put(out, SPAN_LIT(" "));
    }
    text = span_head(text, LIMIT_SMTP_REPLY_OUT - 2 - (out->n - start));
    for (size_t i = 0; i < text.n; i++) {
        bool printable = text.p[i] >= 0x20 && text.p[i] < 0x7f;
        out->p[out->n++] = printable ? text.p[i] : (unsigned char)'?';
    }
    smtp_out_put(out, SPAN_LIT("\r\n"));
}
