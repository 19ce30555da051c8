/*
 * complete: fields that a mail of our own programs should have and lacks (RFC 6409 8.2, 8.3).
 *
 * They are changes of the header as a rule's are (engine/mime/edit.h): the stored mail stays as it
 * came, and an attempt that is made again writes the same.
 */
#ifndef MGID_COMPLETE_H
#define MGID_COMPLETE_H

#include <stdbool.h>

struct transaction;

/* Once the header was scanned and the rules have decided: a Message-ID (of the queue id and our
 * host name) and a Date (of the arrival), as the flow asks, for a mail that has no field of that
 * name; not for recipients whose rule changes that field itself. False: no memory. */
bool complete_mail(struct transaction *t);

#endif
