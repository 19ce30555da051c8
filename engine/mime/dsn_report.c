/* A notification's second part: the status for programs (RFC 3464 2, RFC 6533 4). */
#include "engine/mime/dsn_parts.h"
#include "engine/mime/utf8.h"
#include "engine/mime/xtext.h"
#include "status.h"

static const char *const action_names[] = {
#define DSN_ACTION(NAME, text) [DSN_##NAME] = text,
    DSN_ACTIONS(DSN_ACTION)
#undef DSN_ACTION
};

static void put_host(struct text *t, const char *name, struct span host)
{
    text_string(t, name);
    text_clean(t, TEXT_HOST, host, LIMIT_DOMAIN);
    text_line(t, "");
}

/* An address where a name is expected: it goes in brackets (RFC 5321 4.1.3). */
static bool is_address(struct span host)
{
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] == ':')
            return host.p[0] != '[';
    for (size_t i = 0; i < host.n; i++)
        if (!ascii_digit(host.p[i]) && host.p[i] != '.')
            return false;
    return host.n > 0;
}

static void put_remote_mta(struct text *t, struct span host)
{
    bool address = is_address(host);
    bool v6 = address && memchr(host.p, ':', host.n) != NULL;
    text_string(t, "Remote-MTA: dns; ");
    text_string(t, v6 ? "[IPv6:" : address ? "[" : "");
    text_clean(t, TEXT_HOST, host, LIMIT_DOMAIN);
    text_line(t, address ? "]" : "");
}

/* An address of the type utf-8: raw where that may be, else escaped. */
static void put_utf8_address(const struct dsn_frame *f, const char *name, struct span address)
{
    char escaped[LIMIT_TEXT_LINE - 64];
    text_string(f->text, name);
    text_string(f->text, "utf-8; ");
    if (f->utf8)
        text_shown(f->text, address, LIMIT_ORCPT);
    else
        text_put(f->text, span_of(escaped, utf8_address_escape(address, escaped, sizeof escaped)));
    text_line(f->text, "");
}

static void put_address(const struct dsn_frame *f, const char *name, struct span address)
{
    address = span_head(address, LIMIT_ADDRESS);
    if (!span_ascii(address) && utf8_valid(address)) {
        put_utf8_address(f, name, address);
        return;
    }
    text_string(f->text, name);
    text_string(f->text, "rfc822; ");
    text_clean(f->text, TEXT_ADDRESS, address, LIMIT_ADDRESS);
    text_line(f->text, "");
}

/* As the first sender wrote it (ORCPT), or as our client did before a rule changed it. */
static void put_original_recipient(const struct dsn_frame *f, const struct dsn_recipient *r)
{
    struct orcpt o;
    if (!orcpt_parse(r->orcpt, &o)) {
        if (r->original.n > 0)
            put_address(f, "Original-Recipient: ", r->original);
        return;
    }
    struct span address = span_of(o.address, o.n);
    if (o.utf8) {
        put_utf8_address(f, "Original-Recipient: ", address);
        return;
    }
    text_string(f->text, "Original-Recipient: ");
    text_clean(f->text, TEXT_TOKEN, o.type, LIMIT_NAME);
    text_string(f->text, "; ");
    text_clean(f->text, TEXT_FREE, address, LIMIT_ORCPT);
    text_line(f->text, "");
}

/* "5.1.1" as RFC 3463 2 has it, of a class that goes with the action. */
static bool status_fits(struct span s, enum dsn_action action)
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
    if (part != 2 || digits == 0)
        return false;
    bool failure = s.p[0] == '4' || s.p[0] == '5';
    return action == DSN_FAILED ? failure : s.p[0] == (action == DSN_DELAYED ? '4' : '2');
}

static void put_status(struct text *t, const struct dsn_recipient *r)
{
    static const char *const general[] = {[DSN_FAILED] = "5.0.0",
                                          [DSN_DELAYED] = "4.0.0",
                                          [DSN_RELAYED] = "2.0.0",
                                          [DSN_DELIVERED] = "2.0.0"};
    text_string(t, "Status: ");
    if (r->action == DSN_FAILED && r->expired)
        text_string(t, "4.4.7"); /* RFC 3463 3.5: delivery time expired */
    else if (status_fits(r->status, r->action))
        text_put(t, r->status);
    else
        text_string(t, general[r->action]);
    text_line(t, "");
}

static void put_recipient(const struct dsn_frame *f, const struct dsn_recipient *r)
{
    struct text *t = f->text;
    BUG_ON(r->action >= DSN_ACTION_COUNT);
    text_line(t, "");
    put_original_recipient(f, r);
    put_address(f, "Final-Recipient: ", r->address);
    text_string(t, "Action: ");
    text_line(t, action_names[r->action]);
    put_status(t, r);
    if (r->remote_mta.n > 0)
        put_remote_mta(t, r->remote_mta);
    if (r->diagnostic.n > 0) {
        text_string(t, r->remote_reply ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: x-mgid; ");
        text_words(t, TEXT_FREE, r->diagnostic, LIMIT_REASON, " ");
        text_line(t, "");
    }
    if (r->last_attempt > 0)
        dsn_put_date(t, "Last-Attempt-Date: ", r->last_attempt);
    if (r->action == DSN_DELAYED && r->will_retry_until > 0)
        dsn_put_date(t, "Will-Retry-Until: ", r->will_retry_until);
}

static void put_envelope_id(struct text *t, struct span envid)
{
    unsigned char id[LIMIT_ENVID];
    size_t n;
    if (envid.n == 0 || envid.n > LIMIT_ENVID || !xtext_decode(envid, id, &n))
        return;
    text_string(t, "Original-Envelope-Id: ");
    text_clean(t, TEXT_FREE, span_of(id, n), LIMIT_ENVID);
    text_line(t, "");
}

void dsn_put_report(struct dsn_frame *f)
{
    const struct dsn *in = f->in;
    struct text *t = f->text;
    dsn_begin_part(f, f->utf8 ? "message/global-delivery-status" : "message/delivery-status");
    if (f->utf8)
        text_line(t, "Content-Transfer-Encoding: 8bit");
    text_line(t, "");
    put_envelope_id(t, in->envid);
    put_host(t, "Reporting-MTA: dns; ", in->hostname);
    text_string(t, "X-Queue-ID: ");
    text_clean(t, TEXT_TOKEN, in->queue_id, LIMIT_NAME);
    text_line(t, "");
    dsn_put_date(t, "Arrival-Date: ", in->arrival);
    for (unsigned i = 0; i < in->recipient_count; i++)
        put_recipient(f, &in->recipients[i]);
}
