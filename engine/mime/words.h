/*
 * words: text into a header field's value: folding (RFC 5322 2.2.3) and encoded words (RFC 2047).
 * Pure; for the files of engine/mime.
 */
#ifndef MGID_MIME_WORDS_H
#define MGID_MIME_WORDS_H

#include "engine/mime/text.h"

/* UTF-8 as encoded words of at most 75 characters, cut between characters only, each on a line
 * of its own where they don't fit; Q or B, whichever is shorter. */
void words_put(struct text *t, struct span utf8);

/* A value that is encoded already, or needs it not: written as it is, with a fold before white
 * space where a line would pass TEXT_WIDTH. Folds that it has stay. */
void words_fold(struct text *t, struct span value);

/* One space, or the fold that stands for it, before `next`. */
void words_space(struct text *t, struct span next);

#endif
