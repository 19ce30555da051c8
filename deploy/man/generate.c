/*
 * mgidoc: mgictl's man page and shell completions, from the tables that make its help; and
 * mgid-policy(5), from the schema.
 *
 *     mgidoc man|bash|zsh|fish         to standard output
 *     mgidoc policy SCHEMA
 *
 * Runs when mgid is built; not installed. tests/e2e/test_manual.sh holds what comes out against
 * mgictl itself, mandoc and the shells.
 */
#include "deploy/man/manual.h"
#include "status.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/mgid/control.sock"

struct command {
    const char *name; /* one or two words */
    const char *arguments;
    const char *summary;
    const char *details;
};

static const struct command commands[] = {
#define COMMAND(name, arguments, argument_count, summary, details, function)                       \
    {name, arguments, summary, details},
#include "workers/mgictl/commands.def"
#undef COMMAND
};

struct option {
    const char *name;
    const char *argument; /* or NULL */
    const char *command;  /* those that take it (option_fits of mgictl), or NULL: all */
    const char *help;
};

static const struct option options[] = {
#define OPTION(name, argument, command, help, action) {name, argument, command, help},
#include "workers/mgictl/options.def"
#undef OPTION
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* One of the option's commands, "queue|policy diff", is the command or its first word. */
static bool takes(const struct command *command, const struct option *option)
{
    const char *one = option->command;
    while (one && command) {
        size_t n = strcspn(one, "|");
        if (strncmp(one, command->name, n) == 0 && strchr(" ", command->name[n]) != NULL)
            return true;
        one = one[n] == '|' ? one + n + 1 : NULL;
    }
    return option->command == NULL;
}

/* Is the argument a file's name, which a shell can complete? */
static bool is_file(const char *argument)
{
    return argument != NULL &&
           (strstr(argument, "FILE") != NULL || strstr(argument, "PATH") != NULL);
}

/* ---- the man page (mdoc(7)) ---------------------------------------------------------------- */

/* One character so that it is only text. */
static void put(char c, bool begin)
{
    if (begin && (c == '.' || c == '\''))
        fputs("\\&", stdout);
    if (c == '\\')
        fputs("\\e", stdout);
    else if (c == '`')
        fputs("\\(ga", stdout);
    else
        putchar(c);
}

void manual_text(const char *text)
{
    enum { WIDTH = 72 };
    for (unsigned column = 0; *text != '\0'; text++) {
        bool sentence = *text == ' ' && column > 0 && strchr(".?!", text[-1]) != NULL;
        bool wrap = sentence || (*text == ' ' && column + strcspn(text + 1, " \n") >= WIDTH);
        put(wrap ? '\n' : *text, column == 0);
        column = wrap || *text == '\n' ? 0 : column + 1;
    }
}

static void literal_line(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(text[i], i == 0);
    putchar('\n');
}

void manual_line(const char *text)
{
    size_t n = strlen(text);
    manual_text(text);
    puts(n > 0 && text[n - 1] == '.' ? "" : ".");
}

static void man_line(const char *line, size_t n)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%.*s", (int)n, line);
    manual_text(text);
    putchar('\n');
}

/* Details are paragraphs; lines that begin with four spaces are literal. */
static void man_details(const char *s)
{
    bool literal = false, gap = false, begun = false;
    while (*s != '\0') {
        size_t n = strcspn(s, "\n");
        bool indented = strncmp(s, "    ", 4) == 0;
        if (n == 0) {
            gap = true;
        } else {
            if (literal && !indented)
                puts(".Ed");
            if (indented && !literal)
                puts(".Bd -literal -offset indent -compact");
            else if (!indented && (gap || literal) && begun)
                puts(".Pp");
            literal = indented;
            if (indented)
                literal_line(s + 4, n - 4);
            else
                man_line(s, n);
            gap = false;
            begun = true;
        }
        s += n + (s[n] == '\n');
    }
    if (literal)
        puts(".Ed");
}

