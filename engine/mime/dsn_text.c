/* A notification's first part: what happened, for people, in each language of the policy. */
#include "engine/mime/dsn_parts.h"
#include "engine/mime/header.h"
#include "engine/mime/prose.h"
#include "engine/mime/trace.h"
#include "engine/mime/xtext.h"
#include "status.h"

/* ---- the words -------------------------------------------------------------------------- */

enum sentence {
#define SENTENCE(NAME, en, de, fr, it) SENTENCE_##NAME,
#include "engine/mime/dsn_text.def"
    SENTENCE_COUNT
};

static const char *const sentences[SENTENCE_COUNT][LANGUAGE_COUNT] = {
#define SENTENCE(NAME, en, de, fr, it)                                                             \
    [SENTENCE_##                                                                                   \
        NAME] = {[LANGUAGE_EN] = en, [LANGUAGE_DE] = de, [LANGUAGE_FR] = fr, [LANGUAGE_IT] = it},
#include "engine/mime/dsn_text.def"
};

static const char *const tags[LANGUAGE_COUNT] = {
#define LANGUAGE(NAME, tag) [LANGUAGE_##NAME] = tag,
#include "languages.def"
#undef LANGUAGE
};

enum { ANY = -1 };

struct cause {
    int subject;
    int detail;
    const char *what[LANGUAGE_COUNT];
    const char *advice[LANGUAGE_COUNT];
};

static const struct cause causes[] = {
#define CAUSE(subject, detail, en, en_do, de, de_do, fr, fr_do, it, it_do)                         \
    {subject,                                                                                      \
     detail,                                                                                       \
     {[LANGUAGE_EN] = en, [LANGUAGE_DE] = de, [LANGUAGE_FR] = fr, [LANGUAGE_IT] = it},             \
     {[LANGUAGE_EN] = en_do,                                                                       \
      [LANGUAGE_DE] = de_do,                                                                       \
      [LANGUAGE_FR] = fr_do,                                                                       \
      [LANGUAGE_IT] = it_do}},
#include "engine/mime/dsn_text.def"
};

/* Takes ".123" off *s; ANY when it does not begin so. */
static int take_part(struct span *s)
{
    int n = 0;
    size_t i = 1;
    if (s->n < 2 || s->p[0] != '.')
        return ANY;
    for (; i < s->n && i < 4 && ascii_digit(s->p[i]); i++)
        n = 10 * n + (s->p[i] - '0');
    *s = span_from(*s, i);
    return i > 1 ? n : ANY;
}

static const struct cause *cause_of(struct span status)
{
    struct span rest = span_from(status, 1);
    int subject = take_part(&rest);
    int detail = take_part(&rest);
    const struct cause *c = causes;
    while ((c->subject != ANY && c->subject != subject) ||
           (c->detail != ANY && c->detail != detail))
        c++;
    return c; /* the last one fits all */
}

const char *dsn_subject(const struct dsn *in)
{
    enum sentence s = dsn_any_with(in, DSN_FAILED)    ? SENTENCE_SUBJECT_FAILED
                      : dsn_any_with(in, DSN_DELAYED) ? SENTENCE_SUBJECT_DELAYED
                                                      : SENTENCE_SUBJECT_SENT;
    return sentences[s][in->languages[0]];
}

/* ---- one recipient ---------------------------------------------------------------------- */

struct telling {
    const struct dsn_frame *frame;
    struct prose prose;
    enum language language;
};

static void say(struct telling *t, enum sentence s, const struct prose_value *values)
{
    prose_template(&t->prose, sentences[s][t->language], values);
}

/* The address as its sender knows it: without what rules made of it. */
static void say_address(struct telling *t, const struct dsn_recipient *r, const char *after)
{
    struct orcpt o;
    struct span shown = r->original.n > 0 ? r->original : r->address;
    if (orcpt_parse(r->orcpt, &o) && (o.utf8 || span_ieq(o.type, SPAN_LIT("rfc822"))))
        shown = span_of(o.address, o.n);
    prose_word(&t->prose, "<", shown, after);
}

static void say_date(struct telling *t, enum sentence s, const char *name, int64_t seconds)
{
    char date[TRACE_DATE];
    size_t n = trace_short_date(seconds, date);
    const struct prose_value values[] = {{name, span_of(date, n)}, {NULL, SPAN_EMPTY}};
    say(t, s, values);
}

static void tell_recipient(struct telling *t, const struct dsn_recipient *r)
{
    const struct cause *cause = cause_of(r->status);
    prose_end(&t->prose);
    t->prose.indent = 4;
    say_address(t, r, ">");
    prose_end(&t->prose);
    t->prose.indent = 8;
    if (r->action == DSN_FAILED || r->action == DSN_DELAYED) {
        if (r->action == DSN_FAILED && r->expired)
            say(t, SENTENCE_EXPIRED, NULL);
        prose_template(&t->prose, cause->what[t->language], NULL);
        if (r->action == DSN_FAILED)
            prose_template(&t->prose, cause->advice[t->language], NULL);
    }
    if (r->action == DSN_DELAYED && r->will_retry_until > 0)
        say_date(t, SENTENCE_UNTIL, "UNTIL", r->will_retry_until);
    prose_end(&t->prose);
    t->prose.indent = 0;
}

