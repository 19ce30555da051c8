/* Metrics and health over HTTP. */
#include "workers/control/metrics.h"
#include "engine/sandbox/sandbox.h"
#include "status.h"
#include "workers/control/control.h"
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what is told ----------------------------------------------------------------------- */

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP mgid_%s %s\n# TYPE mgid_%s %s\n", name, help, name, type);
}

/* Prometheus counts seconds, and a counter's name ends in "_total". */
static void name_of(enum counter c, char *out, size_t capacity, bool *seconds)
{
    static const char unit[] = "_microseconds";
    const char *name = counter_descriptions[c].name;
    size_t n = strlen(name);
    bool counter = counter_descriptions[c].kind == COUNTER_KIND_counter;
    *seconds = n > sizeof unit && strcmp(name + n - (sizeof unit - 1), unit) == 0;
    (void)snprintf(out, capacity, "%.*s%s%s", (int)(*seconds ? n - (sizeof unit - 1) : n), name,
                   *seconds ? "_seconds" : "", counter ? "_total" : "");
}

static void tell_counter(const struct control *control, FILE *out, enum counter c)
{
    char name[96];
    bool seconds;
    name_of(c, name, sizeof name, &seconds);
    head(out, name, counter_descriptions[c].kind == COUNTER_KIND_counter ? "counter" : "gauge",
         counter_descriptions[c].help);
    for (unsigned i = 0; i < control->worker_count; i++) {
        const struct control_worker *worker = &control->workers[i];
        if (!worker->page)
            continue;
        uint64_t value = counter_value(worker->page, c);
        fprintf(out, "mgid_%s{flow=\"%s\",worker=\"%u\"} ", name, worker->flow, worker->index);
        if (seconds)
            fprintf(out, "%.6f\n", (double)value / 1e6);
        else
            fprintf(out, "%llu\n", (unsigned long long)value);
    }
}

/* The buckets of one worker, each with those below it. */
static void tell_buckets(FILE *out, const struct control_worker *worker, enum histogram h)
{
    const struct histogram_description *d = &histogram_descriptions[h];
    const struct histogram_values *v = &worker->page->histograms[h];
    uint64_t n = 0;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        bool last = i == HISTOGRAM_BOUNDS;
        if (!last && d->bounds[i] == 0)
            continue;
        n += atomic_load_explicit(&v->buckets[i], memory_order_relaxed);
        fprintf(out, "mgid_%s_bucket{flow=\"%s\",worker=\"%u\",le=\"", d->name, worker->flow,
                worker->index);
        if (last)
            fputs("+Inf", out);
        else
            fprintf(out, "%.9g", (double)d->bounds[i] / (double)d->scale);
        fprintf(out, "\"} %llu\n", (unsigned long long)n);
    }
    uint64_t sum = atomic_load_explicit(&v->sum, memory_order_relaxed);
    fprintf(out, "mgid_%s_sum{flow=\"%s\",worker=\"%u\"} %.6f\n", d->name, worker->flow,
            worker->index, (double)sum / (double)d->scale);
    fprintf(out, "mgid_%s_count{flow=\"%s\",worker=\"%u\"} %llu\n", d->name, worker->flow,
            worker->index, (unsigned long long)n);
}

static void tell_histogram(const struct control *control, FILE *out, enum histogram h)
{
    head(out, histogram_descriptions[h].name, "histogram", histogram_descriptions[h].help);
    for (unsigned i = 0; i < control->worker_count; i++)
        if (control->workers[i].page)
            tell_buckets(out, &control->workers[i], h);
}

static void tell_workers(const struct control *control, FILE *out)
{
    head(out, "worker_up", "gauge", "1: the worker is there");
    for (unsigned i = 0; i < control->worker_count; i++) {
        const struct control_worker *worker = &control->workers[i];
        if (!worker->dropped)
            fprintf(out, "mgid_worker_up{flow=\"%s\",worker=\"%u\"} %d\n", worker->flow,
                    worker->index, worker->fd >= 0);
    }
    head(out, "worker_starts_total", "counter",
         "times that the worker was started, since control was");
    for (unsigned i = 0; i < control->worker_count; i++)
        fprintf(out, "mgid_worker_starts_total{flow=\"%s\",worker=\"%u\"} %u\n",
                control->workers[i].flow, control->workers[i].index, control->workers[i].starts);
}

