/* The streaming scanner of a header section. */
#include "engine/mime/header.h"
#include "status.h"

_Static_assert(LIMIT_HEADER_WANTS <= 32, "the wants fit the mask of candidates");

enum state { LINE_START, NAME, VALUE, SKIP };

static const struct span by_word = SPAN_LIT("by");

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

void header_begin(struct header_scanner *s, const struct header_want *wants, unsigned count,
                  unsigned char *buffer, size_t capacity)
{
    BUG_ON(count > LIMIT_HEADER_WANTS || capacity > UINT32_MAX / 2);
    *s = (struct header_scanner){.wants = wants,
                                 .want_count = (uint8_t)count,
                                 .current = (uint8_t)count,
                                 .buffer = buffer,
                                 .capacity = (uint32_t)capacity,
                                 .state = LINE_START};
}

/* ---- capturing -------------------------------------------------------------------------- */

static void capture(struct header_scanner *s, unsigned char c)
{
    struct header_field *field = &s->fields[s->current];
    if (field->length == LIMIT_HEADER_CAPTURE || s->used == s->capacity) {
        field->truncated = true;
        s->capturing = false;
        return;
    }
    s->buffer[s->used++] = c;
    field->length++;
}

static void reverse(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        unsigned char c = p[i];
        p[i] = p[n - 1 - i];
        p[n - 1 - i] = c;
    }
}

/* Brings a value that others have been captured after to the end, so that it can grow. In place:
 * a hostile mail pays with LIMIT_HEADER_FIELDS passes over the buffer at most. */
static void move_to_end(struct header_scanner *s, struct header_field *field)
{
    uint32_t begin = field->offset, length = field->length;
    reverse(s->buffer + begin, length);
    reverse(s->buffer + begin + length, s->used - begin - length);
    reverse(s->buffer + begin, s->used - begin);
    for (unsigned i = 0; i < s->want_count; i++)
        if (s->fields[i].offset > begin)
            s->fields[i].offset -= length;
    field->offset = s->used - length;
}

static void begin_capture(struct header_scanner *s)
{
    struct header_field *field = &s->fields[s->current];
    enum header_mode mode = s->wants[s->current].mode;
    if (mode == HEADER_COUNT || s->too_large || (mode == HEADER_FIRST && field->count > 1))
        return;
    s->capturing = true;
    if (field->count == 1) {
        field->offset = s->used;
        return;
    }
    if (field->offset + field->length != s->used)
        move_to_end(s, field);
    capture(s, '\n');
}

/* ---- fields ----------------------------------------------------------------------------- */

static void end_word(struct header_scanner *s)
{
    if (s->word_length == 0)
        return;
    if (s->after_by && s->word_is_token && s->word_length == s->wants[s->current].by.n)
        s->hit = true;
    s->after_by = s->word_is_by && s->word_length == by_word.n;
    s->word_length = 0;
}

static void word_byte(struct header_scanner *s, unsigned char c)
{
    struct span token = s->wants[s->current].by;
    if (is_blank(c) || c == ';' || c == '(' || c == ')') {
        end_word(s);
        return;
    }
    uint16_t i = s->word_length;
    if (i == 0)
        s->word_is_by = s->word_is_token = true;
    unsigned char lower = ascii_lower(c);
    s->word_is_by = s->word_is_by && i < by_word.n && lower == by_word.p[i];
    s->word_is_token = s->word_is_token && i < token.n && lower == ascii_lower(token.p[i]);
    if (i < UINT16_MAX)
        s->word_length++;
}

static void close_field(struct header_scanner *s)
{
    if (s->current < s->want_count) {
        struct header_field *field = &s->fields[s->current];
        end_word(s);
        if (s->hit && field->hits < UINT16_MAX)
            field->hits++;
        /* When it ran full, what is at the end is the value's middle: trimmed all the same. */
        while (field->length > 0 && field->offset + field->length == s->used && s->value_begun &&
               is_blank(s->buffer[s->used - 1])) {
            s->used--;
            field->length--;
        }
    }
    s->current = s->want_count;
    s->capturing = false;
    s->open = false;
}

static void open_field(struct header_scanner *s)
{
    s->open = true;
    s->state = VALUE;
    s->value_begun = s->hit = s->after_by = false;
    s->word_length = 0;
    if (s->field_count <= LIMIT_HEADER_FIELDS)
        s->field_count++;
    if (s->field_count > LIMIT_HEADER_FIELDS)
        s->too_large = true;
    for (unsigned i = 0; i < s->want_count; i++)
        if ((s->alive & 1u << i) && s->wants[i].name.n == s->name_length)
            s->current = (uint8_t)i;
    if (s->current == s->want_count)
        return;
    if (s->fields[s->current].count < UINT16_MAX)
        s->fields[s->current].count++;
    begin_capture(s);
}

