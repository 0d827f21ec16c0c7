/* SPDX-License-Identifier: MIT
 *
 * Installing staged values and removing keys under the exclusive lock. */
#include "tests/support/store_fixture.h"

#include "store/base/cleanup.h"
#include "store/files/newfile.h"
#include "store/layout/install.h"

/* Of the file "stage". */
static int install_as(struct fixture *f, const char *key, unsigned how,
                      struct stat *st)
{
    CLEANUP(fd_closep) int fd = openat(f->fd, "stage", O_RDWR | O_CLOEXEC);
    struct newfile staged = {.fd = fd, .named = true};

    return install_value(&staged, "stage", f->fd, key, strlen(key), how, st,
                         &f->err);
}

static int install(struct fixture *f, const char *key, bool force,
                   struct stat *st)
{
    return install_as(f, key, force ? INSTALL_FORCE : 0, st);
}

static void a_new_key_appears_whole(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    struct stat named;

    put_text(f->fd, "stage", "value");
    assert_int_equal(install(f, "k", false, &st), INSTALL_DONE);
    assert_file(f->fd, "k.kv", "value");
    assert_false(exists(f->fd, "stage"));
    assert_int_equal(fstatat(f->fd, "k.kv", &named, 0), 0);
    assert_int_equal(st.st_ino, named.st_ino);
    assert_int_equal(st.st_ctim.tv_nsec, named.st_ctim.tv_nsec);
}

static int install_hinted(struct fixture *f, const char *key, struct stat *st)
{
    return install_as(f, key, INSTALL_NEW, st);
}

static void a_wrong_hint_that_the_key_is_new_breaks_no_lock(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    put_text(f->fd, "stage", "first");
    assert_int_equal(install_hinted(f, "k", &st), INSTALL_DONE);
    assert_file(f->fd, "k.kv", "first");
    put_text(f->fd, "stage", "second");
    int reader = openat(f->fd, "k.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(reader, LOCK_SH), 0);
    assert_int_equal(install_hinted(f, "k", &st), INSTALL_BUSY);
    assert_file(f->fd, "k.kv", "first");
    (void)close(reader);
    assert_int_equal(install_hinted(f, "k", &st), INSTALL_DONE);
    assert_file(f->fd, "k.kv", "second");
    assert_false(exists(f->fd, "stage"));
}

static void an_existing_key_is_replaced_by_a_new_inode(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    put_text(f->fd, "k.kv", "old");
    int reader = openat(f->fd, "k.kv", O_RDONLY | O_CLOEXEC);
    put_text(f->fd, "stage", "new");
    assert_int_equal(install(f, "k", false, &st), INSTALL_DONE);
    assert_file(f->fd, "k.kv", "new");
    char was[8] = "";
    assert_int_equal(read(reader, was, 7), 3);
    assert_string_equal(was, "old");
    (void)close(reader);
}

static void a_held_lock_is_busy_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    struct stat named;

    put_text(f->fd, "k.kv", "old");
    put_text(f->fd, "stage", "new");
    int held = hold_lock(f->fd, "k.kv", LOCK_SH);
    assert_int_equal(install(f, "k", false, &st), INSTALL_BUSY);
    assert_int_equal(fstatat(f->fd, "k.kv", &named, 0), 0);
    assert_int_equal(st.st_ino, named.st_ino);
    assert_file(f->fd, "k.kv", "old");
    assert_int_equal(install_remove(f->fd, "k", 1, false, &st, &f->err),
                     INSTALL_BUSY);
    assert_true(exists(f->fd, "k.kv"));
    assert_int_equal(install(f, "k", true, &st), INSTALL_DONE);
    assert_file(f->fd, "k.kv", "new");
    (void)close(held);
}

static void force_removes_without_the_lock(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    put_text(f->fd, "k.kv", "old");
    int held = hold_lock(f->fd, "k.kv", LOCK_SH);
    assert_int_equal(install_remove(f->fd, "k", 1, true, &st, &f->err),
                     INSTALL_DONE);
    assert_false(exists(f->fd, "k.kv"));
    (void)close(held);
}

