/* mgisim sink: options, listening, and the loop over the sessions. */
#include "bench/sim/json.h"
#include "bench/sim/mgisim.h"
#include "bench/sim/session.h"
#include "status.h"
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const char help[] =
    "usage: mgisim sink --listen ADDR:PORT --cert F --key F [options]\n"
    "An SMTP server with STARTTLS that takes mails and says what it saw: one JSON line a mail\n"
    "(\"event\":\"mail\") and a session (\"session\") on stdout; first one with the address\n"
    "(\"listening\"; port 0 picks a free one).\n"
    "  --client-ca FILE          ask for a client certificate, verify it against FILE\n"
    "  --require-client-cert     refuse MAIL without a verified one (530, 550), as the platform\n"
    "  --require-tls             refuse MAIL in clear (530)\n"
    "  --no-starttls             offer no STARTTLS\n"
    "  --no-pipelining           offer no PIPELINING\n"
    "  --tls-max 1.2|1.3         the highest TLS version\n"
    "  --hostname NAME           in the greeting (sink.example)\n"
    "  --dir DIR                 keep each mail as NNNNNN.eml and NNNNNN.json\n"
    "  --size BYTES              the limit that SIZE offers (67108864)\n"
    "  --greeting TEXT           instead of 220; any other class ends the session\n"
    "  --reply-rcpt PATTERN=TEXT for recipients that match, as --reply-rcpt '*@x=450 4.2.0 no'\n"
    "  --reply-data TEXT         after a mail; it is not kept unless the text begins with 2\n"
    "  --delay MS                before a mail is answered\n"
    "  --drop-after N            cut the session off when its mail N+1 ends\n"
    "  --quiet                   no lines for mails and sessions\n";

enum {
    OPT_LISTEN = 256,
    OPT_CERT,
    OPT_KEY,
    OPT_CLIENT_CA,
    OPT_REQUIRE_CERT,
    OPT_REQUIRE_TLS,
    OPT_NO_STARTTLS,
    OPT_NO_PIPELINING,
    OPT_TLS_MAX,
    OPT_HOSTNAME,
    OPT_DIR,
    OPT_SIZE,
    OPT_GREETING,
    OPT_REPLY_RCPT,
    OPT_REPLY_DATA,
    OPT_DELAY,
    OPT_DROP_AFTER,
    OPT_QUIET,
    OPT_HELP
};

static const struct option options[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"client-ca", required_argument, NULL, OPT_CLIENT_CA},
    {"require-client-cert", no_argument, NULL, OPT_REQUIRE_CERT},
    {"require-tls", no_argument, NULL, OPT_REQUIRE_TLS},
    {"no-starttls", no_argument, NULL, OPT_NO_STARTTLS},
    {"no-pipelining", no_argument, NULL, OPT_NO_PIPELINING},
    {"tls-max", required_argument, NULL, OPT_TLS_MAX},
    {"hostname", required_argument, NULL, OPT_HOSTNAME},
    {"dir", required_argument, NULL, OPT_DIR},
    {"size", required_argument, NULL, OPT_SIZE},
    {"greeting", required_argument, NULL, OPT_GREETING},
    {"reply-rcpt", required_argument, NULL, OPT_REPLY_RCPT},
    {"reply-data", required_argument, NULL, OPT_REPLY_DATA},
    {"delay", required_argument, NULL, OPT_DELAY},
    {"drop-after", required_argument, NULL, OPT_DROP_AFTER},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int64_t number_of(const char *text)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0)
        sim_die(EXIT_USAGE, "not a number: %s", text);
    return value;
}

/* "PATTERN=REPLY": splits the argument in place. */
static void add_rcpt_rule(struct sink_options *o, char *text)
{
    char *equals = strchr(text, '=');

    if (equals == NULL || o->rcpt_rules == SINK_RCPT_RULES)
        sim_die(EXIT_USAGE, "--reply-rcpt PATTERN=TEXT, at most %d times", SINK_RCPT_RULES);
    *equals = '\0';
    o->rcpt[o->rcpt_rules].pattern = text;
    o->rcpt[o->rcpt_rules].reply = equals + 1;
    o->rcpt_rules++;
}

static void take_option(struct sink_options *o, int option, char *value)
{
    switch (option) {
    case OPT_LISTEN:
        o->listen = value;
        break;
    case OPT_CERT:
        o->tls.certificate = value;
        break;
    case OPT_KEY:
        o->tls.key = value;
        break;
    case OPT_CLIENT_CA:
        o->tls.ca = value;
        o->tls.ask = true;
        break;
    case OPT_REQUIRE_CERT:
        o->require_certificate = true;
        break;
    case OPT_REQUIRE_TLS:
        o->require_tls = true;
        break;
    case OPT_NO_STARTTLS:
        o->starttls = false;
        break;
    case OPT_NO_PIPELINING:
        o->pipelining = false;
        break;
    case OPT_TLS_MAX:
        o->tls.maximum = value;
        break;
    case OPT_HOSTNAME:
        o->hostname = value;
        break;
    case OPT_DIR:
        o->directory = value;
        break;
    case OPT_SIZE:
        o->size_limit = number_of(value);
        break;
    case OPT_GREETING:
        o->greeting = value;
        break;
    case OPT_REPLY_RCPT:
        add_rcpt_rule(o, value);
        break;
    case OPT_REPLY_DATA:
        o->data_reply = value;
        break;
    case OPT_DELAY:
        o->delay = number_of(value);
        break;
    case OPT_DROP_AFTER:
        o->drop_after = number_of(value);
        break;
    case OPT_QUIET:
        o->quiet = true;
        break;
    case OPT_HELP:
        fputs(help, stdout);
        exit(EXIT_OK);
    default:
        fputs(help, stderr);
        exit(EXIT_USAGE);
    }
}

