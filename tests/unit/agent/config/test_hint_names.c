/* SPDX-License-Identifier: MIT
 *
 * hint_names: (number, message) -> words that the hint must have with the
 * names filled in, and words it must not have.  A further case is one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config/config.h"
#include "agent/config/hint_names.h"
#include "sync/errors/state.h"

static void a_hint_names_what_is_covered_and_never_the_database(void **state)
{
    static char path[] = "/srv/o", name[] = "o";
    const struct config c = {.path = path, .name = name};
    static const struct {
        int id;
        const char *message, *has, *lacks;
    } ROWS[] = {
        {DR_COVERED,
         "1 tables or directories of the database cannot be read: "
         "plain: something is mounted there",
         "(umount /srv/o/plain)", ".tbl"},
        {DR_COVERED,
         "1 tables or directories of the database cannot be read: "
         "'a plain': something is mounted there",
         "(umount /srv/o/'a plain')", ".tbl"},
        {DR_COVERED,
         "1 tables or directories of the database cannot be read: "
         "HOST/DIR: something is mounted there",
         "(umount /srv/o/HOST/DIR)", ".tbl"},
        {DR_COVERED,
         "2 tables or directories of the database cannot be read: "
         "a/b.tbl: something is mounted there",
         "(umount /srv/o/a/b.tbl)", ".tbl.tbl"},
        {DR_COVERED, "table b: another file system is mounted there",
         "(umount /srv/o/b.tbl)", "TABLE"},
        {DR_COVERED, "table (root) key k cannot be read on the primary",
         "grep /srv/o/", "umount /srv"},
        {DR_COVERED, "table (root): another file system is mounted there",
         "grep /srv/o/", "umount /srv"},
        {DR_COVERED,
         "something else is in a table's place: 1 key or table "
         "cannot be read",
         "umount /srv/o/TABLE.tbl", "cannot"},
        {DR_COVERED,
         "something else is in a table's place: 1 key or table "
         "cannot be read: table b: another file system is mounted "
         "there",
         "umount /srv/o/b.tbl", "cannot"},
        {DR_BLOCKED,
         "table (root) key k is locked by a process that has ended "
         "or is hidden (pid 7)",
         "fuser -v /srv/o/k.kv", "root/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct err err = {0};
        (void)err_set(&err, ERR_NOTTABLE, 0, "%s", ROWS[i].message);
        err.id = ROWS[i].id;
        json_t *error = hint_names_error(&err, &c, NULL);
        const char *hint = json_string_value(json_object_get(error, "hint"));
        assert_non_null(hint);
        if (strstr(hint, ROWS[i].has) == NULL ||
            strstr(hint, ROWS[i].lacks) != NULL) {
            fail_msg("DR-%d %s: %s", ROWS[i].id, ROWS[i].message, hint);
        }
        json_decref(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hint_names_what_is_covered_and_never_the_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
