/* SPDX-License-Identifier: MIT
 *
 * object: errors, names and spans of time in JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/object.h"
#include "sync/errors/state.h"

static const char *text_of(const json_t *o, const char *field)
{
    const char *s = json_string_value(json_object_get(o, field));

    return s != NULL ? s : "(none)";
}

static void an_error_has_its_number_and_a_hint(void **state)
{
    struct err err = {0};
    json_t *o = object_error_or_null(&err);

    (void)state;
    assert_true(json_is_null(o));
    json_decref(o);
    (void)err_set(&err, ERR_PERM, 0, "no entry");
    err.id = DR_STATE_DIR;
    o = object_error_or_null(&err);
    assert_int_equal(json_integer_value(json_object_get(o, "id")),
                     DR_STATE_DIR);
    assert_string_equal(text_of(o, "text"), "no entry");
    assert_true(strlen(text_of(o, "hint")) > 10);
    json_decref(o);
}

/* JSON holds UTF-8 only. */
static void bytes_in_a_message_are_quoted(void **state)
{
    struct err err = {0};

    (void)state;
    (void)err_set(&err, ERR_PERM, 0, "key \xff");
    json_t *o = object_error(&err);
    assert_string_equal(text_of(o, "text"), "key \\xff");
    json_decref(o);
}

static void names_that_are_no_text_are_base64(void **state)
{
    static const struct {
        const char *name, *field, *text;
    } ROWS[] = {
        {"", "key", ""},
        {"a/b", "key", "a/b"},
        {"\xff", "key_b64", "/w=="},
        {"\xff\xfe", "key_b64", "//4="},
        {"\xff\xfe\xfd", "key_b64", "//79"},
        {"\xff"
         "abc",
         "key_b64", "/2FiYw=="},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        json_t *o = json_object();
        object_set_name(o, "key", bytes_of(ROWS[i].name, strlen(ROWS[i].name)));
        assert_int_equal(json_object_size(o), 1);
        assert_string_equal(text_of(o, ROWS[i].field), ROWS[i].text);
        json_decref(o);
    }
}

static void spans_are_seconds(void **state)
{
    json_t *s = object_seconds(1500), *none = object_seconds(-1);

    (void)state;
    assert_true(json_real_value(s) > 1.499 && json_real_value(s) < 1.501);
    assert_true(json_is_null(none));
    json_decref(s);
    json_decref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_has_its_number_and_a_hint),
        cmocka_unit_test(bytes_in_a_message_are_quoted),
        cmocka_unit_test(names_that_are_no_text_are_base64),
        cmocka_unit_test(spans_are_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