static void man_option(const struct option *o)
{
    printf(".It Fl -%s", o->name + 2);
    if (o->argument)
        printf(" Ar %s", o->argument);
    putchar('\n');
    manual_line(o->help);
}

static bool has_options(const struct command *command)
{
    for (size_t i = 0; i < COUNT(options); i++)
        if (options[i].command != NULL && takes(command, &options[i]))
            return true;
    return false;
}

static void man_command(const struct command *c)
{
    printf(".It Cm %s", c->name);
    if (c->arguments[0] != '\0')
        printf(" Ar %s", c->arguments);
    putchar('\n');
    man_details(c->details);
    if (!has_options(c))
        return;
    puts(".Bl -tag -width indent");
    for (size_t i = 0; i < COUNT(options); i++)
        if (options[i].command != NULL && takes(c, &options[i]))
            man_option(&options[i]);
    puts(".El");
}

static void man(void)
{
    puts(".Dd November 24, 2026\n.Dt MGICTL 8\n.Os"
         "\n"
         ".Sh NAME\n.Nm mgictl\n.Nd ask and steer the mail gateway daemon mgid\n"
         ".Sh SYNOPSIS\n.Nm mgictl\n.Op Fl -socket Ar PATH\n.Op Fl -json\n"
         ".Ar command\n.Op Ar argument ...\n"
         ".Sh DESCRIPTION\n.Nm\nasks a running\n.Xr mgid 8\n"
         "what it does and tells it what to do.\nAnswers go to standard output; everything that is "
         "wrong goes to standard error,\nwith the remedy.\n.Pp\nThese options go with every "
         "command:\n.Bl -tag -width indent");
    for (size_t i = 0; i < COUNT(options); i++)
        if (options[i].command == NULL)
            man_option(&options[i]);
    puts(".El\n.Sh COMMANDS\n.Bl -tag -width indent");
    for (size_t i = 0; i < COUNT(commands); i++)
        man_command(&commands[i]);
    puts(".El\n.Sh ENVIRONMENT\n.Bl -tag -width MGID_SOCKET\n.It Ev MGID_SOCKET\n"
         "The admin socket, unless\n.Fl -socket\nnames it.\n.El\n"
         ".Sh FILES\n.Bl -tag -width indent\n.It Pa " DEFAULT_SOCKET "\n"
         "The admin socket, unless the policy says otherwise\n.Pq Cm control . socket .\n.El\n"
         ".Sh EXIT STATUS\nThose of\n.Xr sysexits 3 :\n0 when all went well, 64 for a command line "
         "that is not understood, 69 when\n.Xr mgid 8\ndoes not answer.\nA command that has others "
         "names them above.\n"
         ".Sh SEE ALSO\n.Xr mgid-policy 5 ,\n.Xr mgid 8");
}

/* ---- completions --------------------------------------------------------------------------- */

static size_t first_word(const char *name)
{
    return strcspn(name, " ");
}

/* Is this the first command that begins with that word? */
static bool first_of_word(size_t i)
{
    size_t n = first_word(commands[i].name);
    for (size_t k = 0; k < i; k++)
        if (first_word(commands[k].name) == n &&
            strncmp(commands[k].name, commands[i].name, n) == 0)
            return false;
    return true;
}

/* In single quotes of a shell: a quote inside becomes a typographic one. */
static void quoted(const char *s)
{
    putchar('\'');
    for (; *s != '\0'; s++) {
        if (*s == '\'')
            fputs("’", stdout);
        else
            putchar(*s);
    }
    putchar('\'');
}

/* "word word " of the options that the command (NULL: none yet) takes. */
static void option_words(const struct command *command)
{
    for (size_t i = 0; i < COUNT(options); i++)
        if (takes(command, &options[i]))
            printf("%s ", options[i].name);
}

