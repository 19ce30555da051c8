/* Rules: facts out of a session and a mail's header, and what is noted of the decision. */
#include "workers/connection/rules.h"
#include "engine/log/log.h"
#include "engine/smtp/address.h"
#include "status.h"
#include "workers/connection/complete.h"
#include "workers/connection/session.h"
#include "workers/connection/transaction.h"
#include "workers/connection/worker.h"

/* ---- the envelope ----------------------------------------------------------------------- */

/* What the rules compare: addresses in canonical form. */
struct envelope_text {
    unsigned char sender[SMTP_ADDRESS_CANONICAL];
    unsigned char recipient[SMTP_ADDRESS_CANONICAL];
};

static unsigned tls_version(const struct session *s)
{
    if (!s->stream->tls)
        return 0;
    return strcmp(tls_describe(&s->stream->tls->connection).version, "TLSv1.3") == 0 ? 13 : 12;
}

static struct policy_facts envelope_facts(const struct transaction *t, const struct recipient *r,
                                          struct envelope_text *text)
{
    const struct mail *m = t->mail;
    return (struct policy_facts){
        .sender = smtp_address_compared(mail_span(m, m->sender), text->sender),
        .recipient = smtp_address_compared(mail_span(m, r->address), text->recipient),
        .client = t->session->client,
        .peers = t->session->peers,
        .tls_version = tls_version(t->session),
        .tls_verified = t->session->stream->tls && t->session->stream->tls->verdict.verified,
    };
}

/* The address that the rule wants the mail delivered to; the one of before is kept. A rule whose
 * address would be none refuses instead. False: no memory. */
static bool rewrite(struct transaction *t, struct recipient *r, struct policy_decision *d)
{
    unsigned char ascii[SMTP_ADDRESS_CANONICAL];
    unsigned char out[LIMIT_ADDRESS];
    struct mail *m = t->mail;
    struct span address = smtp_address_ascii_domain(mail_span(m, r->address), ascii);
    struct span rewritten = policy_rewrite(&t->generation->policy, d->rule, address, out);
    if (rewritten.n == 0) {
        d->outcome = POLICY_REJECT;
        d->reply = policy_rewrite_refusal();
        return true;
    }
    if (span_eq(rewritten, address))
        return true;
    r->original = r->address;
    return mail_put(m, rewritten, &r->address);
}

/* What the rule says into the mail. False: no memory. */
static bool note_decision(struct transaction *t, struct recipient *r, struct policy_decision *d)
{
    struct policy_rule rule = policy_rule(&t->generation->policy, d->rule);
    struct mail *m = t->mail;
    r->undecided = false;
    if ((rule.rewrites && !rewrite(t, r, d)) || !mail_variant(m, rule.edits, &r->variant))
        return false;
    r->priority = (uint8_t)rule.priority;
    if (rule.hold && d->outcome == POLICY_ROUTE)
        m->entry->held = true;
    r->expires = rule.lifetime > 0 ? m->arrival / 1000000 + rule.lifetime : 0;
    if (!mail_put(m, rule.name, &r->rule))
        return false;
    if (d->outcome != POLICY_ROUTE)
        return mail_put(m, d->reply, &r->reply);
    return mail_put(m, policy_route(&t->generation->policy, d->route).name, &r->route);
}

bool rules_at_rcpt(struct transaction *t, struct recipient *r, struct transaction_reply *reply)
{
    struct envelope_text text;
    struct generation *g = t->generation;
    struct mail *m = t->mail;
    struct policy_facts facts = envelope_facts(t, r, &text);
    struct policy_decision d = policy_decide(&g->policy, g->flow, &facts, NULL);
    if (d.outcome == POLICY_NEED_HEADERS) {
        r->undecided = true;
        return true;
    }
    if (!note_decision(t, r, &d)) {
        refuse(reply, 452, "4.3.1", "Insufficient memory, try again later");
        return false;
    }
    if (d.outcome == POLICY_ROUTE || d.outcome == POLICY_DISCARD)
        return true;
    mail_log(m, LOG_NOTICE, "recipient refused");
    log_span("sender", mail_span(m, m->sender));
    log_span("recipient", mail_span(m, r->address));
    log_span("rule", mail_span(m, r->rule));
    log_span("reply", d.reply);
    log_end();
    refuse_by_rule(reply, d.reply);
    return false;
}

/* ---- the header ------------------------------------------------------------------------- */

/* The rules that need the headers, for every recipient that waits for them. */
static bool decide_rest(struct transaction *t, struct transaction_reply *reply)
{
    static struct facts content;
    struct envelope_text text;
    struct mail *m = t->mail;
    bool any = false;
    for (uint32_t i = 0; i < m->recipient_count && !any; i++)
        any = m->recipients[i].undecided;
    if (!any)
        return true;
    enum facts_fault fault =
        facts_read(&t->generation->policy, &t->scanner, &t->rule_fields, &content);
    if (fault != FACTS_OK) {
        refuse_by_rule(reply, span_str(facts_fault_reply(fault)));
        return false;
    }
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (!r->undecided)
            continue;
        struct policy_facts facts = envelope_facts(t, r, &text);
        facts_tell(&content, &facts);
        facts.size = m->size - t->added;
        struct policy_decision d =
            policy_decide(&t->generation->policy, t->generation->flow, &facts, NULL);
        if (d.outcome == POLICY_DEFER) { /* the client asks again for all of them */
            refuse_by_rule(reply, d.reply);
            return false;
        }
        if (!note_decision(t, r, &d)) {
            refuse(reply, 452, "4.3.1", "Insufficient memory, try again later");
            return false;
        }
    }
    return true;
}

/* Those whom a rule threw the mail away for leave it: nobody is told, but the log. */
static void drop_discarded(struct mail *m)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        if (r->route.length > 0 || r->reply.length > 0) {
            m->recipients[left++] = *r;
            continue;
        }
        mail_log(m, LOG_NOTICE, "discarded");
        log_span("sender", mail_span(m, m->sender));
        log_span("recipient", mail_span(m, r->address));
        log_span("rule", mail_span(m, r->rule));
        log_span("client", mail_span(m, m->client));
        log_end();
    }
    m->recipient_count = left;
}

/* All recipients refused by rules: the client is told; else those refused are bounced. */
static bool anyone_left(struct transaction *t, struct transaction_reply *reply)
{
    struct mail *m = t->mail;
    drop_discarded(m);
    for (uint32_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].route.length > 0)
            return true;
    if (m->recipient_count == 0) {
        transaction_accept_text(m->id, reply->text, sizeof reply->text);
        reply->code = 250;
        reply->enhanced = "2.0.0";
        return false;
    }
    refuse_by_rule(reply, mail_span(m, m->recipients[0].reply));
    return false;
}

bool rules_at_end(struct transaction *t, struct transaction_reply *reply)
{
    if (!decide_rest(t, reply) || !anyone_left(t, reply))
        return false;
    if (complete_mail(t))
        return true;
    refuse(reply, 452, "4.3.1", "Insufficient memory, try again later");
    return false;
}