/* The text, to be freed; NULL without memory. */
static char *tell_all(const struct control *control, size_t *n)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, n);
    if (!out)
        return NULL;
    head(out, "info", "gauge", "what runs");
    fprintf(out, "mgid_info{version=\"%s\"} 1\n", MGID_VERSION);
    head(out, "policy_generation", "gauge", "policies taken into force since the start");
    fprintf(out, "mgid_policy_generation %u\n", control->generation);
    tell_workers(control, out);
    for (unsigned c = 0; c < COUNTER_COUNT; c++)
        tell_counter(control, out, c);
    for (unsigned h = 0; h < HISTOGRAM_COUNT; h++)
        tell_histogram(control, out, h);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

static bool ready(const struct control *control)
{
    unsigned there = 0;
    for (unsigned i = 0; i < control->worker_count; i++) {
        if (control->workers[i].dropped)
            continue;
        if (control->workers[i].fd < 0)
            return false;
        there++;
    }
    return there > 0 && !control->draining;
}

/* ---- HTTP ------------------------------------------------------------------------------- */

static const char plain[] = "text/plain; charset=utf-8";

/* `text` is freed by the response. */
static enum MHD_Result respond(struct MHD_Connection *c, unsigned status, const char *type,
                               char *text, size_t n)
{
    struct MHD_Response *r =
        text ? MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!r) {
        free(text);
        return MHD_NO; /* the connection ends */
    }
    enum MHD_Result ok =
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
                MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES
            ? MHD_queue_response(c, status, r)
            : MHD_NO;
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, const char *text)
{
    char *copy = strdup(text);
    return respond(c, status, plain, copy, strlen(text));
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    const struct control *control = context;
    (void)version;
    (void)upload;
    (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *upload_size = 0; /* not read */
        return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    if (strcmp(url, "/metrics") == 0) {
        size_t n = 0;
        char *text = tell_all(control, &n);
        return respond(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, n);
    }
    if (strcmp(url, "/healthz") == 0)
        return say(c, MHD_HTTP_OK, "ok\n");
    if (strcmp(url, "/readyz") == 0)
        return ready(control) ? say(c, MHD_HTTP_OK, "ready\n")
                              : say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "not ready\n");
    return say(c, MHD_HTTP_NOT_FOUND, "there are /metrics, /healthz and /readyz\n");
}

void metrics_begin(struct control *control, int listener, struct sandbox_request *request)
{
    if (control->metrics)
        fatal_env(EXIT_SOFTWARE, 0, "control was given two sockets for metrics");
    control->metrics = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, control, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)LIMIT_METRICS_CLIENTS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)LIMIT_METRICS_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)LIMIT_METRICS_MEMORY, MHD_OPTION_END);
    if (!control->metrics)
        fatal_env(EXIT_OSERR, errno, "metrics can't be served");
    sandbox_keep(request, listener);
    sandbox_keep(request, metrics_descriptor(control));
}

int metrics_descriptor(const struct control *control)
{
    if (!control->metrics)
        return -1;
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(control->metrics, MHD_DAEMON_INFO_EPOLL_FD);
    BUG_ON(!info);
    return info->epoll_fd;
}

int metrics_wait(const struct control *control)
{
    MHD_UNSIGNED_LONG_LONG milliseconds;
    if (!control->metrics || MHD_get_timeout(control->metrics, &milliseconds) != MHD_YES)
        return -1;
    return milliseconds < INT32_MAX ? (int)milliseconds : INT32_MAX;
}

void metrics_run(struct control *control)
{
    /* Twice: connections that end in the first round make place for those that wait in the second,
     * about which nothing would be said any more. */
    for (unsigned i = 0; control->metrics && i < 2; i++)
        (void)MHD_run(control->metrics);
}
