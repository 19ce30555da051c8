/*
 * The sending machine: dialogs as transcripts. What the server says is a list of parts; each is fed
 * once the machine wants input, whole, byte by byte or in two parts. A transcript has the commands
 * as they were written ("[MAIL FROM:<a@b>]") and the events, in order.
 */
#include "engine/smtp/client.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct driver {
    struct smtp_client client;
    struct smtp_out out;
    unsigned char memory[4 * LIMIT_SMTP_OUT];
    const struct smtp_envelope *envelopes[4];
    unsigned next_envelope;
    bool quit;    /* after the last envelope, or after a refusal */
    bool no_sent; /* never say that the body was sent */
    bool over;
    char transcript[8192];
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

static void drain(struct driver *d)
{
    struct span s = span_of(d->out.p, d->out.n);

    while (s.n > 0) {
        const unsigned char *lf = memchr(s.p, '\n', s.n);
        ck_assert_ptr_nonnull(lf);
        size_t n = (size_t)(lf - s.p) + 1;
        ck_assert_uint_ge(n, 2);
        ck_assert_int_eq(s.p[n - 2], '\r');
        note(d, "[%.*s] ", (int)n - 2, (const char *)s.p);
        s = span_from(s, n);
    }
    d->out.n = 0;
}

static const char *verdict(const struct smtp_client *c)
{
    static const char *const names[] = {"ok", "temp", "perm"};

    return names[c->verdict];
}

/* What to do between mails. False: nothing. */
static bool on_ready(struct driver *d)
{
    const struct smtp_envelope *e = d->next_envelope < 4 ? d->envelopes[d->next_envelope] : NULL;

    note(d, "READY ");
    if (e != NULL) {
        d->next_envelope++;
        ck_assert(smtp_client_mail(&d->client, e));
    } else if (d->quit) {
        smtp_client_quit(&d->client);
    } else {
        return false;
    }
    return true;
}

static bool on_end(struct driver *d, const char *name)
{
    struct smtp_client *c = &d->client;

    note(d, "%s(%u %s) ", name, c->reply.code, verdict(c));
    d->over = true;
    if (d->quit && c->over != SMTP_CL_CLOSED) {
        d->over = false;
        d->quit = false;
        smtp_client_quit(c);
        return true;
    }
    return false;
}

static bool handle(struct driver *d, enum smtp_client_event event)
{
    struct smtp_client *c = &d->client;

    drain(d);
    switch (event) {
    case SMTP_CL_NEED_INPUT:
    case SMTP_CL_WAIT:
        return false;
    case SMTP_CL_FLUSH:
        break;
    case SMTP_CL_STARTTLS:
        note(d, "STARTTLS ");
        smtp_client_tls_established(c, true);
        break;
    case SMTP_CL_READY:
        return on_ready(d);
    case SMTP_CL_RCPT_RESULT:
        note(d, "RCPT(%u %u %s) ", c->recipient, c->reply.code, verdict(c));
        break;
    case SMTP_CL_SEND_BODY:
        note(d, c->chunk ? "CHUNK(%u) " : "BODY(%u) ", c->accepted);
        if (!d->no_sent)
            smtp_client_body_sent(c);
        break;
    case SMTP_CL_DELIVERED:
        note(d, "DELIVERED(%u) ", c->reply.code);
        break;
    case SMTP_CL_FAILED:
        note(d, "FAILED(%u %s) ", c->reply.code, verdict(c));
        break;
    case SMTP_CL_REFUSED:
        return on_end(d, "REFUSED");
    case SMTP_CL_DOWNGRADE:
        return on_end(d, "DOWNGRADE");
    case SMTP_CL_CLOSED:
        return on_end(d, "CLOSED");
    case SMTP_CL_PROTOCOL_ERROR:
        note(d, "ERROR(%s) ", c->error);
        d->over = true;
        return false;
    case SMTP_CL_QUIT:
        note(d, "QUIT ");
        d->over = true;
        return false;
    }
    return true;
}

