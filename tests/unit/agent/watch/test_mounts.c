/* SPDX-License-Identifier: MIT
 *
 * mounts: a mount in a database is told, and its end. */
#include "agent/watch/mounts.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/store_fixture.h"

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
        FIXTURE_TEST(a_mount_in_the_database_is_told_and_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
