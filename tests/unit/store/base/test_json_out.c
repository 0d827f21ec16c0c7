/* SPDX-License-Identifier: MIT
 *
 * The JSON writer. */
#include "tests/support/store_fixture.h"

#include "store/base/json_out.h"

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
    json_none(&j, "no");
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
        "\"yes\":true,\"no\":null,\"list\":[\"x\",{}]}");
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
        cmocka_unit_test(json_is_valid_whatever_the_bytes),
        cmocka_unit_test(base64_pads_each_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
