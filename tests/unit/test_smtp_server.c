/*
 * The receiving machine: dialogs as transcripts, each fed whole, byte by byte and in every two-way
 * split; every pair of state and verb; smuggling; bounds.
 *
 * A transcript has replies as their codes ("250", "550:5.1.1") and events by name, in order.
 */
#include "engine/smtp/server.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct smtp_server_config config = {
    .hostname = {(const unsigned char *)"mx.example", 10},
    .max_size = 1000,
    .max_errors = 20,
    .max_recipients = 100,
    .offer_starttls = true,
};

struct driver {
    struct smtp_server server;
    struct smtp_out out;
    unsigned char memory[2 * LIMIT_SMTP_OUT];
    unsigned char body[4096];
    size_t body_n;
    bool starttls_due;
    bool over;
    char transcript[16384];
    size_t n;
};

static void note(struct driver *d, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(d->transcript + d->n, sizeof d->transcript - d->n, format, arguments);
    va_end(arguments);
    ck_assert_int_ge(n, 0);
    d->n += (size_t)n;
    ck_assert_uint_lt(d->n, sizeof d->transcript);
}

static bool enhanced_at(struct span s)
{
    return s.n >= 5 && ascii_digit(s.p[0]) && s.p[1] == '.';
}

/* Notes the replies in out, each of which must be whole, and empties it. */
static void drain(struct driver *d)
{
    struct span s = span_of(d->out.p, d->out.n);

    while (s.n > 0) {
        const unsigned char *lf = memchr(s.p, '\n', s.n);
        ck_assert_ptr_nonnull(lf);
        struct span line = span_head(s, (size_t)(lf - s.p) + 1);
        ck_assert_uint_ge(line.n, 6);
        ck_assert_uint_le(line.n, 512);
        ck_assert_int_eq(line.p[line.n - 2], '\r');
        ck_assert_ptr_null(memchr(line.p, '\r', line.n - 2));
        if (line.p[3] == ' ') {
            note(d, "%.3s", (const char *)line.p);
            struct span text = span_from(span_head(line, line.n - 2), 4);
            if (line.p[0] >= '4' && enhanced_at(text))
                note(d, ":%.*s", (int)strcspn((const char *)text.p, " \r"), (const char *)text.p);
            note(d, " ");
        } else {
            ck_assert_int_eq(line.p[3], '-');
        }
        s = span_from(s, line.n);
    }
    d->out.n = 0;
}

static bool local_is(const struct driver *d, const char *prefix)
{
    return span_istarts(d->server.path.address.local, span_str(prefix));
}

static void on_path(struct driver *d, const char *name)
{
    struct smtp_server *s = &d->server;

    const struct smtp_path *p = &s->path;
    note(d, "%s(%.*s", name, (int)p->address.whole.n, (const char *)p->address.whole.p);
    if (p->size != 0)
        note(d, " size=%llu", (unsigned long long)p->size);
    note(d, "%s", (const char *[]){"", " 8bit", " binary"}[p->body]);
    note(d, "%s", (const char *[]){"", " full", " hdrs"}[p->ret]);
    note(d, "%s%s", p->utf8 ? " utf8" : "", p->require_tls ? " tls" : "");
    if (p->envid.n > 0)
        note(d, " envid=%.*s", (int)p->envid.n, (const char *)p->envid.p);
    if (p->notify != 0)
        note(d, " notify=%u", p->notify);
    if (p->orcpt.n > 0)
        note(d, " orcpt=%.*s", (int)p->orcpt.n, (const char *)p->orcpt.p);
    note(d, ") ");
    if (local_is(d, "bad"))
        smtp_server_reject(s, &d->out, 550, "5.1.1", SPAN_LIT("no such user\r\n250 smuggled"));
    else if (local_is(d, "slow"))
        smtp_server_reject(s, &d->out, 450, "4.2.0", SPAN_LIT("later"));
    else if (local_is(d, "bye"))
        smtp_server_reject(s, &d->out, 421, "4.3.2", SPAN_LIT("bye"));
    else
        smtp_server_accept(s, &d->out);
}

