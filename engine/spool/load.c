/* Reading mails back. */
#include "engine/spool/internal.h"
#include "status.h"
#include <errno.h>
#include <unistd.h>

#define READ_MAX (1u << 30) /* what one call returns fits any ssize_t */

enum spool_status load_record(struct spool *s, const struct spool_ref *ref, struct spool_mail *mail,
                              struct record *record)
{
    struct segment *g = segment_find(s, ref->segment);
    BUG_ON(!g || ref->length > RECORD_MAX);
    if (!segment_open(s, g))
        return SPOOL_FAILED;
    int error = read_exactly(g->fd, s->loaded, ref->length, ref->offset);
    if (error != 0) {
        s->error = -error;
        return SPOOL_FAILED;
    }
    if (!record_check(span_of(s->loaded, ref->length), g->seal, record) ||
        record->length != ref->length || record->queue_id != ref->queue_id ||
        !mail_decode(record, mail, s->loaded_recipients) ||
        mail->recipient_count != ref->recipients)
        return SPOOL_CORRUPT;
    return SPOOL_OK;
}

static void point_to_body(struct spool *s, const struct record *record, struct spool_mail *mail)
{
    s->loaded_body = (struct iovec){.iov_base = s->loaded + (record->body.p - s->loaded),
                                    .iov_len = record->body.n};
    mail->body = &s->loaded_body;
    mail->body_count = record->body.n > 0;
}

enum spool_status spool_load_envelope(struct spool *s, struct spool_ref *ref,
                                      struct spool_mail *mail)
{
    struct record record;
    enum spool_status status = load_record(s, ref, mail, &record);
    if (status != SPOOL_OK)
        return status;
    point_to_body(s, &record, mail);
    ref->body_size = mail->body_size;
    ref->body_crc = mail->body_crc;
    ref->body_offset = ref->offset + RECORD_HEADER + (uint32_t)record.envelope.n;
    return SPOOL_OK;
}

enum spool_status spool_load(struct spool *s, const struct spool_ref *ref, struct spool_mail *mail)
{
    struct record record;
    enum spool_status status = load_record(s, ref, mail, &record);
    if (status != SPOOL_OK)
        return status;
    if (!mail->large) {
        point_to_body(s, &record, mail);
        return SPOOL_OK;
    }
    int fd = large_open(s, ref->queue_id, mail->body_size);
    if (fd < 0) {
        s->error = -fd;
        return fd == -ENOENT || fd == -EIO ? SPOOL_CORRUPT : SPOOL_FAILED;
    }
    (void)close(fd);
    return SPOOL_OK;
}

ssize_t spool_read(struct spool *s, const struct spool_ref *ref, uint64_t offset, void *buffer,
                   size_t n)
{
    struct segment *g = segment_find(s, ref->segment);
    BUG_ON(!g);
    if (offset >= ref->body_size)
        return 0;
    if (n > ref->body_size - offset)
        n = (size_t)(ref->body_size - offset);
    if (n > READ_MAX)
        n = READ_MAX;
    int error;
    if (ref->large) {
        int fd = large_open(s, ref->queue_id, ref->body_size);
        if (fd < 0)
            return fd;
        error = read_exactly(fd, buffer, n, offset);
        (void)close(fd);
    } else {
        if (!segment_open(s, g))
            return -s->error;
        error = read_exactly(g->fd, buffer, n, ref->body_offset + offset);
    }
    return error != 0 ? error : (ssize_t)n;
}
