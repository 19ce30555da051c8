/*
 * The scanner for message data, and dot-stuffing.
 *
 * It works on blocks of 64 bytes, of which it needs only where CR, LF, '.', NUL and bytes from
 * 0x80 are: five masks of 64 bits. What a line is then follows by shifts, so that ordinary text
 * costs the same whatever its lines are like. Only a dot at the beginning of a line, the one place
 * where the content differs from what was transferred, is looked at byte by byte.
 */
#include "engine/smtp/data.h"
#include "status.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 64

enum {
    STATE_TEXT,   /* content; line_start and after_cr say what the byte before was */
    STATE_DOT,    /* a dot at the beginning of a line was read, and is not content */
    STATE_DOT_CR, /* and a CR, which is content unless LF follows */
    STATE_LF,     /* a bare LF was made CRLF */
    STATE_END
};

struct masks {
    uint64_t cr;
    uint64_t lf;
    uint64_t dot;
    uint64_t nul;
    uint64_t eight_bit;
};

#ifdef __SSE2__
static inline uint64_t movemask(__m128i v, unsigned shift)
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(v) << shift;
}

static inline struct masks block_masks(const unsigned char *p)
{
    const __m128i cr = _mm_set1_epi8('\r');
    const __m128i lf = _mm_set1_epi8('\n');
    const __m128i dot = _mm_set1_epi8('.');
    struct masks m = {0};

    for (unsigned i = 0; i < BLOCK; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        m.cr |= movemask(_mm_cmpeq_epi8(v, cr), i);
        m.lf |= movemask(_mm_cmpeq_epi8(v, lf), i);
        m.dot |= movemask(_mm_cmpeq_epi8(v, dot), i);
        m.nul |= movemask(_mm_cmpeq_epi8(v, _mm_setzero_si128()), i);
        m.eight_bit |= movemask(v, i);
    }
    return m;
}
#else
static inline struct masks block_masks(const unsigned char *p)
{
    struct masks m = {0};

    for (unsigned i = 0; i < BLOCK; i++) {
        uint64_t bit = UINT64_C(1) << i;
        m.cr |= p[i] == '\r' ? bit : 0;
        m.lf |= p[i] == '\n' ? bit : 0;
        m.dot |= p[i] == '.' ? bit : 0;
        m.nul |= p[i] == 0 ? bit : 0;
        m.eight_bit |= p[i] >= 0x80 ? bit : 0;
    }
    return m;
}
#endif

