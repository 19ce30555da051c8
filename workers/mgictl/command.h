/*
 * mgictl: the operator's command. What it can do is the table commands.def, its options are
 * options.def; help, man page and completion come from the same two.
 *
 * Exit status: sysexits(3), as in status.h. Answers go to standard output, everything that is
 * wrong to standard error, with the remedy.
 */
#ifndef MGID_COMMAND_H
#define MGID_COMMAND_H

#include "limits.h"
#include "span.h"
#include "status.h"
#include <jansson.h>

enum { LIMIT_ARGUMENTS = LIMIT_QUEUE_IDS + 4, LIMIT_RCPTS = 64 };

/* argument_count of a command that takes any number. */
enum { ANY_ARGUMENTS = LIMIT_ARGUMENTS + 1 };

/* What the command line says. */
struct command_line {
    const char *socket;
    bool json;
    bool help;
    bool version;
    uint32_t given;      /* options, a bit each */
    unsigned long limit; /* 0: none given */
    /* which queued mails; NULL, 0: whatever */
    const char *sender, *recipient, *route, *reason, *flow;
    unsigned long older, younger;  /* seconds */
    unsigned long larger, smaller; /* bytes */
    const char *to;
    /* of policy explain and policy diff; NULL where not given */
    const char *policy, *from, *peer, *client, *replay;
    unsigned rcpt_count;
    const char *rcpts[LIMIT_RCPTS];
    bool all;
    bool dry_run;
    bool yes;
    unsigned count;                         /* of words */
    const char *words[LIMIT_ARGUMENTS + 1]; /* the last one NULL */
};

struct command {
    const char *name; /* one or two words */
    const char *arguments;
    unsigned argument_count;
    const char *summary;
    const char *details;
    enum exit_status (*run)(const struct command_line *line, const char *const *arguments);
};

extern const struct command commands[];
extern const size_t command_count;

/* ---- options.c -------------------------------------------------------------------------- */

struct command_option {
    const char *name;     /* "--json" */
    const char *argument; /* "PATH", or NULL */
    const char *command; /* those that take it: names or first words, with a | between; NULL: all */
    const char *help;
};

extern const struct command_option command_options[];
extern const size_t command_option_count;

/* Does the command take it? */
bool option_fits(const struct command_option *option, const char *command);

/* Reads argv; says on standard error what is wrong, and then returns false. */
bool command_line_read(struct command_line *line, int argc, char **argv);

/* False, and said so, when the line has an option that the command does not take. */
bool command_line_fits(const struct command_line *line, const struct command *command);

/* ---- help.c ----------------------------------------------------------------------------- */

void help_all(void);
void help_command(const struct command *command);

/* ---- the commands ----------------------------------------------------------------------- */

#define COMMAND(name, arguments, argument_count, summary, details, function)                       \
    enum exit_status function(const struct command_line *, const char *const *);
#include "workers/mgictl/commands.def"
#undef COMMAND

/* ---- queue.c ---------------------------------------------------------------------------- */

/* The request with the filter that the line and the ids (up to NULL) say; the caller's. */
json_t *queue_request(const struct command_line *line, const char *command, const char *const *ids);

/* After a list or an export, whose last line is `end` (or NULL): says how many mails could not be
 * read, and makes a good result EXIT_TEMPFAIL if there are any. */
enum exit_status queue_unread(json_t *end, enum exit_status result);

/* ---- remote.c --------------------------------------------------------------------------- */

/* Sends the request (a reference that is taken) to the daemon and hands each line of the answer,
 * but the last, to show; with --json the lines are printed as they come, and show is not called.
 * *end, when not NULL, is the last line, for the caller to json_decref (NULL on failure). Says what
 * is wrong. EXIT_OK; EXIT_UNAVAILABLE, EXIT_NOPERM: no answer; EXIT_TEMPFAIL: somebody did not
 * answer, or the answer broke off; `refused` when the last line is not "ok". */
enum exit_status remote_ask(const struct command_line *line, json_t *request,
                            enum exit_status refused, void (*show)(void *context, json_t *object),
                            void *context, json_t **end);

/* The member as text, "" when it is none; and as a number, 0 when it is none. */
const char *remote_text(json_t *object, const char *key);
json_int_t remote_number(json_t *object, const char *key);

/* ---- print.c ---------------------------------------------------------------------------- */

/* Prints text of others' making: control characters, which could steer the terminal, as "?". */
void print_safe(const char *text);

/* A table, column widths found from its rows. Rows are kept until table_flush or until there are
 * many; columns never get narrower, so that what follows stays aligned. */
enum { TABLE_COLUMNS = 10, TABLE_ROWS = 256 };

struct table {
    unsigned columns;
    const char *heads[TABLE_COLUMNS];
    bool right[TABLE_COLUMNS]; /* aligned to the right */
    size_t widths[TABLE_COLUMNS];
    bool begun;
    unsigned rows;
    char *cells[TABLE_ROWS][TABLE_COLUMNS];
};

/* As many texts as the table has columns; copied. */
void table_row(struct table *table, const char *const *texts);
void table_flush(struct table *table);

/* "3d 4h", "12s" …; out has TEXT_LENGTH bytes. */
enum { TEXT_LENGTH = 32 };
void text_duration(json_int_t seconds, char *out);
/* "4.9M"; decimal units. */
void text_size(json_int_t bytes, char *out);
void text_number(json_int_t number, char *out);
/* Local time, "2026-11-24 13:37:00". */
void text_time(json_int_t seconds, char *out);

#endif
