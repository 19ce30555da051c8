/*
 * policy test: the expectations that a company writes beside its policy.
 *
 *     { "policy": "policy.json",
 *       "cases": [ { "name": "…", "flow": "outbound", "from": "a@example.ch", "to":
 * "b@example.org", "peer": "exchange", "client": "10.1.0.7", "mail": ["Subject: x", "", "text"],
 *                    "expect": { "outcome": "route", "route": "incamail" } } ] }
 *
 * `expect` is a part of what `policy explain --json` tells: each member given must be there, equal.
 * `policy` stands relative to the file; `mail`, the lines of one, may be left out.
 */
#include "workers/mgictl/command.h"
#include "workers/mgictl/explain.h"
#include <stdio.h>
#include <stdlib.h>

/* Is all of `wanted` in `found`? Objects member by member, else equal. */
static bool contains(json_t *found, json_t *wanted)
{
    const char *key;
    json_t *value;
    if (!json_is_object(wanted))
        return json_equal(found, wanted) == 1;
    json_object_foreach(wanted, key,
                        value) if (!contains(json_object_get(found, key), value)) return false;
    return true;
}

static void say_difference(json_t *found, json_t *wanted)
{
    const char *key;
    json_t *value;
    json_object_foreach(wanted, key, value)
    {
        json_t *is = json_object_get(found, key);
        if (contains(is, value))
            continue;
        char *a = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        char *b = is ? json_dumps(is, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        printf("    \"%s\" is %s, expected %s\n", key, b ? b : "not there", a ? a : "?");
        free(a);
        free(b);
    }
}

static void read_lines(struct explained *e, json_t *lines)
{
    size_t i;
    json_t *line;
    if (!lines)
        return;
    explain_begin(e);
    json_array_foreach(lines, i, line)
    {
        explain_feed(e, span_of(json_string_value(line), json_string_length(line)));
        explain_feed(e, SPAN_LIT("\r\n"));
    }
    explain_end(e);
}

/* NULL, or what is wrong with the case itself. */
static const char *malformed(json_t *c)
{
    static const char *const known[] = {"name", "flow",   "from", "to",
                                        "peer", "client", "mail", "expect"};
    const char *key;
    json_t *value;
    if (!json_is_object(c) || !json_is_string(json_object_get(c, "to")) ||
        json_object_size(json_object_get(c, "expect")) == 0)
        return "a case needs \"to\" and \"expect\"";
    json_object_foreach(c, key, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof known[0] && strcmp(known[i], key) != 0)
            i++;
        if (i == sizeof known / sizeof known[0])
            return "an unknown member; there are name, flow, from, to, peer, client, mail, expect";
        bool fits = i == 6 ? json_is_array(value) : i == 7 || json_is_string(value);
        if (!fits)
            return "\"mail\" is a list of lines, the others are strings";
    }
    return NULL;
}

/* True: as expected. */
static bool judge(const struct policy *p, json_t *c, size_t number)
{
    static struct explained e;
    char wrong[LIMIT_REASON];
    json_t *found = NULL;
    const char *fault = malformed(c);
    e = (struct explained){.policy = p, .sender = remote_text(c, "from")};
    if (!fault && !explain_envelope(&e, json_string_value(json_object_get(c, "flow")),
                                    json_string_value(json_object_get(c, "client")),
                                    json_string_value(json_object_get(c, "peer")), wrong))
        fault = wrong;
    if (!fault) {
        read_lines(&e, json_object_get(c, "mail"));
        found = explain_recipient(&e, remote_text(c, "to"));
    }
    bool ok = found && contains(found, json_object_get(c, "expect"));
    printf("%s %zu ", ok ? "ok" : "FAILED", number);
    print_safe(remote_text(c, "name"));
    printf("\n");
    if (fault)
        printf("    %s\n", fault);
    else if (!ok)
        say_difference(found, json_object_get(c, "expect"));
    json_decref(found);
    return ok;
}

/* The policy's path, beside the file's. To be freed. */
static char *beside(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    char *out = NULL;
    int folder = path[0] == '/' || !slash ? 0 : (int)(slash - file + 1);
    if (asprintf(&out, "%.*s%s", folder, file, path) < 0)
        fatal_env(EXIT_OSERR, 0, "no memory");
    return out;
}

static enum exit_status run(const char *file, json_t *tests)
{
    struct policy_compilation compilation;
    struct policy policy;
    size_t i, failed = 0;
    json_t *c;
    json_t *cases = json_object_get(tests, "cases");
    if (!json_is_string(json_object_get(tests, "policy")) || json_array_size(cases) == 0) {
        fprintf(stderr, "mgictl: %s: \"policy\" and a list \"cases\" are needed.\n", file);
        return EXIT_DATA;
    }
    char *path = beside(file, remote_text(tests, "policy"));
    enum exit_status status = explain_open(path, &compilation, &policy);
    free(path);
    if (status == EXIT_OK) {
        json_array_foreach(cases, i, c) failed += !judge(&policy, c, i + 1);
        printf("%zu as expected, %zu not\n", json_array_size(cases) - failed, failed);
        status = failed > 0 ? EXIT_DATA : EXIT_OK;
    }
    policy_compilation_free(&compilation);
    return status;
}

enum exit_status command_policy_test(const struct command_line *line, const char *const *arguments)
{
    json_error_t error;
    (void)line;
    json_t *tests = json_load_file(arguments[0], JSON_REJECT_DUPLICATES, &error);
    if (!tests) {
        fprintf(stderr, "mgictl: %s:%d: %s\n", arguments[0], error.line, error.text);
        return error.line < 0 ? EXIT_NOINPUT : EXIT_DATA;
    }
    enum exit_status status = run(arguments[0], tests);
    json_decref(tests);
    return status;
}
