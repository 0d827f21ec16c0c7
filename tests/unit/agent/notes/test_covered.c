/* SPDX-License-Identifier: MIT
 *
 * covered: what the brake holds, and a link in its place. */
#include "tests/support/store_fixture.h"

#include "agent/notes/covered.h"
#include "sync/errors/state.h"

static bool is_covered(struct fixture *f, const char *table, const char *key,
                       struct err *err)
{
    struct diff_name name = {.kind = DIFF_EXTRA,
                             .table = {(const uint8_t *)table, strlen(table)},
                             .key = {(const uint8_t *)key, strlen(key)}};
    struct primary_held held = {.held = 7,
                                .tables = {{name.table, 7}},
                                .tables_count = 1,
                                .names = &name,
                                .names_count = 1};
    struct db db;
    int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(db_open_fd(&db, fd, f->path, err), 0);
    bool is = covered_held(&db, &held, err);
    db_close(&db);
    return is;
}

static void what_is_missing_is_not_covered(void **state)
{
    struct fixture *f = *state;
    struct err err;

    assert_false(is_covered(f, "t", "k", &err));
    assert_false(is_covered(f, "", "k", &err));
    assert_int_equal(mkdirat(f->fd, "t.tbl", 0755), 0);
    assert_false(is_covered(f, "t", "k", &err));
    /* Tables may lie below it. */
    assert_int_equal(mkdirat(f->fd, "d.kv", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "d.kv/u.tbl", 0755), 0);
    assert_false(is_covered(f, "", "d", &err));
}

static void a_link_or_file_on_the_way_is_named(void **state)
{
    struct fixture *f = *state;
    struct err err;

    assert_int_equal(symlinkat("/nowhere", f->fd, "t.tbl"), 0);
    assert_true(is_covered(f, "t", "k", &err));
    assert_int_equal(err.id, DR_COVERED);
    assert_non_null(strstr(err.msg, "7 deletes are held, but t.tbl is"));
    assert_int_equal(mkdirat(f->fd, "d", 0755), 0);
    assert_int_equal(symlinkat("/nowhere", f->fd, "d/a"), 0);
    assert_true(is_covered(f, "d/a/b", "k", &err));
    assert_non_null(strstr(err.msg, "but d/a is"));
    put_file(f->fd, "u.tbl", "v", 1);
    assert_true(is_covered(f, "u", "k", &err));
    assert_int_equal(err.id, DR_COVERED);
}

static void a_link_or_directory_in_a_keys_place_is_named(void **state)
{
    struct fixture *f = *state;
    struct err err;

    assert_int_equal(mkdirat(f->fd, "t.tbl", 0755), 0);
    assert_int_equal(symlinkat("/nowhere", f->fd, "t.tbl/k.kv"), 0);
    assert_true(is_covered(f, "t", "k", &err));
    assert_int_equal(err.id, DR_PASSED_OVER);
    assert_int_equal(mkfifoat(f->fd, "r.kv", 0600), 0);
    assert_true(is_covered(f, "", "r", &err));
    assert_non_null(strstr(err.msg, "but r.kv is"));
    assert_int_equal(mkdirat(f->fd, "d.kv", 0755), 0);
    assert_true(is_covered(f, "", "d", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_is_missing_is_not_covered),
        FIXTURE_TEST(a_link_or_file_on_the_way_is_named),
        FIXTURE_TEST(a_link_or_directory_in_a_keys_place_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
