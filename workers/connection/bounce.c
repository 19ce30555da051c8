/* Notifications of failed deliveries. */
#include "workers/connection/bounce.h"
#include "engine/log/log.h"
#include "engine/mime/dsn.h"
#include "status.h"
#include "workers/connection/worker.h"
#include <stdio.h>
#include <sys/random.h>

_Static_assert(LIMIT_BOUNCE_RECIPIENTS <= LIMIT_DSN_RECIPIENTS &&
                   LIMIT_DSN / LIMIT_DSN_RECIPIENTS * LIMIT_BOUNCE_RECIPIENTS <= LIMIT_INLINE_MAIL,
               "a notification is never a large mail");

static void log_bounced(const struct mail *m, const struct recipient *r, struct span notice)
{
    mail_log(m, LOG_NOTICE, "bounced");
    log_span("sender", mail_span(m, m->sender));
    log_span("recipient", mail_span(m, r->address));
    log_span("route", mail_span(m, r->route));
    log_span("rule", mail_span(m, r->rule));
    log_span("relay", mail_span(m, r->relay));
    log_text("status", r->status);
    log_span("reason", mail_span(m, r->reply));
    log_span("notification", notice);
    log_end();
}

/* The host's name out of "host[address]:port". */
static struct span host_of_relay(struct span relay)
{
    size_t n = 0;
    while (n < relay.n && relay.p[n] != '[')
        n++;
    return span_head(relay, n);
}

/* The recipients that one notification names: marked, and described. */
static unsigned report(struct delivery *d, struct dsn_recipient *list, int64_t now, bool describe)
{
    struct mail *m = d->mail;
    unsigned n = 0;
    for (uint32_t i = 0; i < m->recipient_count && n < LIMIT_BOUNCE_RECIPIENTS; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d)
            continue;
        r->outcome = OUTCOME_REPORTED;
        if (describe)
            list[n] = (struct dsn_recipient){
                .address = mail_span(m, r->address),
                .action = DSN_FAILED,
                .status = span_str(r->status),
                .diagnostic = mail_span(m, r->reply),
                .remote_reply = r->remote,
                .remote_mta = host_of_relay(mail_span(m, r->relay)),
                .last_attempt = d->attempted ? now : 0,
            };
        n++;
    }
    return n;
}

/* The original's header section, as far as the buffer goes. */
static struct span original_headers(struct worker *w, struct mail *m, unsigned char *out, size_t n)
{
    size_t got = 0;
    if (m->flags & MAIL_LARGE) {
        ssize_t r = spool_read(w->spool, &m->ref, 0, out, n);
        got = r > 0 ? (size_t)r : 0;
    } else if (mail_load(w, m) == 0) {
        got = chain_copy(&m->content, 0, out, n);
    }
    for (size_t i = 0; i + 4 <= got; i++)
        if (memcmp(out + i, "\r\n\r\n", 4) == 0)
            return span_of(out, i + 2);
    return span_of(out, got);
}

static bool compose(struct worker *w, struct delivery *d, struct mail *notice)
{
    static struct dsn_recipient list[LIMIT_BOUNCE_RECIPIENTS];
    static unsigned char headers[LIMIT_DSN_HEADERS];
    static unsigned char text[LIMIT_DSN];
    struct mail *m = d->mail;
    char id[QUEUE_ID_TEXT + 1];
    struct dsn_output out = {.p = text, .capacity = sizeof text};
    struct dsn in = {
        .hostname = w->generations.current->settings.hostname,
        .queue_id = span_of(id, QUEUE_ID_TEXT),
        .arrival = m->arrival / 1000000,
        .sender = mail_span(m, m->sender),
        .now = w->wall / 1000000,
        .recipients = list,
        .headers = original_headers(w, m, headers, sizeof headers),
    };
    queue_id_format(m->id, id);
    in.recipient_count = report(d, list, in.now, true);
    if (getrandom(&in.seed, sizeof in.seed, 0) != sizeof in.seed || !dsn_compose(&in, &out))
        return false;
    notice->size = out.n;
    notice->flags = MAIL_BOUNCE | MAIL_EIGHT_BIT | MAIL_DOT_LINES; /* headers are the sender's */
    return chain_append(&w->chunks, &notice->content, span_of(text, out.n));
}

/* The mail's other way: a notification runs no rules, so that no loop can come of it. */
static bool address_notice(struct worker *w, const struct mail *m, struct mail *notice)
{
    struct generation *g = w->generations.current;
    struct recipient *r = mail_add_recipient(notice);
    uint32_t route = g->flow_settings.bounce_route;
    notice->id = spool_queue_id(w->spool, (uint64_t)w->wall);
    notice->arrival = w->wall;
    notice->expires = w->wall / 1000000 + g->settings.lifetime;
    return r && route != POLICY_NONE && mail_put(notice, mail_span(m, m->sender), &r->address) &&
           mail_put(notice, policy_route(&g->policy, route).name, &r->route) &&
           mail_put(notice, SPAN_LIT("bounce"), &r->rule);
}

static void try_later(struct worker *w, struct delivery *d)
{
    if (!timer_arm(&w->timers, &d->timer, w->now + LIMIT_BOUNCE_RETRY_MICROSECONDS))
        BUG_ON(true);
}

/* Logs and counts those whose failure is told (or need not be). */
static void settle_reported(struct worker *w, const struct delivery *d, struct span notice)
{
    const struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].delivery != d || m->recipients[i].outcome != OUTCOME_REPORTED)
            continue;
        log_bounced(m, &m->recipients[i], notice);
        counter_add(w->counters, COUNTER_deliveries_failed, 1);
    }
}

void bounce_begin(struct worker *w, struct delivery *d)
{
    struct mail *m = d->mail;
    if (d->bouncing)
        return;
    d->bouncing = true;
    bool nobody =
        m->sender.length == 0 || w->generations.current->flow_settings.bounce_route == POLICY_NONE;
    if (nobody) {
        (void)report(d, NULL, 0, false);
        settle_reported(w, d, SPAN_EMPTY);
        d->bouncing = false;
        queue_bounced(w, d);
        return;
    }
    struct mail *notice = mail_new(w);
    if (!notice || !address_notice(w, m, notice) || !compose(w, d, notice)) {
        if (notice)
            mail_free(w, notice);
        d->bouncing = false;
        try_later(w, d);
        return;
    }
    notice->bounced = d;
    commit_add(w, notice);
}

void bounce_committed(struct worker *w, struct mail *notice, bool ok)
{
    struct delivery *d = notice->bounced;
    char id[QUEUE_ID_TEXT + 1];
    notice->bounced = NULL;
    d->bouncing = false;
    if (!ok) {
        mail_free(w, notice);
        try_later(w, d);
        return;
    }
    queue_id_format(notice->id, id);
    settle_reported(w, d, span_of(id, QUEUE_ID_TEXT));
    counter_add(w->counters, COUNTER_bounces_sent, 1);
    queue_bounced(w, d);
    queue_take(w, notice);
}
