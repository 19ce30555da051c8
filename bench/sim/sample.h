/*
 * sample: mails as the IncaMail platform sends them.
 */
#ifndef MGISIM_SAMPLE_H
#define MGISIM_SAMPLE_H

#include <stddef.h>

/* Name: "confidential", "registered" (a SAFE attachment and an S/MIME signature) or "receipt";
 * `weight`: about how many bytes the SAFE's secret is to have. Returns the mail, lines ended
 * by CRLF, not dot-stuffed; free() it. *n is its length. NULL: no such sample. */
char *sample_make(const char *name, const char *to, size_t weight, size_t *n);

#endif
