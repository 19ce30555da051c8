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

static bool add_rcpt(struct command_line *line, const char *value)
{
    if (line->rcpt_count == LIMIT_RCPTS || value[0] == '\0')
        return false;
    line->rcpts[line->rcpt_count++] = value;
    return true;
}

/* A number and a unit, "-" before it for "at most". False: not of that form. */
static bool read_amount(const char *value, const char *units, const unsigned long *factors,
                        unsigned long *at_least, unsigned long *at_most)
{
    char *end;
    bool most = value[0] == '-';
    value += most;
    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    if (!ascii_digit((unsigned char)value[0]) || errno != 0 || n == 0)
        return false;
    const char *unit = *end ? strchr(units, *end) : units + strlen(units);
    if (!unit || (*end && end[1]))
        return false;
    unsigned long factor = factors[unit - units];
    if (n > INT64_MAX / factor / 1000000)
        return false;
    *(most ? at_most : at_least) = n * factor;
    return true;
}

static bool read_age(struct command_line *line, const char *value)
{
    static const unsigned long factors[] = {1, 60, 3600, 86400, 1};
    return read_amount(value, "smhd", factors, &line->older, &line->younger);
}

static bool read_size(struct command_line *line, const char *value)
{
    static const unsigned long factors[] = {1ul << 10, 1ul << 20, 1ul << 30, 1};
    return read_amount(value, "KMG", factors, &line->larger, &line->smaller);
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
    line->given |= 1u << i;
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

bool option_fits(const struct command_option *option, const char *command)
{
    const char *one = option->command;
    while (one) {
        size_t n = strcspn(one, "|");
        if (strncmp(one, command, n) == 0 && (command[n] == '\0' || command[n] == ' '))
            return true;
        one = one[n] == '|' ? one + n + 1 : NULL;
    }
    return option->command == NULL;
}

bool command_line_fits(const struct command_line *line, const struct command *command)
{
    for (size_t i = 0; i < command_option_count; i++) {
        if (!(line->given >> i & 1) || option_fits(&command_options[i], command->name))
            continue;
        fprintf(stderr, "mgictl: %s takes no %s. See mgictl %s --help.\n", command->name,
                command_options[i].name, command->name);
        return false;
    }
    return true;
}
