/*
 * variant: the content of a mail as it goes out to recipients for whom a rule changes the header
 * (engine/mime/edit.h). The changed header section lies in chunks of its own while the mail is
 * sent; the rest is the stored mail, behind its own section.
 */
#ifndef MGID_VARIANT_H
#define MGID_VARIANT_H

#include "engine/pool/chunk.h"

struct mail;
struct worker;

/* All zero is the mail as it is stored. */
struct variant {
    unsigned number;         /* struct recipient.variant; 0: as it is stored */
    struct chunk_chain head; /* what stands in place of … */
    uint64_t skipped;        /* … that many bytes at the mail's begin */
    uint32_t crc;            /* of those, for a large mail */
};

/* Makes that variant of the mail, which is loaded (mail_load), unless it is there; another one that
 * v held is freed. 0, or -errno: -ENOBUFS for now, -EBADMSG when the stored mail is damaged, -EIO
 * when it can't be read. v of another mail must be freed before. */
int variant_make(struct worker *w, struct mail *m, unsigned number, struct variant *v);

/* Gives its memory back. */
void variant_free(struct worker *w, struct variant *v);

/* The bytes that go out. */
uint64_t variant_size(const struct variant *v, const struct mail *m);

/* As mail_piece, of what goes out; *stored says whether the piece is the stored mail's. */
int variant_piece(struct worker *w, const struct variant *v, struct mail *m, uint64_t offset,
                  struct span *piece, bool *stored);

#endif