static void feed(struct driver *d, struct span part)
{
    unsigned char *memory = malloc(part.n == 0 ? 1 : part.n);
    struct span in = span_of(memory, part.n);

    memcpy(memory, part.p, part.n);
    while (!d->over && handle(d, smtp_client_next(&d->client, &in, &d->out)))
        ck_assert_uint_gt(strlen(smtp_client_stage(&d->client)), 0);
    ck_assert_uint_gt(smtp_client_timeout(&d->client), 0);
    free(memory);
}

#define RECIPIENTS 3

static const struct smtp_recipient recipients[RECIPIENTS] = {
    {.address = {(const unsigned char *)"c@d", 3}},
    {.address = {(const unsigned char *)"e@f", 3}},
    {.address = {(const unsigned char *)"g@h", 3}}};
static const struct smtp_envelope one = {
    .sender = {(const unsigned char *)"a@b", 3}, .recipients = recipients, .count = 1};
static const struct smtp_envelope three = {
    .sender = {(const unsigned char *)"a@b", 3}, .recipients = recipients, .count = 3};
static const struct smtp_envelope bounce = {.sender = {(const unsigned char *)"", 0},
                                            .recipients = recipients,
                                            .count = 1,
                                            .size = 500,
                                            .body = SMTP_BODY_8BITMIME};

static const struct smtp_envelope empty = {
    .sender = {(const unsigned char *)"", 0}, .recipients = recipients, .count = 1, .size = 500};
static const struct smtp_recipient dsn_recipients[] = {
    {.address = {(const unsigned char *)"c@d", 3},
     .orcpt = {(const unsigned char *)"rfc822;c@d", 10},
     .notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY},
    {.address = {(const unsigned char *)"e@f", 3},
     .orcpt = {(const unsigned char *)"rfc822;e @f", 11}, /* no xtext: left out */
     .notify = SMTP_NOTIFY_NEVER}};
static const struct smtp_envelope dsn = {.sender = {(const unsigned char *)"a@b", 3},
                                         .recipients = dsn_recipients,
                                         .count = 2,
                                         .envid = {(const unsigned char *)"x+2By", 5},
                                         .ret = SMTP_RET_HDRS};
#define FROM_A_TO_ONE                                                                              \
    .sender = {(const unsigned char *)"a@b", 3}, .recipients = recipients, .count = 1
static const struct smtp_envelope secret = {FROM_A_TO_ONE, .require_tls = true};
static const struct smtp_envelope chunk = {FROM_A_TO_ONE, .size = 9};
static const struct smtp_envelope large = {FROM_A_TO_ONE, .size = LIMIT_SMTP_AHEAD + 1};
static const struct smtp_envelope binary = {FROM_A_TO_ONE, .size = 9, .body = SMTP_BODY_BINARYMIME};

#define NONE SMTP_TLS_NONE
#define MAY SMTP_TLS_OPPORTUNISTIC
#define MUST SMTP_TLS_REQUIRE

#define G "220 mx ESMTP\r\n"
#define PIPE "250-mx\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"
#define PLAIN "250 mx\r\n"
#define CHUNK "250-mx\r\n250-PIPELINING\r\n250-SIZE\r\n250 CHUNKING\r\n"
#define TLS "250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
#define H "[EHLO me.example] "

struct dialog {
    enum smtp_tls_demand tls;
    const struct smtp_envelope *envelopes[4];
    bool quit, no_sent;
    const char *server[12];
    const char *transcript;
};

static const struct dialog dialogs[] = {
#include "smtp_client_dialogs.def"
};

static void start(struct driver *d, const struct dialog *dialog,
                  const struct smtp_client_config *config)
{
    memset(d, 0, sizeof *d);
    d->out = (struct smtp_out){.p = d->memory, .capacity = sizeof d->memory};
    memcpy(d->envelopes, dialog->envelopes, sizeof d->envelopes);
    d->quit = dialog->quit;
    d->no_sent = dialog->no_sent;
    smtp_client_begin(&d->client, config);
    feed(d, SPAN_EMPTY);
}

