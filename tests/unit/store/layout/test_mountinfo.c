/* SPDX-License-Identifier: MIT
 *
 * mountinfo: which of its lines are about a directory. */
#include "tests/support/store_fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/layout/mountinfo.h"

static const char TEXT[] =
    "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
    "36 22 0:30 / /srv/db rw - tmpfs none rw\n"
    "37 36 0:31 /x /srv/db/t.tbl rw,relatime shared:3 - ext4 /dev/vdb rw\n"
    "38 22 0:32 / /srv/db2 rw - tmpfs none rw\n"
    "39 22 0:33 / /srv/my\\040db/k\\134.kv rw - tmpfs none rw\n"
    "40 22 0:34 / /srv rw\n";

static void assert_below(const char *root, const char *want)
{
    struct buf out = BUF_NULL;

    mountinfo_below(TEXT, root, &out);
    buf_u8(&out, 0);
    assert_string_equal((char *)out.data, want);
    buf_deinit(&out);
}

static void a_mount_at_the_root_or_below_it_counts(void **state)
{
    (void)state;
    assert_below("/srv/db", "36 22 0:30 / /srv/db\n"
                            "37 36 0:31 /x /srv/db/t.tbl\n");
    assert_below("/srv/db/t.tbl", "37 36 0:31 /x /srv/db/t.tbl\n");
    assert_below("/srv/db/t", "");
    assert_below("/srv/my db", "39 22 0:33 / /srv/my\\040db/k\\134.kv\n");
    assert_below("/srv/my", "");
    assert_below("/srv/my\\040db", "");
    assert_below("/nowhere", "");
}

static void all_are_below_the_root_of_all(void **state)
{
    struct buf out = BUF_NULL;

    (void)state;
    mountinfo_below("1 0 0:1 / / rw\n2 1 0:2 / /a rw\ncut", "/", &out);
    buf_u8(&out, 0);
    assert_string_equal((char *)out.data, "1 0 0:1 / /\n2 1 0:2 / /a\n");
    buf_deinit(&out);
}

static void the_file_is_read_from_its_begin_each_time(void **state)
{
    CLEANUP(fd_closep)
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    struct buf out = BUF_NULL, again = BUF_NULL;

    (void)state;
    if (fd < 0) {
        skip();
    }
    assert_true(mountinfo_read(fd, "/", &out));
    assert_true(mountinfo_read(fd, "/", &again));
    assert_true(out.len > 0);
    assert_int_equal(out.len, again.len);
    assert_false(mountinfo_read(-1, "/", &out));
    buf_deinit(&out);
    buf_deinit(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mount_at_the_root_or_below_it_counts),
        cmocka_unit_test(all_are_below_the_root_of_all),
        cmocka_unit_test(the_file_is_read_from_its_begin_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
