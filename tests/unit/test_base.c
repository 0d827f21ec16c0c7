/* SPDX-License-Identifier: MIT
 *
 * The small parts of store/base: units, clock, hex, rand, buf, err, JSON. */
#include "tests/unit/store_fixture.h"

#include "store/base/buf.h"
#include "store/base/clock.h"
#include "store/base/hex.h"
#include "store/base/json_out.h"
#include "store/base/rand.h"

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
        {"10sec", -1},
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

static void the_monotonic_clock_passes_a_sleep(void **state)
{
    int64_t t0 = clock_mono_ns();

    (void)state;
    clock_sleep_ns(2 * NS_PER_MS);
    assert_true(clock_mono_ns() - t0 >= 2 * NS_PER_MS);
    clock_sleep_ns(0);
    clock_sleep_ns(-5);
}

static void hex_goes_both_ways_and_refuses_the_rest(void **state)
{
    uint8_t id[4] = {0x00, 0xab, 0x7f, 0xff};
    uint8_t back[4] = {9, 9, 9, 9};
    char text[9];

    (void)state;
    assert_string_equal(hex_encode(text, id, 4), "00ab7fff");
    assert_true(hex_decode(back, 4, "00AB7fff", 8));
    assert_memory_equal(back, id, 4);
    memset(back, 9, 4);
    assert_false(hex_decode(back, 4, "00ab7ff", 7));
    assert_false(hex_decode(back, 4, "00ab7ffg", 8));
    assert_false(hex_decode(back, 4, "00ab7fff0", 9));
    assert_int_equal(back[0], 9);
}

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

static void buf_and_cur_agree_and_bounds_hold(void **state)
{
    struct buf b = BUF_NULL;

    (void)state;
    buf_u8(&b, 0x12);
    buf_u16(&b, 0x3456);
    buf_u32(&b, 0x789abcde);
    buf_u64(&b, UINT64_C(0x0123456789abcdef));
    buf_printf(&b, "%s-%d", "x", 7);
    assert_int_equal(b.len, 18);
    assert_int_equal(b.data[1], 0x56); /* little-endian */
    struct cur c = cur_of(b.data, b.len);
    assert_int_equal(cur_u8(&c), 0x12);
    assert_int_equal(cur_u16(&c), 0x3456);
    assert_int_equal(cur_u32(&c), 0x789abcde);
    assert_true(cur_u64(&c) == UINT64_C(0x0123456789abcdef));
    assert_memory_equal(cur_take(&c, 3), "x-7", 3);
    assert_false(c.bad);
    assert_int_equal(cur_u16(&c), 0);
    assert_true(c.bad);
    buf_drop(&b, 15);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "x-7", 3);
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_true(b.bad);
    buf_put(&b, "y", 1);
    assert_int_equal(b.len, 3);
    buf_deinit(&b);
}

static void errors_gather_context_and_are_cut_not_overrun(void **state)
{
    char text[2 * ERR_MSG_BYTES];
    struct err err;

    (void)state;
    assert_int_equal(err_sys(&err, ENOSPC, "write %s", "x"), ERR_NOSPACE);
    assert_int_equal(err_wrap(&err, "set %s", "bob"), ERR_NOSPACE);
    assert_string_equal(err.msg, "set bob: write x: No space left on device");
    assert_string_equal(err_name(ERR_NOSPACE), "ERR_NOSPACE");
    assert_string_equal(err_name(-999), "ERR_UNKNOWN");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_set(&err, ERR_IO, EIO, "%s", text);
    assert_int_equal(strlen(err.msg), ERR_MSG_BYTES - 1);
    (void)err_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.msg), ERR_MSG_BYTES - 1);
}

static void json_is_valid_whatever_the_bytes(void **state)
{
    struct buf b = BUF_NULL;
    struct json_out j = {.buf = &b};

    (void)state;
    json_begin_object(&j, NULL);
    json_bytes(&j, "key", "a\"\\\n\x01\xc3\xa4", 7);
    json_bytes(&j, "bad", "a\xff", 2);
    json_uint(&j, "n", UINT64_MAX);
    json_int(&j, "i", -5);
    json_bool(&j, "yes", true);
    json_begin_array(&j, "list");
    json_text(&j, NULL, "x");
    json_begin_object(&j, NULL);
    json_end_object(&j);
    json_end_array(&j);
    json_end_object(&j);
    buf_u8(&b, 0);
    assert_string_equal(
        (char *)b.data,
        "{\"key\":\"a\\\"\\\\\\n\\u0001\xc3\xa4\",\"bad\":\"a\xef\xbf\xbd\","
        "\"bad_b64\":\"Yf8=\",\"n\":18446744073709551615,\"i\":-5,"
        "\"yes\":true,\"list\":[\"x\",{}]}");
    buf_deinit(&b);
}

static void base64_pads_each_length(void **state)
{
    static const struct {
        const char *bytes;
        const char *want;
    } rows[] = {
        {"\xff", "\"/w==\""},
        {"\xff\xfe", "\"//4=\""},
        {"\xff\xfe\xfd", "\"//79\""},
        {"\xff\xfe\xfd\xfc", "\"//79/A==\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = BUF_NULL;
        struct json_out j = {.buf = &b};
        json_bytes(&j, "k", rows[i].bytes, strlen(rows[i].bytes));
        buf_u8(&b, 0);
        assert_non_null(strstr((char *)b.data, rows[i].want));
        buf_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_need_a_unit),
        cmocka_unit_test(sizes_need_a_unit),
        cmocka_unit_test(numbers_are_printed_for_people),
        cmocka_unit_test(the_monotonic_clock_passes_a_sleep),
        cmocka_unit_test(hex_goes_both_ways_and_refuses_the_rest),
        cmocka_unit_test(equal_seeds_give_equal_sequences),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(buf_and_cur_agree_and_bounds_hold),
        cmocka_unit_test(errors_gather_context_and_are_cut_not_overrun),
        cmocka_unit_test(json_is_valid_whatever_the_bytes),
        cmocka_unit_test(base64_pads_each_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
