/* What the master keeps of root's rights. */
#include "workers/master/master.h"
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A role inherits these and gives all of them up in its sandbox. */
static const struct {
    unsigned capability;
    const char *reason;
} kept[] = {
    {CAP_NET_BIND_SERVICE, "port 25"},
    {CAP_DAC_OVERRIDE, "reads keys and makes log files, whoever owns their directories"},
    {CAP_CHOWN, "gives a shard to its flow's uid"},
    {CAP_FOWNER, "sets the mode of a shard that a flow's uid owns"},
    {CAP_KILL, "ends roles; and without it the kernel would not end them with the master"},
    {CAP_SETUID, "the roles' own uids"},
    {CAP_SETGID, "the roles' own gids"},
    {CAP_SETPCAP, "lets a role empty its bounding set"},
    {CAP_SYS_CHROOT, "the roles' empty root"},
    {CAP_SYS_RESOURCE, "descriptors of a worker above the hard limit"},
    {CAP_NET_ADMIN, "send buffers of the channels above net.core.wmem_max"},
    {CAP_IPC_LOCK, "the keeper's keys stay in memory"},
};

static void keep_listed(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    uint64_t keep = 0;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        keep |= UINT64_C(1) << kept[i].capability;
    for (unsigned long c = 0; c < 64; c++)
        if (!(keep >> c & 1) && prctl(PR_CAPBSET_READ, c, 0, 0, 0) > 0 &&
            prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0)
            fatal_env(EXIT_OSERR, errno, "can't drop capability %lu", c);
    if (syscall(SYS_capget, &header, data) != 0)
        fatal_env(EXIT_OSERR, errno, "capget");
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= (uint32_t)(keep >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) != 0)
        fatal_env(EXIT_OSERR, errno, "capset");
}

void privileges_reduce(bool root)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fatal_env(EXIT_OSERR, errno, "no_new_privs");
    if (root)
        keep_listed();
}
