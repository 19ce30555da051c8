/* Objects, buffers and chains, each also against a simple model under random acts. */
#include "engine/pool/chunk.h"
#include "engine/pool/pool.h"
#include "tests/unit/random.h"
#include "tests/unit/suite.h"
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

START_TEST(gets_all_then_null)
{
    struct pool pool;
    void *objects[10];
    ck_assert_int_eq(pool_init(&pool, 100, 10), 0);
    for (unsigned i = 0; i < 10; i++) {
        objects[i] = pool_get(&pool);
        ck_assert_ptr_nonnull(objects[i]);
        ck_assert_uint_eq((uintptr_t)objects[i] % POOL_ALIGNMENT, 0);
        for (unsigned b = 0; b < 100; b++)
            ck_assert_uint_eq(((unsigned char *)objects[i])[b], 0);
        memset(objects[i], 0xa5, 100);
        ck_assert_uint_eq(pool.used, i + 1);
    }
    ck_assert_ptr_null(pool_get(&pool));
    pool_put(&pool, objects[3]);
    pool_put(&pool, objects[7]);
    ck_assert_ptr_eq(pool_get(&pool), objects[7]);
    ck_assert_ptr_eq(pool_get(&pool), objects[3]);
    ck_assert_ptr_null(pool_get(&pool));
    pool_destroy(&pool);
}
END_TEST

START_TEST(generation_tells_old_from_new)
{
    struct pool pool;
    ck_assert_int_eq(pool_init(&pool, 1, 2), 0);
    ck_assert_ptr_null(pool_at(&pool, 0));
    ck_assert_ptr_null(pool_find(&pool, 0, 0));
    ck_assert_uint_eq(pool_generation(&pool, 0), 0);
    void *a = pool_get(&pool);
    uint32_t index = pool_index(&pool, a);
    uint32_t generation = pool_generation(&pool, index);
    ck_assert_uint_eq(generation & 1, 1);
    ck_assert_ptr_eq(pool_find(&pool, index, generation), a);
    ck_assert_ptr_eq(pool_at(&pool, index), a);
    pool_put(&pool, a);
    ck_assert_ptr_null(pool_find(&pool, index, generation));
    ck_assert_ptr_null(pool_find(&pool, index, generation + 1));
    ck_assert_ptr_null(pool_at(&pool, index));
    void *b = pool_get(&pool);
    ck_assert_ptr_eq(a, b);
    ck_assert_ptr_null(pool_find(&pool, index, generation));
    ck_assert_ptr_eq(pool_find(&pool, index, pool_generation(&pool, index)), b);
    ck_assert_ptr_null(pool_at(&pool, 2));
    ck_assert_ptr_null(pool_find(&pool, UINT32_MAX, 1));
    /* The last generation before the count wraps is followed by a free one. */
    pool.generations[index] = UINT32_MAX;
    ck_assert_ptr_eq(pool_find(&pool, index, UINT32_MAX), b);
    pool_put(&pool, b);
    ck_assert_ptr_null(pool_find(&pool, index, UINT32_MAX));
    ck_assert_uint_eq(pool_generation(&pool, index), 0);
    ck_assert_ptr_eq(pool_get(&pool), b);
    ck_assert_uint_eq(pool_generation(&pool, index), 1);
    pool_destroy(&pool);
}
END_TEST

