/*
 * The sending machine: one state awaits one reply, but for the envelope, whose commands and
 * replies are numbered: 0 MAIL, 1 … count RCPT, count + 1 DATA or BDAT. With PIPELINING the writing
 * runs ahead of the answers, without it never by more than one.
 *
 * DATA has a reply of its own and the message another, so the message has states of its own. A
 * chunk belongs to its command: nothing is written behind BDAT but the chunk, and its one reply
 * is the mail's.
 */
#include "engine/smtp/client.h"
#include "status.h"

enum state {
    STATE_GREETING,
    STATE_EHLO,
    STATE_HELO,
    STATE_STARTTLS,
    STATE_HANDSHAKE, /* the caller's */
    STATE_READY,     /* between mails */
    STATE_ENVELOPE,
    STATE_BODY,     /* the caller sends the message (DATA) */
    STATE_LONE_DOT, /* 354 though no recipient was taken: an empty message (RFC 2920 3.1) */
    STATE_FINAL,
    STATE_RSET,
    STATE_QUIT,
    STATE_OVER,
    STATE_COUNT
};

enum body {
    BODY_NONE,
    BODY_DUE,     /* SEND_BODY is to be reported */
    BODY_SENDING, /* the caller's, until smtp_client_body_sent */
    BODY_SENT,
};

/* Not an event of its own: the machine goes on. */
#define GO_ON SMTP_CL_NEED_INPUT

static const char unasked[] = "a reply to no command";

void smtp_client_begin(struct smtp_client *c, const struct smtp_client_config *config)
{
    BUG_ON(config->hostname.n == 0 || config->hostname.n > LIMIT_DOMAIN);
    memset(c, 0, offsetof(struct smtp_client, reply));
    c->config = config;
    c->state = STATE_GREETING;
    smtp_reply_begin(&c->reply);
    c->verdict = SMTP_VERDICT_OK;
    c->recipient = 0;
    c->accepted = 0;
    c->error = NULL;
}

/* ---- going from state to state ---------------------------------------------------------- */

static enum smtp_client_event enter(struct smtp_client *c, enum state state)
{
    c->state = (uint8_t)state;
    c->unsent = true;
    c->told = false;
    return GO_ON;
}

static enum smtp_client_event end(struct smtp_client *c, enum smtp_client_event event)
{
    c->state = STATE_OVER;
    c->over = (uint8_t)event;
    return event;
}

static enum smtp_client_event protocol_error(struct smtp_client *c, const char *error)
{
    c->error = error;
    return end(c, SMTP_CL_PROTOCOL_ERROR);
}

static enum smtp_verdict verdict_of(unsigned code)
{
    if (smtp_code_ok(code))
        return SMTP_VERDICT_OK;
    return smtp_code_permanent(code) ? SMTP_VERDICT_PERMANENT : SMTP_VERDICT_TEMPORARY;
}

/* For RCPT, 552 says "too many recipients" to a client that can't know better (RFC 5321
 * 4.5.3.1.10): temporary, unless an enhanced code tells that it is about the mailbox. */
static enum smtp_verdict recipient_verdict(const struct smtp_reply *r)
{
    const struct smtp_enhanced *e = &r->enhanced;

    if (r->code == 552 && (e->class == 0 || (e->subject == 5 && e->detail == 3)))
        return SMTP_VERDICT_TEMPORARY;
    return verdict_of(r->code);
}

static enum smtp_client_event settle(struct smtp_client *c, enum smtp_client_event event)
{
    c->settled = true;
    c->verdict = verdict_of(c->reply.code);
    return event;
}

/* ---- writing ---------------------------------------------------------------------------- */

static void put_command(struct smtp_out *out, struct span verb, struct span argument)
{
    smtp_out_put(out, verb);
    smtp_out_put(out, argument);
    smtp_out_put(out, SPAN_LIT("\r\n"));
}

static void put_data(struct smtp_client *c, struct smtp_out *out)
{
    if (!c->chunk) {
        put_command(out, SPAN_LIT("DATA"), SPAN_EMPTY);
        return;
    }
    smtp_out_put(out, SPAN_LIT("BDAT "));
    smtp_out_number(out, c->envelope->size);
    smtp_out_put(out, SPAN_LIT(" LAST\r\n"));
    c->body = BODY_DUE;
}