/* cut SIZE_MAX: byte by byte. */
static void run(struct driver *d, const struct dialog *dialog, size_t cut)
{
    struct smtp_client_config config = {.hostname = SPAN_LIT("me.example"), .tls = dialog->tls};

    start(d, dialog, &config);
    for (unsigned i = 0; i < 12 && dialog->server[i] != NULL; i++) {
        struct span part = span_str(dialog->server[i]);
        for (size_t j = 0; cut == SIZE_MAX && j < part.n; j++)
            feed(d, span_of(part.p + j, 1));
        if (cut != SIZE_MAX) {
            feed(d, span_head(part, cut));
            feed(d, span_from(part, cut));
        }
    }
    if (d->n > 0 && d->transcript[d->n - 1] == ' ')
        d->transcript[d->n - 1] = 0;
}

START_TEST(transcripts)
{
    static struct driver d;
    const struct dialog *dialog = &dialogs[_i];

    for (size_t cut = 0; cut < 70; cut++) {
        run(&d, dialog, cut);
        ck_assert_str_eq(d.transcript, dialog->transcript);
    }
    run(&d, dialog, SIZE_MAX);
    ck_assert_str_eq(d.transcript, dialog->transcript);
}
END_TEST

/* What stands in the same input behind the 220 was not said under TLS. */
START_TEST(injection_behind_starttls)
{
    static struct driver d;
    const struct dialog dialog = {.tls = MUST, .envelopes = {&one}};
    struct smtp_client_config config = {.hostname = SPAN_LIT("me.example"), .tls = MUST};

    start(&d, &dialog, &config);
    feed(&d, SPAN_LIT(G));
    feed(&d, SPAN_LIT(TLS));
    d.n = 0;
    feed(&d, SPAN_LIT("220 go\r\n250-evil\r\n250 PIPELINING\r\n"));
    ck_assert_str_eq(d.transcript, "ERROR(data behind the answer to STARTTLS) ");
}
END_TEST

START_TEST(capabilities)
{
    static struct driver d;
    const struct dialog dialog = {.tls = NONE};
    struct smtp_client_config config = {.hostname = SPAN_LIT("me.example")};

    start(&d, &dialog, &config);
    feed(&d, SPAN_LIT(G));
    feed(&d,
         SPAN_LIT("250-PIPELINING\r\n250-SIZE 52428800\r\n250-8bitMIME\r\n250-AUTH LOGIN PLAIN\r\n"
                  "250-DSN\r\n250-CHUNKING\r\n250-PIPELININGX\r\n250 SMTPUTF8 x\r\n"));
    ck_assert(!smtp_offered(&d.client.offer, SMTP_EXTENSION_PIPELINING)); /* the greeting's name */
    ck_assert(smtp_offered(&d.client.offer, SMTP_EXTENSION_SIZE));
    ck_assert(smtp_offered(&d.client.offer, SMTP_EXTENSION_8BITMIME));
    ck_assert(smtp_offered(&d.client.offer, SMTP_EXTENSION_DSN));
    ck_assert(smtp_offered(&d.client.offer, SMTP_EXTENSION_CHUNKING));
    ck_assert(smtp_offered(&d.client.offer, SMTP_EXTENSION_SMTPUTF8));
    ck_assert(!smtp_offered(&d.client.offer, SMTP_EXTENSION_STARTTLS));
    ck_assert_uint_eq(d.client.offer.size_max, 52428800);
}
END_TEST

/* RFC 9422: what is malformed or unknown is passed over. */
START_TEST(limits)
{
    struct smtp_offer o = {0};

    smtp_offer_learn(&o, SPAN_LIT("LIMITS RCPTMAX=20 MAILMAX=x NEW=3  rcptdomainmax=1\t"));
    ck_assert(smtp_offered(&o, SMTP_EXTENSION_LIMITS));
    ck_assert_uint_eq(o.mail_max, 0);
    ck_assert_uint_eq(o.rcpt_max, 20);
    ck_assert_uint_eq(o.rcpt_domain_max, 1);
    smtp_offer_learn(&o,
                     SPAN_LIT("LIMITS MAILMAX=5000000000 RCPTMAX= MAILMAX RCPTMAX=-1 MAILMAX=7"));
    ck_assert_uint_eq(o.mail_max, 7);
    ck_assert_uint_eq(o.rcpt_max, 20);
}
END_TEST