/* ---- one language ----------------------------------------------------------------------- */

static void tell_action(struct telling *t, enum dsn_action action)
{
    static const enum sentence intro[] = {
#define DSN_ACTION(NAME, text) [DSN_##NAME] = SENTENCE_##NAME,
        DSN_ACTIONS(DSN_ACTION)
#undef DSN_ACTION
    };
    const struct dsn *in = t->frame->in;
    if (!dsn_any_with(in, action))
        return;
    say(t, intro[action], NULL);
    prose_gap(&t->prose);
    for (unsigned i = 0; i < in->recipient_count; i++)
        if (in->recipients[i].action == action)
            tell_recipient(t, &in->recipients[i]);
    prose_gap(&t->prose);
}

/* What of the original is there; nothing is said of nothing. */
static void say_attached(struct telling *t)
{
    if (t->frame->whole)
        say(t, SENTENCE_CONTENT_BACK, NULL);
    else if (dsn_header_section(t->frame->in->content).n > 0)
        say(t, SENTENCE_HEADERS_BACK, NULL);
    prose_gap(&t->prose);
}

static void tell_in(struct telling *t, struct span subject)
{
    const struct dsn *in = t->frame->in;
    char date[TRACE_DATE];
    const struct prose_value hello[] = {
        {"HOST", in->hostname},
        {"DATE", span_of(date, trace_short_date(in->arrival, date))},
        {NULL, SPAN_EMPTY}};
    const struct prose_value values[] = {{"SUBJECT", subject}, {NULL, SPAN_EMPTY}};
    say(t, SENTENCE_HELLO, hello);
    prose_end(&t->prose);
    if (subject.n > 0)
        say(t, SENTENCE_SUBJECT_WAS, values);
    prose_gap(&t->prose);
    for (unsigned action = 0; action < DSN_ACTION_COUNT; action++)
        tell_action(t, action);
    say_attached(t);
}

/* What the servers said: once, at the end, as it is no text for most. */
static void tell_details(struct telling *t)
{
    const struct dsn *in = t->frame->in;
    const struct prose_value values[] = {{"ID", in->queue_id}, {NULL, SPAN_EMPTY}};
    prose_words(&t->prose, SPAN_LIT("--------"), LIMIT_DSN_SHOWN);
    prose_end(&t->prose);
    say(t, SENTENCE_DETAILS, values);
    prose_end(&t->prose);
    for (unsigned i = 0; i < in->recipient_count; i++) {
        const struct dsn_recipient *r = &in->recipients[i];
        if (r->diagnostic.n == 0)
            continue;
        t->prose.indent = 4;
        say_address(t, r, ">:");
        if (r->remote_mta.n > 0)
            prose_word(&t->prose, "", r->remote_mta, ":");
        prose_words(&t->prose, r->diagnostic, LIMIT_DSN_REPLY);
        prose_end(&t->prose);
        t->prose.indent = 0;
    }
}

/* ---- the part --------------------------------------------------------------------------- */

/* The original's Subject as clients show it, of the first field. */
static struct span find_subject(struct span headers, unsigned char *out, size_t capacity)
{
    static const struct header_want want = {.name = SPAN_LIT("Subject"), .mode = HEADER_FIRST};
    unsigned char raw[LIMIT_HEADER_CAPTURE];
    struct header_scanner scanner;
    header_begin(&scanner, &want, 1, raw, sizeof raw);
    (void)header_feed(&scanner, headers);
    header_finish(&scanner);
    return span_of(out, header_decode(header_value(&scanner, 0), out, capacity, NULL));
}

static void begin(struct dsn_frame *f)
{
    const struct dsn *in = f->in;
    dsn_begin_part(f, "text/plain; charset=utf-8");
    text_line(f->text, f->utf8 ? "Content-Transfer-Encoding: 8bit"
                               : "Content-Transfer-Encoding: quoted-printable");
    text_string(f->text, "Content-Language: ");
    for (unsigned i = 0; i < in->language_count; i++) {
        BUG_ON(in->languages[i] >= LANGUAGE_COUNT);
        text_string(f->text, i > 0 ? ", " : "");
        text_string(f->text, tags[in->languages[i]]);
    }
    text_line(f->text, "");
    text_line(f->text, "");
}

void dsn_put_text(struct dsn_frame *f)
{
    const struct dsn *in = f->in;
    unsigned char decoded[4 * LIMIT_DSN_SHOWN];
    struct span subject = find_subject(dsn_header_section(in->content), decoded, sizeof decoded);
    struct telling t = {.frame = f, .prose = {.out = f->text, .raw = f->utf8}};
    begin(f);
    for (unsigned i = 0; i < in->language_count; i++) {
        t.language = in->languages[i];
        if (i > 0) {
            prose_words(&t.prose, SPAN_LIT("--------"), LIMIT_DSN_SHOWN);
            prose_gap(&t.prose);
        }
        tell_in(&t, subject);
    }
    t.language = in->languages[0];
    tell_details(&t);
}