/* CHUNK or END: the bytes since the last one, and what is said of all. */
static void on_content(struct driver *d, const char *name)
{
    struct smtp_server *s = &d->server;

    note(d, "%s(", name);
    for (size_t i = 0; i < d->body_n; i++)
        note(d, d->body[i] == '\r' ? "\\r" : d->body[i] == '\n' ? "\\n" : "%c", d->body[i]);
    note(d, " %llu %u) ", (unsigned long long)s->size, s->defects);
    d->body_n = 0;
    if ((s->defects & SMTP_DEFECTS_SMUGGLING) != 0)
        smtp_server_reject(s, &d->out, 550, "5.6.11", SPAN_LIT("bare CR or LF"));
    else if ((s->defects & SMTP_DEFECT_TOO_BIG) != 0)
        smtp_server_reject(s, &d->out, 552, "5.3.4", SPAN_LIT("too big"));
    else
        smtp_server_accept(s, &d->out);
}

/* False when the input is used up or the session over. */
static bool handle(struct driver *d, enum smtp_event event)
{
    struct smtp_server *s = &d->server;

    drain(d);
    switch (event) {
    case SMTP_EV_NEED_INPUT:
    case SMTP_EV_WAIT:
        return false;
    case SMTP_EV_FLUSH:
        break;
    case SMTP_EV_NEED_LINE:
        smtp_server_attach(s, malloc(sizeof(struct smtp_line)));
        break;
    case SMTP_EV_EHLO:
        note(d, "%s(%.*s) ", s->esmtp ? "EHLO" : "HELO", (int)s->name.n, (const char *)s->name.p);
        break;
    case SMTP_EV_STARTTLS:
        note(d, "STARTTLS ");
        d->starttls_due = true;
        break;
    case SMTP_EV_MAIL:
        on_path(d, "MAIL");
        break;
    case SMTP_EV_RCPT:
        on_path(d, "RCPT");
        break;
    case SMTP_EV_DATA:
        note(d, "DATA ");
        smtp_server_accept(s, &d->out);
        break;
    case SMTP_EV_BDAT:
        note(d, "BDAT ");
        break;
    case SMTP_EV_CHUNK:
        on_content(d, "CHUNK");
        break;
    case SMTP_EV_BODY:
        ck_assert_uint_gt(s->body.n, 0);
        ck_assert_uint_le(d->body_n + s->body.n, sizeof d->body);
        memcpy(d->body + d->body_n, s->body.p, s->body.n);
        d->body_n += s->body.n;
        break;
    case SMTP_EV_END_OF_DATA:
        on_content(d, "END");
        break;
    case SMTP_EV_RSET:
        note(d, "RSET ");
        break;
    case SMTP_EV_QUIT:
        note(d, "QUIT ");
        d->over = true;
        return false;
    case SMTP_EV_CLOSE:
        note(d, "CLOSE(%s) ", smtp_close_reason_text((enum smtp_close_reason)s->close_reason));
        d->over = true;
        return false;
    }
    drain(d);
    return true;
}

/* A part of the input, as memory of its own; the line is given back whenever that is possible. */
static void feed(struct driver *d, struct span part)
{
    unsigned char *memory;
    struct span in;
    enum smtp_event event;
    bool more;

    if (part.n == 0 || d->over)
        return;
    memory = malloc(part.n);
    memcpy(memory, part.p, part.n);
    in = span_of(memory, part.n);
    do {
        event = smtp_server_next(&d->server, &in, &d->out);
        more = handle(d, event);
        if (event != SMTP_EV_NEED_LINE)
            free(smtp_server_detach(&d->server));
    } while (more);
    if (!d->over && !d->starttls_due)
        ck_assert_uint_eq(in.n, 0);
    free(memory);
}

