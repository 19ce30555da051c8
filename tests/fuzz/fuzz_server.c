/*
 * The receiving machine: any split of what a client says gives the same replies, events and
 * content; a message that is taken has no bare CR or LF unless it is BINARYMIME, and the size that
 * is told. Where a message ends is compared with the plainest reading there is: the first CRLF .
 * CRLF behind DATA, so many octets behind BDAT.
 *
 * STARTTLS is not offered here: it looks at what comes in one piece, on purpose.
 */
#include "engine/smtp/server.h"
#include "tests/fuzz/fuzz.h"

static const struct smtp_server_config config = {
    .hostname = {(const unsigned char *)"mx.example", 10},
    .max_size = 3000,
    .max_errors = 30,
    .max_recipients = 100,
};

struct run {
    struct smtp_server server;
    struct smtp_line line;
    struct smtp_out out;
    unsigned char memory[2 * LIMIT_SMTP_OUT];
    struct fuzz_log log;     /* replies, events, content */
    struct fuzz_log content; /* of the message under way */
    const uint8_t *data;     /* behind DATA, in one piece; NULL: it comes in several, or by BDAT */
    bool over;
};

/* What was replied, each reply whole. */
static void drain(struct run *r)
{
    FUZZ_CHECK(r->out.n == 0 ||
               (r->out.n >= 2 && r->out.p[r->out.n - 2] == '\r' && r->out.p[r->out.n - 1] == '\n'));
    fuzz_log_put(&r->log, span_of(r->out.p, r->out.n));
    r->out.n = 0;
}

static void check_content(const struct run *r)
{
    const struct fuzz_log *c = &r->content;
    FUZZ_CHECK(c->n == r->server.size);
    for (size_t i = 0; !r->server.binary && i < c->n; i++) {
        FUZZ_CHECK(c->p[i] != '\n' || (i > 0 && c->p[i - 1] == '\r'));
        FUZZ_CHECK(c->p[i] != '\r' || (i + 1 < c->n && c->p[i + 1] == '\n'));
        FUZZ_CHECK(c->p[i] != 0 || (r->server.defects & SMTP_DEFECT_NUL));
    }
}

/* A message of DATA ended at `end`: no sooner is there an end, and what is between is the content
 * with its dots. */
static void check_data(const struct run *r, const uint8_t *end)
{
    static const char terminator[] = "\r\n.\r\n";
    const uint8_t *p = r->data - 2; /* the CRLF behind DATA counts: a message may have no line */
    const uint8_t *found = memmem(p, (size_t)(end - p), terminator, 5);
    FUZZ_CHECK(found != NULL && found + 5 == end);
    if (r->server.defects & SMTP_DEFECT_TOO_BIG)
        return;
    size_t n = 0;
    for (p = r->data; p < found + 2; p++)
        if (p[0] != '.' || p[-1] != '\n' || p[-2] != '\r')
            FUZZ_CHECK(n < r->content.n && r->content.p[n++] == *p);
    FUZZ_CHECK(n == r->content.n);
}

/* A chunk ended at `end`: it is the end of the content so far. */
static void check_chunk(const struct run *r, const uint8_t *end)
{
    size_t n = (size_t)r->server.chunk;
    FUZZ_CHECK(n == 0 || (r->server.defects & SMTP_DEFECT_TOO_BIG) ||
               (n <= r->content.n && memcmp(r->content.p + r->content.n - n, end - n, n) == 0));
}

/* The caller's part, by what the machine itself has found. */
static void answer_content(struct run *r, bool last)
{
    struct smtp_server *s = &r->server;
    fuzz_log_number(&r->log, s->size);
    fuzz_log_number(&r->log, s->defects);
    /* How much of what is too big was handed out before that was known depends on the split. */
    if (!(s->defects & SMTP_DEFECT_TOO_BIG))
        fuzz_log_put(&r->log, span_of(r->content.p, r->content.n));
    bool fatal = s->defects & (SMTP_DEFECTS_SMUGGLING | SMTP_DEFECT_TOO_BIG);
    if (fatal) {
        smtp_server_reject(s, &r->out, 550, "5.6.0", SPAN_LIT("no"));
    } else {
        if (last)
            check_content(r);
        smtp_server_accept(s, &r->out);
    }
    if (fatal || last)
        r->content.n = 0;
}

static void answer_path(struct run *r)
{
    struct span local = r->server.path.address.local;
    fuzz_log_put(&r->log, r->server.path.address.whole);
    if (local.n > 0 && local.p[0] == 'x')
        smtp_server_reject(&r->server, &r->out, 550, "5.1.1", SPAN_LIT("unknown"));
    else
        smtp_server_accept(&r->server, &r->out);
}

/* False: more input is needed. */
static bool handle(struct run *r, enum smtp_event event, const struct span *in, bool whole)
{
    struct smtp_server *s = &r->server;
    drain(r);
    if (event == SMTP_EV_NEED_INPUT)
        return false;
    if (event != SMTP_EV_FLUSH && event != SMTP_EV_NEED_LINE && event != SMTP_EV_BODY)
        fuzz_log_number(&r->log, event);
    switch (event) {
    case SMTP_EV_NEED_LINE:
        smtp_server_attach(s, &r->line);
        break;
    case SMTP_EV_MAIL:
    case SMTP_EV_RCPT:
        answer_path(r);
        break;
    case SMTP_EV_DATA:
        r->data = whole ? in->p : NULL;
        smtp_server_accept(s, &r->out);
        break;
    case SMTP_EV_BDAT:
        r->data = NULL;
        break;
    case SMTP_EV_BODY:
        FUZZ_CHECK(s->body.n > 0);
        fuzz_log_put(&r->content, s->body);
        break;
    case SMTP_EV_CHUNK:
    case SMTP_EV_END_OF_DATA:
        if (whole && r->data)
            check_data(r, in->p);
        else if (whole)
            check_chunk(r, in->p);
        answer_content(r, event == SMTP_EV_END_OF_DATA);
        break;
    case SMTP_EV_EHLO:
    case SMTP_EV_RSET:
        r->content.n = 0;
        break;
    case SMTP_EV_QUIT:
    case SMTP_EV_CLOSE:
        r->over = true;
        return false;
    case SMTP_EV_STARTTLS:
    case SMTP_EV_WAIT:
        FUZZ_CHECK(false);
        break;
    default:
        break;
    }
    drain(r);
    return true;
}

static void play(struct run *r, struct span in, uint32_t seed)
{
    memset(r, 0, sizeof *r);
    r->out = (struct smtp_out){.p = r->memory, .capacity = sizeof r->memory};
    smtp_server_begin(&r->server, &config);
    smtp_server_greet(&r->server, &r->out);
    while (in.n > 0 && !r->over) {
        size_t n = seed ? fuzz_cut(&seed, in.n) : in.n;
        unsigned char *copy = fuzz_copy(span_head(in, n));
        struct span part = span_of(copy, n);
        enum smtp_event event;
        do
            event = smtp_server_next(&r->server, &part, &r->out);
        while (handle(r, event, &part, seed == 0));
        (void)smtp_server_detach(&r->server);
        free(copy);
        in = span_from(in, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, cut;
    struct span in = span_of(data, size);
    uint32_t seed = fuzz_byte(&in) | 1;
    play(&whole, in, 0);
    play(&cut, in, seed);
    FUZZ_CHECK(whole.over == cut.over && fuzz_log_same(&whole.log, &cut.log));
    free(whole.log.p);
    free(whole.content.p);
    free(cut.log.p);
    free(cut.content.p);
    return 0;
}
