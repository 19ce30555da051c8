/*
 * The structure of a message, line by line: header sections, whose encoding is written anew at
 * their end, and bodies, each copied or encoded by what its header has said.
 */
#include "seven_bit.h"

enum state {
    STATE_HEADER,
    STATE_ENCODE, /* a leaf that is being encoded */
    STATE_COPY,   /* what must stay as it is */
    STATE_AROUND, /* before the first part of a multipart and behind the last */
};

enum field { FIELD_OTHER, FIELD_TYPE, FIELD_ENCODING, FIELD_VERSION };

/* A whole line without its CRLF, or a piece of a long one. */
struct piece {
    struct span bytes;
    bool first; /* the line begins with it */
    bool last;  /* a CRLF follows */
};

static void begin_header(struct seven_bit *s, bool message)
{
    s->state = STATE_HEADER;
    s->message = message;
    s->field = FIELD_OTHER;
    s->versioned = s->typed = s->encoded = false;
    s->type.length = 0;
    s->type.cut = false;
    s->encoding_length = 0;
    s->broken = false;
}

void seven_bit_begin(struct seven_bit *s, bool binary)
{
    s->refused = NULL;
    s->binary = binary;
    s->whole = true;
    s->depth = 0;
    s->used = 0;
    begin_header(s, true);
}

/* ---- what can't be in 7-bit text --------------------------------------------------------- */

static bool foreign(const struct seven_bit *s, unsigned char byte)
{
    return byte >= 0x80 || (s->binary && (byte == 0 || byte == '\r' || byte == '\n'));
}

static bool sendable(const struct seven_bit *s, const struct piece *piece)
{
    for (size_t i = 0; i < piece->bytes.n; i++)
        if (foreign(s, piece->bytes.p[i]))
            return false;
    return !s->binary || (piece->first && (piece->last || piece->bytes.n <= LIMIT_TEXT_LINE));
}

static void copy(struct seven_bit *s, const struct piece *piece, struct text *out, const char *what)
{
    if (!sendable(s, piece)) {
        s->refused = what;
        return;
    }
    text_put(out, piece->bytes);
    if (piece->last)
        text_put(out, SPAN_LIT("\r\n"));
}

/* ---- parameters of Content-Type ----------------------------------------------------------- */

static size_t token_end(struct span v, size_t at)
{
    while (at < v.n && v.p[at] > ' ' && v.p[at] < 0x7f &&
           strchr("()<>@,;:\\\"/[]?=", v.p[at]) == NULL)
        at++;
    return at;
}

/* Blanks and comments (RFC 5322 3.2.2). */
static size_t skip_comments(struct span v, size_t at)
{
    unsigned depth = 0;

    for (; at < v.n; at++) {
        unsigned char c = v.p[at];
        if (depth > 0 && c == '\\')
            at++;
        else if (c == '(')
            depth++;
        else if (depth > 0 && c == ')')
            depth--;
        else if (depth == 0 && c != ' ' && c != '\t')
            break;
    }
    return at < v.n ? at : v.n;
}

/* The value at *at, a token or quoted string, into out; 0: none, or longer than a boundary. */
static size_t take_value(struct span v, size_t *at, unsigned char out[SEVEN_BIT_BOUNDARY])
{
    size_t n = 0, i = *at;

    if (i < v.n && v.p[i] == '"') {
        for (i++; i < v.n && v.p[i] != '"'; i++) {
            if (v.p[i] == '\\' && i + 1 < v.n)
                i++;
            if (n < SEVEN_BIT_BOUNDARY)
                out[n] = v.p[i];
            n++;
        }
        i += i < v.n;
    } else {
        i = token_end(v, i);
        n = i - *at;
        memcpy(out, v.p + *at, n < SEVEN_BIT_BOUNDARY ? n : SEVEN_BIT_BOUNDARY);
    }
    *at = i;
    return n <= SEVEN_BIT_BOUNDARY ? n : 0;
}

/* The one parameter "boundary"; false when there is none, or more than one, or it is in pieces (RFC
 * 2231 3): then readers may differ in what they take for it. */
