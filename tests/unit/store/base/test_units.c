/* SPDX-License-Identifier: MIT
 *
 * Durations, sizes and counts as people write and read them. */
#include "tests/support/store_fixture.h"

#include "store/base/clock.h"
#include "store/base/units.h"

static void durations_need_a_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } rows[] = {
        {"0", 0},
        {"100us", 100 * NS_PER_US},
        {"250ms", 250 * NS_PER_MS},
        {"10s", 10 * NS_PER_S},
        {"1.5s", 1500 * NS_PER_MS},
        {"5m", 300 * NS_PER_S},
        {"6h", 21600 * NS_PER_S},
        {"2d", 172800 * NS_PER_S},
        {"10 s", 10 * NS_PER_S},
        {"10\ts", 10 * NS_PER_S},
        {"1 sec", NS_PER_S},
        {"10sec", 10 * NS_PER_S},
        {"2 seconds", 2 * NS_PER_S},
        {"5 min", 300 * NS_PER_S},
        {"1 minute", 60 * NS_PER_S},
        {"6 hours", 21600 * NS_PER_S},
        {"2 days", 172800 * NS_PER_S},
        {"250 msec", 250 * NS_PER_MS},
        {"100 usec", 100 * NS_PER_US},
        {"10", -1},
        {"", -1},
        {"s", -1},
        {"-1s", -1},
        {"+1s", -1},
        {"1e3s", -1},
        {"0x1s", -1},
        {".5s", -1},
        {"1.s", -1},
        {"1s ", -1},
        {"1S", -1},
        {"10 secs.", -1},
        {"10 s s", -1},
        {"1 h 30 m", -1},
        {"inf", -1},
        {"106751d", INT64_C(106751) * 86400 * NS_PER_S},
        {"106752d", -1},
        {"99999999999999999999s", -1},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns = 77;
        int rc = units_parse_duration(rows[i].text, &ns, &err);
        if (rows[i].ns < 0) {
            assert_int_equal(rc, ERR_INVALID);
            assert_int_equal(ns, 77);
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(ns, rows[i].ns);
        }
    }
}

static void sizes_need_a_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes; /* -1: refused */
    } rows[] = {
        {"0", 0},          {"512B", 512},
        {"64K", 65536},    {"64KiB", 65536},
        {"64 K", 65536},   {"64 KiB", 65536},
        {"20M", 20 << 20}, {"1G", 1 << 30},
        {"1.5K", 1536},    {"2T", INT64_C(2) << 40},
        {"64", -1},        {"64k", -1},
        {"64KB", -1},      {"K", -1},
        {"-1K", -1},       {"99999999T", -1},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bytes = 77;
        int rc = units_parse_size(rows[i].text, &bytes, &err);
        assert_int_equal(rc, rows[i].bytes < 0 ? ERR_INVALID : 0);
        assert_int_equal(bytes, rows[i].bytes < 0 ? 77 : rows[i].bytes);
    }
}

static void numbers_are_printed_for_people(void **state)
{
    (void)state;
    assert_string_equal(DURATION_TEXT(0), "0 s");
    assert_string_equal(DURATION_TEXT(870 * NS_PER_US), "870 us");
    assert_string_equal(DURATION_TEXT(12 * NS_PER_MS), "12 ms");
    assert_string_equal(DURATION_TEXT(3250 * NS_PER_MS), "3.2 s");
    assert_string_equal(DURATION_TEXT(247 * NS_PER_S), "4 m 7 s");
    assert_string_equal(DURATION_TEXT(300 * NS_PER_S), "5 m");
    assert_string_equal(DURATION_TEXT(21780 * NS_PER_S), "6 h 3 m");
    assert_string_equal(DURATION_TEXT(INT64_C(1051200) * NS_PER_S), "12 d 4 h");
    assert_string_equal(DURATION_TEXT(-12 * NS_PER_MS), "-12 ms");
    assert_string_equal(DURATION_TEXT(INT64_MAX), "106751 d 23 h");
    assert_string_equal(BYTES_TEXT(0), "0 B");
    assert_string_equal(BYTES_TEXT(1023), "1023 B");
    assert_string_equal(BYTES_TEXT(1024), "1.0 KiB");
    assert_string_equal(BYTES_TEXT(8294), "8.0 KiB");
    assert_string_equal(BYTES_TEXT((UINT64_C(1) << 20) - 1), "1023.9 KiB");
    assert_string_equal(BYTES_TEXT(UINT64_C(3) << 29), "1.5 GiB");
    assert_string_equal(BYTES_TEXT(UINT64_MAX), "15.9 EiB");
    assert_string_equal(COUNT_TEXT(0), "0");
    assert_string_equal(COUNT_TEXT(999), "999");
    assert_string_equal(COUNT_TEXT(48211), "48,211");
    assert_string_equal(COUNT_TEXT(UINT64_MAX), "18,446,744,073,709,551,615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_need_a_unit),
        cmocka_unit_test(sizes_need_a_unit),
        cmocka_unit_test(numbers_are_printed_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
