/* mgid-policy(5): every key, from the schema. */
#include "deploy/man/manual.h"
#include "status.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "#/$defs/NAME", to its definition; NULL when the value is none. */
static json_t *definition(json_t *schema, json_t *value, const char **name)
{
    const char *ref = json_string_value(json_object_get(value, "$ref"));
    if (ref == NULL || strncmp(ref, "#/$defs/", 8) != 0)
        return NULL;
    *name = ref + 8;
    return json_object_get(json_object_get(schema, "$defs"), *name);
}

static void words(const char *before, json_t *list)
{
    json_t *word;
    size_t i;
    if (!json_is_array(list))
        return;
    fputs(before, stdout);
    json_array_foreach(list, i, word)
    {
        printf("%s", i > 0 ? ", " : "");
        manual_text(json_string_value(word));
    }
    puts(".");
}

static void default_value(json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    if (text == NULL)
        return;
    fputs("Default: ", stdout);
    manual_text(text);
    puts(".");
    free(text);
}

/* The definition behind the value, behind its items or its members: what it is made of. */
static json_t *inner(json_t *schema, json_t *value, const char **name)
{
    static const char *const ways[] = {"items", "additionalProperties"};
    json_t *option, *found = definition(schema, value, name);
    size_t i;
    for (size_t w = 0; !found && w < 2; w++)
        found = definition(schema, json_object_get(value, ways[w]), name);
    json_array_foreach(json_object_get(value, "anyOf"), i, option)
    {
        if (!found)
            found = inner(schema, option, name);
    }
    return found;
}

static void key(json_t *schema, const char *name, json_t *value, bool required)
{
    const char *kind = NULL;
    json_t *made_of = inner(schema, value, &kind);
    const char *said = json_string_value(json_object_get(value, "description"));
    if (said == NULL)
        said = json_string_value(json_object_get(made_of, "description"));
    printf(".It Cm ");
    manual_text(name);
    putchar('\n');
    if (required)
        puts("Must be there.");
    if (said)
        manual_line(said);
    words("One of ", json_object_get(value, "enum"));
    if (made_of && json_object_get(made_of, "enum"))
        words("One of ", json_object_get(made_of, "enum"));
    if (made_of && json_object_get(made_of, "properties")) {
        const char *type = json_string_value(json_object_get(value, "type"));
        bool named = type && strcmp(type, "object") == 0;
        printf("%s\n.Sx %s .\n", named ? "Names, each with an object: see" : "See", kind);
    }
    default_value(json_object_get(value, "default"));
}

static bool is_required(json_t *object, const char *name)
{
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(object, "required"), i, one)
    {
        if (strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

static void object(json_t *schema, const char *name, json_t *definition)
{
    const char *said = json_string_value(json_object_get(definition, "description"));
    const char *member;
    json_t *value;
    printf(".Ss %s\n", name);
    if (said)
        manual_line(said);
    puts(".Bl -tag -width indent");
    json_object_foreach(json_object_get(definition, "properties"), member, value)
    {
        if (member[0] != '$')
            key(schema, member, value, is_required(definition, member));
    }
    puts(".El");
}

static void frame_begin(void)
{
    puts(".Dd November 24, 2026\n.Dt MGID-POLICY 5\n.Os"
         "\n"
         ".Sh NAME\n.Nm mgid-policy\n.Nd the policy of the mail gateway daemon mgid\n"
         ".Sh DESCRIPTION\nThe policy is one JSON file, by default\n.Pa /etc/mgid/policy.json .\n"
         "It says everything that\n.Xr mgid 8\ndoes.\nAn unknown key is an error, and an error "
         "means that nothing is loaded:\na daemon that runs goes on with the policy it has.\n"
         "The command\n.Ic mgictl policy check\njudges a policy without a daemon; each message "
         "names the line, the JSON pointer\nand the remedy.\n.Pp\n"
         "Rules run in order, for each recipient by itself; the first whose\n.Cm when\nholds "
         "decides.\nAll members of a\n.Cm when\nmust hold.\nThe last rule of a flow has none.\n"
         ".Pp\nSizes are bytes or a number with K, M or G (powers of 1024), as\n.Dq 64M .\n"
         "Durations are seconds or a number with s, m, h or d, as\n.Dq 90s .\n"
         "Names have letters, digits, dots, underscores and hyphens; paths are absolute.\n"
         "Where a list stands, a single value needs no brackets.\n.Sh KEYS");
}

static void frame_end(void)
{
    puts(".Sh FILES\n.Bl -tag -width indent\n.It Pa /etc/mgid/policy.json\nThe policy.\n"
         ".It Pa /usr/local/share/mgid/schema.json\nIts JSON Schema, for editors.\n"
         ".It Pa /usr/local/share/mgid/examples\nWhole policies to begin with.\n.El\n"
         ".Sh EXAMPLES\nMail for IncaMail goes to the platform over mutual TLS,\nthe rest to the "
         "internet:\n.Bd -literal -offset indent\n"
         "\"rules\": [\n"
         "  { \"name\": \"suffix\", \"when\": { \"recipient\": \"*.incamail.ch\" }, \"route\": "
         "\"incamail\" },\n"
         "  { \"name\": \"subject\", \"when\": { \"subject\": { \"contains\": \"<im>\" } }, "
         "\"route\": \"incamail\" },\n"
         "  { \"name\": \"rest\", \"route\": \"internet\" }\n]\n.Ed\n"
         ".Sh SEE ALSO\n.Xr mgictl 8 ,\n.Xr mgid 8");
}

int manual_policy(const char *path)
{
    json_error_t error;
    json_t *schema = json_load_file(path, 0, &error);
    const char *name;
    json_t *value;
    json_t *root = schema ? definition(schema, schema, &name) : NULL;
    if (root == NULL) {
        fprintf(stderr, "mgidoc: %s: %s\n", path, schema ? "no $ref to begin with" : error.text);
        return EXIT_DATA;
    }
    frame_begin();
    object(schema, name, root);
    json_object_foreach(json_object_get(schema, "$defs"), name, value)
    {
        if (value != root && json_object_get(value, "properties"))
            object(schema, name, value);
    }
    frame_end();
    json_decref(schema);
    return EXIT_OK;
}
