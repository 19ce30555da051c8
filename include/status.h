/*
 * status.h: how a program of mgid ends, and the two kinds of fatal.
 *
 * Exit codes are those of sysexits(3), so that a service manager and a shell
 * script can tell a mistake of the operator from a fault of the machine.
 */
#ifndef MGID_STATUS_H
#define MGID_STATUS_H

enum exit_status {
    EXIT_OK = 0,
    EXIT_USAGE = 64,       /* EX_USAGE: the command line is wrong */
    EXIT_DATA = 65,        /* EX_DATAERR: a file's contents are wrong (an invalid policy) */
    EXIT_NOINPUT = 66,     /* EX_NOINPUT: a file can't be read */
    EXIT_UNAVAILABLE = 69, /* EX_UNAVAILABLE: the daemon does not run or does not answer */
    EXIT_SOFTWARE = 70,    /* EX_SOFTWARE: a bug */
    EXIT_OSERR = 71,       /* EX_OSERR: the system refused what we need */
    EXIT_CANTCREAT = 73,   /* EX_CANTCREAT */
    EXIT_IOERR = 74,       /* EX_IOERR */
    EXIT_TEMPFAIL = 75,    /* EX_TEMPFAIL: try again (also: a role asks to be started anew) */
    EXIT_NOPERM = 77,      /* EX_NOPERM */
    EXIT_CONFIG = 78,      /* EX_CONFIG */
};

/*
 * The environment failed (no memory, no descriptor, a file that can't be opened):
 * logs the event "fatal" with the text and, when error is not 0, strerror(error);
 * ends the process with the given exit status. Used at start and by roles that
 * can't serve without what they miss; a running session never ends a process so.
 */
_Noreturn void fatal_env(enum exit_status status, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* We have a bug: logs the event "bug" with file and line, and aborts. */
_Noreturn void fatal_bug(const char *file, int line, const char *what);

#define BUG_ON(condition)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(!!(condition), 0))                                                    \
            fatal_bug(__FILE__, __LINE__, #condition);                                             \
    } while (0)

#endif
