/* Header changes: their text, and their effect on a section. */
#include "engine/mime/edit.h"
#include "engine/mime/header.h"
#include "engine/mime/words.h"
#include <stdio.h>

/* ---- the text --------------------------------------------------------------------------- */

static void put_counted(struct text *t, struct span s)
{
    char length[16];
    (void)snprintf(length, sizeof length, "%zu:", s.n);
    text_string(t, length);
    text_put(t, s);
}

void edit_put(struct text *t, const struct edit *e)
{
    unsigned char letter = (unsigned char)e->kind;
    text_put(t, span_of(&letter, 1));
    if (e->kind != EDIT_PREFIX_SUBJECT)
        put_counted(t, e->name);
    if (e->kind != EDIT_REMOVE)
        put_counted(t, e->value);
}

/* At most four digits and a colon, then as many bytes. */
static bool take_counted(struct span *rest, struct span *out)
{
    size_t n = 0;
    size_t i = 0;
    while (i < rest->n && i < 4 && ascii_digit(rest->p[i]))
        n = n * 10 + (size_t)(rest->p[i++] - '0');
    if (i == 0 || i == rest->n || rest->p[i] != ':' || n > rest->n - i - 1)
        return false;
    *out = span_of(rest->p + i + 1, n);
    *rest = span_from(*rest, i + 1 + n);
    return true;
}

bool edit_next(struct span *rest, struct edit *out)
{
    if (rest->n == 0)
        return false;
    struct span s = span_from(*rest, 1);
    struct edit e = {.kind = (enum edit_kind)rest->p[0], .name = SPAN_EMPTY, .value = SPAN_EMPTY};
    bool named = e.kind == EDIT_SET || e.kind == EDIT_REMOVE;
    bool valued = e.kind == EDIT_SET || e.kind == EDIT_PREFIX_SUBJECT;
    if ((!named && !valued) || (named && (!take_counted(&s, &e.name) || e.name.n == 0)) ||
        (valued && !take_counted(&s, &e.value)))
        return false;
    *rest = s;
    *out = e;
    return true;
}

static bool prefix_valid(struct span s)
{
    return s.n > 0 && s.n <= LIMIT_SUBJECT_PREFIX && s.p[0] != ' ';
}

bool edits_valid(struct span edits)
{
    struct edit e;
    unsigned count = 0;
    unsigned subjects = 0;
    if (edits.n > LIMIT_EDIT_TEXT)
        return false;
    for (size_t i = 0; i < edits.n; i++)
        if (edits.p[i] < ' ' || edits.p[i] == 0x7f)
            return false;
    while (edit_next(&edits, &e)) {
        bool prefix = e.kind == EDIT_PREFIX_SUBJECT;
        bool subject = prefix || span_ieq(e.name, SPAN_LIT("Subject"));
        subjects += subject;
        if (++count > LIMIT_EDITS || subjects > 1 || e.value.n > LIMIT_EDIT_VALUE ||
            (prefix ? !prefix_valid(e.value) : !edit_name_allowed(e.name)))
            return false;
    }
    return edits.n == 0;
}

struct span edits_variant(struct span list, unsigned n)
{
    struct span one;
    while (take_counted(&list, &one))
        if (--n == 0)
            return one;
    return SPAN_EMPTY;
}

void edits_add_variant(struct text *list, struct span edits)
{
    put_counted(list, edits);
}

bool edit_name_allowed(struct span name)
{
    static const char *const fixed[] = {"Received", "Return-Path", "MIME-Version"};
    if (name.n == 0 || name.n > LIMIT_NAME || span_istarts(name, SPAN_LIT("Content-")))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = ascii_lower(name.p[i]);
        if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '-' && c != '_')
            return false;
    }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (span_ieq(name, span_str(fixed[i])))
            return false;
    return true;
}

/* ---- the section ------------------------------------------------------------------------ */

size_t edit_section(struct span bytes)
{
    if (bytes.n >= 2 && memcmp(bytes.p, "\r\n", 2) == 0)
        return 2;
    const unsigned char *end = bytes.n > 0 ? memmem(bytes.p, bytes.n, "\r\n\r\n", 4) : NULL;
    return end != NULL ? (size_t)(end - bytes.p) + 4 : 0;
}

/* The length of the field at the begin of s, with its continuation lines and last CRLF; of the
 * empty line, 0. */
static size_t field_length(struct span s)
{
    size_t at = 0;
    if (s.n >= 2 && memcmp(s.p, "\r\n", 2) == 0)
        return 0;
    while (at < s.n) {
        const unsigned char *end = memmem(s.p + at, s.n - at, "\r\n", 2);
        if (end == NULL)
            return s.n;
        at = (size_t)(end - s.p) + 2;
        if (at == s.n || (s.p[at] != ' ' && s.p[at] != '\t'))
            break;
    }
    return at;
}

static struct span trim_folded(struct span s)
{
    while (s.n > 0 && memchr(" \t\r\n", s.p[0], 4) != NULL)
        s = span_from(s, 1);
    while (s.n > 0 && memchr(" \t\r\n", s.p[s.n - 1], 4) != NULL)
        s.n--;
    return s;
}

/* Name and value of a field; false for a line that is none. */
static bool split_field(struct span field, struct span *name, struct span *value)
{
    const unsigned char *colon = field.n > 0 ? memchr(field.p, ':', field.n) : NULL;
    if (colon == NULL)
        return false;
    size_t n = (size_t)(colon - field.p);
    *value = trim_folded(span_from(field, n + 1));
    while (n > 0 && (field.p[n - 1] == ' ' || field.p[n - 1] == '\t'))
        n--;
    *name = span_head(field, n);
    return n > 0;
}

