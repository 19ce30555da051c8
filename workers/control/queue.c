/*
 * "queue-list" and what else is done to queued mails: worker after worker, each by queue id, a step
 * at a time. The next step is asked for when the client has taken what the one before gave, so a
 * slow client costs nothing but time; a client that goes away stops it.
 */
#include "workers/control/control.h"
#include "engine/spool/queue_id.h"
#include "base64.h"
#include "queue_action.h"
#include <stdlib.h>

enum { PROGRESS = 1000000 }; /* microseconds between two lines of progress */

/* What the client asked for, and the page of the step that was answered last. */
struct control_walk {
    struct ipc_message request; /* spans point into text and ids */
    unsigned char ids[LIMIT_QUEUE_IDS * sizeof(uint64_t)];
    size_t text_n;
    unsigned char text[LIMIT_ADMIN_REQUEST];
    char flow[LIMIT_NAME + 1]; /* only its workers; "": all */
    uint64_t last;             /* id listed last of this worker */
    uint64_t recipients, busy;
    uint64_t told; /* when progress was */
    unsigned idle; /* steps that came to nothing, one after the other */
    bool content;  /* of each mail listed, too: */
    bool piece;    /* … the next piece of it is to be asked for */
    uint64_t offset;
    struct msg_reader unlisted;
    unsigned char page[LIMIT_QUEUE_PAGE];
};

/* ---- the request ------------------------------------------------------------------------ */

static const char *const commands[] = {
#define X(NAME, command, done) [QUEUE_##NAME] = "queue-" command,
    QUEUE_ACTIONS(X)
#undef X
};

static const char *const done_texts[] = {
#define X(NAME, command, done) [QUEUE_##NAME] = done,
    QUEUE_ACTIONS(X)
#undef X
};

static unsigned action_of(const char *command)
{
    unsigned action = 0;
    while (action < QUEUE_ACTION_COUNT && strcmp(commands[action], command) != 0)
        action++;
    return action;
}

/* Copies the value of a key; empty without it. */
static struct span text_of(struct control_walk *walk, json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    size_t n = json_string_length(value);
    if (!value || n > sizeof walk->text - walk->text_n)
        return SPAN_EMPTY;
    unsigned char *p = walk->text + walk->text_n;
    memcpy(p, json_string_value(value), n);
    walk->text_n += n;
    return span_of(p, n);
}

static uint64_t number_or(json_t *object, const char *key, uint64_t otherwise)
{
    json_t *value = json_object_get(object, key);
    return value ? (uint64_t)json_integer_value(value) : otherwise;
}

/* Why not, or NULL. */
static const char *take_ids(struct control_walk *walk, json_t *list)
{
    size_t i;
    json_t *one;
    size_t n = 0;
    json_array_foreach(list, i, one)
    {
        uint64_t id;
        const char *text = json_string_value(one);
        if (i == LIMIT_QUEUE_IDS)
            return "too many queue ids at once";
        if (!text || !queue_id_parse(span_str(text), &id))
            return "\"ids\" holds what is no queue id";
        memcpy(walk->ids + n, &id, sizeof id);
        n += sizeof id;
    }
    walk->request.queue_request.ids = span_of(walk->ids, n);
    return list && n == 0 ? "\"ids\" is empty" : NULL;
}

static const char *take_request(struct control_walk *walk, unsigned action, json_t *object,
                                uint64_t wall)
{
    struct msg_queue_request *q = &walk->request.queue_request;
    walk->request.kind = MSG_queue_request;
    q->action = (uint8_t)action;
    q->dry_run = json_is_true(json_object_get(object, "dry_run"));
    q->sender = text_of(walk, object, "sender");
    q->recipient = text_of(walk, object, "recipient");
    q->route = text_of(walk, object, "route");
    q->reason = text_of(walk, object, "reason");
    q->target = text_of(walk, object, "to");
    /* Ages are of now: what comes during the walk is younger. */
    uint64_t older = number_or(object, "older", 0) * 1000000;
    uint64_t younger = number_or(object, "younger", wall / 1000000) * 1000000;
    q->arrived_to = older < wall ? wall - older : 0;
    q->arrived_from = younger < wall ? wall - younger : 0;
    if ((action == QUEUE_LIST || json_object_get(object, "ids")) && older == 0)
        q->arrived_to = UINT64_MAX;
    q->size_min = number_or(object, "larger", 0);
    q->size_max = number_or(object, "smaller", UINT64_MAX);
    struct span flow = text_of(walk, object, "flow");
    if (flow.n > LIMIT_NAME || q->route.n > LIMIT_NAME || q->sender.n > LIMIT_ADDRESS ||
        q->recipient.n > LIMIT_ADDRESS || q->reason.n > LIMIT_REASON || q->target.n > LIMIT_ADDRESS)
        return "a text is too long";
    memcpy(walk->flow, flow.p, flow.n);
    if ((action == QUEUE_REDIRECT) != (q->target.n > 0))
        return action == QUEUE_REDIRECT ? "\"to\" is missing: a route's name, or an address"
                                        : "\"to\" goes with queue-redirect alone";
    return take_ids(walk, json_object_get(object, "ids"));
}

