/*
 * dsn_rig: a notification to begin with, composed and held to its form, for the tests of dsn.
 */
#ifndef MGID_TESTS_DSN_RIG_H
#define MGID_TESTS_DSN_RIG_H

#include "engine/mime/dsn.h"

/* A failed and a delayed recipient, in English. */
struct dsn rig_dsn(void);

/* Composes into memory of the rig's: it must succeed, in CRLF lines within their bound, 7 bit
 * unless it says more. The text ends with NUL. With MGID_DSN_SAMPLE the notification goes to that
 * file. */
struct dsn_output rig_compose(const struct dsn *in);

/* CRLF only, no line over the bound, no control characters; returns the longest. */
size_t rig_check_lines(struct span s, bool eight_bit);

/* The part for people: decoded, lines joined to one with single spaces. */
const char *rig_prose(const struct dsn_output *out);

#endif