static bool find_boundary(struct span v, size_t at, struct seven_bit_boundary *b)
{
    unsigned found = 0;
    unsigned char value[SEVEN_BIT_BOUNDARY];

    while ((at = skip_comments(v, at)) < v.n && v.p[at] == ';') {
        at = skip_comments(v, at + 1);
        size_t end = token_end(v, at);
        struct span name = span_of(v.p + at, end - at);
        at = skip_comments(v, end);
        if (at >= v.n || v.p[at] != '=')
            continue;
        at = skip_comments(v, at + 1);
        size_t n = take_value(v, &at, value);
        if (span_istarts(name, SPAN_LIT("boundary*")))
            return false;
        if (!span_ieq(name, SPAN_LIT("boundary")))
            continue;
        found++;
        b->length = (uint8_t)n;
        memcpy(b->text, value, n);
    }
    return found == 1 && b->length > 0 && b->text[b->length - 1] != ' ';
}

/* ---- the end of a header section ---------------------------------------------------------- */

struct media {
    struct span type, subtype;
    size_t end; /* in the value */
};

static struct media media_of(const struct seven_bit *s)
{
    struct span v = span_of(s->type.text, s->type.length);
    struct media m = {.type = SPAN_LIT("text"), .subtype = SPAN_LIT("plain")};

    if (!s->typed && s->depth > 0 && s->boundaries[s->depth - 1].digest && !s->message)
        return (struct media){.type = SPAN_LIT("message"), .subtype = SPAN_LIT("rfc822")};
    if (!s->typed)
        return m;
    size_t begin = skip_comments(v, 0), end = token_end(v, begin);
    m.type = span_of(v.p + begin, end - begin);
    begin = skip_comments(v, end);
    begin = begin < v.n && v.p[begin] == '/' ? skip_comments(v, begin + 1) : v.n;
    m.end = token_end(v, begin);
    m.subtype = span_of(v.p + begin, m.end - begin);
    return m;
}

static bool says(const struct seven_bit *s, struct span encoding)
{
    return span_ieq(span_trim(span_of(s->encoding, s->encoding_length)), encoding);
}

/* 7bit, 8bit, binary, or nothing: the bytes are the content. */
static bool identity(const struct seven_bit *s)
{
    return !s->encoded || says(s, SPAN_LIT("7bit")) || says(s, SPAN_LIT("8bit")) ||
           says(s, SPAN_LIT("binary"));
}

static void put_encoding(struct seven_bit *s, struct span encoding, struct text *out)
{
    if (s->message && !s->versioned)
        text_line(out, "MIME-Version: 1.0");
    text_string(out, "Content-Transfer-Encoding: ");
    text_put(out, encoding);
    text_string(out, "\r\n");
}

/* Parts that are not looked into keep their structure; a multipart's parts come next. */
static void enter_multipart(struct seven_bit *s, const struct media *m)
{
    struct seven_bit_boundary b = {.digest = span_ieq(m->subtype, SPAN_LIT("digest"))};
    struct span v = span_of(s->type.text, s->type.length);

    s->state = STATE_COPY;
    if (span_ieq(m->subtype, SPAN_LIT("signed")) || span_ieq(m->subtype, SPAN_LIT("encrypted")) ||
        s->depth == SEVEN_BIT_DEPTH || s->type.cut || !find_boundary(v, m->end, &b))
        return;
    s->boundaries[s->depth++] = b;
    s->state = STATE_AROUND;
}

static void begin_leaf(struct seven_bit *s, bool text, struct text *out)
{
    s->state = STATE_ENCODE;
    s->encoder = (struct encoder){.base64 = !text};
    if (!s->typed)
        text_line(out, "Content-Type: text/plain; charset=unknown-8bit");
    put_encoding(s, text ? SPAN_LIT("quoted-printable") : SPAN_LIT("base64"), out);
}

