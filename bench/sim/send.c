/* mgisim send: a client as the IncaMail platform is one. */
#include "bench/sim/client.h"
#include "bench/sim/json.h"
#include "bench/sim/mgisim.h"
#include "bench/sim/sample.h"
#include "status.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

static const char help[] =
    "usage: mgisim send --to-server HOST:PORT [--cert F --key F] [--rcpt ADDRESS]… [options]\n"
    "Sends a mail with STARTTLS and a client certificate, as the IncaMail platform does, and\n"
    "says what it saw. Without --rcpt: only greets, and shows the server's certificate.\n"
    "  --ca FILE            verify the server's chain against FILE, and stop when it fails\n"
    "  --name NAME          the name to find in it\n"
    "  --from ADDRESS       envelope sender (swisspost+<hex>@im.post.ch)\n"
    "  --sample NAME        confidential (default), registered, receipt\n"
    "  --weight BYTES       of the registered sample's secret (4000)\n"
    "  --file FILE          this mail instead; LF line ends become CRLF\n"
    "  --keep FILE          write the mail there as it is sent\n"
    "  --count N            the same mail N times over the connection\n"
    "  --ehlo NAME          (im.post.ch)\n"
    "  --tls-max 1.2|1.3    the highest TLS version\n"
    "  --no-tls             stay in clear\n"
    "  --json               one JSON line instead of the dialogue\n"
    "exit status: 0 all was taken, 69 refused, 75 refused for now or cut off, 76 TLS failed\n";

enum {
    OPT_SERVER = 256,
    OPT_CERT,
    OPT_KEY,
    OPT_CA,
    OPT_NAME,
    OPT_FROM,
    OPT_RCPT,
    OPT_SAMPLE,
    OPT_WEIGHT,
    OPT_FILE,
    OPT_KEEP,
    OPT_COUNT,
    OPT_EHLO,
    OPT_TLS_MAX,
    OPT_NO_TLS,
    OPT_JSON,
    OPT_HELP
};

static const struct option options[] = {
    {"to-server", required_argument, NULL, OPT_SERVER},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"ca", required_argument, NULL, OPT_CA},
    {"name", required_argument, NULL, OPT_NAME},
    {"from", required_argument, NULL, OPT_FROM},
    {"rcpt", required_argument, NULL, OPT_RCPT},
    {"sample", required_argument, NULL, OPT_SAMPLE},
    {"weight", required_argument, NULL, OPT_WEIGHT},
    {"file", required_argument, NULL, OPT_FILE},
    {"keep", required_argument, NULL, OPT_KEEP},
    {"count", required_argument, NULL, OPT_COUNT},
    {"ehlo", required_argument, NULL, OPT_EHLO},
    {"tls-max", required_argument, NULL, OPT_TLS_MAX},
    {"no-tls", no_argument, NULL, OPT_NO_TLS},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

struct mail_source {
    const char *sample;
    const char *file;
    const char *keep; /* where to write it, or NULL */
    size_t weight;
};

static size_t positive(const char *text)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value <= 0)
        sim_die(EXIT_USAGE, "not a positive number: %s", text);
    return (size_t)value;
}

static void add_recipient(struct client_options *o, const char *address)
{
    if (o->recipient_count == CLIENT_RECIPIENTS)
        sim_die(EXIT_USAGE, "at most %d recipients", CLIENT_RECIPIENTS);
    o->recipients[o->recipient_count++] = address;
}

static void take_option(struct client_options *o, struct mail_source *mail, int option, char *value)
{
    switch (option) {
    case OPT_SERVER:
        o->server = value;
        break;
    case OPT_CERT:
        o->tls.certificate = value;
        break;
    case OPT_KEY:
        o->tls.key = value;
        break;
    case OPT_CA:
        o->tls.ca = value;
        break;
    case OPT_NAME:
        o->name = value;
        break;
    case OPT_FROM:
        o->sender = value;
        break;
    case OPT_RCPT:
        add_recipient(o, value);
        break;
    case OPT_SAMPLE:
        mail->sample = value;
        break;
    case OPT_WEIGHT:
        mail->weight = positive(value);
        break;
    case OPT_FILE:
        mail->file = value;
        break;
    case OPT_KEEP:
        mail->keep = value;
        break;
    case OPT_COUNT:
        o->count = positive(value);
        break;
    case OPT_EHLO:
        o->ehlo = value;
        break;
    case OPT_TLS_MAX:
        o->tls.maximum = value;
        break;
    case OPT_NO_TLS:
        o->clear = true;
        break;
    case OPT_JSON:
        o->transcript = NULL;
        break;
    case OPT_HELP:
        fputs(help, stdout);
        exit(EXIT_OK);
    default:
        fputs(help, stderr);
        exit(EXIT_USAGE);
    }
}

