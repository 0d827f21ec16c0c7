/* SPDX-License-Identifier: MIT
 *
 * version: the project's until main() has said which build it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/cmdline/version.h"

static void the_builds_version_replaces_the_projects(void **state)
{
    (void)state;
    assert_in_range(version_text()[0], '0', '9');
    version_is("0.1.0-56-gbdf4434");
    assert_string_equal(version_text(), "0.1.0-56-gbdf4434");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_builds_version_replaces_the_projects),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
