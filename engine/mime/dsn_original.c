/* A notification's third part: the original, whole or its header section. */
#include "engine/mime/dsn_parts.h"

bool dsn_returnable(struct span content, bool *eight_bit)
{
    size_t column = 0;
    *eight_bit = false;
    if (content.n < 2 || content.n > LIMIT_DSN_CONTENT || content.p[content.n - 1] != '\n')
        return false;
    for (size_t i = 0; i < content.n; i++) {
        unsigned char c = content.p[i];
        bool cr = c == '\r' && i + 1 < content.n && content.p[i + 1] == '\n';
        bool lf = c == '\n' && i > 0 && content.p[i - 1] == '\r';
        if (c == '\0' || (c == '\r' && !cr) || (c == '\n' && !lf))
            return false;
        *eight_bit = *eight_bit || c >= 0x80;
        column = cr || lf ? 0 : column + 1;
        if (column > LIMIT_TEXT_LINE)
            return false;
    }
    return true;
}

struct span dsn_header_section(struct span content)
{
    struct span s = span_head(content, LIMIT_DSN_HEADERS);
    size_t line = 0; /* where the line under way begins */
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] != '\r' || s.p[i + 1] != '\n')
            continue;
        if (i == line)
            return span_head(s, line);
        line = i + 2;
    }
    return span_head(s, line);
}

/* Each line as it may stand in the part: a byte that may not is "?", what is too long is cut. */
static void put_lines(struct dsn_frame *f, struct span headers)
{
    size_t column = 0;
    for (size_t i = 0; i < headers.n; i++) {
        unsigned char c = headers.p[i];
        if (c == '\r' && i + 1 < headers.n && headers.p[i + 1] == '\n') {
            text_line(f->text, "");
            column = 0;
            i++;
        } else if (column < LIMIT_TEXT_LINE) {
            bool safe = c == '\t' || (c >= ' ' && c < 0x7f) || (c >= 0x80 && f->utf8);
            unsigned char shown = safe ? c : '?';
            text_put(f->text, span_of(&shown, 1));
            column++;
        }
    }
}

static void begin(struct dsn_frame *f, const char *type, bool eight_bit)
{
    dsn_begin_part(f, type);
    if (eight_bit)
        text_line(f->text, "Content-Transfer-Encoding: 8bit");
    text_line(f->text, "");
}

void dsn_put_original(struct dsn_frame *f)
{
    if (f->whole) {
        begin(f, f->utf8 ? "message/global" : "message/rfc822", f->eight_bit);
        text_put(f->text, f->in->content);
        return;
    }
    begin(f, f->utf8 ? "message/global-headers" : "text/rfc822-headers", f->utf8);
    put_lines(f, dsn_header_section(f->in->content));
}
