/* Scalars: strings, truths, numbers with units, paths, words. */
#include "policy/compile_internal.h"
#include <inttypes.h>
#include <stdio.h>

const char *value_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "null";
    }
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] == 0x7f || (s.p[i] == 0xc2 && i + 1 < s.n && s.p[i + 1] < 0xa0))
            return true;
    return false;
}

bool value_string(struct compiler *c, const struct place *at, const json_t *value, size_t min,
                  size_t max, struct span *out)
{
    if (!json_is_string(value)) {
        compile_remedy(compile_error(c, at, "a string is needed here, not %s", value_kind(value)),
                       "write it in double quotes");
        return false;
    }
    struct span s = span_of(json_string_value(value), json_string_length(value));
    if (s.n < min || s.n > max) {
        struct policy_diagnostic *d =
            s.n < min ? compile_error(c, at, "an empty string")
                      : compile_error(c, at, "a string of %zu bytes is too long", s.n);
        compile_remedy(d, "write %zu to %zu bytes", min, max);
        return false;
    }
    if (has_control(s)) {
        compile_remedy(compile_error(c, at, "a control character in a string"),
                       "take out line breaks, tabs and the like");
        return false;
    }
    *out = s;
    return true;
}

bool value_bool(struct compiler *c, const struct place *at, const json_t *value, uint32_t *out)
{
    if (!json_is_boolean(value)) {
        compile_remedy(
            compile_error(c, at, "true or false is needed here, not %s", value_kind(value)),
            "write true or false, without quotes");
        return false;
    }
    *out = json_is_true(value);
    return true;
}

static bool in_range(struct compiler *c, const struct place *at, uint64_t n, uint64_t min,
                     uint64_t max, const char *unit)
{
    if (n >= min && n <= max)
        return true;
    compile_remedy(compile_error(c, at, "%" PRIu64 "%s is out of range", n, unit),
                   "choose %" PRIu64 " to %" PRIu64 "%s", min, max, unit);
    return false;
}

bool value_number(struct compiler *c, const struct place *at, const json_t *value, uint64_t min,
                  uint64_t max, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        compile_remedy(compile_error(c, at, "a whole number is needed here, not %s",
                                     json_is_number(value) ? "this one" : value_kind(value)),
                       "choose %" PRIu64 " to %" PRIu64, min, max);
        return false;
    }
    uint64_t n = (uint64_t)json_integer_value(value);
    if (!in_range(c, at, n, min, max, ""))
        return false;
    *out = n;
    return true;
}

struct unit {
    char letter;
    uint64_t factor;
};

/* Digits and one letter of units. */
static bool parse_scaled(struct span s, const struct unit *units, uint64_t *out)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < s.n && ascii_digit(s.p[i]); i++) {
        if (n > UINT64_MAX / 10 - 1)
            return false;
        n = n * 10 + (uint64_t)(s.p[i] - '0');
    }
    if (i == 0 || s.n != i + 1)
        return false;
    for (; units->letter != '\0'; units++)
        if (units->letter == s.p[i])
            return !__builtin_mul_overflow(n, units->factor, out);
    return false;
}

static bool scaled(struct compiler *c, const struct place *at, const json_t *value,
                   const struct unit *units, const char *example, uint64_t range[2],
                   const char *unit_name, uint64_t *out)
{
    uint64_t n = 0;
    bool valid = false;
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        n = (uint64_t)json_integer_value(value);
        valid = true;
    } else if (json_is_string(value)) {
        valid =
            parse_scaled(span_of(json_string_value(value), json_string_length(value)), units, &n);
    }
    if (!valid) {
        compile_remedy(compile_error(c, at, "a number of%s is needed here", unit_name), "%s",
                       example);
        return false;
    }
    if (!in_range(c, at, n, range[0], range[1], unit_name))
        return false;
    *out = n;
    return true;
}

bool value_size(struct compiler *c, const struct place *at, const json_t *value, uint64_t min,
                uint64_t max, uint64_t *out)
{
    static const struct unit units[] = {
        {'K', 1ull << 10}, {'M', 1ull << 20}, {'G', 1ull << 30}, {0}};
    return scaled(c, at, value, units, "write it like \"64M\" (K, M or G), or as a number of bytes",
                  (uint64_t[2]){min, max}, " bytes", out);
}

bool value_duration(struct compiler *c, const struct place *at, const json_t *value, uint64_t min,
                    uint64_t max, uint64_t *out)
{
    static const struct unit units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {0}};
    return scaled(c, at, value, units,
                  "write it like \"90s\", \"5m\", \"2h\" or \"5d\", or as a number of seconds",
                  (uint64_t[2]){min, max}, " seconds", out);
}

bool value_path(struct compiler *c, const struct place *at, const json_t *value, size_t max,
                struct rec_string *out)
{
    struct span s;
    if (!value_string(c, at, value, 1, max, &s))
        return false;
    if (s.p[0] != '/') {
        compile_remedy(compile_error(c, at, "\"%.64s\" is not an absolute path", s.p),
                       "begin it with \"/\"");
        return false;
    }
    *out = compile_string(c, at, s);
    return true;
}

bool value_word(struct compiler *c, const struct place *at, const json_t *value,
                const char *const *words, uint32_t count, uint32_t *out)
{
    struct span s;
    if (!value_string(c, at, value, 0, LIMIT_NAME, &s))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (span_eq(s, span_str(words[i]))) {
            *out = i;
            return true;
        }
    char list[LIMIT_REASON] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < count && n < sizeof list / 2; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s\"%s\"", i > 0 ? ", " : "", words[i]);
    compile_remedy(compile_error(c, at, "\"%s\" is not one of the choices here", s.p),
                   "choose one of %s", list);
    return false;
}