static void until_ready(struct driver *d, struct smtp_client_config *config, const char *ehlo);

START_TEST(mail_max)
{
    static struct driver d;
    struct smtp_client_config config;

    until_ready(&d, &config, "250-mx\r\n250 LIMITS MAILMAX=1\r\n");
    ck_assert(!smtp_client_exhausted(&d.client));
    ck_assert(smtp_client_mail(&d.client, &one));
    feed(&d, SPAN_EMPTY);
    feed(&d, SPAN_LIT("550 no\r\n"));
    ck_assert(smtp_client_exhausted(&d.client));
}
END_TEST

START_TEST(tls_forgets_capabilities)
{
    static struct driver d;
    const struct dialog dialog = {.tls = MUST};
    struct smtp_client_config config = {.hostname = SPAN_LIT("me.example"), .tls = MUST};

    start(&d, &dialog, &config);
    feed(&d, SPAN_LIT(G));
    feed(&d, SPAN_LIT("250-x\r\n250-SIZE 1\r\n250-PIPELINING\r\n250 STARTTLS\r\n"));
    feed(&d, SPAN_LIT("220 go\r\n"));
    ck_assert(d.client.tls);
    ck_assert_uint_eq(d.client.offer.extensions, 0);
    ck_assert_uint_eq(d.client.offer.size_max, 0);
    ck_assert_str_eq(smtp_client_stage(&d.client), "ehlo");
}
END_TEST

static void until_ready(struct driver *d, struct smtp_client_config *config, const char *ehlo)
{
    const struct dialog dialog = {.tls = NONE};

    *config = (struct smtp_client_config){.hostname = SPAN_LIT("me.example")};
    start(d, &dialog, config);
    feed(d, SPAN_LIT(G));
    feed(d, span_str(ehlo));
    d->n = 0;
}

/* After 502 to BDAT the caller comes without. */
START_TEST(no_chunking)
{
    static struct driver d;
    struct smtp_client_config config;

    until_ready(&d, &config, PIPE);
    smtp_client_begin(&d.client, &config);
    config.no_chunking = true;
    feed(&d, SPAN_EMPTY);
    feed(&d, SPAN_LIT(G));
    feed(&d, SPAN_LIT(CHUNK));
    d.n = 0;
    ck_assert(smtp_client_mail(&d.client, &chunk));
    feed(&d, SPAN_EMPTY);
    ck_assert_str_eq(d.transcript, "[MAIL FROM:<a@b> SIZE=9] [RCPT TO:<c@d>] [DATA] ");
}
END_TEST

START_TEST(addresses_that_no_command_takes)
{
    static const char *const bad[] = {
        "a@b\r\nRCPT TO:<x@y>", "a@b>", "a b@c", "a@b> SIZE=1", "a", "a@b\n", "\xc3\xbc@b"};
    static struct driver d;
    struct smtp_client_config config;

    until_ready(&d, &config, PIPE);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct span address = span_str(bad[i]);
        struct smtp_recipient hostile = {.address = address}, good = {.address = SPAN_LIT("a@b")};
        struct smtp_envelope sender = {.sender = address, .recipients = &good, .count = 1};
        struct smtp_envelope recipient = {
            .sender = good.address, .recipients = &hostile, .count = 1};
        ck_assert(!smtp_client_mail(&d.client, &sender));
        ck_assert(!smtp_client_mail(&d.client, &recipient));
    }
    struct smtp_recipient null = {.address = SPAN_EMPTY};
    ck_assert(!smtp_client_mail(
        &d.client, &(struct smtp_envelope){.sender = SPAN_EMPTY, .recipients = &null, .count = 1}));
    ck_assert_str_eq(smtp_client_stage(&d.client), "ready");
}
END_TEST

#define MANY 1000