static void parse(struct client_options *o, struct mail_source *mail, int argc, char **argv)
{
    int option;

    *o = (struct client_options){
        .sender = "swisspost+5f3a91c07be24d68@im.post.ch",
        .ehlo = "im.post.ch",
        .count = 1,
        .transcript = stdout,
    };
    *mail = (struct mail_source){.sample = "confidential", .weight = 4000};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        take_option(o, mail, option, optarg);
    if (optind != argc || o->server == NULL)
        take_option(o, mail, '?', NULL);
    if ((o->tls.certificate == NULL) != (o->tls.key == NULL))
        sim_die(EXIT_USAGE, "--cert and --key go together");
}

/* The file's text with every line ended by CRLF. */
static char *read_mail(const char *path, size_t *n)
{
    char *text = NULL;
    FILE *in = fopen(path, "re");
    FILE *out = open_memstream(&text, n);
    int byte, before = 0;

    if (in == NULL || out == NULL)
        sim_die(EXIT_NOINPUT, "%s: %s", path, strerror(errno));
    while ((byte = getc(in)) != EOF) {
        if (byte == '\n' && before != '\r')
            putc('\r', out);
        putc(byte, out);
        before = byte;
    }
    if (before != '\n')
        fputs("\r\n", out);
    fclose(in);
    fclose(out);
    return text;
}

static void keep_mail(const char *path, const char *text, size_t n)
{
    FILE *out = fopen(path, "we");

    if (out == NULL || fwrite(text, 1, n, out) != n || fclose(out) != 0)
        sim_die(EXIT_OSERR, "%s: %s", path, strerror(errno));
}

static void report(const struct client_options *o, const struct client_result *r)
{
    json_open(stdout, "sent");
    json_text(stdout, "server", o->server);
    json_text(stdout, "from", o->sender);
    json_bool(stdout, "certificate_asked", r->certificate_asked);
    peer_write(stdout, "server_certificate", &r->facts);
    json_number(stdout, "mails", (int64_t)r->taken);
    json_number(stdout, "recipients_refused", r->refused);
    json_text(stdout, "last_command", r->last_command);
    json_text(stdout, "last_reply", r->last_reply);
    json_text(stdout, "failure", r->failure);
    json_number(stdout, "exit", r->status);
    json_close(stdout);
}

static void summarise(const struct client_result *r)
{
    const struct peer_facts *f = &r->facts;

    if (f->version != NULL) {
        printf("tls: %s %s; our certificate was %s\n", f->version, f->cipher,
               r->certificate_asked ? "asked for" : "not asked for");
        printf("server: %s\nissuer: %s\nsha1: %s\nsha256: %s\n", f->subject, f->issuer, f->sha1,
               f->sha256);
        printf("verified: %s\n", f->verified ? "yes" : f->reason);
    }
    printf("result: %zu taken, %u recipients refused%s%s\n", r->taken, r->refused,
           r->failure == NULL ? "" : "; ", r->failure == NULL ? "" : r->failure);
}

int send_main(int argc, char **argv)
{
    static struct client_options o;
    static struct client_result r;
    struct mail_source mail;
    size_t n = 0;
    char *text;

    parse(&o, &mail, argc, argv);
    const char *to = o.recipient_count > 0 ? o.recipients[0] : "hans@example.ch";
    if (mail.file != NULL)
        text = read_mail(mail.file, &n);
    else
        text = sample_make(mail.sample, to, mail.weight, &n);
    if (text == NULL)
        sim_die(EXIT_USAGE, "no such sample: %s", mail.sample);
    if (mail.keep != NULL)
        keep_mail(mail.keep, text, n);
    client_run(&o, span_of(text, n), &r);
    if (o.transcript == NULL)
        report(&o, &r);
    else
        summarise(&r);
    free(text);
    return r.status;
}
