#include "bench/sim/sample.h"
#include "bench/sim/mgisim.h"
#include "status.h"
#include <openssl/base64.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The begin of a BER-encoded CMS EnvelopedData and SignedData, of indefinite length. */
static const unsigned char enveloped[] = {0x30, 0x80, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                          0x0d, 0x01, 0x07, 0x03, 0xa0, 0x80, 0x30, 0x80};
static const unsigned char signed_data[] = {0x30, 0x80, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                            0x0d, 0x01, 0x07, 0x02, 0xa0, 0x80, 0x30, 0x80};

/* Base64 of n bytes that begin with `begin` and go on with noise, in one line; free() it. */
static char *secret(const unsigned char *begin, size_t begin_n, size_t n)
{
    if (n < begin_n)
        n = begin_n;
    unsigned char *bytes = malloc(n);
    char *text = malloc(4 * ((n + 2) / 3) + 1);
    if (bytes == NULL || text == NULL)
        sim_die(EXIT_OSERR, "no memory");
    memcpy(bytes, begin, begin_n);
    RAND_bytes(bytes + begin_n, n - begin_n);
    EVP_EncodeBlock((uint8_t *)text, bytes, n);
    free(bytes);
    return text;
}

/* Base64 in lines of 76 (RFC 2045 6.8). */
static void write_base64(FILE *out, const char *bytes, size_t n)
{
    char line[80];

    for (size_t at = 0; at < n; at += 57) {
        size_t piece = n - at < 57 ? n - at : 57;
        EVP_EncodeBlock((uint8_t *)line, (const uint8_t *)bytes + at, piece);
        fprintf(out, "%s\r\n", line);
    }
}

static void write_head(FILE *out, const char *to, const char *subject)
{
    char date[64];
    time_t now = time(NULL);
    struct tm local;

    localtime_r(&now, &local);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S %z", &local);
    fprintf(out,
            "Date: %s\r\nFrom: \"Anna Muster\" <swisspost@im.post.ch>\r\n"
            "Reply-To: anna.muster@partner.example\r\nTo: <%s>\r\n"
            "Message-ID: <%lld.%d@im.post.ch>\r\nSubject: %s (Secured by IncaMail)\r\n"
            "MIME-Version: 1.0\r\n",
            date, to, (long long)sim_now(), (int)getpid(), subject);
}

static void write_confidential(FILE *out, const char *to)
{
    write_head(out, to, "Offer for the new premises");
    fputs("Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: "
          "quoted-printable\r\n\r\nGuten Tag\r\n\r\nDie Offerte f=C3=BCr die R=C3=A4ume.\r\n"
          ".a line that begins with a dot\r\n\r\nAnna Muster\r\n",
          out);
}

static void write_receipt(FILE *out, const char *to)
{
    write_head(out, to, "Receipt: Contract to sign");
    fputs("Content-Type: multipart/report; report-type=disposition-notification; "
          "boundary=\"receipt\"\r\n\r\n--receipt\r\nContent-Type: text/plain; charset=US-ASCII"
          "\r\n\r\nThe registered mail was opened by its recipient.\r\n--receipt\r\n"
          "Content-Type: message/disposition-notification\r\n\r\n"
          "Reporting-UA: im.post.ch; IncaMail\r\n",
          out);
    fprintf(out, "Final-Recipient: rfc822; %s\r\n", to);
    fputs("Disposition: automatic-action/MDN-sent-automatically; displayed\r\n--receipt--\r\n",
          out);
}

/* The HTML page that posts itself to the platform. */
static char *safe_page(size_t weight, size_t *n)
{
    char *page = NULL;
    char *cms = secret(enveloped, sizeof(enveloped), weight);
    FILE *out = open_memstream(&page, n);

    if (out == NULL)
        sim_die(EXIT_OSERR, "no memory");
    fprintf(out,
            "<!DOCTYPE html>\r\n<html><head><meta charset=\"utf-8\"><title>IncaMail</title></head>"
            "\r\n<body><form method=\"post\" action=\"https://www.incamail.com/safe/open\">\r\n"
            "<input type=\"hidden\" name=\"secmail\" value=\"%s\">\r\n"
            "<input type=\"submit\" value=\"Open the registered mail\">\r\n"
            "</form></body></html>\r\n",
            cms);
    fclose(out);
    free(cms);
    return page;
}

static void write_registered(FILE *out, const char *to, size_t weight)
{
    size_t n = 0;
    char *page = safe_page(weight, &n);
    char *signature = secret(signed_data, sizeof(signed_data), 1800);

    write_head(out, to, "Contract to sign");
    fputs("Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; "
          "micalg=sha-256; boundary=\"signed\"\r\n\r\n"
          "--signed\r\nContent-Type: multipart/mixed; boundary=\"parts\"\r\n\r\n"
          "--parts\r\nContent-Type: text/plain; charset=US-ASCII\r\n\r\n"
          "Open the attachment to read the registered mail.\r\n"
          "--parts\r\nContent-Type: text/html; charset=utf-8; name=\"IncaMail.html\"\r\n"
          "Content-Disposition: attachment; filename=\"IncaMail.html\"\r\n"
          "Content-Transfer-Encoding: base64\r\n\r\n",
          out);
    write_base64(out, page, n);
    fputs("--parts--\r\n--signed\r\n"
          "Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n"
          "Content-Disposition: attachment; filename=\"smime.p7s\"\r\n"
          "Content-Transfer-Encoding: base64\r\n\r\n",
          out);
    for (size_t at = 0; at < strlen(signature); at += 76)
        fprintf(out, "%.76s\r\n", signature + at);
    fputs("--signed--\r\n", out);
    free(signature);
    free(page);
}

char *sample_make(const char *name, const char *to, size_t weight, size_t *n)
{
    char *mail = NULL;
    FILE *out = open_memstream(&mail, n);
    bool known = true;

    if (out == NULL)
        sim_die(EXIT_OSERR, "no memory");
    if (strcmp(name, "confidential") == 0)
        write_confidential(out, to);
    else if (strcmp(name, "registered") == 0)
        write_registered(out, to, weight);
    else if (strcmp(name, "receipt") == 0)
        write_receipt(out, to);
    else
        known = false;
    fclose(out);
    if (known)
        return mail;
    free(mail);
    return NULL;
}
