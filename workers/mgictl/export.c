/*
 * queue export, queue import: mails as files. A mail is a line of JSON, the envelope as queue list
 * shows it, then message_size bytes of content, then a newline. A file holds any number of them.
 */
#include "base64.h"
#include "engine/admin/client.h"
#include "workers/mgictl/command.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- export ----------------------------------------------------------------------------- */

struct export
{
    const char *directory; /* NULL: standard output */
    FILE *out;             /* of the mail under way; NULL: it is left out */
    char path[LIMIT_PATH];
    json_int_t mails, left_out;
    json_int_t size, written; /* of the mail under way */
};

static void leave_out(struct export *e, const char *id, const char *why)
{
    fprintf(stderr, "mgictl: %s is not exported: %s.\n", id, why);
    e->left_out++;
    if (e->out && e->directory) {
        (void)fclose(e->out);
        (void)unlink(e->path);
    } else if (e->out) {
        /* Half a mail on standard output: nothing behind it could be read. */
        fprintf(stderr, "mgictl: what was written ends within it.\n");
        exit(EXIT_IOERR);
    }
    e->out = NULL;
}

static bool plain(const char *id)
{
    for (const char *p = id; *p; p++)
        if (!ascii_digit((unsigned char)*p) && !(*p >= 'a' && *p <= 'z'))
            return false;
    return id[0] != '\0';
}

static void begin_mail(struct export *e, json_t *mail)
{
    const char *id = remote_text(mail, "queue_id");
    json_t *recipients = json_object_get(mail, "recipients");
    if (e->out) /* its worker is gone: what follows is another one's */
        leave_out(e, e->path, "its content broke off");
    e->size = remote_number(mail, "message_size");
    e->written = 0;
    if ((json_int_t)json_array_size(recipients) < remote_number(mail, "recipient_count")) {
        leave_out(e, id, "it has more recipients than one message to the daemon holds");
        return;
    }
    errno = EINVAL; /* an id that is no file's name */
    if (!e->directory) {
        e->out = stdout;
    } else if (plain(id) && snprintf(e->path, sizeof e->path, "%s/%s.mail", e->directory, id) <
                                (int)sizeof e->path) {
        int fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        e->out = fd >= 0 ? fdopen(fd, "w") : NULL;
    }
    if (!e->out) {
        leave_out(e, id, strerror(errno));
        return;
    }
    (void)json_dumpf(mail, e->out, JSON_COMPACT);
    (void)fputc('\n', e->out);
}

static void end_mail(struct export *e, const char *id)
{
    if (e->written != e->size) {
        leave_out(e, id, "its content is not as long as it should be");
        return;
    }
    (void)fputc('\n', e->out);
    bool ok = !ferror(e->out) && fflush(e->out) == 0;
    if (e->directory)
        ok = fdatasync(fileno(e->out)) == 0 && ok;
    if (!ok) {
        leave_out(e, id, strerror(errno));
        return;
    }
    if (e->directory)
        (void)fclose(e->out);
    e->out = NULL;
    e->mails++;
}

static void take_content(struct export *e, json_t *line)
{
    static unsigned char bytes[LIMIT_CONTENT + 3];
    const char *id = remote_text(line, "queue_id");
    json_t *data = json_object_get(line, "data");
    struct span text = span_of(remote_text(line, "data"), json_string_length(data));
    size_t n;
    if (!e->out)
        return;
    if (json_object_get(line, "error"))
        leave_out(e, id, remote_text(line, "error"));
    else if (text.n > BASE64_LENGTH(LIMIT_CONTENT) || !base64_decode(text, bytes, &n))
        leave_out(e, id, "the daemon sent what is no content");
    else if (json_is_true(json_object_get(line, "last")))
        end_mail(e, id);
    else
        e->written += (json_int_t)fwrite(bytes, 1, n, e->out);
}

static void take_line(void *context, json_t *line)
{
    struct export *e = context;
    if (strcmp(remote_text(line, "type"), "mail") == 0)
        begin_mail(e, line);
    else if (strcmp(remote_text(line, "type"), "content") == 0)
        take_content(e, line);
}

enum exit_status command_queue_export(const struct command_line *line, const char *const *arguments)
{
    static struct export e;
    struct command_line quiet = *line;
    json_t *end = NULL;
    bool to_stdout = arguments[0] && strcmp(arguments[0], "-") == 0;
    if (!arguments[0]) {
        fprintf(stderr, "mgictl: where to? Name a directory, or - for standard output.\n");
        return EXIT_USAGE;
    }
    quiet.json = false; /* the lines are not for standard output */
    e.directory = to_stdout ? NULL : arguments[0];
    enum exit_status result = remote_ask(&quiet, queue_request(line, "queue-export", arguments + 1),
                                         EXIT_UNAVAILABLE, take_line, &e, &end);
    if (e.out)
        leave_out(&e, e.path, "the answer broke off");
    fprintf(stderr, "%" JSON_INTEGER_FORMAT " mail%s exported. They are still queued here.\n",
            e.mails, e.mails == 1 ? "" : "s");
    result = queue_unread(end, result);
    json_decref(end);
    return result == EXIT_OK && e.left_out > 0 ? EXIT_TEMPFAIL : result;
}

