/* SPDX-License-Identifier: MIT
 *
 * temps: what killed writers left is removed, what a writer holds is not. */
#include "tests/support/store_fixture.h"

#include "store/layout/temps.h"
#include "store/lib/drover.h"

static void put_old(struct fixture *f, const char *path)
{
    struct timespec t[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    put_text(f->fd, path, "left");
    assert_int_equal(utimensat(f->fd, path, t, 0), 0);
}

static int64_t sweep(struct fixture *f, unsigned flags)
{
    struct drover *db;
    struct drover_error e;

    assert_int_equal(drover_open(f->path, flags, &db, &e), 0);
    int64_t n = drover_sweep(db, &e);
    drover_close(db);
    return n;
}

static void old_temporaries_of_all_tables_are_removed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdirat(f->fd, "t.tbl", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "plain", 0755), 0);
    put_old(f, ".drover-tmp.0123456789abcdef");
    put_old(f, "t.tbl/.drover-tmp.0123456789abcdef");
    put_old(f, "t.tbl/k.kv123");
    put_old(f, "t.tbl/k.kv");
    put_old(f, "t.tbl/other");
    put_old(f, "plain/k.kv123"); /* no table: none of ours */
    assert_int_equal(sweep(f, 0), 3);
    assert_false(exists(f->fd, "t.tbl/k.kv123"));
    assert_true(exists(f->fd, "t.tbl/k.kv"));
    assert_true(exists(f->fd, "t.tbl/other"));
    assert_true(exists(f->fd, "plain/k.kv123"));
    assert_int_equal(sweep(f, 0), 0);
}

static void
a_young_one_stays_for_its_writer_may_be_about_to_lock_it(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, ".drover-tmp.0123456789abcdef", "young");
    assert_int_equal(sweep(f, 0), 0);
    assert_true(exists(f->fd, ".drover-tmp.0123456789abcdef"));
    /* Of a table that is being dropped it goes. */
    assert_int_equal(temps_sweep_table(f->fd, INT64_MAX, &f->err), 1);
}

static void one_that_is_locked_has_a_writer(void **state)
{
    struct fixture *f = *state;

    put_old(f, ".drover-tmp.0123456789abcdef");
    int fd = hold_lock(f->fd, ".drover-tmp.0123456789abcdef", LOCK_EX);
    assert_int_equal(sweep(f, 0), 0);
    assert_int_equal(temps_sweep_table(f->fd, INT64_MAX, &f->err), 0);
    (void)close(fd);
    assert_int_equal(sweep(f, 0), 1);
}

static void links_and_directories_with_such_a_name_stay(void **state)
{
    struct fixture *f = *state;

    put_old(f, "other");
    assert_int_equal(symlinkat("other", f->fd, "k.kv1"), 0);
    assert_int_equal(mkdirat(f->fd, "k.kv2", 0755), 0);
    assert_int_equal(temps_sweep_table(f->fd, INT64_MAX, &f->err), 0);
    assert_true(exists(f->fd, "k.kv1"));
    assert_true(exists(f->fd, "k.kv2"));
    assert_true(exists(f->fd, "other"));
}

static void a_read_only_database_is_not_swept(void **state)
{
    struct fixture *f = *state;

    put_old(f, ".drover-tmp.0123456789abcdef");
    assert_int_equal(sweep(f, DROVER_OPEN_READONLY), DROVER_E_READONLY);
    assert_true(exists(f->fd, ".drover-tmp.0123456789abcdef"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(old_temporaries_of_all_tables_are_removed),
        FIXTURE_TEST(a_young_one_stays_for_its_writer_may_be_about_to_lock_it),
        FIXTURE_TEST(one_that_is_locked_has_a_writer),
        FIXTURE_TEST(links_and_directories_with_such_a_name_stay),
        FIXTURE_TEST(a_read_only_database_is_not_swept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
