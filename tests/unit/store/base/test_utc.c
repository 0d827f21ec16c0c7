/* SPDX-License-Identifier: MIT
 *
 * Moments as text. */
#include "tests/support/store_fixture.h"

#include "store/base/clock.h"
#include "store/base/utc.h"

static void moments_are_written_in_utc(void **state)
{
    (void)state;
    assert_string_equal(UTC_TEXT(0), "1970-01-01T00:00:00.000Z");
    assert_string_equal(UTC_TEXT(1767225599 * NS_PER_S + 999 * NS_PER_MS + 1),
                        "2025-12-31T23:59:59.999Z");
    assert_string_equal(UTC_NANO(1767225599 * NS_PER_S + 7),
                        "2025-12-31T23:59:59.000000007Z");
    assert_string_equal(UTC_SECOND(1767225600), "2026-01-01T00:00:00Z");
}

static void a_time_of_no_calendar_does_no_harm(void **state)
{
    (void)state;
    assert_string_equal(UTC_SECOND(INT64_MAX), "Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_written_in_utc),
        cmocka_unit_test(a_time_of_no_calendar_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