START_TEST(impossible_sizes_are_errors)
{
    struct pool pool;
    ck_assert_int_eq(pool_init(&pool, SIZE_MAX, 1), -1);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(pool_init(&pool, SIZE_MAX / 2, 4), -1);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(pool_init(&pool, (size_t)1 << 40, UINT32_MAX), -1);
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

static size_t resident_pages(void *p, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = n / page;
    unsigned char *map = malloc(pages);
    ck_assert_ptr_nonnull(map);
    ck_assert_int_eq(mincore(p, pages * page, map), 0);
    size_t resident = 0;
    for (size_t i = 0; i < pages; i++)
        resident += map[i] & 1;
    free(map);
    return resident;
}

START_TEST(untouched_slots_cost_nothing)
{
    struct chunk_pool pool;
    enum { CAPACITY = 16384 };
    ck_assert_int_eq(chunk_pool_init(&pool, CAPACITY), 0);
    ck_assert_uint_eq(resident_pages(pool.memory, (size_t)CAPACITY * LIMIT_CHUNK), 0);
    for (int i = 0; i < 1000; i++) {
        struct chunk *chunk = chunk_get(&pool);
        memset(chunk->data, 1, LIMIT_CHUNK);
        chunk_put(&pool, chunk);
    }
    ck_assert_uint_le(resident_pages(pool.memory, (size_t)CAPACITY * LIMIT_CHUNK), 4);
    chunk_pool_destroy(&pool);
}
END_TEST

static struct pool misuse_pool;

static void misuse_begin(void)
{
    /* The line that the bug logs is expected here. */
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    ck_assert_int_eq(pool_init(&misuse_pool, 64, 4), 0);
}

START_TEST(put_twice_is_a_bug)
{
    misuse_begin();
    void *object = pool_get(&misuse_pool);
    pool_put(&misuse_pool, object);
    pool_put(&misuse_pool, object);
}
END_TEST

START_TEST(put_of_another_pointer_is_a_bug)
{
    misuse_begin();
    unsigned char *object = pool_get(&misuse_pool);
    pool_put(&misuse_pool, object + 1);
}
END_TEST

START_TEST(put_before_the_pool_is_a_bug)
{
    misuse_begin();
    unsigned char *object = pool_get(&misuse_pool);
    pool_put(&misuse_pool, (void *)((uintptr_t)object - 64));
}
END_TEST

START_TEST(put_behind_the_pool_is_a_bug)
{
    misuse_begin();
    unsigned char *object = pool_get(&misuse_pool);
    pool_put(&misuse_pool, object + (size_t)4 * 64);
}
END_TEST

START_TEST(put_of_a_slot_never_got_is_a_bug)
{
    misuse_begin();
    unsigned char *object = pool_get(&misuse_pool);
    pool_put(&misuse_pool, object + 64);
}
END_TEST

START_TEST(random_acts_agree_with_a_model)
{
    enum { CAPACITY = 37, SIZE = 24 };
    struct {
        unsigned char *object;
        unsigned char byte;
        uint32_t generation;
    } model[CAPACITY] = {0};
    struct pool pool;
    random_state = 0x9e3779b97f4a7c15u + (uint64_t)_i;
    ck_assert_int_eq(pool_init(&pool, SIZE, CAPACITY), 0);
    unsigned used = 0;
    for (int act = 0; act < 20000; act++) {
        if (random_small(2) == 0) {
            unsigned char *object = pool_get(&pool);
            ck_assert(!object == (used == CAPACITY));
            if (!object)
                continue;
            uint32_t index = pool_index(&pool, object);
            ck_assert_ptr_null(model[index].object);
            model[index].object = object;
            model[index].byte = (unsigned char)random_small(256);
            ck_assert_uint_ne(model[index].generation, pool_generation(&pool, index));
            model[index].generation = pool_generation(&pool, index);
            memset(object, model[index].byte, SIZE);
            used++;
        } else {
            uint32_t index = random_small(CAPACITY);
            ck_assert_ptr_eq(pool_at(&pool, index), model[index].object);
            ck_assert_ptr_eq(pool_find(&pool, index, model[index].generation), model[index].object);
            if (!model[index].object)
                continue;
            for (unsigned i = 0; i < SIZE; i++)
                ck_assert_uint_eq(model[index].object[i], model[index].byte);
            pool_put(&pool, model[index].object);
            model[index].object = NULL;
            used--;
        }
        ck_assert_uint_eq(pool.used, used);
    }
    pool_destroy(&pool);
}
END_TEST

START_TEST(chunks_are_numbered_pages)
{
    struct chunk_pool pool;
    ck_assert_int_eq(chunk_pool_init(&pool, 3), 0);
    struct iovec memory = chunk_pool_memory(&pool);
    ck_assert_uint_eq(memory.iov_len, 3 * LIMIT_CHUNK);
    struct chunk *chunks[3];
    for (unsigned i = 0; i < 3; i++) {
        chunks[i] = chunk_get(&pool);
        ck_assert_ptr_nonnull(chunks[i]);
        ck_assert_uint_eq((uintptr_t)chunks[i]->data % 4096, 0);
        ck_assert_uint_eq(chunk_span(chunks[i]).n, 0);
        uint32_t index = chunk_index(&pool, chunks[i]);
        ck_assert_ptr_eq(chunks[i]->data,
                         (unsigned char *)memory.iov_base + (size_t)index * LIMIT_CHUNK);
        ck_assert_ptr_eq(chunk_at(&pool, index), chunks[i]);
    }
    ck_assert_ptr_null(chunk_get(&pool));
    ck_assert_uint_eq(chunk_pool_free(&pool), 0);
    chunk_put(&pool, chunks[1]);
    ck_assert_ptr_null(chunk_at(&pool, chunk_index(&pool, chunks[1])));
    ck_assert_uint_eq(chunk_pool_free(&pool), 1);
    chunk_pool_destroy(&pool);
}
END_TEST

START_TEST(append_is_all_or_nothing)
{
    static unsigned char bytes[4 * LIMIT_CHUNK];
    struct chunk_pool pool;
    struct chunk_chain chain = {0};
    ck_assert_int_eq(chunk_pool_init(&pool, 3), 0);
    ck_assert(chain_append(&pool, &chain, SPAN_EMPTY));
    ck_assert_uint_eq(chain.count, 0);
    ck_assert(!chain_append(&pool, &chain, span_of(bytes, 3 * LIMIT_CHUNK + 1)));
    ck_assert_uint_eq(chunk_pool_free(&pool), 3);
    ck_assert(chain_append(&pool, &chain, span_of(bytes, 1)));
    ck_assert(!chain_append(&pool, &chain, span_of(bytes, 3 * LIMIT_CHUNK)));
    ck_assert_uint_eq(chain.length, 1);
    ck_assert_uint_eq(chain.count, 1);
    ck_assert(chain_append(&pool, &chain, span_of(bytes, 3 * LIMIT_CHUNK - 1)));
    ck_assert_uint_eq(chain.count, 3);
    ck_assert(chain_append(&pool, &chain, SPAN_EMPTY));
    ck_assert(!chain_append(&pool, &chain, span_of(bytes, 1)));
    size_t n;
    ck_assert_ptr_null(chain_room(&pool, &chain, &n));
    chain_free(&pool, &chain);
    ck_assert_uint_eq(chunk_pool_free(&pool), 3);
    ck_assert_ptr_null(chain.first);
    ck_assert_uint_eq(chain.length, 0);
    chunk_pool_destroy(&pool);
}
END_TEST

/* The bytes a chain should hold, and the acts on both. */
struct reference {
    unsigned char bytes[64 * LIMIT_CHUNK];
    size_t n;
    unsigned char next; /* bytes count upwards, so that a lost or doubled one shows */
};

static void reference_add(struct reference *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r->bytes[r->n++] = r->next++;
}

static void reference_drop(struct reference *r, size_t n)
{
    memmove(r->bytes, r->bytes + n, r->n - n);
    r->n -= n;
}

static void chain_agrees(const struct chunk_chain *chain, const struct reference *r)
{
    static unsigned char out[64 * LIMIT_CHUNK];
    ck_assert_uint_eq(chain->length, r->n);
    size_t at = 0;
    uint32_t count = 0;
    for (const struct chunk *c = chain->first; c; c = c->next, count++) {
        struct span piece = chunk_span(c);
        ck_assert(span_eq(piece, span_of(r->bytes + at, piece.n)));
        at += piece.n;
        ck_assert(c->next || c == chain->last);
    }
    ck_assert_uint_eq(at, r->n);
    ck_assert_uint_eq(count, chain->count);
    size_t offset = r->n > 0 ? random_small((uint32_t)r->n) : 0;
    size_t want = random_small(3 * LIMIT_CHUNK);
    size_t got = chain_copy(chain, offset, out, want);
    ck_assert_uint_eq(got, want < r->n - offset ? want : r->n - offset);
    ck_assert(span_eq(span_of(out, got), span_of(r->bytes + offset, got)));
    struct iovec pieces[4];
    size_t n = chain_iovecs(chain, offset, pieces, 4);
    ck_assert(n == 4 || chain->count < 4 || offset > 0);
    for (size_t i = 0, place = offset; i < n; i++) {
        ck_assert_uint_gt(pieces[i].iov_len, 0);
        ck_assert(span_eq(span_of(pieces[i].iov_base, pieces[i].iov_len),
                          span_of(r->bytes + place, pieces[i].iov_len)));
        place += pieces[i].iov_len;
        ck_assert(i + 1 == n ? n == 4 || place == r->n : true);
    }
}

static void random_act(struct chunk_pool *pool, struct chunk_chain *chain, struct reference *r)
{
    static unsigned char bytes[3 * LIMIT_CHUNK];
    size_t n = random_small(2) ? random_small(50) : random_small(sizeof bytes);
    switch (random_small(4)) {
    case 0:
        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)(r->next + i);
        if (chain_append(pool, chain, span_of(bytes, n)))
            reference_add(r, n);
        break;
    case 1: {
        size_t room;
        unsigned char *p = chain_room(pool, chain, &room);
        if (!p)
            break;
        ck_assert_uint_gt(room, 0);
        n = n < room ? n : room;
        for (size_t i = 0; i < n; i++)
            p[i] = (unsigned char)(r->next + i);
        chain_wrote(chain, n);
        reference_add(r, n);
        break;
    }
    case 2:
        n = n < r->n ? n : r->n;
        chain_consume(pool, chain, n);
        reference_drop(r, n);
        break;
    default: {
        struct chunk *chunk = chain_shift(chain);
        if (!chunk)
            break;
        size_t filled = chunk_span(chunk).n;
        reference_drop(r, filled);
        chunk_put(pool, chunk);
        break;
    }
    }
}

