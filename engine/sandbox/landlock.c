/* Landlock: what paths, ports and processes remain in reach, by the ABI that the kernel has. */
#include "engine/sandbox/landlock_abi.h"
#include "engine/sandbox/steps.h"
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is handled is denied unless a rule allows it; so everything that an ABI knows is handled. */
static const struct {
    int abi;
    uint64_t rights;
} fs_rights[] = {
    {1, LANDLOCK_FS_EXECUTE | LANDLOCK_FS_WRITE_FILE | LANDLOCK_FS_READ_FILE |
            LANDLOCK_FS_READ_DIR | LANDLOCK_FS_REMOVE_DIR | LANDLOCK_FS_REMOVE_FILE |
            LANDLOCK_FS_MAKE_CHAR | LANDLOCK_FS_MAKE_DIR | LANDLOCK_FS_MAKE_REG |
            LANDLOCK_FS_MAKE_SOCK | LANDLOCK_FS_MAKE_FIFO | LANDLOCK_FS_MAKE_BLOCK |
            LANDLOCK_FS_MAKE_SYM},
    {2, LANDLOCK_FS_REFER},
    {3, LANDLOCK_FS_TRUNCATE},
    {5, LANDLOCK_FS_IOCTL_DEV},
};

#define FS_READ (LANDLOCK_FS_READ_FILE | LANDLOCK_FS_READ_DIR)
/* Regular files only: no directory, device, socket, pipe or link is ever made by a role. */
#define FS_WRITE                                                                                   \
    (LANDLOCK_FS_WRITE_FILE | LANDLOCK_FS_TRUNCATE | LANDLOCK_FS_MAKE_REG |                        \
     LANDLOCK_FS_REMOVE_FILE | LANDLOCK_FS_REFER)

enum { ABI_NET = 4, ABI_SCOPES = 6 };

static int add_rule(int ruleset, enum landlock_rule type, const void *rule)
{
    return (int)syscall(SYS_landlock_add_rule, ruleset, type, rule, 0);
}

static struct landlock_ruleset handled(const struct sandbox_request *request, int abi)
{
    struct landlock_ruleset r = {0};
    for (size_t i = 0; i < sizeof fs_rights / sizeof fs_rights[0]; i++)
        if (abi >= fs_rights[i].abi)
            r.handled_access_fs |= fs_rights[i].rights;
    if (abi >= ABI_NET) {
        r.handled_access_net = LANDLOCK_NET_BIND_TCP;
        if (!request->connect_any_port)
            r.handled_access_net |= LANDLOCK_NET_CONNECT_TCP;
    }
    if (abi >= ABI_SCOPES)
        r.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX | LANDLOCK_SCOPE_SIGNALS;
    return r;
}

static int add_rules(int ruleset, const struct sandbox_request *request,
                     const struct landlock_ruleset *all)
{
    for (unsigned i = 0; i < request->directory_count; i++) {
        const struct sandbox_directory *d = &request->directories[i];
        struct landlock_beneath beneath = {.parent_fd = d->fd};
        beneath.allowed_access = all->handled_access_fs & (FS_READ | (d->writable ? FS_WRITE : 0));
        if (add_rule(ruleset, LANDLOCK_BENEATH, &beneath) != 0)
            return -1;
    }
    if (!(all->handled_access_net & LANDLOCK_NET_CONNECT_TCP))
        return 0;
    for (unsigned i = 0; i < request->connect_port_count; i++) {
        struct landlock_port port = {.allowed_access = LANDLOCK_NET_CONNECT_TCP,
                                     .port = request->connect_ports[i]};
        if (add_rule(ruleset, LANDLOCK_PORT, &port) != 0)
            return -1;
    }
    return 0;
}

int sandbox_landlock(const struct sandbox_request *request, struct sandbox_result *result)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_QUERY);
    result->landlock_abi = abi > 0 ? abi : 0;
    if (abi <= 0) /* not built in, or off at boot: said in the log; seccomp still holds */
        return 0;
    struct landlock_ruleset all = handled(request, abi);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (ruleset < 0)
        return -1;
    int r = add_rules(ruleset, request, &all);
    if (r == 0)
        r = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    int saved = errno;
    (void)close(ruleset);
    errno = saved;
    result->tcp_rules = (all.handled_access_net & LANDLOCK_NET_CONNECT_TCP) != 0;
    result->scopes = all.scoped != 0;
    return r;
}
