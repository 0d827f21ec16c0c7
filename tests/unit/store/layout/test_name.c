/* SPDX-License-Identifier: MIT
 *
 * Names of tables and keys: what is possible, and what directory entries are.
 */
#include "tests/support/store_fixture.h"

#include "store/layout/name.h"

struct key_row {
    const char *key;
    size_t len;
    int rc;
};

static void key_check_accepts_any_bytes_but_slash_and_nul(void **state)
{
    static const struct key_row rows[] = {
        {"", 0, 0},           {"bob", 3, 0},
        {"a b\n\t'\"", 7, 0}, {"\xff\xfe", 2, 0},
        {".hidden", 7, 0},    {"..", 2, 0},
        {"x.kv", 4, 0},       {"a/b", 3, ERR_BADKEY},
        {"/", 1, ERR_BADKEY}, {"a\0b", 3, ERR_BADKEY},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(key_check(rows[i].key, rows[i].len, &err), rows[i].rc);
    }
}

static void key_check_bounds_the_length_at_252(void **state)
{
    char key[KEY_MAX_BYTES + 1];
    char file[KEY_FILE_BYTES];
    struct err err;

    (void)state;
    memset(key, 'k', sizeof key);
    assert_int_equal(key_check(key, KEY_MAX_BYTES, &err), 0);
    key_file(key, KEY_MAX_BYTES, file);
    assert_int_equal(strlen(file), 255);
    assert_int_equal(key_check(key, KEY_MAX_BYTES + 1, &err), ERR_BADKEY);
}

struct table_row {
    const char *name;
    int rc;
    const char *path;
};

static void table_check_refuses_what_could_lead_elsewhere(void **state)
{
    static const struct table_row rows[] = {
        {"", 0, "."},
        {"users", 0, "users.tbl"},
        {"a/b", 0, "a/b.tbl"},
        {"a.tbl/b", 0, "a.tbl/b.tbl"},
        {".x", 0, ".x.tbl"},
        {".drover", 0, ".drover.tbl"},
        {"a/.drover/b", 0, "a/.drover/b.tbl"},
        {"...", 0, "....tbl"},
        {".drover/x", ERR_BADTABLE, NULL},
        {".", ERR_BADTABLE, NULL},
        {"..", ERR_BADTABLE, NULL},
        {"/a", ERR_BADTABLE, NULL},
        {"a/", ERR_BADTABLE, NULL},
        {"a//b", ERR_BADTABLE, NULL},
        {"a/../b", ERR_BADTABLE, NULL},
        {"./b", ERR_BADTABLE, NULL},
    };
    char path[TABLE_PATH_BYTES];
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i].name);
        assert_int_equal(table_check(rows[i].name, len, &err), rows[i].rc);
        if (rows[i].rc == 0) {
            table_path(rows[i].name, len, path);
            assert_string_equal(path, rows[i].path);
        }
    }
    assert_int_equal(table_check("a\0b", 3, &err), ERR_BADTABLE);
}

static void table_check_bounds_components_depth_and_length(void **state)
{
    char name[TABLE_MAX_BYTES + 2];
    struct err err;

    (void)state;
    memset(name, 't', sizeof name);
    assert_int_equal(table_check(name, 251, &err), 0);
    assert_int_equal(table_check(name, 252, &err), ERR_BADTABLE);
    name[255] = '/';
    assert_int_equal(table_check(name, 257, &err), 0);
    name[255] = 't';
    name[256] = '/';
    assert_int_equal(table_check(name, 258, &err), ERR_BADTABLE);

    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = i % 2 ? '/' : 'd';
    }
    assert_int_equal(table_check(name, 2 * TABLE_MAX_DEPTH - 1, &err), 0);
    assert_int_equal(table_check(name, 2 * TABLE_MAX_DEPTH + 1, &err),
                     ERR_BADTABLE);

    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = i % 200 == 199 ? '/' : 'd';
    }
    assert_int_equal(table_check(name, TABLE_MAX_BYTES, &err), 0);
    assert_int_equal(table_check(name, TABLE_MAX_BYTES + 1, &err),
                     ERR_BADTABLE);
}

static void key_file_and_name_is_key_are_inverse(void **state)
{
    static const char *const keys[] = {"", "bob", ".", "x.kv", "a.kv1", "\xff"};
    char file[KEY_FILE_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        size_t len = 999;
        key_file(keys[i], strlen(keys[i]), file);
        assert_true(name_is_key(file, &len));
        assert_int_equal(len, strlen(keys[i]));
        assert_false(name_is_temp(file));
    }
}

static void entries_fall_into_one_class(void **state)
{
    static const struct {
        const char *entry;
        bool key, table, temp;
    } rows[] = {
        {"bob.kv", true, false, false},
        {".kv", true, false, false},
        {"users.tbl", false, true, false},
        {"x.kv.tbl", false, true, false},
        {".tbl", false, false, false},
        {"..tbl", false, false, false},
        {"...tbl", false, false, false},
        {"bob.kv123", false, false, true},
        {"bob.kv.tmp123", false, false, true},
        {".kv9", false, false, true},
        {"bob.kv.tmp", false, false, false},
        {"bob.kvx1", false, false, false},
        {"123", false, false, false},
        {"bob.tmp1", false, false, false},
        {TEMP_PREFIX "0123456789abcdef", false, false, true},
        {TEMP_PREFIX "x.kv", true, false, false},
        {"", false, false, false},
        {"kv", false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len;
        assert_int_equal(name_is_key(rows[i].entry, &len), rows[i].key);
        assert_int_equal(name_is_table(rows[i].entry, &len), rows[i].table);
        assert_int_equal(name_is_temp(rows[i].entry), rows[i].temp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_check_accepts_any_bytes_but_slash_and_nul),
        cmocka_unit_test(key_check_bounds_the_length_at_252),
        cmocka_unit_test(table_check_refuses_what_could_lead_elsewhere),
        cmocka_unit_test(table_check_bounds_components_depth_and_length),
        cmocka_unit_test(key_file_and_name_is_key_are_inverse),
        cmocka_unit_test(entries_fall_into_one_class),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
