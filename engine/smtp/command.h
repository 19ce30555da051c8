/*
 * smtp_command: the server's command lines (RFC 5321 4.1.1) and its own replies, inside the smtp
 * archive.
 */
#ifndef MGID_SMTP_COMMAND_H
#define MGID_SMTP_COMMAND_H

#include "engine/smtp/verbs.h"
#include "limits.h"

enum smtp_own_reply {
    SMTP_OWN_NONE,
#define REPLY(NAME, code, enhanced, text) SMTP_OWN_##NAME,
#include "replies.def"
#undef REPLY
    SMTP_OWN_COUNT
};

struct smtp_own {
    unsigned code;
    const char *enhanced;
    const char *text;
    const char *whole; /* "CODE ENHANCED TEXT" */
};

const struct smtp_own *smtp_own_reply(enum smtp_own_reply reply);

/* A command line, taken apart. */
struct smtp_command {
    enum smtp_verb verb;
    struct span argument; /* trimmed */
};

/* line has no CRLF. SMTP_OWN_NONE, or why it is no command at all. */
enum smtp_own_reply smtp_command_parse(struct span line, struct smtp_command *c);

/* The name behind HELO and EHLO. */
bool smtp_client_name_valid(struct span name);

/* The bytes at the front of *s up to a blank; *s goes on behind the blanks. */
struct span smtp_take_word(struct span *s);

#endif
