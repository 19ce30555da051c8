/*
 * verbs.h: the tables verbs.def and extensions.def as enumerations, and their look-up.
 */
#ifndef MGID_SMTP_VERBS_H
#define MGID_SMTP_VERBS_H

#include "span.h"

enum smtp_verb {
#define VERB(NAME, argument, greeted, ready, failed, mail, refused, rcpt, chunks) SMTP_VERB_##NAME,
#include "verbs.def"
#undef VERB
    SMTP_VERB_UNKNOWN,
    SMTP_VERB_COUNT = SMTP_VERB_UNKNOWN
};

enum smtp_state {
    SMTP_STATE_GREETED,
    SMTP_STATE_READY,
    SMTP_STATE_FAILED,
    SMTP_STATE_MAIL, /* from here on: a transaction is under way */
    SMTP_STATE_REFUSED,
    SMTP_STATE_RCPT,
    SMTP_STATE_CHUNKS,
    SMTP_STATE_COUNT
};

enum smtp_action {
    SMTP_ACTION_DO,
    SMTP_ACTION_SEQUENCE,
    SMTP_ACTION_NOBODY,
    SMTP_ACTION_LOST,
    SMTP_ACTION_ABSENT,
    SMTP_ACTION_HOSTILE,
    SMTP_ACTION_UNKNOWN, /* 500 5.5.2 */
};

enum smtp_argument { SMTP_ARGUMENT_NONE, SMTP_ARGUMENT_SOME, SMTP_ARGUMENT_ANY };

enum smtp_extension {
#define EXTENSION(NAME, keyword, offer) SMTP_EXTENSION_##NAME,
#include "extensions.def"
#undef EXTENSION
    SMTP_EXTENSION_COUNT
};

/* An extension as a bit, for sets of them. */
#define SMTP_EXTENSION_BIT(extension) (1u << (extension))

/* Without regard to case; SMTP_VERB_UNKNOWN when it is none. */
enum smtp_verb smtp_verb_find(struct span word);
const char *smtp_verb_name(enum smtp_verb verb);
enum smtp_argument smtp_verb_argument(enum smtp_verb verb);

/* The state machine. */
enum smtp_action smtp_verb_action(enum smtp_state state, enum smtp_verb verb);

/* SMTP_EXTENSION_COUNT when it is none that we know. */
enum smtp_extension smtp_extension_find(struct span keyword);
const char *smtp_extension_keyword(enum smtp_extension extension);

#endif
