/* Fields of a message: written with a bound, read with a sticky error. */
#include "engine/ipc/ipc.h"

static void put(struct msg_writer *w, const void *p, size_t n)
{
    if (w->overflow || n > w->capacity - w->n) {
        w->overflow = true;
        return;
    }
    if (n > 0)
        memcpy(w->p + w->n, p, n);
    w->n += n;
}

void msg_put_u8(struct msg_writer *w, uint8_t v)
{
    put(w, &v, sizeof v);
}

void msg_put_u16(struct msg_writer *w, uint16_t v)
{
    put(w, &v, sizeof v);
}

void msg_put_u32(struct msg_writer *w, uint32_t v)
{
    put(w, &v, sizeof v);
}

void msg_put_u64(struct msg_writer *w, uint64_t v)
{
    put(w, &v, sizeof v);
}

void msg_put_span(struct msg_writer *w, struct span s)
{
    if (s.n > UINT32_MAX) {
        w->overflow = true;
        return;
    }
    msg_put_u32(w, (uint32_t)s.n);
    put(w, s.p, s.n);
}

static void get(struct msg_reader *r, void *p, size_t n)
{
    if (r->bad || r->in.n < n) {
        r->bad = true;
        memset(p, 0, n);
        return;
    }
    memcpy(p, r->in.p, n);
    r->in = span_from(r->in, n);
}

uint8_t msg_get_u8(struct msg_reader *r)
{
    uint8_t v;
    get(r, &v, sizeof v);
    return v;
}

uint16_t msg_get_u16(struct msg_reader *r)
{
    uint16_t v;
    get(r, &v, sizeof v);
    return v;
}

uint32_t msg_get_u32(struct msg_reader *r)
{
    uint32_t v;
    get(r, &v, sizeof v);
    return v;
}

uint64_t msg_get_u64(struct msg_reader *r)
{
    uint64_t v;
    get(r, &v, sizeof v);
    return v;
}

struct span msg_get_span(struct msg_reader *r, size_t max)
{
    size_t n = msg_get_u32(r);
    if (r->bad || n > max || n > r->in.n) {
        r->bad = true;
        return SPAN_EMPTY;
    }
    struct span s = span_of(r->in.p, n);
    r->in = span_from(r->in, n);
    return s;
}

bool msg_get_end(const struct msg_reader *r)
{
    return !r->bad && r->in.n == 0;
}