static void put_envelope_command(struct smtp_client *c, uint32_t which, struct smtp_out *out)
{
    /* The last line of defence: no mail in clear where TLS is required. */
    BUG_ON(c->config->tls == SMTP_TLS_REQUIRE && !c->tls);
    if (which == 0) {
        c->begun++;
        smtp_envelope_put_mail(c->envelope, &c->offer, out);
    } else if (which <= c->envelope->count) {
        smtp_envelope_put_rcpt(c->envelope, which - 1, &c->offer, out);
    } else {
        put_data(c, out);
    }
}

/* May the next command of the envelope be written before the answers to those before it? */
static bool ahead(const struct smtp_client *c)
{
    if (!smtp_offered(&c->offer, SMTP_EXTENSION_PIPELINING))
        return false;
    return c->sent <= c->envelope->count || !c->chunk || c->envelope->size <= LIMIT_SMTP_AHEAD;
}

/* Is a command to be written while none awaits its reply? What has come by then answers none. */
static bool in_step(const struct smtp_client *c)
{
    if (c->state == STATE_ENVELOPE)
        return c->sent < c->total && c->sent == c->answered;
    return c->unsent && c->state != STATE_READY;
}

/* Writes what may be written now. False when out lacks the room for more. */
static bool write_commands(struct smtp_client *c, struct smtp_out *out)
{
    if (c->state == STATE_ENVELOPE) {
        while (c->sent < c->total && (c->sent == c->answered || ahead(c))) {
            if (!smtp_out_room(out))
                return false;
            put_envelope_command(c, c->sent++, out);
        }
        return true;
    }
    if (!c->unsent)
        return true;
    if (!smtp_out_room(out))
        return false;
    c->unsent = false;
    switch ((enum state)c->state) {
    case STATE_EHLO:
        put_command(out, SPAN_LIT("EHLO "), c->config->hostname);
        break;
    case STATE_HELO:
        put_command(out, SPAN_LIT("HELO "), c->config->hostname);
        break;
    case STATE_STARTTLS:
        put_command(out, SPAN_LIT("STARTTLS"), SPAN_EMPTY);
        break;
    case STATE_LONE_DOT:
        put_command(out, SPAN_LIT("."), SPAN_EMPTY);
        break;
    case STATE_RSET:
        put_command(out, SPAN_LIT("RSET"), SPAN_EMPTY);
        break;
    case STATE_QUIT:
        put_command(out, SPAN_LIT("QUIT"), SPAN_EMPTY);
        break;
    default:
        break;
    }
    return true;
}

/* ---- greeting, EHLO, STARTTLS ----------------------------------------------------------- */

static enum smtp_client_event downgrade(struct smtp_client *c, const char *why)
{
    if (why != NULL)
        smtp_reply_make(&c->reply, 454, (struct smtp_enhanced){4, 7, 4}, span_str(why));
    c->verdict = SMTP_VERDICT_TEMPORARY;
    return end(c, SMTP_CL_DOWNGRADE);
}

static enum smtp_client_event refused(struct smtp_client *c)
{
    c->verdict = verdict_of(c->reply.code);
    return end(c, SMTP_CL_REFUSED);
}

static enum smtp_client_event after_hello(struct smtp_client *c)
{
    if (c->config->no_chunking)
        c->offer.extensions &= ~SMTP_EXTENSION_BIT(SMTP_EXTENSION_CHUNKING);
    if (c->tls || c->config->tls == SMTP_TLS_NONE)
        return enter(c, STATE_READY);
    if (smtp_offered(&c->offer, SMTP_EXTENSION_STARTTLS))
        return enter(c, STATE_STARTTLS);
    if (c->config->tls == SMTP_TLS_REQUIRE)
        return downgrade(c, "TLS is required and the server does not offer it");
    return enter(c, STATE_READY);
}

static void ehlo_line(struct smtp_client *c)
{
    if (c->state == STATE_EHLO && smtp_code_ok(c->reply.code) && c->reply.lines > 1)
        smtp_offer_learn(&c->offer, smtp_reply_line(&c->reply));
}

static enum smtp_client_event ehlo_reply(struct smtp_client *c)
{
    unsigned code = c->reply.code;

    if (smtp_code_ok(code))
        return after_hello(c);
    c->offer = (struct smtp_offer){0};
    if (c->state == STATE_EHLO && smtp_code_permanent(code))
        return enter(c, STATE_HELO);
    return refused(c);
}

