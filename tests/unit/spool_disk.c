#include "tests/unit/spool_disk.h"
#include "engine/spool/file.h"
#include "status.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILES 256
#define DESCRIPTORS 128
#define SECTOR 512u
#define PENDING_MAX 4096

/* A change that is in the cache and perhaps not on the disk. */
struct change {
    uint64_t offset;
    size_t n;
    unsigned char *bytes; /* NULL: the file gets the size `offset` */
    bool lost;            /* a sync failed: no later one makes it stable */
};

struct file {
    bool used;
    unsigned char *cached;
    size_t cached_size;
    unsigned char *stable;
    size_t stable_size;
    struct change *pending;
    unsigned pending_count;
};

struct name {
    char text[64];
    int file; /* -1: free */
};

/* A change to the names: from and to may be empty (made, removed). */
struct naming {
    char from[64];
    char to[64];
    int file;
};

struct disk {
    struct file files[FILES];
    struct name cached[FILES];
    struct name stable[FILES];
    struct naming *pending;
    unsigned pending_count;
    int open[DESCRIPTORS]; /* file + 1; 0: free */
    uint64_t operations;
    uint64_t room;
    unsigned sync_after, sync_failures;
    void (*each)(void *context);
    void *context;
};

static struct disk *used;

static void *taken(void *p)
{
    BUG_ON(!p);
    return p;
}

struct disk *disk_new(void)
{
    struct disk *d = taken(calloc(1, sizeof *d));
    d->pending = taken(calloc(PENDING_MAX, sizeof *d->pending));
    d->room = UINT64_MAX;
    for (unsigned i = 0; i < FILES; i++)
        d->cached[i].file = d->stable[i].file = -1;
    return d;
}

static void forget_changes(struct file *f)
{
    for (unsigned i = 0; i < f->pending_count; i++)
        free(f->pending[i].bytes);
    f->pending_count = 0;
}

static void file_free(struct file *f)
{
    forget_changes(f);
    free(f->pending);
    free(f->cached);
    free(f->stable);
    *f = (struct file){0};
}

void disk_free(struct disk *d)
{
    for (unsigned i = 0; i < FILES; i++)
        file_free(&d->files[i]);
    free(d->pending);
    free(d);
}

void disk_use(struct disk *d)
{
    used = d;
}

struct disk *disk_used(void)
{
    return used;
}

void disk_watch(struct disk *d, void (*each)(void *context), void *context)
{
    d->each = each;
    d->context = context;
}

void disk_fail_syncs(struct disk *d, unsigned after, unsigned count)
{
    d->sync_after = after;
    d->sync_failures = count;
}

void disk_set_room(struct disk *d, uint64_t bytes)
{
    d->room = bytes;
}

void disk_close_all(struct disk *d)
{
    memset(d->open, 0, sizeof d->open);
}

uint64_t disk_operations(const struct disk *d)
{
    return d->operations;
}

/* Before a change: here is where all may end. */
static void about_to(struct disk *d)
{
    d->operations++;
    if (d->each)
        d->each(d->context);
}

/* ---- content ------------------------------------------------------------------------------ */

static void apply(unsigned char **bytes, size_t *size, const struct change *c)
{
    size_t wanted = c->bytes ? c->offset + c->n : c->offset;
    if (c->bytes ? wanted > *size : wanted != *size) {
        *bytes = taken(realloc(*bytes, wanted > 0 ? wanted : 1));
        if (wanted > *size)
            memset(*bytes + *size, 0, wanted - *size);
        *size = wanted;
    }
    if (c->bytes)
        memcpy(*bytes + c->offset, c->bytes, c->n);
}

static void change(struct file *f, uint64_t offset, size_t n, const unsigned char *bytes)
{
    if (!f->pending)
        f->pending = taken(calloc(PENDING_MAX, sizeof *f->pending));
    BUG_ON(f->pending_count == PENDING_MAX);
    struct change *c = &f->pending[f->pending_count++];
    *c = (struct change){.offset = offset, .n = n};
    if (bytes) {
        c->bytes = taken(malloc(n > 0 ? n : 1));
        memcpy(c->bytes, bytes, n);
    }
    apply(&f->cached, &f->cached_size, c);
}

static uint64_t next_random(uint64_t *seed)
{
    uint64_t x = *seed;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *seed = x;
}

/* Sectors of a write, each or not. */
static void apply_torn(struct file *to, const struct change *c, uint64_t *seed)
{
    for (size_t at = 0; at < c->n;) {
        size_t n = SECTOR - (c->offset + at) % SECTOR;
        if (n > c->n - at)
            n = c->n - at;
        struct change piece = {.offset = c->offset + at, .n = n, .bytes = c->bytes + at};
        if (next_random(seed) % 2)
            apply(&to->stable, &to->stable_size, &piece);
        at += n;
    }
}

