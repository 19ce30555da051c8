/* A compiled policy, and the files that it names, opened. */
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void report_add(struct report *r, const char *format, ...)
{
    char line[LIMIT_LOG_LINE];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    report_add_span(r, span_str(line));
}

void report_add_span(struct report *r, struct span text)
{
    if (text.n == 0 || r->n + text.n + 1 > LIMIT_REPORT)
        return;
    if (r->n > 0 && r->text[r->n - 1] != '\n')
        r->text[r->n++] = '\n';
    if (text.n > LIMIT_REPORT - r->n)
        text.n = LIMIT_REPORT - r->n;
    memcpy(r->text + r->n, text.p, text.n);
    r->n += text.n;
}

bool copy_text(char *out, size_t capacity, struct span text)
{
    if (text.n >= capacity || memchr(text.p, '\0', text.n) != NULL)
        return false;
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return true;
}

int open_regular(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    (void)close(fd);
    errno = EINVAL;
    return -1;
}

void generation_clear(struct generation *g)
{
    *g = (struct generation){.image = -1};
    for (int i = 0; i < LIMIT_POLICY_IDENTITIES; i++)
        g->identity_files[i][0] = g->identity_files[i][1] = -1;
    for (int i = 0; i < LIMIT_POLICY_TRUSTS; i++)
        g->trust_files[i] = -1;
}

/* One file that the policy names, as `what` "name". */
static int open_named(const char *what, struct span name, struct span path, struct report *report)
{
    char text[LIMIT_PATH];
    int fd = -1;
    errno = ENAMETOOLONG;
    if (copy_text(text, sizeof text, path))
        fd = open_regular(text);
    if (fd < 0)
        report_add(report, "%s of \"%.*s\": can't open %.*s: %s", what, (int)name.n,
                   (const char *)name.p, (int)path.n, (const char *)path.p,
                   errno == EINVAL ? "not a regular file" : strerror(errno));
    return fd;
}

static void warn_of_readable_key(int fd, struct span path)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || (st.st_mode & 077) == 0)
        return;
    log_begin(LOG_WARNING, "policy");
    log_format("text", "the key %.*s is open to others than its owner: chmod 600", (int)path.n,
               (const char *)path.p);
    log_end();
}

static bool open_files(struct generation *g, struct report *report)
{
    bool ok = true;
    for (unsigned i = 0; i < g->identities; i++) {
        struct policy_identity id = policy_identity(&g->policy, i);
        g->identity_files[i][0] = open_named("certificate", id.name, id.certificate, report);
        g->identity_files[i][1] = open_named("key", id.name, id.key, report);
        ok = ok && g->identity_files[i][0] >= 0 && g->identity_files[i][1] >= 0;
        if (g->identity_files[i][1] >= 0)
            warn_of_readable_key(g->identity_files[i][1], id.key);
    }
    for (unsigned i = 0; i < g->trusts; i++) {
        struct policy_trust t = policy_trust(&g->policy, i);
        g->trust_files[i] = open_named("trust store", t.name, t.file, report);
        ok = ok && g->trust_files[i] >= 0;
    }
    return ok;
}

bool generation_open(struct generation *g, uint32_t number, int image, struct report *report)
{
    char reason[LIMIT_REASON + 1] = "";
    generation_clear(g);
    g->image = image;
    if (!policy_map(&g->policy, image, reason)) {
        report_add(report, "the compiled policy is not valid: %s", reason);
        (void)close(image);
        generation_clear(g);
        return false;
    }
    g->number = number;
    g->identities = policy_count(&g->policy, POLICY_IDENTITIES);
    g->trusts = policy_count(&g->policy, POLICY_TRUSTS);
    BUG_ON(g->identities > LIMIT_POLICY_IDENTITIES || g->trusts > LIMIT_POLICY_TRUSTS);
    if (open_files(g, report))
        return true;
    generation_close(g);
    return false;
}

static void close_one(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void generation_close(struct generation *g)
{
    if (g->number == 0)
        return;
    policy_unmap(&g->policy);
    close_one(g->image);
    for (int i = 0; i < LIMIT_POLICY_IDENTITIES; i++) {
        close_one(g->identity_files[i][0]);
        close_one(g->identity_files[i][1]);
    }
    for (int i = 0; i < LIMIT_POLICY_TRUSTS; i++)
        close_one(g->trust_files[i]);
    generation_clear(g);
}

void generation_send_files(struct master *m, struct process *keeper, struct generation *g)
{
    for (unsigned i = 0; i < g->identities; i++) {
        const int *files = g->identity_files[i];
        /* The keeper before has read them: the offset is shared with its descriptors. */
        (void)lseek(files[0], 0, SEEK_SET);
        (void)lseek(files[1], 0, SEEK_SET);
        process_send(m, keeper,
                     &(struct ipc_message){
                         .kind = MSG_identity_files,
                         .fds = {files[0], files[1]},
                         .identity_files = {.generation = g->number, .identity = (uint16_t)i}});
    }
    for (unsigned i = 0; i < g->trusts; i++) {
        (void)lseek(g->trust_files[i], 0, SEEK_SET);
        process_send(
            m, keeper,
            &(struct ipc_message){.kind = MSG_trust_file,
                                  .fds = {g->trust_files[i], -1},
                                  .trust_file = {.generation = g->number, .trust = (uint16_t)i}});
    }
}
