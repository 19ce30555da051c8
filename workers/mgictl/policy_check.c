/* policy check: the compiler's verdict, in this process. */
#include "policy/compile.h"
#include "workers/mgictl/command.h"
#include <stdio.h>
#include <stdlib.h>

static void show_text(const char *path, const struct policy_compilation *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        const struct policy_diagnostic *d = &c->diagnostics[i];
        print_safe(path);
        if (d->line > 0)
            printf(":%u:%u", d->line, d->column);
        printf(": %s: ", policy_severity_name(d->severity));
        if (d->pointer[0]) {
            print_safe(d->pointer);
            printf(": ");
        }
        print_safe(d->what);
        if (d->remedy[0]) {
            printf("; ");
            print_safe(d->remedy);
        }
        printf("\n");
    }
    if (c->untold > 0)
        printf("… and %u more\n", c->untold);
    if (c->errors > 0)
        printf("%s is not usable: %u error%s, %u warning%s.\n", path, c->errors,
               c->errors == 1 ? "" : "s", c->warnings, c->warnings == 1 ? "" : "s");
    else
        printf("%s is usable: %u warning%s.\n", path, c->warnings, c->warnings == 1 ? "" : "s");
}

enum exit_status command_policy_check(const struct command_line *line, const char *const *arguments)
{
    const char *path = arguments[0];
    struct policy_compilation compilation;
    int read_error;
    bool usable = policy_compile_file(path, &compilation, &read_error);
    if (line->json) {
        char *text = policy_report_json(&compilation, span_str(path));
        printf("%s\n", text ? text : "");
        free(text);
    }
    if (read_error != 0)
        fprintf(stderr, "mgictl: %s: %s. Is the path right, and may you read it?\n", path,
                strerror(read_error));
    else if (!line->json)
        show_text(path, &compilation);
    policy_compilation_free(&compilation);
    return usable ? EXIT_OK : read_error != 0 ? EXIT_NOINPUT : EXIT_DATA;
}