static void start(struct driver *d, const struct smtp_server_config *c)
{
    memset(d, 0, sizeof *d);
    d->out = (struct smtp_out){.p = d->memory, .capacity = sizeof d->memory};
    smtp_server_begin(&d->server, c);
    smtp_server_greet(&d->server, &d->out);
    drain(d);
}

static void finish(struct driver *d)
{
    struct smtp_line *line = d->server.line;

    if (d->n > 0 && d->transcript[d->n - 1] == ' ')
        d->transcript[d->n - 1] = 0;
    free(line);
}

static void answer_starttls(struct driver *d)
{
    if (!d->starttls_due || d->over)
        return;
    smtp_server_accept(&d->server, &d->out);
    drain(d);
    struct span none = SPAN_EMPTY;
    ck_assert_int_eq(smtp_server_next(&d->server, &none, &d->out), SMTP_EV_WAIT);
    smtp_server_tls_established(&d->server);
    d->starttls_due = false;
    note(d, "tls ");
}

/* The input in two parts (or byte by byte), and then what comes under TLS likewise. */
static void run(struct driver *d, struct span clear, struct span secret, size_t cut, bool bytes)
{
    start(d, &config);
    for (unsigned i = 0; i < 2; i++) {
        struct span all = i == 0 ? clear : secret;
        for (size_t j = 0; bytes && j < all.n; j++)
            feed(d, span_of(all.p + j, 1));
        if (!bytes) {
            feed(d, span_head(all, cut));
            feed(d, span_from(all, cut));
        }
        answer_starttls(d);
    }
    finish(d);
}

#define EHLO "EHLO c.example\r\n"
#define EHLO_T "250 EHLO(c.example) "
#define TO_DATA EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
#define TO_DATA_T "220 " EHLO_T "MAIL(a@b) 250 RCPT(c@d) 250 DATA 354 "

#define TO_RCPT EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define TO_RCPT_T "220 " EHLO_T "MAIL(a@b) 250 RCPT(c@d) 250 "
#define BDAT_LOST_T "501:5.5.4 CLOSE(size of a chunk not readable)"

static const struct dialog {
    const char *clear;
    size_t n;
    const char *secret;
    const char *transcript;
} dialogs[] = {
#include "smtp_server_dialogs.def"
};

START_TEST(transcripts)
{
    static struct driver d;
    const struct dialog *dialog = &dialogs[_i];
    struct span clear = span_of(dialog->clear, dialog->n), secret = span_str(dialog->secret);

    run(&d, clear, secret, SIZE_MAX, false);
    ck_assert_str_eq(d.transcript, dialog->transcript);
    run(&d, clear, secret, 0, true);
    ck_assert_str_eq(d.transcript, dialog->transcript);
    for (size_t cut = 0; cut < clear.n || cut < secret.n; cut++) {
        run(&d, clear, secret, cut, false);
        ck_assert_str_eq(d.transcript, dialog->transcript);
    }
}
END_TEST

/* Whatever way the injected bytes come, with the command or behind it before it is answered. */
START_TEST(injection_behind_starttls)
{
    static struct driver d;
    struct span clear = SPAN_LIT(EHLO "STARTTLS\r\nMAIL FROM:<a@b>\r\n");
    bool seen;

    for (size_t cut = 0; cut <= clear.n; cut++) {
        run(&d, clear, SPAN_EMPTY, cut, false);
        seen = cut == 26;
        ck_assert_str_eq(d.transcript,
                         seen ? "220 " EHLO_T "STARTTLS 554:5.5.1 CLOSE(data behind STARTTLS)"
                              : "220 " EHLO_T "554:5.5.1 CLOSE(data behind STARTTLS)");
        ck_assert(!d.server.tls);
    }
}
END_TEST

static const struct verb_row {
    const char *command;
    const char *replies[SMTP_STATE_COUNT]; /* as the columns of verbs.def */
} verb_rows[] = {
#include "smtp_server_verbs.def"
};

