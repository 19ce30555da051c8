/*
 * The sending machine against a server that says anything, in any split. It is driven as the worker
 * does it: two mails one after the other, then QUIT. Its end must come, and its state stay sound.
 */
#include "engine/smtp/client.h"
#include "tests/fuzz/fuzz.h"

struct run {
    struct smtp_client client;
    struct smtp_out out;
    unsigned char memory[4 * LIMIT_SMTP_OUT];
    struct fuzz_log *log;
    unsigned mails;
};

static const struct smtp_recipient recipients[] = {
    {.address = {(const unsigned char *)"b@example.org", 13},
     .orcpt = {(const unsigned char *)"rfc822;b@example.org", 20},
     .notify = SMTP_NOTIFY_SUCCESS},
    {.address = {(const unsigned char *)"\"c d\"@example.org", 17}},
    {.address = {(const unsigned char *)"d@[192.0.2.1]", 13}},
};

/* False: the session is over, or more input is needed. */
static bool handle(struct run *r, enum smtp_client_event event)
{
    static const struct smtp_envelope envelope = {
        .sender = {(const unsigned char *)"a@example.ch", 12},
        .recipients = recipients,
        .count = 3,
        .size = 1000,
        .body = SMTP_BODY_8BITMIME,
    };
    struct smtp_client *c = &r->client;
    fuzz_log_number(r->log, event);
    if (event == SMTP_CL_STARTTLS) {
        smtp_client_tls_established(c, false);
    } else if (event == SMTP_CL_READY && r->mails < 2) {
        r->mails++;
        FUZZ_CHECK(smtp_client_mail(c, &envelope));
    } else if (event == SMTP_CL_READY) {
        smtp_client_quit(c);
    } else if (event == SMTP_CL_SEND_BODY) {
        FUZZ_CHECK((c->chunk || c->accepted > 0) && c->accepted <= 3);
        smtp_client_body_sent(c);
    } else if (event == SMTP_CL_RCPT_RESULT) {
        FUZZ_CHECK(c->recipient < 3);
        fuzz_log_number(r->log, c->recipient * 1000u + c->reply.code);
    } else if (event >= SMTP_CL_REFUSED) {
        return false;
    }
    return event != SMTP_CL_NEED_INPUT && event != SMTP_CL_WAIT;
}

/* Commands leave as whole lines. */
static void drain(struct run *r)
{
    FUZZ_CHECK(r->out.n == 0 || (r->out.n >= 2 && memcmp(r->out.p + r->out.n - 2, "\r\n", 2) == 0));
    fuzz_log_put(r->log, span_of(r->out.p, r->out.n));
    r->out.n = 0;
}

static void run(struct span in, uint32_t seed, enum smtp_tls_demand demand, struct fuzz_log *log)
{
    static struct run r;
    struct smtp_client_config config = {.hostname = SPAN_LIT("mx.example.ch"), .tls = demand};
    bool over = false;
    memset(&r, 0, sizeof r);
    r.out = (struct smtp_out){.p = r.memory, .capacity = sizeof r.memory};
    r.log = log;
    smtp_client_begin(&r.client, &config);
    while (in.n > 0 && !over) {
        size_t n = seed ? fuzz_cut(&seed, in.n) : in.n;
        unsigned char *copy = fuzz_copy(span_head(in, n));
        struct span part = span_of(copy, n);
        enum smtp_client_event event;
        do {
            event = smtp_client_next(&r.client, &part, &r.out);
            drain(&r);
        } while (handle(&r, event));
        over = event != SMTP_CL_NEED_INPUT;
        free(copy);
        in = span_from(in, n);
    }
    FUZZ_CHECK(smtp_client_stage(&r.client)[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct fuzz_log log = {0};
    unsigned options = fuzz_byte(&in);
    enum smtp_tls_demand demand = (enum smtp_tls_demand)(options % 3);
    run(in, 0, demand, &log);
    run(in, options | 1, demand, &log);
    free(log.p);
    return 0;
}