void queue_begin(struct control *control, struct control_client *client, json_t *object)
{
    struct control_job *job = &client->job;
    job->left = number_or(object, "limit", UINT64_MAX);
    job->walk = calloc(1, sizeof *job->walk);
    if (!job->walk) {
        client_end(client, NULL, "no memory");
        return;
    }
    /* An export is a list, with content. */
    job->walk->content = strcmp(job->request->command, "queue-export") == 0;
    unsigned action = job->walk->content ? QUEUE_LIST : action_of(job->request->command);
    const char *why = take_request(job->walk, action, object, control_wall());
    if (why) {
        client_end(client, NULL, why);
        return;
    }
    /* Which workers there are: one that a reload took away has no queue that could be missed. */
    struct ipc_message m = {.kind = MSG_roles_request};
    why =
        control_ask(control, client, CONTROL_MASTER, &m, &m.roles_request.id, LIMIT_ADMIN_SECONDS);
    if (why)
        request_unanswered(control, client, CONTROL_MASTER, why);
}

/* ---- workers ---------------------------------------------------------------------------- */

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
    job->walk->piece = false;
    job->walk->last = 0;
    job->walk->unlisted = (struct msg_reader){.in = SPAN_EMPTY};
}

static void worker_lost(struct control *control, struct control_client *client, const char *why)
{
    request_unanswered(control, client, (int)client->job.worker, why);
    next_worker(&client->job);
}

void queue_lost(struct control *control, struct control_client *client, int whom, const char *why)
{
    if (whom == CONTROL_MASTER)
        request_unanswered(control, client, CONTROL_MASTER, why);
    else
        worker_lost(control, client, why);
}

/* ---- answers ---------------------------------------------------------------------------- */

static bool lists(const struct control_job *job)
{
    return job->walk->request.queue_request.action == QUEUE_LIST;
}

/* A line for each piece; the last one has "last", or "error". */
static void take_content(struct control_client *client, const struct msg_content_result *r)
{
    struct control_walk *walk = client->job.walk;
    static char text[BASE64_LENGTH(LIMIT_CONTENT)];
    char id[QUEUE_ID_TEXT + 1];
    queue_id_format(walk->last, id);
    size_t n = base64_encode(r->bytes, text);
    json_t *line = json_pack("{s:s, s:s, s:s%, s:b}", "type", "content", "queue_id", id, "data",
                             text, n, "last", r->bytes.n == 0);
    if (r->refused.n > 0)
        (void)json_object_set_new(line, "error", json_of_span(r->refused));
    client_line(client, line);
    walk->offset += r->bytes.n;
    walk->piece = r->bytes.n > 0 && r->refused.n == 0;
}

static void ask_for_content(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    struct ipc_message m = {.kind = MSG_content_request};
    m.content_request.mail = job->walk->last;
    m.content_request.offset = job->walk->offset;
    const char *why = control_ask(control, client, (int)job->worker, &m, &m.content_request.id,
                                  LIMIT_ADMIN_SECONDS);
    if (why)
        worker_lost(control, client, why);
}