_Static_assert(sizeof verb_rows / sizeof verb_rows[0] == SMTP_VERB_COUNT + 1, "every verb is here");

START_TEST(every_pair_of_state_and_verb)
{
    static const char *const preambles[SMTP_STATE_COUNT] = {
        "",
        EHLO,
        EHLO "MAIL FROM:<a@b>\r\nBDAT 0\r\n",
        EHLO "MAIL FROM:<a@b>\r\n",
        EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<bad@x>\r\n",
        EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<bad@x>\r\n",
        EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 0\r\n"};
    static struct driver d;

    for (unsigned state = 0; state < SMTP_STATE_COUNT; state++) {
        char line[64];
        start(&d, &config);
        feed(&d, span_str(preambles[state]));
        ck_assert_uint_eq(smtp_server_state(&d.server), state);
        d.n = 0;
        d.transcript[0] = 0;
        snprintf(line, sizeof line, "%s\r\n", verb_rows[_i].command);
        feed(&d, span_str(line));
        answer_starttls(&d);
        finish(&d);
        ck_assert_msg(strstr(d.transcript, verb_rows[_i].replies[state]) != NULL,
                      "%s in state %u: %s", verb_rows[_i].command, state, d.transcript);
        bool refused = verb_rows[_i].replies[state][0] >= '4';
        bool chunk = strncmp(line, "BDAT", 4) == 0; /* ends the transaction */
        if (refused && !d.over && !chunk)
            ck_assert_uint_eq(smtp_server_state(&d.server), state);
    }
}
END_TEST

/* ---- bounds ----------------------------------------------------------------------------- */

/* "NOOP xxx…" of that length, its CRLF included, and then RSET. */
static size_t long_line(char *text, size_t length, const char *end)
{
    memset(text, 'x', length);
    memcpy(text, "NOOP ", 5);
    memcpy(text + length - strlen(end), end, strlen(end));
    memcpy(text + length, "RSET\r\n", 6);
    return length + 6;
}

START_TEST(command_line_length)
{
    static const struct {
        size_t length;
        const char *end, *transcript, *verb;
    } rows[] = {
        {512, "\r\n", "220 250 250 RSET", "NOOP "},
        {LIMIT_SMTP_COMMAND, "\r\n", "220 250 250 RSET", "NOOP "},
        {LIMIT_SMTP_COMMAND + 1, "\r\n", "220 500:5.5.2 250 RSET", "NOOP "},
        {LIMIT_SMTP_COMMAND + 700, "\r\n", "220 500:5.5.2 250 RSET", "NOOP "},
        {3 * LIMIT_SMTP_COMMAND, "\r\n", "220 500:5.5.2 250 RSET", "NOOP "},
        {3 * LIMIT_SMTP_COMMAND, "x\n", "220 500:5.5.2 CLOSE(bare line end)", "NOOP "},
        {LIMIT_SMTP_COMMAND + 1, "\r\n", "220 " BDAT_LOST_T, "BDAT "},
        {3 * LIMIT_SMTP_COMMAND, "\r\n", "220 " BDAT_LOST_T, "BDAT "},
        {LIMIT_SMTP_COMMAND, "x\n", "220 500:5.5.2 CLOSE(bare line end)", "NOOP "},
    };
    static struct driver d;
    static char text[4 * LIMIT_SMTP_COMMAND];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span in = span_of(text, long_line(text, rows[i].length, rows[i].end));
        memcpy(text, rows[i].verb, strlen(rows[i].verb));
        run(&d, in, SPAN_EMPTY, SIZE_MAX, false);
        ck_assert_str_eq(d.transcript, rows[i].transcript);
        run(&d, in, SPAN_EMPTY, 0, true);
        ck_assert_str_eq(d.transcript, rows[i].transcript);
        for (size_t cut = 0; cut <= in.n; cut++) {
            run(&d, in, SPAN_EMPTY, cut, false);
            ck_assert_str_eq(d.transcript, rows[i].transcript);
        }
    }
}
END_TEST

