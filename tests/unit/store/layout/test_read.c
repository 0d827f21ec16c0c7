/* SPDX-License-Identifier: MIT
 *
 * Reading files that others may be changing. */
#include "tests/support/store_fixture.h"

#include "store/layout/read.h"

/* Wait until the file's times are old, so that equal times count as proof. */
static void wait_until_old(int dir_fd)
{
    struct stat st;

    assert_int_equal(fstatat(dir_fd, "k.kv", &st, 0), 0);
    while (clock_real_ns() - clock_of_timespec(st.st_ctim) < 2100 * NS_PER_MS) {
        clock_sleep_ns(50 * NS_PER_MS);
    }
}

/* What the short way rests on: whoever takes a file's name away, or its bytes,
 * sets its ctime. */
static void the_short_way_gives_up_on_what_lost_its_name(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"renamed", "unlinked", "replaced",
                                        "written", "k.kv"};
    int fds[5];
    char out[16];
    struct stat st;

    for (int i = 0; i < 5; i++) {
        put_text(f->fd, names[i], "old");
    }
    wait_until_old(f->fd);
    int64_t now = clock_of_files_ns();
    for (int i = 0; i < 5; i++) {
        fds[i] = openat(f->fd, names[i], O_RDONLY | O_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
    put_text(f->fd, "new", "new");
    assert_int_equal(renameat(f->fd, "renamed", f->fd, "away"), 0);
    assert_int_equal(unlinkat(f->fd, "unlinked", 0), 0);
    assert_int_equal(renameat(f->fd, "new", f->fd, "replaced"), 0);
    put_text(f->fd, "written", "NEW");
    for (int i = 0; i < 5; i++) {
        int64_t n = read_quick(fds[i], now, out, sizeof out, &st);
        assert_int_equal(n, i == 4 ? 3 : -1);
        (void)close(fds[i]);
    }
}

static void a_whole_file_is_read_from_its_begin(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct stat st;
    char c;

    put_text(f->fd, "k.kv", "hello");
    int fd = openat(f->fd, "k.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(read(fd, &c, 1), 1); /* wherever the position is */
    assert_int_equal(read_whole(fd, "k.kv", &st, &value, &f->err), READ_WHOLE);
    assert_int_equal(value.len, 5);
    assert_memory_equal(value.data, "hello", 5);
    (void)close(fd);
    buf_deinit(&value);
}

static void a_file_of_another_size_or_time_has_changed(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 5}};
    struct stat st;

    put_text(f->fd, "k.kv", "hello");
    int fd = openat(f->fd, "k.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    put_text(f->fd, "k.kv", "hello, all");
    assert_int_equal(read_whole(fd, "k.kv", &st, &value, &f->err),
                     READ_CHANGED);
    assert_int_equal(fstat(fd, &st), 0);
    put_text(f->fd, "k.kv", "hi");
    assert_int_equal(read_whole(fd, "k.kv", &st, &value, &f->err),
                     READ_CHANGED);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(utimensat(f->fd, "k.kv", times, 0), 0);
    assert_int_equal(read_whole(fd, "k.kv", &st, &value, &f->err),
                     READ_CHANGED);
    (void)close(fd);
    buf_deinit(&value);
}

static void read_full_stops_at_the_end_only(void **state)
{
    struct fixture *f = *state;
    char out[16];

    put_text(f->fd, "k.kv", "hello");
    int fd = openat(f->fd, "k.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(read_full(fd, out, 3, "k.kv", &f->err), 3);
    assert_int_equal(read_full(fd, out, 16, "k.kv", &f->err), 2);
    assert_int_equal(read_full(fd, out, 16, "k.kv", &f->err), 0);
    (void)close(fd);
    assert_int_equal(read_full(f->fd, out, 16, "dir.kv", &f->err), ERR_IO);
    assert_non_null(strstr(f->err.msg, "dir.kv"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_short_way_gives_up_on_what_lost_its_name),
        FIXTURE_TEST(a_whole_file_is_read_from_its_begin),
        FIXTURE_TEST(a_file_of_another_size_or_time_has_changed),
        FIXTURE_TEST(read_full_stops_at_the_end_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