/* The n lowest bits, 0 <= n <= 64. */
static inline uint64_t low_bits(size_t n)
{
    return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

static inline void flag(struct smtp_data *d, bool defective, enum smtp_defect defect)
{
    if (defective)
        d->defects = (uint8_t)(d->defects | defect);
}

static inline void line_grows(struct smtp_data *d, size_t n)
{
    d->line = n > UINT32_MAX - d->line ? UINT32_MAX : d->line + (uint32_t)n;
}

/* The line under way ended, or goes on, over the limit. A CR at its end may yet be that of CRLF. */
static inline void check_line(struct smtp_data *d, size_t bytes)
{
    flag(d, bytes > LIMIT_SMTP_TEXT_LINE, SMTP_DEFECT_LINE_TOO_LONG);
}

/*
 * Takes up to n bytes (n <= BLOCK) of content that m describes, up to a dot at the beginning of a
 * line, or a bare LF that is to be mended. Returns how many were taken.
 */
static inline size_t take_block(struct smtp_data *d, const struct masks *m, size_t n)
{
    uint64_t all = low_bits(n);
    uint64_t after_cr = m->cr << 1 | (d->after_cr ? 1 : 0); /* where LF would end a line */
    uint64_t ends = m->lf & after_cr & all;
    uint64_t stop = m->dot & (ends << 1 | (d->line_start ? 1 : 0)) & all;

    if (d->normalise)
        stop |= m->lf & ~after_cr & all;
    if (stop != 0) {
        n = (size_t)__builtin_ctzll(stop);
        if (n == 0)
            return 0;
        all = low_bits(n);
        ends &= all;
    }
    flag(d, (after_cr & ~m->lf & all) != 0, SMTP_DEFECT_BARE_CR);
    flag(d, (m->lf & ~after_cr & all) != 0, SMTP_DEFECT_BARE_LF);
    flag(d, (m->nul & all) != 0, SMTP_DEFECT_NUL);
    flag(d, (m->eight_bit & all) != 0, SMTP_DEFECT_EIGHT_BIT);
    if (ends != 0) {
        /* d->line counts the CR, also where it was the last byte of the block before. */
        check_line(d, (size_t)d->line + (size_t)__builtin_ctzll(ends) - 1);
        d->line = (uint32_t)(n - 1 - (size_t)(63 - __builtin_clzll(ends)));
    } else {
        line_grows(d, n);
        check_line(d, d->line - (m->cr >> (n - 1) & 1));
    }
    d->after_cr = (m->cr >> (n - 1) & 1) != 0;
    d->line_start = (ends >> (n - 1) & 1) != 0;
    return n;
}

/* Content from the front of in, up to where take_block stops. */
static size_t take_text(struct smtp_data *d, struct span in)
{
    size_t done = 0;

    while (done < in.n) {
        size_t n = in.n - done;
        struct masks m;
        size_t taken;

        if (n >= BLOCK) {
            n = BLOCK;
            m = block_masks(in.p + done);
        } else {
            unsigned char rest[BLOCK] = {0};
            memcpy(rest, in.p + done, n);
            m = block_masks(rest);
        }
        taken = take_block(d, &m, n);
        done += taken;
        if (taken < n)
            break;
    }
    return done;
}

void smtp_data_begin(struct smtp_data *d, uint64_t max)
{
    *d = (struct smtp_data){.max = max, .state = STATE_TEXT, .line_start = true};
}

void smtp_data_normalise(struct smtp_data *d)
{
    d->normalise = true;
}

/* What take_text stopped at: a dot at the beginning of a line, which is not content, or a bare LF
 * in whose place CRLF is. */
static struct span take_stop(struct smtp_data *d, struct span *in)
{
    bool dot = in->p[0] == '.';

    *in = span_from(*in, 1);
    d->state = dot ? STATE_DOT : STATE_LF;
    if (dot)
        return SPAN_EMPTY;
    d->line = 0;
    d->line_start = false;
    return SPAN_LIT("\r\n");
}

/* Behind a dot at the beginning of a line: the end of the message, or content. A CR stays in *in
 * unless it is the last byte there. */
static void after_dot(struct smtp_data *d, struct span *in)
{
    if (in->p[0] == '\r' && in->n == 1) {
        *in = span_from(*in, 1);
        d->state = STATE_DOT_CR;
    } else if (in->p[0] == '\r' && in->p[1] == '\n') {
        *in = span_from(*in, 2);
        d->state = STATE_END;
    } else {
        flag(d, in->p[0] == '.', SMTP_DEFECT_DOT_LINES);
        d->state = STATE_TEXT;
        d->line_start = false;
    }
}

/* The CR behind that dot was content after all: its own byte has gone with the input before. */
static struct span late_cr(struct smtp_data *d)
{
    d->state = STATE_TEXT;
    d->line_start = false;
    d->after_cr = true;
    line_grows(d, 1);
    return SPAN_LIT("\r");
}

static struct span step(struct smtp_data *d, struct span *in)
{
    struct span content = SPAN_EMPTY;

    switch (d->state) {
    case STATE_TEXT:
        content = span_head(*in, take_text(d, *in));
        *in = span_from(*in, content.n);
        if (content.n == 0)
            content = take_stop(d, in);
        break;
    case STATE_LF:
        flag(d, in->p[0] == '.', SMTP_DEFECT_DOT_LINES);
        d->state = STATE_TEXT;
        break;
    case STATE_DOT:
        after_dot(d, in);
        break;
    case STATE_DOT_CR:
        if (in->p[0] != '\n') {
            content = late_cr(d);
            break;
        }
        *in = span_from(*in, 1);
        d->state = STATE_END;
        break;
    default:
        BUG_ON(true);
    }
    return content;
}

/* n bytes more of content. */
static void count(struct smtp_data *d, size_t n)
{
    d->size = n > UINT64_MAX - d->size ? UINT64_MAX : d->size + n;
    flag(d, d->max != 0 && d->size > d->max, SMTP_DEFECT_TOO_BIG);
}

void smtp_data_octets(struct smtp_data *d, struct span octets)
{
    count(d, octets.n);
    while (octets.n > 0) {
        octets = span_from(octets, take_text(d, octets));
        if (octets.n == 0)
            break;
        /* A dot at the beginning of a line, which here is content as any other. */
        octets = span_from(octets, 1);
        flag(d, true, SMTP_DEFECT_DOT_LINES);
        d->line_start = false;
        line_grows(d, 1);
    }
}

void smtp_data_finish(struct smtp_data *d)
{
    flag(d, d->after_cr, SMTP_DEFECT_BARE_CR);
    flag(d, !d->line_start, SMTP_DEFECT_DOT_LINES);
}

enum smtp_data_step smtp_data_next(struct smtp_data *d, struct span *in, struct span *body)
{
    while (in->n > 0) {
        struct span content = step(d, in);

        if (d->state == STATE_END)
            return SMTP_DATA_END;
        count(d, content.n);
        if (content.n > 0 && (d->defects & SMTP_DEFECT_TOO_BIG) == 0) {
            *body = content;
            return SMTP_DATA_BODY;
        }
    }
    return SMTP_DATA_MORE;
}

/* ---- sending ---------------------------------------------------------------------------- */

void smtp_stuff_begin(struct smtp_stuffer *s)
{
    *s = (struct smtp_stuffer){.line_start = true};
}

/* The length of the line at the front of in with its CRLF, or of all of in. */
static size_t line_extent(struct smtp_stuffer *s, struct span in)
{
    size_t from = 0;

    s->line_start = false;
    while (from < in.n) {
        const unsigned char *lf = memchr(in.p + from, '\n', in.n - from);
        if (lf == NULL)
            break;
        from = (size_t)(lf - in.p) + 1;
        if (from >= 2 ? lf[-1] == '\r' : s->after_cr) {
            s->line_start = true;
            s->after_cr = false;
            return from;
        }
    }
    s->after_cr = in.p[in.n - 1] == '\r';
    return in.n;
}

bool smtp_stuff(struct smtp_stuffer *s, struct span *in, struct smtp_out *out)
{
    while (in->n > 0) {
        size_t room = out->capacity - out->n;
        size_t n;

        /* The dot and its double go together: that needs no state of its own. */
        if (s->line_start && in->p[0] == '.') {
            if (room < 2)
                return false;
            smtp_out_put(out, SPAN_LIT("."));
            room--;
        }
        if (room == 0)
            return false;
        n = line_extent(s, span_head(*in, room));
        smtp_out_put(out, span_head(*in, n));
        *in = span_from(*in, n);
    }
    return true;
}

struct span smtp_stuff_end(const struct smtp_stuffer *s)
{
    return s->line_start ? SPAN_LIT(".\r\n") : SPAN_LIT("\r\n.\r\n");
}