static void end_header(struct seven_bit *s, struct text *out)
{
    struct media m = media_of(s);
    bool composite =
        span_ieq(m.type, SPAN_LIT("multipart")) || span_ieq(m.type, SPAN_LIT("message"));
    bool nested = false;

    if (!identity(s)) {
        put_encoding(s, span_trim(span_of(s->encoding, s->encoding_length)), out);
        s->state = STATE_COPY;
    } else if (!composite) {
        begin_leaf(s, span_ieq(m.type, SPAN_LIT("text")), out);
    } else {
        if (s->encoded)
            put_encoding(s, SPAN_LIT("7bit"), out);
        s->state = STATE_COPY;
        nested = span_ieq(m.subtype, SPAN_LIT("rfc822"));
        if (span_ieq(m.type, SPAN_LIT("multipart")))
            enter_multipart(s, &m);
    }
    text_string(out, "\r\n");
    if (nested)
        begin_header(s, true);
}

/* ---- header lines ------------------------------------------------------------------------ */

static enum field field_of(struct span line)
{
    static const struct {
        struct span name;
        enum field field;
    } known[] = {
        {{(const unsigned char *)"Content-Type", 12}, FIELD_TYPE},
        {{(const unsigned char *)"Content-Transfer-Encoding", 25}, FIELD_ENCODING},
        {{(const unsigned char *)"MIME-Version", 12}, FIELD_VERSION},
    };
    const unsigned char *colon = memchr(line.p, ':', line.n);

    for (size_t i = 0; colon != NULL && i < sizeof known / sizeof known[0]; i++)
        if (span_ieq(span_trim(span_of(line.p, (size_t)(colon - line.p))), known[i].name))
            return known[i].field;
    return FIELD_OTHER;
}

static void keep(struct seven_bit *s, struct span value)
{
    bool type = s->field == FIELD_TYPE;
    unsigned char *text = type ? s->type.text : s->encoding;
    size_t used = type ? s->type.length : s->encoding_length;
    size_t room = (type ? sizeof s->type.text : sizeof s->encoding) - used;
    size_t n = value.n < room ? value.n : room;

    memcpy(text + used, value.p, n);
    if (type) {
        s->type.length = (uint16_t)(used + n);
        s->type.cut = s->type.cut || n < value.n;
    } else {
        s->encoding_length = (uint16_t)(used + n);
    }
}

/* A second field of that name: readers may differ in which they take. */
static void new_field(struct seven_bit *s, struct span line)
{
    s->field = field_of(line);
    if ((s->field == FIELD_TYPE && s->typed) || (s->field == FIELD_ENCODING && s->encoded))
        s->refused = "a part's type or encoding is given twice";
    s->typed = s->typed || s->field == FIELD_TYPE;
    s->encoded = s->encoded || s->field == FIELD_ENCODING;
    s->versioned = s->versioned || s->field == FIELD_VERSION;
}

static void header_line(struct seven_bit *s, const struct piece *piece, struct text *out)
{
    struct span value = piece->bytes;

    if (piece->first && piece->last && value.n == 0) {
        end_header(s, out);
        return;
    }
    if (piece->first && value.n > 0 && value.p[0] != ' ' && value.p[0] != '\t') {
        new_field(s, value);
        const unsigned char *colon = memchr(value.p, ':', value.n);
        if (colon != NULL)
            value = span_from(value, (size_t)(colon - value.p) + 1);
    }
    if (s->refused != NULL)
        return;
    if (s->field == FIELD_TYPE || s->field == FIELD_ENCODING)
        keep(s, value);
    if (s->field != FIELD_ENCODING) /* that one is written at the end */
        copy(s, piece, out, "8-bit bytes in a header section");
}

/* ---- bodies ------------------------------------------------------------------------------ */

/* The leaf or whatever was under way is over, and a boundary follows. */
static void end_part(struct seven_bit *s, struct text *out)
{
    if (s->state == STATE_ENCODE) {
        encode_end(&s->encoder, out);
        if (s->broken && !s->encoder.base64)
            text_string(out, "\r\n");
    }
    s->broken = false;
}

/* "--boundary" or "--boundary--" of an open multipart, blanks behind it: ends all that is within.
 */
