#include "bench/sim/store.h"
#include <unistd.h>

static void path_of(const struct store_mail *mail, const char *suffix, char out[LIMIT_PATH])
{
    snprintf(out, LIMIT_PATH, "%s/%06u%s", mail->directory, mail->number, suffix);
}

bool store_begin(struct store_mail *mail, const char *directory, unsigned number)
{
    char temporary[LIMIT_PATH];

    *mail = (struct store_mail){.directory = directory, .number = number};
    SHA256_Init(&mail->hash);
    if (directory == NULL)
        return true;
    path_of(mail, ".part", temporary);
    mail->file = fopen(temporary, "we");
    return mail->file != NULL;
}

void store_write(struct store_mail *mail, struct span bytes)
{
    SHA256_Update(&mail->hash, bytes.p, bytes.n);
    if (mail->file != NULL)
        fwrite(bytes.p, 1, bytes.n, mail->file);
}

bool store_commit(struct store_mail *mail, char sha256[65])
{
    char temporary[LIMIT_PATH];
    uint8_t digest[SHA256_DIGEST_LENGTH];

    SHA256_Final(digest, &mail->hash);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(sha256 + 2 * i, 3, "%02x", digest[i]);
    if (mail->file == NULL)
        return true;
    bool written = !ferror(mail->file);
    written = fclose(mail->file) == 0 && written;
    mail->file = NULL;
    path_of(mail, ".part", temporary);
    path_of(mail, ".eml", mail->name);
    if (written && rename(temporary, mail->name) == 0)
        return true;
    unlink(temporary);
    return false;
}

void store_abandon(struct store_mail *mail)
{
    char temporary[LIMIT_PATH];

    if (mail->file == NULL)
        return;
    fclose(mail->file);
    mail->file = NULL;
    path_of(mail, ".part", temporary);
    unlink(temporary);
}

bool store_describe(const struct store_mail *mail, struct span json)
{
    char temporary[LIMIT_PATH], name[LIMIT_PATH];

    if (mail->directory == NULL)
        return true;
    path_of(mail, ".json.part", temporary);
    path_of(mail, ".json", name);
    FILE *file = fopen(temporary, "we");
    if (file == NULL)
        return false;
    bool written = fwrite(json.p, 1, json.n, file) == json.n;
    written = fclose(file) == 0 && written;
    return written && rename(temporary, name) == 0;
}
