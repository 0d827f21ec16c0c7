/* SPDX-License-Identifier: MIT
 *
 * The age of a replica by two clocks that need not agree. */
#include "tests/support/store_fixture.h"

#include "store/base/clock.h"
#include "store/layout/fresh_age.h"

static const int64_t NOW = INT64_C(1700000000) * NS_PER_S;

/* `t`, `word`: seconds before now, of the primary's clock and of ours. */
static int64_t age(int64_t t_s, int64_t word_s)
{
    struct stat st = {.st_mtim.tv_sec = NOW / NS_PER_S - t_s,
                      .st_ctim.tv_sec = NOW / NS_PER_S - word_s};

    return fresh_age_ns(&st, NOW);
}

static void clocks_that_agree_tell_the_age_of_the_data(void **state)
{
    (void)state;
    assert_int_equal(age(0, 0), 0);
    assert_int_equal(age(7, 1), 7 * NS_PER_S);
    assert_int_equal(age(7, 7), 7 * NS_PER_S);
}

/* Whatever this clock is behind by, silence makes it old. */
static void a_time_in_the_future_is_no_younger_than_the_last_word(void **state)
{
    static const int64_t behind_s[] = {1, 40, 3600, 7 * 86400};

    (void)state;
    for (size_t i = 0; i < sizeof behind_s / sizeof behind_s[0]; i++) {
        for (int64_t silent_s = 0; silent_s < 100000; silent_s += 9999) {
            assert_true(age(silent_s - behind_s[i], silent_s) >=
                        silent_s * NS_PER_S);
        }
    }
}

static void a_clock_that_is_ahead_makes_it_older_not_younger(void **state)
{
    (void)state;
    assert_int_equal(age(3600, 0), 3600 * NS_PER_S);
}

static void a_clock_that_was_set_back_tells_nothing(void **state)
{
    (void)state;
    assert_true(age(0, -2) == FRESH_AGE_UNKNOWN);
    assert_true(age(5, -3600) == FRESH_AGE_UNKNOWN);
    assert_true(age(-3600, -3600) == FRESH_AGE_UNKNOWN);
    assert_int_equal(age(0, -1), 0); /* as far as NTP goes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_that_agree_tell_the_age_of_the_data),
        cmocka_unit_test(a_time_in_the_future_is_no_younger_than_the_last_word),
        cmocka_unit_test(a_clock_that_is_ahead_makes_it_older_not_younger),
        cmocka_unit_test(a_clock_that_was_set_back_tells_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
