/* What is stored of a mail beside its body. */
#include "engine/spool/record.h"

enum { MAIL_LARGE = 1, MAIL_HELD = 2, RECIPIENT_FINISHED = 1 };

void mail_encode(struct msg_writer *w, const struct spool_mail *mail)
{
    msg_put_u64(w, mail->arrival);
    msg_put_u64(w, mail->expires);
    msg_put_u32(w, mail->flags);
    msg_put_u32(w, mail->body_flags);
    msg_put_u8(w, (uint8_t)((mail->large ? MAIL_LARGE : 0) | (mail->held ? MAIL_HELD : 0)));
    msg_put_u64(w, mail->body_size);
    msg_put_u32(w, mail->large ? mail->body_crc : 0);
    msg_put_span(w, mail->sender);
    msg_put_span(w, mail->helo);
    msg_put_span(w, mail->client);
    msg_put_span(w, mail->tls);
    msg_put_span(w, mail->envid);
    msg_put_span(w, mail->edits);
    msg_put_u16(w, mail->recipient_count);
    for (unsigned i = 0; i < mail->recipient_count; i++) {
        const struct spool_recipient *r = &mail->recipients[i];
        msg_put_span(w, r->address);
        msg_put_span(w, r->original);
        msg_put_span(w, r->route);
        msg_put_span(w, r->rule);
        msg_put_span(w, r->orcpt);
        msg_put_u64(w, r->expires);
        msg_put_u8(w, r->notify);
        msg_put_u8(w, r->priority);
        msg_put_u8(w, r->variant);
        msg_put_u8(w, r->finished ? RECIPIENT_FINISHED : 0);
    }
}

/* A byte of flags, of those in `known`. */
static uint8_t get_flags(struct msg_reader *r, uint8_t known)
{
    uint8_t v = msg_get_u8(r);
    if (v & ~known)
        r->bad = true;
    return v;
}

bool mail_decode(const struct record *record, struct spool_mail *mail,
                 struct spool_recipient *recipients)
{
    struct msg_reader r = {.in = record->envelope};
    *mail = (struct spool_mail){.queue_id = record->queue_id, .recipients = recipients};
    mail->arrival = msg_get_u64(&r);
    mail->expires = msg_get_u64(&r);
    mail->flags = msg_get_u32(&r);
    mail->body_flags = msg_get_u32(&r);
    uint8_t flags = get_flags(&r, MAIL_LARGE | MAIL_HELD);
    mail->large = flags & MAIL_LARGE;
    mail->held = flags & MAIL_HELD;
    mail->body_size = msg_get_u64(&r);
    mail->body_crc = msg_get_u32(&r);
    mail->sender = msg_get_span(&r, LIMIT_ADDRESS);
    mail->helo = msg_get_span(&r, LIMIT_DOMAIN);
    mail->client = msg_get_span(&r, LIMIT_REASON);
    mail->tls = msg_get_span(&r, LIMIT_REASON);
    mail->envid = msg_get_span(&r, LIMIT_ENVID);
    mail->edits = msg_get_span(&r, LIMIT_EDIT_LIST);
    mail->recipient_count = msg_get_u16(&r);
    if (mail->recipient_count == 0 || mail->recipient_count > LIMIT_RECIPIENTS_MAX)
        return false;
    for (unsigned i = 0; i < mail->recipient_count && !r.bad; i++) {
        recipients[i].address = msg_get_span(&r, LIMIT_ADDRESS);
        recipients[i].original = msg_get_span(&r, LIMIT_ADDRESS);
        recipients[i].route = msg_get_span(&r, LIMIT_NAME);
        recipients[i].rule = msg_get_span(&r, LIMIT_NAME);
        recipients[i].orcpt = msg_get_span(&r, LIMIT_ORCPT);
        recipients[i].expires = msg_get_u64(&r);
        recipients[i].notify = msg_get_u8(&r);
        recipients[i].priority = msg_get_u8(&r);
        recipients[i].variant = msg_get_u8(&r);
        recipients[i].finished = get_flags(&r, RECIPIENT_FINISHED);
    }
    return msg_get_end(&r) && record->kind == RECORD_MAIL && record->queue_id >= QUEUE_ID_SHARDS &&
           record->body_size == (mail->large ? 0 : mail->body_size);
}
