/* SPDX-License-Identifier: MIT
 *
 * cases: one case of a cmocka test by itself.
 *
 *     build/tests/unit_sync_index_scan 'changed_in_place_*'
 *
 * runs the cases whose names match (`*` and `?` as in a shell); without an
 * argument all of them run.  Linked into every test that links cmocka; glibc
 * gives a constructor main()'s arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void drover_cases(int argc, char **argv);

__attribute__((constructor)) void drover_cases(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
}