START_TEST(too_many_errors)
{
    static struct driver d;

    start(&d, &config);
    for (unsigned i = 0; i < config.max_errors; i++)
        feed(&d, SPAN_LIT("FOO\r\n"));
    ck_assert(!d.over);
    d.n = 0;
    feed(&d, SPAN_LIT("FOO\r\nNOOP\r\n"));
    finish(&d);
    ck_assert_str_eq(d.transcript, "500:5.5.2 421:4.7.0 CLOSE(too many errors)");
}
END_TEST

START_TEST(guessed_recipients_are_errors_and_deferred_ones_are_not)
{
    static struct driver d;

    start(&d, &config);
    feed(&d, SPAN_LIT(EHLO "MAIL FROM:<a@b>\r\n"));
    for (unsigned i = 0; i < 500; i++) {
        feed(&d, SPAN_LIT("RCPT TO:<slow@x>\r\n"));
        d.n = 0;
    }
    ck_assert(!d.over);
    for (unsigned i = 0; i <= config.max_errors; i++)
        feed(&d, SPAN_LIT("RCPT TO:<bad@x>\r\n"));
    ck_assert(d.over);
    ck_assert_uint_eq(d.server.close_reason, SMTP_CLOSE_ERRORS);
    finish(&d);
}
END_TEST

START_TEST(idle_talk_ends_and_a_mail_begins_anew)
{
    static struct driver d;

    start(&d, &config);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < LIMIT_SMTP_IDLE_COMMANDS - 2; i++) {
            feed(&d, SPAN_LIT("NOOP\r\n"));
            d.n = 0;
        }
        ck_assert(!d.over);
        feed(&d, SPAN_LIT(TO_DATA ".\r\n"));
    }
    ck_assert_uint_eq(d.server.mails, 3);
    for (unsigned i = 0; i <= LIMIT_SMTP_IDLE_COMMANDS; i++)
        feed(&d, SPAN_LIT("NOOP\r\n"));
    ck_assert(d.over);
    finish(&d);
}
END_TEST

