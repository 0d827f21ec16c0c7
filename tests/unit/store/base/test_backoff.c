/* SPDX-License-Identifier: MIT
 *
 * backoff: how delays grow, spread and begin anew. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/base/backoff.h"

static void delays_double_within_a_quarter_until_the_limit(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 200; seed++) {
        struct backoff b = backoff_of(1000, 60000, seed);
        int64_t nominal_ms = 1000;
        for (int i = 0; i < 12; i++) {
            int64_t ms = backoff_next_ms(&b);
            assert_in_range(ms, nominal_ms - nominal_ms / 4,
                            nominal_ms + nominal_ms / 4);
            assert_true(ms <= 60000);
            nominal_ms = nominal_ms * 2 > 60000 ? 60000 : nominal_ms * 2;
        }
    }
}

static void agents_do_not_come_back_in_step(void **state)
{
    (void)state;
    int64_t low = INT64_MAX, high = 0;
    for (uint64_t seed = 1; seed < 100; seed++) {
        struct backoff b = backoff_of(1000, 60000, seed);
        int64_t ms = backoff_next_ms(&b);
        low = ms < low ? ms : low;
        high = ms > high ? ms : high;
    }
    assert_true(high - low > 300);
}

static void success_begins_with_the_first_delay(void **state)
{
    (void)state;
    struct backoff b = backoff_of(100, 60000, 7);
    for (int i = 0; i < 20; i++) {
        (void)backoff_next_ms(&b);
    }
    backoff_reset(&b);
    assert_in_range(backoff_next_ms(&b), 75, 125);
}

static void operator_errors_wait_longest(void **state)
{
    (void)state;
    struct backoff b = backoff_of(100, 60000, 7);
    assert_in_range(backoff_longest_ms(&b), 45000, 60000);
    assert_in_range(backoff_next_ms(&b), 45000, 60000);
}

/* A link that works for an instant each time costs more and more rarely. */
static void only_lasting_success_is_success(void **state)
{
    (void)state;
    struct backoff b = backoff_of(1000, 60000, 7);
    int64_t sum_ms = 0;
    for (int i = 0; i < 12; i++) {
        backoff_worked(&b, i * 5000 < BACKOFF_LASTING_MS - 1
                               ? i * 5000
                               : BACKOFF_LASTING_MS - 1);
        sum_ms += backoff_next_ms(&b);
    }
    assert_true(sum_ms > 5 * 45000);
    backoff_worked(&b, BACKOFF_LASTING_MS);
    assert_in_range(backoff_next_ms(&b), 750, 1250);
}

/* Never five in ten minutes, nor three in ten: what ban lists count. */
static void refused_logins_are_minutes_apart(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 200; seed++) {
        struct backoff b = backoff_of(100, seed % 2 != 0 ? 1000 : 60000, seed);
        int64_t first = backoff_refused_ms(&b), second = backoff_refused_ms(&b);
        assert_in_range(first, 300000, 375000);
        assert_in_range(second, 600000, 750000);
        for (int i = 0; i < 10; i++) {
            (void)backoff_refused_ms(&b);
        }
        assert_in_range(backoff_refused_ms(&b), 1800000, 2250000);
        backoff_reset(&b);
        assert_in_range(backoff_refused_ms(&b), 300000, 375000);
    }
    struct backoff slow =
        backoff_of(1000, 7200000, 7); /* an own, longer limit */
    assert_in_range(backoff_refused_ms(&slow), 7200000, 9000000);
}

static void silly_limits_still_give_a_delay(void **state)
{
    (void)state;
    struct backoff b = backoff_of(0, -5, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(backoff_next_ms(&b), 1);
    }
    b = backoff_of(INT64_MAX / 4, INT64_MAX / 2, 1);
    for (int i = 0; i < 10; i++) {
        assert_true(backoff_next_ms(&b) > 0);
    }
}

static void doubling_ends_at_the_limit_without_overflow(void **state)
{
    (void)state;
    assert_int_equal(backoff_doubled(100, 0, 30000), 100);
    assert_int_equal(backoff_doubled(100, 3, 30000), 800);
    assert_int_equal(backoff_doubled(100, 9, 30000), 30000);
    assert_int_equal(backoff_doubled(100, UINT_MAX, INT64_MAX), INT64_MAX);
    assert_int_equal(backoff_doubled(50, 1, 20), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_double_within_a_quarter_until_the_limit),
        cmocka_unit_test(agents_do_not_come_back_in_step),
        cmocka_unit_test(success_begins_with_the_first_delay),
        cmocka_unit_test(operator_errors_wait_longest),
        cmocka_unit_test(only_lasting_success_is_success),
        cmocka_unit_test(refused_logins_are_minutes_apart),
        cmocka_unit_test(doubling_ends_at_the_limit_without_overflow),
        cmocka_unit_test(silly_limits_still_give_a_delay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
