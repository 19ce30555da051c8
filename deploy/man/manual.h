/*
 * manual: what the writers of mdoc(7) pages share.
 */
#ifndef MGID_MANUAL_H
#define MGID_MANUAL_H

/* Text on standard output, so that nothing in it is taken for a request or an escape. */
void manual_text(const char *text);

/* The same as a line, ended by a full stop when it has none. */
void manual_line(const char *text);

/* mgid-policy(5), from the schema in that file. An exit status. */
int manual_policy(const char *path);

#endif
