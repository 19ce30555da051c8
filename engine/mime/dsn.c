/* Delivery status notifications: the frame. */
#include "engine/mime/dsn.h"
#include "engine/mime/dsn_parts.h"
#include "engine/mime/prose.h"
#include "engine/mime/trace.h"
#include "engine/mime/utf8.h"
#include "status.h"
#include <inttypes.h>
#include <stdio.h>

void dsn_put_date(struct text *t, const char *name, int64_t seconds)
{
    char date[TRACE_DATE];
    (void)trace_date(seconds, date);
    text_string(t, name);
    text_line(t, date);
}

bool dsn_any_with(const struct dsn *in, enum dsn_action action)
{
    for (unsigned i = 0; i < in->recipient_count; i++)
        if (in->recipients[i].action == action)
            return true;
    return false;
}

void dsn_begin_part(struct dsn_frame *f, const char *type)
{
    text_line(f->text, "");
    text_string(f->text, "--");
    text_line(f->text, f->boundary);
    text_string(f->text, "Content-Type: ");
    text_line(f->text, type);
}

static void put_address(const struct dsn_frame *f, const char *before, struct span address)
{
    text_string(f->text, before);
    if (f->utf8)
        text_shown(f->text, address, LIMIT_ADDRESS);
    else
        text_clean(f->text, TEXT_ADDRESS, address, LIMIT_ADDRESS);
    text_line(f->text, ">");
}

static void put_headers(struct dsn_frame *f)
{
    const struct dsn *in = f->in;
    struct text *t = f->text;
    put_address(f, "From: \"Mail Delivery System\" <", in->from);
    put_address(f, "To: <", in->sender);
    text_string(t, "Subject: ");
    prose_subject(t, dsn_subject(in));
    text_line(t, "");
    dsn_put_date(t, "Date: ", in->now);
    text_string(t, "Message-ID: <");
    text_clean(t, TEXT_TOKEN, in->queue_id, LIMIT_NAME);
    text_string(t, ".");
    text_string(t, f->boundary + 1); /* without its "=" */
    text_string(t, "@");
    text_clean(t, TEXT_HOST, in->hostname, LIMIT_DOMAIN);
    text_line(t, ">");
    text_line(t, "Auto-Submitted: auto-replied");
    text_line(t, "MIME-Version: 1.0");
    text_line(t, "Content-Type: multipart/report; report-type=delivery-status;");
    text_string(t, "\tboundary=\"");
    text_string(t, f->boundary);
    text_line(t, "\"");
    if (f->eight_bit)
        text_line(t, "Content-Transfer-Encoding: 8bit");
    text_line(t, "");
    text_line(t, "This is a delivery status notification in MIME format (RFC 3464).");
}

/* Whose sender understands UTF-8, and has something in it that needs it. */
static bool needs_utf8(const struct dsn *in, struct span headers)
{
    bool all = span_ascii(in->sender) && span_ascii(headers);
    for (unsigned i = 0; i < in->recipient_count; i++)
        all =
            all && span_ascii(in->recipients[i].address) && span_ascii(in->recipients[i].original);
    return in->utf8 && !all && utf8_valid(headers);
}

bool dsn_compose(const struct dsn *in, struct dsn_output *out)
{
    BUG_ON(in->recipient_count == 0 || in->recipient_count > LIMIT_DSN_RECIPIENTS);
    BUG_ON(in->language_count == 0 || in->language_count > LANGUAGE_COUNT);
    struct text t = {.p = out->p + out->n, .capacity = out->capacity - out->n};
    struct dsn_frame f = {.in = in, .text = &t};
    if (out->overflow)
        return false;
    /* "=_" can't come up in base64 nor in quoted-printable (RFC 2045 6.7). */
    (void)snprintf(f.boundary, sizeof f.boundary, "=_%016" PRIx64, in->seed);
    f.utf8 = needs_utf8(in, dsn_header_section(in->content));
    f.whole = in->whole && dsn_returnable(in->content, &f.eight_bit);
    f.eight_bit = f.utf8 || (f.whole && f.eight_bit);
    put_headers(&f);
    dsn_put_text(&f);
    dsn_put_report(&f);
    dsn_put_original(&f);
    text_line(&t, "");
    text_string(&t, "--");
    text_string(&t, f.boundary);
    text_line(&t, "--");
    out->overflow = t.overflow;
    out->eight_bit = f.eight_bit;
    out->utf8 = f.utf8;
    if (!t.overflow)
        out->n += t.n;
    return !t.overflow;
}
