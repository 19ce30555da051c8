/* Recovery: what the segments say, and what is left of it. */
#include "engine/spool/internal.h"
#include "engine/spool/table.h"
#include "status.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_PIECE (1u << 20)
#define READ_BLOCK 4096u

struct recovery {
    struct spool *s;
    struct listing listing;
    struct table table;
    unsigned char *bytes;    /* LIMIT_SEGMENT: the segment being scanned */
    uint64_t *previous_ends; /* by the heads; LIMIT_SPOOL_SEGMENTS */
    bool damaged;            /* some records could not be read: whose they were is not known */
};

/* ---- reading a segment ------------------------------------------------------------------- */

/* Blocks that the disk does not give are zero: they will not verify, but others will. */
static void read_blocks(struct recovery *r, int fd, size_t at, size_t n)
{
    int error = 0;
    for (size_t i = 0; i < n; i += READ_BLOCK) {
        size_t part = n - i < READ_BLOCK ? n - i : READ_BLOCK;
        int e = read_exactly(fd, r->bytes + at + i, part, at + i);
        if (e != 0) {
            memset(r->bytes + at + i, 0, part);
            error = -e;
        }
    }
    if (error != 0)
        (void)spool_system_failed(r->s, "pread", error);
}

/* Fills r->bytes up to `limit` with the file, zero bytes behind its end. */
static void read_segment(struct recovery *r, int fd, size_t size, size_t limit)
{
    if (size > limit)
        size = limit;
    for (size_t at = 0; at < size; at += READ_PIECE) {
        size_t n = size - at < READ_PIECE ? size - at : READ_PIECE;
        if (read_exactly(fd, r->bytes + at, n, at) != 0)
            read_blocks(r, fd, at, n);
    }
    memset(r->bytes + size, 0, limit - size);
}

/* The size, at most LIMIT_SEGMENT; -1 when it is no regular file. */
static int64_t segment_size(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return -1;
    return st.st_size < LIMIT_SEGMENT ? st.st_size : LIMIT_SEGMENT;
}

/* ---- heads ------------------------------------------------------------------------------- */

/* A segment without a sound head: one that was being made when all ended, and so never used, or one
 * that was damaged. */
static void set_aside(struct recovery *r, int fd, uint64_t sequence, size_t size)
{
    char name[NAME_SIZE];
    name_segment(name, sequence);
    read_segment(r, fd, size, size);
    if (scan_blank(span_from(span_of(r->bytes, size), SEGMENT_BEGIN))) {
        if (unlinkat(r->s->directory, name, 0) != 0)
            (void)spool_system_failed(r->s, "unlinkat", errno);
        return;
    }
    r->damaged = true;
    spool_tell(r->s, (struct spool_event){.kind = SPOOL_EVENT_UNREADABLE,
                                          .segment = sequence,
                                          .length = size,
                                          .name = span_str(name)});
    (void)quarantine_file(r->s, name);
}

static enum spool_status take_segment(struct recovery *r, uint64_t sequence)
{
    struct spool *s = r->s;
    struct segment g = {
        .sequence = sequence, .fd = -1, .end = SEGMENT_BEGIN, .synced = SEGMENT_BEGIN};
    struct segment_head head;
    unsigned char bytes[SEGMENT_BEGIN] = {0};
    if (!segment_open(s, &g))
        return spool_system_failed(s, "openat", s->error);
    int64_t size = segment_size(g.fd);
    /* Read copy by copy: one may be in a block that can't be read. */
    for (unsigned i = 0; i < 2; i++)
        (void)read_exactly(g.fd, bytes + i * SEGMENT_HEAD_COPY, SEGMENT_HEAD_COPY,
                           i * SEGMENT_HEAD_COPY);
    if (size < 0) {
        char name[NAME_SIZE];
        name_segment(name, sequence);
        r->damaged = true;
        spool_tell(s,
                   (struct spool_event){.kind = SPOOL_EVENT_UNKNOWN_FILE, .name = span_str(name)});
    } else if (!head_read(span_of(bytes, sizeof bytes), sequence, &head)) {
        set_aside(r, g.fd, sequence, (size_t)size);
    } else {
        if (s->segment_count == LIMIT_SPOOL_SEGMENTS) {
            (void)close(g.fd);
            return spool_system_failed(s, "segments", EOVERFLOW);
        }
        g.seal = head.seal;
        if (head.last_queue_id > s->last_queue_id)
            s->last_queue_id = head.last_queue_id;
        r->previous_ends[s->segment_count] = head.previous_end;
        s->segments[s->segment_count++] = g;
        return SPOOL_OK;
    }
    (void)close(g.fd);
    return SPOOL_OK;
}

