/* The log file: opened by the master, with its rights, for all roles. */
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void log_file_open(struct master *m, const struct policy *policy)
{
    char path[LIMIT_PATH];
    struct span wanted = policy_settings(policy).log_file;
    int fd = STDERR_FILENO;
    if (wanted.n > 0) {
        errno = ENAMETOOLONG;
        fd = -1;
        if (copy_text(path, sizeof path, wanted))
            fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC, 0640);
        if (fd < 0) {
            log_line(LOG_ERROR, "log file", "can't open %.*s: %s; the log stays where it is",
                     (int)wanted.n, (const char *)wanted.p, strerror(errno));
            return;
        }
    }
    if (fd == STDERR_FILENO && m->log < 0)
        return;
    log_set_fd(fd); /* closes the one before */
    m->log = fd == STDERR_FILENO ? -1 : fd;
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++)
        if (m->processes[i].used && m->processes[i].channel >= 0)
            process_send(m, &m->processes[i],
                         &(struct ipc_message){.kind = MSG_log_file, .fds = {fd, -1}});
}
