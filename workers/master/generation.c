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
        g->identity_files[i][0] = g->identity_files[i][1] = g->passphrase_files[i] = -1;
    for (int i = 0; i < LIMIT_POLICY_TRUSTS; i++)
        g->trust_files[i] = g->crl_files[i] = -1;
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
        if (id.passphrase.n > 0) {
            g->passphrase_files[i] = open_named("passphrase", id.name, id.passphrase, report);
            ok = ok && g->passphrase_files[i] >= 0;
        }
        if (g->identity_files[i][1] >= 0)
            warn_of_readable_key(g->identity_files[i][1], id.key);
    }
    for (unsigned i = 0; i < g->trusts; i++) {
        struct policy_trust t = policy_trust(&g->policy, i);
        g->trust_files[i] = open_named("trust store", t.name, t.file, report);
        ok = ok && g->trust_files[i] >= 0;
        if (t.crl.n > 0) {
            g->crl_files[i] = open_named("revocation list", t.name, t.crl, report);
            ok = ok && g->crl_files[i] >= 0;
        }
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
    g->stamp = generation_stamp(g);
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
        close_one(g->passphrase_files[i]);
    }
    for (int i = 0; i < LIMIT_POLICY_TRUSTS; i++)
        close_one(g->trust_files[i]), close_one(g->crl_files[i]);
    generation_clear(g);
}

/* The keeper before has read the file: the offset is shared with its descriptor. */
static int from_start(int fd)
{
    (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

void generation_send_files(struct master *m, struct process *keeper, struct generation *g)
{
    for (uint16_t i = 0; i < g->identities; i++) {
        const int *files = g->identity_files[i];
        if (g->passphrase_files[i] >= 0)
            process_send(m, keeper,
                         &(struct ipc_message){.kind = MSG_identity_passphrase,
                                               .fds = {from_start(g->passphrase_files[i]), -1},
                                               .identity_passphrase = {g->number, i}});
        process_send(m, keeper,
                     &(struct ipc_message){.kind = MSG_identity_files,
                                           .fds = {from_start(files[0]), from_start(files[1])},
                                           .identity_files = {g->number, i}});
    }
    for (uint16_t i = 0; i < g->trusts; i++) {
        if (g->crl_files[i] >= 0)
            process_send(m, keeper,
                         &(struct ipc_message){.kind = MSG_crl_file,
                                               .fds = {from_start(g->crl_files[i]), -1},
                                               .crl_file = {g->number, i}});
        process_send(m, keeper,
                     &(struct ipc_message){.kind = MSG_trust_file,
                                           .fds = {from_start(g->trust_files[i]), -1},
                                           .trust_file = {g->number, i}});
    }
}

/* ---- what the files look like now -------------------------------------------------------------
 */

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static uint64_t stamp_file(uint64_t h, struct span path)
{
    char text[LIMIT_PATH];
    struct stat st;
    if (path.n == 0)
        return h;
    if (!copy_text(text, sizeof text, path) || stat(text, &st) != 0)
        return mix(h, UINT64_MAX);
    h = mix(mix(h, st.st_dev), st.st_ino);
    h = mix(mix(h, (uint64_t)st.st_size), (uint64_t)st.st_mtim.tv_sec);
    return mix(h, (uint64_t)st.st_mtim.tv_nsec);
}

uint64_t generation_stamp(const struct generation *g)
{
    uint64_t h = 1;
    for (unsigned i = 0; i < g->identities; i++) {
        struct policy_identity id = policy_identity(&g->policy, i);
        h = stamp_file(stamp_file(stamp_file(h, id.certificate), id.key), id.passphrase);
    }
    for (unsigned i = 0; i < g->trusts; i++) {
        struct policy_trust t = policy_trust(&g->policy, i);
        h = stamp_file(stamp_file(h, t.file), t.crl);
    }
    return h;
}