/* ---- records ----------------------------------------------------------------------------- */

static void damage(struct recovery *r, const struct segment *g, enum spool_event_kind kind,
                   size_t offset, size_t length)
{
    /* Zero bytes at the end say nothing. */
    size_t n = length;
    while (n > 0 && r->bytes[offset + n - 1] == 0)
        n--;
    r->damaged = true;
    spool_tell(r->s, (struct spool_event){.kind = kind,
                                          .segment = g->sequence,
                                          .offset = offset,
                                          .length = kind == SPOOL_EVENT_TORN ? n : length});
    if (n > 0)
        quarantine_bytes(r->s, g->sequence, (uint32_t)offset, span_of(r->bytes + offset, n));
}

enum applied { APPLIED, APPLIED_NOT, APPLIED_STRAY, APPLIED_NO_MEMORY };

static enum applied apply(struct recovery *r, const struct record *record,
                          const struct table_place *place)
{
    struct spool_mail mail;
    struct done_record done;
    struct defer_record defer;
    bool held;
    uint64_t id = record->queue_id;
    switch (record->kind) {
    case RECORD_MAIL:
        if (!mail_decode(record, &mail, r->s->loaded_recipients))
            return APPLIED_NOT;
        return table_add(&r->table, &mail, place) ? APPLIED : APPLIED_NO_MEMORY;
    case RECORD_DONE:
        if (!done_decode(record, &done))
            return APPLIED_NOT;
        return table_done(&r->table, id, &done) ? APPLIED : APPLIED_STRAY;
    case RECORD_DEFER:
        if (!defer_decode(record, &defer))
            return APPLIED_NOT;
        return table_defer(&r->table, id, &defer, place) ? APPLIED : APPLIED_STRAY;
    case RECORD_HOLD:
        if (!hold_decode(record, &held))
            return APPLIED_NOT;
        table_hold(&r->table, id, held);
        return APPLIED;
    case RECORD_HEAD:
        break;
    }
    return APPLIED_NOT;
}

/* False: no memory. */
static bool take_record(struct recovery *r, const struct segment *g, const struct record *record,
                        size_t offset)
{
    struct table_place place = {
        .segment = g->sequence, .offset = (uint32_t)offset, .length = record->length};
    enum applied applied = apply(r, record, &place);
    if (applied == APPLIED_NOT)
        damage(r, g, SPOOL_EVENT_CORRUPT, offset, record->length);
    if (applied == APPLIED_STRAY)
        spool_tell(r->s, (struct spool_event){.kind = SPOOL_EVENT_STRAY_DONE,
                                              .segment = g->sequence,
                                              .offset = offset,
                                              .queue_id = record->queue_id});
    if (record->queue_id > r->s->last_queue_id)
        r->s->last_queue_id = record->queue_id;
    return applied != APPLIED_NO_MEMORY;
}

