/* A shard as a whole: opening, closing, appending, housekeeping. */
#include "engine/spool/crc32c.h"
#include "engine/spool/file.h"
#include "engine/spool/internal.h"
#include "status.h"
#include <errno.h>
#include <stdlib.h>

const char *spool_status_text(enum spool_status status)
{
    static const char *const texts[] = {
        [SPOOL_OK] = "ok",
        [SPOOL_AGAIN] = "batch full",
        [SPOOL_IDLE] = "nothing to write",
        [SPOOL_BUSY] = "shard in use by another process",
        [SPOOL_FULL] = "no room",
        [SPOOL_FAILED] = "system call failed",
        [SPOOL_CORRUPT] = "record damaged",
    };
    return (unsigned)status < sizeof texts / sizeof *texts ? texts[status] : "unknown";
}

const char *spool_event_text(enum spool_event_kind kind)
{
    static const char *const texts[] = {
#define X(NAME, text) text,
        SPOOL_EVENTS(X)
#undef X
    };
    return (unsigned)kind < SPOOL_EVENT_COUNT ? texts[kind] : "unknown";
}

/* ---- opening, closing -------------------------------------------------------------------- */

static bool take_memory(struct spool *s)
{
    s->segments = calloc(LIMIT_SPOOL_SEGMENTS, sizeof *s->segments);
    s->loaded = malloc(RECORD_MAX);
    s->loaded_recipients = calloc(LIMIT_RECIPIENTS_MAX, sizeof *s->loaded_recipients);
    uint32_t records = s->segment_size - SEGMENT_BEGIN;
    return s->segments && s->loaded && s->loaded_recipients &&
           batch_init(&s->batches[0], records) && batch_init(&s->batches[1], records);
}

enum spool_status spool_open(struct spool **out, int directory, const struct spool_config *config,
                             int *error)
{
    BUG_ON(config->shard >= QUEUE_ID_SHARDS);
    *out = NULL;
    struct spool *s = calloc(1, sizeof *s);
    if (!s) {
        *error = ENOMEM;
        return SPOOL_FAILED;
    }
    s->directory = directory;
    s->config = *config;
    s->segment_size = config->segment_size != 0 ? config->segment_size : LIMIT_SEGMENT;
    BUG_ON(s->segment_size < 2 * SEGMENT_BEGIN || s->segment_size > LIMIT_SEGMENT);
    s->spare = s->next.fd = s->upkeep.fd = s->upkeep.abandoned = -1;
    s->lock = file_lock(directory, NAME_LOCK);
    *error = s->lock < 0 ? -s->lock : take_memory(s) ? 0 : ENOMEM;
    if (*error != 0) {
        spool_close(s);
        return *error == EWOULDBLOCK ? SPOOL_BUSY : SPOOL_FAILED;
    }
    s->gathering = &s->batches[0];
    *out = s;
    return SPOOL_OK;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    BUG_ON(s->flying);
    if (s->lock >= 0)
        upkeep_end(s);
    for (unsigned i = 0; i < s->segment_count; i++)
        if (s->segments[i].fd >= 0)
            file_close(s->segments[i].fd);
    for (unsigned i = 0; i < LIMIT_SPOOL_OPEN; i++)
        if (s->open[i].queue_id != 0)
            file_close(s->open[i].fd);
    batch_destroy(&s->batches[0]);
    batch_destroy(&s->batches[1]);
    free(s->segments);
    free(s->loaded);
    free(s->loaded_recipients);
    if (s->lock >= 0)
        file_close(s->lock);
    free(s);
}

int spool_error(const struct spool *s)
{
    return s->error;
}

uint64_t spool_queue_id(struct spool *s, uint64_t now)
{
    s->last_queue_id = queue_id_next(now, s->last_queue_id, s->config.shard);
    BUG_ON(s->last_queue_id == 0);
    return s->last_queue_id;
}

uint32_t spool_crc(uint32_t crc, struct span bytes)
{
    return crc32c(crc, bytes);
}

/* ---- appending --------------------------------------------------------------------------- */

enum spool_status spool_append_mail(struct spool *s, const struct spool_mail *mail,
                                    struct spool_ref *ref, struct spool_ref *replaces)
{
    BUG_ON(replaces && (!spool_stored(replaces) || replaces->queue_id != mail->queue_id ||
                        replaces->recipients != mail->recipient_count || replaces == ref));
    return batch_add_mail(s->gathering, mail, ref, replaces) ? SPOOL_OK : SPOOL_AGAIN;
}

enum spool_status spool_append_done(struct spool *s, struct spool_ref *ref, uint16_t recipient,
                                    enum spool_outcome outcome)
{
    bool all = recipient == SPOOL_ALL_RECIPIENTS;
    struct done_record done = {.recipient = recipient, .outcome = (uint8_t)outcome};
    BUG_ON(!spool_stored(ref) || ref->left == 0 || (!all && recipient >= ref->recipients));
    uint16_t left = all ? 0 : (uint16_t)(ref->left - 1);
    if (!batch_add_done(s->gathering, ref->queue_id, &done, ref->large && left == 0))
        return SPOOL_AGAIN;
    ref->left = left;
    if (left == 0)
        segment_release(s, ref);
    return SPOOL_OK;
}

enum spool_status spool_append_defer(struct spool *s, const struct spool_ref *ref,
                                     uint16_t recipient, const struct spool_deferral *deferral)
{
    struct defer_record defer = {.recipient = recipient,
                                 .attempts = deferral->attempts,
                                 .notices = deferral->notices,
                                 .next_attempt = deferral->next_attempt,
                                 .reason = span_head(deferral->reason, LIMIT_REASON)};
    BUG_ON(recipient >= ref->recipients);
    return batch_add_defer(s->gathering, ref->queue_id, &defer) ? SPOOL_OK : SPOOL_AGAIN;
}

enum spool_status spool_append_hold(struct spool *s, const struct spool_ref *ref, bool held)
{
    BUG_ON(!spool_stored(ref));
    return batch_add_hold(s->gathering, ref->queue_id, held) ? SPOOL_OK : SPOOL_AGAIN;
}

struct spool_gathered spool_gathered(const struct spool *s)
{
    return (struct spool_gathered){.mails = s->gathering->mail_count,
                                   .records = s->gathering->item_count,
                                   .bytes = s->gathering->length};
}

/* ---- housekeeping ------------------------------------------------------------------------ */

uint64_t spool_pressed(const struct spool *s)
{
    uint64_t all = (uint64_t)s->segment_count * s->segment_size;
    if (s->segment_count <= LIMIT_SPOOL_HELD + 1 || s->live_bytes > all / 2)
        return 0;
    return s->segments[0].sequence;
}

enum spool_status spool_usage(struct spool *s, struct spool_usage *usage)
{
    *usage = (struct spool_usage){.segments = s->segment_count, .live = s->live};
    int error = file_space(s->directory, &usage->free_bytes, &usage->free_inodes);
    return error < 0 ? spool_system_failed(s, "fstatfs", -error) : SPOOL_OK;
}
