/* SPDX-License-Identifier: MIT
 *
 * Calls that signals interrupt and that move a few bytes at a time. */
#include "tests/support/store_fixture.h"

#include <errno.h>
#include <sys/mman.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"

enum { PIECE = 3 };

static unsigned calls; /* every second one is interrupted */
static int broken;     /* this errno instead */
static bool idle;      /* a write writes nothing */

static bool fails(void)
{
    if (broken != 0) {
        errno = broken;
        return true;
    }
    errno = EINTR;
    return calls++ % 2 == 0;
}

static size_t some(size_t n)
{
    return n < PIECE ? n : PIECE;
}

ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n)
{
    return fails() ? -1 : __real_read(fd, p, some(n));
}

ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    return fails() ? -1 : __real_pread(fd, p, some(n), at);
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (fd <= STDERR_FILENO) {
        return __real_write(fd, p, n);
    }
    return idle ? 0 : fails() ? -1 : __real_write(fd, p, some(n));
}

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    return idle ? 0 : fails() ? -1 : __real_pwrite(fd, p, some(n), at);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    return fails() ? -1 : __real_fsync(fd);
}

static void all_is_written_and_read_through_signals_and_small_pieces(void **s)
{
    static const char text[] = "0123456789";
    char back[32] = "";
    CLEANUP(fd_closep) int fd = memfd_create("sys", MFD_CLOEXEC);

    (void)s;
    broken = 0;
    assert_int_equal(sys_write_all(fd, text, 10), 0);
    assert_int_equal(sys_pwrite_all(fd, "abcde", 5, 4), 0);
    assert_int_equal(sys_fsync(fd), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(sys_read(fd, back, sizeof back), PIECE);
    assert_int_equal(sys_read_full(fd, back + PIECE, 4), 4);
    assert_int_equal(sys_read_full(fd, back + 7, sizeof back - 8), 3);
    assert_string_equal(back, "0123abcde9");
    memset(back, 0, sizeof back);
    assert_int_equal(sys_pread_full(fd, back, sizeof back - 1, 2), 8);
    assert_string_equal(back, "23abcde9");
    assert_int_equal(sys_write_all(fd, "", 0), 0);
}

static void a_failure_is_one(void **s)
{
    char back[4];
    CLEANUP(fd_closep) int fd = memfd_create("sys", MFD_CLOEXEC);

    (void)s;
    broken = EIO;
    assert_int_equal(sys_write_all(fd, "abc", 3), -1);
    assert_int_equal(sys_pwrite_all(fd, "abc", 3, 0), -1);
    assert_int_equal(sys_read(fd, back, 4), -1);
    assert_int_equal(sys_read_full(fd, back, 4), -1);
    assert_int_equal(sys_pread_full(fd, back, 4, 0), -1);
    assert_int_equal(sys_fsync(fd), -1);
    assert_int_equal(errno, EIO);
    broken = 0;
}

static void a_write_that_gets_nowhere_ends(void **s)
{
    CLEANUP(fd_closep) int fd = memfd_create("sys", MFD_CLOEXEC);

    (void)s;
    idle = true;
    errno = 0;
    assert_int_equal(sys_write_all(fd, "abc", 3), -1);
    assert_int_equal(errno, EIO);
    errno = 0;
    assert_int_equal(sys_pwrite_all(fd, "abc", 3, 0), -1);
    assert_int_equal(errno, EIO);
    idle = false;
}

static void a_lock_that_another_holds_is_not_waited_for(void **s)
{
    struct fixture *f = *s;
    CLEANUP(fd_closep)
    int one = sys_openat(f->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CLEANUP(fd_closep)
    int two = sys_openat(f->fd, "lock", O_RDONLY | O_CLOEXEC, 0);

    assert_int_equal(sys_flock(one, LOCK_SH), 0);
    assert_int_equal(sys_flock(two, LOCK_SH), 0);
    assert_int_equal(sys_flock(two, LOCK_EX), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    assert_int_equal(sys_flock(one, LOCK_UN), 0);
    assert_int_equal(sys_flock(two, LOCK_EX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            all_is_written_and_read_through_signals_and_small_pieces),
        cmocka_unit_test(a_failure_is_one),
        cmocka_unit_test(a_write_that_gets_nowhere_ends),
        cmocka_unit_test_setup_teardown(
            a_lock_that_another_holds_is_not_waited_for, fixture_setup,
            fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
