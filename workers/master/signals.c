/* Signals, as reads from a descriptor. */
#include "engine/log/log.h"
#include "workers/master/master.h"
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};

int signals_open(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof handled / sizeof handled[0]; i++)
        (void)sigaddset(&set, handled[i]);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* an inherited SIG_IGN would hide the exit statuses */
    if (sigprocmask(SIG_SETMASK, &set, NULL) != 0)
        fatal_env(EXIT_OSERR, errno, "sigprocmask");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        fatal_env(EXIT_OSERR, errno, "signalfd");
    return fd;
}

void signals_reset(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void signals_read(struct master *m)
{
    struct signalfd_siginfo s;
    while (read(m->signals, &s, sizeof s) == (ssize_t)sizeof s) {
        switch (s.ssi_signo) {
        case SIGCHLD:
            children_reap(m);
            break;
        case SIGHUP:
            reload_begin(m);
            break;
        case SIGUSR1:
            if (m->generation.number != 0)
                log_file_open(m, &m->generation.policy);
            break;
        default: /* SIGTERM, SIGINT */
            stop_begin(m);
            break;
        }
    }
}
