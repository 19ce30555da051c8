/* From the text to the image: parse, read the settings and the parts, lint, put together. */
#include "policy/compile.h"
#include "policy/compile_internal.h"
#include "status.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- settings --------------------------------------------------------------------------- */

static void read_schema(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    (void)draft; /* for editors; means nothing here */
    struct span s;
    (void)value_string(c, at, value, 1, LIMIT_PATH, &s);
}

static void read_version(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    (void)draft;
    uint64_t version;
    (void)value_number(c, at, value, 1, 1, &version);
}

static void read_hostname(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    struct rec_settings *s = draft;
    struct span name;
    char ascii[DOMAIN_TEXT];
    char unicode[DOMAIN_TEXT];
    if (value_string(c, at, value, 1, LIMIT_DOMAIN, &name) &&
        name_domain(c, at, name, ascii, unicode))
        s->hostname = compile_string(c, at, span_str(ascii));
}

static void read_uid_base(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    struct rec_settings *s = draft;
    uint64_t n;
    if (value_number(c, at, value, 1, LIMIT_UID_BASE_MAX, &n))
        s->uid_base = (uint32_t)n;
}

static void read_spool(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_settings *s = draft;
    (void)value_path(c, at, value, LIMIT_PATH - 1, &s->spool);
}

static void read_socket(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    struct rec_settings *s = draft;
    (void)value_path(c, at, value, LIMIT_UNIX_PATH, &s->control_socket);
}

static void read_log_file(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    struct rec_settings *s = draft;
    (void)value_path(c, at, value, LIMIT_PATH - 1, &s->log_file);
}

static void read_sandbox(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    static const char *const words[] = {"available", "require"};
    struct rec_settings *s = draft;
    (void)value_word(c, at, value, words, 2, &s->sandbox_required);
}

static void read_server(struct compiler *c, const struct place *at, struct span s, void *draft)
{
    (void)draft;
    struct rec_endpoint server;
    if (name_server(c, at, s, &server))
        (void)compile_append(c, at, POLICY_SERVERS, &server);
}

static void read_servers(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    compile_each(c, at, value, LIMIT_ADDRESS_TEXT, read_server, draft);
}

static void read_dnssec(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    struct rec_settings *s = draft;
    (void)value_bool(c, at, value, &s->dnssec);
}

static void read_trust_anchor(struct compiler *c, const struct place *at, const json_t *value,
                              void *draft)
{
    struct rec_settings *s = draft;
    (void)value_path(c, at, value, LIMIT_PATH - 1, &s->trust_anchor);
}

static void duration(struct compiler *c, const struct place *at, const json_t *value, uint64_t max,
                     uint32_t *out)
{
    uint64_t n;
    if (value_duration(c, at, value, 1, max, &n))
        *out = (uint32_t)n;
}

static void read_first(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_settings *s = draft;
    duration(c, at, value, LIMIT_RETRY_MAX, &s->retry_first);
}

static void read_max(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_settings *s = draft;
    duration(c, at, value, LIMIT_RETRY_MAX, &s->retry_max);
}

static void read_lifetime(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    struct rec_settings *s = draft;
    duration(c, at, value, LIMIT_LIFETIME_MAX, &s->lifetime);
}

static void read_control(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    compile_object(c, at, value, &control_keys, draft);
}

static void read_log(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    compile_object(c, at, value, &log_keys, draft);
}

static void read_metrics_listen(struct compiler *c, const struct place *at, const json_t *value,
                                void *draft)
{
    struct rec_settings *s = draft;
    struct span address;
    if (value_string(c, at, value, 1, LIMIT_ADDRESS_TEXT, &address))
        (void)name_endpoint(c, at, address, false, 0, &s->metrics);
}

static void read_metrics(struct compiler *c, const struct place *at, const json_t *value,
                         void *draft)
{
    compile_object(c, at, value, &metrics_keys, draft);
}

static void read_resolver(struct compiler *c, const struct place *at, const json_t *value,
                          void *draft)
{
    compile_object(c, at, value, &resolver_keys, draft);
}

static void read_limits(struct compiler *c, const struct place *at, const json_t *value,
                        void *draft)
{
    compile_object(c, at, value, &limits_keys, draft);
}

