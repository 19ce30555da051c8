/* The tables under way, and the image that they become. */
#include "policy/compile_internal.h"
#include "status.h"
#include <errno.h>
#include <stdlib.h>

void *compile_allocate(size_t n)
{
    void *p = malloc(n);
    if (p == NULL)
        fatal_env(EXIT_OSERR, errno, "no memory to compile the policy");
    return p;
}

static void append(struct buffer *b, const void *p, size_t n)
{
    if (n > b->capacity - b->n) {
        size_t capacity = b->capacity == 0 ? 1024 : b->capacity;
        while (capacity - b->n < n)
            capacity *= 2;
        unsigned char *grown = realloc(b->p, capacity);
        if (grown == NULL)
            fatal_env(EXIT_OSERR, errno, "no memory to compile the policy");
        b->p = grown;
        b->capacity = capacity;
    }
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

uint32_t compile_count(const struct compiler *c, enum policy_table table)
{
    return (uint32_t)(c->tables[table].n / format_tables[table].record_size);
}

/* True when n more records have room; else tells so, once. */
static bool has_room(struct compiler *c, const struct place *at, enum policy_table table, size_t n)
{
    const struct format_table *t = &format_tables[table];
    if (n <= t->max - compile_count(c, table))
        return true;
    if (!c->full[table])
        compile_remedy(
            compile_error(c, at, "too much for one policy: %s can be at most %u", t->name, t->max),
            "make the policy smaller");
    c->full[table] = true;
    return false;
}

uint32_t compile_append(struct compiler *c, const struct place *at, enum policy_table table,
                        const void *record)
{
    uint32_t count = compile_count(c, table);
    if (!has_room(c, at, table, 1))
        return count - 1;
    append(&c->tables[table], record, format_tables[table].record_size);
    return count;
}

void *compile_record(struct compiler *c, enum policy_table table, uint32_t index)
{
    BUG_ON(index >= compile_count(c, table));
    return c->tables[table].p + (size_t)index * format_tables[table].record_size;
}

struct rec_string compile_string(struct compiler *c, const struct place *at, struct span s)
{
    if (!has_room(c, at, POLICY_BYTES, s.n))
        return (struct rec_string){0};
    struct rec_string r = {.offset = compile_count(c, POLICY_BYTES), .length = (uint32_t)s.n};
    append(&c->tables[POLICY_BYTES], s.p, s.n);
    return r;
}

struct span compile_string_span(const struct compiler *c, struct rec_string s)
{
    return s.length == 0 ? SPAN_EMPTY : span_of(c->tables[POLICY_BYTES].p + s.offset, s.length);
}

struct policy_range compile_range(const struct compiler *c, enum policy_table table, uint32_t first)
{
    return (struct policy_range){.first = first, .count = compile_count(c, table) - first};
}

void compile_assemble(struct compiler *c)
{
    struct rec_header h = {
        .magic = FORMAT_MAGIC, .version = FORMAT_VERSION, .table_count = POLICY_TABLE_COUNT};
    uint64_t end = sizeof h;
    for (unsigned i = 0; i < POLICY_TABLE_COUNT; i++) {
        end = format_align(end);
        if (end > LIMIT_POLICY_IMAGE)
            break;
        h.tables[i] = (struct rec_table){.offset = (uint32_t)end,
                                         .count = compile_count(c, (enum policy_table)i)};
        end += c->tables[i].n;
    }
    if (end > LIMIT_POLICY_IMAGE) {
        struct place root = {0};
        compile_remedy(compile_error(c, &root,
                                     "too much for one policy: its image would be over "
                                     "%u bytes",
                                     LIMIT_POLICY_IMAGE),
                       "make the policy smaller");
        return;
    }
    h.size = end;
    unsigned char *image = compile_allocate((size_t)end);
    memset(image, 0, (size_t)end);
    for (unsigned i = 0; i < POLICY_TABLE_COUNT; i++)
        if (c->tables[i].n > 0)
            memcpy(image + h.tables[i].offset, c->tables[i].p, c->tables[i].n);
    memcpy(image, &h, sizeof h);
    h.checksum = format_checksum(span_of(image, (size_t)end));
    memcpy(image, &h, sizeof h);
    c->out->image = image;
    c->out->image_size = (size_t)end;
}
