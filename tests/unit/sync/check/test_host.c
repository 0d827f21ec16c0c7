/* SPDX-License-Identifier: MIT
 *
 * host: space, inodes and clock at their bounds; the kernel's answers are given
 * by the test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <cmocka.h>

#include "sync/check/host.h"
#include "sync/errors/state.h"

int __wrap_fstatvfs(int fd, struct statvfs *out);
int __wrap_adjtimex(struct timex *t);

static struct statvfs disk;
static int clock_status;

int __wrap_fstatvfs(int fd, struct statvfs *out)
{
    (void)fd;
    if (disk.f_frsize == 0) {
        errno = EIO;
        return -1;
    }
    *out = disk;
    return 0;
}

int __wrap_adjtimex(struct timex *t)
{
    if (clock_status < 0) {
        errno = EPERM;
        return -1;
    }
    t->status = clock_status;
    t->maxerror = 1500;
    return 0;
}

static void space_and_inodes_at_their_bounds(void **state)
{
    static const struct {
        unsigned long free, inodes_free;
        uint64_t need;
        enum finding_level space, inodes;
    } ROWS[] = {
        {50, 5000, 0, FINDING_OK, FINDING_OK},
        {50, 5000, 51 * 4096, FINDING_WARN, FINDING_OK},
        {5, 500, 0, FINDING_OK, FINDING_OK},
        {4, 499, 0, FINDING_WARN, FINDING_WARN},
        {0, 0, 0, FINDING_FAIL, FINDING_FAIL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct findings f = FINDINGS_NULL;

        disk = (struct statvfs){.f_frsize = 4096,
                                .f_blocks = 100,
                                .f_bavail = ROWS[i].free,
                                .f_files = 10000,
                                .f_favail = ROWS[i].inodes_free};
        host_space(&f, 0, "/srv/a b", ROWS[i].need, DR_REPLICA_FULL);
        assert_int_equal(f.count, 2);
        assert_int_equal(f.list[0].level, ROWS[i].space);
        assert_int_equal(f.list[1].level, ROWS[i].inodes);
        assert_int_equal(f.list[0].id,
                         ROWS[i].space == FINDING_FAIL ? DR_REPLICA_FULL : 0);
        if (f.list[0].level != FINDING_OK) {
            assert_non_null(strstr(f.list[0].hint, "df -h '/srv/a b'"));
        }
        findings_deinit(&f);
    }
}

static void a_file_system_without_a_size_is_no_full_one(void **state)
{
    struct findings f = FINDINGS_NULL;

    (void)state;
    disk = (struct statvfs){.f_frsize = 4096};
    host_space(&f, 0, "/x", 0, DR_REPLICA_FULL);
    assert_int_equal(f.count, 1);
    assert_int_equal(f.list[0].level, FINDING_OK);
    findings_deinit(&f);
    disk.f_frsize = 0; /* it does not answer */
    host_space(&f, 0, "/x", 0, DR_REPLICA_FULL);
    assert_int_equal(f.list[0].level, FINDING_WARN);
    findings_deinit(&f);
}

static void a_clock_that_nobody_keeps_is_a_warning(void **state)
{
    static const struct {
        int status;
        enum finding_level level;
    } ROWS[] = {
        {0, FINDING_OK}, {STA_UNSYNC, FINDING_WARN}, {-1, FINDING_WARN}};

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct findings f = FINDINGS_NULL;

        clock_status = ROWS[i].status;
        host_clock(&f, "ages are wrong");
        assert_int_equal(f.count, 1);
        assert_int_equal(f.list[0].level, ROWS[i].level);
        findings_deinit(&f);
    }
}

static void a_bound_of_the_kernel_is_read(void **state)
{
    (void)state;
    assert_true(host_sysctl("kernel/pid_max") > 0);
    assert_int_equal(host_sysctl("no/such/thing"), -1);
    assert_true(host_inotify_watches() <=
                host_sysctl("fs/inotify/max_user_watches"));
    assert_true(host_inotify_instances() <=
                host_sysctl("fs/inotify/max_user_instances"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(space_and_inodes_at_their_bounds),
        cmocka_unit_test(a_file_system_without_a_size_is_no_full_one),
        cmocka_unit_test(a_clock_that_nobody_keeps_is_a_warning),
        cmocka_unit_test(a_bound_of_the_kernel_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
