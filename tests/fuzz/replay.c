/* Runs a target once for every file named, or in the directories named: the corpus as a test. */
#include "tests/fuzz/fuzz.h"
#include <dirent.h>
#include <sys/stat.h>

enum { REPLAY_MAX = 16 << 20 };

static unsigned replayed;

static void replay_file(const char *path)
{
    static unsigned char bytes[REPLAY_MAX];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(66);
    }
    size_t n = fread(bytes, 1, sizeof bytes, f);
    (void)fclose(f);
    fprintf(stderr, "%s\n", path);
    unsigned char *copy = fuzz_copy(span_of(bytes, n));
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    replayed++;
}

static void replay(const char *path)
{
    char inside[4096];
    struct dirent *e;
    DIR *d = opendir(path);
    if (!d) {
        replay_file(path);
        return;
    }
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(inside, sizeof inside, "%s/%s", path, e->d_name);
        replay(inside);
    }
    (void)closedir(d);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%u inputs\n", replayed);
    return replayed > 0 ? 0 : 1;
}
