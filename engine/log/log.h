/*
 * log: one JSON object a line and event (RFC 8259), on a descriptor that the master hands out.
 *
 * A process is one thread and writes one line at a time, so the line under way is the
 * module's own state: log_begin, any number of fields, log_end. Values are escaped; bytes that
 * are not UTF-8 are written as U+FFFD. A line over LIMIT_LOG_LINE loses the fields that do not
 * fit and gets "truncated":true; it is valid JSON all the same.
 *
 * Every line has time (RFC 3339, UTC, microseconds), level, role, pid, event; a connection
 * worker's also flow and worker.
 */
#ifndef MGID_LOG_H
#define MGID_LOG_H

#include "roles.h"
#include "span.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERROR };

/* Names the process in its lines; again after a fork, as the pid is asked once. flow may be "" (no flow
 * and worker then). */
void log_identify(enum role role, struct span flow, unsigned worker);

/* Lines go to fd from now on (2 at start). Closes the descriptor before, unless it is 2. */
void log_set_fd(int fd);

/* Buffered: lines are kept until log_flush or until the buffer is half full. Else (the
 * default) each line is written at its end. */
void log_set_buffered(bool buffered);

/* Lines below the level are not written. The default is LOG_INFO. */
void log_set_level(enum log_level level);

void log_begin(enum log_level level, const char *event);
void log_span(const char *key, struct span value);
void log_text(const char *key, const char *value);
void log_format(const char *key, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_number(const char *key, int64_t value);
/* Seconds with microseconds, from a number of microseconds. */
void log_seconds(const char *key, int64_t microseconds);
void log_bool(const char *key, bool value);
void log_end(void);

/* Writes what is buffered. When the descriptor does not take it, the lines are dropped and
 * counted; the next line that can be written says how many ("log lost"). */
void log_flush(void);

/* A line with one text, for what needs no fields: {"event":event,"text":…}. */
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Escapes value for the inside of a JSON string into out (at most capacity bytes, never a part
 * of an escape or character); returns the length. Pure. */
size_t log_escape(struct span value, char *out, size_t capacity);

#endif
