/* Policy to libunbound. */
#include "workers/resolver/settings.h"
#include "engine/log/log.h"
#include "policy/policy.h"
#include "status.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT_KEY "/usr/share/dns/root.key"
#define RESOLV_CONF "/etc/resolv.conf"

bool settings_read(int fd, struct settings *s, char *reason)
{
    struct policy policy;
    memset(s, 0, sizeof *s);
    if (!policy_map(&policy, fd, reason))
        return false;
    s->dnssec = policy_settings(&policy).dnssec;
    struct span anchor = span_head(policy_settings(&policy).trust_anchor, LIMIT_PATH - 1);
    memcpy(s->trust_anchor, anchor.p, anchor.n);
    uint32_t count = policy_count(&policy, POLICY_SERVERS);
    for (uint32_t i = 0; i < count && i < LIMIT_NAME_SERVERS; i++) {
        struct policy_endpoint server = policy_server(&policy, i);
        struct settings_server *to = &s->servers[s->count++];
        to->family = server.address.family;
        to->port = server.port;
        memcpy(to->octets, server.address.bytes, server.address.family == 4 ? 4 : 16);
    }
    policy_unmap(&policy);
    return true;
}

bool settings_equal(const struct settings *a, const struct settings *b)
{
    if (a->dnssec != b->dnssec || a->count != b->count ||
        strcmp(a->trust_anchor, b->trust_anchor) != 0)
        return false;
    for (unsigned i = 0; i < a->count; i++)
        if (a->servers[i].family != b->servers[i].family ||
            a->servers[i].port != b->servers[i].port ||
            memcmp(a->servers[i].octets, b->servers[i].octets, sizeof a->servers[i].octets) != 0)
            return false;
    return true;
}

void settings_ports(const struct settings *s, struct sandbox_request *request)
{
    for (unsigned i = 0; i < s->count; i++) {
        bool known = false;
        for (unsigned k = 0; k < request->connect_port_count; k++)
            known = known || request->connect_ports[k] == s->servers[i].port;
        if (!known)
            request->connect_ports[request->connect_port_count++] = s->servers[i].port;
    }
    if (s->count == 0)
        request->connect_ports[request->connect_port_count++] = 53;
}

/* ---- libunbound's words as log lines ---------------------------------------------------- */

static ssize_t log_words(void *cookie, const char *bytes, size_t n)
{
    struct span line = span_of(bytes, n);
    (void)cookie;
    while (line.n > 0 && line.p[line.n - 1] == '\n')
        line.n--;
    if (line.n > 0) {
        log_begin(LOG_WARNING, "libunbound");
        log_span("text", line);
        log_end();
    }
    return (ssize_t)n;
}

static void redirect_words(struct ub_ctx *ctx)
{
    FILE *words = fopencookie(NULL, "w", (cookie_io_functions_t){.write = log_words});
    if (words == NULL || setvbuf(words, NULL, _IOLBF, 1024) != 0)
        fatal_env(EXIT_OSERR, errno, "a stream for libunbound's messages");
    (void)ub_ctx_debugout(ctx, words);
}

/* ---- the context ------------------------------------------------------------------------ */

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)

/* Options that can only be given so. Their names are unbound.conf(5)'s. */
static const struct {
    const char *name;
    const char *value;
    const char *reason;
} options[] = {
    {"outgoing-range:", NUMBER(LIMIT_RESOLVER_SOCKETS),
     "of the library's 16 sockets a few dead servers would hold all"},
    {"outgoing-num-tcp:", "64", "answers over 1232 bytes"},
    {"num-queries-per-thread:", NUMBER(LIMIT_LOOKUP_QUERIES), "bounded by us"},
    {"msg-cache-size:", "8m", "memory is bounded"},
    {"rrset-cache-size:", "16m", "memory is bounded"},
    {"key-cache-size:", "2m", "memory is bounded"},
    {"neg-cache-size:", "1m", "memory is bounded"},
    {"infra-cache-numhosts:", "10000", "memory is bounded"},
    {"cache-max-ttl:", NUMBER(LIMIT_LOOKUP_TTL), "a wrong record is out within the hour"},
    {"cache-max-negative-ttl:", "300", "a domain that was just set up is seen soon"},
    {"infra-host-ttl:", "60", "a name server that was away is tried again within the minute"},
    {"infra-keep-probing:", "yes", "and asked even while it is believed to be away"},
    {"edns-buffer-size:", "1232", "no fragments"},
    {"val-log-level:", "0", "the reason comes with the answer"},
};

