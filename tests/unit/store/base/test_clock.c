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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_monotonic_clock_passes_a_sleep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