/* More commands than out has room for, with replies that come while others wait to be written. */
static void many(bool mail_accepted, unsigned accepted)
{
    static struct driver d;
    static struct smtp_recipient all[MANY];
    struct smtp_client_config config;
    struct smtp_envelope envelope = {.sender = SPAN_LIT("a@b"), .recipients = all, .count = MANY};
    size_t commands = 0, results = 0, replied = 0;
    bool body = false, failed = false, ready = false;
    char reply[32];

    for (unsigned i = 0; i < MANY; i++)
        all[i].address = SPAN_LIT("someone.or.other@a.domain.example");
    until_ready(&d, &config, PIPE);
    ck_assert(smtp_client_mail(&d.client, &envelope));
    for (unsigned turn = 0; turn < 10 * MANY && !body && !ready; turn++) {
        struct span in = SPAN_EMPTY;
        if (turn % 2 == 1 && replied < commands) {
            bool rset = replied > MANY + 1;
            bool ok = rset || (replied == 0 ? mail_accepted : replied <= accepted);
            snprintf(reply, sizeof reply,
                     replied == MANY + 1 && accepted > 0 && mail_accepted ? "354 x\r\n"
                     : ok                                                 ? "250 x\r\n"
                                                                          : "550 x\r\n");
            replied++;
            in = span_str(reply);
        }
        enum smtp_client_event event = SMTP_CL_FLUSH;
        while (!body && !ready && event != SMTP_CL_NEED_INPUT) {
            event = smtp_client_next(&d.client, &in, &d.out);
            for (size_t i = 0; i < d.out.n; i++)
                commands += d.out.p[i] == '\n';
            d.out.n = 0;
            results += event == SMTP_CL_RCPT_RESULT;
            body = event == SMTP_CL_SEND_BODY;
            failed = failed || event == SMTP_CL_FAILED;
            ready = event == SMTP_CL_READY;
            ck_assert_int_lt(event, SMTP_CL_REFUSED); /* the session goes on */
            if (event == SMTP_CL_FLUSH)
                break;
        }
    }
    ck_assert_int_eq(body, mail_accepted && accepted > 0);
    ck_assert_int_eq(failed, !body);
    ck_assert_uint_eq(results, mail_accepted ? MANY : 0);
    if (body)
        ck_assert_uint_eq(d.client.accepted, accepted);
    if (!mail_accepted)
        ck_assert_uint_lt(commands, MANY); /* what was not written yet is not written any more */
}

START_TEST(many_recipients)
{
    many(true, MANY);
    many(true, 1);
    many(true, 0);
    many(false, 0);
}
END_TEST

START_TEST(flushes_when_full)
{
    static struct driver d;
    static struct smtp_recipient all[MANY];
    static unsigned char memory[LIMIT_SMTP_OUT];
    struct smtp_client_config config;
    struct smtp_envelope envelope = {.sender = SPAN_LIT("a@b"), .recipients = all, .count = MANY};
    struct smtp_out out = {.p = memory, .capacity = sizeof memory};
    struct span in = SPAN_EMPTY;
    size_t commands = 0;

    for (unsigned i = 0; i < MANY; i++)
        all[i].address = SPAN_LIT("c@d");
    until_ready(&d, &config, PIPE);
    ck_assert(smtp_client_mail(&d.client, &envelope));
    while (smtp_client_next(&d.client, &in, &out) == SMTP_CL_FLUSH) {
        commands++;
        ck_assert_uint_gt(out.n, 0);
        out.n = 0;
    }
    ck_assert_uint_eq(commands, MANY + 1);
    ck_assert(span_eq(span_of(out.p, out.n), SPAN_LIT("DATA\r\n")));
}
END_TEST

START_TEST(mail_in_clear_where_tls_is_required_is_a_bug)
{
    static struct driver d;
    struct smtp_client_config config;

    until_ready(&d, &config, PIPE);
    config.tls = MUST;
    smtp_client_mail(&d.client, &one);
}
END_TEST