static void removing_a_missing_key_is_absent(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(install_remove(f->fd, "k", 1, false, &st, &f->err),
                     INSTALL_ABSENT);
    assert_int_equal(install_remove(f->fd, "k", 1, true, &st, &f->err),
                     INSTALL_ABSENT);
}

static void what_is_no_file_is_left_alone(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"dir", "fifo", "link"};
    struct stat st;

    put_text(f->fd, "stage", "new");
    put_text(f->fd, "victim", "mine");
    assert_int_equal(mkdirat(f->fd, "dir.kv", 0755), 0);
    assert_int_equal(mkfifoat(f->fd, "fifo.kv", 0600), 0);
    assert_int_equal(symlinkat("victim", f->fd, "link.kv"), 0);
    for (size_t i = 0; i < 6; i++) {
        bool force = i >= 3;
        const char *key = keys[i % 3];
        assert_int_equal(install(f, key, force, &st), ERR_NOTTABLE);
        /* A directory is evidence that there is no key; a link is not. */
        assert_int_equal(
            install_remove(f->fd, key, strlen(key), force, &st, &f->err),
            i % 3 == 0 ? (int)INSTALL_ABSENT : ERR_NOTTABLE);
    }
    assert_true(exists(f->fd, "dir.kv") && exists(f->fd, "fifo.kv") &&
                exists(f->fd, "link.kv"));
    assert_file(f->fd, "victim", "mine");
}

static void a_missing_stage_is_an_error_not_a_delete(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    put_text(f->fd, "k.kv", "old");
    assert_int_equal(install(f, "k", false, &st), ERR_NOTFOUND);
    assert_file(f->fd, "k.kv", "old");
}

static void rename_new_refuses_an_existing_name(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, "a", "1");
    put_text(f->fd, "b", "2");
    assert_int_equal(newfile_rename(f->fd, "a", f->fd, "b"), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(newfile_rename(f->fd, "a", f->fd, "c"), 0);
    assert_false(exists(f->fd, "a"));
    assert_file(f->fd, "b", "2");
}

/* An administrator's edit with another user's ownership must not stay. */
static void a_file_that_may_not_be_opened_is_replaced_and_removed(void **state)
{
    enum { NOBODY = 65534 };
    struct fixture *f = *state;
    bool root = geteuid() == 0;
    struct stat st;

    put_text(f->fd, "k.kv", "edited");
    put_text(f->fd, "d.kv", "edited");
    put_text(f->fd, "stage", "new");
    assert_int_equal(fchmodat(f->fd, "k.kv", 0, 0), 0);
    assert_int_equal(fchmodat(f->fd, "d.kv", 0, 0), 0);
    if (root) { /* to whom every file is open */
        assert_int_equal(fchown(f->fd, NOBODY, (gid_t)-1), 0);
        assert_int_equal(seteuid(NOBODY), 0);
    }
    int set = install(f, "k", false, &st);
    int removed = install_remove(f->fd, "d", 1, false, &st, &f->err);
    if (root) {
        assert_int_equal(seteuid(0), 0);
    }
    assert_int_equal(set, INSTALL_DONE);
    assert_int_equal(removed, INSTALL_DONE);
    assert_file(f->fd, "k.kv", "new");
    assert_false(exists(f->fd, "d.kv"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_new_key_appears_whole),
        FIXTURE_TEST(a_wrong_hint_that_the_key_is_new_breaks_no_lock),
        FIXTURE_TEST(an_existing_key_is_replaced_by_a_new_inode),
        FIXTURE_TEST(a_held_lock_is_busy_and_changes_nothing),
        FIXTURE_TEST(force_removes_without_the_lock),
        FIXTURE_TEST(removing_a_missing_key_is_absent),
        FIXTURE_TEST(what_is_no_file_is_left_alone),
        FIXTURE_TEST(a_missing_stage_is_an_error_not_a_delete),
        FIXTURE_TEST(rename_new_refuses_an_existing_name),
        FIXTURE_TEST(a_file_that_may_not_be_opened_is_replaced_and_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
