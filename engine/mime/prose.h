/*
 * prose: text for people, wrapped, as the body of a mail in UTF-8: quoted-printable (RFC 2045 6.7),
 * so that any next hop takes it, or as it is. Pure; for the files of engine/mime.
 */
#ifndef MGID_MIME_PROSE_H
#define MGID_MIME_PROSE_H

#include "engine/mime/text.h"

enum { PROSE_WIDTH = 72, PROSE_WORD = 320 };

/* Zero but for out and raw is a fresh one, at the begin of a line. */
struct prose {
    struct text *out;
    bool raw;        /* 8bit; else quoted-printable */
    unsigned indent; /* spaces at the begin of each line */
    unsigned column; /* characters on the line, indent included; 0: nothing stands there yet */
    unsigned bytes;  /* of the line as it is encoded */
    size_t n;        /* of the word under way; what passes PROSE_WORD is dropped */
    unsigned char word[PROSE_WORD];
};

/* A value that a template names. What people can't read in it (control characters, bytes that are
 * no UTF-8, characters that turn the direction of writing) becomes "?" or a space. */
struct prose_value {
    const char *name; /* "HOST" for {HOST}; NULL ends a list */
    struct span text; /* cut to LIMIT_DSN_SHOWN, and "..." put behind */
};

/* Adds the template's words. */
void prose_template(struct prose *p, const char *template, const struct prose_value *values);

/* Adds a stranger's text, cut to `max` bytes: as words, or as one word in which spaces stay. */
void prose_words(struct prose *p, struct span s, size_t max);
void prose_word(struct prose *p, const char *before, struct span s, const char *after);

/* Ends the line, if there is one. */
void prose_end(struct prose *p);

/* Ends the line, and leaves one empty. */
void prose_gap(struct prose *p);

/* The subject of a mail: as it is when it is ASCII, else as encoded words (RFC 2047), folded. For
 * UTF-8 of our own. */
void prose_subject(struct text *t, const char *subject);

#endif