/* The demand that grows behind the machine's back, after the mail was begun. */
START_TEST(last_line_of_defence)
{
    static struct driver d;
    struct smtp_client_config config;
    struct span in = SPAN_EMPTY;

    until_ready(&d, &config, PIPE);
    ck_assert(smtp_client_mail(&d.client, &one));
    config.tls = MUST;
    smtp_client_next(&d.client, &in, &d.out);
}
END_TEST

/* A reply that is there before its command is no reply to it: what follows would be answered by the
 * reply of something else, and a mail be taken for delivered that nobody has. */
START_TEST(replies_ahead_of_their_commands)
{
    static const struct {
        const char *ehlo, *said, *wanted;
    } ahead[] = {
        {"250 mx\r\n", "250 mail\r\n250 rcpt\r\n", "[MAIL FROM:<a@b>] "},
        {"250 mx\r\n", "250 mail\r\n2", "[MAIL FROM:<a@b>] "},
        {PIPE, "250 mail\r\n250 rcpt\r\n354 go\r\n250 taken\r\n",
         "[MAIL FROM:<a@b>] [RCPT TO:<c@d>] [DATA] RCPT(0 250 ok) "},
    };
    static struct driver d;
    struct smtp_client_config config;

    for (unsigned i = 0; i < sizeof ahead / sizeof ahead[0]; i++) {
        char wanted[256];
        until_ready(&d, &config, ahead[i].ehlo);
        ck_assert(smtp_client_mail(&d.client, &one));
        feed(&d, SPAN_EMPTY);
        feed(&d, span_str(ahead[i].said));
        (void)snprintf(wanted, sizeof wanted, "%sERROR(a reply to no command) ", ahead[i].wanted);
        ck_assert_str_eq(d.transcript, wanted);
    }
    until_ready(&d, &config, PIPE);
    smtp_client_begin(&d.client, &config);
    d.n = 0;
    feed(&d, SPAN_LIT("220 one\r\n220 two\r\n"));
    ck_assert_str_eq(d.transcript, "ERROR(a reply to no command) ");
}
END_TEST

/* A server that says anything: no crash, no endless loop, no mail in clear. */
START_TEST(noise)
{
    static const char *const words[] = {
        "220 x\r\n", "250 x\r\n", "250-PIPELINING\r\n", "250 STARTTLS\r\n",
        "354 x\r\n", "421 x\r\n", "550 x\r\n",          "450-x\r\n",
        "\r\n",      "2",         "50 x\r\n",           "503 x\r\n"};
    static struct driver d;

    srand(11);
    for (unsigned round = 0; round < 20000; round++) {
        struct smtp_client_config config = {.hostname = SPAN_LIT("me.example"), .tls = MUST};
        const struct dialog dialog = {.envelopes = {&three, &one, &bounce, &one},
                                      .quit = round % 2};
        start(&d, &dialog, &config);
        feed(&d, SPAN_LIT(G));
        if (round % 3 != 0)
            feed(&d, SPAN_LIT(TLS));
        for (unsigned i = 0; i < 40 && !d.over; i++)
            feed(&d, span_str(words[(unsigned)rand() % (round % 5 == 0 ? 12 : 7)]));
        const char *mail = strstr(d.transcript, "[MAIL"), *tls = strstr(d.transcript, " STARTTLS ");
        ck_assert(mail == NULL || (tls != NULL && tls < mail));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("smtp_client");
    TCase *tests = tcase_create("client");

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, transcripts, 0, sizeof dialogs / sizeof dialogs[0]);
    tcase_add_test(tests, injection_behind_starttls);
    tcase_add_test(tests, capabilities);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, mail_max);
    tcase_add_test(tests, no_chunking);
    tcase_add_test(tests, tls_forgets_capabilities);
    tcase_add_test(tests, addresses_that_no_command_takes);
    tcase_add_test(tests, many_recipients);
    tcase_add_test(tests, flushes_when_full);
    tcase_add_test_raise_signal(tests, mail_in_clear_where_tls_is_required_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tests, last_line_of_defence, SIGABRT);
    tcase_add_test(tests, replies_ahead_of_their_commands);
    tcase_add_test(tests, noise);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