START_TEST(random_chains_agree_with_bytes)
{
    static struct reference r;
    struct chunk_pool pool;
    struct chunk_chain chain = {0};
    random_state = 0xdeadbeefcafef00du + (uint64_t)_i;
    r.n = 0;
    ck_assert_int_eq(chunk_pool_init(&pool, 8), 0);
    for (int act = 0; act < 3000; act++) {
        random_act(&pool, &chain, &r);
        chain_agrees(&chain, &r);
        ck_assert_uint_eq(chunk_pool_free(&pool), 8 - chain.count);
    }
    chain_free(&pool, &chain);
    ck_assert_uint_eq(chunk_pool_free(&pool), 8);
    chunk_pool_destroy(&pool);
}
END_TEST

START_TEST(chunks_move_between_chains)
{
    struct chunk_pool pool;
    struct chunk_chain a = {0};
    struct chunk_chain b = {0};
    char out[16] = {0};
    ck_assert_int_eq(chunk_pool_init(&pool, 4), 0);
    chain_steal(&a, &b);
    ck_assert_ptr_null(a.first);
    ck_assert(chain_append(&pool, &b, SPAN_LIT("one ")));
    chain_steal(&a, &b);
    ck_assert_ptr_null(b.first);
    ck_assert_uint_eq(b.length, 0);
    ck_assert(chain_append(&pool, &b, SPAN_LIT("two ")));
    chain_steal(&a, &b);
    struct chunk *chunk = chunk_get(&pool);
    memcpy(chunk->data, "__three", 7);
    chunk->begin = 2;
    chunk->end = 7;
    chain_push(&a, chunk);
    ck_assert_uint_eq(a.length, 13);
    ck_assert_uint_eq(a.count, 3);
    ck_assert_uint_eq(chain_copy(&a, 0, out, sizeof out), 13);
    ck_assert_str_eq(out, "one two three");
    chunk = chain_shift(&a);
    ck_assert(span_eq(chunk_span(chunk), SPAN_LIT("one ")));
    chain_push(&b, chunk);
    chain_free(&pool, &a);
    chain_free(&pool, &b);
    ck_assert_ptr_null(chain_shift(&b));
    ck_assert_uint_eq(chunk_pool_free(&pool), 4);
    chunk_pool_destroy(&pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tc = tcase_create("objects");
    tcase_add_test(tc, gets_all_then_null);
    tcase_add_test(tc, generation_tells_old_from_new);
    tcase_add_test(tc, impossible_sizes_are_errors);
    tcase_add_test(tc, untouched_slots_cost_nothing);
    tcase_add_loop_test(tc, random_acts_agree_with_a_model, 0, 4);
    tcase_add_test_raise_signal(tc, put_twice_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, put_of_another_pointer_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, put_before_the_pool_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, put_behind_the_pool_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, put_of_a_slot_never_got_is_a_bug, SIGABRT);
    suite_add_tcase(suite, tc);
    tc = tcase_create("chunks");
    tcase_add_test(tc, chunks_are_numbered_pages);
    tcase_add_test(tc, append_is_all_or_nothing);
    tcase_add_test(tc, chunks_move_between_chains);
    tcase_add_loop_test(tc, random_chains_agree_with_bytes, 0, 3);
    tcase_set_timeout(tc, 30);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
