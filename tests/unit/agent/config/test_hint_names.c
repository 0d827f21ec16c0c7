/* SPDX-License-Identifier: MIT
 *
 * hint_names: (number, message) -> words that the hint must have with the
 * names filled in, and words it must not have.  A further case is one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config/config.h"
#include "agent/config/hint_names.h"
#include "store/base/quote.h"
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

/* Of what a name may be made: what quotes, ends or looks like a message. */
static size_t some_name(char *out, uint64_t *seed)
{
    static const char *const PIECES[] = {
        "a",     ":",      ",",    " ",    "'",   "\\",     "$",
        "\n",    ";",      "\033", "\xff", "KEY", "\"",     ": ",
        " key ", "table ", "$'",   "..",   "\t",  "(root)", "\xc3\xa9"};
    size_t count = sizeof PIECES / sizeof *PIECES, n;

    size_t at = 0;
    for (n = 1 + (*seed >> 40) % 6; n > 0; n--) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
        at += (size_t)snprintf(out + at, 64 - at, "%s",
                               PIECES[(*seed >> 33) % count]);
    }
    /* A : or , at the end cannot be told from one of the message. */
    at += (size_t)snprintf(out + at, 64 - at, "z");
    return at;
}

/* Whatever a name is made of, the command has it whole. */
static void a_name_in_a_hint_is_one_word(void **state)
{
    static char path[] = "/srv/o", name[] = "o";
    const struct config c = {.path = path, .name = name};
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        char table[64], key[64], table_q[300], key_q[300], expected[800];
        struct err err = {0};
        (void)quote_table(table_q, sizeof table_q, table,
                          some_name(table, &seed));
        (void)quote_shell(key_q, sizeof key_q, key, some_name(key, &seed));
        (void)err_set(&err, ERR_IO, 0,
                      "table %s key %s is locked by a process that has ended "
                      "or is hidden (pid 7)",
                      table_q, key_q);
        err.id = DR_BLOCKED;
        (void)snprintf(expected, sizeof expected,
                       "fuser -v /srv/o/%s.tbl/%s.kv;", table_q, key_q);
        json_t *error = hint_names_error(&err, &c, NULL);
        const char *hint = json_string_value(json_object_get(error, "hint"));
        if (hint == NULL || strstr(hint, expected) == NULL) {
            fail_msg("%u: %s: %s", i, err.msg, hint);
        }
        json_decref(error);
    }
}

/* A message that was cut has half a name, which is none. */
static void half_a_name_is_none(void **state)
{
    static char path[] = "/srv/o", name[] = "o";
    const struct config c = {.path = path, .name = name};
    static const char *const ROWS[] = {
        "table t key $'a\\nb...", "table t key 'a b...", "table t key $'a\\"};

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct err err = {0};
        (void)err_set(&err, ERR_IO, 0, "has ended or is hidden %s", ROWS[i]);
        err.id = DR_BLOCKED;
        json_t *error = hint_names_error(&err, &c, NULL);
        const char *hint = json_string_value(json_object_get(error, "hint"));
        assert_non_null(strstr(hint, "fuser -v /srv/o/t.tbl/KEY.kv"));
        json_decref(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hint_names_what_is_covered_and_never_the_database),
        cmocka_unit_test(a_name_in_a_hint_is_one_word),
        cmocka_unit_test(half_a_name_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
