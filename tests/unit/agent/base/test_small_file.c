/* SPDX-License-Identifier: MIT
 *
 * Small files: whole, durable, and never two writers' mixture. */
#include "tests/support/store_fixture.h"

#include "agent/base/small_file.h"

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

static void a_filesystem_without_noreplace_will_do(void **state)
{
    struct fixture *f = *state;
    static const int says[] = {EINVAL, ENOSYS};
    struct stat st;

    for (size_t i = 0; i < 2; i++) {
        rename_says = says[i];
        int rc = small_write(f->fd, "id", "one", 3, 0600, false, &f->err);
        int again = small_write(f->fd, "id", "two", 3, 0600, false, &f->err);
        rename_says = 0;
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
        small_write(f->fd, "note", "hello\n", 6, 0640, true, &f->err), 0);
    assert_int_equal(small_read(f->fd, "note", text, sizeof text, &f->err), 6);
    assert_string_equal(text, "hello\n");
    assert_int_equal(fstatat(f->fd, "note", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(small_write(f->fd, "note", "", 0, 0600, true, &f->err), 0);
    assert_int_equal(small_read(f->fd, "note", text, sizeof text, &f->err), 0);
}

static void a_file_that_is_there_stays_unless_it_may_be_replaced(void **state)
{
    struct fixture *f = *state;
    char text[16];

    assert_int_equal(small_write(f->fd, "id", "one", 3, 0600, false, &f->err),
                     0);
    assert_int_equal(small_write(f->fd, "id", "two", 3, 0600, false, &f->err),
                     ERR_EXISTS);
    assert_int_equal(small_read(f->fd, "id", text, sizeof text, &f->err), 3);
    assert_string_equal(text, "one");
    assert_int_equal(small_write(f->fd, "id", "two", 3, 0600, true, &f->err),
                     0);
    assert_int_equal(small_read(f->fd, "id", text, sizeof text, &f->err), 3);
    assert_string_equal(text, "two");
}

static void no_more_is_read_than_there_is_room_for(void **state)
{
    struct fixture *f = *state;
    char text[4];

    assert_int_equal(
        small_write(f->fd, "long", "0123456789", 10, 0600, true, &f->err), 0);
    assert_int_equal(small_read(f->fd, "long", text, sizeof text, &f->err), 3);
    assert_string_equal(text, "012");
}

static void a_link_is_not_followed_and_a_fifo_does_not_block(void **state)
{
    struct fixture *f = *state;
    char text[16];

    put_text(f->fd, "real", "text");
    assert_int_equal(symlinkat("real", f->fd, "link"), 0);
    assert_true(small_read(f->fd, "link", text, sizeof text, &f->err) < 0);
    assert_int_equal(mkfifoat(f->fd, "fifo", 0600), 0);
    assert_int_equal(small_read(f->fd, "fifo", text, sizeof text, &f->err),
                     ERR_NOTTABLE);
    assert_int_equal(small_read(f->fd, "none", text, sizeof text, &f->err),
                     ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_was_written_is_read),
        FIXTURE_TEST(a_filesystem_without_noreplace_will_do),
        FIXTURE_TEST(a_file_that_is_there_stays_unless_it_may_be_replaced),
        FIXTURE_TEST(no_more_is_read_than_there_is_room_for),
        FIXTURE_TEST(a_link_is_not_followed_and_a_fifo_does_not_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
