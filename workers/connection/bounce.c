/* Notifications to senders: composed, committed, and what follows for the recipients they name. */
#include "workers/connection/bounce.h"
#include "crash_point.h"
#include "engine/log/log.h"
#include "engine/mime/dsn.h"
#include "priority.h"
#include "status.h"
#include "workers/connection/queue_internal.h"
#include <stdio.h>
#include <sys/random.h>

_Static_assert(LIMIT_DSN <= LIMIT_INLINE_MAIL, "a notification is never a large mail");

/* What one notification says. */
struct notice {
    struct mail *about;
    struct span to;
    unsigned count;
    struct dsn_recipient list[LIMIT_DSN_RECIPIENTS];
    bool secret; /* the original must not travel back whole */
    bool urgent; /* as a recipient's copy was */
};

/* Of a recipient whose delivery bounces: else it was relayed. */
static bool is_failure(const struct recipient *r)
{
    return r->outcome != OUTCOME_RELAYED && r->outcome != OUTCOME_CONFIRMED;
}

static const struct policy_notifications *settings(const struct worker *w)
{
    return &w->generations.current->settings.notifications;
}

/* ---- who is told, and of whom ----------------------------------------------------------- */

/* Does the envelope ask to hear of that (RFC 3461 4.1 and 5.2.7)? A notification of ours says NEVER
 * on its way, and means the next hop by it. */
static bool asked(const struct mail *m, const struct recipient *r, enum dsn_action action)
{
    static const uint8_t bits[] = {[DSN_FAILED] = DSN_NOTIFY_FAILURE,
                                   [DSN_DELAYED] = DSN_NOTIFY_DELAY,
                                   [DSN_RELAYED] = DSN_NOTIFY_SUCCESS};
    if (r->notify == 0 || (m->flags & MAIL_BOUNCE))
        return action != DSN_RELAYED;
    return r->notify & bits[action];
}

/* Whom a notification goes to; empty: nobody. What has no sender is itself a notification: nobody
 * but the postmaster hears of it, and of what he is told nobody (RFC 5321 4.5.5, 6.1). */
static struct span addressee(const struct worker *w, const struct mail *m, bool failure)
{
    if (w->generations.current->flow_settings.bounce_route == POLICY_NONE)
        return SPAN_EMPTY;
    if (m->sender.length > 0)
        return mail_span(m, m->sender);
    bool double_bounce = failure && settings(w)->double_bounce && !(m->flags & MAIL_DOUBLE_BOUNCE);
    return double_bounce ? settings(w)->postmaster : SPAN_EMPTY;
}

/* The host's name out of "host[address]:port". */
static struct span host_of_relay(struct span relay)
{
    size_t n = 0;
    while (n < relay.n && relay.p[n] != '[')
        n++;
    return span_head(relay, n);
}

/* Mail for a route that demands TLS goes back whole only over one that does too, and what asked for
 * REQUIRETLS never does (RFC 8689 5). */
static bool secret(const struct worker *w, const struct mail *m, const struct recipient *r)
{
    const struct generation *g = w->generations.current;
    uint32_t route = policy_find_route(&g->policy, mail_span(m, r->route));
    uint32_t back = g->flow_settings.bounce_route;
    bool demanded = route == POLICY_NONE || policy_route(&g->policy, route).tls_require;
    if (m->flags & MAIL_REQUIRETLS)
        return true;
    return r->route.length > 0 && demanded && !policy_route(&g->policy, back).tls_require;
}

/* Nobody refused it for good: its time was over. */
static bool is_expired(const struct recipient *r)
{
    return r->status[0] == '4';
}

static void add(const struct worker *w, struct notice *n, const struct recipient *r,
                enum dsn_action action, int64_t last_attempt)
{
    const struct mail *m = n->about;
    n->list[n->count++] = (struct dsn_recipient){
        .address = mail_span(m, r->address),
        .original = mail_span(m, r->original),
        .orcpt = mail_span(m, r->orcpt),
        .action = action,
        .status = action == DSN_RELAYED ? SPAN_EMPTY : span_str(r->status),
        .expired = action == DSN_FAILED && is_expired(r),
        .diagnostic = mail_span(m, r->reply),
        .remote_reply = r->remote,
        .remote_mta = host_of_relay(mail_span(m, r->relay)),
        .last_attempt = last_attempt,
        .will_retry_until = r->expires > 0 ? r->expires : m->expires,
    };
    n->secret = n->secret || secret(w, m, r);
    n->urgent = n->urgent || r->priority == PRIORITY_HIGH;
}

/* ---- composing -------------------------------------------------------------------------- */

