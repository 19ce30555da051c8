/* A Message-ID and a Date for who sent none. */
#include "workers/connection/complete.h"
#include "engine/mime/edit.h"
#include "engine/mime/trace.h"
#include "workers/connection/generation.h"
#include "workers/connection/mail.h"
#include "workers/connection/transaction.h"
#include <stdio.h>

/* What the flow asks for and the mail has not. */
static uint32_t missing(const struct transaction *t)
{
    const struct header_field *fields = t->scanner.fields;
    return t->generation->flow_settings.complete &
           ((fields[WANT_MESSAGE_ID].count == 0 ? POLICY_COMPLETE_MESSAGE_ID : 0u) |
            (fields[WANT_DATE].count == 0 ? POLICY_COMPLETE_DATE : 0u));
}

/* Behind what a rule changes, unless that is the field itself. */
static void add_field(struct text *t, struct span name, struct span value)
{
    struct span rest = span_of(t->p, t->n);
    struct edit e;
    while (edit_next(&rest, &e))
        if (span_ieq(e.name, name))
            return;
    edit_put(t, &(struct edit){.kind = EDIT_SET, .name = name, .value = value});
}

static void add_fields(struct text *t, const struct transaction *of, uint32_t fields)
{
    char id[QUEUE_ID_TEXT + 1];
    char value[LIMIT_DOMAIN + QUEUE_ID_TEXT + 4];
    char date[TRACE_DATE];
    struct span host = of->generation->settings.hostname;
    queue_id_format(of->mail->id, id);
    (void)snprintf(value, sizeof value, "<%s@%.*s>", id, (int)host.n, (const char *)host.p);
    (void)trace_date(of->mail->arrival / 1000000, date);
    if (fields & POLICY_COMPLETE_MESSAGE_ID)
        add_field(t, SPAN_LIT("Message-ID"), span_str(value));
    if (fields & POLICY_COMPLETE_DATE)
        add_field(t, SPAN_LIT("Date"), span_str(date));
}

bool complete_mail(struct transaction *t)
{
    static unsigned char list[LIMIT_EDIT_LIST];
    unsigned char edits[LIMIT_EDIT_TEXT];
    struct mail *m = t->mail;
    uint32_t fields = missing(t);
    if (fields == 0)
        return true;
    struct span all = mail_span(m, m->edits);
    memcpy(list, all.p, all.n); /* putting something into the mail moves its texts */
    all.p = list;
    m->edits.length = 0;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        struct text text = {.p = edits, .capacity = sizeof edits};
        if (r->variant > 0)
            text_put(&text, edits_variant(all, r->variant));
        add_fields(&text, t, fields);
        if (text.overflow || !mail_variant(m, span_of(edits, text.n), &r->variant))
            return false;
    }
    return true;
}
