/* SPDX-License-Identifier: MIT
 *
 * The root and its tables' directories: confinement, making, removing. */
#include "tests/support/store_fixture.h"

#include "store/layout/db.h"

static struct db open_db(struct fixture *f)
{
    struct db db;

    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    return db;
}

static int open_table(const struct db *db, const char *name, bool create,
                      bool *created, struct err *err)
{
    struct table_make make = {.create = create, .group = (gid_t)-1};

    return table_open(db, name, strlen(name), &make, created, err);
}

static void db_open_creates_the_whole_path_only_when_asked(void **state)
{
    struct fixture *f = *state;
    char path[300];
    struct db db;

    (void)snprintf(path, sizeof path, "%s/a/b/c/", f->path);
    assert_int_equal(db_open(&db, path, false, &f->err), ERR_NOTFOUND);
    assert_int_equal(db_open(&db, path, true, &f->err), 0);
    assert_true(db_root_is_same(&db));
    db_close(&db);
    assert_int_equal(db_open(&db, path, true, &f->err), 0);
    db_close(&db);
}

static void db_open_refuses_a_file(void **state)
{
    struct fixture *f = *state;
    char path[300];
    struct db db;

    put_text(f->fd, "file", "x");
    (void)snprintf(path, sizeof path, "%s/file", f->path);
    assert_int_equal(db_open(&db, path, false, &f->err), ERR_NOTTABLE);
    assert_non_null(strstr(f->err.msg, path));
}

static void root_is_same_until_it_is_moved_away(void **state)
{
    struct fixture *f = *state;
    char path[300];
    struct db db;

    (void)snprintf(path, sizeof path, "%s/db", f->path);
    assert_int_equal(db_open(&db, path, true, &f->err), 0);
    assert_true(db_root_is_same(&db));
    assert_int_equal(renameat(f->fd, "db", f->fd, "moved"), 0);
    assert_false(db_root_is_same(&db));
    assert_int_equal(mkdirat(f->fd, "db", 0755), 0);
    assert_false(db_root_is_same(&db));
    db_close(&db);
}

static void table_open_makes_nested_directories_and_says_so(void **state)
{
    struct fixture *f = *state;
    struct db db = open_db(f);
    bool created = true;

    assert_int_equal(open_table(&db, "a/b", false, NULL, &f->err),
                     ERR_NOTFOUND);
    int fd = open_table(&db, "a/b", true, &created, &f->err);
    assert_true(fd >= 0 && created);
    assert_true(exists(f->fd, "a/b.tbl"));
    (void)close(fd);
    fd = open_table(&db, "a/b", true, &created, &f->err);
    assert_true(fd >= 0 && !created);
    (void)close(fd);
    fd = open_table(&db, "", false, NULL, &f->err);
    assert_true(fd >= 0);
    (void)close(fd);
    db_close(&db);
}

