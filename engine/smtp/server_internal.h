/* internal: what the parts of the receiving machine share. */
#ifndef MGID_SMTP_SERVER_INTERNAL_H
#define MGID_SMTP_SERVER_INTERNAL_H

#include "engine/smtp/server.h"
#include "status.h"

/* What the next bytes are. */
enum {
    PHASE_SILENT, /* the greeting is yet to come: none may */
    PHASE_COMMAND,
    PHASE_SKIP, /* of a line that is too long */
    PHASE_DATA,
    PHASE_CHUNK,
    PHASE_TLS,
    PHASE_CLOSED,
};

/* What an answer is due for. */
enum { DUE_NONE, DUE_STARTTLS, DUE_MAIL, DUE_RCPT, DUE_DATA, DUE_CHUNK, DUE_END_OF_DATA };

/* ---- server.c ---------------------------------------------------------------------------- */

/* A reply of our own; a refusal counts as an error. */
void server_say(struct smtp_server *s, struct smtp_out *out, enum smtp_own_reply which);
/* Says why, and ends the session. */
enum smtp_event server_say_and_end(struct smtp_server *s, struct smtp_out *out,
                                   enum smtp_own_reply which, enum smtp_close_reason reason);
/* A reply that names us first: "hostname text". */
void server_reply_named(const struct smtp_server *s, struct smtp_out *out, unsigned code,
                        const char *enhanced, struct span text);
void server_drop_transaction(struct smtp_server *s);
void server_end(struct smtp_server *s, enum smtp_close_reason reason);

/* ---- server_command.c -------------------------------------------------------------------- */

/* A whole line, without CRLF; rest is what came behind it. SMTP_EV_NEED_INPUT when it is dealt with
 * and no event. */
enum smtp_event server_command(struct smtp_server *s, struct span line, struct span rest,
                               struct smtp_out *out);

/* ---- server_chunk.c ---------------------------------------------------------------------- */

/* A line that is refused as such, but says BDAT: octets follow, and nobody knows how many. */
bool server_names_bdat(struct span line);
/* BDAT, for which the table has that action. */
enum smtp_event server_bdat(struct smtp_server *s, struct span argument, enum smtp_action action,
                            struct smtp_out *out);
/* The chunk under way, which may be empty; the same. */
enum smtp_event server_chunk(struct smtp_server *s, struct span *in, struct smtp_out *out);

#endif
