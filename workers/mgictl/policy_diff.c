/*
 * policy diff: which mails two policies treat otherwise. Each mail of a folder is explained by
 * both; what they tell is compared, but for the rules that they tried on the way.
 */
#include "engine/smtp/address.h"
#include "workers/mgictl/command.h"
#include "workers/mgictl/explain.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct side {
    struct policy_compilation compilation;
    struct policy policy;
    struct explained e;
};

struct comparison {
    const struct command_line *line;
    struct side old, new;
    unsigned mails, recipients, differ, unread;
};

/* Without comments: parentheses, as far as they can stand in an address without quotes. */
static size_t uncommented(struct span s, char *out, size_t capacity)
{
    size_t n = 0;
    unsigned depth = 0;
    for (size_t i = 0; i < s.n && n < capacity; i++) {
        depth += s.p[i] == '(';
        if (depth == 0)
            out[n++] = (char)s.p[i];
        depth -= s.p[i] == ')' && depth > 0;
    }
    return n;
}

/* What of a mailbox, as it stands in a header, is the address; "" when none can be seen. */
static void address_of(struct span mailbox, char out[LIMIT_ADDRESS + 1])
{
    struct smtp_address parsed;
    char text[LIMIT_HEADER_CAPTURE];
    const unsigned char *close = mailbox.n > 0 ? memrchr(mailbox.p, '>', mailbox.n) : NULL;
    const unsigned char *open = close ? memrchr(mailbox.p, '<', (size_t)(close - mailbox.p)) : NULL;
    size_t n = uncommented(mailbox, text, sizeof text);
    struct span s = open ? span_of(open + 1, (size_t)(close - open - 1)) : span_of(text, n);
    s = span_trim(s);
    out[0] = '\0';
    if (s.n == 0 || s.n > LIMIT_ADDRESS || smtp_address_parse(s, &parsed) != SMTP_ADDRESS_OK)
        return;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

/* The next address of the joined fields' values; false at the end. */
static bool next_address(struct span *fields, struct span *list, char out[LIMIT_ADDRESS + 1])
{
    unsigned char domain[LIMIT_DOMAIN];
    size_t n;
    for (;;) {
        struct span before = *list;
        if (!header_next_domain(list, domain, &n)) {
            if (!header_next_value(fields, list))
                return false;
            continue;
        }
        struct span mailbox = span_head(before, before.n - list->n);
        while (mailbox.n > 0 && memchr(", ;", mailbox.p[mailbox.n - 1], 3))
            mailbox.n--;
        while (mailbox.n > 0 && memchr(", ;", mailbox.p[0], 3))
            mailbox = span_from(mailbox, 1);
        address_of(mailbox, out);
        if (out[0])
            return true;
    }
}

static json_t *told(const struct side *s, const char *recipient)
{
    json_t *r = explain_recipient(&s->e, recipient);
    (void)json_object_del(r, "rules");
    (void)json_object_del(r, "phase"); /* when it is known is no other treatment */
    return r;
}

static void summary(json_t *r, char *out, size_t n)
{
    const char *what = remote_text(r, "route");
    (void)snprintf(out, n, "%s %s by rule %s", remote_text(r, "outcome"),
                   what[0] ? what : remote_text(r, "reply"), remote_text(r, "rule"));
}

static void say(const struct comparison *c, const char *file, const char *recipient, json_t *was,
                json_t *is)
{
    char before[LIMIT_REASON], after[LIMIT_REASON];
    if (c->line->json) {
        json_t *both =
            json_pack("{sssssOsO}", "mail", file, "recipient", recipient, "old", was, "new", is);
        char *text = both ? json_dumps(both, JSON_COMPACT) : NULL;
        printf("%s\n", text ? text : "");
        free(text);
        json_decref(both);
        return;
    }
    summary(was, before, sizeof before);
    summary(is, after, sizeof after);
    print_safe(file);
    printf(" to ");
    print_safe(recipient);
    printf(":\n    was ");
    print_safe(before);
    printf("\n    is  ");
    print_safe(after);
    printf("%s\n", strcmp(before, after) == 0 ? ", otherwise in detail (--json)" : "");
}

static void compare_recipient(struct comparison *c, const char *file, const char *recipient)
{
    json_t *was = told(&c->old, recipient);
    json_t *is = told(&c->new, recipient);
    c->recipients++;
    if (!json_equal(was, is)) {
        c->differ++;
        say(c, file, recipient, was, is);
    }
    json_decref(was);
    json_decref(is);
}

static void compare_mail(struct comparison *c, const char *folder, const char *file)
{
    char *path = NULL;
    char sender[LIMIT_ADDRESS + 1], recipient[LIMIT_ADDRESS + 1];
    struct span list = SPAN_EMPTY;
    if (asprintf(&path, "%s/%s", folder, file) < 0)
        fatal_env(EXIT_OSERR, ENOMEM, "no memory");
    int error = explain_read(&c->old.e, path);
    error = error ? error : explain_read(&c->new.e, path);
    free(path);
    if (error != 0) {
        fprintf(stderr, "mgictl: %s/%s: %s\n", folder, file, strerror(error));
        c->unread++;
        return;
    }
    c->mails++;
    struct span from = explain_from();
    if (c->line->from || !next_address(&from, &list, sender))
        (void)snprintf(sender, sizeof sender, "%s", c->line->from ? c->line->from : "");
    c->old.e.sender = c->new.e.sender = sender;
    for (unsigned i = 0; i < c->line->rcpt_count; i++)
        compare_recipient(c, file, c->line->rcpts[i]);
    struct span to = explain_to();
    list = SPAN_EMPTY;
    while (c->line->rcpt_count == 0 && next_address(&to, &list, recipient))
        compare_recipient(c, file, recipient);
}

static int is_mail(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static enum exit_status replay(struct comparison *c, const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, is_mail, alphasort);
    if (n < 0) {
        fprintf(stderr, "mgictl: %s: %s\n", folder, strerror(errno));
        return EXIT_NOINPUT;
    }
    for (int i = 0; i < n; i++) {
        compare_mail(c, folder, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (!c->line->json)
        printf("%u mails, %u recipients: %u treated otherwise\n", c->mails, c->recipients,
               c->differ);
    return c->unread > 0 ? EXIT_NOINPUT : EXIT_OK;
}

static enum exit_status open_side(struct side *s, const char *path, const struct command_line *line)
{
    char wrong[LIMIT_REASON];
    enum exit_status status = explain_open(path, &s->compilation, &s->policy);
    s->e = (struct explained){.policy = &s->policy, .sender = ""};
    if (status != EXIT_OK || explain_envelope(&s->e, line->flow, line->client, line->peer, wrong))
        return status;
    fprintf(stderr, "mgictl: %s: %s.\n", path, wrong);
    return EXIT_USAGE;
}

enum exit_status command_policy_diff(const struct command_line *line, const char *const *arguments)
{
    static struct comparison c;
    c = (struct comparison){.line = line};
    if (!line->replay) {
        fprintf(stderr, "mgictl: which mails? Say --replay DIR.\n");
        return EXIT_USAGE;
    }
    enum exit_status status = open_side(&c.old, arguments[0], line);
    if (status == EXIT_OK)
        status = open_side(&c.new, arguments[1], line);
    if (status == EXIT_OK)
        status = replay(&c, line->replay);
    policy_compilation_free(&c.old.compilation);
    policy_compilation_free(&c.new.compilation);
    return status;
}
