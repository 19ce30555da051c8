/*
 * BDAT (RFC 3030): message data as counted octets.
 *
 * The octets follow whether or not the chunk is wanted, so that a refused chunk is read and thrown
 * away before it is answered, and a count that can't be read ends the session: nothing behind it
 * could be told from commands.
 */
#include "engine/smtp/server_internal.h"

bool server_names_bdat(struct span line)
{
    return span_istarts(span_trim(line), SPAN_LIT("BDAT"));
}

/* "size [LAST]". False when it is not that, or counts more than 64 bits can. */
static bool arguments(struct span argument, uint64_t *size, bool *last)
{
    struct span count = smtp_take_word(&argument);

    *size = 0;
    *last = argument.n > 0;
    for (size_t i = 0; i < count.n; i++)
        if (!ascii_digit(count.p[i]) || __builtin_mul_overflow(*size, UINT64_C(10), size) ||
            __builtin_add_overflow(*size, (uint64_t)(count.p[i] - '0'), size))
            return false;
    return count.n > 0 && (!*last || span_ieq(argument, SPAN_LIT("LAST")));
}

static enum smtp_own_reply objection(const struct smtp_server *s, enum smtp_action action)
{
    if (!s->esmtp)
        return SMTP_OWN_SEQUENCE;
    switch (action) {
    case SMTP_ACTION_DO:
        return SMTP_OWN_NONE;
    case SMTP_ACTION_NOBODY:
        return SMTP_OWN_NOBODY;
    case SMTP_ACTION_LOST:
        return SMTP_OWN_LOST;
    default:
        return SMTP_OWN_SEQUENCE;
    }
}

enum smtp_event server_bdat(struct smtp_server *s, struct span argument, enum smtp_action action,
                            struct smtp_out *out)
{
    if (!arguments(argument, &s->chunk, &s->chunk_last))
        return server_say_and_end(s, out, SMTP_OWN_BDAT, SMTP_CLOSE_BDAT);
    s->chunk_refusal = (uint8_t)objection(s, action);
    s->chunk_left = s->chunk;
    s->phase = PHASE_CHUNK;
    if (s->chunk_refusal != SMTP_OWN_NONE || (s->chunk == 0 && !s->chunk_last))
        s->idle++;
    if (s->chunk_refusal != SMTP_OWN_NONE || s->state == SMTP_STATE_CHUNKS)
        return SMTP_EV_NEED_INPUT;
    s->state = SMTP_STATE_CHUNKS;
    smtp_data_begin(&s->data, s->config->max_size);
    return SMTP_EV_BDAT;
}

/* A refused chunk ends the transaction; those that were sent behind it without waiting are thrown
 * away, too, up to the last. */
static enum smtp_event refuse(struct smtp_server *s, struct smtp_out *out)
{
    bool transaction = s->state > SMTP_STATE_FAILED;
    uint32_t errors = s->errors;

    server_say(s, out, (enum smtp_own_reply)s->chunk_refusal);
    if (s->chunk_refusal == SMTP_OWN_LOST)
        s->errors = errors; /* the client could not know */
    server_drop_transaction(s);
    if (s->state == SMTP_STATE_READY && !s->chunk_last)
        s->state = SMTP_STATE_FAILED;
    return transaction ? SMTP_EV_RSET : SMTP_EV_NEED_INPUT;
}

/* All of the chunk is there. */
static enum smtp_event chunk_end(struct smtp_server *s, struct smtp_out *out)
{
    s->phase = PHASE_COMMAND;
    if (s->chunk_refusal != SMTP_OWN_NONE)
        return refuse(s, out);
    if (s->chunk_last)
        smtp_data_finish(&s->data);
    s->size = s->data.size;
    s->defects = s->data.defects;
    if (s->binary) /* any octet is content (RFC 3030 3) */
        s->defects &=
            (uint8_t) ~(SMTP_DEFECTS_SMUGGLING | SMTP_DEFECT_NUL | SMTP_DEFECT_LINE_TOO_LONG);
    s->due = s->chunk_last ? DUE_END_OF_DATA : DUE_CHUNK;
    return s->chunk_last ? SMTP_EV_END_OF_DATA : SMTP_EV_CHUNK;
}

enum smtp_event server_chunk(struct smtp_server *s, struct span *in, struct smtp_out *out)
{
    struct span piece = span_head(*in, s->chunk_left < in->n ? (size_t)s->chunk_left : in->n);

    if (s->chunk_left == 0)
        return chunk_end(s, out);
    *in = span_from(*in, piece.n);
    s->chunk_left -= piece.n;
    if (s->chunk_refusal != SMTP_OWN_NONE)
        return SMTP_EV_NEED_INPUT;
    smtp_data_octets(&s->data, piece);
    s->body = piece;
    return (s->data.defects & SMTP_DEFECT_TOO_BIG) ? SMTP_EV_NEED_INPUT : SMTP_EV_BODY;
}