/* end: where records end by the next segment's head; 0: not known, they end where none is sound. */
static enum spool_status scan_segment(struct recovery *r, struct segment *g, uint64_t end)
{
    int64_t size = segment_size(g->fd);
    if (size < 0)
        return spool_system_failed(r->s, "fstat", EIO);
    size_t limit = end != 0 ? end : (size_t)size;
    read_segment(r, g->fd, (size_t)size, limit);
    struct scan scan = {
        .bytes = span_of(r->bytes, limit), .seal = g->seal, .exact = end != 0, .at = SEGMENT_BEGIN};
    struct record record;
    size_t offset, length;
    enum scan_found found;
    while ((found = scan_next(&scan, &offset, &length, &record)) != SCAN_END) {
        if (found == SCAN_RECORD) {
            if (!take_record(r, g, &record, offset))
                return spool_system_failed(r->s, "malloc", ENOMEM);
            g->end = (uint32_t)(offset + length);
        } else {
            bool torn = found == SCAN_TAIL && end == 0;
            damage(r, g, torn ? SPOOL_EVENT_TORN : SPOOL_EVENT_CORRUPT, offset, length);
            r->s->appendable = false;
        }
    }
    if (g->end > SEGMENT_BEGIN || size != LIMIT_SEGMENT)
        r->s->appendable = false;
    if (end != 0)
        g->end = (uint32_t)end;
    g->synced = g->end;
    return SPOOL_OK;
}

static enum spool_status scan_all(struct recovery *r)
{
    struct spool *s = r->s;
    for (unsigned i = 0; i < s->segment_count; i++) {
        struct segment *g = &s->segments[i];
        bool followed = i + 1 < s->segment_count && g[1].sequence == g->sequence + 1;
        if (i > 0 && g[-1].sequence + 1 != g->sequence) {
            r->damaged = true;
            spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_GAP,
                                               .segment = g[-1].sequence + 1,
                                               .length = g->sequence - g[-1].sequence - 1});
        }
        /* Only a last one that was made and never written to may be written to. */
        s->appendable = i + 1 == s->segment_count;
        enum spool_status status = scan_segment(r, g, followed ? r->previous_ends[i + 1] : 0);
        if (status != SPOOL_OK)
            return status;
    }
    /* What was read may be in the page cache only; what is built on it must not be ahead of it. */
    struct segment *last = segment_last(s);
    if (last && fdatasync(last->fd) != 0)
        return spool_system_failed(s, "fdatasync", errno);
    return SPOOL_OK;
}

/* ---- reporting --------------------------------------------------------------------------- */

struct report {
    struct spool_recipient_state *states; /* LIMIT_RECIPIENTS_MAX */
    unsigned char *reasons;               /* LIMIT_RECIPIENTS_MAX * LIMIT_REASON */
};

/* Copies the reason out of a deferral's record; empty when it can't be read any more. */
static struct span read_reason(struct spool *s, const struct table_recipient *t, unsigned char *out)
{
    unsigned char bytes[RECORD_SMALL_MAX];
    struct segment *g = segment_find(s, t->segment);
    struct record record;
    struct defer_record defer;
    if (!g || t->length > sizeof bytes || !segment_open(s, g) ||
        read_exactly(g->fd, bytes, t->length, t->offset) != 0 ||
        !record_check(span_of(bytes, t->length), g->seal, &record) ||
        !defer_decode(&record, &defer))
        return SPAN_EMPTY;
    memcpy(out, defer.reason.p, defer.reason.n);
    return span_of(out, defer.reason.n);
}

static void fill_states(struct recovery *r, const struct table_mail *m, struct report *report)
{
    BUG_ON(!report->states);
    for (unsigned i = 0; i < m->recipients; i++) {
        const struct table_recipient *t = &m->states[i];
        report->states[i] = (struct spool_recipient_state){.finished = t->finished,
                                                           .attempts = t->attempts,
                                                           .notices = t->notices,
                                                           .next_attempt = t->next_attempt,
                                                           .reason = SPAN_EMPTY};
        if (t->segment != 0 && !t->finished)
            report->states[i].reason =
                read_reason(r->s, t, report->reasons + (size_t)i * LIMIT_REASON);
    }
}