static void table_open_sets_exact_modes_whatever_the_umask(void **state)
{
    struct fixture *f = *state;
    struct db db = open_db(f);
    struct table_make make = {
        .create = true, .dir_mode = 02750, .group = getegid()};
    struct stat st;
    mode_t was = umask(077);

    int fd = table_open(&db, "p/t", 3, &make, NULL, &f->err);
    (void)umask(was);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    assert_int_equal(fstatat(f->fd, "p", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    (void)close(fd);
    db_close(&db);
}

/* A process that is killed between the mkdir and the modes leaves a directory
 * that only its owner can enter. */
static void table_open_finishes_what_a_killed_one_began(void **state)
{
    struct fixture *f = *state;
    struct db db;
    struct stat st;
    struct table_make make = {
        .create = true, .dir_mode = 02750, .group = (gid_t)-1};
    bool created = true;

    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    assert_int_equal(mkdirat(f->fd, "a", 0700), 0);
    assert_int_equal(mkdirat(f->fd, "a/b.tbl", 0700), 0);
    assert_int_equal(mkdirat(f->fd, "mine.tbl", 0711), 0);
    int fd = table_open(&db, "a/b", 3, &make, &created, &f->err);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_false(created);
    fd = table_open(&db, "mine", 4, &make, NULL, &f->err);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(fstatat(f->fd, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    assert_int_equal(fstatat(f->fd, "a/b.tbl", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    assert_int_equal(fstatat(f->fd, "mine.tbl", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0711); /* somebody's choice */
    db_close(&db);
}

static void table_open_never_follows_a_link_or_takes_a_file(void **state)
{
    struct fixture *f = *state;
    struct db db = open_db(f);

    assert_int_equal(symlinkat("/tmp", f->fd, "link.tbl"), 0);
    assert_int_equal(symlinkat("/tmp", f->fd, "way"), 0);
    put_text(f->fd, "file.tbl", "x");
    assert_int_equal(open_table(&db, "link", true, NULL, &f->err),
                     ERR_NOTTABLE);
    assert_int_equal(open_table(&db, "way/x", true, NULL, &f->err),
                     ERR_NOTTABLE);
    assert_int_equal(open_table(&db, "file", true, NULL, &f->err),
                     ERR_NOTTABLE);
    /* Not to make it: a file is evidence that there is none, a link is not. */
    assert_int_equal(symlinkat("file.tbl", f->fd, "to_file.tbl"), 0);
    assert_int_equal(mkfifoat(f->fd, "fifo", 0600), 0);
    static const struct {
        const char *name;
        int open, drop;
    } reads[] = {
        {"file", ERR_NOTFOUND, 0},
        {"file.tbl/t", ERR_NOTFOUND, 0},
        {"file.tbl/a/b", ERR_NOTFOUND, 0},
        {"link", ERR_NOTTABLE, ERR_NOTTABLE},
        {"to_file", ERR_NOTTABLE, ERR_NOTTABLE},
        {"to_file.tbl/t", ERR_NOTTABLE, ERR_NOTTABLE},
        {"way/x", ERR_NOTTABLE, ERR_NOTTABLE},
        {"fifo/x", ERR_NOTTABLE, ERR_NOTTABLE},
        {"none/x", ERR_NOTFOUND, 0},
    };
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        const char *name = reads[i].name;
        assert_int_equal(
            table_open(&db, name, strlen(name), NULL, NULL, &f->err),
            reads[i].open);
        assert_int_equal(table_remove_dir(&db, name, strlen(name), &f->err),
                         reads[i].drop);
    }
    assert_true(exists(f->fd, "file.tbl") && exists(f->fd, "link.tbl"));
    assert_int_equal(open_table(&db, "../x", true, NULL, &f->err),
                     ERR_BADTABLE);
    assert_int_equal(open_table(&db, ".drover/x", true, NULL, &f->err),
                     ERR_BADTABLE);
    assert_non_null(strstr(f->err.msg, ".drover/x"));
    db_close(&db);
}

static void no_name_leads_into_another_database(void **state)
{
    struct fixture *f = *state;
    struct db db = open_db(f);
    static const char *const names[] = {"a", "p/t", "p/new", "p/q/r",
                                        "a.tbl/b"};

    assert_int_equal(mkdirat(f->fd, ".drover", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "a.tbl", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "a.tbl/.drover", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "a.tbl/b.tbl", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "p", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "p/.drover", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "p/t.tbl", 0755), 0);
    put_text(f->fd, "p/t.tbl/k.kv", "");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(open_table(&db, names[i], true, NULL, &f->err),
                         ERR_NOTTABLE);
        assert_non_null(strstr(f->err.msg, "another database"));
    }
    assert_false(exists(f->fd, "p/new.tbl"));
    assert_false(exists(f->fd, "p/q"));
    assert_int_equal(db_open_file(&db, "p/t.tbl/k.kv"), -1);
    assert_int_equal(errno, DB_OTHER);
    db_close(&db);
}

static void table_remove_takes_empty_plain_parents_along(void **state)
{
    struct fixture *f = *state;
    struct db db = open_db(f);

    (void)close(open_table(&db, "p/q/t", true, NULL, &f->err));
    (void)close(open_table(&db, "p/u", true, NULL, &f->err));
    assert_int_equal(table_remove_dir(&db, "p/q/t", 5, &f->err), 0);
    assert_false(exists(f->fd, "p/q"));
    assert_true(exists(f->fd, "p/u.tbl"));
    assert_int_equal(table_remove_dir(&db, "p/u", 3, &f->err), 0);
    assert_false(exists(f->fd, "p"));
    db_close(&db);
}

static void table_remove_keeps_a_parent_that_is_a_table(void **state)
{
    struct fixture *f = *state;
    struct db db = open_db(f);

    (void)close(open_table(&db, "p.tbl/t", true, NULL, &f->err));
    assert_int_equal(table_remove_dir(&db, "p.tbl/t", 7, &f->err), 0);
    assert_false(exists(f->fd, "p.tbl/t.tbl"));
    assert_true(exists(f->fd, "p.tbl"));
    db_close(&db);
}

static void table_remove_names_what_is_inside(void **state)
{
    struct fixture *f = *state;
    struct db db = open_db(f);

    (void)close(open_table(&db, "t", true, NULL, &f->err));
    put_text(f->fd, "t.tbl/bob.kv", "x");
    assert_int_equal(table_remove_dir(&db, "t", 1, &f->err), ERR_EXISTS);
    assert_non_null(strstr(f->err.msg, "bob.kv"));
    assert_int_equal(table_remove_dir(&db, "none", 4, &f->err), 0);
    assert_int_equal(table_remove_dir(&db, "no/ne", 5, &f->err), 0);
    assert_int_equal(table_remove_dir(&db, "", 0, &f->err), ERR_INVALID);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(db_open_creates_the_whole_path_only_when_asked),
        FIXTURE_TEST(db_open_refuses_a_file),
        FIXTURE_TEST(root_is_same_until_it_is_moved_away),
        FIXTURE_TEST(table_open_makes_nested_directories_and_says_so),
        FIXTURE_TEST(table_open_sets_exact_modes_whatever_the_umask),
        FIXTURE_TEST(table_open_finishes_what_a_killed_one_began),
        FIXTURE_TEST(table_open_never_follows_a_link_or_takes_a_file),
        FIXTURE_TEST(no_name_leads_into_another_database),
        FIXTURE_TEST(table_remove_takes_empty_plain_parents_along),
        FIXTURE_TEST(table_remove_keeps_a_parent_that_is_a_table),
        FIXTURE_TEST(table_remove_names_what_is_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
