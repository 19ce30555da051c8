/* What an envelope needs of a server, and its commands. */
#include "engine/smtp/envelope.h"
#include "engine/smtp/address.h"

bool smtp_address_needs_utf8(struct span address)
{
    unsigned char text[SMTP_ADDRESS_CANONICAL];
    return !span_ascii(smtp_address_ascii_domain(address, text));
}

static bool an_address_needs_utf8(const struct smtp_envelope *e)
{
    bool any = smtp_address_needs_utf8(e->sender);

    for (uint32_t i = 0; i < e->count; i++)
        any = any || smtp_address_needs_utf8(e->recipients[i].address);
    return any;
}

static bool takes_binary(const struct smtp_offer *o)
{
    return smtp_offered(o, SMTP_EXTENSION_BINARYMIME) && smtp_offered(o, SMTP_EXTENSION_CHUNKING);
}

enum smtp_lack smtp_envelope_lack(const struct smtp_envelope *e, const struct smtp_offer *o,
                                  bool verified)
{
    bool utf8 = smtp_offered(o, SMTP_EXTENSION_SMTPUTF8);

    if (e->require_tls && !(verified && smtp_offered(o, SMTP_EXTENSION_REQUIRETLS)))
        return SMTP_LACK_REQUIRETLS;
    /* RFC 1870 6.1: what the server says it does not take need not be tried. */
    if (o->size_max != 0 && e->size > o->size_max)
        return SMTP_LACK_SIZE;
    if (e->utf8 && !utf8)
        return an_address_needs_utf8(e) ? SMTP_LACK_UTF8_ADDRESS : SMTP_LACK_UTF8_HEADER;
    if (e->body == SMTP_BODY_BINARYMIME && !takes_binary(o))
        return SMTP_LACK_BINARYMIME;
    if (e->body == SMTP_BODY_8BITMIME && !smtp_offered(o, SMTP_EXTENSION_8BITMIME))
        return SMTP_LACK_8BITMIME;
    return SMTP_LACK_NOTHING;
}

void smtp_lack_reply(enum smtp_lack lack, struct smtp_reply *r)
{
    static const struct {
        uint16_t code;
        struct smtp_enhanced enhanced;
        const char *text;
    } replies[] = {
#define LACK(NAME, code, subject, detail, text)                                                    \
    [SMTP_LACK_##NAME] = {(code), {5, (subject), (detail)}, (text)},
#include "lacks.def"
#undef LACK
    };

    smtp_reply_make(r, replies[lack].code, replies[lack].enhanced, span_str(replies[lack].text));
}

static bool address_sendable(struct span s, bool null_allowed)
{
    struct smtp_address a;

    return smtp_address_parse(s, &a) == SMTP_ADDRESS_OK &&
           (null_allowed || a.kind != SMTP_ADDRESS_NULL);
}

bool smtp_envelope_sendable(const struct smtp_envelope *e)
{
    bool all = e->count > 0 && address_sendable(e->sender, true);

    for (uint32_t i = 0; i < e->count; i++)
        all = all && address_sendable(e->recipients[i].address, false);
    return all && (e->utf8 || !an_address_needs_utf8(e));
}

/* ---- commands --------------------------------------------------------------------------- */

/* What xtext and the address type's text are made of (RFC 3461 4): so it has no blank and no line
 * end in it. UTF-8 stands for itself where SMTPUTF8 is in use (RFC 6533 3). */
static bool parameter_sendable(struct span s, size_t max, bool utf8)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] == 0x7f || s.p[i] == '=' || (s.p[i] >= 0x80 && !utf8))
            return false;
    return s.n > 0 && s.n <= max;
}

static bool uses_utf8(const struct smtp_envelope *e, const struct smtp_offer *o)
{
    return e->utf8 && smtp_offered(o, SMTP_EXTENSION_SMTPUTF8);
}

