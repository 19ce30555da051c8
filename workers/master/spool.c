/* The spool's directories: spool/lock, and spool/FLOW/N for worker N of a flow. */
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIRECTORY_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* A flow's name becomes a directory's: the image comes from a process that read what an operator
 * wrote, so it is not taken on trust. */
static bool is_file_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return name[0] != '\0' && name[0] != '.' && name[strspn(name, allowed)] == '\0' &&
           strcmp(name, "lock") != 0;
}

static int open_directory(int at, const char *name, bool make)
{
    if (make && mkdirat(at, name, 0700) != 0 && errno != EEXIST)
        return -1;
    return openat(at, name, DIRECTORY_FLAGS);
}

/* Reads one directory; NULL with errno. The descriptor is consumed. */
static DIR *list(int fd)
{
    if (fd < 0)
        return NULL;
    DIR *d = fdopendir(fd);
    if (d == NULL)
        (void)close(fd);
    return d;
}

static const char *next_name(DIR *d)
{
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            return e->d_name;
    return NULL;
}

/* The file that a worker locks its shard by. It holds nothing. */
static const char shard_lock[] = "lock";

/* A shard without mail. One that can't be looked into counts as one that holds something. */
static bool is_empty(int at, const char *name)
{
    DIR *d = list(openat(at, name, DIRECTORY_FLAGS));
    if (d == NULL)
        return errno == ENOENT;
    bool empty = true;
    for (const char *file; empty && (file = next_name(d)) != NULL;)
        empty = strcmp(file, shard_lock) == 0;
    (void)closedir(d);
    return empty;
}

/* Only a shard that is empty goes: anything but the lock keeps the directory. */
static int remove_empty(int at, const char *name)
{
    int shard = openat(at, name, DIRECTORY_FLAGS);
    if (shard < 0)
        return -1;
    if (is_empty(at, name))
        (void)unlinkat(shard, shard_lock, 0);
    (void)close(shard);
    return unlinkat(at, name, AT_REMOVEDIR);
}

static bool take_lock(struct master *m, const char *path, struct report *report)
{
    int fd = openat(m->spool, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        report_add(report, "can't make %s/lock: %s", path, strerror(errno));
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[16] = "";
        ssize_t n = read(fd, pid, sizeof pid - 1);
        pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
        report_add(report,
                   "another mgid (pid %s) has the spool %s: two would deliver twice and "
                   "lose mail; give this one a spool of its own",
                   pid, path);
        m->exit_status = EXIT_TEMPFAIL;
        (void)close(fd);
        return false;
    }
    if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        log_line(LOG_WARNING, "spool", "can't write the pid to %s/lock: %s", path, strerror(errno));
    m->spool_lock = fd;
    return true;
}

bool spool_open(struct master *m, const struct policy *policy, struct report *report)
{
    char path[LIMIT_PATH];
    struct stat st;
    if (!copy_text(path, sizeof path, policy_settings(policy).spool)) {
        report_add(report, "the spool's path is too long");
        return false;
    }
    m->spool = open_directory(AT_FDCWD, path, true);
    if (m->spool < 0 || fstat(m->spool, &st) != 0) {
        report_add(report, "can't make or open the spool %s: %s", path, strerror(errno));
        return false;
    }
    if (st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
        report_add(report, "the spool %s must belong to uid %u and be writable by no one else",
                   path, (unsigned)geteuid());
        return false;
    }
    return take_lock(m, path, report);
}

/* ---- shards -----------------------------------------------------------------------------------
 */

/* Gives a file of the shard to its new owner. A hard link or a special file is left alone: who had
 * the shard before may have put it there. */