static bool large_is_there(struct spool *s, const struct spool_mail *mail)
{
    int fd = large_open(s, mail->queue_id, mail->body_size);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static enum spool_status report_mail(struct recovery *r, const struct table_mail *m,
                                     struct report *report)
{
    struct spool *s = r->s;
    struct record record;
    struct spool_recovered found = {.ref = {.segment = m->segment,
                                            .queue_id = m->queue_id,
                                            .offset = m->offset,
                                            .length = m->length,
                                            .recipients = m->recipients,
                                            .left = m->left,
                                            .large = m->large},
                                    .states = report->states};
    /* It verified a moment ago: that it doesn't now is a failing disk, no damage to live with. */
    enum spool_status status = load_record(s, &found.ref, &found.mail, &record);
    if (status != SPOOL_OK)
        return spool_system_failed(s, "load", status == SPOOL_CORRUPT ? EIO : s->error);
    found.mail.held = m->held;
    found.ref.body_size = found.mail.body_size;
    found.ref.body_crc = found.mail.body_crc;
    found.ref.body_offset = m->offset + RECORD_HEADER + (uint32_t)record.envelope.n;
    fill_states(r, m, report);
    if (m->large && !large_is_there(s, &found.mail)) {
        found.body_missing = true;
        spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_LARGE_MISSING,
                                           .segment = m->segment,
                                           .offset = m->offset,
                                           .queue_id = m->queue_id});
    }
    segment_find(s, m->segment)->live++;
    s->live++;
    s->config.recovered(s->config.context, &found);
    return SPOOL_OK;
}

static enum spool_status report_all(struct recovery *r)
{
    size_t count;
    struct table_mail **list = table_list(&r->table, &count);
    struct report report = {
        .states = calloc(LIMIT_RECIPIENTS_MAX, sizeof *report.states),
        .reasons = malloc((size_t)LIMIT_RECIPIENTS_MAX * LIMIT_REASON),
    };
    enum spool_status status = SPOOL_OK;
    if ((count > 0 && !list) || !report.states || !report.reasons)
        status = spool_system_failed(r->s, "malloc", ENOMEM);
    BUG_ON(status == SPOOL_OK && count > 0 && !list);
    for (size_t i = 0; i < count && status == SPOOL_OK; i++)
        status = report_mail(r, list[i], &report);
    free(list);
    free(report.states);
    free(report.reasons);
    return status;
}

/* Files that no mail names: of mails that were never stored, or are finished. Where records were
 * damaged one of those may have named them, so that they are kept. */
static void clear_large(struct recovery *r)
{
    struct spool *s = r->s;
    for (size_t i = 0; i < r->listing.large_count; i++) {
        uint64_t id = r->listing.large[i];
        const struct table_mail *m = table_find(&r->table, id);
        if (m && m->large)
            continue;
        char name[NAME_SIZE];
        name_large(name, id);
        struct spool_event event = {
            .kind = SPOOL_EVENT_LARGE_DISCARDED, .queue_id = id, .name = span_str(name)};
        if (r->damaged) {
            event.kind = SPOOL_EVENT_LARGE_ORPHAN;
            (void)quarantine_file(s, name);
        } else {
            large_remove(s, id);
        }
        spool_tell(s, event);
    }
}

static enum spool_status run(struct recovery *r)
{
    struct spool *s = r->s;
    enum spool_status status = listing_read(s, &r->listing);
    if (status != SPOOL_OK)
        return status;
    s->last_sequence = r->listing.highest;
    r->bytes = malloc(LIMIT_SEGMENT);
    r->previous_ends = calloc(LIMIT_SPOOL_SEGMENTS, sizeof *r->previous_ends);
    if (!r->bytes || !r->previous_ends)
        return spool_system_failed(s, "malloc", ENOMEM);
    for (size_t i = 0; i < r->listing.segment_count && status == SPOOL_OK; i++)
        status = take_segment(r, r->listing.segments[i]);
    if (status == SPOOL_OK)
        status = scan_all(r);
    if (status == SPOOL_OK)
        status = report_all(r);
    if (status == SPOOL_OK)
        clear_large(r);
    return status;
}

enum spool_status spool_recover(struct spool *s)
{
    struct recovery r = {.s = s};
    BUG_ON(s->recovered);
    enum spool_status status = run(&r);
    listing_free(&r.listing);
    table_destroy(&r.table);
    free(r.bytes);
    free(r.previous_ends);
    s->recovered = status == SPOOL_OK;
    return status;
}
