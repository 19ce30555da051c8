/* The command line. */
#include "workers/mgictl/command.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_SOCKET "/run/mgid/control.sock"

static bool read_limit(struct command_line *line, const char *value)
{
    char *end;
    errno = 0;
    line->limit = strtoul(value, &end, 10);
    return ascii_digit((unsigned char)value[0]) && *end == '\0' && errno == 0 && line->limit > 0 &&
           line->limit <= INT64_MAX;
}

const struct command_option command_options[] = {
#define OPTION(name, argument, command, help, action) {name, argument, command, help},
#include "workers/mgictl/options.def"
#undef OPTION
};
const size_t command_option_count = sizeof command_options / sizeof command_options[0];

static bool act(struct command_line *line, size_t option, const char *value)
{
    size_t i = 0;
#define OPTION(name, argument, command, help, action)                                              \
    if (option == i++)                                                                             \
        return action;
#include "workers/mgictl/options.def"
#undef OPTION
    return false;
}

/* The option in word, which may end with "=VALUE"; command_option_count when there is none. */
static size_t find(const char *word, const char **value)
{
    size_t n = strcspn(word, "=");
    *value = word[n] == '=' ? word + n + 1 : NULL;
    for (size_t i = 0; i < command_option_count; i++)
        if (strlen(command_options[i].name) == n && strncmp(command_options[i].name, word, n) == 0)
            return i;
    return command_option_count;
}

/* Takes the option at argv[*at], and the word after it when that is its value. */
static bool take_option(struct command_line *line, int argc, char **argv, int *at)
{
    const char *value;
    const char *word = argv[*at];
    size_t i = find(word, &value);
    if (i == command_option_count) {
        fprintf(stderr, "mgictl: there is no option %s. mgictl --help lists them.\n", word);
        return false;
    }
    const struct command_option *option = &command_options[i];
    if (option->argument && !value && *at + 1 < argc)
        value = argv[++*at];
    if ((option->argument != NULL) != (value != NULL)) {
        fprintf(stderr, "mgictl: %s takes %s%s.\n", option->name,
                option->argument ? "a value: " : "no value",
                option->argument ? option->argument : "");
        return false;
    }
    if (act(line, i, value ? value : ""))
        return true;
    fprintf(stderr, "mgictl: \"%s\" is no value for %s (%s).\n", value ? value : "", option->name,
            option->help);
    return false;
}

bool command_line_read(struct command_line *line, int argc, char **argv)
{
    const char *socket = getenv("MGID_SOCKET");
    *line = (struct command_line){.socket = socket && socket[0] ? socket : DEFAULT_SOCKET};
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strcmp(argv[i], "-h") == 0) {
            line->help = true;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (!take_option(line, argc, argv, &i))
                return false;
        } else if (line->count == LIMIT_ARGUMENTS) {
            fprintf(stderr, "mgictl: too many words. mgictl --help lists the commands.\n");
            return false;
        } else {
            line->words[line->count++] = argv[i];
        }
    }
    return true;
}

bool command_line_fits(const struct command_line *line, const struct command *command)
{
    if (line->limit == 0 || strcmp(command->name, "queue list") == 0)
        return true;
    fprintf(stderr, "mgictl: %s takes no --limit. See mgictl %s --help.\n", command->name,
            command->name);
    return false;
}