static enum smtp_client_event starttls_reply(struct smtp_client *c, struct span rest)
{
    if (c->reply.code == 220) {
        if (rest.n > 0)
            return protocol_error(c, "data behind the answer to STARTTLS");
        c->state = STATE_HANDSHAKE;
        return SMTP_CL_STARTTLS;
    }
    if (c->config->tls == SMTP_TLS_REQUIRE)
        return downgrade(c, NULL);
    return enter(c, STATE_READY);
}

void smtp_client_tls_established(struct smtp_client *c, bool verified)
{
    BUG_ON(c->state != STATE_HANDSHAKE);
    /* What was said in clear is forgotten (RFC 3207 4.2). */
    c->tls = true;
    c->verified = verified;
    c->offer = (struct smtp_offer){0};
    enter(c, STATE_EHLO);
}

/* ---- a mail ----------------------------------------------------------------------------- */

enum smtp_lack smtp_client_lack(const struct smtp_client *c, const struct smtp_envelope *e)
{
    return smtp_envelope_lack(e, &c->offer, c->tls && c->verified);
}

bool smtp_client_mail(struct smtp_client *c, const struct smtp_envelope *envelope)
{
    enum smtp_lack lack;

    BUG_ON(c->state != STATE_READY || envelope->count > UINT32_MAX - 2);
    BUG_ON(c->config->tls == SMTP_TLS_REQUIRE && !c->tls);
    if (!smtp_envelope_sendable(envelope))
        return false;
    c->envelope = envelope;
    c->sent = 0;
    c->answered = 0;
    c->accepted = 0;
    c->mail_ok = false;
    c->settled = false;
    c->body = BODY_NONE;
    c->chunk = envelope->size != 0 && smtp_offered(&c->offer, SMTP_EXTENSION_CHUNKING);
    c->chunk_unknown = false;
    c->total = envelope->count + 2;
    enter(c, STATE_ENVELOPE);
    lack = smtp_client_lack(c, envelope);
    if (lack != SMTP_LACK_NOTHING) {
        c->total = 0;
        smtp_lack_reply(lack, &c->reply);
    }
    return true;
}

static enum smtp_client_event mail_reply(struct smtp_client *c)
{
    c->mail_ok = smtp_code_ok(c->reply.code);
    if (c->mail_ok)
        return GO_ON;
    c->total = c->sent;
    return settle(c, SMTP_CL_FAILED);
}

static enum smtp_client_event rcpt_reply(struct smtp_client *c, uint32_t which)
{
    if (!c->mail_ok)
        return GO_ON;
    c->recipient = which - 1;
    c->verdict = recipient_verdict(&c->reply);
    if (c->verdict == SMTP_VERDICT_OK)
        c->accepted++;
    /* Nobody to send to: DATA or BDAT is spared, if it was not written with the rest. */
    if (which == c->envelope->count && c->accepted == 0 && c->sent == c->answered)
        c->total = c->sent;
    return SMTP_CL_RCPT_RESULT;
}

/* The server answers while the message is being sent: the rest of it can't be stopped in order. */
static enum smtp_client_event midst_reply(struct smtp_client *c)
{
    if (c->reply.code < 400)
        return protocol_error(c, "a reply in the message's midst");
    if (c->settled)
        return end(c, SMTP_CL_CLOSED);
    settle(c, SMTP_CL_FAILED);
    end(c, SMTP_CL_CLOSED);
    return SMTP_CL_FAILED;
}

static enum smtp_client_event data_reply(struct smtp_client *c, struct span rest)
{
    if (c->reply.code == 354) {
        if (rest.n > 0)
            return protocol_error(c, unasked);
        if (c->accepted == 0)
            return enter(c, STATE_LONE_DOT);
        c->state = STATE_BODY;
        c->body = BODY_SENDING;
        return SMTP_CL_SEND_BODY;
    }
    if (smtp_code_ok(c->reply.code))
        return protocol_error(c, "DATA was answered as if it were done");
    return c->settled ? GO_ON : settle(c, SMTP_CL_FAILED);
}

static enum smtp_client_event delivered(struct smtp_client *c)
{
    c->mail_ok = false;
    c->mails++;
    enter(c, STATE_READY);
    return settle(c, SMTP_CL_DELIVERED);
}

