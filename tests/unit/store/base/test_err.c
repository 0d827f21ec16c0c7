/* SPDX-License-Identifier: MIT
 *
 * Error values. */
#include "tests/support/store_fixture.h"

#include <sysexits.h>

#include "store/base/err.h"

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

static void a_code_has_one_exit_status_in_all_programs(void **state)
{
    (void)state;
    assert_int_equal(err_exit(ERR_PROTO, 1), EX_PROTOCOL);
    assert_int_equal(err_exit(ERR_INVALID, 1), EX_USAGE);
    assert_int_equal(err_exit(ERR_BADKEY, 1), EX_USAGE);
    assert_int_equal(err_exit(ERR_BADTABLE, 1), EX_USAGE);
    assert_int_equal(err_exit(ERR_PERM, 1), EX_NOPERM);
    assert_int_equal(err_exit(ERR_CLOSED, 1), EX_TEMPFAIL);
    assert_int_equal(err_exit(ERR_TIMEOUT, 1), EX_TEMPFAIL);
    assert_int_equal(err_exit(ERR_IO, EX_IOERR), EX_IOERR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_code_has_one_exit_status_in_all_programs),
        cmocka_unit_test(errors_gather_context_and_are_cut_not_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
