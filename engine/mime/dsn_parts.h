/*
 * dsn_parts: what the files of a notification's parts share. Private to engine/mime/dsn*.c.
 */
#ifndef MGID_MIME_DSN_PARTS_H
#define MGID_MIME_DSN_PARTS_H

#include "engine/mime/dsn.h"
#include "engine/mime/text.h"

/* What the notification has turned out to be. */
struct dsn_frame {
    const struct dsn *in;
    struct text *text;
    char boundary[32];
    bool utf8;  /* raw UTF-8 in header fields and status: message/global-* (RFC 6533) */
    bool whole; /* the original is returned whole */
    bool eight_bit;
};

bool dsn_any_with(const struct dsn *in, enum dsn_action action);

void dsn_begin_part(struct dsn_frame *f, const char *type);
void dsn_put_date(struct text *t, const char *name, int64_t seconds);

/* The sentence that the Subject is, in the first language. */
const char *dsn_subject(const struct dsn *in);

/* The parts, each with its header. */
void dsn_put_text(struct dsn_frame *f);
void dsn_put_report(struct dsn_frame *f);
void dsn_put_original(struct dsn_frame *f);

/* Can the content stand in a mail as it is: lines of at most LIMIT_TEXT_LINE bytes, the last one
 * whole, no NUL? *eight_bit: it has bytes from 0x80. */
bool dsn_returnable(struct span content, bool *eight_bit);

/* The header section of the content, with its last CRLF, as far as it is there: whole lines of the
 * first LIMIT_DSN_HEADERS bytes. */
struct span dsn_header_section(struct span content);

#endif