static bool boundary_line(struct seven_bit *s, struct span line, struct text *out)
{
    struct span rest = line;

    if (line.n < 3 || line.p[0] != '-' || line.p[1] != '-')
        return false;
    while (rest.n > 0 && (rest.p[rest.n - 1] == ' ' || rest.p[rest.n - 1] == '\t'))
        rest.n--;
    rest = span_from(rest, 2);
    for (unsigned i = s->depth; i-- > 0;) {
        const struct seven_bit_boundary *b = &s->boundaries[i];
        struct span tail = span_from(rest, b->length);
        bool last = span_eq(tail, SPAN_LIT("--"));
        if (!span_eq(span_head(rest, b->length), span_of(b->text, b->length)) ||
            (tail.n > 0 && !last))
            continue;
        end_part(s, out);
        text_put(out, line);
        text_string(out, "\r\n");
        s->depth = (uint8_t)(last ? i : i + 1);
        if (last)
            s->state = STATE_AROUND;
        else
            begin_header(s, false);
        return true;
    }
    return false;
}

static void encode_line(struct seven_bit *s, const struct piece *piece, struct text *out)
{
    if (s->broken)
        encode_break(&s->encoder, out);
    encode_bytes(&s->encoder, piece->bytes, out);
    s->broken = piece->last;
}

static void copy_around(const struct seven_bit *s, const struct piece *piece, struct text *out)
{
    for (size_t i = 0; i < piece->bytes.n; i++) {
        unsigned char byte = piece->bytes.p[i];
        if (foreign(s, byte))
            byte = '?';
        text_put(out, span_of(&byte, 1));
    }
    if (piece->last)
        text_string(out, "\r\n");
}

static void take(struct seven_bit *s, const struct piece *piece, struct text *out)
{
    if (piece->first && piece->last && sendable(s, piece) && boundary_line(s, piece->bytes, out))
        return;
    switch ((enum state)s->state) {
    case STATE_HEADER:
        header_line(s, piece, out);
        break;
    case STATE_ENCODE:
        encode_line(s, piece, out);
        break;
    case STATE_COPY:
        copy(s, piece, out, "8-bit bytes in a part that must not be changed");
        break;
    case STATE_AROUND:
        copy_around(s, piece, out);
        break;
    }
}

/* ---- lines ------------------------------------------------------------------------------- */

static void flush(struct seven_bit *s, size_t n, bool last, struct text *out)
{
    struct piece piece = {span_of(s->line, n), .first = s->whole, .last = last};

    take(s, &piece, out);
    s->whole = last;
}

bool seven_bit_feed(struct seven_bit *s, struct span *in, struct text *out)
{
    while (in->n > 0 && s->refused == NULL && out->capacity - out->n >= SEVEN_BIT_ROOM) {
        unsigned char byte = in->p[0];

        *in = span_from(*in, 1);
        s->line[s->used++] = byte;
        if (byte == '\n' && s->used >= 2 && s->line[s->used - 2] == '\r') {
            flush(s, s->used - 2u, true, out);
            s->used = 0;
        } else if (s->used == SEVEN_BIT_LINE) {
            bool cr = byte == '\r'; /* of a CRLF, perhaps */
            flush(s, s->used - (cr ? 1u : 0u), false, out);
            s->line[0] = '\r';
            s->used = cr;
        }
    }
    return s->refused == NULL;
}

bool seven_bit_end(struct seven_bit *s, struct text *out)
{
    if (s->refused == NULL && s->used > 0)
        flush(s, s->used, false, out);
    if (s->refused == NULL && s->state == STATE_HEADER && s->encoded) /* a message without body */
        put_encoding(s, SPAN_LIT("7bit"), out);
    if (s->refused == NULL && s->state == STATE_ENCODE) {
        if (s->broken)
            encode_break(&s->encoder, out);
        encode_end(&s->encoder, out);
        if (!s->broken && !s->encoder.base64 && s->encoder.column > 0)
            text_string(out, "=\r\n"); /* the content ends without a line's end */
    }
    return s->refused == NULL;
}