static void name_byte(struct header_scanner *s, unsigned char c)
{
    if (c == ':' && s->name_length > 0) {
        open_field(s);
    } else if (is_blank(c) && s->name_length > 0) {
        s->name_spaced = true;
    } else if (c <= ' ' || c >= 0x7f || c == ':' || s->name_spaced) {
        s->malformed = true;
        s->state = SKIP;
    } else {
        for (unsigned i = 0; i < s->want_count; i++) {
            struct span name = s->wants[i].name;
            if (s->name_length >= name.n || ascii_lower(name.p[s->name_length]) != ascii_lower(c))
                s->alive &= ~(1u << i);
        }
        if (s->name_length < UINT16_MAX)
            s->name_length++;
    }
}

static void begin_line(struct header_scanner *s, unsigned char c)
{
    if (is_blank(c)) {
        s->state = s->open ? VALUE : SKIP;
        s->malformed = s->malformed || !s->open;
        return;
    }
    close_field(s);
    s->alive = UINT32_MAX;
    s->name_length = 0;
    s->name_spaced = false;
    s->state = NAME;
}

static void value_byte(struct header_scanner *s, unsigned char c)
{
    if (s->current == s->want_count)
        return;
    if (s->wants[s->current].by.n > 0)
        word_byte(s, c);
    if (!is_blank(c))
        s->value_begun = true;
    if (s->capturing && s->value_begun)
        capture(s, c);
}

static void take_byte(struct header_scanner *s, unsigned char c)
{
    if (s->state == LINE_START)
        begin_line(s, c);
    if (s->state == NAME)
        name_byte(s, c);
    else if (s->state == VALUE)
        value_byte(s, c);
}

static void end_line(struct header_scanner *s)
{
    if (s->state == LINE_START) {
        close_field(s);
        s->done = true;
        return;
    }
    if (s->state == NAME)
        s->malformed = true;
    s->state = LINE_START;
}

/* ---- feeding ---------------------------------------------------------------------------- */

static void bare_byte(struct header_scanner *s)
{
    s->bare = true;
    take_byte(s, ' ');
}

static void feed_byte(struct header_scanner *s, unsigned char c)
{
    bool cr = s->cr;
    s->cr = c == '\r';
    if (cr && c == '\n') {
        end_line(s);
        return;
    }
    if (cr)
        bare_byte(s);
    if (c == '\n')
        bare_byte(s);
    else if (c != '\r')
        take_byte(s, c);
}

/* Bytes of a line that nobody wants: what remains after them begins with CR or LF, or is empty. */
static size_t idle_bytes(const struct header_scanner *s, struct span piece)
{
    bool idle = !s->cr && (s->state == SKIP || (s->state == VALUE && s->current == s->want_count));
    size_t n = 0;
    while (idle && n < piece.n && piece.p[n] != '\r' && piece.p[n] != '\n')
        n++;
    return n;
}

size_t header_feed(struct header_scanner *s, struct span piece)
{
    size_t n = 0;
    while (n < piece.n && !s->done) {
        n += idle_bytes(s, span_from(piece, n));
        if (n < piece.n)
            feed_byte(s, piece.p[n++]);
    }
    if (n > LIMIT_HEADERS - (s->bytes < LIMIT_HEADERS ? s->bytes : LIMIT_HEADERS))
        s->bytes = LIMIT_HEADERS + 1;
    else
        s->bytes += (uint32_t)n;
    if (s->bytes > LIMIT_HEADERS) {
        s->too_large = true;
        s->capturing = false;
    }
    return n;
}

void header_finish(struct header_scanner *s)
{
    if (s->done)
        return;
    if (s->cr)
        bare_byte(s);
    s->cr = false;
    if (s->state == NAME)
        s->malformed = true;
    close_field(s);
    s->done = true;
}

struct span header_value(const struct header_scanner *s, unsigned i)
{
    BUG_ON(i >= s->want_count);
    return s->fields[i].length == 0 ? SPAN_EMPTY
                                    : span_of(s->buffer + s->fields[i].offset, s->fields[i].length);
}

bool header_next_value(struct span *rest, struct span *value)
{
    if (rest->n == 0)
        return false;
    const unsigned char *end = memchr(rest->p, '\n', rest->n);
    *value = span_head(*rest, end != NULL ? (size_t)(end - rest->p) : rest->n);
    *rest = span_from(*rest, end != NULL ? value->n + 1 : value->n);
    return true;
}
