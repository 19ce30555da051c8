/* RFC 2047 encoded words and raw 8-bit text to UTF-8. */
#include "engine/mime/charset.h"
#include "engine/mime/header.h"

/* ---- output ----------------------------------------------------------------------------- */

struct sink {
    unsigned char *out;
    size_t n;
    size_t capacity;
    bool full;
    struct converter converter;
};

static void put_character(struct sink *sink, uint32_t character)
{
    unsigned char bytes[UTF8_MAX];
    if (character == '\t' || character == '\r' || character == '\n')
        character = ' ';
    else if (character < 0x20 || (character >= 0x7f && character < 0xa0))
        character = UTF8_REPLACEMENT;
    size_t n = utf8_put(character, bytes);
    if (sink->full || n > sink->capacity - sink->n) {
        sink->full = true;
        return;
    }
    memcpy(sink->out + sink->n, bytes, n);
    sink->n += n;
}

static void put_byte(struct sink *sink, unsigned char byte)
{
    uint32_t characters[3];
    unsigned n = charset_convert(&sink->converter, byte, characters);
    for (unsigned i = 0; i < n; i++)
        put_character(sink, characters[i]);
}

/* From here on bytes are of that charset; a character that was begun in another one is broken. */
static void use_charset(struct sink *sink, enum charset charset)
{
    if (charset_flush(&sink->converter))
        put_character(sink, UTF8_REPLACEMENT);
    sink->converter.charset = charset;
}

/* ---- encoded words ---------------------------------------------------------------------- */

struct word {
    struct span charset; /* with its language */
    bool base64;
    struct span text;
    size_t length; /* of the whole word */
};

static int base64_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool base64_valid(struct span text)
{
    bool padding = false;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = text.p[i];
        if (c == '=')
            padding = true;
        else if (c != ' ' && c != '\t' && (padding || base64_value(c) < 0))
            return false;
    }
    return true;
}

/* The offset of "?=" in s; s.n when there is none, or when "=?" comes first: a word that was not
 * closed must not swallow the next one. */
static size_t find_end(struct span s)
{
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] == '?' && s.p[i + 1] == '=')
            return i;
        if (s.p[i] == '=' && s.p[i + 1] == '?' && !(i + 2 < s.n && s.p[i + 2] == '='))
            return s.n;
    }
    return s.n;
}

/* Is there a well-formed encoded word at the begin of s? */
static bool find_word(struct span s, struct word *word)
{
    if (s.n < 2 || s.p[0] != '=' || s.p[1] != '?')
        return false;
    size_t i = 2;
    while (i < s.n && s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != '?')
        i++;
    word->charset = span_of(s.p + 2, i - 2);
    if (word->charset.n == 0 || word->charset.p[0] == '*' || i + 3 > s.n || s.p[i] != '?' ||
        s.p[i + 2] != '?')
        return false;
    unsigned char encoding = ascii_lower(s.p[i + 1]);
    word->base64 = encoding == 'b';
    struct span rest = span_from(s, i + 3);
    size_t end = find_end(rest);
    if ((encoding != 'b' && encoding != 'q') || end == rest.n)
        return false;
    word->text = span_head(rest, end);
    word->length = i + 3 + end + 2;
    return !word->base64 || base64_valid(word->text);
}

static int hex_value(unsigned char c)
{
    if (ascii_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_q(struct sink *sink, struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = text.p[i];
        int high = i + 2 < text.n ? hex_value(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.p[i + 2]) : -1;
        if (c == '=' && low >= 0) {
            put_byte(sink, (unsigned char)(high << 4 | low));
            i += 2;
        } else {
            put_byte(sink, c == '_' ? ' ' : c);
        }
    }
}

static void put_base64(struct sink *sink, struct span text)
{
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < text.n; i++) {
        int value = base64_value(text.p[i]);
        if (value < 0)
            continue;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            put_byte(sink, (unsigned char)(bits >> count));
        }
    }
}

static enum charset word_charset(const struct word *word)
{
    const unsigned char *language = memchr(word->charset.p, '*', word->charset.n);
    size_t n = language != NULL ? (size_t)(language - word->charset.p) : word->charset.n;
    return charset_find(span_of(word->charset.p, n));
}

/* Decodes the words that stand at the begin of s with nothing but white space between them;
 * returns how much of s that was. */
static size_t put_words(struct sink *sink, struct span s, struct word *word)
{
    size_t end = 0, next = 0;
    do {
        enum charset charset = word_charset(word);
        if (end == 0 || charset != sink->converter.charset)
            use_charset(sink, charset);
        if (word->base64)
            put_base64(sink, word->text);
        else
            put_q(sink, word->text);
        end = next + word->length;
        next = end;
        while (next < s.n && (s.p[next] == ' ' || s.p[next] == '\t'))
            next++;
    } while (find_word(span_from(s, next), word));
    return end;
}

/* ---- values ----------------------------------------------------------------------------- */

/* A value that the scanner cut may end within a character; without any whole one before, such an
 * end is rather the last letter of a word in windows-1252. */
static enum charset raw_charset(struct span value)
{
    bool multibyte = false;
    while (value.n > 0) {
        int length = utf8_prefix(value);
        if (length == 0 || (length < 0 && !multibyte))
            return CHARSET_WINDOWS_1252;
        if (length < 0)
            return CHARSET_UTF8;
        multibyte = multibyte || length > 1;
        value = span_from(value, (size_t)length);
    }
    return CHARSET_UTF8;
}

static void put_value(struct sink *sink, struct span value)
{
    enum charset raw = raw_charset(value);
    struct word word;
    use_charset(sink, raw);
    for (size_t i = 0; i < value.n && !sink->full;) {
        if (find_word(span_from(value, i), &word)) {
            i += put_words(sink, span_from(value, i), &word);
            use_charset(sink, raw);
        } else {
            put_byte(sink, value.p[i++]);
        }
    }
    use_charset(sink, raw);
}

size_t header_decode(struct span value, unsigned char *out, size_t capacity, bool *truncated)
{
    struct sink sink = {.out = out, .capacity = capacity};
    struct span rest = value, one;
    bool first = true;
    while (header_next_value(&rest, &one)) {
        sink.full = sink.full || (!first && sink.n == sink.capacity);
        if (!first && !sink.full)
            sink.out[sink.n++] = '\n';
        first = false;
        put_value(&sink, one);
    }
    if (sink.full && truncated != NULL)
        *truncated = true;
    return sink.n;
}