static bool return_full(const struct worker *w, const struct notice *n)
{
    const struct mail *m = n->about;
    bool failed = false; /* RFC 3461 4.3: RET is for failures */
    for (unsigned i = 0; i < n->count; i++)
        failed = failed || n->list[i].action == DSN_FAILED;
    if (!failed || n->secret || m->size > LIMIT_DSN_CONTENT || (m->flags & MAIL_BINARY))
        return false;
    if (m->flags & (MAIL_RET_FULL | MAIL_RET_HDRS))
        return m->flags & MAIL_RET_FULL;
    return settings(w)->return_full;
}

/* The original's content, as far as the buffer goes; none when the spool can't give it. */
static struct span original(struct worker *w, struct mail *m, unsigned char *out, size_t n)
{
    if (m->flags & MAIL_LARGE) {
        ssize_t got = spool_read(w->spool, &m->ref, 0, out, n);
        return span_of(out, got > 0 ? (size_t)got : 0);
    }
    if (mail_load(w, m) != 0)
        return SPAN_EMPTY;
    return span_of(out, chain_copy(&m->content, 0, out, n));
}

static bool compose(struct worker *w, const struct notice *n, struct mail *notice)
{
    static unsigned char content[LIMIT_DSN_CONTENT];
    static unsigned char text[LIMIT_DSN];
    struct mail *m = n->about;
    char id[QUEUE_ID_TEXT + 1];
    struct dsn_output out = {.p = text, .capacity = sizeof text};
    struct dsn in = {
        .hostname = w->generations.current->settings.hostname,
        .from = settings(w)->from,
        .queue_id = span_of(id, QUEUE_ID_TEXT),
        .envid = mail_span(m, m->envid),
        .arrival = m->arrival / 1000000,
        .sender = n->to,
        .now = w->wall / 1000000,
        .languages = settings(w)->languages,
        .language_count = settings(w)->language_count,
        .utf8 = m->flags & MAIL_UTF8,
        .recipients = n->list,
        .recipient_count = n->count,
        .content = original(w, m, content, sizeof content),
    };
    queue_id_format(m->id, id);
    in.whole = return_full(w, n) && in.content.n == m->size;
    if (getrandom(&in.seed, sizeof in.seed, 0) != sizeof in.seed || !dsn_compose(&in, &out))
        return false;
    notice->size = out.n;
    notice->flags = MAIL_BOUNCE | MAIL_DOT_LINES /* the original may have such */ |
                    (out.eight_bit ? MAIL_EIGHT_BIT : 0u) | (out.utf8 ? MAIL_UTF8 : 0u) |
                    (m->sender.length == 0 ? MAIL_DOUBLE_BOUNCE : 0u);
    return chain_append(&w->chunks, &notice->content, span_of(text, out.n));
}

/* The mail's other way: a notification runs no rules, so that no loop can come of it. */
static bool address_notice(struct worker *w, const struct notice *n, struct mail *notice)
{
    struct generation *g = w->generations.current;
    struct recipient *r = mail_add_recipient(notice);
    struct span route = policy_route(&g->policy, g->flow_settings.bounce_route).name;
    notice->id = spool_queue_id(w->spool, (uint64_t)w->wall);
    notice->arrival = w->wall;
    notice->expires = w->wall / 1000000 + g->settings.lifetime;
    if (!r || !mail_put(notice, n->to, &r->address) || !mail_put(notice, route, &r->route) ||
        !mail_put(notice, SPAN_LIT("bounce"), &r->rule))
        return false;
    r->notify = DSN_NOTIFY_NEVER; /* RFC 3461 6.1 */
    r->priority = n->urgent ? PRIORITY_HIGH : PRIORITY_NORMAL;
    return true;
}

/* The notification as a mail that is ready for its commit, or NULL: no memory. */
static struct mail *make(struct worker *w, const struct notice *n)
{
    struct mail *notice = mail_new(w);
    if (notice && (!address_notice(w, n, notice) || !compose(w, n, notice))) {
        mail_free(w, notice);
        return NULL;
    }
    return notice;
}

/* ---- final outcomes --------------------------------------------------------------------- */

/* The delivery's recipients that one notification names, and those of whom nobody is told: from now
 * on reported. False: there are none to name. */
static bool report(struct worker *w, struct delivery *d, struct notice *n)
{
    struct mail *m = d->mail;
    bool failure = false;
    for (uint32_t i = 0; i < m->recipient_count && n->count < LIMIT_DSN_RECIPIENTS; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery != d)
            continue;
        enum dsn_action action = is_failure(r) ? DSN_FAILED : DSN_RELAYED;
        r->outcome = action == DSN_FAILED ? OUTCOME_REPORTED : OUTCOME_CONFIRMED;
        if (addressee(w, m, action == DSN_FAILED).n == 0 || !asked(m, r, action))
            continue;
        add(w, n, r, action, d->attempted ? w->wall / 1000000 : 0);
        failure = failure || action == DSN_FAILED;
    }
    n->to = addressee(w, m, failure);
    return n->count > 0;
}

