/* mgid. */
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct master master;

/* Each listening socket, file and counter page of all workers is open here. */
static void raise_descriptor_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
    struct master *m = &master;
    options_parse(&m->options, argc, argv);
    log_identify(ROLE_MASTER, SPAN_EMPTY, 0);
    if (m->options.check)
        log_set_level(LOG_ERROR);
    m->privileged = geteuid() == 0;
    m->spool_lock = m->spool = m->control = m->log = -1;
    m->reload.text = m->reload.control = -1;
    m->started_wall = (uint64_t)time(NULL);
    generation_clear(&m->generation);
    generation_clear(&m->reload.next);
    for (unsigned i = 0; i < LIMIT_PROCESSES; i++)
        m->processes[i].channel = -1;
    (void)umask(077);
    raise_descriptor_limit();
    privileges_reduce(m->privileged);
    m->signals = signals_open();
    reload_begin(m);
    loop_run(m);
    if (m->control >= 0)
        control_unlink(&m->generation.policy);
    log_begin(LOG_NOTICE, "stopped");
    log_number("status", m->exit_status);
    log_end();
    return m->exit_status;
}
