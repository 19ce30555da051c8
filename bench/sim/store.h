/*
 * store: accepted mails as files, NNNNNN.eml and NNNNNN.json, each complete from the moment it
 * has its name. The hash is taken along, with or without a directory.
 */
#ifndef MGISIM_STORE_H
#define MGISIM_STORE_H

#include "limits.h"
#include "span.h"
#include <openssl/sha.h>
#include <stdio.h>

struct store_mail {
    const char *directory; /* NULL: hashed only */
    unsigned number;
    FILE *file;
    SHA256_CTX hash;
    char name[LIMIT_PATH]; /* of the finished .eml, "" without a directory */
};

/* Begins a mail with that number. False: the file can't be made (errno tells). */
bool store_begin(struct store_mail *mail, const char *directory, unsigned number);
void store_write(struct store_mail *mail, struct span bytes);
/* Gives the mail its name, and sets sha256 (hexadecimal). False: it could not be written, and
 * is gone. */
bool store_commit(struct store_mail *mail, char sha256[65]);
void store_abandon(struct store_mail *mail);

/* Writes the description of a committed mail beside it. */
bool store_describe(const struct store_mail *mail, struct span json);

#endif
