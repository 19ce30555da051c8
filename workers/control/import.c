/*
 * "import-begin", "import-data", "import-end": a mail of another node, for a worker of its flow.
 * Each is a request of its own; the answer to the first names worker and number for the others.
 */
#include "workers/control/control.h"
#include "base64.h"
#include "engine/spool/queue_id.h"
#include "priority.h"
#include "recipient_state.h"

static struct span text_of(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return value && json_is_string(value)
               ? span_of(json_string_value(value), json_string_length(value))
               : SPAN_EMPTY;
}

static uint64_t number_of(json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return n > 0 ? (uint64_t)n : 0;
}

static uint8_t priority_of(json_t *recipient)
{
    struct span text = text_of(recipient, "priority");
    for (unsigned i = 0; i < PRIORITY_COUNT; i++)
        if (span_eq(text, span_str(priority_word(i))))
            return (uint8_t)i;
    return PRIORITY_NORMAL;
}

/* False: more than fits a message. *expires: the latest. */
static bool put_recipients(json_t *list, struct msg_writer *out, uint64_t *expires, bool *held)
{
    size_t i;
    json_t *r;
    msg_put_u16(out, (uint16_t)json_array_size(list));
    *held = json_array_size(list) > 0;
    json_array_foreach(list, i, r)
    {
        msg_put_span(out, text_of(r, "address"));
        msg_put_span(out, text_of(r, "original"));
        msg_put_span(out, text_of(r, "route"));
        msg_put_span(out, text_of(r, "rule"));
        msg_put_span(out, text_of(r, "orcpt"));
        msg_put_span(out, text_of(r, "edits"));
        msg_put_u64(out, number_of(r, "expires"));
        msg_put_u8(out, (uint8_t)number_of(r, "notify"));
        msg_put_u8(out, priority_of(r));
        msg_put_u32(out, (uint32_t)number_of(r, "attempts"));
        msg_put_u64(out, number_of(r, "next_attempt"));
        if (number_of(r, "expires") > *expires)
            *expires = number_of(r, "expires");
        *held &= span_eq(text_of(r, "state"), span_str(recipient_state_text(RECIPIENT_HELD)));
    }
    return !out->overflow && json_array_size(list) <= UINT16_MAX;
}

/* The flow's worker whose turn it is; CONTROL_NOBODY when none runs. */
static int choose_worker(const struct control *control, struct span flow)
{
    for (unsigned i = 0; i < control->worker_count; i++) {
        unsigned n = (unsigned)(control->last_id + i) % control->worker_count;
        if (control->workers[n].fd >= 0 && span_eq(span_str(control->workers[n].flow), flow))
            return (int)n;
    }
    return CONTROL_NOBODY;
}

static void ask(struct control *control, struct control_client *client, int worker,
                struct ipc_message *m, uint64_t *id)
{
    client->job.worker = (unsigned)worker;
    const char *why = control_ask(control, client, worker, m, id, LIMIT_ADMIN_RELOAD_SECONDS);
    if (why)
        client_end(client, NULL, why);
}

void import_begin_begin(struct control *control, struct control_client *client, json_t *object)
{
    static unsigned char recipients[LIMIT_QUEUE_PAGE];
    struct msg_writer out = {.p = recipients, .capacity = sizeof recipients};
    json_t *mail = json_object_get(object, "mail");
    struct ipc_message m = {.kind = MSG_import_begin};
    uint64_t from = 0, expires = 0;
    bool held;
    int worker = choose_worker(control, text_of(mail, "flow"));
    (void)queue_id_parse(text_of(mail, "queue_id"), &from);
    if (worker == CONTROL_NOBODY) {
        client_end(client, NULL, "no worker of the mail's flow runs here");
        return;
    }
    if (!put_recipients(json_object_get(mail, "recipients"), &out, &expires, &held)) {
        client_end(client, NULL, "the envelope is too large");
        return;
    }
    m.import_begin = (struct msg_import_begin){
        .from = from,
        .arrival = number_of(mail, "arrival_time") * 1000000,
        .expires = expires,
        .flags = (uint32_t)number_of(mail, "flags"),
        .held = held,
        .sender = span_head(text_of(mail, "sender"), LIMIT_ADDRESS),
        .envid = span_head(text_of(mail, "envid"), LIMIT_ENVID),
        .client = span_head(text_of(mail, "client"), LIMIT_REASON),
        .helo = span_head(text_of(mail, "helo"), LIMIT_DOMAIN),
        .tls = span_head(text_of(mail, "tls"), LIMIT_REASON),
        .recipients = span_of(recipients, out.n),
    };
    ask(control, client, worker, &m, &m.import_begin.id);
}

/* The worker that a later request names; CONTROL_NOBODY, and the client told, when it is none. */
static int named_worker(const struct control *control, struct control_client *client,
                        json_t *object)
{
    uint64_t worker = number_of(object, "worker");
    if (worker > 0 && worker <= control->worker_count)
        return (int)worker - 1;
    client_end(client, NULL, "no such worker");
    return CONTROL_NOBODY;
}

void import_data_begin(struct control *control, struct control_client *client, json_t *object)
{
    static unsigned char bytes[LIMIT_CONTENT];
    struct ipc_message m = {.kind = MSG_import_data};
    struct span data = text_of(object, "data");
    size_t n;
    int worker = named_worker(control, client, object);
    if (worker == CONTROL_NOBODY)
        return;
    if (data.n > BASE64_LENGTH(LIMIT_CONTENT) || !base64_decode(data, bytes, &n)) {
        client_end(client, NULL, "\"data\" is no base64, or too much");
        return;
    }
    m.import_data = (struct msg_import_data){.number = (uint32_t)number_of(object, "number"),
                                             .bytes = span_of(bytes, n)};
    ask(control, client, worker, &m, &m.import_data.id);
}

void import_end_begin(struct control *control, struct control_client *client, json_t *object)
{
    struct ipc_message m = {.kind = MSG_import_end};
    int worker = named_worker(control, client, object);
    if (worker == CONTROL_NOBODY)
        return;
    m.import_end = (struct msg_import_end){.number = (uint32_t)number_of(object, "number")};
    ask(control, client, worker, &m, &m.import_end.id);
}

void import_begin_answer(struct control *control, struct control_client *client,
                         const struct ipc_message *m)
{
    const struct msg_import_result *r = &m->import_result;
    char why[LIMIT_REASON + 1], id[QUEUE_ID_TEXT + 1];
    (void)control;
    queue_id_format(r->mail, id);
    client_end(client,
               json_pack("{s:I, s:I, s:s}", "worker", (json_int_t)client->job.worker + 1, "number",
                         (json_int_t)r->number, "queue_id", r->mail > 0 ? id : ""),
               r->refused.n > 0 ? refusal_text(r->refused, why) : NULL);
}

void import_data_answer(struct control *control, struct control_client *client,
                        const struct ipc_message *m)
{
    import_begin_answer(control, client, m);
}

void import_end_answer(struct control *control, struct control_client *client,
                       const struct ipc_message *m)
{
    import_begin_answer(control, client, m);
}

void import_begin_lost(struct control *control, struct control_client *client, int whom,
                       const char *why)
{
    (void)control;
    (void)whom;
    client_end(client, NULL, why);
}

void import_data_lost(struct control *control, struct control_client *client, int whom,
                      const char *why)
{
    import_begin_lost(control, client, whom, why);
}

void import_end_lost(struct control *control, struct control_client *client, int whom,
                     const char *why)
{
    import_begin_lost(control, client, whom, why);
}
