/* SPDX-License-Identifier: MIT
 *
 * Which names are established: a model that knows every name's whole life says
 * the same, whatever comes and goes, around the end of the stamps too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/index/age.h"

enum { NAMES = 200 };

static struct digest name_of(unsigned i)
{
    return (struct digest){.lo = i * UINT64_C(0x9e3779b97f4a7c15), .hi = i + 1};
}

static struct age_key key_of(unsigned i, uint16_t stamp)
{
    return (struct age_key){name_of(i), stamp, 0};
}

static bool went_young(const struct ages *a, unsigned i)
{
    return age_end_of(a, name_of(i)) == AGE_FREE;
}

static void steps(struct ages *a, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        age_step(a);
    }
}

static void before_the_first_step_all_is_established(void **state)
{
    struct ages a = {.now = 0};

    (void)state;
    struct age_key k = key_of(1, 0);
    assert_int_equal(age_come(&a, &k), 0);
    assert_false(age_is_young(&a, 0));
    age_go(&a, &k);
    assert_false(went_young(&a, 1));
    assert_int_equal(age_memory_bytes(&a), 0);
    age_deinit(&a);
}

struct life {
    bool in, established_then; /* when it went */
    long came, went;           /* steps; far in the past: established */
    uint16_t stamp;
};

static bool is_established(const struct life *l, long now)
{
    return now - l->came >= AGE_STEPS;
}

static void come(struct ages *a, struct life *l, unsigned i, long now)
{
    bool back = l->established_then && now - l->went < AGE_AWAY_STEPS;

    l->in = true;
    l->came = back ? -1000000 : now;
    struct age_key k = key_of(i, 0);
    l->stamp = age_come(a, &k);
    age_count(a, l->stamp, true);
}

static void go(struct ages *a, struct life *l, unsigned i, long now)
{
    l->in = false;
    l->established_then = is_established(l, now);
    l->went = now;
    age_count(a, l->stamp, false);
    struct age_key k = key_of(i, l->stamp);
    age_go(a, &k);
}

static void check(const struct ages *a, const struct life *lives, long now)
{
    uint64_t young = 0;

    for (unsigned i = 0; i < NAMES; i++) {
        const struct life *l = &lives[i];
        if (l->in) {
            assert_int_equal(age_is_young(a, l->stamp),
                             !is_established(l, now));
            young += !is_established(l, now);
        }
        /* None is forgotten before two halves are full or old. */
        bool remembered = l->went >= 0 && now - l->went < AGE_GONE_STEPS;
        if (!l->in && remembered) {
            assert_int_equal(went_young(a, i), !l->established_then);
        }
    }
    assert_int_equal(a->young_sum, young);
}

static void lives_are_told_from_each_other(void **state)
{
    const char *given = getenv("AGE_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 4711;
    static struct life lives[NAMES];
    struct ages a = {.now = 0};
    long now = 0;

    (void)state;
    print_message("AGE_SEED=%u\n", seed);
    steps(&a, AGE_LAST - 40); /* the stamps begin anew on the way */
    for (unsigned i = 0; i < NAMES; i++) {
        lives[i] = (struct life){.went = -1000000};
    }
    for (int round = 0; round < 20000; round++) {
        unsigned i = (unsigned)rand_r(&seed) % NAMES;
        if (!lives[i].in) {
            come(&a, &lives[i], i, now);
        } else if (rand_r(&seed) % 3 == 0) {
            go(&a, &lives[i], i, now);
        }
        if (rand_r(&seed) % 8 == 0) {
            age_step(&a);
            now++;
        }
        check(&a, lives, now);
    }
    age_deinit(&a);
}

static void memory_for_names_that_went_is_bounded(void **state)
{
    struct ages a = {.now = 0};
    size_t most = 0;

    (void)state;
    age_step(&a);
    for (unsigned i = 0; i < 3 * AGE_GONE_MAX; i++) {
        struct age_key k = key_of(i, a.now);
        age_go(&a, &k);
        size_t bytes = age_memory_bytes(&a);
        most = bytes > most ? bytes : most;
    }
    assert_true(most <= (size_t)32 << 20);
    assert_true(went_young(&a, 3 * AGE_GONE_MAX - 1));
    assert_true(went_young(&a, 2 * AGE_GONE_MAX));
    assert_false(went_young(&a, 0)); /* forgotten */
    steps(&a, 2 * AGE_GONE_STEPS);
    assert_int_equal(age_memory_bytes(&a), 0);
    age_deinit(&a);
}

static void what_is_settled_is_not_young(void **state)
{
    struct ages a = {.now = 0};

    (void)state;
    age_step(&a);
    struct age_key k = key_of(1, 0);
    age_count(&a, age_come(&a, &k), true);
    assert_int_equal(a.young_sum, 1);
    age_advance(&a);
    assert_int_equal(a.young_sum, 0);
    steps(&a, AGE_STEPS + 1);
    assert_int_equal(a.young_sum, 0);
    age_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_the_first_step_all_is_established),
        cmocka_unit_test(lives_are_told_from_each_other),
        cmocka_unit_test(memory_for_names_that_went_is_bounded),
        cmocka_unit_test(what_is_settled_is_not_young),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
