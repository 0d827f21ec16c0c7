/* SPDX-License-Identifier: MIT
 *
 * step_dropin: which lines of a file are a replica's.  What the step does:
 * e2e_enroll. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/enroll/enroll.h"

static void assert_lines(const char *text, unsigned first, unsigned last,
                         bool alone)
{
    struct enroll_lines lines;

    assert_true(enroll_find_lines(text, "eu-1", &lines));
    assert_int_equal(lines.first, first);
    assert_int_equal(lines.last, last);
    assert_int_equal(lines.alone, alone);
}

static void a_file_of_its_own_is_told(void **state)
{
    (void)state;
    assert_lines("[replica eu-1]\nhost = eu\n", 1, 2, true);
    assert_lines("# a\n\n [ replica   eu-1 ] \n\nhost = eu", 3, 5, true);
    assert_lines("[replica eu-1]\r\nhost = eu\r\n\r\n; end\r\n", 1, 2, true);
    assert_lines("#[replica x]\n[replica eu-1]", 2, 2, true);
}

static void beside_others_the_lines_are_told(void **state)
{
    (void)state;
    assert_lines("[database]\npath = /x\n[replica eu-1]\nhost = a\n\n# b\n"
                 "[replica b]\nhost = b\n",
                 3, 4, false);
    assert_lines("[replica eu-10]\nhost = a\n[replica eu-1]\n", 3, 3, false);
    assert_lines("[replica eu-1]\nhost = a\n[database]\ncache = 1M\n", 1, 2,
                 false);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct enroll_lines lines;

    (void)state;
    assert_false(enroll_find_lines("", "eu-1", &lines));
    assert_false(enroll_find_lines("[replica eu-1", "eu-1", &lines));
    assert_false(enroll_find_lines("[replica eu-2]\n", "eu-1", &lines));
    assert_false(enroll_find_lines("# [replica eu-1]\n", "eu-1", &lines));
    assert_false(enroll_find_lines("[replicaeu-1]\n", "eu-1", &lines));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_its_own_is_told),
        cmocka_unit_test(beside_others_the_lines_are_told),
        cmocka_unit_test(what_is_not_there_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