static void values_pattern(bool file)
{
    const char *separator = "";
    for (size_t i = 0; i < COUNT(options); i++)
        if (options[i].argument != NULL && is_file(options[i].argument) == file) {
            printf("%s%s", separator, options[i].name);
            separator = "|";
        }
}

static void bash(void)
{
    puts("# bash completion for mgictl; made by deploy/man/generate.c\n"
         "_mgictl()\n{\n"
         "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
         "    local word skip= words=()\n"
         "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "        [ -z \"$skip\" ] || { skip=; continue; }\n"
         "        case $word in");
    printf("        ");
    values_pattern(true);
    printf("|");
    values_pattern(false);
    puts(") skip=1 ;;\n        -*) ;;\n        *) words+=(\"$word\") ;;\n        esac\n    done\n"
         "    case $previous in");
    printf("    ");
    values_pattern(true);
    puts(") mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return ;;");
    printf("    ");
    values_pattern(false);
    puts(") return ;;\n    esac\n    local next options\n    case \"${words[*]}\" in");
    for (size_t i = 0; i < COUNT(commands); i++) {
        const struct command *c = &commands[i];
        printf("    '%s'*) options='", c->name);
        option_words(c);
        printf("'%s ;;\n", is_file(c->arguments) ? " next=-f" : "");
    }
    for (size_t i = 0; i < COUNT(commands); i++) {
        size_t n = first_word(commands[i].name);
        if (commands[i].name[n] == '\0' || !first_of_word(i))
            continue;
        printf("    %.*s) next='", (int)n, commands[i].name);
        for (size_t k = i; k < COUNT(commands); k++)
            if (strncmp(commands[k].name, commands[i].name, n + 1) == 0)
                printf("%s ", commands[k].name + n + 1);
        puts("' ;;");
    }
    printf("    '') next='");
    for (size_t i = 0; i < COUNT(commands); i++)
        if (first_of_word(i))
            printf("%.*s ", (int)first_word(commands[i].name), commands[i].name);
    printf("' options='");
    option_words(NULL);
    puts("' ;;\n    esac\n"
         "    if [[ $current = -* ]]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
         "    elif [ \"$next\" = -f ]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
         "    else\n"
         "        mapfile -t COMPREPLY < <(compgen -W \"$next\" -- \"$current\")\n"
         "    fi\n}\n"
         "complete -o filenames -F _mgictl mgictl");
}

static void zsh_options(const struct command *command)
{
    for (size_t i = 0; i < COUNT(options); i++) {
        const struct option *o = &options[i];
        char spec[256];
        if (!takes(command, o))
            continue;
        (void)snprintf(spec, sizeof spec, "%s[%s]%s%s%s", o->name, o->help, o->argument ? ":" : "",
                       o->argument ? o->argument : "", is_file(o->argument) ? ":_files" : "");
        printf(" \\\n            ");
        quoted(spec);
    }
}

/* One list of words with what they mean. */
static void zsh_words(size_t from, size_t n)
{
    printf("        choices=(");
    for (size_t i = from; i < COUNT(commands); i++) {
        const char *name = commands[i].name;
        char word[256];
        size_t first = first_word(name);
        if (n > 0 ? strncmp(name, commands[from].name, n) != 0 : !first_of_word(i))
            continue;
        (void)snprintf(word, sizeof word, "%.*s:%s", n > 0 ? 64 : (int)first, name + n,
                       n > 0 || name[first] == '\0' ? commands[i].summary : "");
        putchar(' ');
        quoted(word);
    }
    puts(" )\n        _describe -t commands command choices");
}

static void zsh(void)
{
    puts("#compdef mgictl\n# made by deploy/man/generate.c\n"
         "_mgictl()\n{\n    local context state state_descr line\n    typeset -A opt_args\n"
         "    local -a choices");
    puts("    _arguments -C \\");
    printf("            '1: :->first' '*:: :->rest'");
    zsh_options(NULL);
    puts("\n    case $state in\n    first)");
    zsh_words(0, 0);
    puts("        ;;\n    rest)\n        case $words[1] in");
    for (size_t i = 0; i < COUNT(commands); i++) {
        const struct command *c = &commands[i];
        size_t n = first_word(c->name);
        if (!first_of_word(i))
            continue;
        printf("        %.*s)\n", (int)n, c->name);
        if (c->name[n] == '\0') {
            printf("        _arguments%s", is_file(c->arguments) ? " '*:FILE:_files'" : "");
            zsh_options(c);
            puts("\n        ;;");
            continue;
        }
        puts("        if (( CURRENT == 2 )); then");
        zsh_words(i, n + 1);
        puts("        else\n        shift words; (( CURRENT-- ))\n        case $words[1] in");
        for (size_t k = i; k < COUNT(commands); k++) {
            if (strncmp(commands[k].name, c->name, n + 1) != 0)
                continue;
            printf("        %s)\n        _arguments%s", commands[k].name + n + 1,
                   is_file(commands[k].arguments) ? " '*:FILE:_files'" : "");
            zsh_options(&commands[k]);
            puts("\n        ;;");
        }
        puts("        esac\n        fi\n        ;;");
    }
    puts("        esac\n        ;;\n    esac\n}\n_mgictl \"$@\"");
}

/* The last word of each: what has been written when the option may come. */
static void fish_commands(const char *commands_of)
{
    printf(" -n '__fish_seen_subcommand_from");
    for (const char *s = commands_of; *s != '\0'; s += *s == '|') {
        size_t n = strcspn(s, "|"), last = n;
        while (last > 0 && s[last - 1] != ' ')
            last--;
        printf(" %.*s", (int)(n - last), s + last);
        s += n;
    }
    putchar('\'');
}

static void fish(void)
{
    puts("# fish completion for mgictl; made by deploy/man/generate.c\ncomplete -c mgictl -f");
    for (size_t i = 0; i < COUNT(commands); i++) {
        const struct command *c = &commands[i];
        size_t n = first_word(c->name);
        bool two = c->name[n] != '\0';
        if (first_of_word(i)) {
            printf("complete -c mgictl -n __fish_use_subcommand -a %.*s", (int)n, c->name);
            if (!two) {
                printf(" -d ");
                quoted(c->summary);
            }
            putchar('\n');
        }
        if (two) {
            printf("complete -c mgictl -n '__fish_seen_subcommand_from %.*s; and not "
                   "__fish_seen_subcommand_from %s' -a %s -d ",
                   (int)n, c->name, c->name + n + 1, c->name + n + 1);
            quoted(c->summary);
            putchar('\n');
        }
        if (is_file(c->arguments))
            printf("complete -c mgictl -n '__fish_seen_subcommand_from %.*s; and "
                   "__fish_seen_subcommand_from %s' -F\n",
                   (int)n, c->name, two ? c->name + n + 1 : c->name);
    }
    for (size_t i = 0; i < COUNT(options); i++) {
        const struct option *o = &options[i];
        printf("complete -c mgictl -l %s", o->name + 2);
        if (o->command)
            fish_commands(o->command);
        if (o->argument)
            printf(" -r%s", is_file(o->argument) ? " -F" : "");
        printf(" -d ");
        quoted(o->help);
        putchar('\n');
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(void);
    } kinds[] = {{"man", man}, {"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; argc == 2 && i < COUNT(kinds); i++)
        if (strcmp(argv[1], kinds[i].name) == 0) {
            kinds[i].write();
            return fflush(stdout) == 0 ? EXIT_OK : EXIT_IOERR;
        }
    if (argc == 3 && strcmp(argv[1], "policy") == 0)
        return manual_policy(argv[2]);
    fputs("usage: mgidoc man|bash|zsh|fish, or mgidoc policy SCHEMA\n", stderr);
    return EXIT_USAGE;
}
