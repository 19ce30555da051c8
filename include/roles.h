/*
 * roles.h: the roles as an enumeration and their names, from roles.def.
 */
#ifndef MGID_ROLES_H
#define MGID_ROLES_H

enum role {
#define ROLE(NAME, name, uid_offset, summary) ROLE_##NAME,
#include "roles.def"
#undef ROLE
    ROLE_COUNT
};

/* A role as a bit, for the permit masks of messages.def. */
#define ROLE_BIT(role) (1u << (role))

/* "connection", "keeper", …; "unknown" for a number that is no role. */
const char *role_name(unsigned role);

#endif