static void read_retry(struct compiler *c, const struct place *at, const json_t *value, void *draft)
{
    struct rec_settings *s = draft;
    compile_object(c, at, value, &retry_keys, draft);
    if (s->retry_first <= s->retry_max)
        return;
    compile_remedy(compile_error(c, at, "the first pause (%u s) is longer than the longest (%u s)",
                                 s->retry_first, s->retry_max),
                   "make \"max\" at least as long as \"first\"");
}

static const struct key control_table[] = {{"socket", KEY_REQUIRED, read_socket}};
static const struct key metrics_table[] = {{"listen", KEY_REQUIRED, read_metrics_listen}};
static const struct key log_table[] = {{"file", KEY_REQUIRED, read_log_file}};
static const struct key resolver_table[] = {
    {"servers", KEY_OPTIONAL, read_servers},
    {"dnssec", KEY_OPTIONAL, read_dnssec},
    {"trust_anchor", KEY_OPTIONAL, read_trust_anchor},
};
static const struct key retry_table[] = {
    {"first", KEY_OPTIONAL, read_first},
    {"max", KEY_OPTIONAL, read_max},
    {"lifetime", KEY_OPTIONAL, read_lifetime},
};
/* In the order in which what is referred to comes before what refers. */
static const struct key settings_table[] = {
    {"$schema", KEY_OPTIONAL, read_schema},
    {"version", KEY_REQUIRED, read_version},
    {"hostname", KEY_REQUIRED, read_hostname},
    {"uid_base", KEY_OPTIONAL, read_uid_base},
    {"spool", KEY_REQUIRED, read_spool},
    {"sandbox", KEY_OPTIONAL, read_sandbox},
    {"control", KEY_OPTIONAL, read_control},
    {"log", KEY_OPTIONAL, read_log},
    {"metrics", KEY_OPTIONAL, read_metrics},
    {"resolver", KEY_OPTIONAL, read_resolver},
    {"limits", KEY_OPTIONAL, read_limits},
    {"retry", KEY_OPTIONAL, read_retry},
    {"notifications", KEY_OPTIONAL, read_notifications},
    {"identities", KEY_OPTIONAL, read_identities},
    {"trust", KEY_OPTIONAL, read_trusts},
    {"peers", KEY_OPTIONAL, read_peers},
    {"scanners", KEY_PLANNED, NULL},
    {"routes", KEY_OPTIONAL, read_routes},
    {"flows", KEY_REQUIRED, read_flows},
};
KEY_SET(control_keys, "control", control_table);
KEY_SET(log_keys, "log", log_table);
KEY_SET(metrics_keys, "metrics", metrics_table);
KEY_SET(resolver_keys, "resolver", resolver_table);
KEY_SET(retry_keys, "retry", retry_table);
KEY_SET(settings_keys, "policy", settings_table);

static void read_policy(struct compiler *c, const struct place *root, const json_t *policy)
{
    struct rec_settings s = {
        .control_socket = compile_string(c, root, SPAN_LIT("/run/mgid/control.sock")),
        .uid_base = LIMIT_UID_BASE_DEFAULT,
        .message_size = LIMIT_MESSAGE_SIZE_DEFAULT,
        .memory = LIMIT_MEMORY_DEFAULT,
        .sessions = LIMIT_SESSIONS_DEFAULT,
        .recipients = LIMIT_RECIPIENTS_DEFAULT,
        .limits = usual_limits,
        .retry_first = LIMIT_RETRY_FIRST_DEFAULT,
        .retry_max = LIMIT_RETRY_MAX_DEFAULT,
        .lifetime = LIMIT_LIFETIME_DEFAULT,
        .dnssec = 1,
        .languages = {LANGUAGE_EN},
        .language_count = 1,
        .delay_after = {LIMIT_DELAY_DEFAULT},
        .delay_count = 1,
    };
    compile_object(c, root, policy, &settings_keys, &s);
    if (c->out->errors > 0)
        return;
    if (s.dnssec == 0)
        refuse_dane(c, root, policy);
    finish_flows(c, root, policy);
    finish_limits(&s);
    finish_notifications(c, root, &s);
    (void)compile_append(c, root, POLICY_SETTINGS, &s);
}

/* ---- texts that are not JSON ------------------------------------------------------------ */

