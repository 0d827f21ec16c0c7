/* SPDX-License-Identifier: MIT
 *
 * filesystem: names, and which are known to hide changes; the kernel's answer
 * is given by the test. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/files/filesystem.h"

int __wrap_fstatfs(int fd, struct statfs *out);

static unsigned long kind;

int __wrap_fstatfs(int fd, struct statfs *out)
{
    (void)fd;
    if (kind == 0) {
        errno = EIO;
        return -1;
    }
    /* As the kernel gives a number with its highest bit. */
    out->f_type = (__fsword_t)(int)kind;
    return 0;
}

static void each_kind_has_its_name(void **state)
{
    static const struct {
        unsigned long kind;
        const char *name;
        bool poor;
    } ROWS[] = {
        {0xef53, "ext4", false},
        {0x58465342, "xfs", false},
        {0x9123683e, "btrfs", false},
        {0x01021994, "tmpfs", false},
        {0x6969, "NFS", true},
        {0xff534d42, "CIFS", true},
        {0x65735546, "FUSE", true},
        {0x794c7630, "overlayfs", true},
        {0x12345, "kind 0x12345", false},
        {0, "unknown", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        char out[FILESYSTEM_BYTES];
        bool poor = !ROWS[i].poor;

        kind = ROWS[i].kind;
        assert_string_equal(filesystem_name(0, out, &poor), ROWS[i].name);
        assert_int_equal(poor, ROWS[i].poor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
