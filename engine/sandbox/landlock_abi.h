/*
 * landlock_abi.h: the kernel's Landlock interface (Documentation/userspace-api/landlock.rst), as
 * far as mgid uses it and beyond what the headers of Debian 12 name. The kernel is asked at run
 * time which ABI it has; see landlock.c for which constant needs which.
 */
#ifndef MGID_LANDLOCK_ABI_H
#define MGID_LANDLOCK_ABI_H

#include <stdint.h>

/* struct landlock_ruleset_attr of ABI 6. An older kernel takes the longer structure as long as
 * the fields that it does not know are zero. */
struct landlock_ruleset {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* ABI 4 */
    uint64_t scoped;             /* ABI 6 */
};

/* struct landlock_path_beneath_attr: packed in the kernel's interface. */
struct landlock_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

/* struct landlock_net_port_attr (ABI 4); the port in host order. */
struct landlock_port {
    uint64_t allowed_access;
    uint64_t port;
};

enum landlock_rule {
    LANDLOCK_BENEATH = 1,
    LANDLOCK_PORT = 2, /* ABI 4 */
};

#define LANDLOCK_VERSION_QUERY 1u

#define LANDLOCK_FS_EXECUTE (UINT64_C(1) << 0)
#define LANDLOCK_FS_WRITE_FILE (UINT64_C(1) << 1)
#define LANDLOCK_FS_READ_FILE (UINT64_C(1) << 2)
#define LANDLOCK_FS_READ_DIR (UINT64_C(1) << 3)
#define LANDLOCK_FS_REMOVE_DIR (UINT64_C(1) << 4)
#define LANDLOCK_FS_REMOVE_FILE (UINT64_C(1) << 5)
#define LANDLOCK_FS_MAKE_CHAR (UINT64_C(1) << 6)
#define LANDLOCK_FS_MAKE_DIR (UINT64_C(1) << 7)
#define LANDLOCK_FS_MAKE_REG (UINT64_C(1) << 8)
#define LANDLOCK_FS_MAKE_SOCK (UINT64_C(1) << 9)
#define LANDLOCK_FS_MAKE_FIFO (UINT64_C(1) << 10)
#define LANDLOCK_FS_MAKE_BLOCK (UINT64_C(1) << 11)
#define LANDLOCK_FS_MAKE_SYM (UINT64_C(1) << 12)
#define LANDLOCK_FS_REFER (UINT64_C(1) << 13)     /* ABI 2 */
#define LANDLOCK_FS_TRUNCATE (UINT64_C(1) << 14)  /* ABI 3 */
#define LANDLOCK_FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */

#define LANDLOCK_NET_BIND_TCP (UINT64_C(1) << 0)
#define LANDLOCK_NET_CONNECT_TCP (UINT64_C(1) << 1)

#define LANDLOCK_SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0)
#define LANDLOCK_SCOPE_SIGNALS (UINT64_C(1) << 1)

#endif
