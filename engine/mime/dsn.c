/* Delivery status notifications: the frame and its three parts. */
#include "engine/mime/dsn.h"
#include "engine/mime/text.h"
#include "engine/mime/trace.h"
#include "status.h"
#include <inttypes.h>
#include <stdio.h>

enum { TOKEN = 48 }; /* a boundary or the left side of a Message-ID */

static const char *const action_names[] = {[DSN_FAILED] = "failed", [DSN_DELAYED] = "delayed"};

static void put_date(struct text *t, const char *name, int64_t seconds)
{
    char date[TRACE_DATE];
    (void)trace_date(seconds, date);
    text_string(t, name);
    text_line(t, date);
}

static void put_host(struct text *t, const char *before, struct span host, const char *after)
{
    text_string(t, before);
    text_clean(t, TEXT_HOST, host, LIMIT_DOMAIN);
    text_line(t, after);
}

static void put_address(struct text *t, const char *before, struct span address, const char *after)
{
    text_string(t, before);
    text_clean(t, TEXT_ADDRESS, address, LIMIT_ADDRESS);
    text_line(t, after);
}

static bool any_with(const struct dsn *in, enum dsn_action action)
{
    for (unsigned i = 0; i < in->recipient_count; i++)
        if (in->recipients[i].action == action)
            return true;
    return false;
}

/* ---- the frame -------------------------------------------------------------------------- */

static void put_headers(struct text *t, const struct dsn *in, const char *boundary)
{
    bool failed = any_with(in, DSN_FAILED);
    text_string(t, "From: \"Mail delivery\" <MAILER-DAEMON@");
    text_clean(t, TEXT_HOST, in->hostname, LIMIT_DOMAIN);
    text_line(t, ">");
    put_address(t, "To: <", in->sender, ">");
    text_string(t, "Subject: ");
    text_line(t, failed ? "Your mail could not be delivered" : "Your mail is delayed");
    put_date(t, "Date: ", in->now);
    text_string(t, "Message-ID: <");
    text_clean(t, TEXT_TOKEN, in->queue_id, LIMIT_NAME);
    text_string(t, ".");
    text_string(t, boundary + 1); /* without its "=" */
    put_host(t, "@", in->hostname, ">");
    text_line(t, "Auto-Submitted: auto-replied");
    text_line(t, "MIME-Version: 1.0");
    text_line(t, "Content-Type: multipart/report; report-type=delivery-status;");
    text_string(t, "\tboundary=\"");
    text_string(t, boundary);
    text_line(t, "\"");
    text_line(t, "");
    text_line(t, "This is a delivery status notification in MIME format (RFC 3464).");
}

static void begin_part(struct text *t, const char *boundary, const char *type)
{
    text_line(t, "");
    text_string(t, "--");
    text_line(t, boundary);
    text_string(t, "Content-Type: ");
    text_line(t, type);
    text_line(t, "");
}

/* ---- for people ------------------------------------------------------------------------- */

static void tell_recipient(struct text *t, const struct dsn_recipient *r)
{
    static const char indent[] = "        ";
    text_line(t, "");
    put_address(t, "    <", r->address, ">");
    if (r->original.n > 0)
        put_address(t, "        addressed as <", r->original, ">");
    if (r->remote_mta.n > 0)
        put_host(t, r->remote_reply ? "        refused by " : "        tried at ", r->remote_mta,
                 r->diagnostic.n > 0 ? ":" : "");
    if (r->diagnostic.n > 0) {
        text_string(t, indent);
        text_words(t, TEXT_FREE, r->diagnostic, LIMIT_REASON, indent);
        text_line(t, "");
    }
    if (r->action == DSN_DELAYED && r->will_retry_until > 0)
        put_date(t, "        It will be tried until ", r->will_retry_until);
}

static void tell(struct text *t, const struct dsn *in, enum dsn_action action)
{
    if (!any_with(in, action))
        return;
    text_line(t, "");
    if (action == DSN_FAILED) {
        text_line(t, "The mail could not be delivered to the recipients below, and will not be");
        text_line(t, "tried again:");
    } else {
        text_line(t, "The mail could not be delivered yet to the recipients below. There is no");
        text_line(t, "need to send it again; it will be tried further:");
    }
    for (unsigned i = 0; i < in->recipient_count; i++)
        if (in->recipients[i].action == action)
            tell_recipient(t, &in->recipients[i]);
}

static void put_explanation(struct text *t, const struct dsn *in)
{
    put_host(t, "This is the mail gateway ", in->hostname, ",");
    put_date(t, "about your mail that arrived here on ", in->arrival);
    text_string(t, "with the queue id ");
    text_clean(t, TEXT_TOKEN, in->queue_id, LIMIT_NAME);
    text_line(t, ". Its header is attached.");
    tell(t, in, DSN_FAILED);
    tell(t, in, DSN_DELAYED);
}

