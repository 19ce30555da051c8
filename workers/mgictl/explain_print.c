/* An explanation for people, from its JSON. */
#include "workers/mgictl/command.h"
#include "workers/mgictl/explain.h"
#include <stdio.h>

static void quoted(json_t *object, const char *key)
{
    printf("\"");
    print_safe(remote_text(object, key));
    printf("\"");
}

static const char *holds(json_t *object)
{
    json_t *value = json_object_get(object, "holds");
    return json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "not known before the mail";
}

static void print_comparison(json_t *c)
{
    printf("      ");
    print_safe(remote_text(c, "condition"));
    if (json_object_get(c, "field")) {
        printf(" ");
        print_safe(remote_text(c, "field"));
    }
    printf(": %s", holds(c));
    if (remote_text(c, "matched")[0]) {
        printf(", ");
        quoted(c, "matched");
    }
    if (remote_text(c, "value")[0] &&
        strcmp(remote_text(c, "value"), remote_text(c, "matched")) != 0) {
        printf(json_is_true(json_object_get(c, "holds")) ? " in " : ", ");
        quoted(c, "value");
    }
    printf("\n");
}

static void print_rules(json_t *rules)
{
    size_t i, k;
    json_t *rule, *c;
    json_array_foreach(rules, i, rule)
    {
        printf("    rule ");
        print_safe(remote_text(rule, "rule"));
        printf(": %s\n", holds(rule));
        json_array_foreach(json_object_get(rule, "comparisons"), k, c) print_comparison(c);
    }
}

static void print_list(json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        printf("%s", i > 0 ? ", " : " ");
        print_safe(json_string_value(one));
    }
}

static void print_tls(json_t *tls)
{
    printf("  TLS %s", json_is_true(json_object_get(tls, "require")) ? "required" : "if offered");
    if (remote_text(tls, "trust")[0]) {
        printf(", verified against ");
        print_safe(remote_text(tls, "trust"));
    } else {
        printf(", nothing verified");
    }
    if (json_array_size(json_object_get(tls, "names")) > 0) {
        printf(", names");
        print_list(json_object_get(tls, "names"));
    }
    if (remote_text(tls, "organization")[0]) {
        printf(", organization ");
        print_safe(remote_text(tls, "organization"));
    }
    if (remote_text(tls, "identity")[0]) {
        printf("; client certificate ");
        print_safe(remote_text(tls, "identity"));
    }
    printf("\n");
}

static void print_edits(json_t *edits)
{
    size_t i;
    json_t *e;
    json_array_foreach(edits, i, e)
    {
        printf("  ");
        print_safe(remote_text(e, "edit"));
        if (json_object_get(e, "field")) {
            printf(" ");
            print_safe(remote_text(e, "field"));
        }
        if (json_object_get(e, "value")) {
            printf(" ");
            quoted(e, "value");
        }
        printf("\n");
    }
}

static void print_route(json_t *r)
{
    printf("  over route ");
    print_safe(remote_text(r, "route"));
    if (json_object_get(r, "mx")) {
        printf(": the mail exchangers of ");
        print_safe(remote_text(r, "mx"));
    } else {
        printf(":");
        print_list(json_object_get(r, "hosts"));
    }
    printf("\n");
    print_tls(json_object_get(r, "tls"));
    if (json_object_get(r, "becomes")) {
        printf("  delivered to ");
        print_safe(remote_text(r, "becomes"));
        printf("\n");
    }
    print_edits(json_object_get(r, "edits"));
    if (json_object_get(r, "hold"))
        printf("  held until mgictl queue release lets it go\n");
    if (json_object_get(r, "lifetime"))
        printf("  tried for %lld seconds\n", (long long)remote_number(r, "lifetime"));
    if (strcmp(remote_text(r, "priority"), "normal") != 0)
        printf("  priority %s\n", remote_text(r, "priority"));
}

void explain_print(json_t *r)
{
    printf("to ");
    print_safe(remote_text(r, "recipient"));
    printf(": %s", remote_text(r, "outcome"));
    if (remote_text(r, "rule")[0]) {
        bool open = strcmp(remote_text(r, "outcome"), "needs the mail") == 0;
        printf(open ? ", for rule " : " by rule ");
        print_safe(remote_text(r, "rule"));
        if (!open)
            printf(", %s", strcmp(remote_text(r, "phase"), "rcpt") == 0 ? "at RCPT" : "after DATA");
    }
    if (remote_text(r, "reply")[0]) {
        printf(", ");
        quoted(r, "reply");
    }
    printf("\n");
    print_rules(json_object_get(r, "rules"));
    if (json_object_get(r, "route"))
        print_route(r);
}
