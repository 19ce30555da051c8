/*
 * "queue-list": worker after worker, each by queue id, a page at a time. The next page is asked for
 * when the client has taken what the one before gave, so a slow client costs nothing but time.
 */
#include "workers/control/control.h"
#include "engine/spool/queue_id.h"
#include "recipient_state.h"
#include <stdlib.h>

void queue_list_begin(struct control *control, struct control_client *client, uint64_t limit)
{
    struct control_job *job = &client->job;
    job->left = limit > 0 ? limit : UINT64_MAX;
    job->page = malloc(LIMIT_QUEUE_PAGE);
    if (!job->page) {
        client_end(client, NULL, "no memory");
        return;
    }
    /* Which workers there are: one that a reload took away has no queue that could be missed. */
    struct ipc_message m = {.kind = MSG_roles_request};
    const char *why =
        control_ask(control, client, CONTROL_MASTER, &m, &m.roles_request.id, LIMIT_ADMIN_SECONDS);
    if (why)
        request_unanswered(control, client, CONTROL_MASTER, why);
}

/* Marks the workers that are gone for good. A worker whose channel is open is there, whatever the
 * list says: its answer is better than the master's. */
static void sort_out(struct control *control, struct span roles)
{
    for (unsigned i = 0; i < control->worker_count; i++) {
        struct control_worker *worker = &control->workers[i];
        worker->dropped = worker->fd < 0 && !roles_have_worker(roles, worker);
    }
}

static void next_worker(struct control_job *job)
{
    job->worker++;
    job->after = 0;
    job->page_more = false;
    job->unlisted = (struct msg_reader){.in = SPAN_EMPTY};
}

static void worker_lost(struct control *control, struct control_client *client, const char *why)
{
    request_unanswered(control, client, (int)client->job.worker, why);
    next_worker(&client->job);
}

void queue_list_lost(struct control *control, struct control_client *client, int whom,
                     const char *why)
{
    if (whom == CONTROL_MASTER)
        request_unanswered(control, client, CONTROL_MASTER, why);
    else
        worker_lost(control, client, why);
}

void queue_list_answer(struct control *control, struct control_client *client,
                       const struct ipc_message *m)
{
    struct control_job *job = &client->job;
    if (m->kind == MSG_roles_result) {
        sort_out(control, m->roles_result.roles);
        return;
    }
    struct span mails = m->queue_result.mails;
    BUG_ON(mails.n > LIMIT_QUEUE_PAGE);
    memcpy(job->page, mails.p, mails.n);
    job->unlisted = (struct msg_reader){.in = span_of(job->page, mails.n)};
    job->page_more = m->queue_result.more != 0;
    if (mails.n == 0 && job->page_more) {
        worker_lost(control, client, "it says that there is more and sends nothing");
        return;
    }
    if (mails.n == 0)
        next_worker(job);
}

static json_t *take_recipient(struct msg_reader *r, unsigned *state)
{
    struct span address = msg_get_span(r, LIMIT_QUEUE_PAGE);
    struct span route = msg_get_span(r, LIMIT_NAME);
    struct span rule = msg_get_span(r, LIMIT_QUEUE_PAGE);
    *state = msg_get_u8(r);
    uint32_t attempts = msg_get_u32(r);
    uint64_t next = msg_get_u64(r);
    struct span reason = msg_get_span(r, LIMIT_QUEUE_PAGE);
    if (r->bad)
        return NULL;
    json_t *recipient = json_pack("{s:o, s:o, s:o, s:s, s:I}", "address", json_of_span(address),
                                  "route", json_of_span(route), "rule", json_of_span(rule), "state",
                                  recipient_state_text(*state), "attempts", (json_int_t)attempts);
    if (next > 0 && next <= INT64_MAX)
        (void)json_object_set_new(recipient, "next_attempt", json_integer((json_int_t)next));
    if (reason.n > 0)
        (void)json_object_set_new(recipient, "delay_reason", json_of_span(reason));
    return recipient;
}