/* ---- for programs (RFC 3464) ------------------------------------------------------------ */

/* "5.1.1" as RFC 3463 2 has it; what begins with a 2 is no failure. */
static bool status_valid(struct span s)
{
    unsigned part = 0, digits = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' && digits > 0 && part < 2) {
            part++;
            digits = 0;
        } else if (!ascii_digit(s.p[i]) || ++digits > (part == 0 ? 1u : 3u)) {
            return false;
        }
    }
    return part == 2 && digits > 0 && (s.p[0] == '4' || s.p[0] == '5');
}

static void put_recipient(struct text *t, const struct dsn_recipient *r)
{
    BUG_ON(r->action != DSN_FAILED && r->action != DSN_DELAYED);
    text_line(t, "");
    if (r->original.n > 0)
        put_address(t, "Original-Recipient: rfc822; ", r->original, "");
    put_address(t, "Final-Recipient: rfc822; ", r->address, "");
    text_string(t, "Action: ");
    text_line(t, action_names[r->action]);
    text_string(t, "Status: ");
    if (status_valid(r->status))
        text_put(t, r->status);
    else
        text_string(t, r->action == DSN_FAILED ? "5.0.0" : "4.0.0");
    text_line(t, "");
    if (r->remote_mta.n > 0)
        put_host(t, "Remote-MTA: dns; ", r->remote_mta, "");
    if (r->diagnostic.n > 0) {
        text_string(t, r->remote_reply ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: x-mgid; ");
        text_words(t, TEXT_FREE, r->diagnostic, LIMIT_REASON, " ");
        text_line(t, "");
    }
    if (r->last_attempt > 0)
        put_date(t, "Last-Attempt-Date: ", r->last_attempt);
    if (r->action == DSN_DELAYED && r->will_retry_until > 0)
        put_date(t, "Will-Retry-Until: ", r->will_retry_until);
}

static void put_status(struct text *t, const struct dsn *in)
{
    put_host(t, "Reporting-MTA: dns; ", in->hostname, "");
    text_string(t, "X-Queue-ID: ");
    text_clean(t, TEXT_TOKEN, in->queue_id, LIMIT_NAME);
    text_line(t, "");
    put_date(t, "Arrival-Date: ", in->arrival);
    for (unsigned i = 0; i < in->recipient_count; i++)
        put_recipient(t, &in->recipients[i]);
}

/* ---- the original's header section ------------------------------------------------------ */

/* The first line of s without its CRLF; *whole is false when s ends before one. */
static struct span first_line(struct span s, bool *whole)
{
    for (size_t i = 0; i + 1 < s.n; i++)
        if (s.p[i] == '\r' && s.p[i + 1] == '\n') {
            *whole = true;
            return span_head(s, i);
        }
    *whole = false;
    return s;
}

static void put_original(struct text *t, struct span headers)
{
    bool cut = headers.n >= LIMIT_DSN_HEADERS, whole = true;
    headers = span_head(headers, LIMIT_DSN_HEADERS);
    while (headers.n > 0) {
        struct span line = first_line(headers, &whole);
        if (line.n == 0 || (!whole && cut))
            return;
        for (size_t i = 0; i < line.n && i < LIMIT_TEXT_LINE; i++) {
            unsigned char c = line.p[i];
            unsigned char safe = c == '\t' || (c >= ' ' && c < 0x7f) ? c : '?';
            text_put(t, span_of(&safe, 1));
        }
        text_line(t, "");
        headers = span_from(headers, line.n + 2);
    }
}

/* ---- all of it -------------------------------------------------------------------------- */

bool dsn_compose(const struct dsn *in, struct dsn_output *out)
{
    BUG_ON(in->recipient_count == 0 || in->recipient_count > LIMIT_DSN_RECIPIENTS);
    char boundary[TOKEN];
    /* "=_" can't come up in base64 nor in quoted-printable (RFC 2045 6.7). */
    (void)snprintf(boundary, sizeof boundary, "=_%016" PRIx64, in->seed);
    struct text t = {.p = out->p + out->n, .capacity = out->capacity - out->n};
    if (out->overflow)
        return false;
    put_headers(&t, in, boundary);
    begin_part(&t, boundary, "text/plain; charset=us-ascii");
    put_explanation(&t, in);
    begin_part(&t, boundary, "message/delivery-status");
    put_status(&t, in);
    begin_part(&t, boundary, "text/rfc822-headers");
    put_original(&t, in->headers);
    text_line(&t, "");
    text_string(&t, "--");
    text_string(&t, boundary);
    text_line(&t, "--");
    out->overflow = t.overflow;
    if (!t.overflow)
        out->n += t.n;
    return !t.overflow;
}
