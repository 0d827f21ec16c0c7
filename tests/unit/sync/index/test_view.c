/* SPDX-License-Identifier: MIT
 *
 * A view beside an index answers as an index would that holds what is on the
 * disk, for random differences and while live changes come in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sync/index/view.h"

enum { NAMES = 400 };

static uint64_t seed = 7;

static uint64_t draw(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return seed >> 33;
}

/* Few buckets, so that they hold several names. */
static struct digest name_of(unsigned i)
{
    return (struct digest){.lo = i, .hi = (uint64_t)(i % 37) << 48};
}

static struct index_entry entry(unsigned i, uint64_t value)
{
    struct index_entry e = {.name = name_of(i),
                            .digest = {.lo = value, .hi = value * 3}};

    e.stat.ino = value;
    return e;
}

static void put(struct index *ix, unsigned i, uint64_t value)
{
    struct index_entry e = entry(i, value);
    struct err err;

    assert_int_equal(index_put(ix, &e, &err), 0);
}

/* 0: absent. */
static void note(struct view *v, unsigned i, uint64_t was, uint64_t now)
{
    struct index_entry a = entry(i, was), b = entry(i, now);
    struct err err;

    assert_int_equal(
        view_add(v, was != 0 ? &a : NULL, now != 0 ? &b : NULL, &err), 0);
}

static int by_name(const void *a, const void *b)
{
    return digest_order(((const struct index_entry *)a)->name,
                        ((const struct index_entry *)b)->name);
}

static void assert_lists_equal(const struct view *v, struct index *ix,
                               struct index *disk)
{
    struct index_entry *a = NULL, *b = NULL;
    size_t a_cap = 0, b_cap = 0;
    struct err err;

    for (unsigned bucket = 0; bucket < 40; bucket++) {
        int n = view_list(v, ix, bucket, &a, &a_cap, &err);
        assert_int_equal(n, index_list(disk, bucket, &b, &b_cap, &err));
        if (n > 1) {
            qsort(a, (size_t)n, sizeof *a, by_name);
            qsort(b, (size_t)n, sizeof *b, by_name);
        }
        for (int i = 0; i < n; i++) {
            assert_true(digest_equal(a[i].name, b[i].name));
            assert_true(digest_equal(a[i].digest, b[i].digest));
        }
    }
    free(a);
    free(b);
}

static void assert_equal(const struct view *v, struct index *ix,
                         struct index *disk)
{
    struct digest a[INDEX_NODES], b[INDEX_NODES];

    view_nodes(v, ix, a);
    index_nodes(disk, b);
    assert_memory_equal(a, b, sizeof a);
    view_buckets(v, ix, 0, a);
    index_buckets(disk, 0, b);
    assert_memory_equal(a, b, sizeof a);
    assert_lists_equal(v, ix, disk);
}

static void test_it_answers_for_the_disk(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct index *ix = index_new(), *disk = index_new();
        struct view *v = view_new();
        struct digest before;

        for (unsigned i = 1; i < NAMES; i++) {
            uint64_t was = draw() % 3, now = draw() % 3;
            if (was != 0) {
                put(ix, i, was);
            }
            if (now != 0) {
                put(disk, i, now);
            }
            if (was != now) {
                note(v, i, was, now);
            }
        }
        view_close(v);
        before = index_root(ix);
        assert_equal(v, ix, disk);
        assert_true(digest_equal(before, index_root(ix)));
        /* A live change: the index hears of it, and that counts. */
        for (unsigned i = 1; i < NAMES; i += 3) {
            put(ix, i, 9);
            put(disk, i, 9);
        }
        assert_equal(v, ix, disk);
        view_free(v);
        index_free(ix);
        index_free(disk);
    }
}

/* --- beside who tells the index ------------------------------------------ */

struct teller {
    struct index *ix;
    atomic_bool done;
};

enum { TOLD = 60, ROUNDS = 400 };

/* What was found for the view comes into the index, name by name. */
static void *tell(void *arg)
{
    struct teller *t = arg;

    for (unsigned i = 1; i < TOLD; i++) {
        put(t->ix, i, 2);
    }
    atomic_store(&t->done, true);
    return NULL;
}

static void tell_beside(const struct view *v, struct index *ix,
                        struct index *disk)
{
    struct teller t = {.ix = ix};
    pthread_t thread;

    for (unsigned i = 1; i < TOLD; i++) {
        put(ix, i, 1);
    }
    assert_int_equal(pthread_create(&thread, NULL, tell, &t), 0);
    while (!atomic_load(&t.done)) {
        assert_equal(v, ix, disk);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_whoever_tells_the_index_the_answer_has_it(void **state)
{
    struct index *ix = index_new(), *disk = index_new();
    struct view *v = view_new();

    (void)state;
    for (unsigned i = 1; i < TOLD; i++) {
        put(disk, i, 2);
        note(v, i, 1, 2);
    }
    view_close(v);
    for (unsigned round = 0; round < ROUNDS; round++) {
        tell_beside(v, ix, disk);
    }
    view_free(v);
    index_free(ix);
    index_free(disk);
}

static void test_nothing_found_is_the_index(void **state)
{
    struct index *ix = index_new();
    struct view *v = view_new();

    (void)state;
    put(ix, 1, 1);
    view_close(v);
    assert_equal(v, ix, ix);
    view_free(v);
    view_free(NULL);
    index_free(ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_answers_for_the_disk),
        cmocka_unit_test(test_whoever_tells_the_index_the_answer_has_it),
        cmocka_unit_test(test_nothing_found_is_the_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