/* A server that takes a mail for nobody has not made a success of it. */
static enum smtp_client_event not_delivered(struct smtp_client *c)
{
    settle(c, SMTP_CL_FAILED);
    if (c->verdict == SMTP_VERDICT_OK)
        c->verdict = SMTP_VERDICT_TEMPORARY;
    return SMTP_CL_FAILED;
}

/* After a refused BDAT the server's state is indeterminate until RSET (RFC 3030 2), as it may be
 * where MAIL was refused and a chunk has followed. */
static enum smtp_client_event chunk_reply(struct smtp_client *c)
{
    if (c->body != BODY_SENT)
        return midst_reply(c);
    if (c->reply.code / 100 == 3)
        return protocol_error(c, "a 3xx reply to BDAT");
    if (c->accepted > 0 && smtp_code_ok(c->reply.code))
        return delivered(c);
    c->mail_ok = true;
    if (c->settled)
        return GO_ON;
    not_delivered(c);
    /* Offered, and not known after all: DATA may do. */
    if (c->reply.code == 500 || c->reply.code == 502) {
        c->chunk_unknown = true;
        c->verdict = SMTP_VERDICT_TEMPORARY;
    }
    return SMTP_CL_FAILED;
}

static enum smtp_client_event envelope_reply(struct smtp_client *c, struct span rest)
{
    uint32_t which = c->answered;

    if (c->answered == c->sent)
        return protocol_error(c, unasked);
    c->answered++;
    if (which == c->envelope->count + 1)
        return c->chunk ? chunk_reply(c) : data_reply(c, rest);
    if (c->reply.code / 100 == 3)
        return protocol_error(c, "a 3xx reply to MAIL or RCPT");
    return which == 0 ? mail_reply(c) : rcpt_reply(c, which);
}

/* All commands of the envelope are answered and no message goes. */
static enum smtp_client_event conclude(struct smtp_client *c)
{
    if (!c->settled)
        return settle(c, SMTP_CL_FAILED);
    return enter(c, c->mail_ok ? STATE_RSET : STATE_READY);
}

static enum smtp_client_event final_reply(struct smtp_client *c)
{
    if (c->reply.code / 100 == 3)
        return protocol_error(c, "a 3xx reply to the message");
    if (smtp_code_ok(c->reply.code))
        return delivered(c);
    c->mail_ok = false;
    enter(c, STATE_READY);
    return settle(c, SMTP_CL_FAILED);
}

static enum smtp_client_event lone_dot_reply(struct smtp_client *c)
{
    c->mail_ok = false;
    enter(c, STATE_READY);
    return c->settled ? GO_ON : not_delivered(c);
}

void smtp_client_body_sent(struct smtp_client *c)
{
    BUG_ON(c->state != STATE_OVER && c->body != BODY_SENDING);
    c->body = BODY_SENT;
    if (c->state == STATE_BODY)
        c->state = STATE_FINAL;
}

void smtp_client_quit(struct smtp_client *c)
{
    BUG_ON(c->state != STATE_READY && (c->state != STATE_OVER || (c->over != SMTP_CL_REFUSED &&
                                                                  c->over != SMTP_CL_DOWNGRADE)));
    enter(c, STATE_QUIT);
}

/* ---- the machine ------------------------------------------------------------------------ */

static enum smtp_client_event handle_reply(struct smtp_client *c, struct span rest)
{
    c->replies++;
    if (c->state == STATE_QUIT)
        return end(c, SMTP_CL_QUIT);
    if (c->reply.code == 421) {
        c->verdict = SMTP_VERDICT_TEMPORARY;
        return end(c, SMTP_CL_CLOSED);
    }
    switch ((enum state)c->state) {
    case STATE_GREETING:
        if (c->reply.code / 100 == 3)
            return protocol_error(c, "a 3xx greeting");
        return smtp_code_ok(c->reply.code) ? enter(c, STATE_EHLO) : refused(c);
    case STATE_EHLO:
    case STATE_HELO:
        return ehlo_reply(c);
    case STATE_STARTTLS:
        return starttls_reply(c, rest);
    case STATE_ENVELOPE:
        return envelope_reply(c, rest);
    case STATE_BODY:
        return midst_reply(c);
    case STATE_LONE_DOT:
        return lone_dot_reply(c);
    case STATE_FINAL:
        return final_reply(c);
    case STATE_RSET:
        return smtp_code_ok(c->reply.code) ? enter(c, STATE_READY) : end(c, SMTP_CL_CLOSED);
    default:
        return protocol_error(c, unasked);
    }
}

