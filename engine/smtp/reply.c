/*
 * The reader of replies: one byte at a time, as replies are short.
 *
 * text holds the first lines (up to half of it) and behind them the line under way, which the next
 * line overwrites unless it could be kept. So the last line, where a server says what matters to
 * people, is always there at the end.
 */
#include "engine/smtp/reply.h"
#include <stdio.h>

enum { STATE_CODE, STATE_SEPARATOR, STATE_TEXT, STATE_LF, STATE_DONE, STATE_BAD };

#define HEAD_MAX (LIMIT_SMTP_REPLY_TEXT / 2)

void smtp_reply_begin(struct smtp_reply *r)
{
    /* The text is not cleared: used says what of it counts. */
    memset(r, 0, offsetof(struct smtp_reply, text));
    r->state = STATE_CODE;
}

static void begin_line(struct smtp_reply *r)
{
    r->state = STATE_CODE;
    r->digits = 0;
    r->line_code = 0;
    r->line_length = 0;
    r->used = r->head;
}

static uint8_t code_byte(struct smtp_reply *r, unsigned char c)
{
    /* RFC 5321 4.2.1 knows 0 to 5 in the middle; servers are seen that say 571. */
    static const char highest[] = "599";

    if (c < (r->digits == 0 ? '2' : '0') || c > highest[r->digits])
        return STATE_BAD;
    r->line_code = (uint16_t)(r->line_code * 10 + (c - '0'));
    if (++r->digits < 3)
        return STATE_CODE;
    if (r->lines > 0 && r->line_code != r->code)
        return STATE_BAD;
    r->code = r->line_code;
    return STATE_SEPARATOR;
}

static uint8_t separator_byte(struct smtp_reply *r, unsigned char c)
{
    r->more = c == '-';
    if (c == '\r')
        return STATE_LF;
    return c == '-' || c == ' ' ? STATE_TEXT : STATE_BAD;
}

static uint8_t text_byte(struct smtp_reply *r, unsigned char c)
{
    if (c == '\r')
        return STATE_LF;
    if (c == '\n')
        return STATE_BAD;
    if (c == '\t')
        c = ' ';
    if (r->used < sizeof r->text)
        r->text[r->used++] = c < 0x20 || c == 0x7f ? (unsigned char)'?' : c;
    return STATE_TEXT;
}

/* A number of one to three digits at *at; moves *at behind it. */
static bool take_number(struct span s, size_t *at, uint16_t *v)
{
    size_t start = *at;

    *v = 0;
    while (*at < s.n && *at - start < 4 && ascii_digit(s.p[*at]))
        *v = (uint16_t)(*v * 10 + (s.p[(*at)++] - '0'));
    return *at > start && *at - start <= 3;
}

/* RFC 2034: "class.subject.detail", the class that of the code, then a blank or the end. */
static void find_enhanced(struct smtp_reply *r, struct span line)
{
    struct smtp_enhanced e = {0};
    size_t at = 2;

    if (r->enhanced.class != 0 || line.n < 5 || line.p[1] != '.' || !ascii_digit(line.p[0]))
        return;
    e.class = (uint8_t)(line.p[0] - '0');
    if (e.class != r->code / 100 || e.class == 3)
        return;
    if (!take_number(line, &at, &e.subject) || at == line.n || line.p[at++] != '.')
        return;
    if (!take_number(line, &at, &e.detail) || (at < line.n && line.p[at] != ' '))
        return;
    r->enhanced = e;
}

static enum smtp_reply_step end_line(struct smtp_reply *r)
{
    find_enhanced(r, smtp_reply_line(r));
    r->lines++;
    if (!r->more) {
        r->state = STATE_DONE;
        return SMTP_REPLY_DONE;
    }
    if (r->lines >= LIMIT_SMTP_REPLY_LINES) {
        r->state = STATE_BAD;
        return SMTP_REPLY_BAD;
    }
    r->state = STATE_CODE;
    return SMTP_REPLY_LINE;
}

/* Before the first byte of a line that is not the first: keeps the line before, if it fits. */
static void next_line(struct smtp_reply *r)
{
    if (r->used > r->head && r->used < HEAD_MAX) {
        r->text[r->used] = ' ';
        r->head = (uint16_t)(r->used + 1);
    }
    begin_line(r);
}

enum smtp_reply_step smtp_reply_next(struct smtp_reply *r, struct span *in)
{
    if (r->state == STATE_DONE && in->n > 0)
        smtp_reply_begin(r);
    while (in->n > 0 && r->state != STATE_BAD) {
        unsigned char c = in->p[0];

        *in = span_from(*in, 1);
        if (r->state == STATE_CODE && r->digits == 3)
            next_line(r);
        if (++r->line_length > LIMIT_SMTP_REPLY_LINE)
            r->state = STATE_BAD;
        else if (r->state == STATE_CODE)
            r->state = code_byte(r, c);
        else if (r->state == STATE_SEPARATOR)
            r->state = separator_byte(r, c);
        else if (r->state == STATE_TEXT)
            r->state = text_byte(r, c);
        else if (c == '\n')
            return end_line(r);
        else
            r->state = STATE_BAD;
    }
    return r->state == STATE_BAD ? SMTP_REPLY_BAD : SMTP_REPLY_MORE;
}

struct span smtp_reply_line(const struct smtp_reply *r)
{
    return span_of(r->text + r->head, (size_t)(r->used - r->head));
}

struct span smtp_reply_text(const struct smtp_reply *r)
{
    return span_trim(span_of(r->text, r->used));
}

void smtp_reply_make(struct smtp_reply *r, unsigned code, struct smtp_enhanced enhanced,
                     struct span text)
{
    smtp_reply_begin(r);
    text = span_head(text, sizeof r->text);
    r->code = (uint16_t)code;
    r->enhanced = enhanced;
    r->lines = 1;
    r->used = (uint16_t)text.n;
    r->state = STATE_DONE;
    memcpy(r->text, text.p, text.n);
}

size_t smtp_enhanced_text(struct smtp_enhanced e, char *out)
{
    out[0] = 0;
    if (e.class == 0)
        return 0;
    return (size_t)snprintf(out, 12, "%u.%u.%u", e.class % 10u, e.subject % 1000u,
                            e.detail % 1000u);
}
