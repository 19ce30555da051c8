/* The command line. */
#include "workers/master/master.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "mgid " MGID_VERSION " - mail gateway daemon\n"
    "\n"
    "usage: mgid [-p FILE] [-t] [-d] [-L DIR]\n"
    "\n"
    "  -p FILE  the policy (default /etc/mgid/policy.json): everything that mgid does is said "
    "there\n"
    "  -t       check the policy with its certificates and keys, say what is wrong, and exit\n"
    "  -d       a system call that a role's sandbox does not allow is logged by the kernel\n"
    "           instead of ending the role; to find out what is missing, not for service\n"
    "  -L DIR   where the roles' programs are (default: ../libexec/mgid beside this program)\n"
    "  -V, -h   version; this text\n"
    "\n"
    "mgid stays in the foreground and logs one JSON line an event on stderr, or to the policy's\n"
    "log file. Started as root each role gets a uid of its own (uid_base in the policy); started\n"
    "as an ordinary user it works on high ports, with the same sandboxes.\n"
    "\n"
    "signals:\n"
    "  TERM, INT  finish what is open (10 s), then stop; a second one stops at once\n"
    "  HUP        take the policy anew; an invalid one changes nothing and is logged\n"
    "  USR1       reopen the log file (after it was rotated)\n"
    "\n"
    "exit: 0 stopped as told, 64 command line, 65 invalid policy, 66 no policy, 69 a role can't\n"
    "be had, 71 the system refused, 75 another mgid has the spool, 78 the policy can't be put "
    "into\n"
    "effect here (files, addresses, directories).\n"
    "\n"
    "examples:\n"
    "  mgid -t -p ./policy.json && mgid -p ./policy.json\n"
    "  kill -HUP $(cat /var/spool/mgid/lock)      or: mgictl reload\n";

static void find_libexec(struct options *o)
{
    char exe[LIMIT_PATH - 32];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        fatal_env(EXIT_OSERR, 0, "can't tell where this program is; name the roles with -L");
    exe[n] = '\0';
    *strrchr(exe, '/') = '\0';
    (void)snprintf(o->libexec, sizeof o->libexec, "%s/../libexec/mgid", exe);
}

void options_parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){.policy = "/etc/mgid/policy.json"};
    for (int c; (c = getopt(argc, argv, "p:tdL:Vh")) != -1;) {
        switch (c) {
        case 'p':
            o->policy = optarg;
            break;
        case 't':
            o->check = true;
            break;
        case 'd':
            o->debug = true;
            break;
        case 'L':
            if (realpath(optarg, o->libexec) == NULL) {
                perror(optarg);
                exit(EXIT_USAGE);
            }
            break;
        case 'V':
            puts("mgid " MGID_VERSION);
            exit(EXIT_OK);
        case 'h':
            fputs(help, stdout);
            exit(EXIT_OK);
        default:
            fputs("mgid -h says what there is.\n", stderr);
            exit(EXIT_USAGE);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "mgid: what is \"%s\"? The policy is given with -p; see mgid -h.\n",
                argv[optind]);
        exit(EXIT_USAGE);
    }
    if (strlen(o->policy) > LIMIT_PATH - 1) {
        fputs("mgid: the policy's path is too long.\n", stderr);
        exit(EXIT_USAGE);
    }
    if (o->libexec[0] == '\0')
        find_libexec(o);
}