START_TEST(too_big_a_message)
{
    static struct driver d;
    char text[3000];
    size_t n = 0;

    start(&d, &config);
    feed(&d, SPAN_LIT(TO_DATA));
    for (unsigned i = 0; i < 13; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%077d\r\n", 0);
    n += (size_t)snprintf(text + n, sizeof text - n, ".\r\nRSET\r\n");
    d.n = 0;
    feed(&d, span_of(text, 7));
    feed(&d, span_of(text + 7, n - 7));
    finish(&d);
    ck_assert_str_eq(d.transcript, "END(0000000 1027 64) 552:5.3.4 250 RSET");
}
END_TEST

/* Never more than there is room for; nothing lost; nothing consumed before. */
START_TEST(flushes_before_it_consumes)
{
    static char text[6 * 1000 + 1];
    static unsigned char memory[LIMIT_SMTP_OUT + 20];
    struct smtp_server s;
    struct smtp_out out = {.p = memory, .capacity = sizeof memory};
    size_t replies = 0, flushes = 0;
    enum smtp_event event;

    for (unsigned i = 0; i < 100; i++)
        memcpy(text + (size_t)i * 6, "NOOP\r\n", 6);
    smtp_server_begin(&s, &config);
    smtp_server_greet(&s, &out);
    out.n = 0;
    struct span in = span_of(text, 600);
    do {
        event = smtp_server_next(&s, &in, &out);
        if (event == SMTP_EV_FLUSH || event == SMTP_EV_NEED_INPUT) {
            for (size_t i = 0; i < out.n; i++)
                replies += out.p[i] == '\n';
            out.n = 0;
            flushes += event == SMTP_EV_FLUSH;
        }
    } while (event == SMTP_EV_FLUSH);
    ck_assert_int_eq(event, SMTP_EV_NEED_INPUT);
    ck_assert_uint_eq(replies, 100);
    ck_assert_uint_ge(flushes, 40);
}
END_TEST

/* ---- answers, closing, EHLO ------------------------------------------------------------- */

START_TEST(waits_for_the_answer)
{
    static struct driver d;
    struct span in = SPAN_LIT("x\r\n.\r\nQUIT\r\n");

    start(&d, &config);
    feed(&d, SPAN_LIT(TO_DATA));
    ck_assert(smtp_server_in_data(&d.server));
    ck_assert_int_eq(smtp_server_next(&d.server, &in, &d.out), SMTP_EV_BODY);
    ck_assert_int_eq(smtp_server_next(&d.server, &in, &d.out), SMTP_EV_END_OF_DATA);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(smtp_server_next(&d.server, &in, &d.out), SMTP_EV_WAIT);
    ck_assert_uint_eq(in.n, 6);
    smtp_server_accept_text(&d.server, &d.out, "2.0.0", SPAN_LIT("queued as 1"));
    ck_assert(span_eq(span_of(d.out.p, d.out.n), SPAN_LIT("250 2.0.0 queued as 1\r\n")));
    d.out.n = 0;
    ck_assert_int_eq(smtp_server_next(&d.server, &in, &d.out), SMTP_EV_QUIT);
    ck_assert_int_eq(smtp_server_next(&d.server, &in, &d.out), SMTP_EV_CLOSE);
    finish(&d);
}
END_TEST

START_TEST(closes_at_any_time)
{
    static const char *const before[] = {"", EHLO, TO_DATA, TO_DATA "abc", TO_DATA "\r\n.", "NO"};
    static struct driver d;

    for (unsigned i = 0; i < 6; i++) {
        struct span in = SPAN_LIT("QUIT\r\n");
        start(&d, &config);
        feed(&d, span_str(before[i]));
        smtp_server_close(&d.server, &d.out, "4.3.2", SPAN_LIT("shutting down"));
        ck_assert(
            span_eq(span_of(d.out.p, d.out.n), SPAN_LIT("421 4.3.2 mx.example shutting down\r\n")));
        ck_assert_int_eq(smtp_server_next(&d.server, &in, &d.out), SMTP_EV_CLOSE);
        ck_assert_uint_eq(d.server.close_reason, SMTP_CLOSE_CALLER);
        finish(&d);
    }
}
END_TEST

static void ehlo_says(const struct smtp_server_config *c, bool tls, const char *want)
{
    static struct driver d;
    struct span in = SPAN_LIT(EHLO);

    start(&d, c);
    d.server.tls = tls;
    ck_assert_int_eq(smtp_server_next(&d.server, &in, &d.out), SMTP_EV_EHLO);
    ck_assert(span_eq(span_of(d.out.p, d.out.n), span_str(want)));
}

START_TEST(ehlo_lists_what_is_offered)
{
    struct smtp_server_config c = config;

    ehlo_says(&c, false,
              "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n"
              "250-STARTTLS\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-CHUNKING\r\n250-"
              "BINARYMIME\r\n250-SMTPUTF8\r\n250 LIMITS "
              "RCPTMAX=100\r\n");
    ehlo_says(&c, true,
              "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n"
              "250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-"
              "SMTPUTF8\r\n250-REQUIRETLS\r\n250 LIMITS "
              "RCPTMAX=100\r\n");
    c.max_size = 0;
    c.max_recipients = 0;
    c.max_mails = 7;
    c.offer_starttls = false;
    ehlo_says(&c, false,
              "250-mx.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n"
              "250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-"
              "SMTPUTF8\r\n250 LIMITS MAILMAX=7\r\n");
}
END_TEST

START_TEST(starttls_not_offered)
{
    static struct driver d;
    struct smtp_server_config c = config;

    c.offer_starttls = false;
    start(&d, &c);
    feed(&d, SPAN_LIT(EHLO "STARTTLS\r\nNOOP\r\n"));
    finish(&d);
    ck_assert_str_eq(d.transcript, "220 " EHLO_T "502:5.5.1 250");
    ck_assert_str_eq(d.server.refusal, "502 5.5.1 Command not implemented");
}
END_TEST

START_TEST(data_rejected_drops_the_transaction)
{
    static struct driver d;
    struct span in = SPAN_LIT(TO_DATA);
    enum smtp_event event;

    start(&d, &config);
    while ((event = smtp_server_next(&d.server, &in, &d.out)) != SMTP_EV_DATA)
        if (event == SMTP_EV_MAIL || event == SMTP_EV_RCPT)
            smtp_server_accept(&d.server, &d.out);
    smtp_server_reject(&d.server, &d.out, 452, "4.3.1", SPAN_LIT("disk full"));
    ck_assert_uint_eq(smtp_server_state(&d.server), SMTP_STATE_READY);
    ck_assert_uint_eq(d.server.recipients, 0);
    ck_assert_uint_eq(d.server.errors, 0);
}
END_TEST

/* A reply's text comes from rules and from other people's bytes. */
START_TEST(reply_text_is_made_safe)
{
    unsigned char memory[LIMIT_SMTP_OUT], text[2000];
    struct smtp_out out = {.p = memory, .capacity = sizeof memory};

    smtp_out_reply(&out, 550, "5.7.1", SPAN_LIT("a\r\n250 b\0\xc3\xa4"), false);
    ck_assert(span_eq(span_of(out.p, out.n), SPAN_LIT("550 5.7.1 a??250 b???\r\n")));
    out.n = 0;
    memset(text, 'x', sizeof text);
    smtp_out_reply(&out, 550, "5.7.1", span_of(text, sizeof text), false);
    ck_assert_uint_eq(out.n, 512);
    ck_assert_mem_eq(out.p + 510, "\r\n", 2);
}
END_TEST

/* Any bytes: no crash, no endless loop, every reply whole. */
START_TEST(noise)
{
    static const char *const words[] = {"EHLO x",
                                        "MAIL FROM:<a@b>",
                                        "RCPT TO:<c@d>",
                                        "DATA",
                                        "BDAT 3\r\n",
                                        "BDAT 5 LAST\r\n",
                                        ".",
                                        "\r\n",
                                        "\r\n",
                                        "\r\n",
                                        "\n",
                                        "\r",
                                        "<",
                                        "@",
                                        "\"",
                                        "RSET",
                                        "x"};
    static struct driver d;
    struct smtp_server_config c = config;

    c.max_errors = 1000;
    srand(7);
    for (unsigned round = 0; round < 3000; round++) {
        start(&d, &c);
        for (unsigned i = 0; i < 60 && !d.over && d.body_n < 3000; i++) {
            feed(&d, span_str(words[(size_t)rand() % (sizeof words / sizeof words[0])]));
            d.n = 0;
        }
        finish(&d);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("smtp_server");
    TCase *tests = tcase_create("server");

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, transcripts, 0, sizeof dialogs / sizeof dialogs[0]);
    tcase_add_loop_test(tests, every_pair_of_state_and_verb, 0,
                        sizeof verb_rows / sizeof verb_rows[0]);
    tcase_add_test(tests, injection_behind_starttls);
    tcase_add_test(tests, command_line_length);
    tcase_add_test(tests, too_many_errors);
    tcase_add_test(tests, guessed_recipients_are_errors_and_deferred_ones_are_not);
    tcase_add_test(tests, idle_talk_ends_and_a_mail_begins_anew);
    tcase_add_test(tests, too_big_a_message);
    tcase_add_test(tests, flushes_before_it_consumes);
    tcase_add_test(tests, waits_for_the_answer);
    tcase_add_test(tests, closes_at_any_time);
    tcase_add_test(tests, ehlo_lists_what_is_offered);
    tcase_add_test(tests, starttls_not_offered);
    tcase_add_test(tests, data_rejected_drops_the_transaction);
    tcase_add_test(tests, reply_text_is_made_safe);
    tcase_add_test(tests, noise);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
