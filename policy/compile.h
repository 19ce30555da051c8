/*
 * compile: the JSON text of a policy to an image (policy.h), or what is wrong with it.
 *
 * All that is wrong is told in one run, each with its place in the text and what to do about it;
 * only a text that is no JSON at all yields one diagnostic alone. The text may be hostile: its
 * size, depth and every list are bounded. No memory is fatal_env.
 */
#ifndef MGID_POLICY_COMPILE_H
#define MGID_POLICY_COMPILE_H

#include "limits.h"
#include "span.h"

enum policy_severity { POLICY_WARNING, POLICY_ERROR };

/* "warning", "error" */
const char *policy_severity_name(enum policy_severity severity);

struct policy_diagnostic {
    enum policy_severity severity;
    unsigned line;   /* from 1; 0: of no place in the text (the file can't be read) */
    unsigned column; /* from 1, in characters */
    char pointer[LIMIT_POLICY_POINTER]; /* RFC 6901; "" is the whole; cut off when too long */
    char what[LIMIT_REASON];
    char remedy[LIMIT_REASON]; /* may be "" */
};

/* What came of a text. The caller's, initialised by policy_compile, freed by
 * policy_compilation_free. */
struct policy_compilation {
    unsigned char *image; /* NULL when there is an error */
    size_t image_size;
    unsigned errors;
    unsigned warnings;
    unsigned count;  /* of diagnostics, in the order of the text */
    unsigned untold; /* diagnostics that had no room */
    struct policy_diagnostic *diagnostics;
};

/* Makes the libraries do their one-time system calls (the random seed of hash tables, the size of
 * memory for sorting): before the sandbox closes. Needed by nobody else. */
void policy_compile_prepare(void);

/* Compiles. True when out->image is there; warnings may be there too. */
bool policy_compile(struct span text, struct policy_compilation *out);

void policy_compilation_free(struct policy_compilation *c);

/* Reads fd to its end, at most one byte over LIMIT_POLICY_TEXT (which policy_compile then refuses).
 * Returns 0 or an errno; *text is to be freed in both cases. */
int policy_text_read(int fd, unsigned char **text, size_t *n);

/* Reads the file (at most LIMIT_POLICY_TEXT bytes) and compiles it: `mgictl policy check`. A file
 * that can't be read yields one diagnostic of line 0, and *read_error is its errno (else 0). */
bool policy_compile_file(const char *path, struct policy_compilation *out, int *read_error);

/* "PATH:LINE:COLUMN: error: what (at POINTER); remedy", one a line, into out (capacity bytes,
 * NUL included); whole lines only, and a last one that says how many there was no room for.
 * Returns the length. */
size_t policy_report_text(const struct policy_compilation *c, struct span path, char *out,
                          size_t capacity);

/* {"path":…,"valid":…,"errors":n,"warnings":n,"untold":n,"diagnostics":[{"severity":…,"line":n,
 * "column":n,"pointer":…,"what":…,"remedy":…}]}, to be freed with free. */
char *policy_report_json(const struct policy_compilation *c, struct span path);

#endif
