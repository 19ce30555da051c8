/*
 * The compiler's process: the policy's text in, a sealed image or a report out, and the end.
 *
 * The text is not looked at before the sandbox is closed: whatever it does to the parser, the
 * process can then do no more than answer. The memfd is made before, so that even making one
 * need not be allowed; what remains to be asked is F_ADD_SEALS.
 */
#include "engine/log/log.h"
#include "engine/sandbox/role.h"
#include "policy/compile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void fill_and_seal(int fd, const unsigned char *image, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, image, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            fatal_env(EXIT_OSERR, errno, "the policy image can't be written");
        image += put;
        n -= (size_t)put;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        fatal_env(EXIT_OSERR, errno, "the policy image can't be sealed");
}

static const struct role_item *text_item(const struct role_start *start)
{
    if (start->count != 1 || start->items[0].kind != MSG_policy_text)
        fatal_env(EXIT_SOFTWARE, 0, "the compiler is handed one policy text and nothing else");
    return &start->items[0];
}

/* What came of the text, as the message that says it. The report lives in `report`. */
static struct ipc_message answer(const struct policy_compilation *c, struct span path, int image,
                                 char report[LIMIT_REPORT])
{
    size_t n = policy_report_text(c, path, report, LIMIT_REPORT);
    struct ipc_message m = {.kind = MSG_not_compiled, .fds = {-1, -1}};
    if (c->image == NULL) {
        m.not_compiled.report = span_of(report, n);
        return m;
    }
    m.kind = MSG_compiled;
    m.fds[0] = image;
    m.compiled.report = span_of(report, n);
    return m;
}

int main(int argc, char **argv)
{
    static struct role_start start;
    static char report[LIMIT_REPORT];
    role_acquire(ROLE_COMPILER, argc, argv, &start);
    const struct role_item *item = text_item(&start);
    int image = memfd_create("policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (image < 0)
        fatal_env(EXIT_OSERR, errno, "memfd_create");
    policy_compile_prepare();

    struct sandbox_request request = {.root = -1};
    sandbox_keep(&request, item->fds[0]);
    sandbox_keep(&request, image);
    role_seal(&start, &request);

    unsigned char *text;
    size_t n;
    int error = policy_text_read(item->fds[0], &text, &n);
    if (error != 0)
        fatal_env(EXIT_NOINPUT, error, "the policy can't be read");
    struct policy_compilation compilation;
    if (policy_compile(span_of(text, n), &compilation))
        fill_and_seal(image, compilation.image, compilation.image_size);
    struct ipc_message m = answer(&compilation, span_str(item->text), image, report);
    enum ipc_status status = ipc_send(start.master, &m);
    if (status != IPC_OK)
        fatal_env(EXIT_OSERR, 0, "the master does not take the compiled policy: %s",
                  ipc_status_text(status));
    policy_compilation_free(&compilation);
    free(text);
    return EXIT_OK;
}