static void crash_file(struct file *to, const struct file *from, enum disk_loss loss,
                       uint64_t *seed)
{
    to->used = true;
    to->stable = taken(malloc(from->stable_size > 0 ? from->stable_size : 1));
    to->stable_size = from->stable_size;
    if (from->stable_size > 0)
        memcpy(to->stable, from->stable, from->stable_size);
    uint64_t mood = next_random(seed) % 4; /* of this file: nothing, all, or each by itself */
    if (loss == DISK_KEEPS_ALL || loss == DISK_KEEPS_CONTENT) {
        struct change all = {.n = from->cached_size, .bytes = from->cached};
        apply(&to->stable, &to->stable_size, &(struct change){.offset = from->cached_size});
        if (all.n > 0)
            apply(&to->stable, &to->stable_size, &all);
    }
    for (unsigned i = 0; i < from->pending_count && loss == DISK_KEEPS_SOME; i++) {
        const struct change *c = &from->pending[i];
        if (mood == 1 || (mood > 1 && next_random(seed) % 3 == 0))
            apply(&to->stable, &to->stable_size, c);
        else if (mood > 1 && c->bytes)
            apply_torn(to, c, seed);
    }
    to->cached_size = to->stable_size;
    to->cached = taken(malloc(to->stable_size > 0 ? to->stable_size : 1));
    if (to->stable_size > 0)
        memcpy(to->cached, to->stable, to->stable_size);
}

/* ---- names -------------------------------------------------------------------------------- */

static struct name *find_name(struct name *list, const char *text)
{
    for (unsigned i = 0; i < FILES; i++)
        if (list[i].file >= 0 && strcmp(list[i].text, text) == 0)
            return &list[i];
    return NULL;
}

static void apply_naming(struct name *list, const struct naming *n)
{
    struct name *from = n->from[0] ? find_name(list, n->from) : NULL;
    struct name *to = n->to[0] ? find_name(list, n->to) : NULL;
    /* What was lost before can't be moved; and a name that is another's meanwhile stays. */
    if (n->from[0] && (!from || from->file != n->file))
        return;
    if (from)
        from->file = -1;
    if (!n->to[0])
        return;
    for (unsigned i = 0; i < FILES && !to; i++)
        if (list[i].file < 0)
            to = &list[i];
    BUG_ON(!to);
    (void)snprintf(to->text, sizeof to->text, "%s", n->to);
    to->file = n->file;
}

static void rename_in(struct disk *d, const char *from, const char *to, int file)
{
    BUG_ON(d->pending_count == PENDING_MAX);
    struct naming *n = &d->pending[d->pending_count++];
    *n = (struct naming){.file = file};
    (void)snprintf(n->from, sizeof n->from, "%s", from);
    (void)snprintf(n->to, sizeof n->to, "%s", to);
    apply_naming(d->cached, n);
}

static bool named(const struct name *list, int file)
{
    for (unsigned i = 0; i < FILES; i++)
        if (list[i].file == file)
            return true;
    return false;
}

/* Frees files that nothing leads to any more, now or after a crash. */
static void collect(struct disk *d)
{
    for (int i = 0; i < FILES; i++) {
        bool wanted = named(d->cached, i) || named(d->stable, i);
        for (unsigned k = 0; k < d->pending_count && !wanted; k++)
            wanted = d->pending[k].file == i;
        for (unsigned k = 0; k < DESCRIPTORS && !wanted; k++)
            wanted = d->open[k] == i + 1;
        if (d->files[i].used && !wanted)
            file_free(&d->files[i]);
    }
}

struct disk *disk_crash(const struct disk *d, enum disk_loss loss, uint64_t seed)
{
    struct disk *left = disk_new();
    seed = seed * 0x9e3779b97f4a7c15u + 1;
    memcpy(left->stable, d->stable, sizeof left->stable);
    for (unsigned i = 0; i < d->pending_count; i++) {
        bool keep = loss == DISK_KEEPS_ALL || loss == DISK_KEEPS_NAMES ||
                    (loss == DISK_KEEPS_SOME && next_random(&seed) % 2);
        if (keep)
            apply_naming(left->stable, &d->pending[i]);
    }
    memcpy(left->cached, left->stable, sizeof left->cached);
    for (int i = 0; i < FILES; i++)
        if (d->files[i].used && named(left->stable, i))
            crash_file(&left->files[i], &d->files[i], loss, &seed);
    return left;
}

/* ---- what the spool calls ----------------------------------------------------------------- */

static struct file *file_of(int fd)
{
    BUG_ON(fd < 100 || fd >= 100 + DESCRIPTORS || used->open[fd - 100] == 0);
    return &used->files[used->open[fd - 100] - 1];
}

static int open_file(int file)
{
    for (int i = 0; i < DESCRIPTORS; i++)
        if (used->open[i] == 0) {
            used->open[i] = file + 1;
            return 100 + i;
        }
    return -EMFILE;
}

int file_open(int directory, const char *name)
{
    const struct name *n = find_name(used->cached, name);
    (void)directory;
    return n ? open_file(n->file) : -ENOENT;
}

