/* The seccomp filter: syscalls.def through libseccomp. Whatever no line allows kills. */
#include "engine/sandbox/steps.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define S_COMPILER ROLE_BIT(ROLE_COMPILER)
#define S_CONNECTION ROLE_BIT(ROLE_CONNECTION)
#define S_KEEPER ROLE_BIT(ROLE_KEEPER)
#define S_RESOLVER ROLE_BIT(ROLE_RESOLVER)
#define S_CONTROL ROLE_BIT(ROLE_CONTROL)
#define S_ALL (S_COMPILER | S_CONNECTION | S_KEEPER | S_RESOLVER | S_CONTROL)

enum { CONDITIONS = 3 };

/* The kernel reads int arguments from 32 bits; what stands above them is not compared. */
#define BITS(argument, mask, value)                                                                \
    {                                                                                              \
        argument, SCMP_CMP_MASKED_EQ, (uint32_t)(mask), (uint32_t)(value)                          \
    }
#define IS(argument, value) BITS(argument, UINT32_MAX, value)
#define IS_SELF(argument) BITS(argument, UINT32_MAX, getpid())
#define NONE_OF(argument, mask) BITS(argument, mask, 0)
/* A socket's type, whatever its flags. */
#define TYPE(argument, type) BITS(argument, ~(SOCK_NONBLOCK | SOCK_CLOEXEC), type)
#define STREAM(argument) TYPE(argument, SOCK_STREAM)
#define DATAGRAM(argument) TYPE(argument, SOCK_DGRAM)
#define ANY ()
#define CHECKS(...)                                                                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

struct rule {
    unsigned roles;
    int call;
    struct scmp_arg_cmp checks[CONDITIONS];
};

static int add_rules(scmp_filter_ctx filter, enum role role)
{
    const struct rule rules[] = {
#define SYSCALL(roles, name, check, why) {roles, SCMP_SYS(name), CHECKS check},
#include "engine/sandbox/syscalls.def"
#undef SYSCALL
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *r = &rules[i];
        unsigned n = 0;
        while (n < CONDITIONS && r->checks[n].op == SCMP_CMP_MASKED_EQ)
            n++;
        if (!(r->roles & ROLE_BIT(role)))
            continue;
        int error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, r->call, n, r->checks);
        if (error != 0)
            return error;
    }
    return 0;
}

int sandbox_filter(const struct sandbox_request *request, struct sandbox_result *result)
{
    (void)result;
    uint32_t otherwise = request->log_only ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
    scmp_filter_ctx filter = seccomp_init(otherwise);
    if (filter == NULL) {
        errno = ENOMEM;
        return -1;
    }
    /* A call of another architecture's table (32-bit, x32) is no less a violation. */
    int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    /* A binary tree over the call numbers: the hot path makes few calls, but many times. */
    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (error == 0)
        error = add_rules(filter, request->role);
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    errno = -error;
    return error == 0 ? 0 : -1;
}
