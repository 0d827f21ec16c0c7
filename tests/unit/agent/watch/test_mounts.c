/* SPDX-License-Identifier: MIT
 *
 * mounts: which lines of mountinfo are about a database, and that a mount in it
 * is told. */
#include "agent/watch/mounts.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/store_fixture.h"

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

    mounts_below(TEXT, root, &out);
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
    mounts_below("1 0 0:1 / / rw\n2 1 0:2 / /a rw\ncut", "/", &out);
    buf_u8(&out, 0);
    assert_string_equal((char *)out.data, "1 0 0:1 / /\n2 1 0:2 / /a\n");
    buf_deinit(&out);
}

struct told {
    uv_loop_t loop;
    unsigned count;
};

static void on_changed(void *arg)
{
    struct told *t = arg;

    t->count++;
    uv_stop(&t->loop);
}

static void on_freed(void *arg)
{
    (void)arg;
}

/* Until it is told; a test that is not told is ended by its timeout. */
static void until(struct told *t, unsigned count)
{
    while (t->count < count) {
        (void)uv_run(&t->loop, UV_RUN_DEFAULT);
    }
}

static void a_mount_in_the_database_is_told_and_its_end(void **state)
{
    struct fixture *f = *state;
    struct told t = {.count = 0};
    char table[4096 + 8], beside[4096 + 8];

    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        print_message("SKIP: only root may have mounts of its own\n");
        skip();
    }
    (void)snprintf(table, sizeof table, "%s/db/t.tbl", f->path);
    (void)snprintf(beside, sizeof beside, "%s/db2", f->path);
    assert_int_equal(mkdirat(f->fd, "db", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "db2", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "db/t.tbl", 0755), 0);
    assert_int_equal(uv_loop_init(&t.loop), 0);
    struct mounts *m = mounts_new(&t.loop, on_changed, &t);
    assert_non_null(m);
    char root[4096 + 8];
    (void)snprintf(root, sizeof root, "%s/db", f->path);
    mounts_set_root(m, root);
    assert_int_equal(mount("none", beside, "tmpfs", 0, "size=64k"), 0);
    assert_int_equal(mount("none", table, "tmpfs", 0, "size=64k"), 0);
    until(&t, 1);
    assert_int_equal(umount(table), 0);
    until(&t, 2);
    assert_int_equal(mount("none", table, "tmpfs", 0, "size=64k"), 0);
    mounts_check(m);
    assert_int_equal(t.count, 3);
    mounts_check(m);
    assert_int_equal(t.count, 3);
    assert_int_equal(umount(table), 0);
    assert_int_equal(umount(beside), 0);
    mounts_check(m);
    assert_int_equal(t.count, 4);
    mounts_free(m, on_freed, NULL);
    while (uv_run(&t.loop, UV_RUN_DEFAULT) != 0) {
        /* it was stopped meanwhile */
    }
    assert_int_equal(uv_loop_close(&t.loop), 0);
    assert_int_equal(t.count, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mount_at_the_root_or_below_it_counts),
        cmocka_unit_test(all_are_below_the_root_of_all),
        FIXTURE_TEST(a_mount_in_the_database_is_told_and_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
