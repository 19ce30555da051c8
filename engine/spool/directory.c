/* Listing of the shard's directory. */
#include "engine/spool/file.h"
#include "engine/spool/internal.h"
#include <errno.h>
#include <stdlib.h>

/* Takes 16 lower-case hexadecimal digits. */
static bool take_hex(struct span *in, uint64_t *value)
{
    static const char digits[] = "0123456789abcdef";
    if (in->n < 16)
        return false;
    *value = 0;
    for (int i = 0; i < 16; i++) {
        const char *d = in->p[i] ? strchr(digits, in->p[i]) : NULL;
        if (!d)
            return false;
        *value = *value << 4 | (uint64_t)(d - digits);
    }
    *in = span_from(*in, 16);
    return true;
}

static bool take(struct span *in, struct span text)
{
    if (in->n < text.n || !span_eq(span_head(*in, text.n), text))
        return false;
    *in = span_from(*in, text.n);
    return true;
}

static bool add(uint64_t **list, size_t *count, uint64_t value)
{
    /* Grown at each power of two. */
    if ((*count & (*count - 1)) == 0) {
        uint64_t *grown = reallocarray(*list, *count == 0 ? 1 : 2 * *count, sizeof **list);
        if (!grown)
            return false;
        *list = grown;
    }
    (*list)[(*count)++] = value;
    return true;
}

static void note_sequence(struct listing *l, uint64_t sequence)
{
    if (sequence > l->highest)
        l->highest = sequence;
}

/* False: no memory. */
static bool classify(struct spool *s, struct listing *l, const char *name)
{
    struct span rest = span_str(name);
    uint64_t number;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, NAME_LOCK) == 0)
        return true;
    if (take(&rest, SPAN_LIT("segment-")) && take_hex(&rest, &number) &&
        span_eq(rest, SPAN_LIT(".log")) && number > 0 && number < UINT64_MAX) {
        note_sequence(l, number);
        return add(&l->segments, &l->segment_count, number);
    }
    rest = span_str(name);
    if (take(&rest, SPAN_LIT("large-")) && take_hex(&rest, &number) && rest.n == 0)
        return add(&l->large, &l->large_count, number);
    rest = span_str(name);
    if (take(&rest, SPAN_LIT("spare-")) && take_hex(&rest, &number) && rest.n == 0)
        return add(&l->spares, &l->spare_count, number);
    rest = span_str(name);
    if (take(&rest, SPAN_LIT("quarantine-"))) {
        s->quarantined++;
        (void)take(&rest, SPAN_LIT("segment-"));
        if (take_hex(&rest, &number) && number < UINT64_MAX)
            note_sequence(l, number);
        return true;
    }
    rest = span_str(name);
    if (take(&rest, SPAN_LIT("suspended"))) /* the worker's (workers/connection/suspend.h) */
        return true;
    spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_UNKNOWN_FILE, .name = span_str(name)});
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct reading {
    struct spool *s;
    struct listing *l;
    bool memory;
};

static bool each(void *context, const char *name)
{
    struct reading *r = context;
    r->memory = classify(r->s, r->l, name);
    return r->memory;
}

enum spool_status listing_read(struct spool *s, struct listing *l)
{
    struct reading r = {.s = s, .l = l, .memory = true};
    *l = (struct listing){0};
    int error = file_list(s->directory, each, &r);
    if (error < 0 || !r.memory)
        return spool_system_failed(s, "readdir", r.memory ? -error : ENOMEM);
    if (l->segment_count > 0)
        qsort(l->segments, l->segment_count, sizeof *l->segments, by_number);
    if (l->large_count > 0)
        qsort(l->large, l->large_count, sizeof *l->large, by_number);
    return SPOOL_OK;
}

void listing_free(struct listing *l)
{
    free(l->segments);
    free(l->large);
    free(l->spares);
    *l = (struct listing){0};
}