void queue_answer(struct control *control, struct control_client *client,
                  const struct ipc_message *m)
{
    struct control_job *job = &client->job;
    struct control_walk *walk = job->walk;
    const struct msg_queue_result *r = &m->queue_result;
    if (m->kind == MSG_content_result) {
        take_content(client, &m->content_result);
        return;
    }
    if (m->kind == MSG_roles_result) {
        sort_out(control, m->roles_result.roles);
        return;
    }
    if (r->refused.n > 0) {
        char why[LIMIT_REASON + 1];
        worker_lost(control, client, refusal_text(r->refused, why));
        return;
    }
    BUG_ON(r->mails.n > LIMIT_QUEUE_PAGE);
    memcpy(walk->page, r->mails.p, r->mails.n);
    walk->unlisted = (struct msg_reader){.in = span_of(walk->page, r->mails.n)};
    job->page_more = r->more != 0;
    /* A batch of the spool that is full lets a step come to nothing, but not for ever. */
    walk->idle = r->next > job->after ? 0 : walk->idle + 1;
    if (job->page_more && (r->next < job->after || walk->idle > LIMIT_ADMIN_IDLE_STEPS)) {
        worker_lost(control, client, "it says that there is more and goes on with nothing");
        return;
    }
    job->after = r->next;
    if (!lists(job)) {
        job->mails += r->matched;
        job->left -= r->matched < job->left ? r->matched : job->left;
    }
    walk->recipients += r->recipients;
    walk->busy += r->busy;
    if (r->mails.n == 0 && !job->page_more)
        next_worker(job);
}

/* Lists what is on the page while the client's batch has room. */
static void list_page(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    struct control_walk *walk = job->walk;
    const struct control_worker *worker = &control->workers[job->worker];
    while (walk->unlisted.in.n > 0 && job->left > 0 &&
           client->out_n - client->out_sent < LIMIT_ADMIN_BATCH) {
        json_t *mail = page_take_mail(worker, &walk->unlisted, &walk->last);
        if (walk->unlisted.bad) {
            worker_lost(control, client, "its list of mails is malformed");
            return;
        }
        client_line(client, mail);
        job->mails++;
        job->left--;
        walk->offset = 0;
        walk->piece = walk->content;
        if (walk->content)
            return;
    }
    if (job->left == 0 && (walk->unlisted.in.n > 0 || job->page_more))
        job->more = true;
    else if (walk->unlisted.in.n == 0 && !job->page_more)
        next_worker(job);
}

static void ask_for_step(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    struct ipc_message m = job->walk->request;
    m.queue_request.after = job->after;
    uint64_t most = lists(job) ? LIMIT_ADMIN_PAGE : UINT16_MAX;
    m.queue_request.count = (uint16_t)(job->left < most ? job->left : most);
    const char *why = control_ask(control, client, (int)job->worker, &m, &m.queue_request.id,
                                  LIMIT_ADMIN_SECONDS);
    if (why)
        worker_lost(control, client, why);
}

static void tell_progress(struct control *control, struct control_client *client)
{
    struct control_walk *walk = client->job.walk;
    if (lists(&client->job) || control->now - walk->told < PROGRESS)
        return;
    if (walk->told > 0)
        client_line(client, json_pack("{s:s, s:I, s:I}", "type", "progress", "mails",
                                      (json_int_t)client->job.mails, "recipients",
                                      (json_int_t)walk->recipients));
    walk->told = control->now;
}

/* Not one of those that are meant, or gone for good. */
static bool passed_over(const struct control *control, const struct control_job *job)
{
    const struct control_worker *worker = &control->workers[job->worker];
    return worker->dropped ||
           (job->walk->flow[0] != '\0' && strcmp(worker->flow, job->walk->flow) != 0);
}

void queue_proceed(struct control *control, struct control_client *client)
{
    struct control_job *job = &client->job;
    while (job->awaited == CONTROL_NOBODY && job->worker < control->worker_count &&
           (job->left > 0 || job->walk->piece)) {
        if (client->out_n - client->out_sent >= LIMIT_ADMIN_BATCH)
            return;
        if (job->walk->piece)
            ask_for_content(control, client);
        else if (passed_over(control, job))
            next_worker(job);
        else if (job->walk->unlisted.in.n > 0)
            list_page(control, client);
        else
            ask_for_step(control, client);
    }
    tell_progress(control, client);
    if (job->awaited != CONTROL_NOBODY)
        return;
    bool more = job->more || job->worker < control->worker_count;
    const struct msg_queue_request *q = &job->walk->request.queue_request;
    json_t *end = json_pack("{s:I, s:b, s:b}", "mails", (json_int_t)job->mails, "more", more,
                            "complete", !job->incomplete);
    /* Of a list: those that could not be read. */
    (void)json_object_set_new(end, "busy", json_integer((json_int_t)job->walk->busy));
    if (!lists(job)) {
        (void)json_object_set_new(end, "recipients",
                                  json_integer((json_int_t)job->walk->recipients));
        (void)json_object_set_new(end, "done", json_string(done_texts[q->action]));
        (void)json_object_set_new(end, "dry_run", json_boolean(q->dry_run));
    }
    client_end(client, end, NULL);
}

void queue_free(struct control_walk *walk)
{
    free(walk);
}
