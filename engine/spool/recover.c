/* Recovery: what the segments say, and what is left of it. */
#include "engine/spool/file.h"
#include "crash_point.h"
#include "engine/spool/internal.h"
#include "engine/spool/table.h"
#include "status.h"
#include <errno.h>
#include <stdlib.h>

/* What is known of a segment before its records are read. */
struct found {
    bool opened; /* its opening is sound: then it says where the one before ends */
    bool blank;
    uint64_t previous_end;
    bool previous_whole;
};

struct recovery {
    struct spool *s;
    struct listing listing;
    struct table table;
    struct window window;
    struct found *found; /* LIMIT_SPOOL_SEGMENTS, as the spool's segments */
    bool damaged;        /* some records could not be read: whose they were is not known */
};

/* ---- heads ------------------------------------------------------------------------------- */

/* A segment without a sound head. It had its head before it had its name, so that this is damage.
 */
static enum spool_status set_aside(struct recovery *r, struct span head, uint64_t sequence,
                                   size_t size)
{
    char name[NAME_SIZE];
    unsigned version = head_version(head);
    struct spool_event event = {
        .kind = SPOOL_EVENT_UNREADABLE, .segment = sequence, .length = size};
    name_segment(name, sequence);
    event.name = span_str(name);
    if (version != 0 && version != RECORD_VERSION) {
        event.kind = SPOOL_EVENT_VERSION;
        event.length = version;
        spool_tell(r->s, event);
        r->s->error = EPROTONOSUPPORT;
        return SPOOL_FAILED;
    }
    r->damaged = true;
    spool_tell(r->s, event);
    (void)quarantine_file(r->s, name);
    return SPOOL_OK;
}

/* Copy by copy: one may be in a block that can't be read. */
static void read_copies(int fd, unsigned char bytes[SEGMENT_BEGIN])
{
    memset(bytes, 0, SEGMENT_BEGIN);
    for (unsigned at = 0; at < SEGMENT_BEGIN; at += SEGMENT_COPY)
        (void)read_exactly(fd, bytes + at, SEGMENT_COPY, at);
}

static enum spool_status add_segment(struct recovery *r, struct segment *g, struct span bytes,
                                     const struct segment_head *head)
{
    struct spool *s = r->s;
    struct segment_opening opening;
    if (s->segment_count == LIMIT_SPOOL_SEGMENTS)
        return spool_system_failed(s, "segments", EOVERFLOW);
    struct found *f = &r->found[s->segment_count];
    *f = (struct found){.blank = head->blank};
    if (opening_read(span_from(bytes, SEGMENT_HEAD), head->seal, &opening)) {
        f->opened = true;
        f->previous_end = opening.previous_end;
        f->previous_whole = opening.previous_whole;
        if (opening.last_queue_id > s->last_queue_id)
            s->last_queue_id = opening.last_queue_id;
    }
    g->seal = head->seal;
    s->segments[s->segment_count++] = *g;
    return SPOOL_OK;
}

static enum spool_status take_segment(struct recovery *r, uint64_t sequence)
{
    struct spool *s = r->s;
    struct segment g = {.sequence = sequence,
                        .fd = -1,
                        .end = SEGMENT_BEGIN,
                        .synced = SEGMENT_BEGIN,
                        .whole = true};
    struct segment_head head;
    unsigned char bytes[SEGMENT_BEGIN];
    if (!segment_open(s, &g))
        return spool_system_failed(s, "openat", s->error);
    int64_t size = file_size(g.fd);
    if (size < 0) {
        char name[NAME_SIZE];
        name_segment(name, sequence);
        r->damaged = true;
        spool_tell(s,
                   (struct spool_event){.kind = SPOOL_EVENT_UNKNOWN_FILE, .name = span_str(name)});
        file_close(g.fd);
        return SPOOL_OK;
    }
    read_copies(g.fd, bytes);
    if (head_read(span_of(bytes, sizeof bytes), sequence, &head))
        return add_segment(r, &g, span_of(bytes, sizeof bytes), &head);
    enum spool_status status = set_aside(r, span_of(bytes, sizeof bytes), sequence, (size_t)size);
    file_close(g.fd);
    return status;
}

/* ---- records ----------------------------------------------------------------------------- */

static void damage(struct recovery *r, const struct segment *g, enum spool_event_kind kind,
                   size_t offset, size_t length)
{
    r->damaged = true;
    spool_tell(r->s, (struct spool_event){
                         .kind = kind, .segment = g->sequence, .offset = offset, .length = length});
    quarantine_piece(r->s, g, (uint32_t)offset, length);
}

