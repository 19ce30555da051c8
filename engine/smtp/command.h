/*
 * smtp_command: the arguments of the server's commands (RFC 5321 4.1.1), inside the smtp archive.
 */
#ifndef MGID_SMTP_COMMAND_H
#define MGID_SMTP_COMMAND_H

#include "engine/smtp/address.h"
#include "engine/smtp/verbs.h"

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

/* What MAIL FROM and RCPT TO say. */
struct smtp_path_arguments {
    struct smtp_address address;
    uint64_t size;
    bool eight_bit_mime;
};

/* verb is MAIL or RCPT; parameters are refused when they may not be there (HELO). A size over max
 * (0: none) is refused. SMTP_OWN_NONE, or the refusal. */
enum smtp_own_reply smtp_path_arguments_parse(enum smtp_verb verb, struct span argument,
                                              bool parameters, uint64_t max,
                                              struct smtp_path_arguments *a);

#endif
