#include "bench/sim/mgisim.h"
#include "status.h"
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
    "usage: mgisim sink|send [options]\n"
    "  mgisim sink   takes mails as the IncaMail platform, or as an internal mail server, does\n"
    "  mgisim send   sends mails as the IncaMail platform does\n"
    "Each says more with --help.\n";

void sim_die(int status, const char *format, ...)
{
    va_list arguments;

    fputs("mgisim: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(status);
}

void sim_split_address(const char *text, char *host, size_t size, char *port, size_t port_size)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon == NULL ? 0 : (size_t)(colon - text);

    if (n > 1 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n == 0 || n >= size || strlen(colon + 1) >= port_size)
        sim_die(EXIT_USAGE, "an address is HOST:PORT or [IPv6]:PORT");
    memcpy(host, text, n);
    host[n] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
}

int64_t sim_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "sink") == 0)
        return sink_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "send") == 0)
        return send_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return EXIT_OK;
    }
    fputs(help, stderr);
    return EXIT_USAGE;
}
