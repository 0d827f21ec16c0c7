/* SPDX-License-Identifier: MIT
 *
 * Ids as text. */
#include "tests/support/store_fixture.h"

#include "store/base/hex.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_goes_both_ways_and_refuses_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