static void parse(struct sink_options *o, int argc, char **argv)
{
    int option;

    *o = (struct sink_options){
        .hostname = "sink.example",
        .starttls = true,
        .pipelining = true,
        .drop_after = -1,
        .size_limit = 64 << 20,
    };
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        take_option(o, option, optarg);
    if (optind != argc || o->listen == NULL)
        take_option(o, '?', NULL);
    if (o->starttls && (o->tls.certificate == NULL || o->tls.key == NULL))
        sim_die(EXIT_USAGE, "STARTTLS needs --cert and --key (or say --no-starttls)");
    if (o->require_certificate && o->tls.ca == NULL)
        sim_die(EXIT_USAGE, "--require-client-cert needs --client-ca");
}

static void address_text(const struct sockaddr *address, socklen_t length, char *out, size_t size)
{
    char host[64] = "", port[8] = "";

    if (getnameinfo(address, length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, size, "?");
    else
        snprintf(out, size, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int listen_on(const char *where)
{
    char host[256], port[8], text[LIMIT_ADDRESS_TEXT];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    struct sockaddr_storage bound = {0};
    socklen_t length = sizeof(bound);
    int one = 1;

    sim_split_address(where, host, sizeof(host), port, sizeof(port));
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0)
        sim_die(EXIT_USAGE, "%s: %s", where, gai_strerror(error));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &length) != 0)
        sim_die(EXIT_OSERR, "%s: %s", where, strerror(errno));
    freeaddrinfo(found);
    address_text((const struct sockaddr *)&bound, length, text, sizeof(text));
    json_open(stdout, "listening");
    json_text(stdout, "address", text);
    json_number(stdout, "port", strtol(strrchr(text, ':') + 1, NULL, 10));
    json_close(stdout);
    return fd;
}

/* The loop's state: descriptors, and who waits for a time. */
struct loop {
    int epoll;
    int listener;
    int signals;
    struct sink sink;
    struct session **held; /* sessions in SESSION_HELD */
    size_t held_count;
    size_t held_room;
};

static void watch(struct loop *l, int operation, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    if (epoll_ctl(l->epoll, operation, fd, &event) != 0)
        sim_die(EXIT_OSERR, "epoll_ctl: %s", strerror(errno));
}

/* Sets the session aside until its time comes; what its descriptor does meanwhile waits too. */
static void hold(struct loop *l, struct session *s)
{
    if (l->held_count == l->held_room) {
        l->held_room = l->held_room == 0 ? 64 : 2 * l->held_room;
        l->held = reallocarray(l->held, l->held_room, sizeof(struct session *));
        if (l->held == NULL)
            sim_die(EXIT_OSERR, "no memory");
    }
    l->held[l->held_count++] = s;
    watch(l, EPOLL_CTL_MOD, s->conn.fd, EPOLLONESHOT, s);
}

/* Runs the session; it is watched for what it waits for, set aside, or freed. */
static void step(struct loop *l, struct session *s)
{
    session_run(s);
    if (s->state == SESSION_GONE) {
        session_free(s);
        return;
    }
    if (s->state == SESSION_HELD) {
        hold(l, s);
        return;
    }
    watch(l, EPOLL_CTL_MOD, s->conn.fd, s->conn.wants_write ? EPOLLOUT : EPOLLIN, s);
}

static void accept_all(struct loop *l)
{
    struct sockaddr_storage address = {0};
    char text[LIMIT_ADDRESS_TEXT];

    for (;;) {
        int one = 1;
        socklen_t length = sizeof(address);
        int fd = accept4(l->listener, (struct sockaddr *)&address, &length,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        address_text((const struct sockaddr *)&address, length, text, sizeof(text));
        struct session *s = session_new(&l->sink, fd, text);
        if (s == NULL) {
            close(fd);
            return;
        }
        watch(l, EPOLL_CTL_ADD, fd, EPOLLIN, s);
        step(l, s);
    }
}

/* Runs the sessions whose time has come. */
static void run_due(struct loop *l)
{
    int64_t now = sim_now();
    size_t i = 0;

    while (i < l->held_count) {
        struct session *s = l->held[i];
        if (s->resume > now) {
            i++;
            continue;
        }
        l->held[i] = l->held[--l->held_count];
        step(l, s);
    }
}

/* Milliseconds to the next due session; -1 for none. */
static int next_due(const struct loop *l)
{
    int64_t wait = -1, now = sim_now();

    for (size_t i = 0; i < l->held_count; i++) {
        int64_t left = l->held[i]->resume > now ? l->held[i]->resume - now : 0;
        if (wait < 0 || left < wait)
            wait = left;
    }
    return (int)wait;
}

static int signal_descriptor(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        sim_die(EXIT_OSERR, "sigprocmask: %s", strerror(errno));
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        sim_die(EXIT_OSERR, "signalfd: %s", strerror(errno));
    return fd;
}

int sink_main(int argc, char **argv)
{
    static struct loop l;
    struct epoll_event events[64];

    parse(&l.sink.options, argc, argv);
    if (l.sink.options.starttls)
        l.sink.context = peer_server_context(&l.sink.options.tls);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.signals = signal_descriptor();
    l.listener = listen_on(l.sink.options.listen);
    watch(&l, EPOLL_CTL_ADD, l.listener, EPOLLIN, &l.listener);
    watch(&l, EPOLL_CTL_ADD, l.signals, EPOLLIN, &l.signals);
    for (;;) {
        int n = epoll_wait(l.epoll, events, 64, next_due(&l));
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == &l.signals)
                return EXIT_OK;
            if (what == &l.listener)
                accept_all(&l);
            else
                step(&l, what);
        }
        run_due(&l);
    }
}