/* Reads until something comes of it: an event, or GO_ON when the input is used up or a reply
 * changed what is to be done. */
static enum smtp_client_event read_replies(struct smtp_client *c, struct span *in)
{
    while (in->n > 0) {
        switch (smtp_reply_next(&c->reply, in)) {
        case SMTP_REPLY_MORE:
            break;
        case SMTP_REPLY_LINE:
            ehlo_line(c);
            break;
        case SMTP_REPLY_DONE:
            ehlo_line(c);
            return handle_reply(c, *in);
        case SMTP_REPLY_BAD:
            return protocol_error(c, "malformed reply");
        }
    }
    return GO_ON;
}

/* What the state wants without any input. */
static enum smtp_client_event without_input(struct smtp_client *c, bool blocked)
{
    switch ((enum state)c->state) {
    case STATE_READY:
        if (c->told)
            return SMTP_CL_WAIT;
        c->told = true;
        return SMTP_CL_READY;
    case STATE_BODY:
        return SMTP_CL_WAIT;
    default:
        return blocked ? SMTP_CL_FLUSH : SMTP_CL_NEED_INPUT;
    }
}

enum smtp_client_event smtp_client_next(struct smtp_client *c, struct span *in,
                                        struct smtp_out *out)
{
    for (;;) {
        enum smtp_client_event event;
        bool blocked;

        if (c->state == STATE_OVER)
            return (enum smtp_client_event)c->over;
        if (c->state == STATE_HANDSHAKE)
            return SMTP_CL_WAIT;
        if (c->state == STATE_ENVELOPE && c->answered == c->total) {
            event = conclude(c);
            if (event != GO_ON)
                return event;
        }
        if (in->n > 0 && in_step(c))
            return protocol_error(c, unasked);
        blocked = !write_commands(c, out);
        if (c->body == BODY_DUE) {
            c->body = BODY_SENDING;
            return SMTP_CL_SEND_BODY;
        }
        if (in->n == 0)
            return without_input(c, blocked);
        event = read_replies(c, in);
        if (event != GO_ON)
            return event;
    }
}

static const struct stage {
    const char *name;
    unsigned timeout;
} stages[STATE_COUNT] = {
    [STATE_GREETING] = {"greeting", TIMEOUT_SMTP_GREETING},
    [STATE_EHLO] = {"ehlo", TIMEOUT_SMTP_EHLO},
    [STATE_HELO] = {"helo", TIMEOUT_SMTP_EHLO},
    [STATE_STARTTLS] = {"starttls", TIMEOUT_SMTP_STARTTLS},
    [STATE_HANDSHAKE] = {"handshake", TIMEOUT_SMTP_STARTTLS},
    [STATE_READY] = {"ready", TIMEOUT_SMTP_SERVER},
    [STATE_ENVELOPE] = {"rcpt", TIMEOUT_SMTP_RCPT},
    [STATE_BODY] = {"body", TIMEOUT_SMTP_BLOCK},
    [STATE_LONE_DOT] = {"end of data", TIMEOUT_SMTP_DATA_END},
    [STATE_FINAL] = {"end of data", TIMEOUT_SMTP_DATA_END},
    [STATE_RSET] = {"rset", TIMEOUT_SMTP_RSET},
    [STATE_QUIT] = {"quit", TIMEOUT_SMTP_QUIT},
    [STATE_OVER] = {"over", TIMEOUT_SMTP_QUIT},
};

static const struct stage *stage(const struct smtp_client *c)
{
    static const struct stage mail = {"mail", TIMEOUT_SMTP_MAIL};
    static const struct stage data = {"data", TIMEOUT_SMTP_DATA};
    static const struct stage chunk = {"bdat", TIMEOUT_SMTP_DATA_END};

    if (c->state == STATE_ENVELOPE && c->answered == 0)
        return &mail;
    if (c->state == STATE_ENVELOPE && c->answered == c->envelope->count + 1)
        return c->chunk ? &chunk : &data;
    return &stages[c->state];
}

unsigned smtp_client_timeout(const struct smtp_client *c)
{
    return stage(c)->timeout;
}

const char *smtp_client_stage(const struct smtp_client *c)
{
    return stage(c)->name;
}
