/* SPDX-License-Identifier: MIT
 *
 * The clocks. */
#include "tests/support/store_fixture.h"

#include "store/base/clock.h"

static void the_monotonic_clock_passes_a_sleep(void **state)
{
    int64_t t0 = clock_mono_ns();

    (void)state;
    clock_sleep_ns(2 * NS_PER_MS);
    assert_true(clock_mono_ns() - t0 >= 2 * NS_PER_MS);
    clock_sleep_ns(0);
    clock_sleep_ns(-5);
}

static void a_deadline_is_never_in_the_past(void **state)
{
    int64_t now = clock_mono_ns();

    (void)state;
    assert_true(clock_deadline_ns(0) >= now);
    assert_true(clock_deadline_ns(1000) >= now + NS_PER_S);
    assert_true(clock_deadline_ns(-1) == INT64_MAX);
    assert_true(clock_deadline_ns(INT64_MAX) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_monotonic_clock_passes_a_sleep),
        cmocka_unit_test(a_deadline_is_never_in_the_past),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
