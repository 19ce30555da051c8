/* policy explain: what a policy does with a mail. */
#include "policy/compile.h"
#include "workers/mgictl/command.h"
#include "workers/mgictl/explain.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool find_flow(struct explained *e, const char *name, char *wrong)
{
    uint32_t flows = policy_count(e->policy, POLICY_FLOWS);
    if (!name && flows == 1)
        return true;
    e->flow = name ? policy_find_flow(e->policy, span_str(name)) : POLICY_NONE;
    if (e->flow != POLICY_NONE)
        return true;
    size_t n = (size_t)snprintf(wrong, LIMIT_REASON, "%s%.64s; there are:",
                                name ? "there is no flow " : "the policy has several flows",
                                name ? name : "");
    for (uint32_t i = 0; i < flows && n + LIMIT_NAME + 2 < LIMIT_REASON; i++) {
        struct span s = policy_flow(e->policy, i).name;
        n += (size_t)snprintf(wrong + n, LIMIT_REASON - n, " %.*s", (int)s.n, (const char *)s.p);
    }
    return false;
}

/* That is known by certificate, comes by TLS 1.3. */
static bool find_peer(struct explained *e, const char *name, char *wrong)
{
    const struct policy *p = e->policy;
    for (uint32_t i = 0; i < policy_count(p, POLICY_PEERS); i++) {
        struct policy_peer peer = policy_peer(p, i);
        if (!span_eq(peer.name, span_str(name)))
            continue;
        e->peers |= UINT64_C(1) << i;
        if (peer.needs_tls) {
            e->tls_version = 13;
            e->tls_verified = true;
        }
        return true;
    }
    (void)snprintf(wrong, LIMIT_REASON, "the policy has no peer %.64s", name);
    return false;
}

bool explain_envelope(struct explained *e, const char *flow, const char *client, const char *peer,
                      char *wrong)
{
    if (!find_flow(e, flow, wrong))
        return false;
    if (client) {
        e->client.family = strchr(client, ':') ? 6 : 4;
        int family = e->client.family == 6 ? AF_INET6 : AF_INET;
        if (inet_pton(family, client, e->client.bytes) != 1) {
            (void)snprintf(wrong, LIMIT_REASON, "the client %.64s is no IP address", client);
            return false;
        }
    }
    e->peers = policy_peers_met(e->policy, &e->client, 0);
    return !peer || find_peer(e, peer, wrong);
}

static void show(const struct command_line *line, const struct explained *e)
{
    for (unsigned i = 0; i < line->rcpt_count; i++) {
        json_t *r = explain_recipient(e, line->rcpts[i]);
        if (line->json) {
            char *text = json_dumps(r, JSON_COMPACT);
            printf("%s\n", text ? text : "");
            free(text);
        } else {
            explain_print(r);
        }
        json_decref(r);
    }
}

enum exit_status explain_open(const char *path, struct policy_compilation *c, struct policy *p)
{
    char reason[LIMIT_REASON];
    int error;
    if (!policy_compile_file(path, c, &error)) {
        fprintf(stderr, "mgictl: %s %s. mgictl policy check says more.\n", path,
                error != 0 ? strerror(error) : "is not usable");
        return error != 0 ? EXIT_NOINPUT : EXIT_DATA;
    }
    if (policy_open(p, span_of(c->image, c->image_size), reason))
        return EXIT_OK;
    fprintf(stderr, "mgictl: %s: %s\n", path, reason);
    return EXIT_SOFTWARE;
}

enum exit_status command_policy_explain(const struct command_line *line,
                                        const char *const *arguments)
{
    static struct explained e;
    struct policy_compilation compilation;
    struct policy policy;
    char wrong[LIMIT_REASON];
    if (arguments[0] && arguments[1]) {
        fprintf(stderr, "mgictl: one mail at a time.\n");
        return EXIT_USAGE;
    }
    if (line->rcpt_count == 0) {
        fprintf(stderr, "mgictl: to whom? Say --rcpt ADDRESS, once or more.\n");
        return EXIT_USAGE;
    }
    const char *path = line->policy ? line->policy : "/etc/mgid/policy.json";
    enum exit_status status = explain_open(path, &compilation, &policy);
    e = (struct explained){.policy = &policy, .sender = line->from ? line->from : ""};
    if (status == EXIT_OK && !explain_envelope(&e, line->flow, line->client, line->peer, wrong)) {
        fprintf(stderr, "mgictl: %s.\n", wrong);
        status = EXIT_USAGE;
    }
    if (status == EXIT_OK && arguments[0]) {
        int error = explain_read(&e, arguments[0]);
        if (error != 0) {
            fprintf(stderr, "mgictl: %s: %s\n", arguments[0], strerror(error));
            status = EXIT_NOINPUT;
        }
    }
    if (status == EXIT_OK)
        show(line, &e);
    policy_compilation_free(&compilation);
    return status;
}