/* Where the token ends that jansson stopped behind; its error text quotes short ones. */
static size_t token_start(struct span text, const json_error_t *e)
{
    size_t end = e->position > 0 ? (size_t)e->position : 0;
    if (end > text.n)
        end = text.n;
    if (end > 1 && text.p[end - 1] == '"')
        for (size_t i = end - 1; i > 0; i--) {
            size_t slashes = 0;
            while (slashes < i - 1 && text.p[i - 2 - slashes] == '\\')
                slashes++;
            if (text.p[i - 1] == '"' && slashes % 2 == 0)
                return i - 1;
        }
    const char *quoted = strstr(e->text, " near '");
    size_t n = quoted != NULL ? strlen(quoted + 7) - 1 : 1;
    return n <= end && n > 0 ? end - n : end;
}

static void explain_parse_error(struct compiler *c, const json_error_t *e)
{
    enum json_error_code code = json_error_code(e);
    size_t offset = token_start(c->text, e);
    if (c->text.n >= 3 && memcmp(c->text.p, "\xef\xbb\xbf", 3) == 0) {
        compile_remedy(compile_error_at(c, 0, "the text begins with a byte order mark"),
                       "save the file as UTF-8 without one");
    } else if (code == json_error_duplicate_key) {
        struct policy_diagnostic *d = compile_error_at(c, offset, "the same key twice");
        place_pointer_at(c->text, offset + 1, d->pointer, sizeof d->pointer);
        compile_remedy(d, "keep one of the two");
    } else if (code == json_error_stack_overflow) {
        compile_remedy(compile_error_at(c, offset, "nested too deeply"), "nest less");
    } else {
        compile_remedy(compile_error_at(c, offset, "not valid JSON: %s", e->text),
                       "look for a missing or surplus comma, quote or bracket here or just before; "
                       "JSON has no comments");
    }
}

/* ---- the whole -------------------------------------------------------------------------- */

static json_t *parse(struct compiler *c)
{
    if (c->text.n > LIMIT_POLICY_TEXT) {
        compile_remedy(
            compile_error_at(c, 0, "the policy is longer than %u bytes", LIMIT_POLICY_TEXT),
            "make it smaller");
        return NULL;
    }
    json_error_t error;
    json_t *policy = json_loadb((const char *)c->text.p, c->text.n, JSON_REJECT_DUPLICATES, &error);
    if (policy == NULL && json_error_code(&error) == json_error_out_of_memory)
        fatal_env(EXIT_OSERR, 0, "no memory to parse the policy");
    if (policy == NULL)
        explain_parse_error(c, &error);
    return policy;
}

bool policy_compile(struct span text, struct policy_compilation *out)
{
    *out = (struct policy_compilation){
        .diagnostics = compile_allocate(LIMIT_DIAGNOSTICS * sizeof(struct policy_diagnostic))};
    struct compiler *c = compile_allocate(sizeof *c);
    *c = (struct compiler){.text = text, .out = out};
    for (unsigned i = 0; i < POLICY_TABLE_COUNT; i++)
        if ((c->names[i] = json_object()) == NULL)
            fatal_env(EXIT_OSERR, 0, "no memory to compile the policy");
    struct place root = {0};
    json_t *policy = parse(c);
    if (policy != NULL)
        read_policy(c, &root, policy);
    if (out->errors == 0) {
        compile_index(c);
        policy_lint(c, &root, policy);
        compile_assemble(c);
    }
    if (out->errors == 0) {
        struct policy opened;
        char reason[LIMIT_REASON];
        if (!policy_open(&opened, span_of(out->image, out->image_size), reason))
            fatal_bug(__FILE__, __LINE__, reason);
    }
    compile_report_sort(out);
    json_decref(policy);
    for (unsigned i = 0; i < POLICY_TABLE_COUNT; i++) {
        json_decref(c->names[i]);
        free(c->tables[i].p);
    }
    free(c);
    return out->errors == 0;
}

void policy_compile_prepare(void)
{
    struct policy_compilation c;
    (void)policy_compile(SPAN_LIT("{}"), &c); /* has errors, so that they are sorted */
    policy_compilation_free(&c);
}

void policy_compilation_free(struct policy_compilation *c)
{
    free(c->image);
    free(c->diagnostics);
    *c = (struct policy_compilation){0};
}