static int give_file(int shard, const char *name, uint32_t uid)
{
    struct stat st;
    int fd = openat(shard, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int r = fstat(fd, &st);
    if (r == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid != uid)
        r = fchownat(fd, "", uid, uid, AT_EMPTY_PATH);
    int error = errno;
    (void)close(fd);
    errno = error;
    return r;
}

static int give_shard(int shard, uint32_t uid)
{
    struct stat st;
    if (fstat(shard, &st) != 0)
        return -1;
    if (st.st_uid == uid && st.st_gid == uid && (st.st_mode & 07777) == 0700)
        return 0;
    DIR *d = list(openat(shard, ".", DIRECTORY_FLAGS));
    if (d == NULL)
        return -1;
    int r = 0;
    unsigned count = 0;
    for (const char *name; r == 0 && (name = next_name(d)) != NULL;) {
        BUG_ON(++count > LIMIT_SHARD_FILES);
        r = give_file(shard, name, uid);
    }
    int error = errno;
    (void)closedir(d);
    errno = error;
    if (r != 0)
        return r;
    /* Last, so that an interrupted change is begun anew. */
    return fchmod(shard, 0700) == 0 && fchown(shard, uid, uid) == 0 ? 0 : -1;
}

int spool_shard(struct master *m, const struct process *p, uint32_t uid)
{
    char name[16];
    (void)snprintf(name, sizeof name, "%u", p->index);
    int flow = open_directory(m->spool, p->flow, true);
    int shard = flow < 0 ? -1 : open_directory(flow, name, true);
    if (shard >= 0 && m->privileged && give_shard(shard, uid) != 0) {
        int error = errno;
        (void)close(shard);
        shard = -1;
        errno = error;
    }
    if (shard < 0)
        log_line(LOG_ERROR, "spool", "can't prepare the shard %s/%s: %s", p->flow, name,
                 strerror(errno));
    if (flow >= 0)
        (void)close(flow);
    return shard;
}

void spool_remove_shard(struct master *m, const struct process *p)
{
    char name[16];
    (void)snprintf(name, sizeof name, "%u", p->index);
    int flow = open_directory(m->spool, p->flow, false);
    if (flow < 0)
        return;
    if (remove_empty(flow, name) == 0)
        log_line(LOG_INFO, "spool", "the shard %s/%s is empty and was removed", p->flow, name);
    else
        log_line(LOG_WARNING, "spool", "the shard %s/%s can't be removed: %s", p->flow, name,
                 strerror(errno));
    (void)close(flow);
}

/* ---- what is left over ------------------------------------------------------------------------
 */

static bool flow_is_empty(struct master *m, const char *flow)
{
    DIR *d = list(openat(m->spool, flow, DIRECTORY_FLAGS));
    if (d == NULL)
        return false;
    bool empty = true;
    for (const char *name; empty && (name = next_name(d)) != NULL;)
        empty = is_empty(dirfd(d), name);
    (void)closedir(d);
    return empty;
}

static bool is_lost(struct master *m, const struct policy *policy, const char *name)
{
    struct stat st;
    return is_file_name(name) && fstatat(m->spool, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode) && policy_find_flow(policy, span_str(name)) == POLICY_NONE &&
           !flow_is_empty(m, name);
}

bool spool_check(struct master *m, const struct policy *policy, struct report *report)
{
    for (uint32_t i = 0; i < policy_count(policy, POLICY_FLOWS); i++) {
        char name[LIMIT_NAME + 1];
        if (!copy_text(name, sizeof name, policy_flow(policy, i).name) || !is_file_name(name)) {
            report_add(report,
                       "flow %u: its name can't be a directory's: use letters, digits, "
                       "\".\", \"_\" and \"-\"",
                       i);
            return false;
        }
    }
    DIR *d = list(openat(m->spool, ".", DIRECTORY_FLAGS));
    if (d == NULL) {
        report_add(report, "can't read the spool: %s", strerror(errno));
        return false;
    }
    bool ok = true;
    for (const char *name; (name = next_name(d)) != NULL;)
        if (is_lost(m, policy, name)) {
            report_add(report,
                       "the flow \"%s\" is not in the policy any more, but its mail is in "
                       "the spool: keep the flow until its queue is empty, or move the "
                       "directory away",
                       name);
            ok = false;
        }
    (void)closedir(d);
    return ok;
}

static void add_leftover(struct master *m, int directory, const char *flow, const char *name)
{
    char *end;
    unsigned long index = strtoul(name, &end, 10);
    if (name[0] < '0' || name[0] > '9' || *end != '\0' || index > UINT16_MAX ||
        process_find(m, ROLE_CONNECTION, flow, (unsigned)index) != NULL)
        return;
    if (is_empty(directory, name)) {
        (void)remove_empty(directory, name);
        return;
    }
    struct process *p = process_add(m, ROLE_CONNECTION, flow, (unsigned)index);
    if (p == NULL) {
        log_line(LOG_ERROR, "spool", "too many workers: the mail in %s/%s waits", flow, name);
        return;
    }
    p->drain_only = true;
    log_line(LOG_NOTICE, "spool", "%s/%s is left over from more workers: one empties it", flow,
             name);
}

void spool_leftovers(struct master *m)
{
    for (uint32_t i = 0; i < policy_count(&m->generation.policy, POLICY_FLOWS); i++) {
        char flow[LIMIT_NAME + 1];
        BUG_ON(!copy_text(flow, sizeof flow, policy_flow(&m->generation.policy, i).name));
        DIR *d = list(open_directory(m->spool, flow, false));
        if (d == NULL)
            continue;
        for (const char *name; (name = next_name(d)) != NULL;)
            add_leftover(m, dirfd(d), flow, name);
        (void)closedir(d);
    }
}
