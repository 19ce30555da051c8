/* Diagnostics: collected, put in order, and written for people and for programs. */
#include "policy/compile_internal.h"
#include "status.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *policy_severity_name(enum policy_severity severity)
{
    return severity == POLICY_ERROR ? "error" : "warning";
}

/* The length of the UTF-8 character at s (NUL-terminated), or 0 when none is there that may be
 * shown: controls could forge lines and drive terminals. */
static size_t shown_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    size_t n = s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
    if (s[0] >= 0xf5)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
        (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] >= 0x90))
        return 0;
    return n;
}

static void clean(char *text)
{
    unsigned char *s = (unsigned char *)text;
    while (*s != '\0') {
        size_t n = shown_length(s);
        if (n == 0)
            *s = '?';
        s += n == 0 ? 1 : n;
    }
}

/* ---- collecting ------------------------------------------------------------------------- */

static struct policy_diagnostic *add(struct compiler *c, enum policy_severity severity,
                                     size_t offset, const char *format, va_list arguments)
{
    struct policy_compilation *out = c->out;
    unsigned *counter = severity == POLICY_ERROR ? &out->errors : &out->warnings;
    (*counter)++;
    struct policy_diagnostic *d = &c->scratch;
    if (out->count < LIMIT_DIAGNOSTICS)
        d = &out->diagnostics[out->count++];
    else
        out->untold++;
    *d = (struct policy_diagnostic){.severity = severity};
    if (d != &c->scratch) /* finding the line of what is not told would be for nothing */
        place_line_column(c->text, offset, &d->line, &d->column);
    (void)vsnprintf(d->what, sizeof d->what, format, arguments);
    clean(d->what);
    return d;
}

static struct policy_diagnostic *add_placed(struct compiler *c, enum policy_severity severity,
                                            const struct place *at, const char *format,
                                            va_list arguments)
{
    bool told = c->out->count < LIMIT_DIAGNOSTICS;
    size_t offset = told ? place_offset(c->text, at) : 0;
    struct policy_diagnostic *d = add(c, severity, offset, format, arguments);
    if (told) {
        place_pointer(at, d->pointer, sizeof d->pointer);
        clean(d->pointer);
    }
    return d;
}

struct policy_diagnostic *compile_error(struct compiler *c, const struct place *at,
                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct policy_diagnostic *d = add_placed(c, POLICY_ERROR, at, format, arguments);
    va_end(arguments);
    return d;
}

struct policy_diagnostic *compile_warning(struct compiler *c, const struct place *at,
                                          const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct policy_diagnostic *d = add_placed(c, POLICY_WARNING, at, format, arguments);
    va_end(arguments);
    return d;
}

struct policy_diagnostic *compile_error_at(struct compiler *c, size_t offset, const char *format,
                                           ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct policy_diagnostic *d = add(c, POLICY_ERROR, offset, format, arguments);
    va_end(arguments);
    place_pointer_at(c->text, offset, d->pointer, sizeof d->pointer);
    clean(d->pointer);
    return d;
}

void compile_remedy(struct policy_diagnostic *d, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(d->remedy, sizeof d->remedy, format, arguments);
    va_end(arguments);
    clean(d->remedy);
}

static int by_place(const void *a, const void *b)
{
    const struct policy_diagnostic *x = a;
    const struct policy_diagnostic *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    if (x->severity != y->severity)
        return x->severity > y->severity ? -1 : 1;
    return strcmp(x->what, y->what);
}

void compile_report_sort(struct policy_compilation *out)
{
    qsort(out->diagnostics, out->count, sizeof out->diagnostics[0], by_place);
}

/* ---- did you mean ----------------------------------------------------------------------- */

