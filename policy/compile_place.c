/* Where in the raw text a value stands: the JSON library does not keep it, and only who has an
 * error to tell needs it. A place is turned into ordinals, and those are counted in the text. */
#include "policy/compile_internal.h"
#include "status.h"
#include <stdio.h>

/* Steps from the root to a place: flow, rule, nested conditions and their lists. */
enum { MAX_STEPS = 16 + 3 * LIMIT_POLICY_DEPTH };

static size_t skip_space(struct span t, size_t i)
{
    while (i < t.n && (t.p[i] == ' ' || t.p[i] == '\t' || t.p[i] == '\n' || t.p[i] == '\r'))
        i++;
    return i;
}

/* i at the opening quote; returns the offset behind the closing one. */
static size_t skip_string(struct span t, size_t i)
{
    for (i++; i < t.n && t.p[i] != '"'; i++)
        if (t.p[i] == '\\')
            i++;
    return i < t.n ? i + 1 : t.n;
}

static size_t skip_value(struct span t, size_t i)
{
    size_t depth = 0;
    while (i < t.n) {
        unsigned char ch = t.p[i];
        if (ch == '"') {
            i = skip_string(t, i);
            if (depth == 0)
                return i;
            continue;
        }
        if (depth == 0 && (ch == ',' || ch == ']' || ch == '}' || ch <= ' '))
            return i;
        i++;
        if (ch == '{' || ch == '[')
            depth++;
        else if ((ch == '}' || ch == ']') && --depth == 0)
            return i;
    }
    return i;
}

/* Behind the separator that follows a value or a name. */
static size_t skip_separator(struct span t, size_t i)
{
    i = skip_space(t, i);
    return skip_space(t, i < t.n ? i + 1 : i);
}

/* How many members or elements stand before the place in its container. */
static size_t ordinal(const struct place *at)
{
    if (json_is_array(at->in))
        return at->index;
    size_t n = 0;
    json_t *in = (json_t *)(uintptr_t)at->in;
    for (void *i = json_object_iter(in); i != NULL; i = json_object_iter_next(in, i), n++)
        if (strcmp(json_object_iter_key(i), at->key) == 0)
            return n;
    fatal_bug(__FILE__, __LINE__, "a place names a member that is not there");
}

/* i at the container's bracket; returns where the value (or name) at the place begins. */
static size_t enter(struct span t, size_t i, const struct place *at)
{
    bool object = json_is_object(at->in);
    i = skip_space(t, i + 1);
    for (size_t n = ordinal(at); n > 0; n--) {
        if (object)
            i = skip_separator(t, skip_string(t, i));
        i = skip_separator(t, skip_value(t, i));
    }
    if (object && !at->name_itself)
        i = skip_separator(t, skip_string(t, i));
    return i;
}

size_t place_offset(struct span text, const struct place *at)
{
    const struct place *steps[MAX_STEPS];
    size_t n = 0;
    for (; at->in != NULL; at = at->up) {
        BUG_ON(n == MAX_STEPS);
        steps[n++] = at;
    }
    size_t i = skip_space(text, 0);
    while (n > 0)
        i = enter(text, i, steps[--n]);
    return i < text.n ? i : text.n;
}

void place_line_column(struct span text, size_t offset, unsigned *line, unsigned *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < offset && i < text.n; i++) {
        if (text.p[i] == '\n') {
            (*line)++;
            *column = 1;
        } else if ((text.p[i] & 0xc0) != 0x80) { /* no continuation of a UTF-8 character */
            (*column)++;
        }
    }
}

/* ---- pointers --------------------------------------------------------------------------- */

struct pointer {
    char *out;
    size_t n;
    size_t capacity; /* without the NUL */
};

static void put(struct pointer *p, struct span s)
{
    size_t n = s.n < p->capacity - p->n ? s.n : p->capacity - p->n;
    if (n > 0)
        memcpy(p->out + p->n, s.p, n);
    p->n += n;
}

/* One step, escaped (RFC 6901 section 3). */
static void put_name(struct pointer *p, struct span name)
{
    put(p, SPAN_LIT("/"));
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '~')
            put(p, SPAN_LIT("~0"));
        else if (name.p[i] == '/')
            put(p, SPAN_LIT("~1"));
        else
            put(p, span_of(name.p + i, 1));
    }
}

static void put_index(struct pointer *p, size_t index)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%zu", index);
    put_name(p, span_of(text, (size_t)n));
}

void place_pointer(const struct place *at, char *out, size_t capacity)
{
    const struct place *steps[MAX_STEPS];
    size_t n = 0;
    for (; at->in != NULL; at = at->up) {
        BUG_ON(n == MAX_STEPS);
        steps[n++] = at;
    }
    struct pointer p = {.out = out, .capacity = capacity - 1};
    while (n > 0) {
        const struct place *step = steps[--n];
        if (json_is_object(step->in))
            put_name(&p, span_str(step->key));
        else
            put_index(&p, step->index);
    }
    out[p.n] = '\0';
}

/* An open container of a text that is walked: the name or index that the walk has reached. */
struct open_container {
    bool object;
    bool named;
    struct span name;
    size_t index;
};

static void walked_byte(struct open_container *top, unsigned char ch)
{
    if (ch != ',')
        return;
    top->index++;
    top->named = false;
}

void place_pointer_at(struct span text, size_t offset, char *out, size_t capacity)
{
    struct open_container stack[MAX_STEPS];
    size_t depth = 0; /* may pass the stack's end: what lies deeper is not told */
    for (size_t i = 0; i < offset && i < text.n;) {
        struct open_container *top = depth > 0 && depth <= MAX_STEPS ? &stack[depth - 1] : NULL;
        unsigned char ch = text.p[i];
        if (ch == '"') {
            size_t end = skip_string(text, i);
            if (top != NULL && top->object && !top->named) {
                size_t inside = end - i > 1 ? end - i - 2 : 0;
                top->name = span_of(text.p + i + 1, inside);
                top->named = true;
            }
            i = end;
            continue;
        }
        i++;
        if (ch == '{' || ch == '[') {
            if (depth < MAX_STEPS)
                stack[depth] = (struct open_container){.object = ch == '{'};
            depth++;
        } else if ((ch == '}' || ch == ']') && depth > 0) {
            depth--;
        } else if (top != NULL) {
            walked_byte(top, ch);
        }
    }
    struct pointer p = {.out = out, .capacity = capacity - 1};
    for (size_t i = 0; i < depth && i < MAX_STEPS; i++) {
        if (!stack[i].object)
            put_index(&p, stack[i].index);
        else if (stack[i].named)
            put_name(&p, stack[i].name);
    }
    out[p.n] = '\0';
}
