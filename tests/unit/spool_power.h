/* A spool on a disk in memory, random acts on it, and what was promised of each mail. */
#ifndef MGID_TEST_SPOOL_POWER_H
#define MGID_TEST_SPOOL_POWER_H

#include "tests/unit/spool_disk.h"

enum power_faults { POWER_NO_FAULTS, POWER_SYNC_FAULTS, POWER_FULL };

struct power;

struct power *power_new(uint64_t seed, enum power_faults faults);

/* One act: a mail, a batch, an outcome, upkeep, a restart … Ends the program when a promise is
 * broken, saying which, the seed and the operation. */
void power_act(struct power *p);

void power_end(struct power *p);

/* Of all runs so far. */
struct power_count {
    uint64_t accepted; /* mails that got their 250 */
    uint64_t states;   /* that were recovered */
    uint64_t found;    /* mails that were compared in them */
};

struct power_count power_counted(void);

#endif