enum applied { APPLIED, APPLIED_NOT, APPLIED_STRAY, APPLIED_NO_MEMORY };

static enum applied apply(struct recovery *r, const struct record *record, struct table_place place)
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
        return table_add(&r->table, &mail, place, record->length) ? APPLIED : APPLIED_NO_MEMORY;
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
    case RECORD_OPENING:
        break;
    }
    return APPLIED_NOT;
}

/* False: no memory. */
static bool take_record(struct recovery *r, const struct segment *g, const struct record *record,
                        size_t offset)
{
    struct table_place place = {.segment = (uint16_t)(g - r->s->segments),
                                .offset = (uint32_t)offset};
    enum applied applied = apply(r, record, place);
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

/* next: of the next segment, when it has its opening and so tells where the records end; else they
 * end where none is sound. Where all is known to be whole, bodies are checked when they are read.
 * *traces: there was something. */
static enum spool_status scan_segment(struct recovery *r, struct segment *g,
                                      const struct found *next, bool blank, bool *traces)
{
    uint64_t end = next ? next->previous_end : 0;
    int64_t size = file_size(g->fd);
    if (size < 0)
        return spool_system_failed(r->s, "fstat", EIO);
    if (size > LIMIT_SEGMENT)
        size = LIMIT_SEGMENT;
    r->window = (struct window){.spool = r->s,
                                .fd = g->fd,
                                .size = (size_t)size,
                                .limit = end != 0 ? end : (size_t)size,
                                .buffer = r->window.buffer};
    struct scan scan = {.view = window_view,
                        .context = &r->window,
                        .limit = r->window.limit,
                        .seal = g->seal,
                        .exact = end != 0,
                        .envelopes = end != 0 && next->previous_whole,
                        .blank = blank,
                        .at = SEGMENT_BEGIN};
    struct record record;
    size_t offset, length;
    enum scan_found found;
    while ((found = scan_next(&scan, &offset, &length, &record)) != SCAN_END) {
        *traces = true;
        if (found == SCAN_RECORD) {
            if (!take_record(r, g, &record, offset))
                return spool_system_failed(r->s, "malloc", ENOMEM);
            g->end = (uint32_t)(offset + length);
        } else {
            bool torn = found == SCAN_TAIL && end == 0;
            damage(r, g, torn ? SPOOL_EVENT_TORN : SPOOL_EVENT_CORRUPT, offset, length);
            g->whole &= torn;
        }
    }
    if (end != 0)
        g->end = (uint32_t)end;
    g->synced = g->end;
    return SPOOL_OK;
}

/* A last segment without a record is used: as the next one, or, when it has its opening, at once.
 */
static void take_empty(struct spool *s, bool opened)
{
    struct segment *last = segment_last(s);
    uint64_t before = s->segment_count > 1 ? last[-1].sequence : 0;
    if (last->sequence != s->last_sequence || file_size(last->fd) != s->segment_size)
        return;
    s->appendable = opened;
    if (opened || before != last->sequence - 1)
        return;
    s->next = *last;
    s->segment_count--;
    s->last_sequence = before;
}

static enum spool_status scan_all(struct recovery *r)
{
    struct spool *s = r->s;
    bool traces = false;
    for (unsigned i = 0; i < s->segment_count; i++) {
        struct segment *g = &s->segments[i];
        bool followed =
            i + 1 < s->segment_count && g[1].sequence == g->sequence + 1 && r->found[i + 1].opened;
        if (i > 0 && g[-1].sequence + 1 != g->sequence) {
            r->damaged = true;
            spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_GAP,
                                               .segment = g[-1].sequence + 1,
                                               .length = g->sequence - g[-1].sequence - 1});
        }
        traces = false;
        enum spool_status status =
            scan_segment(r, g, followed ? &r->found[i + 1] : NULL, r->found[i].blank, &traces);
        if (status != SPOOL_OK)
            return status;
    }
    if (s->segment_count > 0 && !traces)
        take_empty(s, r->found[s->segment_count - 1].opened);
    /* What was read may be in the page cache only; what is built on it must not be ahead of it. */
    struct segment *last = segment_last(s);
    int error = last ? file_sync(last->fd) : 0;
    return error < 0 ? spool_system_failed(s, "fsync", -error) : SPOOL_OK;
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
    const struct segment *g = &s->segments[t->segment];
    struct record record;
    struct defer_record defer;
    uint32_t n = RECORD_HEADER;
    if (read_exactly(g->fd, bytes, n, t->offset) != 0)
        return SPAN_EMPTY;
    n = record_claims(bytes, g->seal, false);
    if (n == 0 || n > sizeof bytes || read_exactly(g->fd, bytes, n, t->offset) != 0 ||
        !record_check(span_of(bytes, n), g->seal, &record) || !defer_decode(&record, &defer))
        return SPAN_EMPTY;
    memcpy(out, defer.reason.p, defer.reason.n);
    return span_of(out, defer.reason.n);
}

