#include "bench/sim/json.h"
#include "engine/log/log.h"
#include <inttypes.h>

void json_value(FILE *out, struct span value)
{
    char escaped[4096];

    size_t n = log_escape(value, escaped, sizeof(escaped));
    fputc('"', out);
    fwrite(escaped, 1, n, out);
    fputc('"', out);
}

void json_open(FILE *out, const char *event)
{
    fputs("{\"event\":", out);
    json_value(out, span_str(event));
}

void json_close(FILE *out)
{
    fputs("}\n", out);
    fflush(out);
}

void json_key(FILE *out, const char *key)
{
    fputc(',', out);
    json_value(out, span_str(key));
    fputc(':', out);
}

void json_text(FILE *out, const char *key, const char *value)
{
    json_key(out, key);
    if (value == NULL)
        fputs("null", out);
    else
        json_value(out, span_str(value));
}

void json_number(FILE *out, const char *key, int64_t value)
{
    json_key(out, key);
    fprintf(out, "%" PRId64, value);
}

void json_bool(FILE *out, const char *key, bool value)
{
    json_key(out, key);
    fputs(value ? "true" : "false", out);
}
