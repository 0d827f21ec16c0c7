/* SPDX-License-Identifier: MIT
 *
 * Lists of directories, and where they break off. */
#include "tests/support/store_fixture.h"

#include "store/base/cleanup.h"
#include "store/base/dir.h"

static bool broken;

struct dirent *__real_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir)
{
    if (broken) {
        errno = EIO;
        return NULL;
    }
    return __real_readdir(dir);
}

static void every_entry_comes_once_and_the_dots_do_not(void **state)
{
    struct fixture *f = *state;
    unsigned seen = 0;

    put_text(f->fd, "a", "");
    put_text(f->fd, ".hidden", "");
    for (int round = 0; round < 2; round++) { /* `fd` does not move */
        CLEANUP(dir_end) struct dir dir = dir_list(f->fd, ".");
        for (const struct dirent *e; (e = dir_next(&dir)) != NULL;) {
            assert_true(strcmp(e->d_name, "a") == 0 ||
                        strcmp(e->d_name, ".hidden") == 0);
            seen++;
        }
        assert_int_equal(dir.sys, 0);
        assert_null(dir_next(&dir));
    }
    assert_int_equal(seen, 4);
}

static void what_is_no_directory_has_no_entries_and_says_why(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, "file", "");
    assert_int_equal(symlinkat(".", f->fd, "link"), 0);
    CLEANUP(dir_end) struct dir none = dir_list(f->fd, "none");
    assert_null(dir_next(&none));
    assert_int_equal(none.sys, ENOENT);
    CLEANUP(dir_end) struct dir link = dir_list(f->fd, "link");
    assert_null(dir_next(&link));
    assert_true(link.sys == ENOTDIR || link.sys == ELOOP);
    CLEANUP(dir_end)
    struct dir file = dir_take(openat(f->fd, "file", O_RDONLY | O_CLOEXEC));
    assert_null(dir_next(&file));
    assert_int_equal(file.sys, ENOTDIR);
}

static void a_list_that_breaks_off_is_none(void **state)
{
    struct fixture *f = *state;
    CLEANUP(dir_end) struct dir dir = dir_list(f->fd, ".");

    broken = true;
    assert_null(dir_next(&dir));
    broken = false;
    assert_int_equal(dir.sys, EIO);
}

static void a_type_is_asked_for_where_it_was_not_told(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, "file", "");
    assert_int_equal(symlinkat("file", f->fd, "link"), 0);
    assert_int_equal(dir_type(f->fd, "file", DT_UNKNOWN), DT_REG);
    assert_int_equal(dir_type(f->fd, "link", DT_UNKNOWN), DT_LNK);
    assert_int_equal(dir_type(f->fd, "none", DT_UNKNOWN), DT_UNKNOWN);
    assert_int_equal(dir_type(f->fd, "none", DT_DIR), DT_DIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_entry_comes_once_and_the_dots_do_not),
        FIXTURE_TEST(what_is_no_directory_has_no_entries_and_says_why),
        FIXTURE_TEST(a_type_is_asked_for_where_it_was_not_told),
        FIXTURE_TEST(a_list_that_breaks_off_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
