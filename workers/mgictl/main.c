/* mgictl: which command, and its end. */
#include "workers/mgictl/command.h"
#include <errno.h>
#include <stdio.h>

const struct command commands[] = {
#define COMMAND(name, arguments, argument_count, summary, details, function)                       \
    {name, arguments, argument_count, summary, details, function},
#include "workers/mgictl/commands.def"
#undef COMMAND
};
const size_t command_count = sizeof commands / sizeof commands[0];

/* How many words of the line are the command's name, 0 when they are not. */
static unsigned matches(const struct command *command, const struct command_line *line)
{
    const char *name = command->name;
    for (unsigned i = 0; i < line->count; i++) {
        size_t n = strlen(line->words[i]);
        if (strncmp(name, line->words[i], n) != 0)
            return 0;
        if (name[n] == '\0')
            return i + 1;
        if (name[n] != ' ')
            return 0;
        name += n + 1;
    }
    return 0;
}

/* The first word alone begins commands of two words: names them. */
static void unknown_command(const struct command_line *line)
{
    fprintf(stderr, "mgictl: there is no command \"");
    for (unsigned i = 0; i < line->count && i < 2; i++)
        fprintf(stderr, "%s%s", i > 0 ? " " : "", line->words[i]);
    fprintf(stderr, "\". There are:");
    for (size_t i = 0; i < command_count; i++)
        fprintf(stderr, "%s %s", i > 0 ? "," : "", commands[i].name);
    fprintf(stderr, ". See mgictl --help.\n");
}

static enum exit_status run(const struct command_line *line)
{
    for (size_t i = 0; i < command_count; i++) {
        unsigned words = matches(&commands[i], line);
        if (words == 0)
            continue;
        if (line->help) {
            help_command(&commands[i]);
            return EXIT_OK;
        }
        if (commands[i].argument_count != ANY_ARGUMENTS &&
            line->count - words != commands[i].argument_count) {
            fprintf(stderr, "mgictl: usage: mgictl %s %s\nSee mgictl %s --help.\n",
                    commands[i].name, commands[i].arguments, commands[i].name);
            return EXIT_USAGE;
        }
        if (!command_line_fits(line, &commands[i]))
            return EXIT_USAGE;
        return commands[i].run(line, line->words + words);
    }
    if (line->help) {
        help_all();
        return EXIT_OK;
    }
    if (line->count == 0)
        fprintf(stderr, "mgictl: which command? See mgictl --help.\n");
    else
        unknown_command(line);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct command_line line;
    if (!command_line_read(&line, argc, argv))
        return EXIT_USAGE;
    enum exit_status status = EXIT_OK;
    if (line.version)
        printf("mgictl %s\n", MGID_VERSION);
    else
        status = run(&line);
    /* A full disk or a closed pipe must not pass for an answer. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "mgictl: standard output: %s\n", strerror(errno));
        return status == EXIT_OK ? EXIT_IOERR : (int)status;
    }
    return (int)status;
}
