/* SPDX-License-Identifier: MIT
 *
 * Bytes as base64 and back. */
#include "tests/support/store_fixture.h"

#include "store/base/base64.h"

static void base64_is_decoded_strictly(void **state)
{
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } rows[] = {
        {"", ""},           {"Zg==", "f"},      {"Zm8=", "fo"},
        {"Zm9v", "foo"},    {"Zm 9\nv", "foo"}, {"Zm9vYg==", "foob"},
        {"Zg", NULL},       {"Zg=", NULL},      {"Z===", NULL},
        {"Zm9v=Zg=", NULL}, {"Zm9-", NULL},     {"====", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = BUF_NULL;
        bool ok = base64_decode(&b, rows[i].text, strlen(rows[i].text));
        if (ok != (rows[i].bytes != NULL)) {
            fail_msg("\"%s\"", rows[i].text);
        }
        if (ok && rows[i].bytes[0] != '\0') {
            assert_int_equal(b.len, strlen(rows[i].bytes));
            assert_memory_equal(b.data, rows[i].bytes, strlen(rows[i].bytes));
        }
        buf_deinit(&b);
    }
}

static void every_length_comes_back(void **state)
{
    uint8_t bytes[64];

    (void)state;
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct buf text = BUF_NULL, back = BUF_NULL;
        memset(bytes, (int)(0xf1 + n), n);
        base64_encode(&text, bytes, n);
        assert_int_equal(text.len, (n + 2) / 3 * 4);
        assert_true(base64_decode(&back, (const char *)text.data, text.len));
        assert_int_equal(back.len, n);
        assert_true(n == 0 || memcmp(back.data, bytes, n) == 0);
        buf_deinit(&text);
        buf_deinit(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_decoded_strictly),
        cmocka_unit_test(every_length_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
