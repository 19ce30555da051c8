/*
 * edit: changes to a mail's header section that a rule of the policy asks for. Pure.
 *
 * The stored mail is never changed: what is to be changed for a recipient is a short text in the
 * mail's envelope, and is applied to the header section each time that the mail is sent. So one
 * stored body serves recipients whose headers differ, a mail of any size costs no second copy,
 * and a notification returns what the sender wrote.
 *
 * Each change is one letter and its counted strings, all printable:
 *
 *     p8:<im><c>                   the subject begins with "<im><c> "
 *     s12:X-Archived-By4:mgid      one field of that name, with that value
 *     r10:X-Internal               no field of that name
 */
#ifndef MGID_MIME_EDIT_H
#define MGID_MIME_EDIT_H

#include "engine/mime/text.h"
#include "limits.h"
#include "span.h"

enum edit_kind { EDIT_PREFIX_SUBJECT = 'p', EDIT_SET = 's', EDIT_REMOVE = 'r' };

struct edit {
    enum edit_kind kind;
    struct span name;  /* of the field; empty for EDIT_PREFIX_SUBJECT */
    struct span value; /* UTF-8 without control characters; empty for EDIT_REMOVE */
};

/* Appends the change to a text of them. */
void edit_put(struct text *t, const struct edit *e);

/* Takes the next change off *rest; false at the end, and at what is none (*rest is then not
 * empty). */
bool edit_next(struct span *rest, struct edit *out);

/* Is this whole text changes, at most LIMIT_EDITS of them, and one of the subject? */
bool edits_valid(struct span edits);

/* A list of several recipients' changes: the n-th of them, from 1; empty when there is none. */
struct span edits_variant(struct span list, unsigned n);
void edits_add_variant(struct text *list, struct span edits);

/* May a field of that name be set or removed? Not those that say how the body is to be read, nor
 * the trace of the mail's way (RFC 5321 4.4). Letters, digits, "-" and "_" only. */
bool edit_name_allowed(struct span name);

/* The length of the header section with the empty line that ends it, in a mail of which `bytes`
 * is the begin; 0 when its end is not among them. */
size_t edit_section(struct span bytes);

/*
 * Writes the header section with the changes, CRLF line ends, to out; returns its length, 0 when
 * it does not fit or the changes are not valid. section.n + LIMIT_EDIT_GROWTH always suffices.
 *
 * A subject's prefix is written so that the decoded subject begins with exactly its characters:
 * in ASCII where it can, else as encoded words (RFC 2047), which swallow the white space between
 * them; what stood there is kept byte for byte behind it, but for folding. A subject that begins
 * so already stays as it is; a mail without one gets one; of several the first is left, as clients
 * differ in which they show (RFC 5322 3.6 allows one). A field that is set takes the place of the
 * first of its name, and goes to the end of the section when there is none.
 */
size_t edits_apply(struct span edits, struct span section, unsigned char *out, size_t capacity);

#endif