/* Where UTF-8 may not be, a domain is written in A-labels (RFC 6531 3.2). */
static void put_path(struct span address, bool utf8, struct smtp_out *out)
{
    unsigned char text[SMTP_ADDRESS_CANONICAL];

    smtp_out_put(out, utf8 ? address : smtp_address_ascii_domain(address, text));
    smtp_out_put(out, SPAN_LIT(">"));
}

static void put_body(const struct smtp_envelope *e, const struct smtp_offer *o,
                     struct smtp_out *out)
{
    if (e->body == SMTP_BODY_BINARYMIME && takes_binary(o))
        smtp_out_put(out, SPAN_LIT(" BODY=BINARYMIME"));
    else if (e->body == SMTP_BODY_8BITMIME && smtp_offered(o, SMTP_EXTENSION_8BITMIME))
        smtp_out_put(out, SPAN_LIT(" BODY=8BITMIME"));
}

static void put_return(const struct smtp_envelope *e, struct smtp_out *out)
{
    if (e->ret != SMTP_RET_UNSAID)
        smtp_out_put(out, e->ret == SMTP_RET_FULL ? SPAN_LIT(" RET=FULL") : SPAN_LIT(" RET=HDRS"));
    if (parameter_sendable(e->envid, LIMIT_ENVID, false)) {
        smtp_out_put(out, SPAN_LIT(" ENVID="));
        smtp_out_put(out, e->envid);
    }
}

void smtp_envelope_put_mail(const struct smtp_envelope *e, const struct smtp_offer *o,
                            struct smtp_out *out)
{
    smtp_out_put(out, SPAN_LIT("MAIL FROM:<"));
    put_path(e->sender, uses_utf8(e, o), out);
    if (e->size != 0 && smtp_offered(o, SMTP_EXTENSION_SIZE)) {
        smtp_out_put(out, SPAN_LIT(" SIZE="));
        smtp_out_number(out, e->size);
    }
    put_body(e, o, out);
    if (uses_utf8(e, o))
        smtp_out_put(out, SPAN_LIT(" SMTPUTF8"));
    if (e->require_tls && smtp_offered(o, SMTP_EXTENSION_REQUIRETLS))
        smtp_out_put(out, SPAN_LIT(" REQUIRETLS"));
    if (smtp_offered(o, SMTP_EXTENSION_DSN))
        put_return(e, out);
    smtp_out_put(out, SPAN_LIT("\r\n"));
}

static void put_notify(uint8_t notify, struct smtp_out *out)
{
    static const struct {
        enum smtp_notify bit;
        struct span word;
    } words[] = {
        {SMTP_NOTIFY_NEVER, {(const unsigned char *)"NEVER", 5}},
        {SMTP_NOTIFY_SUCCESS, {(const unsigned char *)"SUCCESS", 7}},
        {SMTP_NOTIFY_FAILURE, {(const unsigned char *)"FAILURE", 7}},
        {SMTP_NOTIFY_DELAY, {(const unsigned char *)"DELAY", 5}},
    };
    struct span before = SPAN_LIT(" NOTIFY=");

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!(notify & words[i].bit))
            continue;
        smtp_out_put(out, before);
        smtp_out_put(out, words[i].word);
        before = SPAN_LIT(",");
    }
}

void smtp_envelope_put_rcpt(const struct smtp_envelope *e, uint32_t index,
                            const struct smtp_offer *o, struct smtp_out *out)
{
    const struct smtp_recipient *r = &e->recipients[index];

    smtp_out_put(out, SPAN_LIT("RCPT TO:<"));
    put_path(r->address, uses_utf8(e, o), out);
    if (smtp_offered(o, SMTP_EXTENSION_DSN)) {
        put_notify(r->notify, out);
        if (parameter_sendable(r->orcpt, LIMIT_ORCPT, uses_utf8(e, o))) {
            smtp_out_put(out, SPAN_LIT(" ORCPT="));
            smtp_out_put(out, r->orcpt);
        }
    }
    smtp_out_put(out, SPAN_LIT("\r\n"));
}
