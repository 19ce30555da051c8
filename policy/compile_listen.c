/* Listening addresses: plain, or with what holds for that one alone. */
#include "policy/compile_internal.h"

static void read_address(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    struct rec_listener *l = draft;
    struct span s;
    if (!value_string(c, at, value, 0, LIMIT_ADDRESS_TEXT, &s) ||
        !name_endpoint(c, at, s, false, 0, &l->endpoint))
        return;
    for (uint32_t i = 0; i < compile_count(c, POLICY_LISTENERS); i++) {
        const struct rec_listener *other = compile_record(c, POLICY_LISTENERS, i);
        if (other->endpoint.family != l->endpoint.family ||
            other->endpoint.port != l->endpoint.port ||
            memcmp(other->endpoint.address, l->endpoint.address, sizeof l->endpoint.address) != 0)
            continue;
        compile_remedy(
            compile_error(c, at, "\"%.*s\" is listened on already", (int)s.n, (const char *)s.p),
            "give each address and port to one flow, once");
        return;
    }
}

static void read_proxy_from(struct compiler *c, const struct place *at, const json_t *value,
                            void *draft)
{
    struct rec_listener *l = draft;
    l->proxies = read_networks(c, at, value);
}

static void read_greeting_delay(struct compiler *c, const struct place *at, const json_t *value,
                                void *draft)
{
    struct rec_listener *l = draft;
    uint64_t n;
    if (value_duration(c, at, value, 1, LIMIT_GREETING_DELAY_MAX, &n))
        l->greeting_delay = (uint32_t)n;
}

static const struct key listener_table[] = {
    {"address", KEY_REQUIRED, read_address},
    {"proxy_from", KEY_OPTIONAL, read_proxy_from},
    {"greeting_delay", KEY_OPTIONAL, read_greeting_delay},
};
KEY_SET(listener_keys, "listener", listener_table);

static void read_listener(struct compiler *c, const struct place *at, const json_t *value)
{
    struct rec_listener l = {.endpoint.family = 0};
    if (json_is_object(value))
        compile_object(c, at, value, &listener_keys, &l);
    else
        read_address(c, at, value, &l);
    (void)compile_append(c, at, POLICY_LISTENERS, &l);
}

struct policy_range read_listen(struct compiler *c, const struct place *at, const json_t *value)
{
    uint32_t first = compile_count(c, POLICY_LISTENERS);
    if (!json_is_array(value))
        read_listener(c, at, value);
    else if (json_array_size(value) == 0)
        compile_remedy(compile_error(c, at, "an empty list"), "name at least one");
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct place place = {.up = at, .in = value, .index = i};
        read_listener(c, &place, json_array_get(value, i));
    }
    return compile_range(c, POLICY_LISTENERS, first);
}