/* ---- the subject ------------------------------------------------------------------------ */

/* The value without the CRLFs of its folding, cut to what fits. */
static size_t unfold(struct span value, unsigned char out[LIMIT_HEADER_CAPTURE])
{
    size_t n = 0;
    for (size_t i = 0; i < value.n && n < LIMIT_HEADER_CAPTURE; i++)
        if (value.p[i] != '\r' && value.p[i] != '\n')
            out[n++] = value.p[i];
    return n;
}

/* Would a client show the prefix already? Spaces at its end do not count. */
static bool has_prefix(struct span value, struct span prefix)
{
    unsigned char raw[LIMIT_HEADER_CAPTURE];
    unsigned char shown[LIMIT_HEADER_DECODED];
    size_t n = unfold(value, raw);
    n = header_decode(span_of(raw, n), shown, sizeof shown, NULL);
    struct span tag = span_trim(prefix);
    return n >= tag.n && memcmp(shown, tag.p, tag.n) == 0;
}

static bool begins_word(struct span s)
{
    return span_istarts(s, SPAN_LIT("=?"));
}

/* Can it stand as it is, and be read as nothing else? */
static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > 0x7e)
            return false;
    return s.n == 0 || memmem(s.p, s.n, "=?", 2) == NULL;
}

/* As encoded words: the prefix, and what must stand directly behind it. */
static void put_encoded_prefix(struct text *t, struct span prefix, struct span value)
{
    unsigned char joined[LIMIT_SUBJECT_PREFIX + LIMIT_HEADER_DECODED + 1];
    size_t n = prefix.n;
    memcpy(joined, prefix.p, n);
    struct span rest = value;
    bool spaced = prefix.n > 0 && prefix.p[prefix.n - 1] == ' ';
    if (!begins_word(value) && spaced) {
        n--; /* the space behind the word is shown */
    } else if (!begins_word(value)) {
        size_t end = 0;
        while (end < value.n && end < LIMIT_HEADER_CAPTURE && !memchr(" \t\r\n", value.p[end], 4))
            end++;
        n += header_decode(span_head(value, end), joined + n, LIMIT_HEADER_DECODED, NULL);
        rest = trim_folded(span_from(value, end));
        if (begins_word(rest))
            joined[n++] = ' '; /* that between two words is not */
    }
    words_put(t, span_of(joined, n));
    if (rest.n > 0)
        text_string(t, t->column + 1 + 10 > TEXT_WIDTH ? "\r\n " : " ");
    words_fold(t, rest);
}

static void put_subject(struct text *t, struct span prefix, struct span value)
{
    text_string(t, "Subject: ");
    bool spaced = prefix.p[prefix.n - 1] == ' ';
    bool joins = !spaced && value.n > 0 &&
                 (begins_word(value) || (prefix.p[prefix.n - 1] == '=' && value.p[0] == '?'));
    if (!is_plain(prefix) || joins) {
        put_encoded_prefix(t, prefix, value);
    } else {
        words_fold(t, value.n > 0 && spaced ? span_head(prefix, prefix.n - 1) : span_trim(prefix));
        if (value.n > 0 && spaced)
            words_space(t, value);
        words_fold(t, value);
    }
    text_string(t, "\r\n");
}

/* ---- applying --------------------------------------------------------------------------- */

struct editor {
    struct text out;
    struct edit edits[LIMIT_EDITS];
    bool done[LIMIT_EDITS]; /* its field was met */
    unsigned count;
};

static void put_set(struct text *t, const struct edit *e)
{
    text_put(t, e->name);
    text_string(t, ": ");
    if (is_plain(e->value))
        words_fold(t, e->value);
    else
        words_put(t, e->value);
    text_string(t, "\r\n");
}

/* One field of the section: as it is, or as a change wants it. */
static void edit_field(struct editor *d, struct span field)
{
    struct span name, value;
    if (split_field(field, &name, &value))
        for (unsigned i = 0; i < d->count; i++) {
            const struct edit *e = &d->edits[i];
            bool prefix = e->kind == EDIT_PREFIX_SUBJECT;
            if (!span_ieq(name, prefix ? SPAN_LIT("Subject") : e->name))
                continue;
            bool first = !d->done[i];
            d->done[i] = true;
            if (prefix && first && has_prefix(value, e->value))
                break;
            if (prefix && first)
                put_subject(&d->out, e->value, value);
            else if (e->kind == EDIT_SET && first)
                put_set(&d->out, e);
            return;
        }
    text_put(&d->out, field);
}

size_t edits_apply(struct span edits, struct span section, unsigned char *out, size_t capacity)
{
    struct editor d = {.out = {.p = out, .capacity = capacity}};
    if (!edits_valid(edits)) /* they come out of a policy's image and out of the spool */
        return 0;
    while (d.count < LIMIT_EDITS && edit_next(&edits, &d.edits[d.count]))
        d.count++;
    for (size_t n = field_length(section); n > 0 && section.n > 0; n = field_length(section)) {
        edit_field(&d, span_head(section, n));
        section = span_from(section, n);
    }
    if (d.out.n >= 2 && memcmp(out + d.out.n - 2, "\r\n", 2) != 0)
        text_string(&d.out, "\r\n"); /* a mail that broke off within its header */
    for (unsigned i = 0; i < d.count; i++) {
        const struct edit *e = &d.edits[i];
        if (!d.done[i] && e->kind == EDIT_PREFIX_SUBJECT)
            put_subject(&d.out, e->value, SPAN_EMPTY);
        else if (!d.done[i] && e->kind == EDIT_SET)
            put_set(&d.out, e);
    }
    text_put(&d.out, section); /* the empty line */
    return d.out.overflow ? 0 : d.out.n;
}
