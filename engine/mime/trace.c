/* Dates and Received fields. */
#include "engine/mime/trace.h"
#include "engine/mime/text.h"
#include "status.h"
#include <stdio.h>

/* ---- dates ------------------------------------------------------------------------------ */

enum { DAY = 86400 };

static const int64_t last_second = INT64_C(253402300799); /* of the year 9999 */

/* The calendar of days since 1970, counted from March of the year 0, so that the leap day is the
 * last of its year. C's gmtime may read the time zone's file, which a sandbox has not. */
static void calendar(int64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    unsigned n = (unsigned)(days + 719468); /* since 0000-03-01 */
    unsigned era = n / 146097, of_era = n % 146097;
    unsigned y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * y + y / 4 - y / 100);
    unsigned m = (5 * of_year + 2) / 153; /* 0: March */
    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = era * 400 + y + (*month <= 2);
}

static int64_t within(int64_t seconds)
{
    if (seconds < 0)
        return 0;
    return seconds > last_second ? last_second : seconds;
}

size_t trace_short_date(int64_t seconds, char out[TRACE_DATE])
{
    unsigned year, month, day;
    seconds = within(seconds);
    calendar(seconds / DAY, &year, &month, &day);
    unsigned minutes = (unsigned)(seconds % DAY / 60);
    int n = snprintf(out, TRACE_DATE, "%04u-%02u-%02u %02u:%02u", year % 10000, month % 100,
                     day % 100, minutes / 60, minutes % 60);
    BUG_ON(n <= 0 || n >= TRACE_DATE);
    return (size_t)n;
}

size_t trace_date(int64_t seconds, char out[TRACE_DATE])
{
    static const char days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    unsigned year, month, day;
    seconds = within(seconds);
    calendar(seconds / DAY, &year, &month, &day);
    unsigned rest = (unsigned)(seconds % DAY);
    int n = snprintf(out, TRACE_DATE, "%s, %02u %s %04u %02u:%02u:%02u +0000",
                     days[seconds / DAY % 7], day % 100, months[(month - 1) % 12], year % 10000,
                     rest / 3600, rest / 60 % 60, rest % 60);
    BUG_ON(n <= 0 || n >= TRACE_DATE);
    return (size_t)n;
}

/* ---- Received --------------------------------------------------------------------------- */

enum { TLS_NAME_MAX = 64 };

static const char indent[] = "\t";

static void put_literal(struct text *t, struct span client)
{
    bool v6 = client.n > 0 && memchr(client.p, ':', client.n) != NULL;
    text_string(t, v6 ? "[IPv6:" : "[");
    text_clean(t, TEXT_HOST, client, LIMIT_ADDRESS_TEXT);
    text_string(t, "]");
}

/* A space, or a new line when what comes next would be too long for this one. */
static void separate(struct text *t, size_t next)
{
    if (t->column + 1 + next <= TEXT_WIDTH) {
        text_string(t, " ");
        return;
    }
    text_string(t, "\r\n");
    text_string(t, indent);
}

static void fold(struct text *t)
{
    text_string(t, "\r\n");
    text_string(t, indent);
}

static void put_tls(struct text *t, const struct trace_received *in)
{
    fold(t);
    text_string(t, "(");
    text_clean(t, TEXT_TOKEN, in->tls_version, TLS_NAME_MAX);
    if (in->tls_cipher.n > 0)
        text_string(t, " ");
    text_clean(t, TEXT_TOKEN, in->tls_cipher, TLS_NAME_MAX);
    if (in->certificate.n > 0) {
        text_string(t, ";");
        separate(t, sizeof "client certificate" - 1);
        text_string(t, "client certificate");
        const unsigned char *space = memchr(in->certificate.p, ' ', in->certificate.n);
        separate(t, space != NULL ? (size_t)(space - in->certificate.p) : in->certificate.n);
        text_words(t, TEXT_COMMENT, in->certificate, LIMIT_REASON, indent);
    }
    text_string(t, ")");
}

static void put_protocol(struct text *t, const struct trace_received *in)
{
    bool tls = in->tls_version.n > 0;
    separate(t, sizeof "(mgid)" - 1);
    text_string(t, "(mgid)");
    text_string(t, !in->extended ? " with SMTP" : in->utf8 ? " with UTF8SMTP" : " with ESMTP");
    text_string(t, in->extended && tls ? "S" : "");
    separate(t, sizeof "id " - 1 + in->id.n);
    text_string(t, "id ");
    text_clean(t, TEXT_TOKEN, in->id, LIMIT_NAME);
    if (tls)
        put_tls(t, in);
}

size_t trace_received(const struct trace_received *in, unsigned char *out, size_t capacity)
{
    struct text t = {.p = out, .capacity = capacity};
    char date[TRACE_DATE];
    size_t date_length = trace_date(in->time, date);
    text_string(&t, "Received: from ");
    if (in->helo.n > 0)
        text_clean(&t, TEXT_HOST, in->helo, LIMIT_DOMAIN);
    else
        put_literal(&t, in->client);
    if (in->client.n > 0) {
        separate(&t, sizeof "([IPv6:])" - 1 + in->client.n);
        text_string(&t, "(");
        put_literal(&t, in->client);
        text_string(&t, ")");
    }
    fold(&t);
    text_string(&t, "by ");
    text_clean(&t, TEXT_HOST, in->host, LIMIT_DOMAIN);
    put_protocol(&t, in);
    if (in->recipient.n > 0) {
        fold(&t);
        text_string(&t, "for <");
        text_clean(&t, TEXT_ADDRESS, in->recipient, LIMIT_ADDRESS);
        text_string(&t, ">");
    }
    text_string(&t, ";");
    separate(&t, date_length);
    text_line(&t, date);
    return t.overflow ? 0 : t.n;
}