/* Names that libunbound denies by itself, where the site's own name servers may know them. */
static const char *const site_zones[] = {"test.", "home.arpa."};

static void must(int error, const char *what)
{
    if (error != 0)
        fatal_env(EXIT_CONFIG, 0, "resolver: %s: %s", what, ub_strerror(error));
}

static void set_servers(struct ub_ctx *ctx, const struct settings *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 8];
        int family = s->servers[i].family == 4 ? AF_INET : AF_INET6;
        BUG_ON(inet_ntop(family, s->servers[i].octets, address, sizeof address) == NULL);
        (void)snprintf(text, sizeof text, "%s@%u", address, s->servers[i].port);
        must(ub_ctx_set_fwd(ctx, text), text);
    }
    if (s->count == 0)
        must(ub_ctx_resolvconf(ctx, RESOLV_CONF), RESOLV_CONF);
}

static bool set_trust(struct ub_ctx *ctx, const struct settings *s)
{
    const char *file = s->trust_anchor[0] != '\0' ? s->trust_anchor : ROOT_KEY;
    bool anchor = s->dnssec && access(file, R_OK) == 0;
    if (s->dnssec && !anchor && s->trust_anchor[0] != '\0')
        fatal_env(EXIT_CONFIG, errno, "resolver: the trust anchor %s can't be read", file);
    if (anchor)
        must(ub_ctx_add_ta_file(ctx, file), file);
    else
        must(ub_ctx_set_option(ctx, "module-config:", "iterator"), "module-config");
    if (s->dnssec && !anchor)
        log_line(LOG_WARNING, "no DNSSEC",
                 "%s can't be read (package dns-root-data): nothing is validated, no answer is "
                 "marked secure",
                 ROOT_KEY);
    return anchor;
}

static void warmed_up(void *context, int rcode, void *packet, int length, int secure, char *why,
                      int limited)
{
    (void)rcode, (void)packet, (void)length, (void)secure, (void)why, (void)limited;
    *(bool *)context = true;
}

struct ub_ctx *settings_context(const struct settings *s, struct loop *loop)
{
    bool answered = false;
    struct ub_ctx *ctx = ub_ctx_create_ub_event(&loop->base);
    if (ctx == NULL)
        fatal_env(EXIT_OSERR, errno, "resolver: libunbound gives no context");
    redirect_words(ctx);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        must(ub_ctx_set_option(ctx, options[i].name, options[i].value), options[i].name);
    set_servers(ctx, s);
    bool validates = set_trust(ctx, s);
    for (size_t i = 0; i < sizeof site_zones / sizeof site_zones[0]; i++)
        must(ub_ctx_zone_remove(ctx, site_zones[i]), site_zones[i]);
    /* The first question makes libunbound read its files; this one needs no name server. */
    must(ub_resolve_event(ctx, "localhost", 1, 1, &answered, warmed_up, NULL), "first question");
    if (!answered)
        fatal_env(EXIT_CONFIG, 0, "resolver: libunbound does not answer");
    log_begin(LOG_INFO, "resolver");
    log_bool("dnssec", validates);
    log_text("servers", s->count > 0 ? "policy" : RESOLV_CONF);
    log_number("count", s->count);
    log_end();
    return ctx;
}