/* The queue of a mail as a whole: active before deferred before incoming, as in Postfix a mail is
 * in the active queue while any of its recipients is tried. */
static unsigned mail_state(unsigned mail, unsigned recipient)
{
    static const unsigned char rank[RECIPIENT_STATE_COUNT] = {
        [RECIPIENT_QUEUED] = 1, [RECIPIENT_DEFERRED] = 2, [RECIPIENT_ACTIVE] = 3, [RECIPIENT_HELD] = 4};
    return recipient < RECIPIENT_STATE_COUNT && rank[recipient] > rank[mail] ? recipient : mail;
}

/* Takes a mail off the page; NULL when it is malformed (job->unlisted.bad) or memory is out. */
static json_t *take_mail(const struct control_worker *worker, struct control_job *job)
{
    struct msg_reader *r = &job->unlisted;
    char id_text[QUEUE_ID_TEXT + 1];
    uint64_t id = msg_get_u64(r);
    uint64_t arrival = msg_get_u64(r);
    uint64_t size = msg_get_u64(r);
    struct span sender = msg_get_span(r, LIMIT_QUEUE_PAGE);
    unsigned count = msg_get_u16(r);
    unsigned state = RECIPIENT_QUEUED;
    json_t *recipients = json_array();
    for (unsigned i = 0; i < count && !r->bad; i++) {
        unsigned one;
        (void)json_array_append_new(recipients, take_recipient(r, &one));
        state = mail_state(state, one);
    }
    /* Ascending, or the listing might never end. */
    if (id <= job->after || arrival > INT64_MAX || size > INT64_MAX)
        r->bad = true;
    if (r->bad) {
        json_decref(recipients);
        return NULL;
    }
    job->after = id;
    queue_id_format(id, id_text);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:s, s:i, s:o}", "type", "mail", "queue_name",
                     recipient_state_text(state), "queue_id", id_text, "arrival_time",
                     (json_int_t)(arrival / 1000000), "message_size", (json_int_t)size, "sender",
                     json_of_span(sender), "flow", worker->flow, "worker", (int)worker->index,
                     "recipients", recipients);
}

/* Lists what is on the page while the client's batch has room. */
static void list_page(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    const struct control_worker *worker = &control->workers[job->worker];
    while (job->unlisted.in.n > 0 && job->left > 0 &&
           client->out_n - client->out_sent < LIMIT_ADMIN_BATCH) {
        json_t *mail = take_mail(worker, job);
        if (job->unlisted.bad) {
            worker_lost(control, client, "its list of mails is malformed");
            return;
        }
        client_line(client, mail);
        job->mails++;
        job->left--;
    }
    if (job->left == 0 && (job->unlisted.in.n > 0 || job->page_more))
        job->more = true;
    else if (job->unlisted.in.n == 0 && !job->page_more)
        next_worker(job);
}

static void ask_for_page(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    struct ipc_message m = {.kind = MSG_queue_request};
    m.queue_request.after = job->after;
    m.queue_request.count = (uint16_t)(job->left < LIMIT_ADMIN_PAGE ? job->left : LIMIT_ADMIN_PAGE);
    const char *why = control_ask(control, client, (int)job->worker, &m, &m.queue_request.id,
                                  LIMIT_ADMIN_SECONDS);
    if (why)
        worker_lost(control, client, why);
}

void queue_list_proceed(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    while (job->awaited == CONTROL_NOBODY && job->worker < control->worker_count && job->left > 0) {
        if (client->out_n - client->out_sent >= LIMIT_ADMIN_BATCH)
            return;
        if (control->workers[job->worker].dropped)
            next_worker(job);
        else if (job->unlisted.in.n > 0)
            list_page(control, client);
        else
            ask_for_page(control, client);
    }
    if (job->awaited != CONTROL_NOBODY)
        return;
    bool more = job->more || job->worker < control->worker_count;
    client_end(client,
               json_pack("{s:I, s:b, s:b}", "mails", (json_int_t)job->mails, "more", more,
                         "complete", !job->incomplete),
               NULL);
}
