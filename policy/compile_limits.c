/* The policy's limits. */
#include "policy/compile_internal.h"

static void read_message_size(struct compiler *c, const struct place *at, const json_t *value,
                              void *draft)
{
    struct rec_settings *s = draft;
    (void)value_size(c, at, value, LIMIT_MESSAGE_SIZE_MIN, LIMIT_MESSAGE_SIZE_MAX,
                     &s->message_size);
}

static void read_memory(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    struct rec_settings *s = draft;
    (void)value_size(c, at, value, LIMIT_MEMORY_MIN, LIMIT_MEMORY_MAX, &s->memory);
}

static void read_sessions(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    struct rec_settings *s = draft;
    uint64_t n;
    if (value_number(c, at, value, 1, LIMIT_SESSIONS_MAX, &n))
        s->sessions = (uint32_t)n;
}

static void read_recipients(struct compiler *c, const struct place *at, const json_t *value,
                            void *draft)
{
    struct rec_settings *s = draft;
    uint64_t n;
    if (value_number(c, at, value, LIMIT_RECIPIENTS_MIN, LIMIT_RECIPIENTS_MAX, &n))
        s->recipients = (uint32_t)n;
}

#define LIMIT(name, kind, least, usual, most)                                                      \
    static void read_##name(struct compiler *c, const struct place *at, const json_t *value,       \
                            void *draft)                                                           \
    {                                                                                              \
        struct rec_settings *s = draft;                                                            \
        uint64_t n;                                                                                \
        if (value_##kind(c, at, value, least, most, &n))                                           \
            s->limits.name = (uint32_t)n;                                                          \
    }
#include "policy/limits.def"
#undef LIMIT

static const struct key limits_table[] = {
    {"message_size", KEY_OPTIONAL, read_message_size},
    {"sessions", KEY_OPTIONAL, read_sessions},
    {"memory", KEY_OPTIONAL, read_memory},
    {"recipients", KEY_OPTIONAL, read_recipients},
#define LIMIT(name, kind, least, usual, most) {#name, KEY_OPTIONAL, read_##name},
#include "policy/limits.def"
#undef LIMIT
};
KEY_SET(limits_keys, "limits", limits_table);

const struct policy_limits usual_limits = {
#define LIMIT(name, kind, least, usual, most) .name = usual,
#include "policy/limits.def"
#undef LIMIT
};

/* No client takes all sessions of a worker, and an ordinary one does not come near: a quarter and,
 * for a network, half of them. */
static void derive(uint32_t *limit, uint32_t sessions, uint32_t part, uint32_t least)
{
    if (*limit == UINT32_MAX)
        *limit = sessions / part > least ? sessions / part : least;
}

void finish_limits(struct rec_settings *s)
{
    derive(&s->limits.client_connections, s->sessions, 4, 50);
    derive(&s->limits.network_connections, s->sessions, 2, 100);
}
