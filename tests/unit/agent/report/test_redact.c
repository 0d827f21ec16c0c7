/* SPDX-License-Identifier: MIT
 *
 * redact: no name is left, wherever it stands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/report/redact.h"

static const struct redact FIXED = {.key = {{1, 2, 3}}};

/* Caller frees. */
static char *redacted(const char *text)
{
    struct buf out = BUF_NULL;

    assert_true(redact_lines(&FIXED, bytes_of(text, strlen(text)), &out));
    buf_u8(&out, '\0');
    assert_false(out.bad);
    return (char *)out.data;
}

static void test_names_become_hashes_and_sentences_what_they_mean(void **state)
{
    char hash[REDACT_HEX_BYTES];

    (void)state;
    char *text = redacted(
        "{\"pid\":7,\"database\":{\"path\":\"/srv/orders\",\"error\":null},"
        "\"blocked\":[{\"table\":\"MARK\",\"key\":\"MARK\",\"comm\":\"vim\"},"
        "{\"table\":\"\",\"key_b64\":\"TUFSSw==\"}],"
        "\"held\":{\"tables\":[{\"table\":\"MARK\",\"count\":2}]},"
        "\"ignored\":[{\"path\":\"MARK.tbl\",\"why\":\"a link\"}],"
        "\"warnings\":[{\"id\":103,\"text\":\"table MARK\",\"hint\":\"MARK\"},"
        "{\"text\":\"MARK\",\"hint\":\"MARK\"}]}\n"
        "not JSON: MARK\n"
        "{\"events\":[{\"n\":1,\"event\":\"sync\",\"dr\":0,\"text\":\"MARK\"}],"
        "\"findings\":[{\"id\":107,\"what\":\"lock\",\"text\":\"MARK\"}]}");
    if (strstr(text, "MARK") != NULL || strstr(text, "TUFSSw") != NULL) {
        fail_msg("%s", text);
    }
    (void)redact_name(&FIXED, bytes_of("MARK", 4), hash);
    assert_int_equal(strlen(hash), 12);
    assert_non_null(strstr(text, hash));
    assert_non_null(strstr(text, "\"table_hash\": \"(root)\""));
    for (size_t i = 0; i < 5; i++) {
        static const char *const KEPT[] = {"/srv/orders", "vim", "a link",
                                           "\"pid\": 7", "\"count\": 2"};
        assert_non_null(strstr(text, KEPT[i]));
    }
    free(text);
}

static void test_one_name_has_one_hash_and_two_have_two(void **state)
{
    struct redact a, b;
    char one[REDACT_HEX_BYTES], two[REDACT_HEX_BYTES];

    (void)state;
    assert_string_not_equal(redact_name(&FIXED, bytes_of("a", 1), one),
                            redact_name(&FIXED, bytes_of("b", 1), two));
    redact_begin(&a);
    (void)redact_name(&a, bytes_of("a", 1), one);
    assert_string_not_equal(one, redact_name(&FIXED, bytes_of("a", 1), two));
    redact_begin(&b);
    if (memcmp(&a, &b, sizeof a) == 0) { /* this host has an id */
        assert_string_equal(one, redact_name(&b, bytes_of("a", 1), two));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_become_hashes_and_sentences_what_they_mean),
        cmocka_unit_test(test_one_name_has_one_hash_and_two_have_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
