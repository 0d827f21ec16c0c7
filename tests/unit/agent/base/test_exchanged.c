/* SPDX-License-Identifier: MIT
 *
 * exchanged: what proves that a key or a table is gone, and what does not. */
#include "tests/support/store_fixture.h"

#include "agent/base/exchanged.h"

static void a_directory_with_tables_below_it_is_not(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdirat(f->fd, "k.kv", 0755), 0);
    assert_true(exchanged_for_key(f->fd, "k.kv"));
    put_text(f->fd, "k.kv/a.kv", "a file");
    assert_int_equal(symlinkat("..", f->fd, "k.kv/link"), 0);
    assert_true(exchanged_for_key(f->fd, "k.kv"));
    assert_int_equal(mkdirat(f->fd, "k.kv/t.tbl", 0755), 0);
    assert_false(exchanged_for_key(f->fd, "k.kv"));
}

static void what_is_no_directory_is_not(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, "k.kv", "a file");
    assert_int_equal(mkdirat(f->fd, "dir", 0755), 0);
    assert_int_equal(symlinkat("dir", f->fd, "link.kv"), 0);
    assert_false(exchanged_for_key(f->fd, "k.kv"));
    assert_false(exchanged_for_key(f->fd, "link.kv"));
    assert_false(exchanged_for_key(f->fd, "none.kv"));
}

static bool is_covered(struct fixture *f, const char *table)
{
    struct db db;

    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    bool is = exchanged_for_table(&db, table, strlen(table));
    db_close(&db);
    return is;
}

static void a_file_in_a_tables_path_is_unless_it_is_a_key(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, "t.tbl", "a file");
    put_text(f->fd, "plain", "a file");
    put_text(f->fd, "x.kv", "a key");
    assert_int_equal(mkdirat(f->fd, "d", 0755), 0);
    put_text(f->fd, "d/u.tbl", "a file");
    assert_int_equal(symlinkat("t.tbl", f->fd, "link"), 0);
    assert_true(is_covered(f, "t"));
    assert_true(is_covered(f, "t.tbl/a/b"));
    assert_true(is_covered(f, "plain/t"));
    assert_true(is_covered(f, "d/u"));
    assert_false(is_covered(f, ""));
    assert_false(is_covered(f, "none"));
    assert_false(is_covered(f, "d/none"));
    assert_false(is_covered(f, "x.kv/t"));
    assert_false(is_covered(f, "link/t")); /* table_open() says so */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_directory_with_tables_below_it_is_not),
        FIXTURE_TEST(what_is_no_directory_is_not),
        FIXTURE_TEST(a_file_in_a_tables_path_is_unless_it_is_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
