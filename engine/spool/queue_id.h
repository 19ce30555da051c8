/*
 * queue_id: the name of a mail, unique for ever across workers, restarts and clocks set back.
 * The upper 54 bits are microseconds since 1970 (or one more than the last id's, when the clock
 * stands still or goes back), the lower 10 the shard. Ascending ids are ascending arrivals, and
 * so are their texts. Header only, so that a program can name mails without holding a spool. Pure.
 */
#ifndef MGID_QUEUE_ID_H
#define MGID_QUEUE_ID_H

#include "span.h"

#define QUEUE_ID_TEXT 13 /* characters of the text form, without a NUL */
#define QUEUE_ID_SHARDS 1024
#define QUEUE_ID_TIME_MAX ((UINT64_C(1) << 54) - 1)

/* Base 32 in ascending ASCII order; i, l, o and u are left out because they are misread. */
#define QUEUE_ID_ALPHABET "0123456789abcdefghjkmnpqrstvwxyz"

/* The id after `last` (0: none yet) for the shard (below QUEUE_ID_SHARDS). 0 when the numbers are
 * used up, which no honest clock brings about before the year 2540. */
static inline uint64_t queue_id_next(uint64_t now_us, uint64_t last, unsigned shard)
{
    uint64_t time = last / QUEUE_ID_SHARDS + 1;
    if (now_us > time)
        time = now_us;
    if (time > QUEUE_ID_TIME_MAX)
        return 0;
    return time * QUEUE_ID_SHARDS + shard % QUEUE_ID_SHARDS;
}

static inline uint64_t queue_id_microseconds(uint64_t id)
{
    return id / QUEUE_ID_SHARDS;
}

static inline unsigned queue_id_shard(uint64_t id)
{
    return (unsigned)(id % QUEUE_ID_SHARDS);
}

/* Writes the text and a NUL. */
static inline void queue_id_format(uint64_t id, char text[QUEUE_ID_TEXT + 1])
{
    for (int i = QUEUE_ID_TEXT - 1; i >= 0; i--) {
        text[i] = QUEUE_ID_ALPHABET[id % 32];
        id /= 32;
    }
    text[QUEUE_ID_TEXT] = '\0';
}

/* True when text is exactly what queue_id_format writes for *id: one id has one text. */
static inline bool queue_id_parse(struct span text, uint64_t *id)
{
    uint64_t v = 0;
    if (text.n != QUEUE_ID_TEXT)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        const char *digit = text.p[i] ? strchr(QUEUE_ID_ALPHABET, text.p[i]) : NULL;
        if (!digit || v >> 59)
            return false;
        v = v * 32 + (uint64_t)(digit - QUEUE_ID_ALPHABET);
    }
    *id = v;
    return true;
}

#endif