/* ---- import ----------------------------------------------------------------------------- */

/* Sends a request (taken) and takes the one line that answers it; NULL, and said why, when it is
 * not "ok". */
static json_t *ask(struct admin_client *client, json_t *request)
{
    struct span text;
    char *line = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    bool sent =
        line && strlen(line) < LIMIT_ADMIN_REQUEST && admin_send(client, span_str(line)) == 0;
    free(line);
    if (!sent || admin_receive(client, LIMIT_ADMIN_RELOAD_SECONDS, &text) != ADMIN_LINE) {
        fprintf(stderr, "mgictl: mgid does not answer, or the envelope is too long.\n");
        return NULL;
    }
    json_t *answer = json_loadb((const char *)text.p, text.n, 0, NULL);
    if (json_is_true(json_object_get(answer, "ok")))
        return answer;
    fprintf(stderr, "mgictl: not imported: %s.\n", remote_text(answer, "error"));
    json_decref(answer);
    return NULL;
}

static json_t *for_worker(const char *command, json_t *begun)
{
    return json_pack("{s:s, s:I, s:I}", "command", command, "worker",
                     remote_number(begun, "worker"), "number", remote_number(begun, "number"));
}

/* The content that follows in the file. */
static bool send_content(struct admin_client *client, json_t *begun, FILE *in, json_int_t size)
{
    static unsigned char bytes[LIMIT_CONTENT];
    static char text[BASE64_LENGTH(LIMIT_CONTENT)];
    while (size > 0) {
        size_t wanted = size < LIMIT_CONTENT ? (size_t)size : LIMIT_CONTENT;
        size_t n = fread(bytes, 1, wanted, in);
        if (n != wanted) {
            fprintf(stderr, "mgictl: the file ends within a mail.\n");
            return false;
        }
        json_t *request = for_worker("import-data", begun);
        size_t length = base64_encode(span_of(bytes, n), text);
        (void)json_object_set_new(request, "data", json_stringn(text, length));
        json_t *answer = ask(client, request);
        if (!answer)
            return false;
        json_decref(answer);
        size -= (json_int_t)n;
    }
    return fgetc(in) == '\n';
}

static bool import_mail(struct admin_client *client, const char *line, size_t n, FILE *in)
{
    json_t *mail = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    json_int_t size = remote_number(mail, "message_size");
    if (strcmp(remote_text(mail, "type"), "mail") != 0 || size < 0) {
        fprintf(stderr, "mgictl: here is no mail of queue export.\n");
        json_decref(mail);
        return false;
    }
    json_t *begun = ask(client, json_pack("{s:s, s:O}", "command", "import-begin", "mail", mail));
    json_t *stored = NULL;
    if (begun && send_content(client, begun, in, size))
        stored = ask(client, for_worker("import-end", begun));
    if (stored) {
        print_safe(remote_text(mail, "queue_id"));
        printf(" is %s now\n", remote_text(stored, "queue_id"));
    }
    json_decref(mail);
    json_decref(begun);
    json_decref(stored);
    return stored != NULL;
}

/* All mails of a file; how many, or -1 when it went wrong. */
static long import_file(struct admin_client *client, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *in = standard ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    long mails = 0;
    if (!in) {
        fprintf(stderr, "mgictl: %s: %s.\n", path, strerror(errno));
        return -1;
    }
    while (mails >= 0 && (n = getline(&line, &capacity, in)) > 0) {
        if (import_mail(client, line, (size_t)n, in)) {
            mails++;
            continue;
        }
        fprintf(stderr, "mgictl: %s: stopped behind %ld mail%s.\n", path, mails,
                mails == 1 ? "" : "s");
        mails = -1;
    }
    free(line);
    if (!standard)
        (void)fclose(in);
    return mails;
}

enum exit_status command_queue_import(const struct command_line *line, const char *const *arguments)
{
    struct admin_client client;
    long mails = 0;
    if (!arguments[0]) {
        fprintf(stderr,
                "mgictl: which files? Name those of queue export, or - for standard input.\n");
        return EXIT_USAGE;
    }
    if (admin_connect(&client, line->socket) != 0) {
        fprintf(stderr, "mgictl: mgid does not answer at %s (%s).\n", line->socket,
                strerror(errno));
        return EXIT_UNAVAILABLE;
    }
    for (size_t i = 0; arguments[i] && mails >= 0; i++) {
        long n = import_file(&client, arguments[i]);
        mails = n < 0 ? -1 : mails + n;
    }
    admin_close(&client);
    if (mails >= 0)
        printf("%ld mail%s imported.\n", mails, mails == 1 ? "" : "s");
    return mails < 0 ? EXIT_TEMPFAIL : EXIT_OK;
}