static void try_later(struct worker *w, struct delivery *d)
{
    if (!timer_arm(&w->timers, &d->timer, w->now + LIMIT_BOUNCE_RETRY_MICROSECONDS))
        BUG_ON(true);
}

static void log_told(const struct mail *m, const struct recipient *r, struct span notice)
{
    mail_log(m, is_failure(r) ? LOG_NOTICE : LOG_INFO, is_failure(r) ? "bounced" : "relayed");
    log_span("sender", mail_span(m, m->sender));
    log_span("recipient", mail_span(m, r->address));
    log_span("route", mail_span(m, r->route));
    log_span("rule", mail_span(m, r->rule));
    log_span("relay", mail_span(m, r->relay));
    if (is_failure(r)) {
        log_text("status", is_expired(r) ? "4.4.7" : r->status);
        log_span("reason", mail_span(m, r->reply));
    }
    log_span("notification", notice);
    log_end();
}

/* Logs and counts those whose outcome is told (or need not be). */
static void settle_reported(struct worker *w, const struct delivery *d, struct span notice)
{
    const struct mail *m = d->mail;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        if (r->delivery != d || (r->outcome != OUTCOME_REPORTED && r->outcome != OUTCOME_CONFIRMED))
            continue;
        log_told(m, r, notice);
        if (is_failure(r))
            counter_add(w->counters, COUNTER_deliveries_failed, 1);
    }
}

void bounce_begin(struct worker *w, struct delivery *d)
{
    struct notice n = {.about = d->mail};
    if (d->bouncing)
        return;
    if (!report(w, d, &n)) {
        settle_reported(w, d, SPAN_EMPTY);
        queue_bounced(w, d);
        return;
    }
    struct mail *notice = make(w, &n);
    if (!notice) {
        try_later(w, d);
        return;
    }
    d->bouncing = true;
    notice->bounced = d;
    commit_add(w, notice);
}

/* ---- delays ----------------------------------------------------------------------------- */

/* How many of the policy's times are over for the mail. */
static uint8_t times_over(const struct worker *w, const struct mail *m)
{
    const struct policy_notifications *s = settings(w);
    int64_t waited = (w->wall - m->arrival) / 1000000;
    uint8_t n = 0;
    while (n < s->delay_count && waited >= s->delay_after[n])
        n++;
    return n;
}

/* What the notification names is told, or is not (ok). The spool hears of it, so that a restart
 * repeats none. */
static void note_told(struct worker *w, struct mail *m, struct span notice, bool ok)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->notices_due == 0)
            continue;
        if (ok && r->delivery) {
            r->notices = r->notices_due;
            (void)recipient_note_deferral(w, m, i); /* else a restart may repeat it */
            mail_log(m, LOG_INFO, "delay told");
            log_span("recipient", mail_span(m, r->address));
            log_span("notification", notice);
            log_end();
        }
        r->notices_due = 0;
    }
}

void bounce_delayed(struct worker *w, struct mail *m)
{
    struct notice n = {.about = m, .to = addressee(w, m, false)};
    uint8_t due = times_over(w, m);
    if (due == 0 || n.to.n == 0 || m->delay_notice)
        return;
    for (uint32_t i = 0; i < m->recipient_count && n.count < LIMIT_DSN_RECIPIENTS; i++) {
        struct recipient *r = &m->recipients[i];
        if (r->delivery && r->state == RECIPIENT_DEFERRED && r->outcome == OUTCOME_NONE &&
            r->notices < due && asked(m, r, DSN_DELAYED)) {
            add(w, &n, r, DSN_DELAYED, 0);
            r->notices_due = due;
        }
    }
    struct mail *notice = n.count > 0 ? make(w, &n) : NULL;
    if (!notice) { /* no memory: the next deferral comes here again */
        note_told(w, m, SPAN_EMPTY, false);
        return;
    }
    m->delay_notice = true;
    mail_hold(w, m);
    notice->delayed = m;
    commit_add(w, notice);
}

static void delay_committed(struct worker *w, struct mail *notice, bool ok)
{
    struct mail *m = notice->delayed;
    char id[QUEUE_ID_TEXT + 1];
    notice->delayed = NULL;
    m->delay_notice = false;
    queue_id_format(notice->id, id);
    note_told(w, m, span_of(id, QUEUE_ID_TEXT), ok);
    if (ok) {
        counter_add(w->counters, COUNTER_bounces_sent, 1);
        queue_take(w, notice);
        bounce_delayed(w, m); /* more than one notification names */
    } else {
        mail_free(w, notice);
    }
    mail_let_go(w, m);
}

/* ---- the commit ------------------------------------------------------------------------- */

void bounce_committed(struct worker *w, struct mail *notice, bool ok)
{
    CRASH_POINT(NOTICE_COMMITTED);
    struct delivery *d = notice->bounced;
    char id[QUEUE_ID_TEXT + 1];
    if (notice->delayed) {
        delay_committed(w, notice, ok);
        return;
    }
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
