/* SPDX-License-Identifier: MIT
 *
 * Random bytes and the seeded generator. */
#include "tests/support/store_fixture.h"

#include "store/base/rand.h"

static void equal_seeds_give_equal_sequences(void **state)
{
    struct prng a = prng_of(42);
    struct prng b = prng_of(42);
    struct prng c = prng_of(43);
    int same = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        uint64_t x = prng_next(&a);
        assert_true(x == prng_next(&b));
        same += x == prng_next(&c);
        assert_true(prng_below(&a, 7) < 7);
        (void)prng_next(&b);
    }
    assert_int_equal(same, 0);
}

static void random_bytes_differ(void **state)
{
    uint8_t a[16] = {0};
    uint8_t b[16] = {0};
    struct err err;

    (void)state;
    assert_int_equal(rand_bytes(a, sizeof a, &err), 0);
    assert_int_equal(rand_bytes(b, sizeof b, &err), 0);
    assert_true(memcmp(a, b, sizeof a) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_seeds_give_equal_sequences),
        cmocka_unit_test(random_bytes_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
