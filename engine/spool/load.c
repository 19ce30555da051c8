/* Reading mails back. */
#include "engine/spool/internal.h"
#include "status.h"
#include <errno.h>

#define READ_MAX (1u << 30) /* what one call returns fits any ssize_t */
#define FIRST_READ 1024u    /* most envelopes are whole in that */

static struct segment *segment_of(struct spool *s, const struct spool_ref *ref)
{
    struct segment *g = segment_find(s, ref->segment);
    BUG_ON(!g || ref->length > RECORD_MAX);
    return g;
}

/* The first n bytes of the record. */
static enum spool_status read_record(struct spool *s, struct segment *g,
                                     const struct spool_ref *ref, uint32_t n)
{
    int error = segment_open(s, g) ? read_exactly(g->fd, s->loaded, n, ref->offset) : -s->error;
    s->error = -error;
    return error == 0 ? SPOOL_OK : SPOOL_FAILED;
}

static bool fits(const struct spool *s, const struct spool_ref *ref, const struct record *record,
                 struct spool_mail *mail)
{
    return record->length == ref->length && record->queue_id == ref->queue_id &&
           mail_decode(record, mail, s->loaded_recipients) &&
           mail->recipient_count == ref->recipients;
}

enum spool_status load_envelope(struct spool *s, const struct spool_ref *ref,
                                struct spool_mail *mail, struct record *record)
{
    struct segment *g = segment_of(s, ref);
    uint32_t n = ref->length < FIRST_READ ? ref->length : FIRST_READ;
    enum spool_status status = read_record(s, g, ref, n);
    uint32_t claimed = status == SPOOL_OK ? record_claims(s->loaded, g->seal, true) : 0;
    if (claimed > n && claimed <= ref->length) {
        n = claimed;
        status = read_record(s, g, ref, n);
    }
    if (status != SPOOL_OK)
        return status;
    return record_check_envelope(span_of(s->loaded, n), g->seal, record) &&
                   fits(s, ref, record, mail)
               ? SPOOL_OK
               : SPOOL_CORRUPT;
}

/* The whole record; what does not verify is set aside. */
static enum spool_status load_whole(struct spool *s, const struct spool_ref *ref,
                                    struct spool_mail *mail, struct record *record)
{
    struct segment *g = segment_of(s, ref);
    enum spool_status status = read_record(s, g, ref, ref->length);
    if (status != SPOOL_OK)
        return status;
    if (!record_check(span_of(s->loaded, ref->length), g->seal, record) ||
        !fits(s, ref, record, mail)) {
        quarantine_piece(s, g, ref->offset, ref->length);
        spool_tell(s, (struct spool_event){.kind = SPOOL_EVENT_CORRUPT,
                                           .segment = g->sequence,
                                           .offset = ref->offset,
                                           .length = ref->length,
                                           .queue_id = ref->queue_id});
        return SPOOL_CORRUPT;
    }
    s->loaded_body = (struct iovec){.iov_base = s->loaded + (record->body.p - s->loaded),
                                    .iov_len = record->body.n};
    mail->body = &s->loaded_body;
    mail->body_count = record->body.n > 0;
    return SPOOL_OK;
}

static void complete(struct spool_ref *ref, const struct spool_mail *mail,
                     const struct record *record)
{
    ref->body_size = mail->body_size;
    ref->body_crc = mail->body_crc;
    ref->body_offset = ref->offset + RECORD_HEADER + (uint32_t)record->envelope.n;
}

enum spool_status spool_load_record(struct spool *s, struct spool_ref *ref, struct spool_mail *mail)
{
    struct record record;
    enum spool_status status = load_whole(s, ref, mail, &record);
    if (status == SPOOL_OK)
        complete(ref, mail, &record);
    return status;
}

enum spool_status spool_load_envelope(struct spool *s, struct spool_ref *ref,
                                      struct spool_mail *mail)
{
    struct record record;
    enum spool_status status = load_envelope(s, ref, mail, &record);
    if (status == SPOOL_OK)
        complete(ref, mail, &record);
    return status;
}

enum spool_status spool_load(struct spool *s, const struct spool_ref *ref, struct spool_mail *mail)
{
    struct record record;
    enum spool_status status = load_whole(s, ref, mail, &record);
    if (status != SPOOL_OK || !mail->large)
        return status;
    int error = large_check(s, ref->queue_id, mail->body_size);
    s->error = -error;
    if (error == 0)
        return SPOOL_OK;
    return error == -ENOENT || error == -EIO ? SPOOL_CORRUPT : SPOOL_FAILED;
}

ssize_t spool_read(struct spool *s, const struct spool_ref *ref, uint64_t offset, void *buffer,
                   size_t n)
{
    struct segment *g = segment_of(s, ref);
    if (offset >= ref->body_size)
        return 0;
    if (n > ref->body_size - offset)
        n = (size_t)(ref->body_size - offset);
    if (n > READ_MAX)
        n = READ_MAX;
    int error = ref->large            ? large_read(s, ref, offset, buffer, n)
                : !segment_open(s, g) ? -s->error
                                      : read_exactly(g->fd, buffer, n, ref->body_offset + offset);
    return error != 0 ? error : (ssize_t)n;
}
