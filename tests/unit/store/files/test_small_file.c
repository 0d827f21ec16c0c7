/* SPDX-License-Identifier: MIT
 *
 * Small files: whole, durable, and never two writers' mixture. */
#include "tests/support/store_fixture.h"

#include "store/files/small_file.h"

static const struct small_how only_new = {
    .mode = 0600, .group = (gid_t)-1, .only_new = true, .durable = true};

/* What renameat2() answers; 0: the truth. */
static int rename_says;

int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to,
                     unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
                     unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
                     unsigned flags)
{
    if (rename_says == 0) {
        return __real_renameat2(from_fd, from, to_fd, to, flags);
    }
    errno = rename_says;

    return -1;
}

/* As a filesystem that has no files without a name. */
static bool all_named;

int __real_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, mode_t mode);
int __wrap_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
    if (all_named && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_openat(dir_fd, path, flags, mode);
}

static void without_nameless_files_it_works_as_well(void **state)
{
    struct fixture *f = *state;

    all_named = true;
    put_text(f->fd, "note.new", "left over");
    int first =
        small_write(f->fd, "note", "1", 1, SMALL_DURABLE(0600), &f->err);
    int second =
        small_write(f->fd, "note", "2", 1, SMALL_DURABLE(0600), &f->err);
    int new_one = small_write(f->fd, "note", "3", 1, &only_new, &f->err);
    all_named = false;
    assert_int_equal(first, 0);
    assert_int_equal(second, 0);
    assert_int_equal(new_one, ERR_EXISTS);
    assert_file(f->fd, "note", "2");
    assert_int_equal(faccessat(f->fd, "note.new", F_OK, 0), -1);
}

static void what_is_asked_for_is_set(void **state)
{
    struct fixture *f = *state;
    const struct small_how how = {.mode = 0604,
                                  .group = getegid(),
                                  .like_dir = true,
                                  .set_mtime = true,
                                  .mtime_ns = 1500000000};
    struct stat st;
    char text[8];

    assert_int_equal(small_write(f->fd, "t", "x", 1, &how, &f->err), 0);
    assert_int_equal(small_read(f->fd, "t", text, 8, &st, &f->err), 1);
    assert_int_equal(st.st_mode & 0777, 0604);
    assert_int_equal(st.st_mtim.tv_sec, 1);
    assert_int_equal(st.st_mtim.tv_nsec, 500000000);
}

static void a_filesystem_without_noreplace_will_do(void **state)
{
    struct fixture *f = *state;
    static const int says[] = {EINVAL, ENOSYS};
    struct stat st;

    for (size_t i = 0; i < 2; i++) {
        rename_says = says[i];
        all_named = true;
        int rc = small_write(f->fd, "id", "one", 3, &only_new, &f->err);
        int again = small_write(f->fd, "id", "two", 3, &only_new, &f->err);
        rename_says = 0;
        all_named = false;
        assert_int_equal(rc, 0);
        assert_int_equal(again, ERR_EXISTS);
        assert_file(f->fd, "id", "one");
        assert_int_equal(fstatat(f->fd, "id", &st, 0), 0);
        assert_int_equal(st.st_nlink, 1);
        assert_int_equal(unlinkat(f->fd, "id", 0), 0);
    }
}

static void what_was_written_is_read(void **state)
{
    struct fixture *f = *state;
    char text[16];
    struct stat st;

    assert_int_equal(
        small_write(f->fd, "note", "hello\n", 6, SMALL_DURABLE(0640), &f->err),
        0);
    assert_int_equal(
        small_read(f->fd, "note", text, sizeof text, NULL, &f->err), 6);
    assert_string_equal(text, "hello\n");
    assert_int_equal(fstatat(f->fd, "note", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(
        small_write(f->fd, "note", "", 0, SMALL_DURABLE(0600), &f->err), 0);
    assert_int_equal(
        small_read(f->fd, "note", text, sizeof text, NULL, &f->err), 0);
}

static void a_file_that_is_there_stays_unless_it_may_be_replaced(void **state)
{
    struct fixture *f = *state;
    char text[16];

    assert_int_equal(small_write(f->fd, "id", "one", 3, &only_new, &f->err), 0);
    assert_int_equal(small_write(f->fd, "id", "two", 3, &only_new, &f->err),
                     ERR_EXISTS);
    assert_int_equal(small_read(f->fd, "id", text, sizeof text, NULL, &f->err),
                     3);
    assert_string_equal(text, "one");
    assert_int_equal(
        small_write(f->fd, "id", "two", 3, SMALL_DURABLE(0600), &f->err), 0);
    assert_int_equal(small_read(f->fd, "id", text, sizeof text, NULL, &f->err),
                     3);
    assert_string_equal(text, "two");
}

static void what_is_longer_than_any_such_file_is_not_taken_for_one(void **state)
{
    struct fixture *f = *state;
    char text[4];

    assert_int_equal(small_write(f->fd, "long", "0123456789", 10,
                                 SMALL_DURABLE(0600), &f->err),
                     0);
    assert_int_equal(
        small_read(f->fd, "long", text, sizeof text, NULL, &f->err),
        ERR_CORRUPT);
}

static void a_link_is_not_followed_and_a_fifo_does_not_block(void **state)
{
    struct fixture *f = *state;
    char text[16];

    put_text(f->fd, "real", "text");
    assert_int_equal(symlinkat("real", f->fd, "link"), 0);
    assert_true(small_read(f->fd, "link", text, sizeof text, NULL, &f->err) <
                0);
    assert_int_equal(mkfifoat(f->fd, "fifo", 0600), 0);
    assert_int_equal(
        small_read(f->fd, "fifo", text, sizeof text, NULL, &f->err),
        ERR_NOTTABLE);
    assert_int_equal(
        small_read(f->fd, "none", text, sizeof text, NULL, &f->err),
        ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_was_written_is_read),
        FIXTURE_TEST(without_nameless_files_it_works_as_well),
        FIXTURE_TEST(what_is_asked_for_is_set),
        FIXTURE_TEST(a_filesystem_without_noreplace_will_do),
        FIXTURE_TEST(a_file_that_is_there_stays_unless_it_may_be_replaced),
        FIXTURE_TEST(what_is_longer_than_any_such_file_is_not_taken_for_one),
        FIXTURE_TEST(a_link_is_not_followed_and_a_fifo_does_not_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
