/* SPDX-License-Identifier: MIT
 *
 * Growable bytes and the bounds-checked reader. */
#include "tests/support/store_fixture.h"

#include "store/base/buf.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_and_cur_agree_and_bounds_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