enum { SUGGEST_LENGTH = 32 };

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Insertions, deletions, replacements and exchanges of neighbours that make a into b. */
static size_t distance(const char *a, const char *b)
{
    size_t na = strlen(a);
    size_t nb = strlen(b);
    if (na > SUGGEST_LENGTH || nb > SUGGEST_LENGTH)
        return SIZE_MAX;
    size_t row[3][SUGGEST_LENGTH + 1];
    for (size_t j = 0; j <= nb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = row[i % 3];
        size_t *before = row[(i - 1) % 3];
        size_t *before2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            bool same =
                ascii_lower((unsigned char)a[i - 1]) == ascii_lower((unsigned char)b[j - 1]);
            now[j] = smallest(before[j] + 1, now[j - 1] + 1, before[j - 1] + !same);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before2[j - 2] + 1 < now[j])
                now[j] = before2[j - 2] + 1;
        }
    }
    return row[na % 3][nb];
}

const char *compile_suggest(const char *word, const char *(*next)(void *context), void *context)
{
    const char *best = NULL;
    size_t n = strlen(word);
    size_t least = n < 4 ? 2 : n / 3 + 2; /* the first distance that is too far */
    for (const char *name = next(context); name != NULL; name = next(context)) {
        size_t d = distance(word, name);
        if (d < least && d < strlen(name)) {
            least = d;
            best = name;
        }
    }
    return best;
}

/* ---- writing ---------------------------------------------------------------------------- */

/* One line, or as much as fits; returns the length that it needs. */
static size_t write_line(const struct policy_diagnostic *d, struct span path, char *out,
                         size_t capacity)
{
    char place[32] = "";
    if (d->line > 0)
        (void)snprintf(place, sizeof place, "%u:%u:", d->line, d->column);
    bool pointer = d->pointer[0] != '\0';
    bool remedy = d->remedy[0] != '\0';
    int n = snprintf(out, capacity, "%.*s:%s %s: %s%s%s%s%s%s\n", (int)path.n, (const char *)path.p,
                     place, policy_severity_name(d->severity), d->what, pointer ? " (at " : "",
                     d->pointer, pointer ? ")" : "", remedy ? "; " : "", d->remedy);
    return n < 0 ? 0 : (size_t)n;
}

size_t policy_report_text(const struct policy_compilation *c, struct span path, char *out,
                          size_t capacity)
{
    enum { LAST_LINE = 40 };
    BUG_ON(capacity == 0);
    path = span_head(path, LIMIT_PATH);
    size_t n = 0;
    size_t room = capacity > path.n + LAST_LINE ? capacity - path.n - LAST_LINE : 0;
    unsigned told = 0;
    for (; told < c->count && n < room; told++) {
        size_t need = write_line(&c->diagnostics[told], path, out + n, room - n);
        if (need >= room - n)
            break;
        n += need;
    }
    unsigned untold = c->untold + (c->count - told);
    out[n] = '\0';
    if (untold > 0 && capacity - n > path.n + LAST_LINE)
        n += (size_t)snprintf(out + n, capacity - n, "%.*s: %u more not shown\n", (int)path.n,
                              (const char *)path.p, untold);
    return n;
}

char *policy_report_json(const struct policy_compilation *c, struct span path)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < c->count; i++) {
        const struct policy_diagnostic *d = &c->diagnostics[i];
        json_t *o =
            json_pack("{s:s, s:i, s:i, s:s, s:s, s:s}", "severity",
                      policy_severity_name(d->severity), "line", (int)d->line, "column",
                      (int)d->column, "pointer", d->pointer, "what", d->what, "remedy", d->remedy);
        if (o == NULL || json_array_append_new(list, o) != 0)
            fatal_env(EXIT_OSERR, 0, "no memory for the report on the policy");
    }
    char name[LIMIT_PATH + 1];
    path = span_head(path, LIMIT_PATH);
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    clean(name);
    json_t *report = json_pack("{s:s, s:b, s:i, s:i, s:i, s:o}", "path", name, "valid",
                               c->image != NULL, "errors", (int)c->errors, "warnings",
                               (int)c->warnings, "untold", (int)c->untold, "diagnostics", list);
    char *text = report != NULL ? json_dumps(report, JSON_COMPACT) : NULL;
    if (text == NULL)
        fatal_env(EXIT_OSERR, 0, "no memory for the report on the policy");
    json_decref(report);
    return text;
}
