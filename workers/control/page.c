/* A page of a worker's queue (queue_result in messages.def) as JSON. */
#include "workers/control/control.h"
#include "engine/spool/queue_id.h"
#include "priority.h"
#include "recipient_state.h"

static void set_text(json_t *object, const char *key, struct span text)
{
    if (text.n > 0)
        (void)json_object_set_new(object, key, json_of_span(text));
}

static void set_number(json_t *object, const char *key, uint64_t number)
{
    if (number > 0 && number <= INT64_MAX)
        (void)json_object_set_new(object, key, json_integer((json_int_t)number));
}

static json_t *take_recipient(struct msg_reader *r, unsigned *state)
{
    struct span address = msg_get_span(r, LIMIT_QUEUE_PAGE);
    struct span route = msg_get_span(r, LIMIT_NAME);
    struct span rule = msg_get_span(r, LIMIT_QUEUE_PAGE);
    *state = msg_get_u8(r);
    uint32_t attempts = msg_get_u32(r);
    uint64_t next = msg_get_u64(r);
    uint64_t expires = msg_get_u64(r);
    unsigned notify = msg_get_u8(r);
    unsigned priority = msg_get_u8(r);
    struct span original = msg_get_span(r, LIMIT_QUEUE_PAGE);
    struct span orcpt = msg_get_span(r, LIMIT_QUEUE_PAGE);
    struct span edits = msg_get_span(r, LIMIT_QUEUE_PAGE);
    struct span reason = msg_get_span(r, LIMIT_QUEUE_PAGE);
    if (r->bad)
        return NULL;
    json_t *recipient =
        json_pack("{s:o, s:o, s:o, s:s, s:I, s:s}", "address", json_of_span(address), "route",
                  json_of_span(route), "rule", json_of_span(rule), "state",
                  recipient_state_text(*state), "attempts", (json_int_t)attempts, "priority",
                  priority_word(priority) ? priority_word(priority) : "normal");
    set_number(recipient, "next_attempt", next);
    set_number(recipient, "expires", expires);
    set_number(recipient, "notify", notify);
    set_text(recipient, "original", original);
    set_text(recipient, "orcpt", orcpt);
    set_text(recipient, "edits", edits);
    set_text(recipient, "delay_reason", reason);
    return recipient;
}

/* The queue of a mail as a whole: active before deferred before incoming, as in Postfix a mail is
 * in the active queue while any of its recipients is tried. */
static unsigned mail_state(unsigned mail, unsigned recipient)
{
    static const unsigned char rank[RECIPIENT_STATE_COUNT] = {[RECIPIENT_QUEUED] = 1,
                                                              [RECIPIENT_DEFERRED] = 2,
                                                              [RECIPIENT_ACTIVE] = 3,
                                                              [RECIPIENT_HELD] = 4};
    return recipient < RECIPIENT_STATE_COUNT && rank[recipient] > rank[mail] ? recipient : mail;
}

json_t *page_take_mail(const struct control_worker *worker, struct msg_reader *r, uint64_t *last)
{
    char id_text[QUEUE_ID_TEXT + 1];
    uint64_t id = msg_get_u64(r);
    uint64_t arrival = msg_get_u64(r);
    uint64_t size = msg_get_u64(r);
    uint32_t flags = msg_get_u32(r);
    struct span sender = msg_get_span(r, LIMIT_QUEUE_PAGE);
    struct span envid = msg_get_span(r, LIMIT_QUEUE_PAGE);
    struct span client = msg_get_span(r, LIMIT_QUEUE_PAGE);
    struct span helo = msg_get_span(r, LIMIT_QUEUE_PAGE);
    struct span tls = msg_get_span(r, LIMIT_QUEUE_PAGE);
    unsigned total = msg_get_u16(r);
    unsigned count = msg_get_u16(r);
    unsigned state = RECIPIENT_QUEUED;
    json_t *recipients = json_array();
    for (unsigned i = 0; i < count && !r->bad; i++) {
        unsigned one;
        (void)json_array_append_new(recipients, take_recipient(r, &one));
        state = mail_state(state, one);
    }
    /* Ascending, or the listing might never end. */
    if (id <= *last || arrival > INT64_MAX || size > INT64_MAX)
        r->bad = true;
    if (r->bad) {
        json_decref(recipients);
        return NULL;
    }
    *last = id;
    queue_id_format(id, id_text);
    json_t *mail =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:s, s:i, s:I, s:o}", "type", "mail",
                  "queue_name", recipient_state_text(state), "queue_id", id_text, "arrival_time",
                  (json_int_t)(arrival / 1000000), "message_size", (json_int_t)size, "sender",
                  json_of_span(sender), "flow", worker->flow, "worker", (int)worker->index,
                  "recipient_count", (json_int_t)total, "recipients", recipients);
    set_number(mail, "flags", flags);
    set_text(mail, "envid", envid);
    set_text(mail, "client", client);
    set_text(mail, "helo", helo);
    set_text(mail, "tls", tls);
    return mail;
}