int file_create(int directory, const char *name)
{
    (void)directory;
    if (find_name(used->cached, name))
        return -EEXIST;
    about_to(used);
    collect(used);
    for (int i = 0; i < FILES; i++)
        if (!used->files[i].used) {
            used->files[i].used = true;
            rename_in(used, "", name, i);
            return open_file(i);
        }
    return -ENOSPC;
}

int file_lock(int directory, const char *name)
{
    int fd = file_open(directory, name);
    return fd >= 0 ? fd : file_create(directory, name);
}

void file_close(int fd)
{
    (void)file_of(fd);
    used->open[fd - 100] = 0;
}

int64_t file_size(int fd)
{
    return (int64_t)file_of(fd)->cached_size;
}

ssize_t file_read(int fd, void *buffer, size_t n, uint64_t offset)
{
    const struct file *f = file_of(fd);
    if (offset >= f->cached_size)
        return 0;
    if (n > f->cached_size - offset)
        n = f->cached_size - offset;
    memcpy(buffer, f->cached + offset, n);
    return (ssize_t)n;
}

static bool room_for(size_t n)
{
    if (n > used->room)
        return false;
    if (used->room != UINT64_MAX)
        used->room -= n;
    return true;
}

ssize_t file_write(int fd, struct span bytes, uint64_t offset)
{
    struct file *f = file_of(fd);
    about_to(used);
    if (offset + bytes.n > f->cached_size && !room_for(offset + bytes.n - f->cached_size))
        return -ENOSPC;
    change(f, offset, bytes.n, bytes.p);
    return (ssize_t)bytes.n;
}

/* What was lost is written over by a later change. */
static bool written_anew(const struct file *f, unsigned i)
{
    const struct change *lost = &f->pending[i];
    for (unsigned k = i + 1; k < f->pending_count; k++) {
        const struct change *c = &f->pending[k];
        if (!c->lost && c->bytes && c->offset < lost->offset + lost->n &&
            lost->offset < c->offset + c->n)
            return true;
    }
    return false;
}

int file_sync(int fd)
{
    bool directory = fd == DISK_DIRECTORY;
    struct file *f = directory ? NULL : file_of(fd);
    about_to(used);
    if (used->sync_failures > 0 && used->sync_after-- == 0) {
        used->sync_failures--;
        used->sync_after = 0;
        for (unsigned i = 0; f && i < f->pending_count; i++)
            f->pending[i].lost = true;
        return -EIO; /* nothing became stable, and the next sync succeeds without it */
    }
    if (directory) {
        for (unsigned i = 0; i < used->pending_count; i++)
            apply_naming(used->stable, &used->pending[i]);
        used->pending_count = 0;
        collect(used);
        return 0;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < f->pending_count; i++) {
        if (f->pending[i].lost && !written_anew(f, i)) {
            f->pending[kept++] = f->pending[i];
            continue;
        }
        if (!f->pending[i].lost)
            apply(&f->stable, &f->stable_size, &f->pending[i]);
        free(f->pending[i].bytes);
    }
    f->pending_count = kept;
    return 0;
}

int file_reserve(int fd, uint64_t size)
{
    struct file *f = file_of(fd);
    about_to(used);
    if (size > f->cached_size) {
        if (!room_for(size - f->cached_size))
            return -ENOSPC;
        change(f, size, 0, NULL);
    }
    return 0;
}

int file_empty(int fd, uint64_t size)
{
    struct file *f = file_of(fd);
    about_to(used);
    unsigned char *zero = taken(calloc(1, size));
    change(f, 0, size < f->cached_size ? size : f->cached_size, zero);
    free(zero);
    return 0;
}

int file_truncate(int fd, uint64_t size)
{
    about_to(used);
    change(file_of(fd), size, 0, NULL);
    return 0;
}

int file_rename(int directory, const char *from, const char *to)
{
    const struct name *n = find_name(used->cached, from);
    (void)directory;
    if (!n)
        return -ENOENT;
    about_to(used);
    rename_in(used, from, to, n->file);
    return 0;
}

int file_remove(int directory, const char *name)
{
    const struct name *n = find_name(used->cached, name);
    (void)directory;
    if (!n)
        return -ENOENT;
    about_to(used);
    rename_in(used, name, "", n->file);
    return 0;
}

int file_list(int directory, bool (*each)(void *context, const char *name), void *context)
{
    (void)directory;
    for (unsigned i = 0; i < FILES; i++)
        if (used->cached[i].file >= 0 && !each(context, used->cached[i].text))
            break;
    return 0;
}

int file_space(int directory, uint64_t *bytes, uint64_t *inodes)
{
    (void)directory;
    *bytes = used->room;
    *inodes = UINT64_MAX;
    return 0;
}

ssize_t disk_write(const struct spool_io *io)
{
    uint64_t offset = io->offset;
    for (unsigned i = 0; i < io->iov_count; i++) {
        ssize_t n = file_write(io->fd, span_of(io->iov[i].iov_base, io->iov[i].iov_len), offset);
        if (n < 0)
            return n;
        offset += (uint64_t)n;
    }
    return (ssize_t)(offset - io->offset);
}