static void fill_states(struct recovery *r, struct table_mail *m, struct report *report)
{
    BUG_ON(!report->states);
    for (unsigned i = 0; i < m->recipients; i++) {
        const struct table_recipient *t = &table_recipients(m)[i];
        report->states[i] = (struct spool_recipient_state){.finished = t->finished,
                                                           .attempts = t->attempts,
                                                           .notices = t->notices,
                                                           .next_attempt = t->next_attempt,
                                                           .reason = SPAN_EMPTY};
        if (t->deferred && !t->finished)
            report->states[i].reason =
                read_reason(r->s, t, report->reasons + (size_t)i * LIMIT_REASON);
    }
}

static enum spool_status report_mail(struct recovery *r, struct table_mail *m,
                                     struct report *report)
{
    struct spool *s = r->s;
    struct segment *g = &s->segments[m->segment];
    struct record record;
    struct spool_recovered found = {.ref = {.segment = g->sequence,
                                            .queue_id = m->queue_id,
                                            .offset = m->offset,
                                            .length = m->length,
                                            .recipients = m->recipients,
                                            .left = m->left,
                                            .large = m->large},
                                    .states = report->states};
    /* It verified a moment ago: that it doesn't now is a failing disk, no damage to live with. */
    enum spool_status status = load_envelope(s, &found.ref, &found.mail, &record);
    if (status != SPOOL_OK)
        return spool_system_failed(s, "load", status == SPOOL_CORRUPT ? EIO : s->error);
    found.mail.held = m->held;
    found.ref.body_size = found.mail.body_size;
    found.ref.body_crc = found.mail.body_crc;
    found.ref.body_offset = m->offset + RECORD_HEADER + (uint32_t)record.envelope.n;
    fill_states(r, m, report);
    if (m->large && large_check(s, m->queue_id, found.mail.body_size) != 0) {
        found.body_missing = true;
        spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_LARGE_MISSING,
                                           .segment = g->sequence,
                                           .offset = m->offset,
                                           .queue_id = m->queue_id});
    }
    g->live++;
    s->live++;
    s->live_bytes += m->length;
    s->config.recovered(s->config.context, &found);
    CRASH_POINT(RECOVERY_REPORTED);
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

static void clear_spares(struct recovery *r)
{
    for (size_t i = 0; i < r->listing.spare_count; i++) {
        char name[NAME_SIZE];
        name_spare(name, r->listing.spares[i]);
        int error = file_remove(r->s->directory, name);
        if (error < 0)
            (void)spool_system_failed(r->s, "unlinkat", -error);
    }
}

static enum spool_status run(struct recovery *r)
{
    struct spool *s = r->s;
    enum spool_status status = listing_read(s, &r->listing);
    if (status != SPOOL_OK)
        return status;
    s->last_sequence = r->listing.highest;
    CRASH_POINT(RECOVERY_LISTED);
    r->window.buffer = malloc(WINDOW_SIZE);
    r->found = calloc(LIMIT_SPOOL_SEGMENTS, sizeof *r->found);
    if (!r->window.buffer || !r->found)
        return spool_system_failed(s, "malloc", ENOMEM);
    for (size_t i = 0; i < r->listing.segment_count && status == SPOOL_OK; i++)
        status = take_segment(r, r->listing.segments[i]);
    if (status == SPOOL_OK)
        status = scan_all(r);
    CRASH_POINT(RECOVERY_SCANNED);
    if (status == SPOOL_OK)
        status = report_all(r);
    if (status != SPOOL_OK)
        return status;
    clear_large(r);
    clear_spares(r);
    CRASH_POINT(RECOVERY_CLEARED);
    return SPOOL_OK;
}

enum spool_status spool_recover(struct spool *s)
{
    struct recovery r = {.s = s};
    BUG_ON(s->recovered);
    enum spool_status status = run(&r);
    listing_free(&r.listing);
    table_destroy(&r.table);
    free(r.window.buffer);
    free(r.found);
    s->recovered = status == SPOOL_OK;
    return status;
}
