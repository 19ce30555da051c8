/* Help, from the tables. */
#include "workers/mgictl/command.h"
#include <stdio.h>

static void options_of(const char *command)
{
    for (size_t i = 0; i < command_option_count; i++) {
        const struct command_option *option = &command_options[i];
        char left[48];
        if (command ? !option_fits(option, command) : option->command != NULL)
            continue;
        (void)snprintf(left, sizeof left, "%s%s%s", option->name, option->argument ? " " : "",
                       option->argument ? option->argument : "");
        printf("  %-22s %s\n", left, option->help);
    }
}

void help_all(void)
{
    printf("mgictl: ask and steer mgid, the mail gateway daemon.\n\n"
           "Usage: mgictl [--socket PATH] [--json] COMMAND\n\nCommands:\n");
    for (size_t i = 0; i < command_count; i++) {
        char left[48];
        (void)snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].arguments);
        printf("  %-28s %s\n", left, commands[i].summary);
    }
    printf("\nOptions:\n");
    options_of(NULL);
    printf("\nmgictl COMMAND --help says more of each, with an example. A first look:\n"
           "    mgictl status\n");
}

void help_command(const struct command *command)
{
    printf("mgictl %s: %s.\n\nUsage: mgictl %s%s%s [OPTION…]\n\n%s\nOptions:\n", command->name,
           command->summary, command->name, command->arguments[0] ? " " : "", command->arguments,
           command->details);
    options_of(command->name);
}
