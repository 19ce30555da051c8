/*
 * json: members of a JSON object, written one after another to a stream. The object's begin is
 * json_open's; each member function writes its own comma.
 */
#ifndef MGISIM_JSON_H
#define MGISIM_JSON_H

#include "span.h"
#include <stdint.h>
#include <stdio.h>

/* {"event":"EVENT" */
void json_open(FILE *out, const char *event);
/* } and a newline; flushes. */
void json_close(FILE *out);

/* The value alone, quoted and escaped. */
void json_value(FILE *out, struct span value);

void json_text(FILE *out, const char *key, const char *value); /* null for a NULL value */
void json_number(FILE *out, const char *key, int64_t value);
void json_bool(FILE *out, const char *key, bool value);
/* ,"key": for a nested value that the caller writes. */
void json_key(FILE *out, const char *key);

#endif
